package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
)

func offer(t *testing.T, s *store.Store, to, feed string, after record.Cursor, max int) record.Page {
	t.Helper()
	after.Feed = feed
	page, err := s.Offer(to, after, max)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestFeedOffersOnlyTheNewestOfEach(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	p := born(t, a, hoa)
	o := about(t, a, "Observation", "subject", p.Key.ID, obs)
	push(t, a, c)
	first := offer(t, c, "a", record.OwnFeed, record.Cursor{}, 1)
	if len(first.Changes) != 1 || !first.More {
		t.Fatalf("first page: %d changes, more %t", len(first.Changes), first.More)
	}
	var last *record.Version
	for i := range 5 {
		last = put(t, c, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+fmt.Sprintf(`,"multipleBirthInteger":%d`, i+1))})
	}
	got := map[record.Key]record.Ref{}
	for after, more := first.Cursor, true; more; {
		page := offer(t, c, "a", record.OwnFeed, after, 2)
		for _, ch := range page.Changes {
			if _, twice := got[ch.Key]; twice {
				t.Errorf("%s is offered twice", ch.Key)
			}
			got[ch.Key] = ch.Ref
		}
		after, more = page.Cursor, page.More
	}
	if len(got) != 3 || got[p.Key] != last.Ref() || got[o.Key] != o.Ref() { // with the scope record
		t.Errorf("behind the first page: %v", got)
	}
	pull(t, c, a)
}

// A page ends behind some megabytes, whatever it is allowed: up and down.
func TestPageEndsWhereItIsLarge(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	large := `,"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + strings.Repeat("x", 1<<20) + `</div>"}`
	for range 20 {
		born(t, a, hoa+large)
	}
	up, err := a.Offer(store.Upstream, record.Cursor{}, 256)
	if err != nil || len(up.Changes) != 8 || !up.More {
		t.Errorf("up: %d changes, more %t, %v", len(up.Changes), up.More, err)
	}
	push(t, a, c)
	down := offer(t, c, "a", record.OwnFeed, record.Cursor{}, 256)
	if n := len(down.Changes); n < 8 || n > 17 || !down.More { // scope records stand between
		t.Errorf("down: %d changes, more %t", n, down.More)
	}
	pull(t, c, a)
}

func TestCursorOfAnotherFeedIsRefused(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a := station(t, "a")
	born(t, a, hoa)
	push(t, a, c)
	good := offer(t, c, "a", record.OwnFeed, record.Cursor{}, 1).Cursor
	if _, err := c.Offer("a", good, 10); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*record.Cursor){
		"digest":      func(c *record.Cursor) { c.Digest[0] ^= 1 },
		"no digest":   func(c *record.Cursor) { c.Digest = record.Digest{} },
		"epoch":       func(c *record.Cursor) { c.Epoch = "another" },
		"sequence":    func(c *record.Cursor) { c.Seq++ },
		"far behind":  func(c *record.Cursor) { c.Seq = ^uint64(0) },
		"other feed":  func(c *record.Cursor) { c.Feed = record.SharedFeed },
		"no sequence": func(c *record.Cursor) { c.Seq = 0 }, // the start is good, whatever is said of it
	} {
		bad := good
		change(&bad)
		_, err := c.Offer("a", bad, 10)
		if want := name != "no sequence"; errors.Is(err, record.ErrCursor) != want {
			t.Errorf("%s: %v, want ErrCursor %t", name, err, want)
		}
	}
	if _, err := c.Offer("b", good, 10); !errors.Is(err, record.ErrCursor) {
		t.Errorf("another's cursor: %v", err)
	}
}

// TestChainWaitsAtAGap hands in the changes 1, 3, 4 and then 2.
func TestChainWaitsAtAGap(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	for range 4 {
		born(t, a, "")
	}
	changes := own(t, a)
	hand := func(i int) {
		t.Helper()
		apply(t, c, record.Stretch{Peer: "a", Taken: []record.Decided{decided(t, c, changes[i])}})
	}
	chain := func(want int) {
		t.Helper()
		l := a.Lineage()
		theirs, _, err := c.Chain(l, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := changes[want].Ref.Name.N
		ours, ok, err := a.Chain(l, n)
		if err != nil || !ok || ours != theirs {
			t.Errorf("upstream's chain ends at %d, want %d with the same digest (%t, %v)", theirs.N, n, ok, err)
		}
		if _, ok, _ := c.Chain(l, changes[3].Ref.Name.N); ok != (want == 3) {
			t.Errorf("upstream's chain reaches the last: %t", ok)
		}
	}
	hand(0)
	chain(0)
	hand(2)
	hand(3)
	chain(0)
	hand(1)
	chain(3)
	for i := range changes {
		hand(i) // all again: known
	}
	chain(3)
}

func TestParkedAndRefusedStand(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	good, bad := born(t, a, hoa), born(t, a, "")
	again := put(t, a, store.Write{Key: bad.Key, Base: store.Any, Content: patient(bad.Key.ID, `,"gender":"male"`)})
	var back record.Stretch
	for _, ch := range own(t, a) {
		d := decided(t, c, ch)
		if ch.Key == bad.Key {
			d.Verdict, d.Reason = record.Parked, record.NotAllowed
		}
		apply(t, c, record.Stretch{Peer: "a", Taken: []record.Decided{d}})
		if ch.Key == bad.Key {
			apply(t, c, record.Stretch{Peer: "a", Taken: []record.Decided{d}}) // a repeat
		}
		back.Answers = append(back.Answers, record.Answer{Key: ch.Key, Ref: ch.Ref, Verdict: d.Verdict, Reason: d.Reason})
	}
	link, _, err := c.Chain(a.Lineage(), 0)
	if err != nil || link.N != again.Name.N {
		t.Fatalf("the chain ends at %v, %v; want %v, parked ones too", link, err, again.Name)
	}
	back.Receipts = []record.Receipt{{Link: link}}
	apply(t, a, back)
	apply(t, a, back)
	if held, err := c.Held(); err != nil || len(held) != 2 {
		t.Errorf("held at upstream: %d, %v; want 2", len(held), err)
	}
	if got := has(t, c, bad.Key, good.Key); got != "01" {
		t.Errorf("upstream shows %s", got)
	}
	st, err := a.Get(bad.Key)
	if err != nil || st.Parked != record.NotAllowed || st.Shown.Name != again.Name {
		t.Errorf("at its maker: %+v, %v", st, err)
	}
	for v, want := range map[*record.Version]record.Place{good: record.Centre, bad: record.NeedsUs, again: record.NeedsUs} {
		if got, err := a.PlaceOf(v.Key, v.Name); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", v.Name, got, err, want)
		}
	}
	if n, err := a.Waiting(); err != nil || n.Waiting != 0 || n.Parked != 2 || n.Records != 2 {
		t.Errorf("counts %+v, %v", n, err)
	}
	if n, err := a.Alike(); err != nil || n != 1 {
		t.Errorf("%d are as upstream has them, %v", n, err)
	}
	if left := own(t, a); len(left) != 0 {
		t.Errorf("offered again: %v", left)
	}
	d := decided(t, c, record.Change{Key: bad.Key, Ref: bad.Ref(), Version: bad}) // allowed now
	apply(t, c, record.Stretch{Peer: "a", Taken: []record.Decided{d}})
	apply(t, a, record.Stretch{Answers: []record.Answer{{Key: bad.Key, Ref: bad.Ref(), Verdict: record.Accepted}}})
	if held, err := c.Held(); err != nil || len(held) != 1 {
		t.Errorf("held after one was taken: %d, %v", len(held), err)
	}
}

func TestReceiptLetsGoOfNoMoreThanItCovers(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	var vs []*record.Version
	var back record.Stretch
	for range 3 {
		vs = append(vs, born(t, a, ""))
	}
	for _, ch := range own(t, a) {
		apply(t, c, record.Stretch{Peer: "a", Taken: []record.Decided{decided(t, c, ch)}})
		back.Answers = append(back.Answers, record.Answer{Key: ch.Key, Ref: ch.Ref, Verdict: record.Accepted})
	}
	apply(t, a, back)
	receipt := func(n uint64) {
		link, ok, err := c.Chain(a.Lineage(), n)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		apply(t, a, record.Stretch{Receipts: []record.Receipt{{Link: link}}})
	}
	places := func() (out string) {
		for _, v := range vs {
			p, err := a.PlaceOf(v.Key, v.Name)
			if err != nil {
				t.Fatal(err)
			}
			out += string(p) + " "
		}
		return out
	}
	for i, want := range []string{"here here here ", "centre centre here ", "centre centre here ", "centre centre centre "} {
		if i > 0 {
			receipt(vs[[]int{0, 1, 0, 2}[i]].Name.N)
		}
		if got := places(); got != want {
			t.Errorf("after receipt %d: %s, want %s", i, got, want)
		}
	}
	if r, err := a.Receipt(a.Lineage()); err != nil || r.N != vs[2].Name.N {
		t.Errorf("the newest receipt is for %d, %v; want %d", r.N, err, vs[2].Name.N)
	}
	receipt(vs[0].Name.N)
	if r, err := a.Receipt(a.Lineage()); err != nil || r.N != vs[2].Name.N {
		t.Errorf("after an older one the newest is for %d, %v; want %d", r.N, err, vs[2].Name.N)
	}
	other := record.Receipt{Link: record.Link{Lineage: "abcdefghijklmno2", N: 99}}
	born(t, a, "")
	apply(t, a, record.Stretch{Receipts: []record.Receipt{other}})
	if left := own(t, a); len(left) != 1 {
		t.Errorf("another lineage's receipt left %d, want 1", len(left))
	}
}

func TestStretchIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	p := born(t, a, hoa)
	push(t, a, c)
	edit := put(t, c, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+`,"gender":"female"`)})
	other := born(t, c, "")
	grant(t, c, other.Key, "a")
	page := offer(t, c, "a", record.OwnFeed, record.Cursor{}, 10)
	st := record.Stretch{Peer: "centre", Cursor: &page.Cursor}
	for _, ch := range page.Changes {
		st.Arrived = append(st.Arrived, arrival(t, a, ch))
	}
	before, _ := a.Cursor(record.OwnFeed)
	for name, spoil := range map[string]func(a *record.Arrival) bool{
		"a name not held":         func(a *record.Arrival) bool { a.Version = nil; return a.Key == other.Key },
		"another pending version": func(a *record.Arrival) bool { a.On = record.Ref{}; return a.Key == p.Key },
	} {
		bad := st
		bad.Arrived = nil
		for _, in := range st.Arrived {
			if spoiled := in; spoil(&spoiled) {
				in = spoiled
			}
			bad.Arrived = append(bad.Arrived, in)
		}
		err := a.Apply(context.Background(), bad)
		if !errors.Is(err, record.ErrNotFound) && !errors.Is(err, record.ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
		after, _ := a.Cursor(record.OwnFeed)
		if got := has(t, a, other.Key); got != "0" || after != before {
			t.Errorf("%s: part of a refused stretch is there, cursor %+v", name, after)
		}
	}
	apply(t, a, st)
	again, err := a.Get(p.Key)
	if err != nil || again.Shown.Ref() != edit.Ref() || len(again.Pending) != 0 {
		t.Errorf("after the stretch: %+v, %v", again, err)
	}
	history, _ := a.History(p.Key)
	for i := range st.Arrived {
		st.Arrived[i].On = record.Ref{}
	}
	apply(t, a, st)
	if twice, _ := a.History(p.Key); len(twice) != len(history) {
		t.Errorf("applied twice: %d versions, before %d", len(twice), len(history))
	}
	d := decided(t, c, record.Change{Key: p.Key, Ref: edit.Ref(), Version: edit})
	d.Verdict, d.On = record.Accepted, p.Ref() // the head has moved since
	if err := c.Apply(context.Background(), record.Stretch{Peer: "a", Taken: []record.Decided{d}}); !errors.Is(err, record.ErrMoved) {
		t.Errorf("a decision on an old head: %v, want ErrMoved", err)
	}
}

// TestPendingStaysLaidOver pulls upstream's edit under a pending one:
//
//	U0 -> P1 (pending)
//	U0 -> U1
func TestPendingStaysLaidOver(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	p := born(t, a, hoa)
	push(t, a, c)
	pull(t, c, a)
	mine := put(t, a, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+`,"gender":"female"`)})
	put(t, c, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, `,"name":[{"text":"Hoà"}]`)})
	pull(t, c, a)
	st, err := a.Get(p.Key)
	if err != nil || !st.Preview() || len(st.Pending) != 1 || st.Pending[0] != mine.Ref() {
		t.Fatalf("under a pending edit: %+v, %v", st, err)
	}
	if _, err := a.Put(context.Background(), store.Write{Key: p.Key, Base: mine.Name.String(), Delete: true, Author: "hoa"}); !errors.Is(err, record.ErrStale) {
		t.Errorf("a write that did not see the preview: %v", err)
	}
	over := put(t, a, store.Write{Key: p.Key, Base: st.Tag(), Content: patient(p.Key.ID, hoa+`,"gender":"other"`)})
	if over.Base != st.Head.Ref() || len(over.Includes) != 1 || over.Includes[0] != mine.Ref() {
		t.Errorf("saved over a preview: base %s, includes %v", over.Base, over.Includes)
	}
}

func TestMergeIsNamedOnceAndItsLossesKept(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	push(t, a, c)
	grant(t, c, p.Key, "b")
	pull(t, c, a)
	pull(t, c, b)
	mine := put(t, a, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+`,"gender":"female"`)})
	put(t, b, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, `,"name":[{"text":"Hoà"}]`)})
	push(t, a, c)
	ch := own(t, b)[0]
	d := decided(t, c, ch)
	d.Verdict, d.Merge = record.Merged, &record.Version{Key: p.Key, Base: mine.Ref(), Includes: []record.Ref{ch.Ref},
		Seen: mine.Seen.Union(ch.Version.Seen), Author: "merge", Content: mine.Content, Trace: mine.Trace,
		Lost: []record.Lost{{Path: "name", Value: []byte(`{}`), Won: []byte(`{}`), Policy: "later"}}}
	apply(t, c, record.Stretch{Peer: "b", Taken: []record.Decided{d}})
	for range 2 { // and a repeat: known by then
		apply(t, c, record.Stretch{Peer: "b", Taken: []record.Decided{decided(t, c, ch)}})
	}
	pull(t, c, a)
	pull(t, c, b)
	for _, s := range []*store.Store{c, a, b} {
		st, err := s.Get(p.Key)
		if err != nil || st.Shown.Name.IsZero() || len(st.Pending) != 0 || st.Shown.Includes[0] != ch.Ref {
			t.Fatalf("%s shows %+v, %v", s.Name(), st, err)
		}
		if lost, err := s.Vault(p.Key, 10); err != nil || len(lost) != 1 {
			t.Errorf("%s: %d values in the vault, %v; want 1", s.Name(), len(lost), err)
		}
	}
	// told once more, from the start of the feed
	page := offer(t, c, "a", record.OwnFeed, record.Cursor{}, 10)
	page.Cursor.Turn = 1
	st := record.Stretch{Peer: "centre", Cursor: &page.Cursor}
	for _, ch := range page.Changes {
		st.Arrived = append(st.Arrived, arrival(t, a, ch))
	}
	apply(t, a, st)
	if lost, err := a.Vault(p.Key, 10); err != nil || len(lost) != 1 {
		t.Errorf("told again: %d values in the vault, %v; want 1", len(lost), err)
	}
	narrow(t, c, p.Key, "a")
	pull(t, c, b)
	if lost, err := b.Vault(record.Key{}, 10); err != nil || len(lost) != 0 {
		t.Errorf("given up, and %d of its values are still in the vault, %v", len(lost), err)
	}
}

func TestTwinBeginsANewLineage(t *testing.T) {
	t.Parallel()
	s := station(t, "a")
	v := born(t, s, "")
	l := s.Lineage()
	for _, step := range []struct {
		name string
		seen record.Name
		want bool
	}{
		{"drawn here", v.Name, false},
		{"of another lineage", record.Name{Lineage: "abcdefghijklmno2", N: 1 << 60}, false},
		{"never drawn", record.Name{Lineage: l, N: 1000}, true},
		{"the same once more", record.Name{Lineage: l, N: 1000}, false},
	} {
		got, err := s.Relineage(context.Background(), step.seen)
		if err != nil || got != step.want {
			t.Errorf("%s: %t, %v; want %t", step.name, got, err, step.want)
		}
	}
	lives, err := s.Lives(5)
	if err != nil || len(lives) != 2 || lives[0].Lineage != s.Lineage() || lives[0].Continues != l || s.Lineage() == l {
		t.Errorf("lives %+v, %v", lives, err)
	}
	if w := born(t, s, ""); w.Name.Lineage != s.Lineage() {
		t.Errorf("written under %s", w.Name)
	}
	storetest.Check(t, s)
}

// v0 -> v1 was the head and is receipted; v0 -> c1 comes down in its place.
func TestHeadThatUpstreamForgotIsOfferedAgain(t *testing.T) {
	t.Parallel()
	c, s := top(t, "a"), station(t, "a")
	v0 := born(t, s, hoa)
	push(t, s, c)
	pull(t, c, s)
	v1 := put(t, s, store.Write{Key: v0.Key, Base: store.Any, Content: patient(v0.Key.ID, hoa+`,"gender":"female"`)})
	push(t, s, c)
	pull(t, c, s)
	l := s.Lineage()
	other := record.Name{Lineage: "abcdefghijklmnop", N: 1}
	c1 := &record.Version{Key: v0.Key, Name: other, Base: v0.Ref(), Seen: v0.Seen.With(other), Author: "nurse", Content: v0.Content}
	st := record.Stretch{Cursor: &record.Cursor{Feed: record.OwnFeed, Seq: 99}, Arrived: []record.Arrival{
		{Change: record.Change{Seq: 98, Key: c1.Key, Ref: c1.Ref(), Version: c1}},
		{Change: record.Change{Seq: 99, Key: c1.Key, Ref: record.Ref{Name: other}}}, // and this the store does not hold
	}}
	if err := s.Apply(context.Background(), st); err == nil || s.Lineage() != l || len(own(t, s)) != 0 {
		t.Fatalf("a refused stretch: %v, writes under %s instead of %s", err, s.Lineage(), l)
	}
	st.Arrived = st.Arrived[:1]
	apply(t, s, st)
	if got := own(t, s); len(got) != 1 || got[0].Ref != v1.Ref() {
		t.Errorf("offers %v, want %s alone", got, v1.Name)
	}
	v2 := put(t, s, store.Write{Key: v0.Key, Base: store.Any, Content: patient(v0.Key.ID, hoa+`,"active":true`)})
	if v2.Seen.Has(v1.Name) {
		t.Errorf("%s was made from %s and says to have seen %s", v2.Name, c1.Name, v1.Name)
	}
}
