package store

import (
	"fmt"

	"tram/store/record"
)

// ownEntry is a change made here that has no receipt yet.
type ownEntry struct {
	Number uint64     `json:"n"`
	Key    record.Key `json:"key"`
	Ref    record.Ref `json:"ref"`
	Prev   uint64     `json:"prev,omitempty"`
	// Verdict and Reason are upstream's answer; empty before any.
	Verdict record.Verdict `json:"v,omitempty"`
	Reason  record.Reason  `json:"why,omitempty"`
}

// own adds a change to what must go up, and to its lineage's chain.
func (t *tx) own(n []byte, key record.Key, ref record.Ref) error {
	top := t.chainTop(ref.Name.Lineage)
	seq, err := t.Bucket(bOwn).NextSequence()
	if err != nil {
		return err
	}
	if err := t.put(bOwn, u64(seq), ownEntry{Number: num(n), Key: key, Ref: ref, Prev: top.N}); err != nil {
		return err
	}
	if err := t.Bucket(bOwnAt).Put(t.s.blind("own", ref.Name.String()), u64(seq)); err != nil {
		return err
	}
	return t.link(top.Next(ref.Name.N, ref.Digest))
}

func linkKey(l record.Lineage, n uint64) []byte { return join([]byte(l), u64(n)) }

func (t *tx) link(l record.Link) error {
	return t.Bucket(bLinks).Put(linkKey(l.Lineage, l.N), l.Chain[:])
}

// chainTop is how far a lineage's chain reaches here.
func (t *tx) chainTop(l record.Lineage) record.Link {
	c := t.Bucket(bLinks).Cursor()
	k, v := c.Seek(linkKey(l, ^uint64(0)))
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if len(k) == record.LineageLen+8 && record.Lineage(k[:record.LineageLen]) == l && len(v) == len(record.Digest{}) {
		return record.Link{Lineage: l, N: num(k[record.LineageLen:]), Chain: record.Digest(v)}
	}
	return record.Link{Lineage: l}
}

// extend carries a peer's chain on by a change, and over what was waiting above
// the gap that it closes. A change above a gap waits itself.
func (t *tx) extend(name record.Name, prev uint64, d record.Digest) error {
	loose := t.Bucket(bLoose)
	if t.Bucket(bLinks).Get(linkKey(name.Lineage, name.N)) != nil {
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
		v := tx.Bucket(bLinks).Get(linkKey(l, n))
		if ok = len(v) == len(record.Digest{}); ok {
			out = record.Link{Lineage: l, N: n, Chain: record.Digest(v)}
		}
		return nil
	})
	return out, ok, err
}

// answered keeps upstream's word on an own change.
func (t *tx) answered(a record.Answer) error {
	at := t.Bucket(bOwnAt).Get(t.s.blind("own", a.Ref.Name.String()))
	if at == nil {
		return nil
	}
	var e ownEntry
	if ok, err := t.get(bOwn, at, &e); err != nil || !ok || e.Ref != a.Ref {
		return err
	}
	e.Verdict, e.Reason = a.Verdict, a.Reason
	if err := t.put(bOwn, at, e); err != nil {
		return err
	}
	n := u64(e.Number)
	r, err := t.row(n)
	if err != nil || r.Gone {
		return err
	}
	if last := lastOf(r.Pending); last == a.Ref {
		r.Parked = ""
		if a.Verdict == record.Parked {
			r.Parked = a.Reason
		}
		return t.put(bStands, n, r)
	}
	return nil
}

// receipted keeps a receipt, already proved, and lets go of what it covers.
func (t *tx) receipted(r record.Receipt) error {
	var have record.Receipt
	if ok, err := t.get(bReceipts, []byte(r.Lineage), &have); err != nil || ok && have.N > r.N {
		return err
	}
	if err := t.put(bReceipts, []byte(r.Lineage), r); err != nil {
		return err
	}
	type done struct {
		seq  []byte
		name record.Name
	}
	var covered []done
	c := t.Bucket(bOwn).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		var e ownEntry
		if err := t.open(bOwn, k, v, &e); err != nil {
			return err
		}
		if e.Ref.Name.Lineage == r.Lineage && e.Ref.Name.N > r.N {
			break // a lineage's changes stand in order
		}
		if e.Ref.Name.Lineage == r.Lineage && e.Verdict.Taken() {
			covered = append(covered, done{append([]byte(nil), k...), e.Ref.Name})
		}
	}
	for _, d := range covered {
		if err := t.Bucket(bOwn).Delete(d.seq); err != nil {
			return err
		}
		if err := t.Bucket(bOwnAt).Delete(t.s.blind("own", d.name.String())); err != nil {
			return err
		}
	}
	return nil
}

// Receipt is the newest receipt for a lineage; zero where there is none.
func (s *Store) Receipt(l record.Lineage) (record.Receipt, error) {
	var out record.Receipt
	err := s.view(func(tx *tx) error {
		_, err := tx.get(bReceipts, []byte(l), &out)
		return err
	})
	return out, err
}

// Receipts lists the newest receipt of every lineage.
func (s *Store) Receipts() ([]record.Receipt, error) {
	var out []record.Receipt
	err := s.view(func(tx *tx) error {
		return tx.Bucket(bReceipts).ForEach(func(k, v []byte) error {
			var r record.Receipt
			if err := tx.open(bReceipts, k, v, &r); err != nil {
				return err
			}
			out = append(out, r)
			return nil
		})
	})
	return out, err
}

// offerOwn pages through the own changes that upstream has not answered, or
// that it waits for.
func (t *tx) offerOwn(after uint64, max int) (record.Page, error) {
	page := record.Page{Cursor: record.Cursor{Seq: after}}
	c := t.Bucket(bOwn).Cursor()
	for k, v := c.Seek(u64(after + 1)); k != nil; k, v = c.Next() {
		var e ownEntry
		if err := t.open(bOwn, k, v, &e); err != nil {
			return page, err
		}
		if e.Verdict == record.Parked {
			continue
		}
		if len(page.Changes) == max {
			page.More = true
			return page, nil
		}
		n := u64(e.Number)
		r, err := t.row(n)
		if err != nil {
			return page, err
		}
		page.Cursor.Seq = num(k)
		ver, err := t.version(n, r, e.Ref)
		if err != nil {
			if r.Gone {
				continue
			}
			return page, fmt.Errorf("offer %s: %w", e.Key, err)
		}
		page.Changes = append(page.Changes, record.Change{Seq: num(k), Key: e.Key, Ref: e.Ref, Prev: e.Prev, Version: ver})
	}
	return page, nil
}
