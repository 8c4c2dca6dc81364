package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/store"
	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/storetest"
	"tram/store/table"
)

func patient(id, rest string) []byte {
	return []byte(`{"resourceType":"Patient","id":"` + id + `"` + rest + `}`)
}

const hoa = `,"name":[{"family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1961-02-03","telecom":[{"system":"phone","value":"0912 345 678"}]`

// put makes one entry by hoa and returns its version.
func put(t *testing.T, s *store.Store, w store.Write) *record.Version {
	t.Helper()
	if w.Author == "" {
		w.Author = "hoa"
	}
	v, err := s.Put(context.Background(), w)
	if err != nil {
		t.Fatalf("put %s: %v", w.Key, err)
	}
	return v[0]
}

func key(kind, id string) record.Key { return record.Key{Kind: kind, ID: id} }

func born(t *testing.T, s *store.Store, rest string) *record.Version {
	t.Helper()
	id := s.NewID()
	return put(t, s, store.Write{Key: key("Patient", id), Content: patient(id, rest)})
}

func TestStaleAndTakenWritesAreRefused(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	v1 := born(t, s, hoa)
	k := v1.Key
	v2 := put(t, s, store.Write{Key: k, Base: v1.Name.String(), Content: patient(k.ID, hoa+`,"gender":"female"`)})
	for name, c := range map[string]struct {
		w    store.Write
		want error
	}{
		"stale":           {store.Write{Key: k, Base: v1.Name.String(), Content: patient(k.ID, `,"gender":"male"`)}, record.ErrStale},
		"taken":           {store.Write{Key: k, Content: patient(k.ID, "")}, record.ErrExists},
		"never":           {store.Write{Key: key("Patient", "x"), Base: v1.Name.String(), Content: patient("x", "")}, record.ErrStale},
		"delete nothing":  {store.Write{Key: key("Patient", "x"), Base: store.Any, Delete: true}, record.ErrNotFound},
		"decide nothing":  {store.Write{Key: k, Base: store.Any, Decisions: []record.Decision{{Path: "nope", Value: []byte(`{}`)}}}, nil},
		"other id inside": {store.Write{Key: k, Base: store.Any, Content: patient("y", "")}, nil},
		"not FHIR":        {store.Write{Key: k, Base: store.Any, Content: patient(k.ID, `,"birthDate":"soon"`)}, nil},
	} {
		c.w.Author = "hoa"
		_, err := s.Put(context.Background(), c.w)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	st, err := s.Get(k)
	if err != nil || st.Shown.Name != v2.Name {
		t.Errorf("after refused writes: %v, %v; want %s", st.Shown, err, v2.Name)
	}
}

func TestTransactionIsWholeOrNothing(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	good := s.NewID()
	_, err := s.Put(context.Background(),
		store.Write{Key: key("Patient", good), Content: patient(good, hoa), Author: "hoa"},
		store.Write{Key: key("Patient", "x"), Base: "nothing", Content: patient("x", hoa), Author: "hoa"})
	if !errors.Is(err, record.ErrStale) {
		t.Fatalf("got %v, want stale", err)
	}
	if _, err := s.Get(key("Patient", good)); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("half of a refused transaction is there: %v", err)
	}
}

func TestSameContentMakesNoVersion(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	v := born(t, s, hoa)
	again := put(t, s, store.Write{Key: v.Key, Base: store.Any, Content: v.Content})
	if again.Name != v.Name {
		t.Errorf("got %s, want %s", again.Name, v.Name)
	}
}

func TestDeletedComesBackAndHistoryTells(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	v := born(t, s, hoa)
	put(t, s, store.Write{Key: v.Key, Base: v.Name.String(), Delete: true})
	st, err := s.Get(v.Key)
	if err != nil || !st.Shown.Deleted {
		t.Fatalf("after deletion: %+v, %v", st, err)
	}
	if got, err := s.People("hoa", 5); err != nil || len(got) != 0 {
		t.Errorf("a deleted person is found: %v, %v", got, err)
	}
	put(t, s, store.Write{Key: v.Key, Base: st.Tag(), Content: v.Content})
	h, err := s.History(v.Key)
	if err != nil || len(h) != 3 || h[0].Deleted || !h[1].Deleted {
		t.Errorf("history: %v, %v", h, err)
	}
}

// TestTimeOrdersNothing edits a record by a clock that is set back before each edit:
//
//	v1 (2030) -> v2 (2029) -> v3 (2028) …
func TestTimeOrdersNothing(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	o := store.Options{Name: "a", Dir: t.TempDir(), R4: storetest.R4(t), Clock: func() record.Stamp { return record.Stamp{Unix: at.UnixMilli()} }}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	last := born(t, s, hoa)
	want := []record.Ref{last.Ref()}
	for n := range 8 {
		at = at.AddDate(-1, 0, 0)
		last = put(t, s, store.Write{Key: last.Key, Base: last.Name.String(), Content: patient(last.Key.ID, hoa+fmt.Sprintf(`,"multipleBirthInteger":%d`, n))})
		want = append([]record.Ref{last.Ref()}, want...)
	}
	holds := func(name string, s *store.Store) {
		t.Helper()
		st, err := s.Get(last.Key)
		if err != nil || st.Shown.Ref() != last.Ref() {
			t.Errorf("%s: shown is %v, %v, want what was written last", name, st.Shown, err)
		}
		past, err := s.History(last.Key)
		all, _, aerr := s.HistoryAll(store.Since{Limit: 20})
		if err := errors.Join(err, aerr); err != nil || len(past) != len(want) || len(all) != len(want) {
			t.Fatalf("%s: %d and %d versions, %v", name, len(past), len(all), err)
		}
		for i, ref := range want {
			if past[i].Ref() != ref || all[i].Ref() != ref {
				t.Errorf("%s: place %d has %v and %v, want %v", name, i, past[i].Name, all[i].Name, ref.Name)
			}
		}
	}
	holds("at once", s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Rebuild = true
	holds("rebuilt", storetest.Open(t, o))
}

func TestDeskFindsPeople(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	v := born(t, s, hoa+`,"identifier":[{"system":"http://cccd","value":"001161002345"}]`)
	born(t, s, `,"name":[{"text":"Trần Văn Dũng"}],"birthDate":"1980-12-01"`)
	for _, text := range []string{"dang thi hoa", "hoa dang", "Hòa", "001161002345", "0912345678", "345678", "1961", "03/02/1961", "1961-02-03", "hoa 1961"} {
		got, err := s.People(text, 5)
		if err != nil || len(got) != 1 || got[0].ID != v.Key.ID {
			t.Errorf("People(%q) = %v, %v, want only Hoà", text, got, err)
		}
	}
	if got, err := s.People("hoa 1980", 5); err != nil || len(got) != 0 {
		t.Errorf("every word must match: %v, %v", got, err)
	}
}

func TestSearchByTable(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	p := born(t, s, hoa)
	for i := range 5 {
		id := s.NewID()
		put(t, s, store.Write{Key: key("Observation", id), Content: fmt.Appendf(nil,
			`{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-%d"}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-10-0%dT08:00:00+07:00","valueQuantity":{"value":7%d.0,"unit":"/min"}}`,
			id, i%2, p.Key.ID, i+1, i)})
	}
	for name, c := range map[string]struct {
		clauses []query.Clause
		want    int
	}{
		"all":           {nil, 5},
		"patient":       {[]query.Clause{{Param: "patient", Values: []string{p.Key.ID}}}, 5},
		"code":          {[]query.Clause{{Param: "code", Values: []string{"http://loinc.org|8867-1"}}}, 2},
		"code or":       {[]query.Clause{{Param: "code", Values: []string{"8867-1", "8867-0"}}}, 5},
		"date":          {[]query.Clause{{Param: "date", Values: []string{"ge2026-10-03"}}, {Param: "patient", Values: []string{p.Key.ID}}}, 3},
		"quantity":      {[]query.Clause{{Param: "value-quantity", Values: []string{"gt72"}}}, 2},
		"other patient": {[]query.Clause{{Param: "patient", Values: []string{"nobody"}}}, 0},
		"not":           {[]query.Clause{{Param: "code", Modifier: "not", Values: []string{"8867-1"}}}, 3},
		"missing":       {[]query.Clause{{Param: "encounter", Modifier: "missing", Values: []string{"true"}}}, 5},
	} {
		r, err := s.Search(query.Query{Kind: "Observation", Clauses: c.clauses})
		if err != nil || r.Total != c.want {
			t.Errorf("%s: got %d, %v; want %d", name, r.Total, err, c.want)
		}
	}
	var bad *query.ParamError
	if _, err := s.Search(query.Query{Kind: "Observation", Clauses: []query.Clause{{Param: "colour"}}}); !errors.As(err, &bad) {
		t.Errorf("unknown parameter: %v", err)
	}
	first, err := s.Search(query.Query{Kind: "Observation", Limit: 3, Sort: []string{"-date"}})
	if err != nil || len(first.Stands) != 3 || first.Next == "" {
		t.Fatalf("first page: %d, %v", len(first.Stands), err)
	}
	rest, err := s.Search(query.Query{Kind: "Observation", Limit: 3, Sort: []string{"-date"}, Page: first.Next})
	if err != nil || len(rest.Stands) != 2 || rest.Next != "" {
		t.Fatalf("second page: %d %q, %v", len(rest.Stands), rest.Next, err)
	}
}

func TestManyWritersShareCommits(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a", Clock: func() record.Stamp { return record.Stamp{Unix: 1} }})
	v := born(t, s, hoa)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 32 {
		wg.Go(func() {
			_, err := s.Put(context.Background(), store.Write{Key: v.Key, Base: v.Name.String(), Author: "hoa",
				Content: patient(v.Key.ID, fmt.Sprintf(`,"multipleBirthInteger":%d`, i+1))})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, record.ErrStale) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writers won over one base, want 1", won)
	}
}

func TestJournalBringsBackAnOldDatabase(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	v1 := born(t, s, hoa)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "tram.db"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(o); err != nil {
		t.Fatal(err)
	}
	v2 := put(t, s, store.Write{Key: v1.Key, Base: v1.Name.String(), Content: patient(v1.Key.ID, hoa+`,"gender":"female"`)})
	v3 := born(t, s, `,"birthDate":"2026-01-01"`)
	if v2.Name.Lineage == v1.Name.Lineage {
		t.Error("two openings share a lineage")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tram.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = storetest.Open(t, o)
	for _, want := range []*record.Version{v2, v3} {
		st, err := s.Get(want.Key)
		if err != nil || st.Shown.Ref() != want.Ref() {
			t.Errorf("%s after replay: %v, %v; want %s", want.Key, st, err, want.Name)
		}
	}
	page, err := s.Offer(store.Upstream, record.Cursor{}, 10)
	if err != nil || len(page.Changes) != 3 {
		t.Errorf("offered after replay: %d, %v; want 3", len(page.Changes), err)
	}
}

// TestJournalBringsBackLineages loses the database whole: what was made here is known as
// made here all the same, by which upstream tells whose chain it is.
func TestJournalBringsBackLineages(t *testing.T) {
	o := store.Options{Name: "a", Dir: t.TempDir(), R4: storetest.R4(t), Clock: storetest.Clock()}
	var lived []record.Lineage
	for range 3 {
		s, err := store.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		lives, err := s.Lives(100)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range lived {
			if at := len(lives) - 1 - i; at < 1 || lives[at].Lineage != l || lives[at-1].Continues != l {
				t.Errorf("of %v there are %v", lived, lives)
			}
		}
		lived = append(lived, s.Lineage())
		born(t, s, hoa)
		if err := errors.Join(s.Close(), os.Remove(filepath.Join(o.Dir, layout.DatabaseFile))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecondProcessIsToldThatItIsLocked(t *testing.T) {
	dir := t.TempDir()
	storetest.Open(t, store.Options{Name: "a", Dir: dir})
	if _, err := store.Open(store.Options{Name: "b", Dir: dir, R4: storetest.R4(t)}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

func TestNothingReadableOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
	v := born(t, s, hoa+`,"identifier":[{"system":"http://cccd","value":"001161002345"}]`)
	if _, err := s.Blobs().Put(strings.NewReader("phiếu của Đặng Thị Hoà"), 1000); err != nil {
		t.Fatal(err)
	}
	put(t, s, store.Write{Key: v.Key, Base: store.Any, Content: patient(v.Key.ID, hoa)})
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, secret := range []string{"Đặng", "Hoà", "001161002345", "1961-02-03", "0912", v.Key.String()} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds %q", filepath.Base(path), secret)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDaysAreThoseOfTheStation(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a", Zone: time.FixedZone("", 7*3600)})
	id := s.NewID()
	put(t, s, store.Write{Key: key("Observation", id), Content: []byte(`{"resourceType":"Observation","id":"` + id +
		`","status":"final","code":{"text":"x"},"effectiveDateTime":"2026-10-02T06:30:00+07:00"}`)})
	for day, want := range map[string]int{"2026-10-02": 1, "2026-10-01": 0} {
		r, err := s.Search(query.Query{Kind: "Observation", Clauses: []query.Clause{{Param: "date", Values: []string{day}}}})
		if err != nil || r.Total != want {
			t.Errorf("%s: got %d, %v; want %d", day, r.Total, err, want)
		}
	}
}

// TestValueOfAnotherRecordIsRefused puts the sealed version of one person in the place
// of another's, with its checksum made right, as only somebody with the disk in his
// hands would.
func TestValueOfAnotherRecordIsRefused(t *testing.T) {
	t.Parallel()
	o := store.Options{Name: "a", Dir: t.TempDir(), R4: storetest.R4(t), Clock: storetest.Clock()}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	a, b := born(t, s, hoa), born(t, s, hoa)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := table.Open(filepath.Join(o.Dir, layout.DatabaseFile), layout.Tables())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *table.Tx) error {
		versions := tx.Table(layout.Versions)
		c := versions.Cursor()
		first, v := c.First()
		second, w := c.Next()
		v, w = bytes.Clone(v), bytes.Clone(w)
		return errors.Join(versions.Put(first, w), versions.Put(second, v))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(o)
	if err == nil {
		defer s.Close()
		for _, v := range []*record.Version{a, b} {
			if st, err := s.Get(v.Key); !errors.Is(err, seal.ErrAltered) {
				t.Errorf("read %v, %v; want ErrAltered", st, err)
			}
		}
	} else if !errors.Is(err, seal.ErrAltered) {
		t.Errorf("got %v, want ErrAltered", err)
	}
}
