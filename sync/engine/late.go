package engine

import (
	"fmt"
	"slices"

	"tram/store/record"
)

// Asked is what stays of a request whose answer may come weeks later, twice, or
// after the answer to a later one: what that answer is held against. It is plain
// data, to be kept.
type Asked struct {
	Cursors []record.Cursor `json:"cursors"`
	// Offered is how far the own changes went into the request.
	Offered uint64 `json:"offered,omitempty"`
	Carry   *Carry `json:"carry,omitempty"`
}

// Asked is what Resume needs when the answer comes, once Next gave io.EOF.
func (a *Ask) Asked() Asked {
	return Asked{Cursors: a.st.Cursors, Offered: a.res.Offered.Seq, Carry: a.o.Carry}
}

// Late is a request, and what is known of its answer before it is taken.
type Late struct {
	Asked
	// Ends are the cursors of the answer's last mark in each feed.
	Ends []record.Cursor
	// Unheard reports whether upstream said nothing more of a lineage since the
	// request was made: only then does what it lacks void a receipt.
	Unheard func(record.Lineage) bool
	// Voided says that receipts were taken back since the request was made: what the
	// answer says of own changes may be from before upstream lost them.
	Voided bool
}

// Resume is the asking half of a request made before, ready to Take its answer.
// Answers and receipts are taken for what still waits, unless receipts were taken back
// meanwhile (rule 13). The feeds are taken where
// the answer is not older than what came down meanwhile, and left otherwise
// (replication.md, rules 12 and 14): the next request asks from where they stand. So is
// what says to have seen an own change that was made since: it may mean a twin's.
func Resume(o AskOptions, l Late) (*Ask, error) {
	o.Carry = l.Carry
	a, err := NewAsk(o)
	if err != nil {
		return nil, err
	}
	a.out, a.res.Ended, a.late = nil, true, &l
	a.since = map[record.Name]record.Key{}
	for after := (record.Cursor{}); ; {
		page, err := o.Replica.Offer(Upstream, after, maxStretch)
		if err != nil {
			return nil, fmt.Errorf("ask: %w", err)
		}
		for _, c := range page.Changes {
			if c.Seq <= l.Offered {
				a.sent[c.Ref] = true
			} else {
				a.since[c.Ref.Name] = c.Key
			}
		}
		a.res.Sent, after = len(a.sent), page.Cursor
		if !page.More {
			break
		}
	}
	a.behind = !l.current(a.st.Cursors)
	return a, nil
}

// foresees reports whether a version says to have seen own changes of its record that were
// made after the request.
func (a *Ask) foresees(v *record.Version) bool {
	for name, key := range a.since {
		if v != nil && key == v.Key && v.Seen.Has(name) {
			return true
		}
	}
	return false
}

// current reports whether the answer tells of every feed at least as much as has
// come down by now, counted in the same turn and epoch. One that does was made no
// earlier than what came down, so that a record which moved from feed to feed
// stands in it where it stands now.
func (l *Late) current(now []record.Cursor) bool {
	for _, c := range now {
		was, end := cursorOf(l.Cursors, c.Feed), cursorOf(l.Ends, c.Feed)
		if was == c {
			continue
		}
		if was.Turn != c.Turn || end.Epoch != c.Epoch || was.Seq > c.Seq || end.Seq < c.Seq {
			return false
		}
	}
	return true
}

func cursorOf(list []record.Cursor, feed string) record.Cursor {
	i := slices.IndexFunc(list, func(c record.Cursor) bool { return c.Feed == feed })
	if i < 0 {
		return record.Cursor{Feed: feed}
	}
	return list[i]
}
