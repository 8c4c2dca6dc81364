package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// Apply commits one stretch of an exchange: all of it or nothing. Applying it
// again changes nothing more. It fails with record.ErrMoved where a record is not
// any more as the decision saw it, and with record.ErrNotFound where a change
// that came as a name only is not held here.
func (s *Store) Apply(ctx context.Context, st record.Stretch) error {
	if st.Empty() {
		return nil
	}
	err := s.orBallast(func() error { return s.apply(ctx, st) })
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	return nil
}

func (s *Store) apply(ctx context.Context, st record.Stretch) error {
	return s.update(ctx, func(tx *tx) error {
		for _, d := range st.Taken {
			if err := tx.takeLogged(st.Peer, d); err != nil {
				return err
			}
		}
		for _, a := range st.Arrived {
			if err := tx.arrive(a, st.Cursor); err != nil {
				return err
			}
		}
		for _, a := range st.Answers {
			if err := tx.answered(a); err != nil {
				return err
			}
		}
		for _, r := range st.Receipts {
			if err := tx.receipted(r); err != nil {
				return err
			}
		}
		if st.Cursor == nil {
			return nil
		}
		var before record.Cursor
		if _, err := tx.get(layout.Cursors, []byte(st.Cursor.Feed), &before); err != nil {
			return err
		}
		if before.Turn != st.Cursor.Turn {
			if err := errors.Join(tx.offerUnseen(), tx.unsettleAll()); err != nil {
				return err
			}
		}
		return tx.put(layout.Cursors, []byte(st.Cursor.Feed), st.Cursor)
	})
}

// offerUnseen offers again what upstream took and never handed down, now that a cursor
// goes on from where a comparison ended: what stood before that in the feed does not come
// any more, also that a record is gone, and the trees know nothing of this one
// (replication.md, rule 16).
func (t *tx) offerUnseen() error {
	var unseen [][]byte
	err := t.Table(layout.Stands).ForEach(func(n, v []byte) error {
		plain, err := t.unseal(layout.Stands, n, v)
		if err != nil {
			return err
		}
		r, err := decodeRow(plain)
		if err == nil && !r.Grown && !r.Gone && len(r.Pending) > 0 {
			unseen = append(unseen, slices.Clone(n))
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range unseen {
		r, err := t.row(n)
		if err != nil {
			return err
		}
		for _, p := range r.Pending {
			past, _ := r.Find(p.Name)
			if _, waits, err := t.ownAt(past.At); err != nil || waits {
				if err != nil {
					return err
				}
				continue
			}
			if err := t.reoffer(n, past); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeLogged names the merge, puts the change into the journal and takes it.
func (t *tx) takeLogged(peer string, d record.Decided) error {
	if d.Verdict == record.Known {
		return t.take(peer, d)
	}
	if d.Merge != nil {
		m := *d.Merge
		m.Name, m.Stamp = t.s.draw(), t.s.opt.Clock()
		m.Seen = m.Seen.With(m.Name)
		d.Merge = &m
	}
	n := t.number(d.Key)
	r, err := t.row(n)
	if err != nil {
		return err
	}
	if r.Line() != d.On {
		return fmt.Errorf("%s: %w", d.Key, record.ErrMoved)
	}
	if d.Version == nil {
		_, b, err := t.bytes(d.Merge)
		if err != nil {
			return err
		}
		t.keep(layout.Put, b)
		return t.accept(d.Merge)
	}
	slim := d
	slim.Version, slim.Merge, slim.Preview = nil, nil, nil
	decision, err := json.Marshal(slim)
	if err != nil {
		return err
	}
	_, version, err := t.bytes(d.Version)
	if err != nil {
		return err
	}
	var merge []byte
	if d.Merge != nil {
		if _, merge, err = t.bytes(d.Merge); err != nil {
			return err
		}
	}
	t.keep(layout.Taken, []byte(peer), decision, version, merge)
	return t.take(peer, d)
}

// take takes a change that a peer handed in, as it was decided.
func (t *tx) take(peer string, d record.Decided) error {
	if d.Verdict.Taken() {
		if err := t.takeIn(peer, d); err != nil {
			return err
		}
	} else if err := t.refuse(peer, d); err != nil {
		return err
	}
	if d.Foreign || d.Reason == record.Fork || d.Verdict == record.Waits && t.s.opt.Top { // no receipt may cover what waits, or a twin's
		return nil
	}
	return t.extend(d.Ref.Name, d.Prev, d.Ref.Digest)
}

func (t *tx) takeIn(peer string, d record.Decided) error {
	n, r, err := t.ensureRow(d.Key)
	if err != nil {
		return err
	}
	if err := errors.Join(t.dropHeld(d.Ref), t.dropIncluded(d.Version)); err != nil {
		return err
	}
	if d.Verdict == record.Known || hasPast(r, d) {
		return errors.Join(t.passAgain(n, r, d), t.answerKnown(n, r, peer, d))
	}
	if left, err := t.left(r, d.Ref.Name); err != nil || left {
		return err
	}
	r.Gone = false // gone only in a replay
	old, err := t.shown(n, r)
	if err != nil {
		return err
	}
	birth := len(r.Past) == 0
	if old != nil && old.Seen.Has(d.Version.Name) {
		return t.takeLate(n, r, peer, d)
	}
	if err := t.remember(n, r, d.Version); err != nil {
		return err
	}
	if err := t.passOn(n, r, d.Change, d.Foreign); err != nil {
		return err
	}
	head := d.Version
	if d.Merge != nil {
		if err := t.remember(n, r, d.Merge); err != nil {
			return err
		}
		if err := t.ownMerge(n, r, r.Past[len(r.Past)-1]); err != nil {
			return err
		}
		head = d.Merge
	}
	if t.s.opt.Top {
		r.Head = r.Past[len(r.Past)-1].Ref
	}
	if err := t.lay(n, r, old, head, d.Preview); err != nil {
		return err
	}
	if err := t.keepTaken(n, d); err != nil {
		return err
	}
	if err := t.spreadTaken(n, r, peer, birth); err != nil {
		return err
	}
	if err := t.putRow(n, r); err != nil {
		return err
	}
	if err := t.rescope(old, head); err != nil {
		return err
	}
	if birth && d.Key.Kind == "Patient" && t.s.opt.Top && !t.replaying {
		return t.bornAt(d.Key, peer)
	}
	return nil
}

// takeLate takes in what went into what is shown already: the journal has it, and the
// database had lost it; or upstream had, and another handed in what was made from it.
func (t *tx) takeLate(n []byte, r *layout.Row, peer string, d record.Decided) error {
	if err := t.remember(n, r, d.Version); err != nil {
		return err
	}
	late := slices.Clone(r.Pending)
	r.Pending = nil
	if err := t.passOn(n, r, d.Change, d.Foreign); err != nil {
		return err
	}
	if d.Merge != nil {
		if err := t.remember(n, r, d.Merge); err != nil {
			return err
		}
		if err := t.ownMerge(n, r, r.Past[len(r.Past)-1]); err != nil {
			return err
		}
	}
	head, err := t.headOf(n, r)
	if err != nil {
		return err
	}
	r.Pending = slices.DeleteFunc(append(r.Pending, late...), func(p record.Ref) bool { return head != nil && head.Seen.Has(p.Name) })
	if err := errors.Join(t.keepTaken(n, d), t.putRow(n, r)); err != nil {
		return err
	}
	return t.answerKnown(n, r, peer, d)
}

func hasPast(r *layout.Row, d record.Decided) bool {
	p, ok := r.Find(d.Ref.Name)
	return ok && p.Ref == d.Ref
}

// arrive takes a change that came down.
func (t *tx) arrive(a record.Arrival, cursor *record.Cursor) error {
	if cursor == nil {
		return fmt.Errorf("a change without a cursor behind it")
	}
	n, r, err := t.ensureRow(a.Key)
	if err != nil {
		return err
	}
	r.Key = a.Key
	if r.Feed == cursor.Feed && r.Turn == cursor.Turn && a.Seq < r.Seq {
		return nil
	}
	if a.Gone {
		if r.Feed != "" && r.Feed != cursor.Feed {
			return nil // it stands in the other feed now
		}
		r.Seq, r.Turn = a.Seq, cursor.Turn
		return t.forget(n, r, cursor.Feed)
	}
	v := a.Version
	if v == nil {
		if v, err = t.version(n, r, a.Ref); err != nil {
			return err
		}
	}
	if last := lastOf(r.Pending); last != a.On {
		return fmt.Errorf("%s: %w", a.Key, record.ErrMoved)
	}
	r.Turn = cursor.Turn
	return t.arriveVersion(n, r, v, a, cursor.Feed)
}

func (t *tx) arriveVersion(n []byte, r *layout.Row, v *record.Version, a record.Arrival, feed string) error {
	ref := v.Ref()
	old, err := t.shownOr(n, r, v, ref)
	if err != nil {
		return err
	}
	_, again := r.Find(v.Name)
	line := r.Line()
	if err := t.dropHeld(ref); err != nil {
		return err
	}
	if err := t.remember(n, r, v); err != nil {
		return err
	}
	if err := t.leaf("up/"+r.Feed, grown(r), r.Key); err != nil {
		return err
	}
	if r.Grown && !v.Seen.Has(r.Head.Name) {
		if err := t.forgotten(n, r, v); err != nil {
			return err
		}
	}
	r.Head, r.Feed, r.Seq, r.Gone, r.Grown, r.Waits = ref, feed, a.Seq, false, true, a.Waits
	if err := t.leaf("up/"+r.Feed, grown(r), r.Key); err != nil {
		return err
	}
	if err := t.cover(r, v); err != nil {
		return err
	}
	shown := v
	if len(r.Pending) > 0 {
		if shown, err = t.version(n, r, lastOf(r.Pending)); err != nil {
			return err
		}
	} else {
		r.Parked, a.Preview = "", nil
	}
	if err := t.lay(n, r, old, shown, a.Preview); err != nil {
		return err
	}
	if line != r.Line() {
		if err := t.handDown(n, r); err != nil {
			return err
		}
	}
	if !again {
		if err := t.keepLost(n, v); err != nil {
			return err
		}
	}
	return t.putRow(n, r)
}

// forgotten offers again what a new head was not made from. Upstream's line is one: a head
// that does not cover the one before comes from an upstream that lost it, whether or
// not its cursors and chains still tell.
func (t *tx) forgotten(n []byte, r *layout.Row, head *record.Version) error {
	mine := false
	for _, p := range r.Past {
		if head.Seen.Has(p.Ref.Name) || slices.Contains(r.Pending, p.Ref) {
			continue
		}
		mine = mine || p.Ref.Name.Lineage == t.s.Lineage()
		if err := t.reoffer(n, p); err != nil {
			return err
		}
	}
	if mine { // what is made from the new head has not seen it, though its number is higher
		return t.s.startLineage(t)
	}
	return nil
}

// forget removes a record that left this replica's scope. Names stay, content
// goes, also from the vault; own versions that upstream has not are kept aside for
// a person, and until upstream has them, to be handed in all the same: their
// lineage's chain goes on over them.
func (t *tx) forget(n []byte, r *layout.Row, feed string) error {
	old, err := t.shown(n, r)
	if err != nil {
		return err
	}
	for _, p := range r.Pending {
		past, _ := r.Find(p.Name)
		if _, waits, err := t.ownAt(past.At); err != nil || !waits {
			if err != nil {
				return err
			}
			continue // upstream proved to hold it
		}
		v, err := t.version(n, r, p)
		if err != nil {
			return err
		}
		b, err := v.Encode()
		if err != nil {
			return err
		}
		if err := t.append(layout.Rescued, b); err != nil {
			return err
		}
	}
	if err := t.show(n, r, old, nil); err != nil {
		return err
	}
	if err := t.leaf("up/"+feed, grown(r), r.Key); err != nil {
		return err
	}
	gone := &layout.Row{Key: r.Key, Gone: true, Feed: feed, Seq: r.Seq, Turn: r.Turn}
	for _, p := range r.Past {
		waits, err := t.waitsHere(p.At)
		if err != nil {
			return err
		}
		if waits {
			gone.Past = append(gone.Past, p)
		} else if err := t.dropPast(n, p); err != nil {
			return err
		}
	}
	if err := t.Table(layout.Previews).Delete(n); err != nil {
		return err
	}
	if err := t.dropLost(n); err != nil {
		return err
	}
	if err := t.takeDown(n, r, r.Line()); err != nil {
		return err
	}
	return t.putRow(n, gone)
}

// dropGone removes a version that was kept only to be handed in.
func (t *tx) dropGone(n []byte, name record.Name) error {
	r, err := t.row(n)
	if err != nil || !r.Gone {
		return err
	}
	p, ok := r.Find(name)
	if !ok {
		return nil
	}
	r.Past = slices.DeleteFunc(r.Past, func(o layout.Past) bool { return o == p })
	if err := t.dropPast(n, p); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// waitsHere reports whether a version made here waits for upstream; one that
// another replica made waits no longer.
func (t *tx) waitsHere(order uint64) (bool, error) {
	e, waits, err := t.ownAt(order)
	if err != nil || !waits || !e.Foreign {
		return waits, err
	}
	return false, t.settled(order)
}

// append adds a sealed value behind the last of a bucket.
func (t *tx) append(in string, plain []byte) error {
	return t.putRaw(in, u64(t.Table(in).Next()), plain)
}

// passOn lets what was taken in from below wait for upstream; at the top replica nothing
// waits.
func (t *tx) passOn(n []byte, r *layout.Row, c record.Change, foreign bool) error {
	if t.s.opt.Top {
		return nil
	}
	p, _ := r.Find(c.Ref.Name)
	r.Pending = append(r.Pending, p.Ref)
	return t.putOwn(p.At, layout.OwnEntry{Number: num(n), Ref: p.Ref, Prev: c.Prev, Foreign: foreign, Urgent: urgent(c.Version.Content)})
}

// ownMerge lets a merge made here wait for upstream.
func (t *tx) ownMerge(n []byte, r *layout.Row, p layout.Past) error {
	if t.s.opt.Top {
		return nil
	}
	r.Pending = append(r.Pending, p.Ref)
	return t.own(n, p)
}

// lay shows a version, or the preview of it laid over upstream's.
func (t *tx) lay(n []byte, r *layout.Row, old, v, preview *record.Version) error {
	if r.Preview = preview != nil; r.Preview {
		b, err := preview.Encode()
		if err != nil {
			return err
		}
		if err := t.putRaw(layout.Previews, n, b); err != nil {
			return err
		}
		v = preview
	}
	return t.show(n, r, old, v)
}
