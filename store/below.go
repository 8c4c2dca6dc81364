package store

import (
	"context"
	"fmt"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// handDown offers what a record comes to here to those below; nobody is below a
// replica without peers that is not the top one.
func (t *tx) handDown(n []byte, r *layout.Row) error {
	if !t.s.opt.Top {
		if peers, err := t.peers(); err != nil || len(peers) == 0 {
			return err
		}
	}
	return t.spread(n, r, "")
}

// handDownAgain tells those below that a version waits for upstream, or waits no longer.
func (t *tx) handDownAgain(n []byte, ref record.Ref) error {
	r, err := t.row(n)
	if err != nil || r.Line() != ref || len(r.Readers) == 0 {
		return err
	}
	if err := t.handDown(n, r); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// offerAll offers a record to those below who were not offered it yet.
func (t *tx) offerAll(n []byte) error {
	r, err := t.row(n)
	if err != nil || r.Line().IsZero() {
		return err
	}
	feeds, err := t.readers(r, "")
	if err != nil || !slices.ContainsFunc(feeds, func(f string) bool { return t.Table(layout.FeedAt).Get(join(t.feedID(f), n)) == nil }) {
		return err
	}
	if err := t.spread(n, r, ""); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// fillBatch is how many records one commit offers to a new peer.
const fillBatch = 2000

// Fill offers to those below what was here before they came. It is called after AddPeer
// where the store is not the top one, and may be called again, or cut short.
func (s *Store) Fill(ctx context.Context) error {
	for from := []byte{}; from != nil; {
		err := s.update(ctx, func(tx *tx) error {
			var batch [][]byte
			c := tx.Table(layout.Stands).Cursor()
			k, _ := c.Seek(from)
			for ; k != nil && len(batch) < fillBatch; k, _ = c.Next() {
				batch = append(batch, slices.Clone(k))
			}
			from = slices.Clone(k)
			for _, n := range batch {
				if err := tx.offerAll(n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

// takeDown tells those below that a record is gone here.
func (t *tx) takeDown(n []byte, r *layout.Row) error {
	for _, f := range r.Readers {
		if err := t.offerTo(f, n, feedEntry{Number: num(n), Key: r.Key, Ref: r.Head, Gone: true}); err != nil {
			return err
		}
	}
	return nil
}

// handed is a version for those below, and whether it waits for this replica's upstream.
func (t *tx) handed(n []byte, r *layout.Row, ref record.Ref) (*record.Version, bool, error) {
	v, err := t.version(n, r, ref)
	if err != nil {
		return nil, false, err
	}
	p, _ := r.Find(ref.Name)
	_, waits, err := t.ownAt(p.At)
	return v, waits || r.Waits && ref == r.Head, err
}

// Refused is a change that this replica did not take, held until it can be.
type Refused struct {
	Peer    string         `json:"peer"`
	Key     record.Key     `json:"key"`
	Ref     record.Ref     `json:"ref"`
	Verdict record.Verdict `json:"verdict"`
	Reason  record.Reason  `json:"reason"`
	Version []byte         `json:"version"`
	// Order is that of the own change as which it waits for upstream; 0 where there is none.
	Order  uint64 `json:"order,omitempty"`
	Orphan bool   `json:"orphan,omitempty"` // as who handed it in said
}

func (t *tx) refuse(peer string, d record.Decided) error {
	b, err := d.Version.Encode()
	if err != nil {
		return err
	}
	held, known, err := t.heldAs(d.Ref)
	if err != nil || known && held.Order > 0 {
		return err // upstream is asked already
	}
	held = Refused{Peer: peer, Key: d.Key, Ref: d.Ref, Verdict: d.Verdict, Reason: d.Reason, Version: b, Orphan: d.Orphan}
	if !t.s.opt.Top && d.Reason != record.Fork {
		n, err := t.ensureNumber(d.Key)
		if err != nil {
			return err
		}
		held.Order = t.Table(layout.Order).Next()
		e := layout.OwnEntry{Number: num(n), Ref: d.Ref, Prev: d.Prev, Foreign: d.Foreign, Held: true}
		if err := t.putOwn(held.Order, e); err != nil {
			return err
		}
	}
	return t.put(layout.Refused, t.heldAt(d.Ref), held)
}

func (t *tx) heldAt(ref record.Ref) []byte { return t.s.blind("refused", ref.String()) }

// heldAs is what is kept of a change that was not taken in here.
func (t *tx) heldAs(ref record.Ref) (Refused, bool, error) {
	var held Refused
	ok, err := t.get(layout.Refused, t.heldAt(ref), &held)
	return held, ok, err
}

// dropHeld lets go of a change that was not taken in here, and is now, or that upstream
// has.
func (t *tx) dropHeld(ref record.Ref) error {
	held, ok, err := t.heldAs(ref)
	if err != nil || !ok {
		return err
	}
	if held.Order > 0 {
		if err := t.Table(layout.Own).Delete(u64(held.Order)); err != nil {
			return err
		}
	}
	return t.Table(layout.Refused).Delete(t.heldAt(ref))
}

// answeredHeld keeps upstream's word on a change that came from below and was not taken
// in here: who made it hears it from here.
func (t *tx) answeredHeld(a record.Answer) error {
	held, ok, err := t.heldAs(a.Ref)
	if err != nil || !ok || held.Order == 0 {
		return err
	}
	e, waits, err := t.ownAt(held.Order)
	if err != nil || !waits {
		return err
	}
	e.Verdict, e.Reason = a.Verdict, a.Reason
	if e.Foreign && a.Verdict.Taken() {
		return t.settled(held.Order)
	}
	if err := t.putOwn(held.Order, e); err != nil || a.Verdict != record.Parked {
		return err
	}
	held.Verdict, held.Reason = a.Verdict, a.Reason
	return t.put(layout.Refused, t.heldAt(a.Ref), held)
}

// passOn lets what was taken in from below wait for upstream; at the top replica nothing
// waits.
func (t *tx) passOn(n []byte, r *layout.Row, c record.Change, foreign bool) error {
	if t.s.opt.Top {
		return nil
	}
	p, _ := r.Find(c.Ref.Name)
	r.Pending = append(r.Pending, p.Ref)
	return t.putOwn(p.At, layout.OwnEntry{Number: num(n), Ref: p.Ref, Prev: c.Prev, Foreign: foreign})
}

// ownMerge lets a merge made here wait for upstream.
func (t *tx) ownMerge(n []byte, r *layout.Row, p layout.Past) error {
	if t.s.opt.Top {
		return nil
	}
	r.Pending = append(r.Pending, p.Ref)
	return t.own(n, p)
}
