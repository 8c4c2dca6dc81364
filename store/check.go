package store

import (
	"context"
	"fmt"
	"slices"

	"tram/store/audit"
	"tram/store/layout"
	"tram/store/record"
)

// Finding is one thing that is wrong with a store.
type Finding struct {
	Code string // what is wrong, a code with words elsewhere
	Key  record.Key
	Text string // for an engineer; no patient's data
}

// checker goes through a store and holds its invariants against it.
type checker struct {
	*tx
	found []Finding
	// what the stands say should be elsewhere
	index  map[string]bool
	trees  map[string]record.Digest
	people int
	shows  uint64
}

func (c *checker) bad(code string, key record.Key, format string, args ...any) {
	c.found = append(c.found, Finding{code, key, fmt.Sprintf(format, args...)})
}

// Check holds every invariant against the store: heads, history, what is shown,
// the index both ways, feeds, trees, conflicts, own changes and their chains,
// the audit's chain. It reads everything; an empty answer says that all is well.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	var out []Finding
	err := s.view(func(tx *tx) error {
		c := &checker{tx: tx, index: map[string]bool{}, trees: map[string]record.Digest{}}
		for _, step := range []func() error{c.stands, c.feeds, c.indexBack, c.treesBack, c.own, c.auditChain} {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := step(); err != nil {
				return err
			}
		}
		if n := tx.shownCount(); n != c.shows {
			c.bad("count", record.Key{}, "the count of records is %d, %d show something", n, c.shows)
		}
		if n := s.people.Len(); n != c.people {
			c.bad("people", record.Key{}, "the index of people has %d, the records %d", n, c.people)
		}
		out = c.found
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return out, nil
}

func (c *checker) stands() error {
	return c.Table(layout.Stands).ForEach(func(n, v []byte) error {
		plain, err := c.unseal(layout.Stands, n, v)
		if err != nil {
			c.bad("stand", record.Key{}, "record %x: %v", n, err)
			return nil
		}
		r, err := decodeRow(plain)
		if err != nil {
			c.bad("stand", record.Key{}, "record %x: %v", n, err)
			return nil
		}
		if string(c.number(r.Key)) != string(n) {
			c.bad("number", r.Key, "the key leads to another number")
		}
		if r.Gone {
			return nil
		}
		for _, p := range r.Past {
			ver, err := c.versionAt(n, p.At)
			switch {
			case err != nil:
				c.bad("version", r.Key, "version %s: %v", p.Ref.Name, err)
			case ver.Ref() != p.Ref || ver.Key != r.Key:
				c.bad("version", r.Key, "version %s has another content or name", p.Ref.Name)
			}
		}
		for _, ref := range append(slices.Clone(r.Pending), r.Head) {
			if p, ok := r.Find(ref.Name); !ref.IsZero() && (!ok || p.Ref != ref) {
				c.bad("head", r.Key, "version %s is not in the history", ref.Name)
			}
		}
		c.standing(n, r)
		return nil
	})
}

// standing holds what depends on what the record shows.
func (c *checker) standing(n []byte, r *layout.Row) {
	shown, err := c.shown(n, r)
	if err != nil || shown == nil {
		c.bad("shown", r.Key, "nothing can be shown: %v", err)
		return
	}
	c.shows++
	keys, patients, err := c.indexKeys(n, shown)
	if err != nil {
		c.bad("shown", r.Key, "%v", err)
		return
	}
	for _, k := range keys {
		c.index[string(k)] = true
		if v := c.Table(layout.Index).Get(k); v == nil {
			c.bad("index", r.Key, "an index entry is missing")
		}
	}
	if !slices.Equal(patients, r.Patients) {
		c.bad("compartment", r.Key, "the compartments are not those of the content")
	}
	if has := c.Table(layout.Contested).Get(n) != nil; has != shown.Contested() {
		c.bad("contested", r.Key, "the list of conflicts says %t, the record %t", has, shown.Contested())
	}
	if r.Key.Kind == "Patient" && !shown.Deleted {
		c.people++
	}
	if r.Grown {
		c.plant("up/"+r.Feed, grown(r), r.Key)
	}
	for _, f := range r.Readers {
		v := c.Table(layout.FeedAt).Get(join(c.feedID(f), n))
		var e feedEntry
		if v == nil {
			c.bad("feed", r.Key, "a feed does not offer it")
		} else if _, err := c.get(layout.Feeds, join(c.feedID(f), v), &e); err != nil || e.Ref != r.Head || e.Gone || e.Old {
			c.bad("feed", r.Key, "a feed offers another version")
		} else {
			c.plant(f, leafOf(e.Key, e.Ref), e.Key)
		}
	}
}

func (c *checker) plant(feed string, leaf record.Digest, key record.Key) {
	at := string(join(c.feedID(feed), []byte{record.Bucket(key)}))
	sum := c.trees[at]
	for i := range sum {
		sum[i] ^= leaf[i]
	}
	c.trees[at] = sum
}

// feeds holds every live place in a feed against the feed's list of records.
func (c *checker) feeds() error {
	return c.Table(layout.Feeds).ForEach(func(k, v []byte) error {
		var e feedEntry
		if err := c.open(layout.Feeds, k, v, &e); err != nil {
			c.bad("feed", record.Key{}, "%v", err)
			return nil
		}
		at := c.Table(layout.FeedAt).Get(join(k[:8], u64(e.Number)))
		if live := string(at) == string(k[8:]); live == e.Old {
			c.bad("feed", e.Key, "place %d of a feed is live %t, the list says %t", num(k[8:]), !e.Old, live)
		}
		return nil
	})
}

func (c *checker) indexBack() error {
	return c.Table(layout.Index).ForEach(func(k, _ []byte) error {
		if !c.index[string(k)] {
			c.bad("index", record.Key{}, "an index entry leads to a record that does not show it")
		}
		return nil
	})
}

func (c *checker) treesBack() error {
	return c.Table(layout.Trees).ForEach(func(k, v []byte) error {
		if want := c.trees[string(k)]; string(want[:]) != string(v) {
			c.bad("tree", record.Key{}, "bucket %d of a tree is not the sum of its leaves", k[len(k)-1])
		}
		return nil
	})
}

// own holds that every pending version waits for upstream, and that what waits is
// in the chain of its lineage.
func (c *checker) own() error {
	return c.Table(layout.Own).ForEach(func(k, v []byte) error {
		e, err := c.openOwn(k, v)
		if err != nil {
			c.bad("own", record.Key{}, "%v", err)
			return nil
		}
		r, err := c.row(u64(e.Number))
		if err != nil {
			return err
		}
		if !e.Foreign && c.Table(layout.Links).Get(linkKey(e.Ref.Name.Lineage, e.Ref.Name.N)) == nil {
			c.bad("chain", r.Key, "version %s is not in its lineage's chain", e.Ref.Name)
		}
		if p, ok := r.Find(e.Ref.Name); !ok || p.Ref != e.Ref || p.At != num(k) {
			c.bad("own", r.Key, "version %s waits but is not in the history", e.Ref.Name)
		}
		return nil
	})
}

func (c *checker) auditChain() error {
	var prev record.Digest
	err := c.Table(layout.Audit).ForEach(func(k, v []byte) error {
		var l audit.Linked
		if err := c.open(layout.Audit, k, v, &l); err != nil || !l.Verify(prev) {
			c.bad("audit", record.Key{}, "entry %d does not follow the one before", num(k))
		}
		prev = l.Chain
		return nil
	})
	if c.auditTop() != prev {
		c.bad("audit", record.Key{}, "the last entry is missing")
	}
	return err
}
