package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
	"tram/sync/wire"
)

// oneNumber lets two stations bear another person each under one id, and b edit its own
// twice before it hears that the id is taken:
//
//	A(1960)
//	B(1961) -> B2(male) -> B3(phone)
func oneNumber(t *testing.T) (*world, record.Key, record.Key) {
	t.Helper()
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	k := record.Key{Kind: "Patient", ID: "card-17"}
	a.put(t, store.Write{Key: k, Content: person(k.ID, `,"birthDate":"1960-01-01"`)})
	b.put(t, store.Write{Key: k, Content: person(k.ID, `,"birthDate":"1961-01-01"`)})
	b.edit(t, k, `,"birthDate":"1961-01-01","gender":"male"`)
	b.edit(t, k, `,"birthDate":"1961-01-01","gender":"male","telecom":[{"system":"phone","value":"0912"}]`)
	w.sync("a", "b")
	list, err := b.ParkedList(10)
	if err != nil || len(list) != 1 || list[0].Reason != record.IDTaken || len(list[0].Behind) != 2 || list[0].Behind[1].Reason != record.BaseParked || !list[0].Ready {
		t.Fatalf("b's births: %+v, %v", list, err)
	}
	return w, k, aboutX(t, a, k)
}

// aboutX bears an observation about a person.
func aboutX(t *testing.T, s *station, k record.Key) record.Key {
	t.Helper()
	o := record.Key{Kind: "Observation", ID: s.NewID()}
	s.put(t, store.Write{Key: o, Content: []byte(`{"resourceType":"Observation","id":"` + o.ID + `","status":"final","code":{"text":"x"},"subject":{"reference":"` + k.String() + `"}}`)})
	return o
}

// rest fails unless nothing of a station waits or is parked any more.
func (s *station) rest(t *testing.T) {
	t.Helper()
	if c, err := s.Waiting(); err != nil || c.Parked != 0 || c.Waiting != 0 {
		t.Errorf("%s still waits: %+v, %v", s.name, c, err)
	}
}

// a: X and b: Y, births of one id with one content, as of a file that both took in. Nobody is asked:
// they are one record.
func TestEqualBirthsAreOneRecord(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := record.Key{Kind: "Patient", ID: "of-a-file"}
	for _, s := range w.stations {
		s.put(t, store.Write{Key: k, Content: person(k.ID, hoa)})
	}
	w.sync("a", "b")
	w.share(k)
	w.sync("a", "b")
	w.want(k, "Đặng")
	for _, s := range w.stations {
		s.rest(t)
	}
}

func TestTakenIDIsTheSame(t *testing.T) {
	w, k, _ := oneNumber(t)
	b, ctx := w.stations["b"], context.Background()
	if _, err := b.Same(ctx, k, "nurse-b"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("the same as a record that is not held here: %v", err)
	}
	w.share(k)
	w.sync("b", "a", "b")
	st, err := b.Get(k)
	if err != nil || !st.Preview() {
		t.Fatalf("b shows %+v, %v; want both laid over each other", st, err)
	}
	decision := record.Decision{Path: "birthDate", Value: []byte(`{"birthDate":"1960-01-01"}`)}
	if _, err := b.Put(ctx, store.Write{Key: k, Base: st.Tag(), Decisions: []record.Decision{decision}, Author: "nurse-b"}); !errors.Is(err, store.ErrParked) {
		t.Errorf("decided before it was said whether they are one: %v", err)
	}
	if _, err := b.Put(ctx, store.Write{Key: k, Base: st.Tag(), Content: person(k.ID, `,"birthDate":"1960-01-01","gender":"other"`), Author: "nurse-b"}); !errors.Is(err, store.ErrParked) {
		t.Errorf("edited before it was said whether they are one: %v", err)
	}
	if _, err := b.Same(ctx, k, "nurse-b"); err != nil {
		t.Fatal(err)
	}
	w.sync("b", "a", "b")
	b.rest(t)
	got := w.equal(k)
	for _, want := range []string{`"gender":"male"`, "0912"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %s: %s", want, got)
		}
	}
	for n, s := range w.stations {
		st, err := s.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		open := st.Shown.Conflicts()
		if len(open) != 1 || open[0].Path != "birthDate" || len(open[0].Values) != 2 {
			t.Errorf("%s: conflicts %+v, want both birth dates", n, open)
		}
	}
	if held, err := w.centre.Held(); err != nil || len(held) != 0 {
		t.Errorf("the centre still holds %d aside, %v", len(held), err)
	}
}

func TestTakenIDOfAnother(t *testing.T) {
	w, k, theirs := oneNumber(t)
	a, b, ctx := w.stations["a"], w.stations["b"], context.Background()
	w.share(k)
	mine := aboutX(t, b, k)
	w.sync("b", "a", "b")
	if !strings.Contains(content(t, b.Store, theirs), k.String()) {
		t.Fatal("b does not hold what a wrote about its own")
	}
	if err := b.GiveUp(ctx, k, "nurse-b"); err != nil {
		t.Fatalf("b holds a's, which stays: %v", err)
	}
	if got := content(t, b.Store, k); !strings.Contains(got, "1960") {
		t.Errorf("after giving up, b shows %s", got)
	}
	w.sync("b", "a", "b")
	b.rest(t)
	w.equal(k)

	// Once more, and this time they are two.
	w, k, theirs = oneNumber(t)
	a, b = w.stations["a"], w.stations["b"]
	mine = aboutX(t, b, k)
	if err := b.GiveUp(ctx, k, "nurse-b"); !errors.Is(err, store.ErrReferred) {
		t.Errorf("given up though an observation refers to it: %v", err)
	}
	w.share(k)
	w.sync("a", "b")
	fresh, err := b.Reissue(ctx, k, "nurse-b")
	if err != nil {
		t.Fatal(err)
	}
	w.sync("b", "a", "b")
	b.rest(t)
	for what, is := range map[string]bool{
		"a's person is as it was":        strings.Contains(w.equal(k), "1960"),
		"b's has its own number":         strings.Contains(content(t, w.centre, fresh), "0912"),
		"b's observation goes with it":   strings.Contains(content(t, w.centre, mine), fresh.String()),
		"a's observation stays with a's": strings.Contains(content(t, w.centre, theirs), k.String()),
		"a shows its own":                strings.Contains(content(t, a.Store, k), "1960"),
	} {
		if !is {
			t.Error("not so: " + what)
		}
	}
}

// TestGivenUpIsTakenBack parks an edit, and what was made from it:
//
//	U0 -> P1(too much) -> P2
//	U0 -> Q, which says what U0 does
func TestGivenUpIsTakenBack(t *testing.T) {
	for why, sent := range map[record.Reason]bool{record.TooLarge: true, record.NotAllowed: false} {
		w, k := shared(t, hoa)
		a, ctx := w.stations["a"], context.Background()
		w.admit = func(v *record.Version) record.Reason {
			if strings.Contains(string(v.Content), "too much") {
				return why
			}
			return ""
		}
		if err := a.GiveUp(ctx, k, "nurse-a"); !errors.Is(err, record.ErrStale) {
			t.Errorf("given up what was taken: %v", err)
		}
		a.edit(t, k, `,"birthDate":"1961-02-03","name":[{"text":"too much"}]`)
		a.edit(t, k, `,"birthDate":"1961-02-03","name":[{"text":"too much"}],"gender":"male"`)
		w.sync("a")
		before, err := a.Get(k)
		if err != nil || before.Parked != record.BaseParked {
			t.Fatalf("%s: %+v, %v", why, before, err)
		}
		if err := a.GiveUp(ctx, k, "nurse-a"); err != nil {
			t.Fatal(err)
		}
		c, err := a.Waiting()
		if err != nil || c.Parked != 0 || c.Waiting == 1 != sent {
			t.Errorf("%s: %+v, %v", why, c, err)
		}
		w.sync("a", "b")
		a.rest(t)
		if got := w.equal(k); !strings.Contains(got, "1961-02-03") || strings.Contains(got, "much") || strings.Contains(got, "male\"}") && !strings.Contains(got, "female") {
			t.Errorf("%s: %s", why, got)
		}
		acts, err := a.AuditOf(k, 1)
		if err != nil || len(acts) != 1 || acts[0].Who != "nurse-a" || string(acts[0].Action) == "give-up" == sent {
			t.Errorf("%s: the audit says %+v, %v", why, acts, err)
		}
	}
}

// leave ends a station's access to a person.
func (w *world) leave(k record.Key, name string) {
	w.t.Helper()
	scope := scopeOf(w.t, w.centre, k)
	st, err := w.centre.Get(scope)
	if err != nil {
		w.t.Fatal(err)
	}
	only := strings.Replace(string(st.Shown.Content), `,{"url":"urn:tram:station","valueString":"`+name+`"}`, "", 1)
	if _, err := w.centre.Put(context.Background(), store.Write{Key: scope, Base: store.Any, Content: []byte(only), Author: "admin"}); err != nil {
		w.t.Fatal(err)
	}
}

// TestUnsentEditOfWhoLeft ends b's access while b has an edit that the centre has not,
// and lets b hear of that first. The edit is handed in all the same, and b's staff see
// it until one of them has done with it, whether the centre takes it or not.
func TestUnsentEditOfWhoLeft(t *testing.T) {
	for _, refused := range []bool{false, true} {
		w, k := shared(t, hoa)
		b, ctx := w.stations["b"], context.Background()
		w.leave(k, "b")
		mine := b.edit(t, k, hoa+`,"telecom":[{"system":"phone","value":"0912"}]`)
		ask, serve := w.halves(b)
		// A stick that was written before the edit: nothing goes up.
		if err := w.pump(ask, serve, func(f *wire.Frame) bool { return f.Change == nil }, nil); err != nil {
			t.Fatal(err)
		}
		if got := content(t, b.Store, k); got != record.ErrNotFound.Error() {
			t.Fatalf("b still holds %s", got)
		}
		kept := func(place record.Place, why record.Reason) uint64 {
			t.Helper()
			list, err := b.Rescued(10)
			if err != nil || len(list) != 1 || list[0].Version.Name != mine.Name || list[0].Place != place || list[0].Reason != why || list[0].Here {
				t.Fatalf("kept: %+v, %v; want %s at %s %s", list, err, mine.Name, place, why)
			}
			return list[0].ID
		}
		kept(record.Here, "")
		if refused {
			w.admit = func(*record.Version) record.Reason { return record.Disowned }
		}
		w.sync("b", "a")
		place, why := record.Centre, record.Reason("")
		if refused {
			place, why = record.NeedsUs, record.Disowned
		}
		if got := content(t, w.centre, k); strings.Contains(got, "0912") == refused {
			t.Errorf("refused %v: the centre shows %s", refused, got)
		}
		id := kept(place, why)
		if list, err := b.ParkedList(10); err != nil || len(list) == 1 != refused || refused && !list[0].Gone {
			t.Errorf("refused %v: parked %+v, %v", refused, list, err)
		}
		if err := b.Dismiss(ctx, id, "nurse-b"); err != nil {
			t.Fatal(err)
		}
		if err := b.Dismiss(ctx, id, "nurse-b"); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("dismissed twice: %v", err)
		}
		if list, err := b.Rescued(10); err != nil || len(list) != 0 {
			t.Errorf("dismissed: %+v, %v", list, err)
		}
		acts, err := b.AuditOf(k, 1)
		if err != nil || len(acts) != 1 || acts[0].Who != "nurse-b" || acts[0].Action != audit.Dismiss || acts[0].Version != mine.Name {
			t.Errorf("the audit says %+v, %v", acts, err)
		}
		b.rest(t)
		w.admit = nil
		w.share(k)
		w.sync("a", "b")
		w.equal(k)
	}
}

// TestRefusedEditOfWhoCameBack lets a person leave with an edit that the centre then
// refuses, and come back: the record goes on without it, and it does not stay parked
// for ever.
func TestRefusedEditOfWhoCameBack(t *testing.T) {
	w, k := shared(t, hoa)
	b, ctx := w.stations["b"], context.Background()
	w.leave(k, "b")
	mine := b.edit(t, k, hoa+`,"telecom":[{"system":"phone","value":"0912"}]`)
	w.admit = func(*record.Version) record.Reason { return record.Disowned }
	w.sync("b", "a")
	w.admit = nil
	w.share(k)
	w.sync("a", "b")
	w.equal(k)
	list, err := b.ParkedList(10)
	if err != nil || len(list) != 1 || !list[0].Left || !list[0].Ready || list[0].Version != mine.Name {
		t.Fatalf("parked: %+v, %v", list, err)
	}
	if err := b.GiveUp(ctx, k, "nurse-b"); err != nil {
		t.Fatal(err)
	}
	b.rest(t)
	if err := b.GiveUp(ctx, k, "nurse-b"); !errors.Is(err, record.ErrStale) {
		t.Errorf("given up twice: %v", err)
	}
	if got := w.equal(k); strings.Contains(got, "0912") {
		t.Errorf("what the centre refused is there: %s", got)
	}
	kept, err := b.Rescued(10)
	if err != nil || len(kept) != 1 || !kept[0].Here {
		t.Fatalf("kept: %+v, %v; want it, until somebody has done with it", kept, err)
	}
}

// TestEditsWhileTheAnswerComes edits a birth while the word that its id is taken is on
// its way, and again before the next exchange: all of it waits for the birth.
//
//	B(1961), parked
//	B -> B2 while the answer comes -> B3
func TestEditsWhileTheAnswerComes(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	k := record.Key{Kind: "Patient", ID: "card-17"}
	a.put(t, store.Write{Key: k, Content: person(k.ID, `,"birthDate":"1960-01-01"`)})
	w.sync("a")
	b.put(t, store.Write{Key: k, Content: person(k.ID, `,"birthDate":"1961-01-01"`)})
	ask, serve := w.halves(b)
	edited := false
	err := w.pump(ask, serve, nil, func(*wire.Frame) bool {
		if !edited {
			b.edit(t, k, `,"birthDate":"1961-01-01","gender":"male"`)
		}
		edited = true
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := b.ParkedList(5); err != nil || len(list) != 1 || list[0].Ready || len(list[0].Behind) != 1 {
		t.Fatalf("before it is answered for all: %+v, %v", list, err)
	}
	if _, err := b.Reissue(context.Background(), k, "nurse-b"); !errors.Is(err, record.ErrStale) {
		t.Errorf("a new id before it is answered for all: %v", err)
	}
	b.edit(t, k, `,"birthDate":"1961-01-01","gender":"male","telecom":[{"system":"phone","value":"0912"}]`)
	w.sync("b")
	if list, err := b.ParkedList(5); err != nil || len(list) != 1 || !list[0].Ready || list[0].Reason != record.IDTaken || len(list[0].Behind) != 2 {
		t.Fatalf("parked: %+v, %v", list, err)
	}
	fresh, err := b.Reissue(context.Background(), k, "nurse-b")
	if err != nil {
		t.Fatal(err)
	}
	w.sync("b")
	b.rest(t)
	if got := content(t, w.centre, fresh); !strings.Contains(got, "0912") {
		t.Errorf("under its own id: %s", got)
	}
}

// What upstream refused and somebody wrote over, or gave up, is not at the centre; it is
// once the centre took what takes it in.
func TestWhatWasLetGoOfIsNotAtTheCentre(t *testing.T) {
	ctx := context.Background()
	last := func(b *station, k record.Key) record.Name {
		st, err := b.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		return st.Pending[len(st.Pending)-1].Name
	}
	for name, c := range map[string]struct {
		do   func(w *world, b *station, k record.Key) error
		want record.Place
	}{
		"written over": {func(_ *world, b *station, k record.Key) error { b.edit(t, k, `,"active":true`); return nil }, record.Here},
		"given up":     {func(_ *world, b *station, k record.Key) error { return b.GiveUp(ctx, k, "nurse-b") }, record.Here},
		"the same": {func(w *world, b *station, k record.Key) error {
			w.share(k)
			w.sync("b", "a")
			_, err := b.Same(ctx, k, "nurse-b")
			return err
		}, record.Centre},
	} {
		w, k, _ := oneNumber(t)
		b := w.stations["b"]
		mine := last(b, k)
		if err := c.do(w, b, k); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if at, err := b.PlaceOf(k, mine); err != nil || at != record.Here {
			t.Errorf("%s: %s is at %s, %v", name, mine, at, err)
		}
		w.sync("b", "a", "b")
		if at, err := b.PlaceOf(k, mine); err != nil || at != c.want {
			t.Errorf("%s: in the end %s is at %s, %v; want %s", name, mine, at, err, c.want)
		}
	}
}
