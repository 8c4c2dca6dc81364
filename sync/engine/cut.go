package engine

import (
	"fmt"

	"tram/store/record"
	"tram/sync/wire"
)

// AfterCut is what an exchange that failed leaves for the next: where changes were sent
// it asks first what arrived of them.
func (a *Ask) AfterCut() *Carry {
	next := *a.o.Carry
	next.Cut = next.Cut || a.res.Sent > 0
	return &next
}

// askFirst asks what arrived of an exchange that was cut, where anything waits.
func (a *Ask) askFirst(h *wire.Hello) error {
	if !a.o.Carry.Cut || a.o.Protocol == wire.First {
		return nil
	}
	page, err := a.o.Replica.Offer(Upstream, record.Cursor{}, 1)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	h.Unanswered = len(page.Changes) > 0
	a.unanswered, a.res.Asked = h.Unanswered, h.Unanswered
	return nil
}

// heardBefore takes upstream's chains for its word on what stands in them and waits here;
// what was not taken is answered one by one. What was sent is at the front of what waits.
func (a *Ask) heardBefore(heard bool, links []record.Link) error {
	if !heard || !a.unanswered {
		return nil
	}
	reach := map[record.Lineage]uint64{}
	for _, theirs := range links {
		own, ok, err := a.o.Replica.Chain(theirs.Lineage, theirs.N)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		if theirs.N > 0 && ok && own == theirs {
			reach[theirs.Lineage] = theirs.N
		}
	}
	for after, more := (record.Cursor{}), true; more; {
		page, err := a.o.Replica.Offer(Upstream, after, maxStretch)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		before := len(a.order)
		for _, c := range page.Changes {
			if !c.Relayed && c.Ref.Name.N <= reach[c.Ref.Name.Lineage] {
				a.asked[c.Ref], a.sent[c.Ref] = true, true
				a.order = append(a.order, record.Change{Key: c.Key, Ref: c.Ref})
			}
		}
		after, more = page.Cursor, page.More && len(a.order) > before
	}
	return nil
}

// known answers what was sent before the cut and is not answered one by one.
func (a *Ask) known() {
	if !a.unanswered {
		return
	}
	for _, c := range a.order {
		if a.sent[c.Ref] {
			delete(a.sent, c.Ref)
			a.res.Taken++
			a.stretch.Answers = append(a.stretch.Answers, record.Answer{Key: c.Key, Ref: c.Ref, Verdict: record.Known})
		}
	}
	a.order = nil
}
