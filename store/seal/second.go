package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// errApart says that no ring can hold the keys of both copies.
var errApart = errors.New("the two copies of the key slots are of different stores")

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

// Join makes a file of slots open all that its second copy opens: the two may come from
// different times, as when a backup is put back beside a journal on another disk. It takes
// the slots of the one that was rotated last, and the data keys of both. Nothing changes
// where there is no copy, or no difference; nor on an error, as of a copy that does not open.
func Join(path, second string, openers ...Opener) error {
	have, err := os.ReadFile(second)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if first, err := os.ReadFile(path); err == nil && bytes.Equal(first, have) {
		return nil
	}
	own, err := Load(path, openers...)
	if err != nil {
		return err
	}
	other, err := Load(second, openers...)
	if err != nil {
		return err
	}
	older, newer := other, own
	if int8(other.secrets.newest()-own.secrets.newest()) > 0 { // numbers go round
		older, newer = own, other
	}
	held, err := newer.secrets.with(older.secrets)
	if err != nil || newer == own && len(held.Keys) == len(own.secrets.Keys) {
		return err
	}
	newer.path = path
	return newer.write(newer.master, newer.file.Slots, held)
}

func (s secrets) newest() byte { return s.Keys[len(s.Keys)-1].N }

// with is the ring with what only an older one holds.
func (s secrets) with(older secrets) (secrets, error) {
	if !bytes.Equal(s.Blind, older.Blind) {
		return s, errApart
	}
	var more []dataKey
	for _, k := range older.Keys {
		at := slices.IndexFunc(s.Keys, func(d dataKey) bool { return d.N == k.N })
		if at < 0 {
			more = append(more, k)
		} else if !bytes.Equal(s.Keys[at].Key, k.Key) {
			return s, errApart
		}
	}
	return secrets{s.Blind, append(more, s.Keys...)}, nil
}
