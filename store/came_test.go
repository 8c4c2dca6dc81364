package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tram/store"
	"tram/store/query"
	"tram/store/record"
	"tram/store/storetest"
)

// A version bears when it came here, by a clock that is never obeyed backwards: who reads what
// came since the last answer misses nothing, whatever time its maker gave it.
func TestWhatCameLaterIsNeverBeforeWhatCameEarlier(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	now := func() record.Stamp { return record.Stamp{Unix: at.UnixMilli()} }
	s := storetest.Open(t, store.Options{Name: "a", Top: true, Clock: now})
	ctx := context.Background()
	put := func(id, base, rest string) *record.Version {
		t.Helper()
		vs, err := s.Put(ctx, store.Write{Key: key("Patient", id), Base: base, Author: "hoa", Content: []byte(`{"resourceType":"Patient","id":"` + id + `"` + rest + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		return vs[0]
	}
	first := put("p1", "", "")
	at = at.AddDate(-3, 0, 0) // the battery of the clock is empty
	second := put("p1", store.Any, `,"active":true`)
	at = at.AddDate(10, 0, 0)
	third := put("p2", "", "")
	if first.Came != first.Stamp.Unix || second.Came != first.Came || second.Stamp.Unix >= first.Stamp.Unix || third.Came != at.UnixMilli() {
		t.Errorf("came at %d, %d, %d", first.Came, second.Came, third.Came)
	}
	since := func(n int64) (out int) {
		t.Helper()
		r, err := s.Search(query.Query{Kind: "Patient", Clauses: []query.Clause{{Param: "_lastUpdated", Values: []string{"ge" + time.UnixMilli(n).UTC().Format(time.RFC3339Nano)}}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Total
	}
	if since(first.Came) != 2 || since(third.Came) != 1 {
		t.Errorf("changed since the first: %d, since the last: %d", since(first.Came), since(third.Came))
	}
	st, err := s.Get(key("Patient", "p1"))
	if err != nil || st.Shown.Came != second.Came {
		t.Errorf("p1 came at %+v, %v", st, err)
	}
	h, err := s.History(key("Patient", "p1"))
	if err != nil || len(h) != 2 || h[0].Came != second.Came || h[1].Came != first.Came {
		t.Errorf("history: %+v, %v", h, err)
	}
	list, _, err := s.HistoryAll(store.Since{After: third.Came, Limit: 10})
	if err != nil || len(list) != 1 || list[0].Name != third.Name {
		t.Errorf("since the third: %+v, %v", list, err)
	}
}

// The place that an answer gives is behind all that it told, and what comes later is behind it.
func TestChangesGoOnWhereTheLastAnswerEnded(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a", Top: true})
	var want []record.Name
	put := func(kind, id string) {
		t.Helper()
		content := `{"resourceType":"` + kind + `","id":"` + id + `"`
		if kind == "Observation" {
			content += `,"status":"final","code":{"text":"x"}`
		}
		vs, err := s.Put(context.Background(), store.Write{Key: key(kind, id), Base: store.Any, Author: "hoa", Content: []byte(content + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		if kind == "Patient" {
			want = append(want, vs[0].Name)
		}
	}
	var got []record.Name
	place := ""
	read := func() {
		t.Helper()
		for more := true; more; {
			vs, next, rest, err := s.Changes(store.Since{Kinds: []string{"Patient"}, Limit: 2, Page: place})
			if err != nil || len(vs) > 2 {
				t.Fatal(len(vs), err)
			}
			for _, v := range vs {
				got = append(got, v.Name)
			}
			place, more = next, rest
		}
	}
	read()
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		put("Patient", id)
		put("Observation", id)
	}
	read()
	read()
	put("Observation", "6")
	put("Patient", "6")
	read()
	if len(got) != len(want) {
		t.Fatalf("got %d, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%d: %s, want %s", i, got[i], want[i])
		}
	}
	if _, _, _, err := s.Changes(store.Since{Limit: 1, Page: "x"}); err == nil {
		t.Error("a place of another form is taken")
	}
}

// Parts of a search, each from where the one before ends, hold each record once, whatever is
// written between them.
func TestPartsHoldEachOnce(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a", Top: true})
	put := func(id string) {
		t.Helper()
		if _, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Author: "hoa", Content: []byte(`{"resourceType":"Patient","id":"` + id + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		put(id)
	}
	q := query.Query{Kind: "Patient"}
	marks, total, err := s.Pages(q, 3)
	if err != nil || total != 7 || len(marks) != 2 {
		t.Fatalf("%d marks of %d, %v", len(marks), total, err)
	}
	put("h")
	seen := map[string]int{}
	for i := range 3 {
		q.Page, q.Until = "", ""
		if i > 0 {
			q.Page = marks[i-1]
		}
		if i < len(marks) {
			q.Until = marks[i]
		}
		r, err := s.Search(q)
		if err != nil || r.Next != "" {
			t.Fatal(r.Next, err)
		}
		for _, st := range r.Stands {
			seen[st.Key.ID]++
		}
	}
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if seen[id] != 1 {
			t.Errorf("%s is there %d times", id, seen[id])
		}
	}
	if _, err := s.Search(query.Query{Kind: "Patient", Until: "x"}); err == nil {
		t.Error("an end of another form is taken")
	}
}

// A setting that is set to nothing is let go of, also where the journal makes it again.
func TestEmptySettingIsGone(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"kept": "x", "gone": "y"} {
		if err := s.SetSetting(ctx, name, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.SetSetting(ctx, "gone", nil), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []bool{false, true} {
		if lost {
			if err := os.Remove(filepath.Join(dir, "tram.db")); err != nil {
				t.Fatal(err)
			}
		}
		s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()})
		if err != nil {
			t.Fatal(err)
		}
		kept, err1 := s.Setting("kept")
		gone, err2 := s.Setting("gone")
		if string(kept) != "x" || gone != nil || err1 != nil || err2 != nil {
			t.Errorf("database lost %t: %q, %q, %v, %v", lost, kept, gone, err1, err2)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// a1 a2 | copied | a3 a4; the copy: b3 b4. A place of the one life is none of the other.
func TestPlaceOfAnotherLifeIsNotFollowed(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	ctx := context.Background()
	s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()})
	if err != nil {
		t.Fatal(err)
	}
	put := func(s *store.Store) {
		t.Helper()
		id := s.NewID()
		if _, err := s.Put(ctx, store.Write{Key: key("Patient", id), Author: "hoa", Content: []byte(`{"resourceType":"Patient","id":"` + id + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	put(s)
	put(s)
	_, early, _, err := s.Changes(store.Since{Limit: 10})
	if err := errors.Join(err, s.Close(), os.CopyFS(copied, os.DirFS(dir))); err != nil {
		t.Fatal(err)
	}
	s = storetest.Open(t, store.Options{Name: "a", Dir: dir})
	put(s)
	put(s)
	_, late, _, err := s.Changes(store.Since{Limit: 10, Page: early})
	if err != nil {
		t.Fatal(err)
	}
	c := storetest.Open(t, store.Options{Name: "a", Dir: copied})
	put(c)
	put(c)
	if list, _, _, err := c.Changes(store.Since{Limit: 10, Page: early}); err != nil || len(list) != 2 {
		t.Errorf("from where both lives were one: %d, %v", len(list), err)
	}
	if list, _, _, err := c.Changes(store.Since{Limit: 10, Page: late}); err == nil {
		t.Errorf("the place of another life: %d and no error", len(list))
	}
}

// A clock that is in doubt moves nothing on, and what it said is not the time of what comes later.
func TestDoubtfulClockMovesNothingOn(t *testing.T) {
	now := record.Stamp{Unix: 1_790_000_000_000}
	s := storetest.Open(t, store.Options{Name: "a", Top: true, Clock: func() record.Stamp { return now }})
	came := func() int64 {
		t.Helper()
		id := s.NewID()
		vs, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Author: "hoa", Content: []byte(`{"resourceType":"Patient","id":"` + id + `"}`)})
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.Came()
		if err != nil || at != vs[0].Came {
			t.Errorf("the last came at %d, %v; want %d", at, err, vs[0].Came)
		}
		return at
	}
	first := came()
	now = record.Stamp{Unix: 3_900_000_000_000, Doubt: true}
	doubted := came()
	now = record.Stamp{Unix: 1_790_000_060_000}
	if last := came(); doubted != first || last != now.Unix {
		t.Errorf("came at %d, %d, %d", first, doubted, last)
	}
}
