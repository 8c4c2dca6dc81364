package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"tram/store/seal"
)

// Size is how long an attachment is, in bytes; ErrMissing where it is not here. Only its
// last chunk is read.
func (b *Blobs) Size(id string) (int64, error) {
	f, err := b.open(id)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read attachment: %w", err)
	}
	for n := uint32(0); ; n++ {
		at, err := passOver(f)
		if err != nil {
			return 0, err
		}
		if after, err := f.Seek(0, io.SeekCurrent); err != nil || after < info.Size() {
			if err != nil {
				return 0, err
			}
			continue
		}
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		plain, last, err := b.next(f, n)
		if err == nil && !last {
			err = seal.ErrAltered
		}
		if err != nil {
			return 0, fmt.Errorf("read attachment: %w", err)
		}
		return int64(n)*chunk + int64(len(plain)), nil
	}
}

// Range is at most most bytes of an attachment, from a byte on; nothing behind its end.
// Each chunk is as it was put, or it fails; whether all are those of the id is for
// who gets all of them to see.
func (b *Blobs) Range(id string, from, most int64) ([]byte, error) {
	f, err := b.open(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []byte
	n := uint32(0)
	for ; int64(n) < from/chunk; n++ {
		if _, err := passOver(f); err != nil {
			return nil, err
		}
		if _, err := f.Read(make([]byte, 1)); err == io.EOF {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("read attachment: %w", err)
		}
		if _, err := f.Seek(-1, io.SeekCurrent); err != nil {
			return nil, err
		}
	}
	skip := from % chunk
	for last := false; !last && int64(len(out)) < most; n++ {
		var plain []byte
		if plain, last, err = b.next(f, n); err != nil {
			return nil, fmt.Errorf("read attachment: %w", err)
		}
		plain = plain[min(skip, int64(len(plain))):]
		out, skip = append(out, plain[:min(most-int64(len(out)), int64(len(plain)))]...), 0
	}
	return out, nil
}

func (b *Blobs) open(id string) (*os.File, error) {
	f, err := os.Open(b.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("read attachment: %w", err)
	}
	return f, nil
}

// passOver goes behind the next chunk and tells where it began.
func passOver(f *os.File) (at int64, err error) {
	if at, err = f.Seek(0, io.SeekCurrent); err != nil {
		return at, err
	}
	var size uint32
	if err := binary.Read(f, binary.LittleEndian, &size); err != nil || size > 2*chunk {
		return at, seal.ErrAltered
	}
	_, err = f.Seek(int64(size), io.SeekCurrent)
	return at, err
}
