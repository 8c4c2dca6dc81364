package engine_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// madeIs holds that what was made says where it is as asking for it does.
func (s *station) madeIs(t *testing.T, v *record.Version, want record.Place) {
	t.Helper()
	s.isAt(t, v, want)
	list, _, err := s.Made(math.MinInt64, math.MaxInt64, 1000, func(_ record.Name, at record.Stamp) record.Stamp { return at })
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Version == v.Name && e.Place != want {
			t.Errorf("%s lists %s as %s, want %s", s.name, v.Name, e.Place, want)
		}
	}
}

// b: B1, which the centre does not take, and B2 in its place. B1 is at no time at the centre.
func TestWhatWasCorrectedWasNotReceived(t *testing.T) {
	w, k := shared(t, hoa)
	b := w.stations["b"]
	w.admit = func(*record.Version) record.Reason { return record.NotAllowed }
	v := b.edit(t, k, hoa+phone("0912"))
	w.sync("b")
	b.madeIs(t, v, record.NeedsUs)
	w.admit = nil
	b.edit(t, k, hoa+phone("0913"))
	w.sync("b", "a")
	b.madeIs(t, v, record.Here)
}

// p: P1, which a takes and passes on, and the centre does not take. The centre's receipt
// covers it, and p is told before: it is not green there, whatever becomes of it at a.
func TestPointHearsWhatTheCentreDidNotTake(t *testing.T) {
	for _, how := range []string{"waits", "corrected", "given up", "corrected at once"} {
		t.Run(how, func(t *testing.T) {
			w, a, p, k := withPerson(t)
			v := p.edit(t, k, hoa+phone("0912"))
			w.once("p")
			p.madeIs(t, v, record.Here)
			w.admit = func(*record.Version) record.Reason { return record.NotAllowed }
			w.sync("a")
			w.admit = nil
			if how == "corrected at once" { // before p asks
				a.edit(t, k, hoa+phone("0913"))
			}
			w.sync("p")
			if how != "corrected at once" {
				p.madeIs(t, v, record.NeedsUs)
			}
			w.sync("a", "p")
			switch how {
			case "corrected":
				a.edit(t, k, hoa+phone("0913"))
			case "given up":
				if err := a.GiveUp(context.Background(), k, "nurse"); err != nil {
					t.Fatal(err)
				}
			}
			w.sync("a", "p", "a", "p")
			if _, err := w.centre.Version(k, v.Name); err == nil {
				t.Fatal("the centre has it")
			}
			p.madeIs(t, v, record.NeedsUs)
			if how == "waits" { // for a person at a
				return
			}
			if err := p.GiveUp(context.Background(), k, "nurse"); err != nil {
				t.Fatal(err)
			}
			later := p.edit(t, k, hoa+phone("0914"))
			w.sync("p", "a", "p")
			p.madeIs(t, later, record.Centre)
			p.madeIs(t, v, record.Here)
			if c, err := p.Waiting(); err != nil || c.Parked+c.Waiting > 0 {
				t.Errorf("the point still has %+v, %v", c, err)
			}
		})
	}
}

// refusing lets the centre take nothing while f runs.
func (w *world) refusing(f func()) {
	w.admit = func(*record.Version) record.Reason { return record.NotAllowed }
	defer func() { w.admit = nil }()
	f()
}

// p: V, which a took in and the centre refused. However often p hands it in again, since
// answers were lost or a copy of its request comes late, and also once a took it back, p is
// told that it is nowhere but here.
func TestWhatTheCentreRefusedStaysRefused(t *testing.T) {
	lost := func(w *world, p *station) {
		ask, serve := w.halves(p)
		if err := w.pump(ask, serve, nil, func(*wire.Frame) bool { return false }); err != nil && !errors.Is(err, wire.ErrNonsense) {
			w.t.Fatal(err)
		}
	}
	for name, play := range map[string]func(w *world, p *station){
		"answers are lost": func(w *world, p *station) {
			lost(w, p)
			w.refusing(func() { w.sync("a") })
			lost(w, p)
		},
		"a copy comes late": func(w *world, p *station) {
			var late []*wire.Frame
			ask, serve := w.halves(p)
			if err := w.pump(ask, serve, func(f *wire.Frame) bool { late = append(late, f); return true }, nil); err != nil {
				w.t.Fatal(err)
			}
			w.refusing(func() { w.sync("a") })
			_, serve = w.halves(p)
			for _, f := range late {
				if err := serve.Take(w.t.Context(), f); err != nil {
					w.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, p, k := withPerson(t)
			v := p.edit(t, k, hoa+phone("0912"))
			play(w, p)
			w.sync("p", "a", "p")
			p.madeIs(t, v, record.NeedsUs)
			p.born(t, hoa) // its lineage goes on
			w.sync("p", "a", "p", "a", "p")
			p.madeIs(t, v, record.NeedsUs)
			if err := a.GiveUp(t.Context(), k, "nurse"); err != nil {
				t.Fatal(err)
			}
			w.sync("a", "p", "a", "p")
			p.madeIs(t, v, record.NeedsUs)
			if _, err := w.centre.Version(k, v.Name); !errors.Is(err, record.ErrNotFound) {
				t.Errorf("the centre has it: %v", err)
			}
		})
	}
}

// A birth, of a point's or of its station's own making, came down to the point; the centre
// does not take it, and the station gives it up. The point goes on.
func TestBirthThatIsGivenUpStopsNoPoint(t *testing.T) {
	for _, who := range []string{"p", "a"} {
		w, a, p := withPoint(t)
		k := w.stations[who].born(t, hoa)
		w.once("p")
		w.refusing(func() { w.sync("a") })
		w.once("p")
		if err := a.GiveUp(t.Context(), k, "nurse"); err != nil {
			t.Fatal(err)
		}
		later := a.born(t, `,"birthDate":"1999-09-09"`)
		w.once("p")
		if _, err := p.Get(later); err != nil {
			t.Errorf("born at %s: what a made since is not at p: %v", who, err)
		}
	}
}

// p: P1 about somebody who leaves a meanwhile; a has an entry of its own that the centre
// refused. p, put back, hands P1 in again, and hears that the centre has it.
func TestPointHearsOfWhatIsBehindARefusedEntryOfItsStation(t *testing.T) {
	for _, refused := range []bool{false, true} {
		w, a, p, k := withPerson(t)
		if refused {
			a.born(t, `,"birthDate":"1999-09-09"`)
			w.refusing(func() { w.sync("a") })
		}
		p1 := p.edit(t, k, hoa+phone("0911"))
		from := w.snapshot("p")
		w.once("p")
		w.leaves(k)
		w.sync("a", "p", "a", "p")
		p.isAt(t, p1, record.Nowhere) // receipted, and gone
		w.restore("p", from)
		p = w.stations["p"]
		p.up = a
		var last engine.Result
		for range 8 {
			last = w.once("p")
			w.once("a")
		}
		if c, err := p.Waiting(); err != nil || c.Waiting > 0 || last.Sent > 0 {
			t.Errorf("refused %t: p sends %d in each exchange, and %d wait, %v", refused, last.Sent, c.Waiting, err)
		}
	}
}
