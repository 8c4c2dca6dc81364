package engine_test

import (
	"testing"

	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// lost runs an exchange of which no frame of the answer arrives, and those of the request
// up to its mark number marks.
func (w *world) lost(s *station, marks int) {
	w.t.Helper()
	ask, serve := w.halvesIn(wire.Protocol, s)
	passed := 0
	if err := w.pump(ask, serve, func(f *wire.Frame) bool {
		arrives := passed < marks
		if f.Mark != nil {
			passed++
		}
		return arrives
	}, func(*wire.Frame) bool { return false }); err != nil {
		w.t.Fatal(err)
	}
	s.carry = ask.AfterCut()
}

// a makes 20 records, of which the centre refuses the second; two stretches of eight
// arrive, and no answer. a asks what arrived, and sends the other four.
func TestWhatArrivedBeforeACutIsNotSentAgain(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	w.once("a")
	var keys []record.Key
	for range 20 {
		keys = append(keys, a.born(t, hoa))
	}
	w.admit = func(v *record.Version) record.Reason {
		if v.Key == keys[1] {
			return record.NotAllowed
		}
		return ""
	}
	w.lost(a, 2)
	asked := w.once("a")
	if !asked.Asked || asked.Sent != 0 || asked.Taken != 15 || asked.Parked != 1 || !asked.More {
		t.Errorf("asking what arrived came to %+v", asked)
	}
	if got, err := a.Receipt(a.Lineage()); err != nil || got.N == 0 {
		t.Errorf("what arrived has the receipt %+v, %v", got, err)
	}
	if rest := w.once("a"); rest.Sent != 4 || rest.Taken != 4 {
		t.Errorf("the rest came to %+v", rest)
	}
	list, err := a.WaitingList(5)
	if err != nil || len(list) != 1 || list[0].Key != keys[1] || list[0].Reason != record.NotAllowed {
		t.Errorf("waiting: %+v, %v", list, err)
	}
	w.equal(keys[19])
}

// What was made before a power cut stands in the chain of a former life.
func TestWhatArrivedOfAFormerLifeIsNotSentAgain(t *testing.T) {
	w := newWorld(t, "a")
	w.once("a")
	for range 20 {
		w.stations["a"].born(t, hoa)
	}
	w.restore("a", w.snapshot("a"))
	a := w.stations["a"]
	a.born(t, hoa)
	w.lost(a, 2)
	if asked := w.once("a"); !asked.Asked || asked.Taken != 16 {
		t.Errorf("asking what arrived came to %+v", asked)
	}
	if rest := w.once("a"); rest.Sent != 5 {
		t.Errorf("the rest came to %+v", rest)
	}
	w.sync("a")
	a.atRest(t)
}

// The same, but nothing arrived; or upstream was put back to before what arrived.
func TestAfterACutNothingIsTakenForArrivedThatIsNot(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	w.once("a")
	k := a.born(t, hoa)
	w.lost(a, 0)
	if asked := w.once("a"); !asked.Asked || asked.Taken != 0 {
		t.Errorf("nothing arrived, and asking came to %+v", asked)
	}
	old := w.copyOfCentre()
	w.lost(a, 1)
	w.restoreCentre(old)
	if asked := w.once("a"); !asked.Asked || asked.Taken != 0 {
		t.Errorf("it was forgotten, and asking came to %+v", asked)
	}
	w.sync("a")
	w.equal(k)
	a.atRest(t)
}

// What one exchange leaves for the next outlasts a cut, and the asking after it.
func TestACutForgetsNothingOfTheCarry(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	a.carry = &engine.Carry{Compare: []engine.Narrow{{Feed: record.SharedFeed}}}
	a.born(t, hoa)
	w.lost(a, 0)
	if asked := w.once("a"); !asked.Asked || len(asked.Next.Compare) != 1 || asked.Next.Cut {
		t.Errorf("asking left %+v", asked.Next)
	}
}
