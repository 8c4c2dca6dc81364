package store

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// chain carries a lineage's chain on by an own change.
func (t *tx) chain(before record.Link, ref record.Ref) error {
	l := before.Next(ref.Name.N, ref.Digest)
	return t.Table(layout.Links).Add(linkKey(l.Lineage, l.N), l.Chain[:])
}

// answered keeps upstream's word on an own change.
func (t *tx) answered(a record.Answer) error {
	n := t.number(a.Key)
	r, err := t.row(n)
	if err != nil {
		return err
	}
	p, ok := r.Find(a.Ref.Name)
	if !ok || p.Ref != a.Ref {
		return t.answeredHeld(a)
	}
	e, waits, err := t.ownAt(p.At)
	if err != nil || !waits {
		return err
	}
	if a.Reason == record.Fork && a.Verdict == record.Parked && !e.Foreign {
		return t.reissue(a.Ref.Name.Lineage)
	}
	e.Verdict, e.Reason = a.Verdict, a.Reason
	if err := t.answeredRelayed(a, e); err != nil {
		return err
	}
	if e.Foreign && e.Verdict != record.Waits {
		return t.answeredForeign(n, p.At, e)
	}
	if err := t.putOwn(p.At, e); err != nil || r.Gone {
		return err
	}
	switch {
	case a.Verdict.Taken():
		err = errors.Join(t.takenAfterAll(n, r, p), t.unparkBehind(n, r))
	case a.Verdict == record.Waits && a.Reason == record.NoBase:
		err = t.offerBase(n, r, p)
	}
	if err != nil {
		return err
	}
	if last := lastOf(r.Pending); last == a.Ref {
		r.Parked = ""
		if a.Verdict == record.Parked {
			r.Parked = a.Reason
		}
		return t.putRow(n, r)
	}
	return nil
}

// offerBase offers what a version was made from, which upstream asks for: it may be of
// another's making, and lost there.
func (t *tx) offerBase(n []byte, r *layout.Row, p layout.Past) error {
	v, err := t.versionAt(n, p.At)
	if err != nil {
		return err
	}
	if base, ok := r.Find(v.Base.Name); ok {
		return t.reoffer(n, base)
	}
	return nil
}

// unparkBehind offers again what upstream did not take for its base alone, now that the
// base is taken.
func (t *tx) unparkBehind(n []byte, r *layout.Row) error {
	for _, p := range r.Pending {
		v, _ := r.Find(p.Name)
		e, waits, err := t.ownAt(v.At)
		if err != nil {
			return err
		}
		if !waits || e.Reason != record.BaseParked {
			continue
		}
		e.Verdict, e.Reason = "", ""
		if err := t.putOwn(v.At, e); err != nil {
			return err
		}
	}
	if r.Parked != record.BaseParked {
		return nil
	}
	r.Parked = ""
	return t.putRow(n, r)
}

// leaveParked lets go of what upstream did not take; it stays in the history.
func (t *tx) leaveParked(r *layout.Row) error {
	var left []record.Ref
	for _, p := range r.Pending {
		v, _ := r.Find(p.Name)
		e, _, err := t.ownAt(v.At)
		if err != nil {
			return err
		}
		if e.Verdict != record.Parked {
			left = append(left, p)
			continue
		}
		if err := t.settled(v.At); err != nil {
			return err
		}
		r.Left = append(r.Left, p)
	}
	r.Pending, r.Parked = left, ""
	return nil
}

// receipted keeps a receipt, already proved, and lets go of what it covers.
func (t *tx) receipted(r record.Receipt) error {
	var have record.Receipt
	if ok, err := t.get(layout.Receipts, []byte(r.Lineage), &have); err != nil || ok && have.N > r.N {
		return err
	}
	if err := t.put(layout.Receipts, []byte(r.Lineage), r); err != nil {
		return err
	}
	mine, err := t.mine()
	if err != nil {
		return err
	}
	var covered []uint64
	c := t.Table(layout.Own).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		if e.Ref.Name.Lineage == r.Lineage && e.Ref.Name.N > r.N && mine[r.Lineage] && !e.Foreign {
			break // what is made here stands in order
		}
		if e.Ref.Name.Lineage == r.Lineage && e.Ref.Name.N <= r.N && e.Verdict.Taken() {
			covered = append(covered, num(k))
		}
	}
	for _, at := range covered {
		if err := t.settled(at); err != nil {
			return err
		}
	}
	return nil
}

// settled lets go of an own change that upstream proved to hold.
func (t *tx) settled(order uint64) error {
	e, waits, err := t.ownAt(order)
	if err != nil || !waits {
		return err
	}
	if e.Held {
		err = t.passedOn(e)
	} else {
		err = t.dropGone(u64(e.Number), e.Ref.Name)
	}
	if err := errors.Join(err, t.dropOwn(order)); err != nil {
		return err
	}
	return t.handDownAgain(u64(e.Number), e.Ref)
}

// Recover acts on what an exchange revealed; see record.Recovery.
func (s *Store) Recover(ctx context.Context, r record.Recovery) error {
	for _, n := range r.Highest {
		if moved, err := s.Relineage(ctx, n); err != nil || moved {
			return err
		}
	}
	for _, l := range r.Forked {
		have, err := s.Receipt(l.Lineage)
		made, err2 := s.made(l.Lineage)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if have.N > l.N || !made {
			r.Void = append(r.Void, record.Link{Lineage: l.Lineage})
			continue
		}
		if err := s.update(ctx, func(tx *tx) error { return tx.reissue(l.Lineage) }); err != nil {
			return err
		}
	}
	void, err := s.beyond(r.Void)
	if err != nil {
		return err
	}
	unproved, err := s.receiptsBeyond(r.Proved)
	if err != nil || len(void)+len(unproved)+len(r.Offer) == 0 {
		return err
	}
	return s.update(ctx, func(tx *tx) error {
		// What comes down now may be older than what was made here; who goes on from it has
		// not seen that, though its number is higher: so not under the same lineage.
		if len(void) > 0 {
			if err := s.startLineage(tx); err != nil {
				return err
			}
		}
		for _, l := range void {
			if err := errors.Join(tx.unanswer(l), tx.void(l)); err != nil {
				return err
			}
		}
		for _, l := range unproved {
			if err := tx.void(l); err != nil {
				return err
			}
		}
		for _, k := range r.Offer {
			n := tx.number(k)
			row, err := tx.row(n)
			if err != nil {
				return err
			}
			if row.Gone {
				continue
			}
			for _, p := range row.Past {
				if err := tx.reoffer(n, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// made reports whether a lineage is one of this database.
func (s *Store) made(l record.Lineage) (is bool, err error) {
	err = s.view(func(tx *tx) error {
		mine, err := tx.mine()
		is = mine[l]
		return err
	})
	return is, err
}

// beyond are the links beyond which there is a receipt, or a change that upstream took.
func (s *Store) beyond(links []record.Link) ([]record.Link, error) {
	var out []record.Link
	for _, l := range links {
		have, err := s.Receipt(l.Lineage)
		if err != nil {
			return nil, err
		}
		taken := false
		err = s.view(func(tx *tx) error {
			if tx.chainTop(l.Lineage).N <= l.N {
				return nil
			}
			return tx.answeredBeyond(l, func(uint64, layout.OwnEntry) error {
				taken = true
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
		if taken || have.N > l.N {
			out = append(out, l)
		}
	}
	return out, nil
}

// receiptsBeyond are the places beyond which there is a receipt, as links.
func (s *Store) receiptsBeyond(proved map[record.Lineage]uint64) ([]record.Link, error) {
	var out []record.Link
	for l, n := range proved {
		have, err := s.Receipt(l)
		if err != nil {
			return nil, err
		}
		if have.N > n {
			out = append(out, record.Link{Lineage: l, N: n})
		}
	}
	return out, nil
}

// answeredBeyond calls each with the changes that upstream took beyond a link and gave
// no receipt for. Upstream answers a lineage in order, so that the first one without an
// answer ends it.
func (t *tx) answeredBeyond(known record.Link, each func(uint64, layout.OwnEntry) error) error {
	c := t.Table(layout.Own).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		if e.Ref.Name.Lineage != known.Lineage || e.Ref.Name.N <= known.N || e.Foreign {
			continue
		}
		if e.Verdict == "" {
			return nil
		}
		if e.Verdict.Taken() {
			if err := each(num(k), e); err != nil {
				return err
			}
		}
	}
	return nil
}

// unanswer lets what upstream took and does not have any more wait again.
func (t *tx) unanswer(known record.Link) error {
	lost := map[uint64]layout.OwnEntry{}
	err := t.answeredBeyond(known, func(order uint64, e layout.OwnEntry) error {
		lost[order] = e
		return nil
	})
	for order, e := range lost {
		e.Verdict, e.Reason = "", ""
		err = errors.Join(err, t.putOwn(order, e))
	}
	return err
}

// void takes back a receipt beyond what upstream can prove.
func (t *tx) void(known record.Link) error {
	var have record.Receipt
	at := []byte(known.Lineage)
	ok, err := t.get(layout.Receipts, at, &have)
	if err != nil || !ok || have.N <= known.N {
		return err
	}
	if err := t.Table(layout.Receipts).Delete(at); err != nil {
		return err
	}
	if err := errors.Join(t.forgetPassed(known), t.Table(layout.Meta).Put([]byte(layout.Voided), u64(t.voided()+1))); err != nil {
		return err
	}
	c := t.Table(layout.Order).Cursor()
	for _, n := c.First(); n != nil; _, n = c.Next() {
		r, err := t.row(n)
		if err != nil {
			return err
		}
		for _, p := range r.Past {
			if p.Ref.Name.Lineage == known.Lineage && p.Ref.Name.N > known.N {
				if err := t.reoffer(n, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// unsettleSegments takes back since when the centre has all of a segment of the journal.
func (t *tx) unsettleSegments() error {
	for meta, of := t.Table(layout.Meta), []byte(layout.Settled); ; {
		k, _ := meta.Cursor().Seek(of)
		if !bytes.HasPrefix(k, of) {
			return nil
		}
		if err := meta.Delete(slices.Clone(k)); err != nil {
			return err
		}
	}
}

// reoffer lets a version wait for upstream again. One that it parked is asked about once
// more: it may have forgotten that too, and what stands behind in the chain waits for it.
func (t *tx) reoffer(n []byte, p layout.Past) error {
	have, waits, err := t.ownAt(p.At)
	if err != nil || waits && have.Verdict != record.Parked {
		return err
	}
	if waits {
		have.Verdict, have.Reason = "", ""
		return t.putOwn(p.At, have)
	}
	v, err := t.versionAt(n, p.At)
	if err != nil {
		return err
	}
	before, _ := t.linkBefore(p.Ref.Name)
	e := layout.OwnEntry{Number: num(n), Ref: p.Ref, Prev: before.N, Urgent: urgent(v.Content)}
	e.Foreign = t.Table(layout.Links).Get(linkKey(p.Ref.Name.Lineage, p.Ref.Name.N)) == nil
	if err := errors.Join(t.putOwn(p.At, e), t.unsettleSegments()); err != nil {
		return err
	}
	return t.handDownAgain(n, p.Ref)
}

func linkKey(l record.Lineage, n uint64) []byte { return join([]byte(l), u64(n)) }

func (t *tx) link(l record.Link) error {
	return t.Table(layout.Links).Put(linkKey(l.Lineage, l.N), l.Chain[:])
}

// chainTop is how far a lineage's chain reaches here.
func (t *tx) chainTop(l record.Lineage) record.Link {
	top, _ := t.linkBefore(record.Name{Lineage: l, N: ^uint64(0)})
	return top
}

// linkBefore is the link before a change in its lineage's chain, and reports whether
// the change is in it already, as when the journal makes it again.
func (t *tx) linkBefore(name record.Name) (before record.Link, linked bool) {
	c := t.Table(layout.Links).Cursor()
	at := linkKey(name.Lineage, name.N)
	k, v := c.Seek(at)
	linked = string(k) == string(at)
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if len(k) == record.LineageLen+8 && record.Lineage(k[:record.LineageLen]) == name.Lineage && len(v) == len(record.Digest{}) {
		return record.Link{Lineage: name.Lineage, N: num(k[record.LineageLen:]), Chain: record.Digest(v)}, linked
	}
	return record.Link{Lineage: name.Lineage}, linked
}

// extend carries a peer's chain on by a change, and over what was waiting above
// the gap that it closes. A change above a gap waits itself.
func (t *tx) extend(name record.Name, prev uint64, d record.Digest) error {
	loose := t.Table(layout.Loose)
	if t.Table(layout.Links).Get(linkKey(name.Lineage, name.N)) != nil {
		return nil
	}
	top := t.chainTop(name.Lineage)
	if top.N != prev {
		return loose.Put(linkKey(name.Lineage, prev), join(u64(name.N), d[:]))
	}
	for n := name.N; ; {
		top = top.Next(n, d)
		if err := t.link(top); err != nil {
			return err
		}
		at := linkKey(name.Lineage, n)
		v := loose.Get(at)
		if len(v) != 8+len(d) {
			return nil
		}
		n, d = num(v), record.Digest(v[8:])
		if err := loose.Delete(at); err != nil {
			return err
		}
	}
}

// Chain is a lineage's chain at n, and false where none reaches n exactly. With
// n 0 it is as far as it reaches.
func (s *Store) Chain(l record.Lineage, n uint64) (record.Link, bool, error) {
	var out record.Link
	ok := true
	err := s.view(func(tx *tx) error {
		if n == 0 {
			out = tx.chainTop(l)
			return nil
		}
		v := tx.Table(layout.Links).Get(linkKey(l, n))
		if ok = len(v) == len(record.Digest{}); ok {
			out = record.Link{Lineage: l, N: n, Chain: record.Digest(v)}
		}
		return nil
	})
	return out, ok, err
}

// cover lets go of what waited and went into a head. What another replica made needs no
// receipt then.
func (t *tx) cover(r *layout.Row, head *record.Version) error {
	var left []record.Ref
	for _, ref := range r.Pending {
		if !head.Seen.Has(ref.Name) {
			left = append(left, ref)
			continue
		}
		p, _ := r.Find(ref.Name)
		e, waits, err := t.ownAt(p.At)
		if err == nil && waits && e.Foreign {
			err = t.dropOwn(p.At)
		}
		if err != nil {
			return err
		}
	}
	r.Pending = left
	return nil
}
