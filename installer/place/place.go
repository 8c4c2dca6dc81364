// Package place puts files where they belong, so that a power cut leaves either
// the old file or the new one, whole.
//
// It owns the order of the steps: a temporary file in the same folder, written
// and synced, then renamed over the old one, then the folder synced. It reads
// no more than it is told to. It does not know what the files are.
package place

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrAltered says that a copied file's content has another digest than it
// should; nothing was put in place.
var ErrAltered = errors.New("content is not what its digest says")

// ErrTooLarge says that more was there than a reader asked for.
var ErrTooLarge = errors.New("too large")

// Write puts content at name with the given permission bits, making folders
// above it as needed.
func Write(name string, content []byte, mode fs.FileMode) error {
	return replace(name, mode, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// Copy puts what r holds at name and demands that its SHA-256, in lower-case
// hexadecimal, is digest; an empty digest demands nothing.
func Copy(name string, r io.Reader, digest string, mode fs.FileMode) error {
	return replace(name, mode, func(f *os.File) error {
		sum := sha256.New()
		if _, err := io.Copy(io.MultiWriter(f, sum), r); err != nil {
			return err
		}
		if digest != "" && hex.EncodeToString(sum.Sum(nil)) != digest {
			return ErrAltered
		}
		return nil
	})
}

func replace(name string, mode fs.FileMode, fill func(*os.File) error) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := fill(f); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	// CreateTemp's own bits are stricter than any asked for; a umask would
	// take bits away again, Chmod does not.
	if err := f.Chmod(mode); err != nil && runtime.GOOS != "windows" {
		return fmt.Errorf("set rights: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("put file in place: %w", err)
	}
	return SyncFolder(dir)
}

// SyncFolder makes what was renamed or removed in a folder durable. Windows
// does so by itself.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// Remove removes files, not folders. What is not there counts as removed; the
// first error is returned after all were tried.
func Remove(names ...string) error {
	var first error
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = fmt.Errorf("remove file: %w", err)
		}
	}
	return first
}

// Read reads the file at name, or fails when it holds more than limit bytes.
// An empty name is a file that does not exist.
func Read(name string, limit int64) ([]byte, error) {
	if name == "" {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadLimited(f, limit)
}

// ReadLimited reads r to its end, or fails when it holds more than limit bytes.
func ReadLimited(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, ErrTooLarge
	}
	return b, nil
}

// Digest is the SHA-256 of the file at name in lower-case hexadecimal, or ""
// when it cannot be read.
func Digest(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}
