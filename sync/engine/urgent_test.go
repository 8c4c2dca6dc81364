package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/wire"
)

// asks is a question about a person, as urgent as it says.
func (s *station) asks(t *testing.T, about record.Key, priority string) record.Key {
	t.Helper()
	k := record.Key{Kind: "ServiceRequest", ID: s.NewID()}
	s.put(t, store.Write{Key: k, Content: fmt.Appendf(nil,
		`{"resourceType":"ServiceRequest","id":%q,"status":"active","intent":"order","priority":%q,"subject":{"reference":%q}}`, k.ID, priority, about)})
	return k
}

// a was long away: it made 30 people, edited one of them twice, asked something that is
// routine and, at last, something urgent about that one. The urgent question goes first,
// with the person in it, and nothing goes twice.
func TestUrgentQuestionGoesFirst(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	w.once("a")
	var people []record.Key
	for range 30 {
		people = append(people, a.born(t, hoa))
	}
	about := people[20]
	a.edit(t, about, hoa+phone("0911"))
	a.edit(t, about, hoa+phone("0912"))
	a.asks(t, people[3], "routine")
	urgent := a.asks(t, about, "urgent")
	var order []record.Key
	first := 0
	request, _, err := w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range request {
		switch {
		case f.Change != nil:
			order = append(order, f.Change.Key)
		case f.Edit != nil:
			order = append(order, f.Edit.Key)
		case f.Mark != nil && first == 0:
			first = len(order)
		}
	}
	if want := []record.Key{about, about, about, urgent}; !slices.Equal(order[:first], want) {
		t.Errorf("the first stretch has %v, want %v", order[:first], want)
	}
	if len(order) != 34 {
		t.Errorf("%d changes were sent, want 34", len(order))
	}
	w.sync("a")
	a.atRest(t)
	if p := place(t, a, urgent); p != record.Centre {
		t.Errorf("the question is at %q", p)
	}
}

// Only the urgent stretch arrives; the chain has a gap then, and nothing above it is
// receipted until the rest came.
func TestUrgentQuestionAboveAGapIsNoReceiptOfWhatLacks(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	w.once("a")
	lacks := a.born(t, hoa)
	urgent := a.asks(t, a.born(t, hoa), "stat")
	w.lost(a, 1)
	if _, err := w.centre.Get(urgent); err != nil {
		t.Error("the question is not at the centre")
	}
	w.once("a")
	if p := place(t, a, lacks); p == record.Centre {
		t.Error("what was not sent is said to be at the centre")
	}
	w.sync("a")
	for _, k := range []record.Key{lacks, urgent} {
		if p := place(t, a, k); p != record.Centre {
			t.Errorf("%s is at %q", k, p)
		}
	}
	a.atRest(t)
}

// An older upstream, and a stick, get everything in its order.
func TestUrgentQuestionKeepsItsPlaceInTheFirstProtocol(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	a.born(t, hoa)
	a.asks(t, a.born(t, hoa), "asap")
	ask, _ := w.halvesIn(wire.First, a)
	last := ""
	for {
		f, err := ask.Next()
		if err != nil {
			break
		}
		if f.Change != nil {
			last = f.Change.Key.Kind
		}
	}
	if last != "ServiceRequest" {
		t.Errorf("the last one is a %s", last)
	}
}

// Its link may be used for nothing else: what is urgent goes, with what it is about, and
// nothing comes down. The usual exchange behind it brings the rest.
func TestNothingButWhatIsUrgent(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.stations["a"]
	w.once("a")
	b := w.stations["b"]
	shared := record.Key{Kind: "Organization", ID: b.NewID()}
	b.put(t, store.Write{Key: shared, Content: fmt.Appendf(nil, `{"resourceType":"Organization","id":%q,"name":"X"}`, shared.ID)})
	w.sync("b")
	other := a.born(t, hoa)
	about := a.born(t, hoa)
	urgent := a.asks(t, about, "stat")
	w.urgent = true
	request, answer, err := w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(request); n != 5 { // hello, two changes, mark, end
		t.Errorf("the request has %d frames", n)
	}
	for _, f := range answer {
		if f.Change != nil || f.Echo != nil {
			t.Errorf("%+v came down", f)
		}
	}
	if res := a.last; !res.Waiting || res.More || res.Taken != 2 {
		t.Errorf("it came to %+v", res)
	}
	if _, err := w.centre.Get(urgent); err != nil {
		t.Error("the question is not at the centre")
	}
	if _, err := w.centre.Get(other); err == nil {
		t.Error("what is routine went as well")
	}
	w.urgent = false
	w.sync("a")
	a.atRest(t)
	if _, err := a.Get(shared); err != nil {
		t.Error("what all share did not come down later")
	}
}

// What the link may be used for is told once, and again where it changes.
func TestAllowanceIsToldWhereItDiffers(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	for _, now := range []wire.Allowance{{}, {Bytes: 1 << 20}, {Bytes: 1 << 20, From: 60, Until: 120}, {}} {
		told := w.allowed != now
		w.allowed = now
		for range 2 {
			w.once("a")
			if got := a.last.Allowed; (got != nil) != told || got != nil && *got != now {
				t.Errorf("told %v of %+v", got, now)
			}
			a.allowed, told = now, false
		}
	}
}

// The centre is put back to before an urgent question: it goes first once more.
func TestUrgentQuestionIsUrgentAgain(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	w.sync("a")
	old := w.copyOfCentre()
	q := a.asks(t, k, "urgent")
	w.sync("a")
	w.restoreCentre(old)
	w.once("a") // which reveals it
	if list, err := a.Urgent(10); err != nil || !slices.ContainsFunc(list, func(c record.Change) bool { return c.Key == q }) {
		t.Errorf("%d changes are urgent, without the question: %v", len(list), err)
	}
	w.sync("a")
	if _, err := w.centre.Get(q); err != nil {
		t.Error(err)
	}
}
