package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tram/store/audit"
	"tram/store/element"
	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
)

// Errors of mending what upstream did not take.
var (
	// ErrParked says that upstream did not take what a record shows: that is mended
	// before anything is decided about it.
	ErrParked = errors.New("upstream did not take what is shown; that is mended first")
	// ErrReferred says that something made here refers to a record that would go.
	ErrReferred = errors.New("something made here refers to the record")
)

// Parked is a change that upstream did not take, with what waits for it.
type Parked struct {
	Entry
	// Behind are the versions that were made from it, oldest first.
	Behind []Entry
	// Gone says that the record is not held here any more.
	Gone bool
	// Theirs says that upstream's version of the record is held here too.
	Theirs bool
	// Left says that the record goes on without it: it came back after it had left, or
	// upstream was restored and did not take again what it had. It can be given up.
	Left bool
	// Ready says that upstream answered for all of it: a person may mend it.
	Ready bool
}

// ParkedList lists the changes that upstream did not take, oldest first, at most limit.
func (s *Store) ParkedList(limit int) ([]Parked, error) {
	var out []Parked
	err := s.view(func(tx *tx) error {
		seen := map[uint64]bool{}
		c := tx.Table(layout.Own).Cursor()
		for k, v := c.First(); k != nil && len(out) < limit; k, v = c.Next() {
			e, err := tx.openOwn(k, v)
			if err != nil {
				return err
			}
			if e.Verdict != record.Parked || seen[e.Number] {
				continue
			}
			seen[e.Number] = true
			list, err := tx.parkedOf(u64(e.Number))
			if err != nil {
				return err
			}
			out = append(out, list...)
		}
		return nil
	})
	return out[:min(limit, len(out))], err
}

// ParkedOf lists what upstream did not take of one record; nil for nothing.
func (s *Store) ParkedOf(key record.Key) ([]Parked, error) {
	var out []Parked
	err := s.view(func(tx *tx) (err error) {
		if n := tx.number(key); n != nil {
			out, err = tx.parkedOf(n)
		}
		return err
	})
	return out, err
}

func (t *tx) parkedOf(n []byte) ([]Parked, error) {
	r, err := t.row(n)
	if err != nil {
		return nil, err
	}
	var out []Parked
	root := map[record.Ref]int{} // of what stands on a parked change
	for _, p := range r.Past {
		e, waits, err := t.ownAt(p.At)
		if err != nil {
			return nil, err
		}
		if !waits {
			continue
		}
		v, err := t.versionAt(n, p.At)
		if err != nil {
			return nil, err
		}
		entry := entryOf(r.Key, e, v)
		i, behind := root[v.Base]
		for _, ref := range v.Includes {
			if at, ok := root[ref]; ok {
				i, behind = at, true
			}
		}
		switch {
		case behind:
			out[i].Behind = append(out[i].Behind, entry)
		case e.Verdict == record.Parked:
			i = len(out)
			left := !r.Gone && !slices.Contains(r.Pending, p.Ref)
			out = append(out, Parked{Entry: entry, Gone: r.Gone, Left: left, Theirs: !r.Gone && !r.Head.IsZero(), Ready: left || r.Parked != ""})
		default:
			continue
		}
		root[p.Ref] = i
	}
	return out, nil
}

// entryOf tells where an own change is.
func entryOf(key record.Key, e layout.OwnEntry, v *record.Version) Entry {
	out := Entry{Key: key, Version: e.Ref.Name, Place: record.Here, Verdict: e.Verdict, Reason: e.Reason}
	if e.Verdict == record.Parked {
		out.Place = record.NeedsUs
	}
	if v != nil {
		out.Stamp, out.Author = v.Stamp, v.Author
	}
	return out
}

// stuck reads a record of which upstream did not take what is shown, and why; it
// fails with record.ErrStale where upstream took it, or has not answered for all.
func (t *tx) stuck(key record.Key) (n []byte, r *layout.Row, why record.Reason, err error) {
	n = t.number(key)
	if r, err = t.row(n); err != nil {
		return nil, nil, "", err
	}
	if r.Parked == "" || r.Gone {
		return nil, nil, "", record.ErrStale
	}
	list, err := t.parkedOf(n)
	if err != nil {
		return nil, nil, "", err
	}
	why = r.Parked
	for _, p := range list {
		if !p.Left {
			return n, r, p.Reason, nil
		}
	}
	return n, r, why, nil
}

// mendsFirst refuses a write over what upstream did not take where that would settle in
// silence what a person has to: a decision would take refused values in, and an edit
// of upstream's record under a taken id would let go of the one that was born here.
func (t *tx) mendsFirst(w Write, st *record.Stand) error {
	if len(w.Decisions) > 0 {
		return ErrParked
	}
	if w.givesUp || st.Head == nil {
		return nil
	}
	_, _, why, err := t.stuck(w.Key)
	if err == nil && why == record.IDTaken {
		err = ErrParked
	}
	return err
}

// GiveUp takes back what upstream did not take of a record, and what waits for it: a
// version with upstream's content stands in its place. Where upstream has none, or may
// not have it from here, nothing is sent; the record then shows what upstream has,
// or only its names stay. It fails with record.ErrStale where there is nothing to take
// back, and with ErrReferred where a record would go that another one refers to.
func (s *Store) GiveUp(ctx context.Context, key record.Key, author string) error {
	err := s.update(ctx, func(tx *tx) error {
		if left, err := tx.giveUpLeft(key, author); err != nil || left {
			return err
		}
		n, r, why, err := tx.stuck(key)
		if err != nil {
			return err
		}
		head, err := tx.headOf(n, r)
		switch {
		case err != nil:
			return err
		case head == nil:
			referring, err := tx.referring(n, key)
			if err != nil || len(referring) > 0 {
				return errors.Join(err, ErrReferred)
			}
		case why != record.NotAllowed && why != record.Disowned:
			if done, err := tx.takeBack(head, author); err != nil || done {
				return err
			}
		}
		last := lastOf(r.Pending)
		if err := tx.withdraw(n, r); err != nil {
			return err
		}
		return tx.audit(audit.Entry{At: s.opt.Clock().Corrected(), Who: author, Action: audit.GiveUp, Key: key, Version: last.Name})
	})
	if err != nil {
		return fmt.Errorf("give up %s: %w", key, err)
	}
	return nil
}

// giveUpLeft lets go of what upstream did not take and the record goes on without; it
// reports whether there was any.
func (t *tx) giveUpLeft(key record.Key, author string) (bool, error) {
	n := t.number(key)
	r, err := t.row(n)
	if n == nil || err != nil || r.Gone {
		return false, err
	}
	did := false
	for _, p := range r.Past {
		e, waits, err := t.ownAt(p.At)
		if err != nil {
			return did, err
		}
		if !waits || e.Verdict != record.Parked || slices.Contains(r.Pending, p.Ref) {
			continue
		}
		did = true
		r.Left = append(r.Left, p.Ref)
		err = t.settled(p.At)
		if err == nil {
			err = t.putRow(n, r)
		}
		if err == nil {
			err = t.audit(audit.Entry{At: t.s.opt.Clock().Corrected(), Who: author, Action: audit.GiveUp, Key: key, Version: p.Ref.Name})
		}
		if err != nil {
			return did, err
		}
	}
	return did, nil
}

// takeBack writes a version that says what upstream's head does, and reports whether
// one was needed.
func (t *tx) takeBack(head *record.Version, author string) (bool, error) {
	w := Write{Key: head.Key, Base: Any, Delete: head.Deleted, Author: author, givesUp: true}
	given := &facts{}
	if !head.Deleted {
		content, err := element.Parse(head.Content)
		if err != nil {
			return false, err
		}
		w.Content, given = head.Content, t.s.prepare(content)
		given.bytes = head.Content
	}
	st, _, err := t.stand(head.Key)
	if err != nil {
		return false, err
	}
	v, err := t.write(w, given)
	return err == nil && (st.Preview() || v.Name != st.Shown.Name), err
}

// Same says of a record that upstream parked with record.IDTaken that it is the one
// that upstream has under that id: both are merged without a base (replication.md,
// rule 7). It fails with record.ErrStale where the id is not taken, and with
// record.ErrNotFound where upstream's record is not held here.
func (s *Store) Same(ctx context.Context, key record.Key, author string) (*record.Version, error) {
	var out *record.Version
	err := s.update(ctx, func(tx *tx) error {
		_, _, why, err := tx.stuck(key)
		if err != nil {
			return err
		}
		if why != record.IDTaken {
			return record.ErrStale
		}
		st, _, err := tx.stand(key)
		if err != nil {
			return err
		}
		if st.Head == nil || !st.Preview() {
			return record.ErrNotFound
		}
		v := *st.Shown // head and birth laid over each other
		v.Name, v.Author, v.Stamp = s.draw(), author, s.opt.Clock()
		v.Base, v.Includes, v.Seen = st.Head.Ref(), slices.Clone(st.Pending), st.Shown.Seen.With(v.Name)
		_, b, err := tx.bytes(&v)
		if err != nil {
			return err
		}
		out = &v
		tx.keep(layout.Put, b)
		if err := tx.accept(&v); err != nil {
			return err
		}
		return tx.audit(audit.Entry{At: v.Stamp.Corrected(), Who: author, Action: audit.Decide, Key: key, Version: v.Name})
	})
	if err != nil {
		return nil, fmt.Errorf("same %s: %w", key, err)
	}
	return out, nil
}

// Reissue gives a record that upstream parked with record.IDTaken an id of its own: a
// person said that it is another record than the one upstream has. What was
// made here and refers to it refers to the new id from now on. It returns the
// new key, and fails with record.ErrStale where the id is not taken.
func (s *Store) Reissue(ctx context.Context, key record.Key, author string) (record.Key, error) {
	fresh := record.Key{Kind: key.Kind, ID: s.NewID()}
	err := s.update(ctx, func(tx *tx) error {
		n, r, why, err := tx.stuck(key)
		if err != nil {
			return err
		}
		if why != record.IDTaken {
			return record.ErrStale
		}
		mine, err := tx.version(n, r, lastOf(r.Pending))
		if err != nil {
			return err
		}
		if err := tx.rewrite(mine, fresh, func(string) string { return "" }, author); err != nil {
			return err
		}
		referring, err := tx.referring(n, key)
		if err != nil {
			return err
		}
		for _, v := range referring {
			to := func(literal string) string {
				if literal == key.String() {
					return fresh.String()
				}
				return literal
			}
			if err := tx.rewrite(v, v.Key, to, author); err != nil {
				return err
			}
		}
		return tx.withdraw(n, r)
	})
	if err != nil {
		return record.Key{}, fmt.Errorf("reissue %s: %w", key, err)
	}
	return fresh, nil
}

// rewrite writes a version's content under a key, its references rewritten.
func (t *tx) rewrite(v *record.Version, key record.Key, to func(string) string, author string) error {
	content, err := element.Parse(v.Content)
	if err != nil {
		return err
	}
	base := Any
	if key != v.Key {
		content, base = content.With("id", fhir.NewString(key.ID)), ""
	} else {
		content = t.s.opt.R4.RewriteRefs(content, to)
	}
	_, err = t.write(Write{Key: key, Base: base, Content: content.Bytes(), Author: author}, t.s.prepare(content))
	return err
}

// referring lists what is shown, was made here and refers to a record: in its
// compartment where it is a person, and among what waits. What upstream has about its
// own record of that id stays with that one.
func (t *tx) referring(n []byte, key record.Key) ([]*record.Version, error) {
	numbers := t.compartment(n)
	err := t.Table(layout.Own).ForEach(func(k, v []byte) error {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		numbers = append(numbers, u64(e.Number))
		return nil
	})
	mine, lerr := t.mine()
	if err := errors.Join(err, lerr); err != nil {
		return nil, err
	}
	var out []*record.Version
	seen := map[string]bool{string(n): true}
	for _, m := range numbers {
		if seen[string(m)] {
			continue
		}
		seen[string(m)] = true
		r, err := t.row(m)
		if err != nil {
			return nil, err
		}
		v, err := t.shown(m, r)
		if err != nil {
			return nil, err
		}
		refers, err := t.refers(v, key)
		if err != nil || !refers {
			if err != nil {
				return nil, err
			}
			continue
		}
		born := v.Trace.Born
		if born.IsZero() {
			born = v.Name
		}
		theirs := false
		if !mine[born.Lineage] {
			head, err := t.headOf(m, r)
			if err != nil {
				return nil, err
			}
			if theirs, err = t.refers(head, key); err != nil {
				return nil, err
			}
		}
		if !theirs {
			out = append(out, v)
		}
	}
	return out, nil
}

// refers reports whether a version refers to a record.
func (t *tx) refers(v *record.Version, key record.Key) (bool, error) {
	if v == nil || v.Deleted {
		return false, nil
	}
	content, err := t.content(v)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(t.s.opt.R4.Refs(content), func(ref fhir.Ref) bool { return ref.Literal == key.String() }), nil
}

// withdraw takes back the own versions of a record. Upstream's version shows
// again, where it came down; else only the names stay.
func (t *tx) withdraw(n []byte, r *layout.Row) error {
	old, err := t.shown(n, r)
	if err != nil {
		return err
	}
	line := r.Line()
	if err := t.leaveParked(r); err != nil {
		return err
	}
	r.Preview = false
	if err := t.Table(layout.Previews).Delete(n); err != nil {
		return err
	}
	now, err := t.shown(n, r)
	if err != nil {
		return err
	}
	r.Gone = now == nil
	if err := t.show(n, r, old, now); err != nil {
		return err
	}
	if r.Gone {
		err = t.takeDown(n, r, line)
		r.Readers = nil
	} else {
		err = t.handDown(n, r)
	}
	if err != nil {
		return err
	}
	return t.putRow(n, r)
}

// takenAfterAll notes that upstream has what was let go of, by itself or in what takes it
// in.
func (t *tx) takenAfterAll(n []byte, r *layout.Row, p layout.Past) error {
	if len(r.Left) == 0 {
		return nil
	}
	v, err := t.versionAt(n, p.At)
	if err != nil {
		return err
	}
	r.Left = slices.DeleteFunc(r.Left, func(l record.Ref) bool { return l == p.Ref || slices.Contains(v.Includes, l) })
	return t.putRow(n, r)
}
