package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/wire"
)

// spoken counts what is said in an exchange in the newest protocol, and lets it go on.
func (w *world) spoken(s *station, up, down func(*wire.Frame) bool) (request, answer []*wire.Frame, err error) {
	w.t.Helper()
	ask, serve := w.halvesIn(wire.Protocol, s)
	keep := func(to *[]*wire.Frame, also func(*wire.Frame) bool) func(*wire.Frame) bool {
		return func(f *wire.Frame) bool {
			if also != nil && !also(f) {
				return false
			}
			*to = append(*to, f)
			return true
		}
	}
	err = w.pump(ask, serve, keep(&request, up), keep(&answer, down))
	s.last = ask.Result()
	next := s.last.Next
	s.carry = &next
	return request, answer, err
}

// a: three births, one of them refused, and edits of one of them and of what the centre
// had: what the centre can tell by itself does not travel.
func TestWhatTheOtherSideKnowsDoesNotTravel(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	old := a.born(t, hoa)
	w.sync("a")
	w.admit = func(v *record.Version) record.Reason {
		if strings.Contains(string(v.Content), "refused") {
			return record.NotAllowed
		}
		return ""
	}
	k := a.born(t, hoa)
	a.edit(t, k, hoa+phone("0911"))
	bad := a.born(t, hoa+`,"language":"refused"`)
	a.edit(t, old, hoa+phone("0912"))
	request, answer, err := w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	edits, births, whole := 0, 0, 0
	for _, f := range request {
		switch {
		case f.Edit != nil:
			edits++
		case f.Change != nil:
			births++
		case f.Mark != nil && len(f.Mark.Sum) == wire.SumLen:
			whole++
		}
	}
	if edits != 2 || births != 2 || whole != 1 {
		t.Errorf("%d edits, %d whole versions, %d sums; want 2, 2 and 1", edits, births, whole)
	}
	var words []wire.Answers
	echoes, names := 0, 0
	for _, f := range answer {
		switch {
		case f.Answers != nil:
			words = append(words, *f.Answers)
		case f.Echo != nil:
			echoes += f.Echo.N
		case f.Change != nil && f.Change.Version == nil:
			names++
		}
	}
	if len(words) != 3 || words[0].N != 2 || words[1].Verdict != record.Parked || words[2].N != 1 || echoes != 2 || names != 0 {
		t.Errorf("answers %+v, %d echoes and %d names; want 2, 1 parked and 1, 2 echoes and no name", words, echoes, names)
	}
	if got := w.equal(k); !strings.Contains(got, "0911") {
		t.Errorf("%s", got)
	}
	if got := w.equal(old); !strings.Contains(got, "0912") {
		t.Errorf("%s", got)
	}
	if p := place(t, a, bad); p != record.NeedsUs {
		t.Errorf("the refused one is at %q", p)
	}
	w.sync("a")
	if !a.last.Equal {
		t.Errorf("not equal: %+v", a.last)
	}
}

// The centre is put back behind the base of an edit: it cannot be told from what is there,
// and is sent whole.
func TestEditOfWhatUpstreamForgotIsSentWhole(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	w.sync("a")
	back := w.copyOfCentre()
	a.edit(t, k, hoa+phone("0911"))
	w.sync("a")
	w.restoreCentre(back)
	a.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	if _, _, err := w.spoken(a, nil, nil); !errors.Is(err, engine.ErrWhole) {
		t.Fatalf("%v, want ErrWhole", err)
	}
	a.carry = a.carry.Whole()
	request, _, err := w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range request {
		if f.Edit != nil {
			t.Error("an edit is sent to who asked for whole versions")
		}
	}
	w.sync("a")
	w.want(k, "0911", "female")
}

// An edit that came to mean something else on its way is not taken.
func TestEditsAreHeldAgainstTheirSum(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	w.sync("a")
	a.edit(t, k, hoa+phone("0911"))
	_, _, err := w.spoken(a, func(f *wire.Frame) bool {
		if f.Edit != nil {
			e := *f.Edit
			e.Middle = strings.Replace(e.Middle, "0911", "0999", 1)
			f.Edit = &e
		}
		return true
	}, nil)
	if !errors.Is(err, engine.ErrWhole) {
		t.Errorf("%v, want ErrWhole", err)
	}
	if got := content(t, w.centre, k); strings.Contains(got, "09") {
		t.Errorf("the centre shows %s", got)
	}
	w.sync("a")
	w.want(k, "0911")
}

// Answers to more than was asked, and echoes of what was not sent, are nonsense.
func TestAnswersToNothingAreNonsense(t *testing.T) {
	for name, f := range map[string]*wire.Frame{
		"more answers":       {Answers: &wire.Answers{N: 2, Verdict: record.Accepted}},
		"no answer":          {Answers: &wire.Answers{Verdict: record.Accepted}},
		"an echo behind":     {Echo: &wire.Echo{Seq: 1, From: 1, N: 1}},
		"a long echo":        {Echo: &wire.Echo{Seq: 1, N: math.MaxInt}},
		"an echo of nothing": {Echo: &wire.Echo{Seq: 1}},
		"an echo before":     {Echo: &wire.Echo{Seq: 1, From: -1, N: 1}},
	} {
		w := newWorld(t, "a")
		a := w.stations["a"]
		a.born(t, hoa)
		ask, serve := w.halvesIn(wire.Protocol, a)
		err := w.pump(ask, serve, nil, func(in *wire.Frame) bool {
			if in.Answers != nil {
				*in = *f
			}
			return true
		})
		if !errors.Is(err, wire.ErrNonsense) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Programs of both protocols speak with a centre of the newest one, in one form or the
// other, and it makes no difference what comes of it.
func TestBothProtocolsComeToTheSame(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	k := w.bornAtCentre()
	w.share(k)
	for range 3 {
		for s, protocol := range map[*station]int{a: wire.First, b: wire.Protocol} {
			ask, serve := w.halvesIn(protocol, s)
			if err := carry.Direct(context.Background(), ask, serve); err != nil {
				t.Fatal(err)
			}
			next := ask.Result().Next
			s.carry = &next
		}
		if st, err := a.Get(k); err == nil && !strings.Contains(string(st.Shown.Content), "0911") {
			a.put(t, store.Write{Key: k, Base: st.Tag(), Content: person(k.ID, hoa+phone("0911"))})
			b.edit(t, k, hoa+`,"gender":"female"`)
		}
	}
	w.sync("a", "b")
	w.want(k, "0911", "female")
}

// An exchange in which nothing happens: upstream says neither links nor roots that are
// the asker's own. Of a birth it signs the asker's own link, and names no other.
func TestWhatTheHelloSaidIsNotSaidAgain(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	a.born(t, hoa)
	w.sync("a")
	_, answer, err := w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range answer {
		switch {
		case f.Welcome != nil && len(f.Welcome.Links) > 0:
			t.Errorf("the welcome says %+v", f.Welcome.Links)
		case f.Receipt != nil:
			t.Errorf("another receipt: %+v", f.Receipt)
		case f.End != nil && (!f.End.Same || len(f.End.Roots) > 0):
			t.Errorf("the end says %+v", f.End)
		}
	}
	if !a.last.Equal {
		t.Error("not proved equal")
	}
	k := a.born(t, hoa)
	_, answer, err = w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	proofs := 0
	for _, f := range answer {
		if f.Proof != nil {
			proofs++
		}
		if f.Receipt != nil || f.Welcome != nil && len(f.Welcome.Links) > 0 {
			t.Errorf("said again: %+v %+v", f.Receipt, f.Welcome)
		}
	}
	if p := place(t, a, k); proofs != 1 || p != record.Centre {
		t.Errorf("%d proofs, and the record is at %q", proofs, p)
	}
}

func TestProofOfWhatWasNotSaidIsNonsense(t *testing.T) {
	for _, of := range []int{-1, 9} {
		w := newWorld(t, "a")
		a := w.stations["a"]
		a.born(t, hoa)
		_, _, err := w.spoken(a, nil, func(f *wire.Frame) bool {
			if f.Receipt != nil || f.Proof != nil {
				f.Receipt, f.Proof = nil, &wire.Proof{Of: of, Sig: []byte("signed")}
			}
			return true
		})
		if !errors.Is(err, wire.ErrNonsense) {
			t.Errorf("a proof of link %d: %v", of, err)
		}
	}
}

// a takes 200 records of b in stretches of 8, and the rest in those that it wishes for
// once it knows that there is much.
func TestMuchComesInLongStretches(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	for range 200 {
		k := record.Key{Kind: "Organization", ID: b.NewID()}
		b.put(t, store.Write{Key: k, Content: fmt.Appendf(nil, `{"resourceType":"Organization","id":%q,"name":"X"}`, k.ID)})
	}
	w.sync("b")
	w.stretch = 40
	for i, want := range []int{8, 40} {
		_, answer, err := w.spoken(a, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		longest, n := 0, 0
		for _, f := range answer {
			switch {
			case f.Change != nil:
				n++
			case f.Mark != nil:
				longest, n = max(longest, n), 0
			}
		}
		if longest != want {
			t.Errorf("exchange %d: a stretch of %d, want %d", i, longest, want)
		}
	}
	if a.last.More {
		t.Errorf("there is still more after %d", a.last.Received)
	}
}

func TestPaceFollowsTheLink(t *testing.T) {
	p := engine.DefaultPace()
	for range 10 {
		p = p.Faster()
	}
	if p.Up != 4096 || p.Stretch != engine.MaxStretch {
		t.Errorf("at best %+v", p)
	}
	for range 20 {
		p = p.Slower()
	}
	if p.Up != 16 || p.Stretch != engine.DefaultPace().Stretch {
		t.Errorf("at worst %+v", p)
	}
	if g := engine.DefaultPace().Given(-5); g != engine.DefaultPace() {
		t.Errorf("a wish for less than nothing: %+v", g)
	}
	if g := engine.DefaultPace().Given(math.MaxInt); g.Stretch != engine.MaxStretch || g.Down != 4096 {
		t.Errorf("a wish for all: %+v", g)
	}
}
