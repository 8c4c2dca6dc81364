package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"tram/store/pages"
	"tram/store/seal"
)

// DB is an open file of tables. It is safe for concurrent use; one goroutine at a
// time may write.
type DB struct {
	path   string
	layout Layout
	packed bool // it is a copy: keys come in order, and pages are filled

	mu   sync.RWMutex // held while bolt is in use, and alone while it is swapped
	bolt *bbolt.DB

	settling  chan struct{} // closed when the last transaction is durable; of the one that writes
	unsettled error         // why it is not

	watchMu sync.Mutex
	watch   map[string]bool // keys of the file written while a copy is made; nil while none is
}

// Aside is where a file is made before it takes the place of path.
func Aside(path string) string { return path + ".new" }

// Create makes a file with what fill puts into it: aside, synced and renamed, since
// a cut in the making of a bbolt file leaves one that cannot be opened.
func Create(path string, layout Layout, fill func(*Tx) error) error {
	aside := Aside(path)
	if err := remove(aside); err != nil {
		return err
	}
	d, err := create(aside, layout)
	if err != nil {
		return err
	}
	if err := d.Update(fill); err != nil {
		return errors.Join(err, d.Drop())
	}
	if err := d.Finish(); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return replace(aside, path)
}

// Make begins a file aside of path, which Finish and Place, or Drop, end. What is
// written to it is not durable before Finish.
func Make(path string, layout Layout) (*DB, error) {
	if err := remove(Aside(path)); err != nil {
		return nil, err
	}
	return create(Aside(path), layout)
}

// Place lets the finished file aside of path be the file at path, durably.
func Place(path string) error { return replace(Aside(path), path) }

// create makes an empty file that nobody syncs before Finish.
func create(path string, layout Layout) (*DB, error) {
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	b.AllocSize = 1 << 20 // what is copied is copied to be small
	d := &DB{path: path, layout: layout, packed: true, bolt: b}
	err = b.Update(func(tx *bbolt.Tx) error {
		for _, a := range []Area{Small, Rising, Mixed} {
			if _, err := tx.CreateBucketIfNotExists([]byte(a.bucket())); err != nil {
				return err
			}
		}
		empty := encodeTallies(make([]tally, len(layout)))
		return tx.Bucket([]byte(Small.bucket())).Put([]byte(tallyKey), withSum([]byte(tallyKey), empty))
	})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return d, nil
}

// Finish makes a file that Make began durable, and closes it.
func (d *DB) Finish() error { return errors.Join(d.bolt.Sync(), d.bolt.Close()) }

// settle begins to make the last transaction durable.
func (d *DB) settle(tell func(error)) {
	done, b := make(chan struct{}), d.bolt
	d.settling = done
	go func() {
		err := b.Sync()
		d.unsettled = err
		close(done)
		tell(err)
	}()
}

// settled waits until the last transaction is durable: its pages may stand where the
// next one writes.
func (d *DB) settled() error {
	if d.settling == nil {
		return nil
	}
	<-d.settling
	return d.unsettled
}

// Drop closes a file that Make began and removes it.
func (d *DB) Drop() error { return errors.Join(d.bolt.Close(), os.Remove(d.path)) }

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func replace(aside, path string) error {
	if err := os.Rename(aside, path); err != nil {
		return err
	}
	return seal.SyncDir(filepath.Dir(path))
}

// Open opens a file. What it is and whether it is whole is for Verify to say first:
// bbolt maps the file, and one cut short ends the process.
func Open(path string, layout Layout) (*DB, error) {
	if err := remove(Aside(path)); err != nil {
		return nil, err
	}
	b, err := openBolt(path)
	if err != nil {
		return nil, err
	}
	return &DB{path: path, layout: layout, bolt: b}, nil
}

func openBolt(path string) (*bbolt.DB, error) {
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 500 * time.Millisecond, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	b.AllocSize = 4 << 20            // by how much the file grows, in bytes
	if err := b.Sync(); err != nil { // a process that was killed may have left what only the cache holds
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// StepBack takes a damaged file's last transaction away, where Verify found that it is
// whole without it.
func StepBack(path string, facts Facts) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(facts.PageSize)
	for place, m := range facts.Metas {
		if m.Tx != facts.Tx {
			continue
		}
		if _, err := f.WriteAt(make([]byte, size), int64(place)*size); err != nil {
			return err
		}
	}
	return f.Sync()
}

// begun reports whether the file says of itself that it holds a transaction.
func (d *DB) begun(id uint64) (bool, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	for _, m := range pages.Metas(f, info.Size()) {
		if m.Valid && m.Tx >= id {
			return true, nil
		}
	}
	return false, nil
}

// Close closes the file when the transactions under way have ended.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bolt == nil {
		return nil
	}
	return errors.Join(d.settled(), d.bolt.Close())
}

// Path is the file's path.
func (d *DB) Path() string { return d.path }

// Begin begins the one transaction that may write.
func (d *DB) Begin() (*Tx, error) {
	if d.bolt == nil {
		return nil, ErrClosed
	}
	b, err := d.bolt.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	t, err := begin(b, d)
	if err != nil {
		return nil, errors.Join(err, b.Rollback())
	}
	return t, nil
}

// Update runs f in a transaction and commits it.
func (d *DB) Update(f func(*Tx) error) error {
	t, err := d.Begin()
	if err != nil {
		return err
	}
	if err := f(t); err != nil {
		return errors.Join(err, t.Rollback())
	}
	if err := t.Commit(); err != nil {
		return errors.Join(err, t.rollbackIfOpen())
	}
	return nil
}

// rollbackIfOpen gives up what Commit may have given up itself.
func (t *Tx) rollbackIfOpen() error {
	if err := t.bolt.Rollback(); err != nil && !errors.Is(err, bolterrors.ErrTxClosed) {
		return err
	}
	return nil
}

// View runs f on a state that does not change. It must not be called within itself.
func (d *DB) View(f func(*Tx) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.bolt == nil {
		return ErrClosed
	}
	return d.bolt.View(func(b *bbolt.Tx) error {
		t, err := begin(b, d)
		if err != nil {
			return err
		}
		if err := f(t); err != nil && t.rotten == nil {
			return err
		}
		return t.rotten
	})
}

// wrote notes for a copy under way what a commit wrote.
func (d *DB) wrote(keys [][]byte) {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	if d.watch == nil {
		return
	}
	for _, k := range keys {
		d.watch[string(k)] = true
	}
}

// Use is how many bytes of the file hold something, and how many it has.
func (d *DB) Use() (used, size int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.bolt == nil {
		return 0, 0
	}
	err := d.bolt.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	if err != nil {
		return 0, 0
	}
	s := d.bolt.Stats()
	free := int64(s.FreePageN+s.PendingPageN) * int64(d.bolt.Info().PageSize)
	return size - free, size
}
