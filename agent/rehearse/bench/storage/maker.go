package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// The ways to write that every run measures.
const (
	plainFile  = "plain file: append, sync"
	bareSingle = "bare bbolt: single puts"
	bareGroup  = "bare bbolt: group commit"
	storePut   = "store.Put"
)

// batch is how many records one transaction of a filling takes.
const batch = 500

// bareBucket is where bare bbolt keeps the resources.
const bareBucket = "bench"

// allMakers are the ways within this process, the store last. All write the same
// bytes but for the ids.
func allMakers(ctx context.Context, dir string, obs observations, r4 *fhir.R4) ([]maker, error) {
	w := &work{dir: dir, obs: obs, r4: r4}
	s, err := w.openStore()
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(obs.people, batch) {
		if _, err = s.Put(ctx, some...); err != nil {
			break
		}
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	return []maker{
		{plainFile, 1, saving(w.plain)},
		{bareSingle, 2, saving(w.single)},
		{bareGroup, 2, saving(w.grouped)},
		{storePut, 2, saving(w.whole)},
	}, nil
}

// work is what the makers share.
type work struct {
	dir   string
	obs   observations
	r4    *fhir.R4
	opens int
}

// name is an id as the store gives them, new with each opening.
func (w *work) name(n int) string { return fmt.Sprintf("abcdefghijklm%03d-%d", w.opens, n) }

// plain appends to a file. Several writers wait for each other: what that costs
// more is what a group commit saves.
func (w *work) plain(context.Context) (func(int) error, func() (int, error), error) {
	w.opens++
	f, err := os.OpenFile(filepath.Join(w.dir, "plain"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	commits := 0
	save := func(n int) error {
		mu.Lock()
		defer mu.Unlock()
		commits++
		_, err := f.Write(w.obs.resource(n, w.name(n)))
		return errors.Join(err, f.Sync())
	}
	return save, func() (int, error) { return commits, f.Close() }, nil
}

// bolt opens bbolt as the store does. Its close tells how many transactions were
// committed, by their numbers.
func (w *work) bolt() (*bbolt.DB, func() (int, error), error) {
	w.opens++
	db, err := bbolt.Open(filepath.Join(w.dir, "bare.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(bareBucket))
		return err
	})
	before, errLast := last(db)
	if err := errors.Join(err, errLast); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, func() (int, error) {
		after, err := last(db)
		return after - before, errors.Join(err, db.Close())
	}, nil
}

// last is the number of the last transaction.
func last(db *bbolt.DB) (n int, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		n = tx.ID()
		return nil
	})
	return n, err
}

func (w *work) insert(tx *bbolt.Tx, n int) error {
	b := tx.Bucket([]byte(bareBucket))
	key := binary.BigEndian.AppendUint32(nil, uint32(w.opens))
	return b.Put(binary.BigEndian.AppendUint64(key, uint64(n)), w.obs.resource(n, w.name(n)))
}

// single is a transaction for each resource.
func (w *work) single(context.Context) (func(int) error, func() (int, error), error) {
	db, done, err := w.bolt()
	if err != nil {
		return nil, nil, err
	}
	return func(n int) error { return db.Update(func(tx *bbolt.Tx) error { return w.insert(tx, n) }) }, done, nil
}

// grouped is one goroutine that commits together what waits, without a timer.
func (w *work) grouped(context.Context) (func(int) error, func() (int, error), error) {
	db, done, err := w.bolt()
	if err != nil {
		return nil, nil, err
	}
	type job struct {
		n   int
		err chan error
	}
	jobs := make(chan job)
	var loop sync.WaitGroup
	loop.Go(func() {
		for first := range jobs {
			group := []job{first}
		drain:
			for {
				select {
				case j, ok := <-jobs:
					if !ok {
						break drain
					}
					group = append(group, j)
				default:
					break drain
				}
			}
			err := db.Update(func(tx *bbolt.Tx) error {
				for _, j := range group {
					if err := w.insert(tx, j.n); err != nil {
						return err
					}
				}
				return nil
			})
			for _, j := range group {
				j.err <- err
			}
		}
	})
	save := func(n int) error {
		j := job{n, make(chan error, 1)}
		jobs <- j
		return <-j.err
	}
	return save, func() (int, error) {
		close(jobs)
		loop.Wait()
		return done()
	}, nil
}

func (w *work) openStore() (*store.Store, error) {
	return store.Open(store.Options{Dir: filepath.Join(w.dir, "writes"), Name: "bench", R4: w.r4})
}

// whole is the store: checked, journalled, sealed, indexed, chained, audited.
func (w *work) whole(ctx context.Context) (func(int) error, func() (int, error), error) {
	s, err := w.openStore()
	if err != nil {
		return nil, nil, err
	}
	save := func(n int) error {
		key := record.Key{Kind: "Observation", ID: s.NewID()}
		_, err := s.Put(ctx, store.Write{Key: key, Content: w.obs.resource(n, key.ID), Author: w.obs.author})
		return err
	}
	before, err := w.transactions(s)
	if err != nil {
		return nil, nil, err
	}
	if s, err = w.openStore(); err != nil {
		return nil, nil, err
	}
	return save, func() (int, error) {
		after, err := w.transactions(s)
		return after - before - 1, err // opening it was one
	}, nil
}

// transactions closes a store and tells the number of its database's last
// transaction.
func (w *work) transactions(s *store.Store) (int, error) {
	if err := s.Close(); err != nil {
		return 0, err
	}
	db, err := bbolt.Open(filepath.Join(w.dir, "writes", "tram.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	n, err := last(db)
	return n, errors.Join(err, db.Close())
}
