package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tram/store/record"
	"tram/sync/wire"
)

// tries bounds how often a stretch is decided anew because records moved.
const tries = 5

// commit applies what came since the last mark. A record that stands twice in
// it is decided after the first was applied.
func (a *Ask) commit(ctx context.Context, cursor *record.Cursor) error {
	a.known()
	st := a.stretch
	a.stretch = record.Stretch{}
	st.Peer = Upstream
	if a.res.Next.Full {
		return nil // what comes behind a version that is missing comes again
	}
	var before record.Cursor
	if cursor != nil && a.behind {
		return nil
	}
	if cursor != nil {
		c := *cursor
		before = a.cursors[c.Feed]
		c.Turn = before.Turn
		if a.adopts(c) {
			c.Turn++
		}
		before.Feed, before.Turn = c.Feed, c.Turn
		st.Cursor = &c
		if c.Seq > before.Seq {
			a.res.Left -= min(a.res.Left, c.Seq-before.Seq)
		}
		a.cursors[c.Feed] = c
	}
	if len(st.Arrived) > 0 && st.Cursor == nil {
		return fmt.Errorf("%w: changes without a cursor", wire.ErrNonsense)
	}
	if err := a.o.Replica.Recover(ctx, record.Recovery{Highest: a.drawnElsewhere(st)}); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	for try := 1; ; try++ {
		err := a.apply(ctx, st, before)
		if err == nil || !errors.Is(err, record.ErrMoved) || try == tries {
			if errors.Is(err, record.ErrNotFound) { // the name alone did not do
				a.res.Next.Full, err = true, nil
			}
			return err
		}
	}
}

// drawnElsewhere is how far what came down saw this replica's present lineage: beyond what
// was drawn here a twin is at work, of which the welcome of a request from before it began
// did not tell (replication.md, rule 2).
func (a *Ask) drawnElsewhere(st record.Stretch) []record.Name {
	top := record.Name{Lineage: a.st.Lives[0]}
	for _, in := range st.Arrived {
		if in.Version != nil {
			top.N = max(top.N, in.Version.Seen[top.Lineage])
		}
	}
	return []record.Name{top}
}

// adopts reports whether a cursor is the one that ends a comparison of its feed.
func (a *Ask) adopts(c record.Cursor) bool {
	return slices.ContainsFunc(a.o.Carry.Want, func(w wire.Want) bool {
		return w.Feed == c.Feed && w.End.Epoch == c.Epoch && w.End.Seq == c.Seq && w.End.Digest == c.Digest
	})
}

// apply decides a stretch and applies it. The cursor moves with the last part
// only.
func (a *Ask) apply(ctx context.Context, st record.Stretch, before record.Cursor) error {
	part := record.Stretch{Peer: st.Peer, Cursor: &before}
	seen := map[record.Key]bool{}
	for _, in := range st.Arrived {
		if seen[in.Key] { // an earlier state of the same record goes first
			if err := a.o.Replica.Apply(ctx, part); err != nil {
				return fmt.Errorf("ask: %w", err)
			}
			part.Arrived, seen = nil, map[record.Key]bool{}
		}
		seen[in.Key] = true
		decided, err := a.decide(in)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		part.Arrived = append(part.Arrived, decided)
	}
	st.Arrived = part.Arrived
	if err := a.o.Replica.Apply(ctx, st); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return nil
}

// ended closes the exchange: what upstream lost waits again, and the trees are
// compared where nothing is under way.
func (a *Ask) ended(ctx context.Context, e *wire.End) error {
	if len(a.stretch.Answers)+len(a.stretch.Receipts)+len(a.stretch.Arrived) > 0 {
		return fmt.Errorf("%w: an end without a mark", wire.ErrNonsense)
	}
	if err := a.left(); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if err := a.o.Replica.Recover(ctx, record.Recovery{Offer: a.reoffer}); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if a.res.Next.Told = true; a.unanswered || a.o.Urgent {
		a.res.Next, a.res.More = *a.o.Carry, a.unanswered
		a.res.Next.Cut, a.res.Next.Told = false, true
		return nil
	}
	a.res.More = e.More || len(a.reoffer) > 0 || len(a.res.Next.Want) > 0 || len(a.res.Next.Compare) > 0
	a.res.Next.More = a.res.More || a.res.Waiting
	if a.res.Next.Full {
		a.res.More = true
		return nil
	}
	if e.Roots == nil && !e.Same || e.More || a.behind || a.res.Refused != "" {
		return nil
	}
	a.res.Equal, a.res.Proved = true, true
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		have, err := a.o.Replica.Agreed(Upstream, feed, record.Part{}, nil)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		theirs, said := e.Roots[feed]
		if !said && e.Same {
			theirs = a.hello.Roots[feed]
		}
		if have.Tree.Root() != theirs {
			a.res.Equal = false
			if !a.o.Carry.compares(feed) && !a.res.Next.compares(feed) {
				a.res.Next.Compare = append(a.res.Next.Compare, Narrow{Feed: feed})
				a.res.More = true
			}
		}
	}
	a.res.Healed = a.res.Equal && a.o.Carry.Unequal > 0
	if !a.res.Equal {
		a.unequal(e.More)
	}
	return nil
}

// left notes whether own changes wait that this exchange did not hand in: what was made
// meanwhile, or what receipts no longer cover.
func (a *Ask) left() error {
	if a.late != nil {
		return nil
	}
	for after := (record.Cursor{}); !a.res.Waiting; {
		page, err := a.o.Replica.Offer(Upstream, after, maxStretch)
		if err != nil {
			return err
		}
		a.res.Waiting = slices.ContainsFunc(page.Changes, func(c record.Change) bool { return !a.asked[c.Ref] })
		if after = page.Cursor; !page.More {
			return nil
		}
	}
	return nil
}

// healTries is how many exchanges may follow each other at once to make trees
// equal: comparing and narrowing, sending and taking, twice.
const healTries = 8

// unequal lets healing that gets nowhere wait for the next exchange that is due:
// else two replicas that cannot agree would speak without a pause for ever.
func (a *Ask) unequal(more bool) {
	a.res.Next.Unequal = a.o.Carry.Unequal + 1
	if a.res.Next.Unequal > healTries {
		a.res.More = more
	}
}

// Result is what the exchange came to. Before the End it says what was done
// until the cut.
func (a *Ask) Result() Result { return a.res }

// sound reports whether a version from outside has the form of one.
func sound(v *record.Version) bool {
	return v.Key.Valid() && v.Name.Lineage.Valid() && v.Name.N > 0 && v.Seen.Has(v.Name) && v.Author != "" && len(v.Content) > 0 &&
		v.Seen[v.Name.Lineage] == v.Name.N
}
