package table

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tram/store/pages"
	"tram/store/seal"
)

// salvageBatch is how many entries are taken over in one transaction.
const salvageBatch = 4096

// Salvage takes over from a damaged file what holds by its checksum and, by its table, key
// and value, by holds, and tells how many entries those were, and how many did not hold.
// Damage is no error.
func (d *DB) Salvage(ctx context.Context, from string, progress func(done, all int64), holds func(in string, key, value []byte) bool) (taken, refused int, err error) {
	f, err := os.Open(from)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	var batch [][2][]byte
	flush := func() error {
		err := d.Update(func(t *Tx) error {
			for _, e := range batch {
				ok, err := t.restore(e[0], e[1], holds)
				if err != nil {
					return err
				}
				if ok {
					taken++
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	}
	report, err := pages.File{Source: f, Size: info.Size(), Item: Sound, Progress: progress}.Salvage(ctx,
		func(_, key, stored []byte, _ bool) error {
			batch = append(batch, [2][]byte{slices.Clone(key), slices.Clone(stored)})
			if len(batch) < salvageBatch {
				return nil
			}
			return flush()
		})
	return taken, report.Refused, errors.Join(err, flush())
}

// AsideName is the name that SetAside gives at a time.
func AsideName(path string, now time.Time) string {
	return fmt.Sprintf("%s.damaged-%s", filepath.Base(path), now.UTC().Format("20060102T150405.000"))
}

// SetAside gives a damaged file a second name, with the time in it, so that at no moment
// there is none; it returns the name, without the folder.
func SetAside(path string, now time.Time) (string, error) {
	aside := filepath.Join(filepath.Dir(path), AsideName(path, now))
	if os.Link(path, aside) != nil { // not every file system gives a file two names
		if err := copyFile(path, aside); err != nil {
			return "", err
		}
	}
	return filepath.Base(aside), seal.SyncDir(filepath.Dir(path))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Sync(), out.Close())
}

// restore puts an entry of another file in, as it stood there; the first to come
// under a key stays. It reports whether it was taken: not when it does not hold.
func (t *Tx) restore(key, stored []byte, holds func(in string, key, value []byte) bool) (bool, error) {
	i := t.db.layout.find(key)
	value, sum, ok := split(key, stored)
	if i < 0 || !ok || !holds(t.db.layout[i].Name, t.db.layout[i].logical(key), value) {
		return false, nil
	}
	b := t.area(t.db.layout[i].Area)
	if b.Get(key) != nil {
		return false, nil
	}
	t.tallies[i].Count++
	t.tallies[i].Sum += uint64(sum)
	t.touch(key)
	return true, b.Put(append([]byte(nil), key...), append([]byte(nil), stored...))
}
