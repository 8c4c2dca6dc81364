package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// Refused is a change that this replica did not take, held until it can be. Where its
// verdict is that it is taken, upstream has it.
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
	// Abandoned says that its maker seemed to have lost it once; that is not believed twice.
	Abandoned bool `json:"abandoned,omitempty"`
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
	held = Refused{Peer: peer, Key: d.Key, Ref: d.Ref, Verdict: d.Verdict, Reason: d.Reason, Version: b, Orphan: d.Orphan, Abandoned: held.Abandoned}
	if !t.s.opt.Top && d.Reason != record.Fork {
		n, r, err := t.ensureRow(d.Key)
		if err != nil {
			return err
		}
		if r.Gone {
			if err := t.goneHere(FeedOf(peer), n, r, d.Ref); err != nil {
				return err
			}
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

// relayed reports whether only upstream's word is held, that it did not take what was taken
// in here.
func (r Refused) relayed() bool { return r.Version == nil && r.Verdict == record.Parked }

// dropHeld lets go of a change that was not taken in here, and is now, or that upstream
// has. What upstream said of one that was taken in here stays until it says otherwise.
func (t *tx) dropHeld(ref record.Ref) error {
	held, ok, err := t.heldAs(ref)
	if err != nil || !ok || held.relayed() {
		return err
	}
	if held.Order > 0 {
		if err := t.dropOwn(held.Order); err != nil {
			return err
		}
	}
	return t.Table(layout.Refused).Delete(t.heldAt(ref))
}

// passedOn keeps, of a change from below that is at the top replica, only that: who made it
// asks again.
func (t *tx) passedOn(e layout.OwnEntry) error {
	held, ok, err := t.heldAs(e.Ref)
	if err != nil || !ok {
		return err
	}
	if held.Verdict, held.Reason, held.Order, held.Version = e.Verdict, "", 0, nil; !e.Verdict.Taken() {
		return t.Table(layout.Refused).Delete(t.heldAt(e.Ref))
	}
	return t.put(layout.Refused, t.heldAt(e.Ref), held)
}

// forgetPassed lets what the top replica had, and lost beyond a link, be passed on again.
func (t *tx) forgetPassed(known record.Link) error {
	all, err := t.heldAll()
	for _, h := range all {
		if n := h.Ref.Name; h.Verdict.Taken() && n.Lineage == known.Lineage && n.N > known.N {
			err = errors.Join(err, t.Table(layout.Refused).Delete(t.heldAt(h.Ref)))
		}
	}
	return err
}

func (t *tx) heldAll() (out []Refused, err error) {
	err = t.Table(layout.Refused).ForEach(func(k, v []byte) error {
		var r Refused
		err := t.open(layout.Refused, k, v, &r)
		out = append(out, r)
		return err
	})
	return out, err
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
	if err := t.putOwn(held.Order, e); err != nil {
		return err
	}
	if e.Foreign && a.Verdict.Taken() {
		return t.settled(held.Order)
	}
	if a.Verdict != record.Parked {
		return nil
	}
	held.Verdict, held.Reason = a.Verdict, a.Reason
	return t.put(layout.Refused, t.heldAt(a.Ref), held)
}

// answeredRelayed keeps upstream's word on what came from below and was taken in here, where
// it is that it was not taken there: who made it was told otherwise.
func (t *tx) answeredRelayed(a record.Answer, e layout.OwnEntry) error {
	at := t.heldAt(a.Ref)
	switch {
	case a.Verdict == record.Parked && a.Reason != record.Fork && !e.Foreign:
		mine, err := t.mine()
		if err != nil || mine[a.Ref.Name.Lineage] {
			return err
		}
		return t.put(layout.Refused, at, Refused{Key: a.Key, Ref: a.Ref, Verdict: a.Verdict, Reason: a.Reason})
	case a.Verdict.Taken() && t.Table(layout.Refused).Len() > 0:
		return t.Table(layout.Refused).Delete(at)
	}
	return nil
}

// Abandon lets what a peer handed in and is held aside for its base be taken without it,
// where the chains of the peer's former lives end before it: who made it lost it, and with
// it the base. What stands above a gap in such a chain goes up without the chain: nobody
// closes the gap. Where it was a twin that told so, its maker hands it in again.
func (s *Store) Abandon(ctx context.Context, peer string, lives record.Lives) error {
	reach, err := s.reach(ctx, peer, lives)
	if err != nil {
		return err
	}
	var lost []Refused
	above := map[uint64]layout.OwnEntry{}
	err = s.view(func(tx *tx) error {
		all, err := tx.heldAll()
		lost = slices.DeleteFunc(all, func(h Refused) bool {
			end, former := reach[h.Ref.Name.Lineage]
			return h.Peer != peer || h.Order == 0 || h.Orphan || h.Abandoned || h.Reason != record.NoBase || !former || end >= h.Ref.Name.N
		})
		return errors.Join(err, tx.aboveGaps(reach, above))
	})
	if err != nil || len(lost)+len(above) == 0 {
		return err
	}
	return s.update(ctx, func(tx *tx) error {
		for _, h := range lost {
			e, waits, err := tx.ownAt(h.Order)
			if err != nil {
				return err
			}
			if !waits || e.Foreign || e.Verdict.Taken() {
				continue
			}
			h.Orphan, h.Abandoned = true, true
			if err := tx.put(layout.Refused, tx.heldAt(h.Ref), h); err != nil {
				return err
			}
		}
		for order, e := range above {
			if err := tx.unchain(order, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxLives bounds how many lineages are remembered of a peer.
const maxLives = 256

// reach is how far the lineages go that a peer writes under no more. Of one that it spoke
// under before its present one, and does not name, it has nothing that waits: it was put back
// to before that began, or is through with it. Who speaks under one before the last is late, or a twin, and tells
// of those alone that it names.
func (s *Store) reach(ctx context.Context, peer string, lives record.Lives) (map[record.Lineage]uint64, error) {
	var heard []record.Lineage
	name := "lives/" + peer
	b, err := s.Setting(name)
	if err == nil && b != nil {
		err = json.Unmarshal(b, &heard)
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(heard, lives.Now) {
		heard = append(heard, lives.Now)
		if b, err = json.Marshal(heard[max(0, len(heard)-maxLives):]); err == nil {
			err = s.SetSetting(ctx, name, b)
		}
		if err != nil {
			return nil, err
		}
	}
	out := maps.Clone(lives.Former)
	before := heard[:len(heard)-1]
	if !lives.Run || slices.Contains(before, lives.Now) {
		return out, nil
	}
	for _, l := range before {
		if _, named := out[l]; !named {
			out[l] = 0
		}
	}
	return out, nil
}

// aboveGaps adds what waits in a chain behind changes that neither this replica nor who
// made them has.
func (t *tx) aboveGaps(reach map[record.Lineage]uint64, out map[uint64]layout.OwnEntry) error {
	if k, _ := t.Table(layout.Loose).Cursor().First(); k == nil {
		return nil // no chain has a gap
	}
	waits := map[record.Lineage]map[uint64]uint64{} // number to the order of its entry
	entries := map[uint64]layout.OwnEntry{}
	err := t.Table(layout.Own).ForEach(func(k, v []byte) error {
		e, err := t.openOwn(k, v)
		name := e.Ref.Name
		if _, former := reach[name.Lineage]; err != nil || !former || e.Foreign {
			return err
		}
		if waits[name.Lineage] == nil {
			waits[name.Lineage] = map[uint64]uint64{}
		}
		waits[name.Lineage][name.N], entries[num(k)] = num(k), e
		return nil
	})
	for l, numbers := range waits {
		end := max(reach[l], t.chainTop(l).N)
		for _, n := range slices.Sorted(maps.Keys(numbers)) {
			order := numbers[n]
			if e := entries[order]; n <= end || e.Prev <= end {
				end = max(end, n)
			} else if !e.Held {
				out[order] = e
			}
		}
	}
	return err
}

// unchain lets a change go up without its chain. That does not go on over it here.
func (t *tx) unchain(order uint64, e layout.OwnEntry) error {
	if err := t.Table(layout.Loose).Delete(linkKey(e.Ref.Name.Lineage, e.Prev)); err != nil {
		return err
	}
	e.Foreign, e.Verdict, e.Reason = true, "", ""
	return t.putOwn(order, e)
}

// mendLinks makes again the links that were lost of own changes that wait: of each whose
// entry names the link before it, which is there, it comes out as it was. One that follows
// a change of which nothing is left goes up without its chain.
func (t *tx) mendLinks() error {
	mine, err := t.mine()
	if err != nil {
		return err
	}
	orders, waits := map[record.Name]uint64{}, map[record.Name]layout.OwnEntry{}
	err = t.Table(layout.Own).ForEach(func(k, v []byte) error {
		e, err := t.openOwn(k, v)
		name := e.Ref.Name
		if err != nil || e.Foreign || !mine[name.Lineage] || t.Table(layout.Links).Get(linkKey(name.Lineage, name.N)) != nil {
			return err
		}
		orders[name], waits[name] = num(k), e
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.SortedFunc(maps.Keys(waits), func(a, b record.Name) int {
		return cmp.Or(cmp.Compare(a.Lineage, b.Lineage), cmp.Compare(a.N, b.N))
	}) {
		e := waits[name]
		if before, _ := t.linkBefore(name); before.N == e.Prev {
			err = t.chain(before, e.Ref)
		} else {
			err = t.unchain(orders[name], e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Held lists the changes from below that were not taken here.
func (s *Store) Held() ([]Refused, error) {
	var out []Refused
	err := s.view(func(tx *tx) error {
		all, err := tx.heldAll()
		out = slices.DeleteFunc(all, func(r Refused) bool { return r.Version == nil })
		return err
	})
	return out, err
}

// passAgain lets what a peer made, and this replica has from elsewhere, wait for upstream
// under its maker's chain, until that is proved: a copy handed back goes into none.
func (t *tx) passAgain(n []byte, r *layout.Row, d record.Decided) error {
	p, ok := r.Find(d.Ref.Name)
	if t.s.opt.Top || d.Foreign || r.Gone || !ok || p.Ref != d.Ref {
		return nil
	}
	var have record.Receipt
	if _, err := t.get(layout.Receipts, []byte(d.Ref.Name.Lineage), &have); err != nil || have.N >= d.Ref.Name.N {
		return err
	}
	if e, waits, err := t.ownAt(p.At); err != nil || waits && !e.Foreign {
		return err
	}
	return t.putOwn(p.At, layout.OwnEntry{Number: num(n), Ref: p.Ref, Prev: d.Prev})
}

// dropIncluded lets go of what was held and went into a version, but for what waits for
// upstream under its maker's chain, which goes on over it.
func (t *tx) dropIncluded(v *record.Version) error {
	for _, ref := range v.Includes {
		held, _, err := t.heldAs(ref)
		if err != nil {
			return err
		}
		e, waits, err := t.ownAt(held.Order)
		if waits && !e.Foreign && e.Verdict != record.Parked {
			continue
		}
		if err := errors.Join(err, t.dropHeld(ref)); err != nil {
			return err
		}
	}
	return nil
}

// answeredForeign keeps upstream's word on what another replica made and upstream
// had lost. What upstream does not want back is not held here either. What came from below
// and not from upstream waits until it comes down: nothing else would tell that upstream
// lost it again.
func (t *tx) answeredForeign(n []byte, at uint64, e layout.OwnEntry) error {
	if r, err := t.row(n); err != nil || e.Verdict.Taken() && !r.Gone && slices.Contains(r.Pending, e.Ref) {
		return err
	}
	if err := t.settled(at); err != nil || e.Verdict != record.Parked {
		return err
	}
	r, err := t.row(n)
	if err != nil || r.Gone || len(r.Pending) > 0 || r.Head != e.Ref {
		return err
	}
	return t.forget(n, r, r.Feed)
}

// Untaken are the answers to the changes of some lineages that are held here and were not
// taken.
func (s *Store) Untaken(of func(record.Lineage) bool) ([]record.Answer, error) {
	var held []Refused
	err := s.view(func(tx *tx) (err error) {
		held, err = tx.heldAll()
		return err
	})
	var out []record.Answer
	for _, h := range held {
		if of(h.Ref.Name.Lineage) && !h.Verdict.Taken() {
			out = append(out, record.Answer{Key: h.Key, Ref: h.Ref, Verdict: cmp.Or(h.Verdict, record.Waits), Reason: h.Reason})
		}
	}
	return out, err
}

// toProve are the lineages that an exchange is about: the present one, those with the
// newest receipts, and those whose chain goes on beyond its receipt, be it of a former
// life or of a replica below.
func (t *tx) toProve(now record.Lineage) ([]record.Lineage, error) {
	out := []record.Lineage{now}
	var proved []record.Receipt
	c := t.Table(layout.Links).Cursor()
	k, _ := c.First()
	for len(k) == record.LineageLen+8 {
		l := record.Lineage(k[:record.LineageLen])
		r := record.Receipt{Link: record.Link{Lineage: l}}
		if _, err := t.get(layout.Receipts, []byte(l), &r); err != nil {
			return nil, err
		}
		if t.chainTop(l).N > r.N && l != now && len(out) < maxLinks {
			out = append(out, l)
		}
		proved = append(proved, r)
		k, _ = c.Seek(linkKey(l, ^uint64(0)))
	}
	slices.SortFunc(proved, func(a, b record.Receipt) int { return cmp.Compare(b.At, a.At) })
	for _, r := range proved[:min(recentProofs, len(proved))] {
		if !slices.Contains(out, r.Lineage) {
			out = append(out, r.Lineage)
		}
	}
	return out, nil
}

// Standing is what this replica says of itself to its upstream.
func (s *Store) Standing() (record.Standing, error) {
	var out record.Standing
	lives, err := s.Lives(recentLives)
	if err != nil {
		return out, err
	}
	for _, l := range lives {
		out.Lives = append(out.Lives, l.Lineage)
	}
	err = s.view(func(tx *tx) error {
		wanted, err := tx.toProve(out.Lives[0])
		if err != nil {
			return err
		}
		waits := s.waiting() // also what is to be proved once more
		for _, l := range append(slices.Clone(out.Lives), slices.Sorted(maps.Keys(waits))...) {
			if waits[l] > 0 && len(wanted) < maxWanted && !slices.Contains(wanted, l) {
				wanted = append(wanted, l)
			}
		}
		if err := tx.links(&out, wanted, waits); err != nil {
			return err
		}
		for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
			cur := record.Cursor{Feed: feed}
			if _, err := tx.get(layout.Cursors, []byte(feed), &cur); err != nil {
				return err
			}
			out.Cursors = append(out.Cursors, cur)
		}
		return nil
	})
	return out, err
}

// Receipt is the newest receipt for a lineage; zero where there is none.
func (s *Store) Receipt(l record.Lineage) (out record.Receipt, err error) {
	err = s.view(func(tx *tx) error {
		_, err := tx.get(layout.Receipts, []byte(l), &out)
		return err
	})
	return out, err
}

// Receipts lists the newest receipt of every lineage.
func (s *Store) Receipts() (out []record.Receipt, err error) {
	err = s.view(func(tx *tx) error {
		return tx.Table(layout.Receipts).ForEach(func(k, v []byte) error {
			var r record.Receipt
			err := tx.open(layout.Receipts, k, v, &r)
			out = append(out, r)
			return err
		})
	})
	return out, err
}
