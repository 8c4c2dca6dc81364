package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tram/store"
	"tram/store/element"
	"tram/store/record"
	"tram/sync/wire"
)

const hoa = `,"name":[{"family":"Đặng","given":["Hoà"]}],"birthDate":"1961-02-03"`

func TestBirthReachesCentreAndTurnsGreen(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	if p := place(t, a, k); p != record.Here {
		t.Errorf("before: %s", p)
	}
	w.sync("a")
	if p := place(t, a, k); p != record.Centre {
		t.Errorf("after: %s", p)
	}
	w.equal(k)
	if !a.last.Equal {
		t.Error("the trees are not proved equal")
	}
	if c, err := a.Waiting(); err != nil || c.Waiting != 0 || c.Records != 2 {
		t.Errorf("counts: %+v, %v; want the person and the scope", c, err)
	}
}

func place(t *testing.T, s *station, k record.Key) record.Place {
	t.Helper()
	st, err := s.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Place(st)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shared makes a person whom stations a and b hold.
func shared(t *testing.T, rest string) (*world, record.Key) {
	t.Helper()
	w := newWorld(t, "a", "b")
	k := w.stations["a"].born(t, rest)
	w.sync("a")
	if got := content(t, w.stations["b"].Store, k); got != record.ErrNotFound.Error() {
		t.Fatalf("b holds a person nobody gave it: %s", got)
	}
	w.share(k)
	w.sync("a", "b")
	w.equal(k)
	return w, k
}

func TestDifferentElementsMerge(t *testing.T) {
	w, k := shared(t, hoa)
	w.stations["a"].edit(t, k, hoa+`,"gender":"female"`)
	w.stations["b"].edit(t, k, hoa+phone("0912"))
	w.sync("a", "b")
	w.want(k, `"gender":"female"`, `"0912"`)
}

func TestSameSafetyElementIsAConflictUntilDecided(t *testing.T) {
	w, k := shared(t, hoa)
	w.stations["a"].edit(t, k, strings.Replace(hoa, "1961", "1962", 1))
	w.stations["b"].edit(t, k, strings.Replace(hoa, "1961", "1963", 1))
	w.sync("a", "b")
	w.want(k, `"birthDate":"1961-02-03"`)
	b := w.stations["b"]
	st, err := b.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	cs := st.Shown.Conflicts()
	if len(cs) != 1 || len(cs[0].Values) != 2 || cs[0].Path != "birthDate" {
		t.Fatalf("conflicts: %+v", cs)
	}
	var closes []record.Name
	for _, v := range cs[0].Values {
		for _, by := range v.Writers {
			closes = append(closes, by.Name)
			if !strings.HasPrefix(by.Author, "nurse-") {
				t.Errorf("a value of nobody: %+v", by)
			}
		}
	}
	b.put(t, store.Write{Key: k, Base: st.Tag(), Decisions: []record.Decision{{Path: "birthDate", Value: []byte(`{"birthDate":"1963-02-03"}`), Closes: closes}}})
	w.sync("b", "a")
	w.want(k, `"birthDate":"1963-02-03"`)
	for n, s := range w.stations {
		if list, err := s.Contested(5); err != nil || len(list) != 0 {
			t.Errorf("still contested at %s: %v, %v", n, list, err)
		}
		items, err := s.Vault(k, 5)
		if err != nil || len(items) != 1 || items[0].Lost.Policy != element.Decided || !strings.Contains(string(items[0].Lost.Value), "1962") ||
			items[0].Lost.By[0].Author != "nurse-a" {
			t.Errorf("vault of %s: %+v, %v", n, items, err)
		}
	}
}

func TestAdministrativeLoserIsInTheVaultEverywhere(t *testing.T) {
	w, k := shared(t, hoa+phone("0900"))
	w.stations["a"].edit(t, k, hoa+phone("0911"))
	w.stations["b"].edit(t, k, hoa+phone("0922"))
	w.sync("a", "b")
	got := w.equal(k)
	winner, loser := "0911", "0922"
	if strings.Contains(got, loser) {
		winner, loser = loser, winner
	}
	if !strings.Contains(got, winner) || strings.Contains(got, loser) {
		t.Fatalf("phones: %s", got)
	}
	for n, s := range w.stations {
		items, err := s.Vault(k, 5)
		if err != nil || len(items) != 1 || !strings.Contains(string(items[0].Lost.Value), loser) {
			t.Errorf("vault of %s: %+v, %v", n, items, err)
		}
	}
}

func TestEditLivesAgainstDeletion(t *testing.T) {
	w, k := shared(t, hoa)
	st, err := w.stations["a"].Get(k)
	if err != nil {
		t.Fatal(err)
	}
	w.stations["a"].put(t, store.Write{Key: k, Base: st.Tag(), Delete: true})
	w.stations["b"].edit(t, k, hoa+`,"gender":"female"`)
	w.sync("a", "b")
	w.want(k, `"gender":"female"`)
}

func TestPendingEditIsLaidOverWhatComesDown(t *testing.T) {
	w, k := shared(t, hoa)
	a, b := w.stations["a"], w.stations["b"]
	b.edit(t, k, hoa+`,"gender":"female"`)
	w.sync("b")
	w.admit = func(v *record.Version) record.Reason {
		if v.Author == "nurse-a" {
			return record.NotAllowed
		}
		return ""
	}
	a.edit(t, k, hoa+phone("0912"))
	w.sync("a")
	got := content(t, a.Store, k)
	if !strings.Contains(got, "0912") || !strings.Contains(got, "female") {
		t.Errorf("the preview hides something: %s", got)
	}
	if place(t, a, k) != record.NeedsUs {
		t.Error("a parked entry does not say that it needs somebody")
	}
	w.admit = nil
	// Whoever saves over the preview saw both; upstream takes it, its base being known.
	a.edit(t, k, hoa+phone("0912")+`,"gender":"female","active":true`)
	w.sync("a", "b")
	w.want(k, "0912", "female", `"active":true`)
	if place(t, a, k) != record.Centre {
		t.Errorf("the correction is %s", place(t, a, k))
	}
}

func TestCorrectionOfAParkedBirthIsTaken(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	w.admit = func(v *record.Version) record.Reason {
		if !strings.Contains(string(v.Content), "active") {
			return record.NotAllowed
		}
		return ""
	}
	k := a.born(t, hoa)
	w.sync("a")
	if place(t, a, k) != record.NeedsUs {
		t.Fatalf("the birth is %s", place(t, a, k))
	}
	a.edit(t, k, hoa+`,"active":true`)
	w.sync("a")
	w.want(k, `"active":true`)
	if c, err := a.Waiting(); err != nil || c.Parked != 0 || c.Waiting != 0 || place(t, a, k) != record.Centre {
		t.Errorf("after the correction: %+v, %v, %s", c, err, place(t, a, k))
	}
	if h, err := a.History(k); err != nil || len(h) != 2 {
		t.Errorf("history: %d, %v; what was not taken stays in it", len(h), err)
	}
}

func TestParkedStopsNothingElse(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	bad := a.born(t, hoa)
	w.admit = func(v *record.Version) record.Reason {
		if v.Key == bad {
			return record.NotAllowed
		}
		return ""
	}
	a.edit(t, bad, hoa+`,"active":true`) // made from the parked one
	good := a.born(t, hoa)
	w.sync("a")
	if place(t, a, good) != record.Centre || place(t, a, bad) != record.NeedsUs {
		t.Errorf("good %s, bad %s", place(t, a, good), place(t, a, bad))
	}
	list, err := a.WaitingList(5)
	if err != nil || len(list) != 2 || list[0].Reason != record.NotAllowed || list[1].Reason == "" {
		t.Errorf("waiting: %+v, %v", list, err)
	}
}

func TestEveryCutIsHarmless(t *testing.T) {
	w, k := shared(t, hoa)
	for i := range 12 {
		w.stations["a"].edit(t, k, hoa+phone(fmt.Sprint("0", i)))
		w.stations["a"].born(t, hoa)
		w.stations["b"].edit(t, k, hoa+fmt.Sprintf(`,"multipleBirthInteger":%d`, i+1))
	}
	cuts := 0
	for n := 40; ; n += 97 {
		up := w.cut("a", true, n)
		down := w.cut("b", false, n)
		if up {
			cuts++
		}
		if down {
			cuts++
		}
		if !up && !down {
			break
		}
	}
	if cuts < 10 {
		t.Fatalf("only %d cuts happened", cuts)
	}
	w.sync("a", "b")
	w.want(k, `"011"`, `"multipleBirthInteger":12`)
	for _, s := range w.stations {
		if !s.last.Equal {
			t.Errorf("%s is not proved equal", s.name)
		}
	}
}

func TestRolledBackStationGetsItsOwnBack(t *testing.T) {
	w := newWorld(t, "a")
	w.stations["a"].born(t, hoa)
	w.sync("a")
	copied := w.snapshot("a")
	var lost []record.Key
	for range 10 {
		lost = append(lost, w.stations["a"].born(t, hoa))
	}
	w.sync("a")
	w.restore("a", copied)
	fresh := w.stations["a"].born(t, hoa)
	w.sync("a")
	for _, k := range append(lost, fresh) {
		w.equal(k)
	}
	if c, err := w.stations["a"].Waiting(); err != nil || c.Waiting != 0 || c.People != 12 {
		t.Errorf("after the rollback: %+v, %v", c, err)
	}
}

func TestRestoredCentreGetsBackWhatItForgot(t *testing.T) {
	w, k := shared(t, hoa)
	dir := t.TempDir()
	// The centre as it was: opened anew from a copy taken while nothing was written.
	copied := copyOf(t, w.centre, dir)
	w.stations["a"].edit(t, k, hoa+phone("0912"))
	late := w.stations["b"].born(t, hoa)
	w.sync("a", "b")
	w.centre = copied()
	if got := content(t, w.centre, late); got != record.ErrNotFound.Error() {
		t.Fatalf("the copy is not old: %s", got)
	}
	w.stations["a"].born(t, hoa)
	w.sync("a", "b")
	w.want(k, "0912")
	if got := content(t, w.centre, late); !strings.Contains(got, "Đặng") {
		t.Errorf("the centre did not get it back: %s", got)
	}
	for _, s := range w.stations {
		if !s.last.Equal {
			t.Errorf("%s is not proved equal", s.name)
		}
	}
}

func TestRefusedReplicaIsHeardAndGetsNothing(t *testing.T) {
	w, k := shared(t, hoa)
	w.stations["a"].edit(t, k, hoa+`,"gender":"female"`)
	w.sync("a")
	w.refuse = wire.SecondPC
	w.stations["b"].edit(t, k, hoa+phone("0912"))
	r := w.once("b")
	if r.Refused != wire.SecondPC || r.Received != 0 {
		t.Errorf("refused: %+v", r)
	}
	if got := content(t, w.centre, k); !strings.Contains(got, "0912") {
		t.Error("what the refused replica handed in was not heard")
	}
	if got := content(t, w.stations["b"].Store, k); strings.Contains(got, "female") {
		t.Error("the refused replica got something")
	}
	w.refuse = ""
	w.sync("a", "b")
	w.want(k, "0912", "female")
}

func TestGoneLeavesOnlyNames(t *testing.T) {
	w, k := shared(t, hoa)
	ctx := context.Background()
	w.stations["b"].edit(t, k, hoa+`,"gender":"female"`)
	w.sync("b", "a")
	scope := scopeOf(t, w.centre, k)
	st, err := w.centre.Get(scope)
	if err != nil {
		t.Fatal(err)
	}
	only := strings.Replace(string(st.Shown.Content), `,{"url":"urn:tram:station","valueString":"b"}`, "", 1)
	only = strings.Replace(only, `{"url":"urn:tram:station","valueString":"b"},`, "", 1)
	if _, err := w.centre.Put(ctx, store.Write{Key: scope, Base: store.Any, Content: []byte(only), Author: "admin"}); err != nil {
		t.Fatal(err)
	}
	w.sync("a", "b")
	if got := content(t, w.stations["b"].Store, k); got != record.ErrNotFound.Error() {
		t.Errorf("b still holds: %s", got)
	}
	if !strings.Contains(content(t, w.stations["a"].Store, k), "female") {
		t.Error("a lost the person too")
	}
	if !w.stations["b"].last.Equal {
		t.Error("b is not proved equal")
	}
	w.share(k)
	w.sync("a", "b")
	w.want(k, "female")
}

func scopeOf(t *testing.T, s *store.Store, k record.Key) record.Key {
	t.Helper()
	vs, _, err := s.HistoryAll(store.Since{Kinds: []string{"Basic"}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		if strings.Contains(string(v.Content), k.String()) {
			return v.Key
		}
	}
	t.Fatal("no scope record")
	return record.Key{}
}

func TestNewReferenceReopensADeletion(t *testing.T) {
	w, k := shared(t, hoa)
	a, b := w.stations["a"], w.stations["b"]
	st, err := a.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, store.Write{Key: k, Base: st.Tag(), Delete: true})
	w.sync("a")
	o := record.Key{Kind: "Observation", ID: b.NewID()}
	b.put(t, store.Write{Key: o, Content: []byte(`{"resourceType":"Observation","id":"` + o.ID + `","status":"final","code":{"text":"x"},"subject":{"reference":"` + k.String() + `"}}`)})
	w.sync("b", "a")
	w.want(k, "1961-02-03")
	w.equal(o)
	for n, s := range w.stations {
		items, err := s.Vault(k, 5)
		if err != nil || len(items) != 1 || items[0].Lost.Policy != "referred" || items[0].Lost.By[0].Author != "nurse-a" {
			t.Errorf("%s is not told: %+v, %v", n, items, err)
		}
	}
}

func TestTakenIDIsSettledByAPerson(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	k := record.Key{Kind: "Patient", ID: "card-17"}
	for i, s := range []*station{a, b} {
		s.put(t, store.Write{Key: k, Content: person(k.ID, fmt.Sprintf(`,"birthDate":"196%d-01-01"`, i))})
	}
	o := record.Key{Kind: "Observation", ID: b.NewID()}
	b.put(t, store.Write{Key: o, Content: []byte(`{"resourceType":"Observation","id":"` + o.ID + `","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/card-17"}}`)})
	w.sync("a", "b")
	st, err := b.Get(k)
	if err != nil || st.Parked != record.IDTaken {
		t.Fatalf("b's birth: %+v, %v", st, err)
	}
	fresh, err := b.Reissue(context.Background(), k, "nurse-b")
	if err != nil {
		t.Fatal(err)
	}
	w.sync("b", "a", "b")
	if got := content(t, w.centre, k); !strings.Contains(got, "1960-01-01") {
		t.Errorf("the record that was first: %s", got)
	}
	if got := content(t, w.centre, fresh); !strings.Contains(got, "1961-01-01") {
		t.Errorf("the record with its own id: %s", got)
	}
	if got := content(t, w.centre, o); !strings.Contains(got, fresh.String()) {
		t.Errorf("what refers to it: %s", got)
	}
	if got := content(t, b.Store, k); got != record.ErrNotFound.Error() {
		t.Errorf("b still shows: %s", got)
	}
	if c, err := b.Waiting(); err != nil || c.Parked != 0 || c.Waiting != 0 {
		t.Errorf("b still waits: %+v, %v", c, err)
	}
	if _, err := b.Reissue(context.Background(), fresh, "nurse-b"); err == nil {
		t.Error("an id that nobody took is given up")
	}
}
