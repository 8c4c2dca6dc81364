package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"tram/store/audit"
	"tram/store/backup"
	"tram/store/journal"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/space"
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
	index, attaches map[string]bool
	trees           map[string]record.Digest
	people          int
	shows           uint64
}

func (c *checker) bad(code string, key record.Key, format string, args ...any) {
	c.found = append(c.found, Finding{code, key, fmt.Sprintf(format, args...)})
}

// Check holds every invariant against the store: heads, history, what is shown,
// the index both ways, feeds, trees, conflicts, own changes and their chains,
// the audit's chain. It reads everything; an empty answer says that all is well.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	var out []Finding
	before := s.people.Len()
	err := s.view(func(tx *tx) error {
		c := &checker{tx: tx, index: map[string]bool{}, attaches: map[string]bool{}, trees: map[string]record.Digest{}}
		for _, step := range []func() error{c.stands, c.feeds, c.indexBack, c.treesBack, c.vault, c.own, c.auditChain, c.attached} {
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
		if n := s.people.Len(); n == before && n != c.people { // else somebody came meanwhile
			c.bad("people", record.Key{}, "the index of people has %d, the records %d", n, c.people)
		}
		out = c.found
		return nil
	})
	if err == nil { // what is counted in memory goes with what stands now
		err = s.alone(ctx, func() error {
			if waits, _, err := s.readOwn(); err == nil && !maps.Equal(waits, s.waiting()) {
				out = append(out, Finding{Code: "own", Text: "not as many changes wait as are counted"})
			}
			return nil
		})
	}
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
		for _, p := range r.Past {
			ver, err := c.versionAt(n, p.At)
			c.refers(n, p, ver)
			switch {
			case err != nil:
				c.bad("version", r.Key, "version %s: %v", p.Ref.Name, err)
			case ver.Ref() != p.Ref || ver.Key != r.Key:
				c.bad("version", r.Key, "version %s has another content or name", p.Ref.Name)
			}
		}
		if r.Gone {
			return nil
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
		} else if _, err := c.get(layout.Feeds, join(c.feedID(f), v), &e); err != nil || e.Ref != r.Line() || e.Gone || e.Old {
			c.bad("feed", r.Key, "a feed offers another version")
		} else {
			c.plant(f, record.Leaf(e.Key, e.Ref), e.Key)
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

// vault holds the list of lost values by record against the vault, both ways.
func (c *checker) vault() error {
	listed := c.Table(layout.VaultOf).Len()
	err := c.Table(layout.Vault).ForEach(func(k, v []byte) error {
		var item VaultItem
		if err := c.open(layout.Vault, k, v, &item); err != nil {
			c.bad("vault", record.Key{}, "%v", err)
			return nil
		}
		n := c.number(item.Key)
		if n == nil || c.Table(layout.VaultOf).Get(join(n, k)) == nil {
			c.bad("vault", item.Key, "a value that did not win is not listed with its record")
			return nil
		}
		listed--
		return nil
	})
	if listed != 0 {
		c.bad("vault", record.Key{}, "%d values are listed that the vault does not hold", listed)
	}
	return err
}

func (c *checker) treesBack() error {
	return c.Table(layout.Trees).ForEach(func(k, v []byte) error {
		if want := c.trees[string(k)]; string(want[:]) != string(v) {
			c.bad("tree", record.Key{}, "bucket %d of a tree is not the sum of its leaves", k[len(k)-1])
		}
		return nil
	})
}

// own holds that every pending version waits for upstream, and that what was made here and
// waits is in the chain of its lineage.
func (c *checker) own() error {
	mine, err := c.mine()
	if err != nil {
		return err
	}
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
		if !e.Foreign && mine[e.Ref.Name.Lineage] && c.Table(layout.Links).Get(linkKey(e.Ref.Name.Lineage, e.Ref.Name.N)) == nil {
			c.bad("chain", r.Key, "version %s is not in its lineage's chain", e.Ref.Name)
		}
		if e.Held {
			if held, _, err := c.heldAs(e.Ref); err != nil || held.Order != num(k) {
				c.bad("own", held.Key, "version %s waits but is not held", e.Ref.Name)
			}
			return nil
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
		plain, err := c.unseal(layout.Audit, k, v)
		if err == nil {
			l, err = c.decodeAudit(plain)
		}
		if err != nil || !l.Verify(prev) {
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

// alone runs f while nobody writes. What writes meanwhile waits.
func (s *Store) alone(ctx context.Context, f func() error) error {
	return s.queue(ctx, &job{alone: f, err: make(chan error, 1)})
}

// Compact makes the database as small as what it holds, while others read and
// write. It needs room for a second copy. After an error all is as it was.
func (s *Store) Compact(ctx context.Context) error {
	s.long.Lock()
	defer s.long.Unlock()
	var swapped error
	err := s.db.Compact(ctx, func(last func() error) error {
		return s.alone(ctx, func() error {
			if err := s.Stopped(); err != nil {
				return err
			}
			swapped = last()
			return swapped
		})
	})
	if swapped != nil && !s.db.Usable() {
		return s.stop(swapped)
	}
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// wasteful reports whether compacting is worth it: a third of a database of some
// size holds nothing.
func (s *Store) wasteful() bool {
	used, size := s.db.Use()
	if size < 64<<20 || used > size*2/3 {
		return false
	}
	free, _, err := space.Free(s.opt.Dir)
	return err == nil && free > 2*used+(64<<20)
}

// Upkeep does what can wait for an idle moment: it lets go of what the journal need
// not keep, ends a rotation of keys that was cut short, holds the ballast, and
// compacts the database where that is worth it. It may be cut at any point.
func (s *Store) Upkeep(ctx context.Context) error {
	reseal := func(ctx context.Context) error {
		s.long.Lock()
		defer s.long.Unlock()
		return s.reseal(ctx)
	}
	steps := []func(context.Context) error{s.trim, reseal, func(context.Context) error { return s.room.Hold() }}
	if s.wasteful() {
		steps = append(steps, s.Compact)
	}
	var err error
	for _, step := range steps { // one that fails keeps no other back
		err = errors.Join(err, step(ctx))
	}
	if err != nil {
		return fmt.Errorf("upkeep: %w", err)
	}
	return nil
}

// Rotate seals under a new data key from now on, and then everything that is there,
// while others read and write; in the end the old keys are gone. One cut short goes
// on with Upkeep, or by being called again.
func (s *Store) Rotate(ctx context.Context) error {
	s.long.Lock()
	defer s.long.Unlock()
	if err := s.keys.Rotate(); err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	if err := errors.Join(s.copySlots(), s.reseal(ctx)); err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	return nil
}

// reseal seals what is under an older key under the newest, and retires the older.
func (s *Store) reseal(ctx context.Context) error {
	ring := s.keys.Ring()
	if len(ring) < 2 {
		return nil
	}
	// What was sealed under an older key and is not committed yet would not be found.
	if err := s.update(ctx, func(*tx) error { return nil }); err != nil {
		return err
	}
	for found := true; found; { // until a whole pass finds nothing
		found = false
		for _, name := range layout.Sealed() {
			some, err := s.resealTable(ctx, name)
			if err != nil {
				return err
			}
			found = found || some
		}
	}
	if err := s.blobs.Reseal(ctx); err != nil {
		return err
	}
	if err := s.alone(ctx, s.journal.Next); err != nil {
		return err
	}
	if err := errors.Join(s.journal.Reseal(ctx), s.resealBoxed()); err != nil {
		return err
	}
	for _, n := range ring[:len(ring)-1] {
		if err := s.keys.Retire(n); err != nil {
			return err
		}
	}
	return s.copySlots()
}

// resealBatch is how many values are sealed anew in one transaction.
const resealBatch = 500

// resealTable seals a table's values anew, and reports whether there were any.
func (s *Store) resealTable(ctx context.Context, name string) (found bool, err error) {
	var from []byte
	for more := true; more; {
		var old [][]byte
		err := s.view(func(t *tx) error {
			more = false
			c := t.Table(name).Cursor()
			for k, v := c.Seek(from); k != nil; k, v = c.Next() {
				if len(old) == resealBatch {
					from, more = slices.Clone(k), true
					return nil
				}
				if layout.IsSealed(name, k) && !s.keys.Newest(v) {
					old = append(old, slices.Clone(k))
				}
			}
			return nil
		})
		if err != nil {
			return found, err
		}
		if len(old) == 0 {
			continue
		}
		found = true
		err = s.update(ctx, func(t *tx) error {
			for _, k := range old {
				plain, err := t.getRaw(name, k)
				if err != nil {
					return err
				}
				if plain == nil {
					continue // it went meanwhile
				}
				if err := t.putRaw(name, k, plain); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// Backup writes one sealed file that holds everything, while others read and write:
// the state at the moment at which it returns. Its secrets are those of the slots.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	s.long.Lock()
	defer s.long.Unlock()
	slots, err := os.ReadFile(filepath.Join(s.opt.Dir, SlotsFile))
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	out, err := backup.NewWriter(w, s.keys, backup.Head{Name: s.opt.Name, Made: s.opt.Clock().Unix, Schema: layout.Schema, Top: s.opt.Top, Slots: slots})
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	var at journal.Position
	var names []string
	err = s.db.Copy(ctx, entries{out}, func(last func() error) error {
		return s.alone(ctx, func() error {
			at = s.journal.End()
			return last()
		})
	})
	if err == nil {
		names, err = s.blobs.Names() // behind the records: what they name is there before them
	}
	for _, name := range names {
		if err == nil {
			err = s.backUpBlob(ctx, out, name)
		}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	s.mu.Lock()
	s.copied = at
	s.mu.Unlock()
	return nil
}

// CheckBackup reads a backup of this store, the last one, to its end.
func (s *Store) CheckBackup(ctx context.Context, r io.Reader) error {
	if err := backup.Verify(ctx, r, s.keys); err != nil {
		return err
	}
	if err := s.backed(ctx); err != nil { // the backup is good nevertheless
		s.opt.Log.Warn("cannot note that a backup was made", "err", err)
	}
	return nil
}
