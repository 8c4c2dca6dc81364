package thin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"tram/agent/rehearse/bench/storage"
	"tram/store"
	"tram/store/audit"
	"tram/store/practice"
	"tram/store/record"
)

// Sizes of what is written.
const (
	batch        = 500 // records in one transaction
	historyDays  = 5
	edits        = 50  // on a day
	fromAbove    = 100 // records that come down on it
	weeksVisits  = 60  // on each of 21 days
	weeksDays    = 21
	weeksDoses   = 300
	practiceDays = 40 // visits of a day of package practice
	recordsEach  = 20 // of a person, at a first sync
)

// seed is that of the test set. Nothing that is shipped may have been made from it.
const seed = 20_261_128

// clinic is a made-up station whose days are put into stores bit by bit. The ids are
// those of the store that a day is first asked for.
type clinic struct {
	made  *practice.Station
	store *store.Store
	days  int              // of history
	next  int              // the next day
	last  []practice.Entry // those of the day that was put last
	told  uint64           // the number of the audit's last entry before that day
}

// load is what was put.
type load struct {
	born, edited int
	doses        int
	lines        [][]byte // the resources, compact JSON, in their order
}

// json is the size of the resources with a line feed each.
func (l load) json() (n int64) {
	for _, line := range l.lines {
		n += int64(len(line)) + 1
	}
	return n
}

func (l load) ndjson() []byte { return append(bytes.Join(l.lines, []byte("\n")), '\n') }

func (l load) records() int { return l.born + l.edited }

// history puts what all share and the first days.
func (c *clinic) history(ctx context.Context, s *store.Store) (load, error) {
	c.store = s
	c.made = practice.New(seed, practice.Options{NewID: func() string { return c.store.NewID() }})
	entries := c.made.Shared()
	for c.next < c.days {
		entries = append(entries, c.made.Day(c.next)...)
		c.next++
	}
	return put(ctx, s, storage.Births(entries))
}

// elsewhere puts what another station writes about people whom the first one knows.
func (c *clinic) elsewhere(ctx context.Context, s *store.Store) (load, error) {
	known := map[string]bool{}
	for n := range c.next {
		for _, e := range c.made.Day(n) {
			known[e.Patient] = true
		}
	}
	c.store = s
	var some []practice.Entry
	for ; len(some) < fromAbove; c.next++ {
		for _, e := range c.made.Day(c.next) {
			if e.Kind != "Patient" && known[e.Patient] && len(some) < fromAbove {
				some = append(some, e)
			}
		}
	}
	return put(ctx, s, storage.Births(some))
}

// day puts the next day and its edits.
func (c *clinic) day(ctx context.Context, s *store.Store) (load, error) {
	c.store = s
	before, err := s.Acts(0, math.MaxInt)
	if err != nil {
		return load{}, err
	}
	c.told = before.Last()
	made := c.made.Day(c.next)
	l, err := put(ctx, s, storage.Births(made))
	if err != nil {
		return l, err
	}
	c.last = made
	var writes []store.Write
	for _, e := range c.made.Edits(c.next, 4*edits) {
		st, err := s.Get(record.Key{Kind: e.Kind, ID: e.ID})
		if err != nil || len(writes) == edits {
			continue // what another station wrote is not all here yet
		}
		writes = append(writes, store.Write{Key: st.Key, Base: st.Tag(), Content: e.New, Author: e.Author})
	}
	c.next++
	changed, err := put(ctx, s, writes)
	l.edited = changed.born
	l.lines = append(l.lines, changed.lines...)
	return l, err
}

// look lets everybody who has a record of the last day be searched for and looked at twice, and
// it be the day after the audit was handed in.
func (c *clinic) look(ctx context.Context, s *store.Store) (int, error) {
	seen := map[string]bool{}
	for _, e := range c.last {
		if e.Patient == "" || seen[e.Patient] {
			continue
		}
		seen[e.Patient] = true
		who := record.Key{Kind: "Patient", ID: e.Patient}
		for _, act := range []audit.Entry{{Action: audit.Search}, {Action: audit.Read, Key: who}, {Action: audit.Read, Key: who}} {
			act.Who = e.Author
			if err := s.Audit(ctx, act); err != nil {
				return 0, err
			}
		}
	}
	day, err := s.Acts(c.told, math.MaxInt)
	if err != nil {
		return 0, err
	}
	told, err := json.Marshal(map[string]any{"told": c.told, "day": "2026-01-01", "takes": true})
	if err != nil {
		return 0, err
	}
	return len(day.Acts), s.SetSetting(ctx, "acts", told)
}

// weeks puts so many days of 60 visits, and at least so many doses of vaccines.
func (c *clinic) weeks(ctx context.Context, s *store.Store, days, doses int) (load, error) {
	c.store = s
	var entries []practice.Entry
	for range days * weeksVisits / practiceDays {
		entries = append(entries, c.made.Day(c.next)...)
		c.next++
	}
	given := func() (n int) {
		for _, e := range entries {
			if e.Kind == "Immunization" {
				n++
			}
		}
		return n
	}
	for given() < doses {
		entries = append(entries, vaccinations(c.made.Day(c.next))...)
		c.next++
	}
	l, err := put(ctx, s, storage.Births(entries))
	l.doses = given()
	return l, err
}

// vaccinations are the records of a day of those who were given a vaccine on it.
func vaccinations(day []practice.Entry) (out []practice.Entry) {
	given := map[string]bool{}
	for _, e := range day {
		if e.Kind == "Immunization" {
			given[e.Patient] = true
		}
	}
	for _, e := range day {
		if given[e.Patient] {
			out = append(out, e)
		}
	}
	return out
}

// first puts a number of records of communes into an empty store: 50,000 people in a million.
func (c *clinic) first(ctx context.Context, s *store.Store, n int) (l load, err error) {
	var some []practice.Entry
	write := func() error {
		more, err := put(ctx, s, storage.Births(some))
		l.born, l.lines, some = l.born+more.born, append(l.lines, more.lines...), some[:0]
		return err
	}
	for _, e := range storage.Communes(seed+1, n, max(n/recordsEach, 1), s.NewID) {
		if some = append(some, e); len(some) == batch {
			if err := write(); err != nil {
				return l, err
			}
		}
	}
	return l, write()
}

// put writes in batches.
func put(ctx context.Context, s *store.Store, writes []store.Write) (load, error) {
	var l load
	for some := range slices.Chunk(writes, batch) {
		if _, err := s.Put(ctx, some...); err != nil {
			return l, fmt.Errorf("put %s and others: %w", some[0].Key, err)
		}
		for _, w := range some {
			l.born++
			l.lines = append(l.lines, w.Content)
		}
	}
	return l, nil
}
