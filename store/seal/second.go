package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Copy keeps a second copy of a file of slots, so that one damaged small file does not
// lock everything up. It is as durable as the first.
func Copy(path, second string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(second); err == nil && bytes.Equal(have, b) {
		return nil
	}
	return errors.Join(os.MkdirAll(filepath.Dir(second), 0o700), WriteFile(second, b))
}

// Revive puts the second copy in the place of a file of slots that is lost or does not
// open, if the copy opens by one of the openers. What was there is kept beside it.
func Revive(path, second string, openers ...Opener) error {
	if _, err := Load(second, openers...); err != nil {
		return err
	}
	b, err := os.ReadFile(second)
	if err != nil {
		return err
	}
	if bad, err := os.ReadFile(path); err == nil {
		if err := WriteFile(path+".damaged-"+time.Now().UTC().Format("20060102T150405"), bad); err != nil {
			return err
		}
	}
	return WriteFile(path, b)
}
