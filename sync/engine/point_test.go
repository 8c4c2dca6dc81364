package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/wire"
)

// withPoint is a centre, a station a and a point p below it; b is another station.
func withPoint(t *testing.T) (*world, *station, *station) {
	t.Helper()
	w := newWorld(t, "a", "b")
	a := w.stations["a"]
	below := storetest.Open(t, store.Options{Name: "p", R4: a.R4()})
	p := &station{Store: below, dir: below.Dir(), name: "p", up: a}
	w.stations["p"] = p
	ctx := context.Background()
	if err := errors.Join(a.AddPeer(ctx, store.Peer{Name: "p", Station: "p"}), a.Fill(ctx)); err != nil {
		t.Fatal(err)
	}
	return w, a, p
}

// withPerson is withPoint and somebody whom the centre, both stations and the point hold.
func withPerson(t *testing.T) (*world, *station, *station, record.Key) {
	t.Helper()
	w, a, p := withPoint(t)
	k := w.bornAtCentre()
	w.share(k)
	w.sync("a", "b", "p")
	return w, a, p, k
}

// leaves lets a person move from a to elsewhere.
func (w *world) leaves(k record.Key) {
	w.t.Helper()
	at := scopeOf(w.t, w.centre, k)
	if _, err := w.centre.Put(context.Background(), store.Write{Key: at, Base: store.Any, Author: "admin",
		Content: []byte(strings.ReplaceAll(content(w.t, w.centre, at), `"valueString":"a"`, `"valueString":"elsewhere"`))}); err != nil {
		w.t.Fatal(err)
	}
}

func (s *station) isAt(t *testing.T, v *record.Version, want record.Place) {
	t.Helper()
	if at, err := s.PlaceOf(v.Key, v.Name); err != nil || at != want {
		t.Errorf("%s says of %s: %s, %v; want %s", s.name, v.Name, at, err, want)
	}
}

// p: P1, handed to a alone. It is not at the centre, whatever a says, until the centre's
// receipt came down through a.
func TestPointIsNotGreenByItsStation(t *testing.T) {
	w, a, p := withPoint(t)
	k := record.Key{Kind: "Patient", ID: p.NewID()}
	v := p.put(t, store.Write{Key: k, Content: person(k.ID, hoa)})
	w.sync("p")
	if got := content(t, a.Store, k); !strings.Contains(got, k.ID) {
		t.Errorf("a shows %s", got)
	}
	p.isAt(t, v, record.Here)
	a.isAt(t, v, record.Here)
	w.once("a")
	p.isAt(t, v, record.Here)
	w.sync("a", "p")
	a.isAt(t, v, record.Centre)
	p.isAt(t, v, record.Centre)
}

// U0 at the centre. a: U0 -> A1, waiting. p takes A1 from a and makes P1 from it, while
// b: U0 -> B1 gets to the centre first. All three are in what all show in the end.
func TestPointGoesOnFromItsStationsLine(t *testing.T) {
	w, a, p, k := withPerson(t)
	a1 := a.edit(t, k, hoa+phone("0911"))
	w.sync("p")
	p.isAt(t, a1, record.Here)
	p1 := p.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	if p1.Base.Name != a1.Name {
		t.Errorf("p went on from %s, want %s", p1.Base.Name, a1.Name)
	}
	w.stations["b"].edit(t, k, hoa+`,"active":true`)
	w.sync("b")
	w.sync("p", "a", "b")
	got := w.equal(k)
	for _, want := range []string{"0911", "female", `"active":true`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is lost: %s", want, got)
		}
	}
	p.isAt(t, p1, record.Centre)
}

// b deletes a person whom a and p hold: the deletion gets to the second level.
func TestDeletionReachesThePoint(t *testing.T) {
	w, _, p, k := withPerson(t)
	w.stations["b"].put(t, store.Write{Key: k, Base: store.Any, Delete: true})
	w.sync("b", "a", "p")
	if got := content(t, p.Store, k); got != "deleted" {
		t.Errorf("p shows %s", got)
	}
}

// p edits somebody who left a, and makes a record behind; a holds the edit aside, passes both
// on, and p is put back to before: nobody closes the chain over the edit, and the record
// waits for no receipt of it.
func TestChainOfAPointThatWasPutBackIsLeft(t *testing.T) {
	w, a, p, k := withPerson(t)
	old := w.snapshot("p")
	w.leaves(k)
	w.sync("a")
	p.edit(t, k, hoa+phone("0912"))
	other := p.born(t, hoa)
	w.once("p")
	w.restore("p", old)
	p = w.stations["p"]
	p.up = a
	w.once("p")
	w.sync("a", "p", "b")
	if got := content(t, w.centre, other); !strings.Contains(got, "1961") {
		t.Errorf("the centre shows %s", got)
	}
	if got := content(t, w.centre, k); !strings.Contains(got, "0912") {
		t.Errorf("the centre shows %s", got)
	}
	a.atRest(t)
}

// p makes a person and an urgent question about another one; the question alone gets to a,
// and p is put back to before both: nobody closes the gap below it.
func TestQuestionOfAPointThatWasPutBackWaitsForNoGap(t *testing.T) {
	w, a, p, k := withPerson(t)
	old := w.snapshot("p")
	p.born(t, hoa)
	urgent := p.asks(t, k, "urgent")
	w.lost(p, 1)
	w.restore("p", old)
	p = w.stations["p"]
	p.up = a
	w.once("p")
	w.sync("a", "p", "b")
	if _, err := w.centre.Get(urgent); err != nil {
		t.Errorf("the question is not at the centre: %v", err)
	}
	a.atRest(t)
}

// p edits somebody who left a, and who says that it lost that is a copy of p's folder on a
// second PC: p itself goes on, and its chain is proved in the end.
func TestTwinOfAPointTellsNothingOfItsChain(t *testing.T) {
	w, a, p, k := withPerson(t)
	twin := storetest.Open(t, store.Options{Name: "p", Dir: w.snapshot("p"), R4: p.R4()})
	w.stations["p'"] = &station{Store: twin, dir: twin.Dir(), name: "p", up: a}
	w.leaves(k)
	w.sync("a")
	p.edit(t, k, hoa+phone("0912"))
	other := p.born(t, hoa)
	w.once("p")
	w.once("p'")
	w.sync("a", "p", "p'", "b")
	w.sync("a", "p", "p'", "b")
	if place := place(t, p, other); place != record.Centre {
		t.Errorf("what p made behind is at %q", place)
	}
	p.atRest(t)
	a.atRest(t)
}

// A person moves away from a while p edits the record: a passes P1 on without holding the
// record, and p hears that it is gone, and that P1 is at the centre.
func TestPointEditsWhoLeftItsStation(t *testing.T) {
	w, a, p, k := withPerson(t)
	w.leaves(k)
	w.sync("a")
	p.edit(t, k, hoa+phone("0912"))
	w.sync("p", "a")
	w.sync("p", "a", "b")
	for _, s := range []*station{a, p} {
		if got := content(t, s.Store, k); !strings.Contains(got, record.ErrNotFound.Error()) {
			t.Errorf("%s still shows %s", s.name, got)
		}
		if c, err := s.Waiting(); err != nil || c.Waiting != 0 || c.Held != 0 {
			t.Errorf("%s waits: %+v, %v", s.name, c, err)
		}
	}
	if got := content(t, w.centre, k); !strings.Contains(got, "0912") {
		t.Errorf("what p typed is not at the centre: %s", got)
	}
	if items, err := p.Rescued(10); err != nil || len(items) != 1 {
		t.Errorf("p has %d items to look at, %v; want the edit of who left", len(items), err)
	}
}

// a makes Patient/x, which waits. p, not having heard, makes another Patient/x.
func TestPointTakesAnIDThatItsStationHasWaiting(t *testing.T) {
	w, a, p := withPoint(t)
	k := a.born(t, hoa)
	other := p.put(t, store.Write{Key: k, Content: person(k.ID, `,"name":[{"text":"Trần Văn Nam"}]`)})
	w.once("p")
	w.sync("a", "p")
	st, err := p.Get(k)
	if err != nil || st.Parked != record.IDTaken {
		t.Errorf("p hears of %s: %+v, %v; want that the id is taken", other.Name, st, err)
	}
	if got := content(t, w.centre, k); !strings.Contains(got, "Hoà") {
		t.Errorf("the centre shows %s", got)
	}
}

// a holds A1, and p makes P1 from it; a makes A2 meanwhile, and merges both to A3. a is put
// back to before A1, and P1's request reaches it once more: it holds P1 aside. Then p hands
// A3 back, into which P1 went: P1 is passed on all the same.
func TestWhatIsHeldAsideAndWentIntoAMergeIsPassedOn(t *testing.T) {
	w, a, p, k := withPerson(t)
	from := w.snapshot("a")
	a.edit(t, k, hoa+phone("0911"))
	w.sync("p")
	p1 := p.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	a.edit(t, k, hoa+phone("0911")+`,"active":true`)
	ask, serve := w.halves(p)
	var late []*wire.Frame
	if err := w.pump(ask, serve, func(f *wire.Frame) bool { late = append(late, f); return true }, nil); err != nil {
		t.Fatal(err)
	}
	w.sync("p")
	w.restore("a", from)
	p.up = w.stations["a"]
	_, serve = w.halves(p)
	for _, f := range late {
		if err := serve.Take(context.Background(), f); err != nil {
			t.Fatal(err)
		}
	}
	w.sync("p", "a", "b")
	for _, want := range []string{"0911", "female", `"active":true`} {
		w.want(k, want)
	}
	p.isAt(t, p1, record.Centre)
}

// p: U0 -> P1 -> P2, both handed to a, which is put back to before P1: the request with P2
// reaches it once more, and it holds P2 aside. p is put back to before P1 too: nobody brings
// P1, and what P2 says is in what all show all the same.
func TestWhatIsHeldAsideAndItsMakerLostIsTakenWithoutItsBase(t *testing.T) {
	w, a, p, k := withPerson(t)
	old, older := w.snapshot("a"), w.snapshot("p")
	p.edit(t, k, hoa+phone("0911"))
	w.once("p")
	p2 := p.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	ask, serve := w.halves(p)
	var late []*wire.Frame
	if err := w.pump(ask, serve, func(f *wire.Frame) bool { late = append(late, f); return true }, nil); err != nil {
		t.Fatal(err)
	}
	w.restore("a", old)
	a = w.stations["a"]
	p.up = a
	_, serve = w.halves(p)
	for _, f := range late {
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := a.Held(); err != nil || len(held) != 1 || held[0].Ref != p2.Ref() {
		t.Fatalf("the window is not met: %+v, %v", held, err)
	}
	w.restore("p", older)
	w.stations["p"].up = a
	w.once("a")
	w.sync("p", "a", "b")
	w.want(k, "0911", "female")
	if c, err := a.Waiting(); err != nil || c.Waiting+c.Parked+c.Held != 0 {
		t.Errorf("a waits: %+v, %v", c, err)
	}
}

// p: U0 -> P1, handed to a, which is put back to before it. p starts again, and makes P2 on
// P1 under its next lineage: a holds P2 aside. p is put back to before both, and does not
// know of that lineage: nobody brings P1, and what P2 says is in what all show all the same,
// also where p has started so often that it does not name all lineages.
func TestLineageThatItsMakerForgotIsTakenWithoutItsBase(t *testing.T) {
	for _, starts := range []int{0, 18} {
		w, a, p, k := withPerson(t)
		again := func(dir string) {
			w.restore("p", dir)
			p = w.stations["p"]
			p.up = a
		}
		for range starts {
			again(w.snapshot("p"))
			w.once("p")
		}
		old, older := w.snapshot("a"), w.snapshot("p")
		p.edit(t, k, hoa+phone("0911"))
		w.once("p")
		again(w.snapshot("p"))
		w.restore("a", old)
		a = w.stations["a"]
		p.up = a
		p2 := p.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
		w.once("p")
		if held, err := a.Held(); err != nil || len(held) != 1 || held[0].Ref != p2.Ref() {
			t.Fatalf("the window is not met: %+v, %v", held, err)
		}
		again(older)
		w.sync("p", "a", "b")
		w.want(k, "0911", "female")
		if c, err := a.Waiting(); err != nil || c.Waiting+c.Parked+c.Held != 0 {
			t.Errorf("after %d starts a waits: %+v, %v", starts, c, err)
		}
	}
}

// p: P1, which the centre holds and a, put back to before it, has from there; then the centre is put
// back as well, and gets a's copy. What p hands in again goes up in p's chain, and what it makes behind.
func TestWhatIsHandedInAgainGoesUpInItsChain(t *testing.T) {
	w, a, p, k := withPerson(t)
	old, oldCentre := w.snapshot("a"), w.copyOfCentre()
	p1 := p.edit(t, k, hoa+phone("0911"))
	w.sync("p", "a", "p")
	w.restore("a", old)
	a = w.stations["a"]
	p.up = a
	w.once("a")
	if !strings.Contains(content(t, a.Store, k), "0911") {
		t.Fatal("the window is not met")
	}
	w.restoreCentre(oldCentre)
	w.sync("a")
	other := p.born(t, hoa)
	w.sync("p", "a")
	p2, err := p.Get(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*record.Version{p1, p2.Shown} {
		a.isAt(t, v, record.Centre)
		p.isAt(t, v, record.Centre)
	}
}

// asked are the frames of a request that a station makes now, to arrive at any time.
func (w *world) asked(s *station) []*wire.Frame {
	w.t.Helper()
	ask, serve := w.halves(s)
	var all []*wire.Frame
	if err := w.pump(ask, serve, func(f *wire.Frame) bool { all = append(all, f); return false }, func(*wire.Frame) bool { return false }); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// p: P1, P2. a is put back to before both, and P2 alone gets there, which waits for P1. A request
// that p made before either comes late: what p had made by then is not all that it has.
func TestLateRequestDoesNotTellWhatIsLost(t *testing.T) {
	w, a, p, k := withPerson(t)
	old, late := w.snapshot("a"), w.asked(p)
	p.edit(t, k, hoa+phone("0911"))
	w.once("p")
	p2 := p.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	second := w.asked(p)
	w.restore("a", old)
	a = w.stations["a"]
	p.up = a
	for _, request := range [][]*wire.Frame{second, late} {
		_, serve := w.halves(p)
		for _, f := range request {
			if err := serve.Take(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		if held, err := a.Held(); err != nil || len(held) != 1 || held[0].Ref != p2.Ref() || held[0].Orphan {
			t.Fatalf("a holds %d changes, or takes it for lost: %v", len(held), err)
		}
	}
	w.sync("p", "a", "b")
	w.want(k, "0911", "female")
}
