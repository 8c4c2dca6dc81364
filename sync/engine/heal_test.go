package engine_test

import (
	"errors"
	"testing"

	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// liar is an upstream whose trees differ from everybody's, for ever.
type liar struct{ engine.Replica }

func (l liar) Agreed(peer, feed string, in record.Part, each func(record.Change) error) (record.Agreement, error) {
	out, err := l.Replica.Agreed(peer, feed, in, each)
	out.Tree[7][0] ^= 1
	return out, err
}

func TestHealingThatGetsNowhereGivesWay(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	w.above = func(r engine.Replica) engine.Replica { return liar{r} }
	n := 1
	for r := w.once("a"); r.More || r.Waiting; r = w.once("a") {
		if r.Equal {
			t.Fatal("called equal")
		}
		if n++; n > 20 {
			t.Fatal("it goes on at once for ever")
		}
	}
	if !a.last.Proved || a.last.Equal || place(t, a, k) != record.Centre {
		t.Errorf("it ends with %+v", a.last)
	}
	// When the trees are right again, that is found out and counted anew.
	w.above = nil
	w.sync("a")
	if !a.last.Equal || a.last.Next.Unequal != 0 {
		t.Errorf("healed: %+v", a.last)
	}
}

func TestVerdictOfALaterProtocolIsParked(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	ask, serve := w.halves(a)
	err := w.pump(ask, serve, nil, func(f *wire.Frame) bool {
		if f.Answer != nil {
			f.Answer.Verdict, f.Answer.Reason = "embargoed", "a-reason-of-2031"
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := ask.Result(); r.Taken != 0 || r.Parked != 1 {
		t.Errorf("taken %d, parked %d; want 0 and 1", r.Taken, r.Parked)
	}
	if p := place(t, a, k); p != record.NeedsUs {
		t.Errorf("it shows as %q", p)
	}
	if page, err := a.Offer(engine.Upstream, record.Cursor{}, 5); err != nil || len(page.Changes) != 0 {
		t.Errorf("it is offered on: %+v, %v", page, err)
	}
}

// Frames that come where none belongs end the exchange; what was committed stays.
func TestAnswersOutOfPlaceAreNonsense(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	born := a.born(t, hoa)
	w.sync("a")
	if got := place(t, a, born); got != record.Centre {
		t.Fatalf("not there to begin with: %s", got)
	}
	stranger := record.Ref{Name: record.Name{Lineage: "strangerstranger", N: 3}}
	stretched := &wire.Frame{Change: &record.Change{Seq: 900, Key: record.Key{Kind: "Patient", ID: "x"}, Ref: stranger}}
	for name, frames := range map[string][]*wire.Frame{
		"an end before the welcome":       {{End: &wire.End{}}},
		"a change before the welcome":     {stretched},
		"a mark before the welcome":       {{Mark: &wire.Mark{}}},
		"an answer that nobody asked for": {{Welcome: &wire.Welcome{}}, {Answer: &record.Answer{Ref: stranger, Verdict: record.Accepted}}},
		"a change without a cursor":       {{Welcome: &wire.Welcome{}}, stretched, {Mark: &wire.Mark{}}},
		"a change without a mark":         {{Welcome: &wire.Welcome{}}, stretched, {End: &wire.End{}}},
		"a change of nothing":             {{Welcome: &wire.Welcome{}}, {Change: &record.Change{Key: stretched.Change.Key}}},
		"a receipt nobody signed":         {{Welcome: &wire.Welcome{}}, {Receipt: &record.Receipt{}}},
		"a node that is none":             {{Welcome: &wire.Welcome{}}, {Leaves: &wire.Leaves{Feed: record.OwnFeed, At: "1G"}}},
		"a node below the last":           {{Welcome: &wire.Welcome{}}, {Leaves: &wire.Leaves{Feed: record.OwnFeed, At: "0123456789abcdef", Sums: make([]byte, 128)}}},
		"15 sums below a node":            {{Welcome: &wire.Welcome{}}, {Leaves: &wire.Leaves{Feed: record.OwnFeed, At: "7", Sums: make([]byte, 120)}}},
		"two feeds in one comparison":     {{Welcome: &wire.Welcome{}}, {Leaves: &wire.Leaves{Feed: record.OwnFeed, At: "7"}}, {Leaves: &wire.Leaves{Feed: record.SharedFeed, At: "7"}}},
	} {
		ask, _ := w.halves(a)
		var err error
		for err == nil { // the request goes nowhere
			_, err = ask.Next()
		}
		for _, f := range frames {
			if err = ask.Take(t.Context(), f); err != nil {
				break
			}
		}
		if !errors.Is(err, wire.ErrNonsense) {
			t.Errorf("%s: %v, want nonsense", name, err)
		}
		if r := ask.Result(); r.Proved || r.Equal {
			t.Errorf("%s: called equal", name)
		}
	}
	w.sync("a")
	if !a.last.Equal {
		t.Errorf("afterwards: %+v", a.last)
	}
}

// What a station says out of place is refused before anything is applied.
func TestRequestsOutOfPlaceAreNonsense(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	page, err := a.Offer(engine.Upstream, record.Cursor{}, 1)
	if err != nil || len(page.Changes) != 1 {
		t.Fatalf("offer: %+v, %v", page, err)
	}
	change := &wire.Frame{Change: &page.Changes[0]}
	said := wire.Hello{Protocol: wire.Protocol, Replica: "a", Life: a.Lineage()}
	hello := &wire.Frame{Hello: &said}
	greedy, nobody, old, all := said, said, said, said
	greedy.Cursors, nobody.Life, old.Continues = make([]record.Cursor, 5), "ABC", make([]record.Lineage, 257)
	all.Want = []wire.Want{{Feed: record.SharedFeed}, {Feed: record.OwnFeed, Keys: make([]record.Key, 1<<16+1)}}
	bare := page.Changes[0]
	bare.Version = nil
	authorless := *page.Changes[0].Version
	authorless.Author = ""
	odd := page.Changes[0]
	odd.Version = &authorless
	for name, frames := range map[string][]*wire.Frame{
		"a change before the hello":   {change},
		"two hellos":                  {hello, hello},
		"an end without a mark":       {hello, change, {End: &wire.End{}}},
		"a name without its version":  {hello, {Change: &bare}, {Mark: &wire.Mark{}}},
		"a version without an author": {hello, {Change: &odd}, {Mark: &wire.Mark{}}},
		"five cursors":                {{Hello: &greedy}},
		"no lineage":                  {{Hello: &nobody}},
		"too long a past":             {{Hello: &old}},
		"too much that is wanted":     {{Hello: &all}},
		"a stretch without end":       append([]*wire.Frame{hello}, many(change, 4097)...),
	} {
		_, serve := w.halves(a)
		var err error
		for _, f := range frames {
			if err = serve.Take(t.Context(), f); err != nil {
				break
			}
		}
		if !errors.Is(err, wire.ErrNonsense) {
			t.Errorf("%s: %v, want nonsense", name, err)
		}
		if got := content(t, w.centre, k); got != record.ErrNotFound.Error() {
			t.Fatalf("%s: the centre took %s", name, got)
		}
	}
}

func many(f *wire.Frame, n int) []*wire.Frame {
	out := make([]*wire.Frame, n)
	for i := range out {
		out[i] = f
	}
	return out
}
