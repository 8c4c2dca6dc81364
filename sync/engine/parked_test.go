package engine_test

import (
	"context"
	"math"
	"testing"

	"tram/store/record"
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
