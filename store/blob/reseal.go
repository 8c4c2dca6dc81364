package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tram/store/seal"
)

// fresh is the beginning of the names of files that are not whole yet.
const fresh = ".new-"

// Names lists the files of the attachments that are whole.
func (b *Blobs) Names() ([]string, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), fresh) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Reseal seals every attachment anew that is not under the newest key. Each is
// changed whole or not at all; one that is damaged is set aside.
func (b *Blobs) Reseal(ctx context.Context) error {
	b.fresh.Lock() // until all that was on its way is there
	names, err := b.Names()
	b.fresh.Unlock()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := b.reseal(filepath.Join(b.dir, name))
		if errors.Is(err, seal.ErrAltered) {
			err = b.setAside(name)
		}
		if err != nil {
			return fmt.Errorf("seal attachment anew: %w", err)
		}
	}
	return seal.SyncDir(b.dir) // also for what an earlier try renamed
}

func (b *Blobs) reseal(path string) error {
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if newest, err := b.newest(in); err != nil || newest {
		return err
	}
	out, err := os.CreateTemp(b.dir, fresh+"*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	for n, last := uint32(0), false; !last && err == nil; n++ {
		var plain []byte
		if plain, last, err = b.next(in, n); err == nil {
			err = b.put(out, n, last, plain)
		}
	}
	if err = errors.Join(err, out.Sync(), out.Close(), in.Close()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return err
	}
	return seal.SyncDir(b.dir)
}

// setAside takes a file that does not open any more out of the way of a whole one.
func (b *Blobs) setAside(name string) error {
	b.fresh.Lock()
	defer b.fresh.Unlock()
	path := filepath.Join(b.dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err = errors.Join(b.copy(io.Discard, f), f.Close()); !errors.Is(err, seal.ErrAltered) {
		return err // it was put again meanwhile
	}
	if err := b.rotten(name); err != nil {
		return err
	}
	aside := filepath.Join(b.dir, "damaged")
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	return errors.Join(os.Rename(path, filepath.Join(aside, name)), seal.SyncDir(aside), seal.SyncDir(b.dir))
}

// newest tells by its first chunk whether a file is under the newest key.
func (b *Blobs) newest(f *os.File) (bool, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(f, head); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, seal.ErrAltered
	} else if err != nil {
		return false, err
	}
	_, err := f.Seek(0, io.SeekStart)
	return b.keys.Newest(head[4:]), err
}

// put seals a chunk and writes it behind its length.
func (b *Blobs) put(w io.Writer, n uint32, last bool, plain []byte) error {
	return frame(w, b.keys.Seal(place(n, last), plain))
}
