package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tram/store"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/storetest"
)

// rebuilt lets a station go on with its database made anew.
func (w *world) rebuilt(name string) *station {
	w.t.Helper()
	dir := w.snapshot(name)
	s := storetest.Open(w.t, store.Options{Name: name, Dir: dir, R4: w.centre.R4(), Rebuild: true})
	w.stations[name] = &station{Store: s, dir: dir, name: name}
	if p := w.stations["p"]; p != nil && name == "a" {
		p.up = w.stations[name]
	}
	return w.stations[name]
}

// p: P1, whose base a lost, and which a holds aside. a's database is made anew, and the next
// entry there has an order of its own: it goes up, and so does P1.
func TestWhatIsHeldAsideKeepsItsOrderThroughARebuild(t *testing.T) {
	w, a, p, k := withPerson(t)
	from := w.snapshot("a")
	a.edit(t, k, hoa+phone("0911"))
	w.sync("p")
	p1 := p.edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	w.restore("a", from)
	a = w.stations["a"]
	p.up = a
	ask, serve := w.halves(p)
	for f, err := ask.Next(); err == nil; f, err = ask.Next() { // the answer is lost
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := a.Held(); err != nil || len(held) != 1 || held[0].Order == 0 {
		t.Fatalf("the window is not met: %+v, %v", held, err)
	}
	a = w.rebuilt("a")
	mine := a.born(t, `,"birthDate":"1999-09-09"`)
	w.once("p")
	st, err := a.Get(mine)
	if err != nil {
		t.Fatal(err)
	}
	a.isAt(t, st.Shown, record.Here) // it was not sent yet
	w.sync("p", "a", "p", "a")
	for at, name := range map[record.Key]record.Name{mine: st.Shown.Name, k: p1.Name} {
		if _, err := w.centre.Version(at, name); err != nil {
			t.Errorf("%s of %s is not at the centre: %v", name, at, err)
		}
	}
}

// Somebody moved away from a, and a's database is made anew: nobody is shown again, and
// exchanges come to rest, whoever made what there was of them.
func TestWhoMovedAwayStaysAwayThroughARebuild(t *testing.T) {
	for _, who := range []string{"a", "p"} {
		w, _, p := withPoint(t)
		k := w.stations[who].born(t, hoa)
		w.sync("p", "a", "p")
		w.leaves(k)
		w.sync("a", "p")
		a := w.rebuilt("a")
		if _, err := a.Get(k); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("born at %s: a shows again who moved away: %v", who, err)
		}
		last := w.once("a")
		for range 5 {
			last = w.once("a")
		}
		if last.More || last.Received > 0 || !last.Equal {
			t.Errorf("born at %s: exchanges do not come to rest: %+v", who, last)
		}
		p.born(t, hoa)
		w.sync("p", "a")
	}
}

// p: V, which a took in and the centre refused. a, where it was corrected or not, makes its
// database anew, its line becomes another, and p asks again: V turns green nowhere.
func TestRebuiltStationMakesNothingGreen(t *testing.T) {
	for _, birth := range []bool{true, false} {
		for _, corrected := range []bool{true, false} {
			w, a, p, k := withPerson(t)
			if birth {
				k = p.born(t, hoa)
			} else {
				p.edit(t, k, hoa+phone("0911"))
			}
			st, err := p.Get(k)
			if err != nil {
				t.Fatal(err)
			}
			w.once("p")
			w.refusing(func() { w.sync("a") })
			w.sync("p")
			p.isAt(t, st.Shown, record.NeedsUs)
			if corrected {
				a.edit(t, k, hoa+phone("0913"))
				w.sync("a", "p", "a", "p")
				p.isAt(t, st.Shown, record.NeedsUs)
			}
			w.rebuilt("a").edit(t, k, hoa+phone("0914"))
			for range 8 {
				w.once("p")
				w.once("a")
			}
			if _, err := w.centre.Version(k, st.Shown.Name); err == nil {
				continue // it went up in what a made of it
			}
			p.isAt(t, st.Shown, record.NeedsUs)
		}
	}
}

// The centre's database is an older copy, or lost, and the journal makes it whole. b was
// enrolled in between, among more entries than are replayed at once: it keeps its people.
func TestReplayedCentreKeepsItsStations(t *testing.T) {
	for _, how := range []string{"older", "lost"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, "a")
			k := w.bornAtCentre()
			for i := range 150 {
				w.editAtCentre(k, hoa+phone(fmt.Sprint(i)))
			}
			w.sync("a")
			older := w.copyOfCentre()
			w.editAtCentre(k, hoa)
			dir := t.TempDir()
			w.stations["b"] = &station{Store: storetest.Open(t, store.Options{Name: "b", Dir: dir, R4: w.centre.R4()}), dir: dir, name: "b"}
			if err := w.centre.AddPeer(t.Context(), store.Peer{Name: "b", Station: "b"}); err != nil {
				t.Fatal(err)
			}
			w.share(k)
			for i := range 150 {
				w.editAtCentre(k, hoa+phone(fmt.Sprint(1000+i)))
			}
			w.sync("a", "b")
			w.want(k)
			now := w.copyOfCentre()
			db := filepath.Join(now, layout.DatabaseFile)
			if how == "lost" {
				if err := os.Remove(db); err != nil {
					t.Fatal(err)
				}
			} else {
				b, err := os.ReadFile(filepath.Join(older, layout.DatabaseFile))
				if err == nil {
					err = os.WriteFile(db, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			w.restoreCentre(now)
			w.editAtCentre(k, hoa+phone("0912"))
			w.sync("a", "b")
			w.want(k)
			if !w.stations["b"].last.Equal {
				t.Error("the trees differ")
			}
		})
	}
}
