package enginetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"tram/store/record"
	"tram/sync/engine"
)

// Upstream examines a replica that others have as their upstream. open makes an
// empty one that knows the peers, each a station of its own.
func Upstream(t *testing.T, open func(t *testing.T, peers ...string) engine.Replica) {
	for name, f := range map[string]func(*testing.T, engine.Replica){
		"never held stands empty":   neverHeld,
		"a birth":                   birth,
		"applied twice":             twice,
		"moved meanwhile":           moved,
		"parked":                    parkedHere,
		"chains over gaps":          gaps,
		"a merge is above both":     merged,
		"pages of a feed":           pages,
		"cursors of another feed":   cursors,
		"everybody's and one's own": feeds,
		"several at once":           several,
	} {
		t.Run(name, func(t *testing.T) { f(t, open(t, "a", "b")) })
	}
}

// A record never held is no error: it stands empty, and so do a lineage that was
// never heard of and a tree over nothing.
func neverHeld(t *testing.T, r engine.Replica) {
	c := newPen('a').birth("Patient")
	st := look(t, r, c.Key, c.Ref, c.Ref)
	if st.Head != nil || st.Base != nil || st.Shown != nil || st.Gone || len(st.Pending)+len(st.Known)+len(st.Refused) != 0 {
		t.Errorf("got %+v", st)
	}
	if link, _ := chain(t, r, c.Ref.Name.Lineage, 0); link.N != 0 || link.Lineage != c.Ref.Name.Lineage || !link.Chain.IsZero() {
		t.Errorf("a lineage never heard of reaches %+v", link)
	}
	if _, ok := chain(t, r, c.Ref.Name.Lineage, 1); ok {
		t.Error("a lineage never heard of has a link")
	}
	tree(t, r, "a", record.OwnFeed)
}

// A version comes back byte for byte, and every version in the history can be read
// as a base. A name with another digest is known by the digest held here, so that the
// engine can tell a fork.
func birth(t *testing.T, r engine.Replica) {
	p := newPen('a')
	one := p.birth("Patient")
	two := p.edit(one.Version, `,"gender":"male"`)
	handIn(t, r, "a", accepted(one, record.Ref{}))
	handIn(t, r, "a", accepted(two, one.Ref))
	fork := record.Ref{Name: one.Ref.Name, Digest: record.Sum([]byte("another"))}
	st := look(t, r, one.Key, one.Ref, one.Ref, two.Ref)
	if st.Head.Ref() != two.Ref || st.Shown.Ref() != two.Ref || string(st.Head.Content) != string(two.Version.Content) {
		t.Errorf("head %v, want %v byte for byte", st.Head, two.Ref)
	}
	if st.Base.Ref() != one.Ref {
		t.Errorf("base %v, want %v", st.Base.Ref(), one.Ref)
	}
	if st.Known[one.Ref.Name] != one.Ref.Digest || st.Known[two.Ref.Name] != two.Ref.Digest {
		t.Errorf("known: %v", st.Known)
	}
	st = look(t, r, one.Key, fork, fork)
	if st.Base != nil || st.Known[fork.Name] != one.Ref.Digest {
		t.Errorf("asked for another content of a name: base %v, known %v", st.Base, st.Known)
	}
	tree(t, r, "a", record.OwnFeed, append(scopes(t, r, "a"), two.Ref)...)
}

// scopes are the heads in a peer's feed that the replica wrote itself.
func scopes(t *testing.T, r engine.Replica, peer string) []record.Ref {
	t.Helper()
	got, _ := all(t, r, peer, own(0), 100)
	var out []record.Ref
	for _, c := range got {
		if c.Key.Kind == "Basic" && !c.Gone {
			out = append(out, c.Ref)
		}
	}
	return out
}

// Applying again changes nothing that the interface shows: not the stands, not the
// feeds with their sequences, not the chains, not the trees.
func twice(t *testing.T, r engine.Replica) {
	p := newPen('a')
	one, bad := p.birth("Patient"), p.birth("Patient")
	edit := p.edit(one.Version, `,"gender":"male"`)
	org := p.birth("Organization")
	steps := [][]record.Decided{
		{accepted(one, record.Ref{}), parked(bad, record.Ref{})},
		{accepted(edit, one.Ref), accepted(org, record.Ref{})},
	}
	for _, s := range steps {
		handIn(t, r, "a", s...)
	}
	was := stateOf(t, r, "a", []*pen{p}, one.Key, bad.Key, org.Key)
	for _, d := range []record.Change{one, edit, org} {
		known := record.Decided{Change: d, On: look(t, r, d.Key, record.Ref{}).Head.Ref(), Verdict: record.Known}
		handIn(t, r, "a", known)
	}
	handIn(t, r, "a", parked(bad, record.Ref{}))
	stateOf(t, r, "a", []*pen{p}, one.Key, bad.Key, org.Key).same(t, was, "handing in again")
	if err := r.Apply(context.Background(), record.Stretch{Peer: "a"}); err != nil {
		t.Errorf("an empty stretch: %v", err)
	}
	stateOf(t, r, "a", []*pen{p}, one.Key, bad.Key, org.Key).same(t, was, "an empty stretch")
}

// A decision made on another head than the one that stands fails with ErrMoved, and
// nothing else of its stretch is applied.
func moved(t *testing.T, r engine.Replica) {
	p := newPen('a')
	one, other := p.birth("Patient"), p.birth("Patient")
	edit := p.edit(one.Version, `,"gender":"male"`)
	handIn(t, r, "a", accepted(one, record.Ref{}))
	was := stateOf(t, r, "a", []*pen{p}, one.Key, other.Key)
	for name, on := range map[string]record.Ref{"none": {}, "another": other.Ref} {
		err := r.Apply(context.Background(), record.Stretch{Peer: "a", Taken: []record.Decided{accepted(other, record.Ref{}), accepted(edit, on)}})
		if !errors.Is(err, record.ErrMoved) {
			t.Errorf("decided on %s: %v, want ErrMoved", name, err)
		}
	}
	stateOf(t, r, "a", []*pen{p}, one.Key, other.Key).same(t, was, "a stretch that failed")
}

// What is parked is held, and the chain covers it: a receipt says that it is safe,
// not that it was taken. It is no part of the history, and is not offered.
func parkedHere(t *testing.T, r engine.Replica) {
	p := newPen('a')
	bad, good := p.birth("Patient"), p.birth("Patient")
	handIn(t, r, "a", parked(bad, record.Ref{}), accepted(good, record.Ref{}))
	st := look(t, r, bad.Key, bad.Ref, bad.Ref)
	if _, refused := st.Refused[bad.Ref.Name]; !refused || len(st.Known) != 0 || st.Head != nil || st.Base != nil {
		t.Errorf("got %+v", st)
	}
	if link, ok := chain(t, r, p.top.Lineage, p.top.N); !ok || link != p.top {
		t.Errorf("the chain ends at %+v, want %+v: what is parked is held too", link, p.top)
	}
	offered, _ := all(t, r, "a", own(0), 10)
	if slices.Contains(keys(offered), bad.Key.String()) {
		t.Error("what is parked is offered")
	}
	// Decided anew, it can be taken.
	handIn(t, r, "a", accepted(bad, record.Ref{}))
	st = look(t, r, bad.Key, bad.Ref, bad.Ref)
	if len(st.Refused) != 0 || st.Head.Ref() != bad.Ref {
		t.Errorf("taken in the end: %+v", st)
	}
}

// A chain reaches as far as there is no gap, whatever came above one; when the gap
// closes it covers all. There is a link where there is a change, and nowhere else.
func gaps(t *testing.T, r engine.Replica) {
	p := newPen('a')
	var cs []record.Change
	links := []record.Link{p.top}
	for range 5 {
		cs = append(cs, p.birth("Patient"))
		links = append(links, p.top)
	}
	for _, step := range []struct{ change, reaches int }{{0, 1}, {3, 1}, {4, 1}, {2, 1}, {1, 5}, {1, 5}} {
		d := accepted(cs[step.change], record.Ref{})
		if head := look(t, r, d.Key, record.Ref{}).Head; head != nil {
			d.On, d.Verdict = head.Ref(), record.Known
		}
		handIn(t, r, "a", d)
		if got, _ := chain(t, r, p.top.Lineage, 0); got != links[step.reaches] {
			t.Errorf("after change %d the chain reaches %d, want %d", step.change+1, got.N, links[step.reaches].N)
		}
	}
	for i, l := range links[1:] {
		if got, ok := chain(t, r, l.Lineage, l.N); !ok || got != l {
			t.Errorf("link %d: %+v, %t; want %+v", i+1, got, ok, l)
		}
		if _, ok := chain(t, r, l.Lineage, l.N-1); ok { // an id took that number
			t.Errorf("there is a link at %d, where no change is", l.N-1)
		}
	}
}

// The replica names the merge, and leaves the decision as it was handed in. The
// merge is above both sides, and everybody is offered it alone.
func merged(t *testing.T, r engine.Replica) {
	p, q := newPen('a'), newPen('b')
	one := p.birth("Organization")
	mine := p.edit(one.Version, `,"alias":["x"]`)
	theirs := q.edit(one.Version, `,"alias":["y"]`)
	handIn(t, r, "a", accepted(one, record.Ref{}))
	handIn(t, r, "a", accepted(mine, one.Ref))
	above := &record.Version{Key: one.Key, Base: mine.Ref, Includes: []record.Ref{theirs.Ref}, Author: "tram", Trace: one.Version.Trace,
		Seen: mine.Version.Seen.Union(theirs.Version.Seen), Content: content(one.Key, `,"alias":["x","y"]`)}
	handIn(t, r, "b", record.Decided{Change: theirs, On: mine.Ref, Verdict: record.Merged, Merge: above})
	if !above.Name.IsZero() {
		t.Error("the decision handed in was changed")
	}
	st := look(t, r, one.Key, theirs.Ref, theirs.Ref)
	h := st.Head
	if h == nil || h.Name.IsZero() || h.Name == theirs.Ref.Name || !h.Seen.Has(h.Name) || !h.Seen.Covers(above.Seen) || h.Base != mine.Ref || !slices.Equal(h.Includes, above.Includes) {
		t.Fatalf("head: %+v", h)
	}
	if st.Base.Ref() != theirs.Ref || len(st.Known) != 1 {
		t.Errorf("what was merged is not in the history: %+v", st)
	}
	for _, peer := range []string{"a", "b"} {
		got, _ := all(t, r, peer, record.Cursor{Feed: record.SharedFeed}, 10)
		if len(got) != 1 || got[0].Ref != h.Ref() || got[0].Version.Ref() != h.Ref() {
			t.Errorf("offered to %s: %+v, want the merge alone", peer, got)
		}
	}
	if link, _ := chain(t, r, q.top.Lineage, 0); link != q.top {
		t.Errorf("b's chain: %+v, want %+v", link, q.top)
	}
}

// A feed names each record once, at its newest place, whatever the size of the
// pages. A cursor stays good when the record at which it stands moves on.
func pages(t *testing.T, r engine.Replica) {
	p := newPen('a')
	var cs []record.Change
	for range 7 {
		cs = append(cs, p.birth("Organization"))
		handIn(t, r, "a", accepted(cs[len(cs)-1], record.Ref{}))
	}
	edit := p.edit(cs[1].Version, `,"alias":["x"]`)
	handIn(t, r, "a", accepted(edit, cs[1].Ref))
	want := []string{}
	for _, i := range []int{0, 2, 3, 4, 5, 6, 1} {
		want = append(want, cs[i].Key.String())
	}
	zero := record.Cursor{Feed: record.SharedFeed}
	for max := 1; max <= 9; max++ {
		got, end := all(t, r, "b", zero, max)
		if !slices.Equal(keys(got), want) {
			t.Errorf("%d at a time: %v, want %v: each record once, at its newest place", max, keys(got), want)
		}
		if last := got[len(got)-1]; last.Ref != edit.Ref || last.Seq != end.Seq {
			t.Errorf("%d at a time: it ends with %v at %d, cursor %d", max, last.Ref, last.Seq, end.Seq)
		}
		if more, again := all(t, r, "b", end, max); len(more) != 0 || again != end {
			t.Errorf("behind the end: %v, cursor %+v; want none and %+v", keys(more), again, end)
		}
	}
	// A cursor given before stays good when the record at it moved on.
	page, err := r.Offer("b", zero, 3)
	if err != nil || !page.More || len(page.Changes) != 3 {
		t.Fatalf("first page: %+v, %v", page, err)
	}
	next := p.edit(look(t, r, page.Changes[2].Key, record.Ref{}).Head, `,"alias":["y"]`)
	handIn(t, r, "a", accepted(next, page.Changes[2].Ref))
	got, _ := all(t, r, "b", page.Cursor, 3)
	if len(got) != 5 || got[4].Ref != next.Ref {
		t.Errorf("after a cursor whose record moved: %v, want the other four and it", keys(got))
	}
	tree(t, r, "b", record.SharedFeed, cs[0].Ref, edit.Ref, cs[2].Ref, next.Ref, cs[4].Ref, cs[5].Ref, cs[6].Ref)
}

// A cursor that this feed did not give fails with ErrCursor: one side was restored.
// How often a feed was compared anew is for the asker to count, and is handed back.
func cursors(t *testing.T, r engine.Replica) {
	p := newPen('a')
	for range 3 {
		handIn(t, r, "a", accepted(p.birth("Organization"), record.Ref{}))
	}
	_, good := all(t, r, "a", record.Cursor{Feed: record.SharedFeed}, 2)
	for name, change := range map[string]func(*record.Cursor){
		"of another epoch":  func(c *record.Cursor) { c.Epoch = "another" },
		"of no epoch":       func(c *record.Cursor) { c.Epoch = "" },
		"of another entry":  func(c *record.Cursor) { c.Digest = record.Sum([]byte("x")) },
		"without a digest":  func(c *record.Cursor) { c.Digest = record.Digest{} },
		"behind the end":    func(c *record.Cursor) { c.Seq += 100 },
		"of the other feed": func(c *record.Cursor) { c.Feed = record.OwnFeed },
	} {
		c := good
		change(&c)
		if page, err := r.Offer("a", c, 10); !errors.Is(err, record.ErrCursor) {
			t.Errorf("%s: %+v, %v; want ErrCursor", name, page, err)
		}
	}
	turned := good
	turned.Turn = 9
	if page, err := r.Offer("a", turned, 10); err != nil || page.Cursor.Turn != 9 {
		t.Errorf("turns are the asker's to count: %+v, %v", page.Cursor, err)
	}
}

// A person is offered to the station that handed it in, and to no other; what is
// about nobody is everybody's.
func feeds(t *testing.T, r engine.Replica) {
	p, q := newPen('a'), newPen('b')
	mine, theirs, org := p.birth("Patient"), q.birth("Patient"), p.birth("Organization")
	handIn(t, r, "a", accepted(mine, record.Ref{}), accepted(org, record.Ref{}))
	handIn(t, r, "b", accepted(theirs, record.Ref{}))
	for peer, person := range map[string]record.Change{"a": mine, "b": theirs} {
		got, _ := all(t, r, peer, own(0), 10)
		got = slices.DeleteFunc(got, func(c record.Change) bool { return c.Key.Kind == "Basic" })
		if len(got) != 1 || got[0].Ref != person.Ref || got[0].Version.Ref() != person.Ref {
			t.Errorf("%s is offered %v, want its own person", peer, keys(got))
		}
		tree(t, r, peer, record.OwnFeed, append(scopes(t, r, peer), person.Ref)...)
		tree(t, r, peer, record.SharedFeed, org.Ref)
	}
	if got, _ := all(t, r, "nobody", own(0), 10); len(got) != 0 {
		t.Errorf("an unknown peer is offered %v", keys(got))
	}
}

// Of several exchanges at once that decided on one head, one is applied.
func several(t *testing.T, r engine.Replica) {
	org := newPen('c').birth("Organization")
	handIn(t, r, "a", accepted(org, record.Ref{}))
	var all sync.WaitGroup
	won := make([]error, 8)
	for i := range won {
		p := newPen(byte('d' + i))
		edit := p.edit(org.Version, `,"alias":["`+string(rune('a'+i))+`"]`)
		person := p.birth("Patient")
		all.Go(func() {
			won[i] = r.Apply(context.Background(), record.Stretch{Peer: []string{"a", "b"}[i%2],
				Taken: []record.Decided{accepted(person, record.Ref{}), accepted(edit, org.Ref)}})
		})
	}
	all.Wait()
	n := 0
	for _, err := range won {
		switch {
		case err == nil:
			n++
		case !errors.Is(err, record.ErrMoved):
			t.Errorf("got %v, want ErrMoved", err)
		}
	}
	if n != 1 {
		t.Errorf("%d of 8 became the head on one base, want 1", n)
	}
}
