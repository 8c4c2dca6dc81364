package store_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/query"
	"tram/store/storetest"
)

// TestPagesNameNobody follows the pages of a search by name: their marks stand in
// URLs.
func TestPagesNameNobody(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Options{Name: "a"})
	for _, name := range []string{"Hoà", "Dũng", "Lan", "Minh", "Ân"} {
		born(t, s, `,"name":[{"family":"`+name+`"}]`)
	}
	q := query.Query{Kind: "Patient", Sort: []string{"family"}, Limit: 2}
	var got []string
	for pages := 0; pages == 0 || q.Page != ""; pages++ {
		r, err := s.Search(q)
		if err != nil || pages > 3 {
			t.Fatal(pages, err)
		}
		for _, st := range r.Stands {
			got = append(got, string(st.Shown.Content))
		}
		q.Page = r.Next
		raw, err := base64.RawURLEncoding.DecodeString(r.Next)
		for _, name := range []string{"hoa", "dung", "lan", "minh", "an"} {
			if err != nil || strings.Contains(string(raw), "\x01"+name) {
				t.Errorf("the mark of page %d names %s, or: %v", pages, name, err)
			}
		}
	}
	for i, name := range []string{"Ân", "Dũng", "Hoà", "Lan", "Minh"} {
		if len(got) != 5 || !strings.Contains(got[i], name) {
			t.Fatalf("in order of family: %q, want %s at %d", got, name, i)
		}
	}
	r, err := s.Search(query.Query{Kind: "Patient", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"!", "AAAA", strings.ToUpper(r.Next), r.Next + "A", base64.RawURLEncoding.EncodeToString([]byte("anything"))} {
		var bad *query.ParamError
		if _, err := s.Search(query.Query{Kind: "Patient", Page: page}); !errors.As(err, &bad) {
			t.Errorf("page %q: %v, want a ParamError", page, err)
		}
	}
}

// TestPagesStayStillWhileRecordsCome reads a second page after records were added
// before it.
func TestPagesStayStillWhileRecordsCome(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Options{Name: "a"})
	var ids []string
	for range 5 {
		ids = append(ids, born(t, s, hoa).Key.ID)
	}
	first, err := s.Search(query.Query{Kind: "Patient", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	born(t, s, hoa)
	rest, err := s.Search(query.Query{Kind: "Patient", Limit: 10, Page: first.Next})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range append(first.Stands, rest.Stands...) {
		got = append(got, st.Key.ID)
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("over two pages: %q, want each of %q once", got, ids)
	}
}

func TestSearchFindsWhatTheIndexCannotNarrow(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Options{Name: "a"})
	p := born(t, s, hoa+`,"identifier":[{"system":"http://so","value":"12"}]`)
	born(t, s, `,"identifier":[{"system":"http://so","value":"13"}]`)
	o := put(t, s, store.Write{Key: key("Observation", "o"), Content: []byte(`{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://c","code":"a|b"}]},"subject":{"reference":"https://far.example/fhir/Patient/7"}}`)})
	for _, c := range []struct {
		kind, param, modifier, value string
		want                         int
	}{
		{"Patient", "identifier", "", "12", 1},
		{"Patient", "identifier", "", "http://so|", 2},
		{"Patient", "identifier", "", "http://so|13", 1},
		{"Patient", "identifier", "not", "12", 1},
		{"Patient", "_id", "", p.Key.ID, 1},
		{"Patient", "name", "contains", "òa", 1},
		{"Patient", "name", "", `Ho\,`, 0},
		{"Observation", "code", "", `a\|b`, 1},
		{"Observation", "code", "", "http://c|", 1},
		{"Observation", "code", "", `http://c|a\|b`, 1},
		{"Observation", "subject", "", "https://far.example/fhir/Patient/7", 1},
		{"Observation", "patient", "", "https://far.example/fhir/Patient/7", 1},
		{"Observation", "_id", "", o.Key.ID, 1},
	} {
		q := query.Query{Kind: c.kind, Clauses: []query.Clause{{Param: c.param, Modifier: c.modifier, Values: []string{c.value}}}}
		if r, err := s.Search(q); err != nil || r.Total != c.want {
			t.Errorf("%s?%s:%s=%s: %d, %v; want %d", c.kind, c.param, c.modifier, c.value, r.Total, err, c.want)
		}
	}
	twice := query.Query{Kind: "Patient", Clauses: []query.Clause{{Param: "_id", Values: []string{p.Key.ID, p.Key.ID}}}}
	if r, err := s.Search(twice); err != nil || r.Total != 1 {
		t.Errorf("one id asked for twice: %d, %v; want 1", r.Total, err)
	}
}
