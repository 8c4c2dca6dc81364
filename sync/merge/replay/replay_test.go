package replay_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/merge/replay"
	"tram/sync/wire"
)

// commune is a centre and its stations on real stores.
type commune struct {
	t        *testing.T
	merger   *merge.Merger
	centre   *store.Store
	stations map[string]*store.Store
	carries  map[string]*engine.Carry
}

// newCommune makes a centre with the stations named; each holds what the first does.
func newCommune(t *testing.T, names ...string) *commune {
	t.Helper()
	r4 := storetest.R4(t)
	c := &commune{t: t, merger: merge.New(r4, table(t, "")), centre: storetest.Open(t, store.Options{Name: "centre", Top: true, R4: r4}),
		stations: map[string]*store.Store{}, carries: map[string]*engine.Carry{}}
	for _, n := range names {
		c.stations[n] = storetest.Open(t, store.Options{Name: n, R4: r4})
		if err := c.centre.AddPeer(context.Background(), store.Peer{Name: n, Station: names[0]}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// table is the program's own table with lines in place of those of the same element.
func table(t *testing.T, lines string) *merge.Classes {
	t.Helper()
	c, err := merge.ParseClasses(replaced(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func replaced(t *testing.T, lines string) string {
	t.Helper()
	own, err := os.ReadFile("../classes.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := lines
	for _, l := range strings.Split(string(own), "\n") {
		if f := strings.Fields(l); len(f) == 0 || !strings.Contains("\n"+lines, "\n"+f[0]+" ") {
			out += "\n" + l
		}
	}
	return out
}

// sync runs exchanges of the stations, in turn, until each had four.
func (c *commune) sync(names ...string) {
	c.t.Helper()
	for range 4 {
		for _, n := range names {
			c.once(n)
		}
	}
}

func (c *commune) once(name string) {
	c.t.Helper()
	ask, err := engine.NewAsk(engine.AskOptions{Replica: c.stations[name], Name: name, Merger: c.merger, Pace: engine.Pace{Up: 64, Stretch: 8},
		Carry: c.carries[name], Verify: func(record.Receipt) error { return nil }})
	if err != nil {
		c.t.Fatal(err)
	}
	serve := engine.NewServe(engine.ServeOptions{Replica: c.centre, Name: "centre", Peer: name, Merger: c.merger, R4: c.centre.R4(), Now: 1,
		Sign:       func(r record.Receipt) record.Receipt { r.Sig = []byte("signed"); return r },
		Hear:       func(wire.Hello) wire.Refusal { return "" },
		Admit:      func(*record.Version, *record.Stand) record.Reason { return "" },
		MaxContent: 1 << 20, Pace: engine.Pace{Down: 64, Stretch: 8}})
	if err := carry.Direct(context.Background(), ask, serve); err != nil {
		c.t.Fatal(err)
	}
	next := ask.Result().Next
	c.carries[name] = &next
}

// put writes a resource's fields at a station, over what it shows there.
func (c *commune) put(at string, key record.Key, fields string) {
	c.t.Helper()
	w := store.Write{Key: key, Author: "nurse", Content: fmt.Appendf(nil, `{"resourceType":%q,"id":%q%s}`, key.Kind, key.ID, fields)}
	if st, err := c.stations[at].Get(key); err == nil {
		w.Base = st.Tag()
	}
	if _, err := c.stations[at].Put(context.Background(), w); err != nil {
		c.t.Fatal(err)
	}
}

// apart lets two stations change a record without having seen each other.
func (c *commune) apart(key record.Key, base, a, b string) {
	c.t.Helper()
	c.put("a", key, base)
	c.sync("a", "b")
	c.put("a", key, a)
	c.put("b", key, b)
	c.sync("a", "b")
}

func run(t *testing.T, s *store.Store, now, then string, since time.Time) *replay.Report {
	t.Helper()
	r, err := replay.Run(context.Background(), s, replay.Options{Now: table(t, now), Then: table(t, then), Since: since})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	person    = `,"birthDate":"1961-02-01","maritalStatus":{"text":"single"},"telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"}]`
	lan       = `,"birthDate":"1961-02-03","maritalStatus":{"text":"married"},"telecom":[{"system":"phone","value":"3"},{"system":"email","value":"4"}]`
	mai       = `,"birthDate":"1961-02-04","maritalStatus":{"text":"divorced"},"telecom":[{"system":"phone","value":"5"},{"system":"email","value":"6"}]`
	encounter = `,"class":{"code":"AMB"},"status":`
)

// drawn is a commune where one Patient and one Encounter were merged.
func drawn(t *testing.T, names ...string) (*commune, record.Key, record.Key) {
	t.Helper()
	c := newCommune(t, names...)
	p, e := record.Key{Kind: "Patient", ID: c.stations["a"].NewID()}, record.Key{Kind: "Encounter", ID: c.stations["a"].NewID()}
	c.apart(p, person, lan, mai)
	visit := fmt.Sprintf(`,"subject":{"reference":%q}`, p) + encounter
	c.apart(e, visit+`"planned"`, visit+`"finished"`, visit+`"in-progress"`)
	return c, p, e
}

func TestAnotherTableIsCounted(t *testing.T) {
	c, p, _ := drawn(t, "a", "b")
	const otherwise = `Patient.maritalStatus safety
Patient.telecom safety
Patient.birthDate administrative
Encounter.status monotonic finished planned in-progress
`
	got := run(t, c.centre, "", otherwise, time.Time{})
	want := &replay.Report{Merges: 2, Replayed: 2, Otherwise: 2, Missing: map[string]int{}, Lines: []replay.Line{
		{Kind: "Encounter", Element: "status", Now: "monotonic", Then: "monotonic", Merges: 1, Another: 1},
		{Kind: "Patient", Element: "birthDate", Now: "safety", Then: "administrative", Merges: 1, ByItself: 1},
		{Kind: "Patient", Element: "maritalStatus", Now: "administrative", Then: "safety", Merges: 1, ToPerson: 1},
		{Kind: "Patient", Element: "telecom", Now: "administrative", Then: "safety", Merges: 1, ToPerson: 1},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	var said strings.Builder
	if err := got.Say(&said, "en"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"2 merges are held here; 2 were replayed; 2 would come out otherwise.",
		"Patient.maritalStatus, administrative -> safety: 1 (1 would go to a person)"} {
		if !strings.Contains(said.String(), line+"\n") {
			t.Errorf("%q is not in\n%s", line, &said)
		}
	}
	for _, secret := range []string{p.ID, "1961", "married", "nurse"} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the report holds %s:\n%s", secret, &said)
		}
	}
}

func TestTheSameTableChangesNothing(t *testing.T) {
	c, _, _ := drawn(t, "a", "b")
	if got := run(t, c.centre, "", "", time.Time{}); got.Replayed != 2 || got.Otherwise != 0 || got.Earlier != 0 || len(got.Lines) != 0 {
		t.Errorf("got %+v", got)
	}
}

// A merge that another table made, and not the present one, is told of.
func TestMergesOfAnEarlierTable(t *testing.T) {
	c, _, _ := drawn(t, "a", "b")
	if got := run(t, c.centre, "Patient.maritalStatus safety\n", "", time.Time{}); got.Earlier != 1 || got.Otherwise != 1 || got.Lines[0].ByItself != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestSinceLeavesOutWhatWasBefore(t *testing.T) {
	c, _, e := drawn(t, "a", "b")
	st, err := c.centre.Get(e)
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int{0: 1, time.Millisecond: 0} {
		if got := run(t, c.centre, "", "", st.Head.Stamp.Time().Add(after)); got.Merges != want {
			t.Errorf("%v after the last merge: %d merges, want %d", after, got.Merges, want)
		}
	}
}

// A station that was away got the merges without what they were made of, and one
// that took part lacks what the other made of the record before.
func TestWhatIsNotHeldIsTold(t *testing.T) {
	c, p, _ := drawn(t, "a", "b", "c")
	c.sync("c")
	if got := run(t, c.stations["c"], "", "", time.Time{}); got.Merges != 2 || got.Replayed != 0 || got.Missing[replay.NoHead] != 2 {
		t.Errorf("at the station that was away: %+v", got)
	}
	// b makes two versions upon each other while a writes; then a holds the head, but
	// neither of b's.
	c.put("b", p, mai+`,"gender":"male"`)
	c.put("b", p, mai+`,"gender":"female"`)
	c.put("a", p, lan+`,"language":"vi"`)
	c.sync("a", "b")
	got := run(t, c.stations["a"], "", "", time.Time{})
	if sum := got.Replayed + got.Missing[replay.NoHead] + got.Missing[replay.NoIncoming] + got.Missing[replay.NoBase]; got.Missing[replay.NoIncoming] == 0 || sum != got.Merges {
		t.Errorf("at a station that took part: %+v", got)
	}
}

// Whether a record that was deleted here and edited there lives may hang on a class:
// an edit that a later one beat is no reason to keep it, one that is contested is.
func TestWhetherARecordLives(t *testing.T) {
	c := newCommune(t, "a", "b")
	p := record.Key{Kind: "Patient", ID: c.stations["a"].NewID()}
	married := func(text string) string { return fmt.Sprintf(`,"maritalStatus":{"text":%q}`, text) }
	c.put("a", p, married("single"))
	c.sync("a", "b")
	c.put("b", p, married("divorced"))
	for i := range 20 { // a's clock runs on
		c.put("a", p, married(fmt.Sprint("married ", i)))
	}
	st, err := c.stations["a"].Get(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.stations["a"].Put(context.Background(), store.Write{Key: p, Base: st.Tag(), Author: "nurse", Delete: true}); err != nil {
		t.Fatal(err)
	}
	c.sync("a", "b")
	got := run(t, c.centre, "", "Patient.maritalStatus safety\n", time.Time{})
	want := []replay.Line{{Kind: "Patient", Merges: 1, Another: 1},
		{Kind: "Patient", Element: "maritalStatus", Now: "administrative", Then: "safety", Merges: 1, ToPerson: 1}}
	if !reflect.DeepEqual(got.Lines, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Equal births are merged without base.
func TestBirthsThatMet(t *testing.T) {
	c := newCommune(t, "a", "b")
	p := record.Key{Kind: "Patient", ID: "x"}
	c.put("a", p, person)
	c.put("b", p, person)
	c.sync("a", "b")
	if got := run(t, c.centre, "", "Patient.birthDate administrative\n", time.Time{}); got.Merges != 1 || got.Replayed != 1 || got.Otherwise != 0 || got.Earlier != 0 {
		t.Errorf("got %+v", got)
	}
}

// Both languages say each thing, and with the same figures.
func TestReportsSpeakBothLanguages(t *testing.T) {
	r := &replay.Report{Merges: 9, Replayed: 5, Otherwise: 1, Earlier: 2, Missing: map[string]int{}, Lines: []replay.Line{{Kind: "Patient", Merges: 1, ToPerson: 1, ByItself: 1, Another: 1, Contested: 1}}}
	for _, reason := range replay.Reasons() {
		r.Missing[reason] = 1
	}
	for _, lang := range []string{"vi", "en"} {
		var said strings.Builder
		if err := r.Say(&said, lang); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(said.String(), "\n"); lines != 8 || strings.Contains(said.String(), "%!") || strings.Contains(said.String(), "\n\n") {
			t.Errorf("%s: %d lines\n%s", lang, lines, &said)
		}
		if _, err := replay.Table(lang, "Patient.name nonsense"); err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: a broken table: %v", lang, err)
		}
	}
}
