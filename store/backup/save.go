package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"tram/store/seal"
)

// Save makes a file that was not there: written beside its place, synced, checked by
// reading it back, and only then given its name. It fails with fs.ErrExist where
// there is a file already, and leaves nothing behind when it fails.
func Save(path string, write func(io.Writer) error, check func(io.Reader) error) error {
	if err := absent(path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".backup-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if f, err = os.Open(f.Name()); err != nil {
		return err
	}
	if err = errors.Join(check(struct{ io.Reader }{f}), f.Close()); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if err := absent(path); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return seal.SyncDir(dir)
}

func absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Verify reads a backup to its end. It fails as Reader does.
func Verify(ctx context.Context, r io.Reader, keys *seal.Keys) error {
	in, err := NewReader(r)
	if err != nil {
		return err
	}
	in.Unlock(keys)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, _, _, err := in.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
