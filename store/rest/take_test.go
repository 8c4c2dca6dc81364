package rest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/rest"
)

func (f *face) take(text string) (rest.Taken, error) {
	f.t.Helper()
	v, err := fhir.Parse([]byte(text), fhir.Limits{})
	if err != nil {
		f.t.Fatal(err)
	}
	return rest.Take(context.Background(), f.store, f.r4, "drop", v)
}

func contents(entries ...string) string {
	return `{"resourceType":"Bundle","type":"collection","entry":[` + strings.Join(entries, ",") + `]}`
}

func content(fullURL, resource string) string {
	return `{"fullUrl":"` + fullURL + `","resource":` + resource + `}`
}

func TestTakeCounts(t *testing.T) {
	f := serve(t)
	p1 := withID(patient, "p1")
	for _, c := range []struct {
		name, text                           string
		created, updated, unchanged, deleted int
		renamed                              int
	}{
		{"one with id", p1, 1, 0, 0, 0, 0},
		{"the same again", p1, 0, 0, 1, 0, 0},
		{"changed", strings.Replace(p1, "1961", "1962", 1), 0, 1, 0, 0, 0},
		{"one without id", patient, 1, 0, 0, 0, 0},
		{"collection", contents(content("http://x/fhir/Patient/p2", withID(patient, "p2")), content(uuid1, observation("Patient/p2"))), 2, 0, 0, 0, 1},
		{"equal copies", contents(content("http://x/fhir/Patient/p3", withID(patient, "p3")), content("http://x/fhir/Patient/p3", withID(patient, "p3"))), 1, 0, 0, 0, 0},
		{"search results", strings.Replace(contents(content("http://x/fhir/Patient/p2", withID(patient, "p2")), `{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"invalid"}]}}`), "collection", "searchset", 1), 0, 0, 1, 0, 0},
		{"transaction", bundle("transaction", entry(uuid1, "POST", "Patient", withID(patient, "old")), entry("", "DELETE", "Patient/p2", ""), entry("", "PUT", "Patient/p3", strings.Replace(withID(patient, "p3"), "1961", "1962", 1)), entry("", "GET", "Patient/p1", "")), 1, 1, 0, 1, 1},
		{"batch", bundle("batch", entry("", "POST", "Patient", withID(patient, "old"))), 1, 0, 0, 0, 1},
		{"of another server", bundle("transaction", entry("http://x.example/r4/Patient/far", "PUT", "http://x.example/r4/Patient/far", withID(patient, "far")), entry(uuid1, "POST", "http://x.example/r4/Flag", `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"http://x.example/r4/Patient/far"}}`)), 2, 0, 0, 0, 1},
		{"message", `{"resourceType":"Bundle","id":"m","type":"message","entry":[{"fullUrl":"urn:uuid:267b18ce-3d37-4581-9baa-6fada338038b","resource":{"resourceType":"MessageHeader","eventUri":"urn:x","source":{"endpoint":"urn:y"}}}]}`, 1, 0, 0, 0, 0},
	} {
		got, err := f.take(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got.Created != c.created || got.Updated != c.updated || got.Unchanged != c.unchanged || got.Deleted != c.deleted || len(got.IDs) != c.renamed {
			t.Errorf("%s: got %+v, want %d/%d/%d/%d, %d renamed", c.name, got, c.created, c.updated, c.unchanged, c.deleted, c.renamed)
		}
	}
	f.want(200, "GET", "/Bundle/m", "")
}

func TestTakeTellsTheNewIDs(t *testing.T) {
	f := serve(t)
	got, err := f.take(bundle("transaction",
		entry(uuid1, "POST", "Patient", withID(patient, "a")), entry("", "POST", "Observation", withID(observation("Patient/a"), "b")), entry(uuid2, "POST", "Flag", `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"`+uuid1+`"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	for old, i := range map[string]int{"Patient/a": 0, "Observation/b": 1, uuid2: 2} {
		if got.IDs[old] != got.Keys[i].String() {
			t.Errorf("%s became %q, want %s", old, got.IDs[old], got.Keys[i])
		}
	}
	// "Patient/a" names nobody here, so the entry of that name is meant.
	obs := f.want(200, "GET", "/"+got.IDs["Observation/b"], "").body
	flag := f.want(200, "GET", "/"+got.IDs[uuid2], "").body
	if a, b := obs.Str("subject", "reference"), flag.Str("subject", "reference"); a != got.IDs["Patient/a"] || b != a {
		t.Errorf("subjects %s and %s, want %s", a, b, got.IDs["Patient/a"])
	}
}

func TestTakeInWholeOrNotAtAll(t *testing.T) {
	f := serve(t)
	good := content("http://x/fhir/Group/g", `{"resourceType":"Group","id":"g","type":"person","actual":true}`)
	for _, c := range []struct{ name, text, code string }{
		{"invalid", contents(good, content("http://x/fhir/Patient/1", `{"resourceType":"Patient","id":"1","name":"Lan"}`)), "invalid"},
		{"two different copies", contents(good, strings.Replace(good, "person", "animal", 1)), "twice"},
		{"bad id", contents(good, content("http://x/y", `{"resourceType":"Patient","id":"a_b"}`)), "bad-id"},
		{"no kind", contents(good, content("http://x/y", `{"id":"x"}`)), "not-a-resource"},
		{"unknown kind", contents(good, content("http://x/y", `{"resourceType":"Pateint"}`)), "unknown-kind"},
		{"entry that is no object", contents(good, content("http://x/y", `7`)), "not-a-resource"},
		{"empty collection", `{"resourceType":"Bundle","type":"collection"}`, "nothing"},
		{"only reads", bundle("batch", entry("", "GET", "Patient/1", "")), "nothing"},
		{"no resource", `{}`, "not-a-resource"},
		{"a list", `[1]`, "not-a-resource"},
		{"too many", contents(strings.Repeat(good+",", 5000) + good), "too-many-entries"},
	} {
		_, err := f.take(c.text)
		var p *rest.Problem
		if !errors.As(err, &p) || p.Code != c.code {
			t.Errorf("%s: got %v, want %s", c.name, err, c.code)
			continue
		}
		if en, vi := p.Text("en"), p.Text("vi"); en == vi || strings.Contains(en, "Lan") {
			t.Errorf("%s: %q / %q", c.name, en, vi)
		}
	}
	if got := f.want(200, "GET", "/Group", "").body.Str("total"); got != "0" {
		t.Errorf("%s records of refused Bundles", got)
	}
}
