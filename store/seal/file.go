package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
)

// WriteFile writes a private file so that after a power cut it is there whole
// or not at all: aside, synced, renamed, folder synced. What root writes belongs
// to whom the folder belongs to: the service must be able to read it.
func WriteFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.ReadFrom(bytes.NewReader(b))
	err = errors.Join(err, f.Chmod(0o600), giveTo(f, dir), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}
