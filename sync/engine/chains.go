package engine

import (
	"fmt"
	"slices"

	"tram/store/record"
	"tram/sync/wire"
)

// common is how far both sides have the same chain: to where upstream says that
// it reaches, or not at all. Where upstream has more than we know of, nothing of
// ours is missing there. Forked says that the chain here passes over theirs.
func (a *Ask) common(theirs record.Link) (common record.Link, forked bool, err error) {
	none := record.Link{Lineage: theirs.Lineage}
	if theirs.N == 0 {
		return none, false, nil
	}
	own, ok, err := a.o.Replica.Chain(theirs.Lineage, theirs.N)
	if err != nil {
		return none, false, fmt.Errorf("ask: %w", err)
	}
	if ok {
		return own, own.Chain != theirs.Chain, nil
	}
	top, _, err := a.o.Replica.Chain(theirs.Lineage, 0)
	if err != nil {
		return none, false, fmt.Errorf("ask: %w", err)
	}
	if theirs.N > top.N {
		return theirs, false, nil
	}
	return none, true, nil
}

// proof takes a receipt that says only what the request did not.
func (a *Ask) proof(p wire.Proof) error {
	if p.Of < 0 || p.Of >= len(a.hello.Links) || len(a.hello.Cursors) == 0 {
		return fmt.Errorf("%w: a receipt for what was not said", wire.ErrNonsense)
	}
	return a.receipt(record.Receipt{Link: a.hello.Links[p.Of], Epoch: a.hello.Cursors[0].Epoch, At: a.res.Time, Sig: p.Sig})
}

// links are upstream's chains of the asker's lineages: as it said, or as the hello did.
func (a *Ask) links(said []record.Link) []record.Link {
	all := said
	for _, own := range append(slices.Clone(a.hello.Links), record.Link{Lineage: a.hello.Life}) {
		if a.o.Protocol != wire.First && !slices.ContainsFunc(all, func(k record.Link) bool { return k.Lineage == own.Lineage }) {
			all = append(all, own)
		}
	}
	return all
}

// receipt takes a receipt where it is signed and proves our own chain.
func (a *Ask) receipt(r record.Receipt) error {
	if err := a.o.Verify(r); err != nil {
		return fmt.Errorf("%w: a receipt that upstream did not sign", wire.ErrNonsense)
	}
	own, ok, err := a.o.Replica.Chain(r.Lineage, r.N)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if ok && own.Chain == r.Chain && (a.late == nil || !a.late.Voided) {
		a.stretch.Receipts = append(a.stretch.Receipts, r)
	}
	return nil
}

// sayParked says, before a receipt that is handed down, what it covers and who gave it did
// not take: here that was taken, and answered so.
func (s *Serve) sayParked(covered record.Link) error {
	if s.o.Proved == nil {
		return nil
	}
	untaken, err := s.o.Replica.Untaken(func(l record.Lineage) bool { return l == covered.Lineage })
	for i := range untaken {
		if a := &untaken[i]; a.Verdict == record.Parked && a.Ref.Name.N <= covered.N {
			s.say(&wire.Frame{Parked: a})
		}
	}
	return err
}
