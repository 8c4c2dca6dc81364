// Package storetest opens stores for tests. Every store is checked whole when its
// test ends. No program uses it.
package storetest

import (
	"context"
	"math"
	"sync/atomic"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// R4 loads the tables.
func R4(t testing.TB) *fhir.R4 {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	return r4
}

// Open opens a store as o says, in a folder of the test's own where o names
// none. At the end of the test it is checked and closed.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.R4 == nil {
		o.R4 = R4(t)
	}
	if o.Clock == nil {
		o.Clock = Clock()
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		Check(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Check fails the test with every invariant that does not hold.
func Check(t testing.TB, s *store.Store) {
	t.Helper()
	found, err := s.Check(context.Background())
	if err != nil {
		t.Error(err)
	}
	for _, f := range found {
		t.Errorf("check of %s: %s: %s %s", s.Name(), f.Code, f.Key, f.Text)
	}
	counted(t, s)
}

// counted fails the test where what waits and is parked is counted otherwise than it
// stands in the books.
func counted(t testing.TB, s *store.Store) {
	t.Helper()
	counts, err := s.Waiting()
	if err != nil {
		t.Error(err)
	}
	list, err := s.WaitingList(math.MaxInt)
	if err != nil {
		t.Error(err)
	}
	parked := 0
	for _, e := range list {
		if e.Verdict == record.Parked {
			parked++
		}
	}
	if counts.Parked != parked || counts.Waiting != len(list)-parked {
		t.Errorf("%s counts %d that wait and %d parked; of %d there are %d parked", s.Name(), counts.Waiting, counts.Parked, len(list), parked)
	}
}

// Clock is a clock that advances by a second at each look.
func Clock() func() record.Stamp {
	var now atomic.Int64
	now.Store(1_790_000_000_000)
	return func() record.Stamp { return record.Stamp{Unix: now.Add(1000)} }
}
