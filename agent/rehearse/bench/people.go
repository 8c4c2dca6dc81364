package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

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
	return put(ctx, s, births(entries))
}

// births are writes of new records.
func births(entries []practice.Entry) []store.Write {
	out := make([]store.Write, len(entries))
	for i, e := range entries {
		out[i] = store.Write{Key: record.Key{Kind: e.Kind, ID: e.ID}, Content: e.Resource, Author: e.Author}
	}
	return out
}

// edits is how many records are edited on a day.
const edits = 50

// day puts the next day and its edits.
func (c *clinic) day(ctx context.Context, s *store.Store) (load, error) {
	c.store = s
	l, err := put(ctx, s, births(c.made.Day(c.next)))
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

// observations are resources to write one by one, and the people that they are
// about. Each has a mark where its id stands.
type observations struct {
	people []store.Write
	parts  [][2][]byte // what stands before and behind the id
	author string
}

// makeObservations takes them from some days of a practice station.
func makeObservations(days int) (observations, error) {
	var o observations
	station := practice.New(2, practice.Options{})
	var base []practice.Entry
	for d := range days {
		for _, e := range station.Day(d) {
			if e.Kind != "Observation" {
				base = append(base, e)
				continue
			}
			id, err := json.Marshal(e.ID)
			if err != nil {
				return o, err
			}
			before, after, ok := bytes.Cut(e.Resource, append([]byte(`"id":`), id...))
			if !ok {
				return o, fmt.Errorf("a practice record without an id")
			}
			o.parts = append(o.parts, [2][]byte{append(bytes.Clone(before), `"id":"`...), append([]byte{'"'}, after...)})
			o.author = e.Author
		}
	}
	o.people = births(append(station.Shared(), base...))
	return o, nil
}

// resource is the n-th observation under an id.
func (o observations) resource(n int, id string) []byte {
	p := o.parts[n%len(o.parts)]
	return slices.Concat(p[0], []byte(id), p[1])
}

// size is the mean length of a resource in bytes.
func (o observations) size() int {
	n := 0
	for i := range o.parts {
		n += len(o.resource(i, o.people[0].Key.ID))
	}
	return n / len(o.parts)
}
