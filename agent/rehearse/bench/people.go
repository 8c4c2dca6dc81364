package bench

import (
	"context"
	"fmt"
	"slices"

	"tram/agent/rehearse/bench/storage"
	"tram/store"
	"tram/store/practice"
	"tram/store/record"
)

// batch is how many records one transaction of the filling takes.
const batch = 500

// clinic is a made-up station whose days are put into a store bit by bit. Its ids
// are the store's.
type clinic struct {
	made  *practice.Station
	store *store.Store
	next  int // the next day
}

// load is what was put.
type load struct {
	born, edited int
	bytes        int64 // of the resources, compact JSON
}

// fill puts what all share and as many days as hold at least n records.
func (c *clinic) fill(ctx context.Context, s *store.Store, n int) (load, error) {
	c.store = s
	c.made = practice.New(1, practice.Options{NewID: func() string { return c.store.NewID() }})
	entries := c.made.Shared()
	for len(entries) < n {
		entries = append(entries, c.made.Day(c.next)...)
		c.next++
	}
	return put(ctx, s, storage.Births(entries))
}

// edits is how many records are edited on a day.
const edits = 50

// day puts the next day and its edits.
func (c *clinic) day(ctx context.Context, s *store.Store) (load, error) {
	c.store = s
	l, err := put(ctx, s, storage.Births(c.made.Day(c.next)))
	if err != nil {
		return l, err
	}
	var writes []store.Write
	for _, e := range c.made.Edits(c.next, edits) {
		key := record.Key{Kind: e.Kind, ID: e.ID}
		st, err := s.Get(key)
		if err != nil {
			return l, fmt.Errorf("edit %s: %w", key, err)
		}
		writes = append(writes, store.Write{Key: key, Base: st.Tag(), Content: e.New, Author: e.Author})
	}
	c.next++
	changed, err := put(ctx, s, writes)
	l.edited, l.bytes = changed.born, l.bytes+changed.bytes
	return l, err
}

func put(ctx context.Context, s *store.Store, writes []store.Write) (load, error) {
	var l load
	for some := range slices.Chunk(writes, batch) {
		if _, err := s.Put(ctx, some...); err != nil {
			return l, err
		}
		for _, w := range some {
			l.born++
			l.bytes += int64(len(w.Content))
		}
	}
	return l, nil
}
