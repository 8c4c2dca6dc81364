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

// askFirst asks what arrived of an exchange that was cut, where anything waits under the
// lineage that speaks.
func (a *Ask) askFirst(h *wire.Hello) error {
	if !a.o.Carry.Cut || a.o.Protocol == wire.First {
		return nil
	}
	err := a.waiting(h.Life, func(c record.Change) {
		if n := c.Ref.Name.N; h.Unanswered == 0 || n < h.Unanswered {
			h.Unanswered = n
		}
	})
	a.unanswered, a.res.Asked = h.Unanswered, h.Unanswered > 0
	return err
}

// heardBefore takes upstream's chain for its word on what stands in it and was sent before
// the cut; what was not taken is answered one by one.
func (a *Ask) heardBefore(heard bool, links []record.Link) error {
	if !heard || a.unanswered == 0 {
		return nil
	}
	life := a.st.Lives[0]
	for _, theirs := range links {
		own, ok, err := a.o.Replica.Chain(life, theirs.N)
		if err != nil {
			return err
		}
		if theirs.N == 0 || !ok || own != theirs {
			continue
		}
		if err := a.waiting(life, func(c record.Change) {
			if n := c.Ref.Name.N; n >= a.unanswered && n <= own.N {
				a.asked[c.Ref], a.sent[c.Ref] = true, true
				a.order = append(a.order, record.Change{Key: c.Key, Ref: c.Ref})
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// known answers what was sent before the cut and is not answered one by one.
func (a *Ask) known() {
	if a.unanswered == 0 {
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

// waiting calls each with the own changes of a lineage that wait in its chain.
func (a *Ask) waiting(l record.Lineage, each func(record.Change)) error {
	for after, more := (record.Cursor{}), true; more; {
		page, err := a.o.Replica.Offer(Upstream, after, maxStretch)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		for _, c := range page.Changes {
			if c.Ref.Name.Lineage == l && !c.Relayed {
				each(c)
			}
		}
		after, more = page.Cursor, page.More
	}
	return nil
}
