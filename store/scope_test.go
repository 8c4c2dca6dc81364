package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
	"tram/store/scope"
	"tram/store/storetest"
)

func scopeOf(t *testing.T, s *store.Store, patient record.Key) []string {
	t.Helper()
	out, err := s.ScopeOf(patient)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// scopeRecord finds the record that names a patient's stations.
func scopeRecord(t *testing.T, s *store.Store, patient record.Key) *record.Version {
	t.Helper()
	r, err := s.Search(query.Query{Kind: "Basic", Clauses: []query.Clause{{Param: "patient", Values: []string{patient.ID}}}})
	if err != nil || len(r.Stands) != 1 {
		t.Fatalf("%d scope records of %s, %v; want 1", len(r.Stands), patient, err)
	}
	return r.Stands[0].Shown
}

func grant(t *testing.T, s *store.Store, patient record.Key, station string) {
	t.Helper()
	if _, err := s.Grant(context.Background(), station, "admin", patient); err != nil {
		t.Fatal(err)
	}
}

// narrow takes all stations but the named ones from a patient.
func narrow(t *testing.T, s *store.Store, patient record.Key, stations ...string) {
	t.Helper()
	v := scopeRecord(t, s, patient)
	ext := ""
	for _, name := range stations {
		if ext += ","; ext == "," {
			ext = ""
		}
		ext += `{"url":"` + scope.StationURL + `","valueString":"` + name + `"}`
	}
	if ext != "" {
		ext = `"extension":[` + ext + `],`
	}
	put(t, s, store.Write{Key: v.Key, Base: v.Name.String(), Author: "admin", Content: []byte(`{"resourceType":"Basic","id":"` + v.Key.ID + `",` + ext +
		`"code":{"coding":[{"system":"` + scope.System + `","code":"` + scope.Code + `"}]},"subject":{"reference":"` + patient.String() + `"}}`)})
}

func TestBirthOpensScopeForItsStationAlone(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	o := about(t, a, "Observation", "subject", p.Key.ID, obs)
	push(t, a, c)
	if got := scopeOf(t, c, p.Key); !slices.Equal(got, []string{"a"}) {
		t.Errorf("stations %q, want a alone", got)
	}
	basic := scopeRecord(t, c, p.Key)
	pull(t, c, a)
	if n := pull(t, c, b); n != 0 {
		t.Errorf("b got %d changes before it was granted any", n)
	}
	if got := has(t, a, p.Key, o.Key, basic.Key) + has(t, b, p.Key, o.Key, basic.Key); got != "111000" {
		t.Errorf("a and b hold %s, want 111000", got)
	}
	grant(t, c, p.Key, "b")
	pull(t, c, a)
	pull(t, c, b)
	if got := has(t, b, p.Key, o.Key, basic.Key); got != "111" {
		t.Errorf("b holds %s of what it was granted", got)
	}
	later := about(t, b, "Observation", "subject", p.Key.ID, obs)
	push(t, b, c)
	pull(t, c, b)
	pull(t, c, a)
	if got := has(t, a, later.Key); got != "1" {
		t.Error("what b added did not reach a")
	}
}

func TestEndedAccessTakesTheCopyAway(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	o := about(t, a, "Observation", "subject", p.Key.ID, obs)
	push(t, a, c)
	grant(t, c, p.Key, "b")
	pull(t, c, b)
	narrow(t, c, p.Key, "a")
	pull(t, c, b)
	pull(t, c, a)
	if got := has(t, b, p.Key, o.Key) + has(t, a, p.Key, o.Key); got != "0011" {
		t.Errorf("b and a hold %s, want 0011", got)
	}
	if got, err := b.People("hoa", 5); err != nil || len(got) != 0 {
		t.Errorf("a person whom b gave up is found: %v, %v", got, err)
	}
	if _, err := b.History(o.Key); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("history of what b gave up: %v", err)
	}
	if n, err := b.Waiting(); err != nil || n.Records != 0 || n.People != 0 {
		t.Errorf("b counts %+v, %v; it holds nothing", n, err)
	}
	if n, err := b.Alike(); err != nil || n != 0 {
		t.Errorf("%d are as upstream has them, %v", n, err)
	}
	grant(t, c, p.Key, "b")
	pull(t, c, b)
	if got := has(t, b, p.Key, o.Key); got != "11" {
		t.Errorf("granted again: b holds %s", got)
	}
}

// TestEndedAccessBeforeItCameDown ends the access to a record that its maker has
// handed in and not yet had back.
func TestEndedAccessBeforeItCameDown(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a := station(t, "a")
	p := born(t, a, hoa)
	push(t, a, c)
	narrow(t, c, p.Key, "b")
	pull(t, c, a)
	if got := has(t, a, p.Key); got != "0" {
		t.Error("a keeps a person who is not its own any more")
	}
}

func TestGoneBeforeAnOlderChange(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	push(t, a, c)
	grant(t, c, p.Key, "b")
	older, err := c.Offer("b", record.Cursor{Feed: record.OwnFeed}, 10)
	if err != nil {
		t.Fatal(err)
	}
	narrow(t, c, p.Key, "a")
	gone, err := c.Offer("b", record.Cursor{Feed: record.OwnFeed}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []record.Page{gone, older} { // as two sticks may come
		st := record.Stretch{Peer: "centre", Cursor: &page.Cursor}
		for _, ch := range page.Changes {
			st.Arrived = append(st.Arrived, record.Arrival{Change: ch})
		}
		apply(t, b, st)
	}
	if got := has(t, b, p.Key); got != "0" {
		t.Error("an older change brought back a person who was given up")
	}
}

// TestGivenUpRecordStillHandsIn ends the access to a record with a change that was
// never sent: its content goes up, and the chain behind it goes on.
func TestGivenUpRecordStillHandsIn(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a := station(t, "a")
	p := born(t, a, hoa)
	push(t, a, c)
	pull(t, c, a)
	unsent := put(t, a, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+`,"gender":"female"`)})
	narrow(t, c, p.Key, "b")
	pull(t, c, a)
	if got := has(t, a, p.Key); got != "0" {
		t.Error("a still shows the person")
	}
	after := born(t, a, "")
	changes := own(t, a)
	if len(changes) != 2 || changes[0].Ref != unsent.Ref() || string(changes[0].Version.Content) != string(unsent.Content) || changes[1].Prev != unsent.Name.N {
		t.Fatalf("offered %v, want the unsent change and then the next", changes)
	}
	push(t, a, c)
	if got, err := a.PlaceOf(after.Key, after.Name); err != nil || got != record.Centre {
		t.Errorf("what was made after it is %s, %v", got, err)
	}
	if n, err := a.Waiting(); err != nil || n.Waiting != 0 {
		t.Errorf("%d wait, %v", n.Waiting, err)
	}
	if vs, _, err := a.HistoryAll(store.Since{Limit: 100}); err != nil || slices.ContainsFunc(vs, func(v *record.Version) bool { return v.Key == p.Key }) {
		t.Errorf("a version of the person is still there: %v", err)
	}
}

func TestWhatIsAboutAPersonIsNotForAll(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	keys := []record.Key{p.Key}
	for _, v := range []*record.Version{
		about(t, a, "Task", "for", p.Key.ID, `,"status":"requested","intent":"order"`),
		about(t, a, "Device", "patient", p.Key.ID, ""),
		about(t, a, "Communication", "subject", p.Key.ID, `,"status":"completed"`),
		about(t, a, "GuidanceResponse", "subject", p.Key.ID, `,"status":"success","moduleUri":"http://m"`),
	} {
		keys = append(keys, v.Key)
	}
	all := put(t, a, store.Write{Key: key("Organization", "o"), Content: []byte(`{"resourceType":"Organization","id":"o","name":"Trạm"}`)})
	push(t, a, c)
	pull(t, c, a)
	pull(t, c, b)
	if got := has(t, b, keys...); got != "00000" {
		t.Errorf("b holds %s of what is about a's person", got)
	}
	if got := has(t, b, all.Key); got != "1" {
		t.Error("b lacks what is for all")
	}
	r, err := a.Search(query.Query{Kind: "Task", Clauses: []query.Clause{{Param: "patient", Values: []string{p.Key.ID}}}})
	if err != nil || r.Total != 1 {
		t.Errorf("a finds %d tasks about its person, %v; want 1", r.Total, err)
	}
}

func TestNewPeerGetsWhatIsThere(t *testing.T) {
	t.Parallel()
	c := top(t, "a")
	a := station(t, "a")
	var first *record.Version
	for range 6 {
		p := born(t, a, hoa)
		first = p
		for range 3 {
			about(t, a, "Observation", "subject", p.Key.ID, obs)
		}
	}
	push(t, a, c)
	if err := c.AddPeer(context.Background(), store.Peer{Name: "a2", Station: "a"}); err != nil {
		t.Fatal(err)
	}
	addPeer(t, c, "a2") // known already: nothing new
	second := station(t, "a2")
	if n := pull(t, c, second); n != 6*5 {
		t.Errorf("the station's second PC got %d changes, want %d", n, 6*5)
	}
	addPeer(t, c, "z")
	z := station(t, "z")
	if n := pull(t, c, z); n != 0 {
		t.Errorf("a stranger got %d changes", n)
	}
	grant(t, c, first.Key, "z")
	if n := pull(t, c, z); n != 5 {
		t.Errorf("granted one person, z got %d changes, want 5", n)
	}
}

// TestScopeRecordFollowsItsAuthorOnly makes a scope record at a station, where it
// opens nothing.
func TestScopeRecordIsObeyedAtTheTopOnly(t *testing.T) {
	t.Parallel()
	a := station(t, "a")
	p := born(t, a, hoa)
	grant(t, a, p.Key, "b")
	if got := scopeOf(t, a, p.Key); len(got) != 0 {
		t.Errorf("a station opened %q", got)
	}
	storetest.Check(t, a)
}

// TestWhatMayBeAboutSomebodyIsNotForAll: who is meant is said by no reference to a person here,
// and the record stays with its maker's station and the centre.
func TestWhatMayBeAboutSomebodyIsNotForAll(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	o := about(t, a, "Observation", "subject", p.Key.ID, obs)
	contents := map[string]string{
		"Bundle":       `,"type":"document","entry":[{"fullUrl":"urn:uuid:0","resource":{"resourceType":"Patient","id":"` + p.Key.ID + `","name":[{"family":"Dang"}]}}]`,
		"Binary":       `,"contentType":"text/plain","securityContext":{"reference":"` + p.Key.String() + `"},"data":"SElW"`,
		"Observation":  `,"status":"final","code":{"text":"HIV"},"contained":[{"resourceType":"Patient","id":"p","name":[{"family":"Dang"}]}],"subject":{"reference":"#p"}`,
		"Condition":    `,"code":{"text":"HIV"},"subject":{"reference":"http://elsewhere/fhir/Patient/` + p.Key.ID + `"}`,
		"Flag":         `,"status":"active","code":{"text":"HIV"},"subject":{"identifier":{"system":"urn:cccd","value":"079001"}}`,
		"Provenance":   `,"target":[{"reference":"` + o.Key.String() + `"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"Lan"}}]`,
		"List":         `,"status":"current","mode":"working","title":"HIV"`,
		"Parameters":   `,"parameter":[{"name":"of","valueString":"Dang"}]`,
		"Medication":   `,"contained":[{"resourceType":"Patient","id":"p"}],"extension":[{"url":"urn:for","valueReference":{"reference":"#p"}}]`,
		"Organization": `,"extension":[{"url":"urn:of","valueReference":{"reference":"` + p.Key.String() + `"}}]`,
	}
	forAll := map[string]string{"Location": `,"name":"Trạm"`, "Substance": `,"code":{"text":"nước"}`}
	write := func(all map[string]string) (keys []record.Key) {
		for kind, rest := range all {
			k := key(kind, "x")
			put(t, a, store.Write{Key: k, Content: []byte(`{"resourceType":"` + kind + `","id":"x"` + rest + `}`)})
			keys = append(keys, k)
		}
		return keys
	}
	own, common := write(contents), write(forAll)
	push(t, a, c)
	pull(t, c, a)
	pull(t, c, b)
	for _, k := range own {
		if got := has(t, c, k) + has(t, a, k) + has(t, b, k); got != "110" {
			t.Errorf("%s: centre, its maker and another station hold it: %s, want 110", k, got)
		}
	}
	for _, k := range common {
		if got := has(t, b, k); got != "1" {
			t.Errorf("%s is not for all", k)
		}
	}
	// A new PC of the station has it too, once it is there.
	if err := c.AddPeer(t.Context(), store.Peer{Name: "a2", Station: "a"}); err != nil {
		t.Fatal(err)
	}
	a2 := station(t, "a2")
	pull(t, c, a2)
	for _, k := range append(own, common...) {
		if has(t, a2, k) != "1" {
			t.Errorf("%s is not at the station's other PC", k)
		}
	}
}

func TestWhatNamesNobodyAnyMoreIsNotForAll(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	o := about(t, a, "Observation", "subject", p.Key.ID, obs)
	push(t, a, c)
	pull(t, c, a)
	put(t, a, store.Write{Key: o.Key, Base: store.Any, Content: []byte(`{"resourceType":"Observation","id":"` + o.Key.ID + `"` + obs + `}`)})
	push(t, a, c)
	pull(t, c, a)
	pull(t, c, b)
	if got := has(t, a, o.Key) + has(t, b, o.Key); got != "10" {
		t.Errorf("a and b hold what names nobody any more: %s, want 10", got)
	}
}

// TestScopeRecordThatNamesAnotherOpensNothing: stations are those of the records that there are.
func TestScopeRecordThatNamesAnotherOpensNothing(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a := station(t, "a")
	p, q := born(t, a, hoa), born(t, a, hoa)
	push(t, a, c)
	grant(t, c, p.Key, "b")
	v := scopeRecord(t, c, p.Key)
	write := func(content []byte) {
		t.Helper()
		put(t, c, store.Write{Key: v.Key, Base: store.Any, Author: "admin", Content: content})
	}
	write(scope.Content(v.Key.ID, q.Key.ID, []string{"b"}))
	if got := scopeOf(t, c, p.Key); len(got) != 0 {
		t.Errorf("no record names a station of the person, who is held by %v", got)
	}
	write(v.Content)
	if got := scopeOf(t, c, p.Key); len(got) != 2 {
		t.Errorf("the record names a and b again, and the person is held by %v", got)
	}
	if got := scopeOf(t, c, q.Key); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the other is held by %v, want a, as their own record says", got)
	}
	id := c.NewID()
	put(t, c, store.Write{Key: key("Basic", id), Author: "admin", Content: scope.Content(id, p.Key.ID, []string{"b"})})
	put(t, c, store.Write{Key: key("Basic", id), Base: store.Any, Author: "admin", Delete: true})
	if got := scopeOf(t, c, p.Key); len(got) != 2 {
		t.Errorf("a second record is deleted, and the first does not count: %v", got)
	}
	write([]byte(strings.Replace(string(v.Content), scope.Code, "other", 1)))
	if got := scopeOf(t, c, p.Key); len(got) != 0 {
		t.Errorf("what is no scope record any more keeps the person with %v", got)
	}
}

// TestPeersAreKnownAfterAReplay: the centre's database is lost, or an older copy, and who was
// enrolled among more entries than are replayed at once keeps their people.
func TestPeersAreKnownAfterAReplay(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"lost", "older"} {
		o := store.Options{Name: "centre", Top: true, Dir: t.TempDir(), R4: storetest.R4(t), Clock: storetest.Clock()}
		db := filepath.Join(o.Dir, layout.DatabaseFile)
		open := func() *store.Store {
			t.Helper()
			c, err := store.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := open()
		addPeer(t, c, "a")
		a := station(t, "a")
		p := born(t, a, hoa)
		push(t, a, c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		old := read(t, db)
		c = open()
		edit := func(i int) {
			put(t, c, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+fmt.Sprintf(`,"multipleBirthInteger":%d`, i))})
		}
		edit(1)
		addPeer(t, c, "b")
		grant(t, c, p.Key, "b")
		for i := range 300 {
			edit(i + 10)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		err := os.Remove(db)
		if how == "older" {
			err = os.WriteFile(db, old, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		c = storetest.Open(t, o)
		edit(1000)
		for _, peer := range []string{"a", "b"} {
			page, err := c.Offer(peer, record.Cursor{Feed: record.OwnFeed}, 1000)
			if err != nil || !slices.ContainsFunc(page.Changes, func(ch record.Change) bool { return ch.Key == p.Key && !ch.Gone }) {
				t.Errorf("%s: the person is not offered to %s: %v", how, peer, err)
			}
		}
	}
}

// TestWhoMovedAwayStaysAwayThroughARebuild: what upstream has of somebody who is gone here is
// not shown again by the journal.
func TestWhoMovedAwayStaysAwayThroughARebuild(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	o := store.Options{Name: "b", Dir: t.TempDir(), R4: storetest.R4(t), Clock: storetest.Clock()}
	b, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	p := born(t, b, hoa)
	push(t, b, c)
	pull(t, c, b)
	narrow(t, c, p.Key, "a")
	pull(t, c, b)
	if has(t, b, p.Key) != "0" {
		t.Fatal("who moved away is here")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	o.Rebuild = true
	b = storetest.Open(t, o)
	if found, err := b.People("", 100); has(t, b, p.Key) != "0" || len(found) > 0 || err != nil {
		t.Errorf("who moved away is shown again after a rebuild, and %d at the desk, %v", len(found), err)
	}
}
