package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tram/store/layout"
	"tram/store/seal"
	"tram/store/table"
)

// ErrNewer says that a newer program made the backup.
var ErrNewer = errors.New("a newer program made this backup")

// ErrNotEmpty says that there are records where a backup should go.
var ErrNotEmpty = errors.New("there are records in this folder already: move them away first, nothing was changed")

// Restore puts a backup into a data folder without records; by one of the openers the
// slots in it open. What opens there is a new lineage. Cut short, it leaves a folder that
// does not open, and may be called again.
func Restore(ctx context.Context, dir string, r io.Reader, openers ...seal.Opener) error {
	if err := restore(ctx, dir, r, openers); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func restore(ctx context.Context, dir string, r io.Reader, openers []seal.Opener) error {
	in, err := NewReader(r)
	if err != nil {
		return err
	}
	if in.Head().Schema > layout.Schema {
		return fmt.Errorf("%w: schema %d, this program reads %d", ErrNewer, in.Head().Schema, layout.Schema)
	}
	marker, slots, db := filepath.Join(dir, layout.RestoringFile), filepath.Join(dir, layout.SlotsFile), filepath.Join(dir, layout.DatabaseFile)
	if _, err := os.Stat(marker); errors.Is(err, fs.ErrNotExist) {
		for _, path := range []string{slots, db} {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				return ErrNotEmpty
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, layout.BlobFolder), 0o700); err != nil {
		return err
	}
	if err := errors.Join(seal.WriteFile(marker, nil), seal.WriteFile(slots, in.Head().Slots)); err != nil {
		return err
	}
	keys, err := seal.Unlock(slots, openers...)
	if err != nil {
		return err
	}
	in.Unlock(keys)
	f, err := table.NewFile(db, layout.Tables())
	if err != nil {
		return err
	}
	err = pour(ctx, in, f, filepath.Join(dir, layout.BlobFolder))
	if err == nil {
		err = f.Update(func(t *table.Tx) error { return uproot(t, keys) })
	}
	if err != nil {
		return errors.Join(err, f.Drop())
	}
	return errors.Join(f.Finish(), table.Place(db), os.Remove(marker), seal.SyncDir(dir))
}

// pour puts every piece where it belongs.
func pour(ctx context.Context, in *Reader, f *table.File, blobs string) error {
	seen := map[string]bool{}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, key, value, err := in.Next()
		if err == io.EOF {
			return seal.SyncDir(blobs)
		}
		if err != nil {
			return err
		}
		switch kind {
		case Entry:
			if len(value) == 0 {
				value = nil
			}
			err = f.Take(key, value)
		case Blob:
			err = addTo(blobs, string(key), value, seen[string(key)])
			seen[string(key)] = true
		}
		if err != nil {
			return err
		}
	}
}

// addTo writes a part of a file behind the others, durably.
func addTo(folder, name string, part []byte, more bool) error {
	if name != filepath.Base(name) {
		return ErrNotBackup
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if more {
		flags = os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(filepath.Join(folder, name), flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(part)
	return errors.Join(err, f.Sync(), f.Close())
}

// uproot takes out what belongs to the folder that the backup was made of: its
// journal, and at an upstream what it has told of its feeds since.
func uproot(b *table.Tx, keys *seal.Keys) error {
	meta := b.Table(layout.Meta)
	var gone [][]byte
	err := meta.ForEach(func(k, _ []byte) error {
		if string(k) == layout.Journal || string(k) == layout.Backed || strings.HasPrefix(string(k), layout.Settled) {
			gone = append(gone, slices.Clone(k))
		}
		return nil
	})
	for _, k := range gone {
		err = errors.Join(err, meta.Delete(k))
	}
	at := []byte(layout.Epoch)
	if err != nil || meta.Get(at) == nil {
		return err
	}
	return meta.Put(at, keys.Seal(layout.Place(layout.Meta, at), []byte(`""`)))
}
