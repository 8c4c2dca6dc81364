package table

import (
	"context"
	"errors"
	"fmt"
)

// Sink takes a copy of a file, entry by entry. A key that comes again replaces what
// came before; a nil value takes it back. The slices are valid during the call.
type Sink interface {
	Take(key, stored []byte) error
}

// stretch is how many entries are copied within one transaction: a long one would
// make the file grow under the writers.
const stretch = 2000

// Copy gives all there is to a sink while others read and write, with the tallies
// last. What changes meanwhile comes again; for the last of it Copy calls alone,
// which runs its argument while nobody writes, and may go on to swap files in it.
func (d *DB) Copy(ctx context.Context, out Sink, alone func(last func() error) error) error {
	d.watchMu.Lock()
	if d.watch != nil {
		d.watchMu.Unlock()
		return errors.New("a copy is being made already")
	}
	d.watch = map[string]bool{}
	d.watchMu.Unlock()
	defer d.changes(false)
	for _, a := range []Area{Small, Rising, Mixed} {
		if err := d.copyArea(ctx, a, out); err != nil {
			return err
		}
	}
	if err := d.copyKeys(d.changes(true), out); err != nil {
		return err
	}
	return alone(func() error {
		if err := d.copyKeys(d.changes(true), out); err != nil {
			return err
		}
		return d.copyKeys(map[string]bool{tallyKey: true}, out)
	})
}

// changes hands out what was written since it was last asked.
func (d *DB) changes(more bool) map[string]bool {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	have := d.watch
	if d.watch = nil; more {
		d.watch = map[string]bool{}
	}
	return have
}

func (d *DB) copyArea(ctx context.Context, a Area, out Sink) error {
	var from []byte
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		more = false
		err := d.View(func(t *Tx) error {
			c := t.area(a).Cursor()
			n := 0
			for k, v := c.Seek(from); k != nil; k, v = c.Next() {
				if n++; n > stretch {
					from, more = append([]byte(nil), k...), true
					return nil
				}
				if string(k) == tallyKey {
					continue
				}
				if !Sound(nil, k, v) {
					return fmt.Errorf("%w: an entry is altered", ErrDamaged)
				}
				if err := out.Take(k, v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) copyKeys(keys map[string]bool, out Sink) error {
	return d.View(func(t *Tx) error {
		for k := range keys {
			if err := out.Take([]byte(k), t.area(d.areaOf([]byte(k))).Get([]byte(k))); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *DB) areaOf(key []byte) Area {
	if i := d.layout.find(key); i >= 0 {
		return d.layout[i].Area
	}
	return Small // the tallies
}

// File is a Sink that makes another file.
type File struct {
	db *DB
	tx *Tx
	n  int
}

// NewFile begins a file aside of path; Finish or Drop ends it.
func NewFile(path string, layout Layout) (*File, error) {
	d, err := Make(path, layout)
	if err != nil {
		return nil, err
	}
	return &File{db: d}, nil
}

// Take writes one entry as it stands in a file.
func (f *File) Take(key, stored []byte) error {
	if f.tx == nil {
		tx, err := f.db.Begin()
		if err != nil {
			return err
		}
		f.tx = tx
	}
	b := f.tx.area(f.db.areaOf(key))
	var err error
	if stored == nil {
		err = b.Delete(key)
	} else {
		err = b.Put(key, append([]byte(nil), stored...))
	}
	if f.n++; err == nil && f.n%(4*stretch) == 0 {
		err = f.flush()
	}
	return err
}

func (f *File) flush() error {
	if f.tx == nil {
		return nil
	}
	tx := f.tx
	f.tx = nil
	return tx.bolt.Commit() // the tallies come as an entry
}

// Update changes the file once all was taken.
func (f *File) Update(change func(*Tx) error) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.db.Update(change)
}

// Finish makes the file durable where it was made, aside.
func (f *File) Finish() error { return errors.Join(f.flush(), f.db.Finish()) }

// Drop gives the file up.
func (f *File) Drop() error {
	var err error
	if f.tx != nil {
		err = f.tx.Rollback()
	}
	return errors.Join(err, f.db.Drop())
}

// Usable reports whether the file is open: not where a swap failed half way.
func (d *DB) Usable() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.bolt != nil
}

// Swap lets the file aside take the place of this one, durably, and goes on with it.
// Nobody may write meanwhile; readers wait. After an error the file must not be
// used any more.
func (d *DB) Swap() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.bolt
	d.bolt = nil
	if err := errors.Join(d.settled(), old.Close()); err != nil {
		return err
	}
	d.settling = nil
	if err := replace(Aside(d.path), d.path); err != nil {
		return err
	}
	b, err := openBolt(d.path)
	if err != nil {
		return err
	}
	d.bolt = b
	return nil
}

// Compact makes the file as small as its contents while others read and write.
// alone is as for Copy.
func (d *DB) Compact(ctx context.Context, alone func(func() error) error) error {
	f, err := NewFile(d.path, d.layout)
	if err != nil {
		return err
	}
	finished := false
	err = d.Copy(ctx, f, func(last func() error) error {
		return alone(func() error {
			if err := last(); err != nil {
				return err
			}
			finished = true
			if err := f.Finish(); err != nil {
				return err
			}
			return d.Swap()
		})
	})
	if !finished {
		err = errors.Join(err, f.Drop())
	}
	return err
}
