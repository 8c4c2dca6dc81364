package rest_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"tram/store/record"
	"tram/store/rest"
)

// Everything of a person is what is kept with each record that links join, in one
// answer and each once; parted, it is one record's again.
func TestEverythingOfAPerson(t *testing.T) {
	var looked []string
	f := serve(t, func(o *rest.Options) {
		o.Looked = func(_ context.Context, _, action string, keys []record.Key) error {
			for _, k := range keys {
				looked = append(looked, action+" "+k.String())
			}
			return nil
		}
	})
	put := func(key, rest string) {
		t.Helper()
		kind, id, _ := strings.Cut(key, "/")
		f.want(201, "PUT", "/"+key, `{"resourceType":"`+kind+`","id":"`+id+`"`+rest+`}`)
	}
	put("Patient/p1", `,"identifier":[{"value":"001161002345"}]`)
	put("Patient/p2", `,"link":[{"other":{"reference":"Patient/p1"},"type":"seealso"},{"other":{"reference":"Patient/gone"},"type":"seealso"}]`)
	put("Patient/p3", ``)
	put("Flag/f1", `,"status":"active","code":{"text":"x"},"subject":{"reference":"Patient/p1"}`)
	put("AllergyIntolerance/a2", `,"patient":{"reference":"Patient/p2"}`)
	put("Flag/f3", `,"status":"active","code":{"text":"x"},"subject":{"reference":"Patient/p3"}`)
	put("Appointment/both", `,"status":"booked","participant":[{"actor":{"reference":"Patient/p1"},"status":"accepted"},{"actor":{"reference":"Patient/p2"},"status":"accepted"}]`)
	everything := func(path string) string {
		t.Helper()
		r := f.want(200, "GET", path, "")
		var out []string
		for _, e := range r.body.Get("entry").Items {
			out = append(out, e.Get("resource").Str("resourceType")+"/"+e.Get("resource").Str("id"))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	const both = "AllergyIntolerance/a2 Appointment/both Flag/f1 Patient/p1 Patient/p2"
	for path, want := range map[string]string{
		"/Patient/p1/$everything": both, "/Patient/p2/$everything?_count=1": both, "/Patient/p3/$everything": "Flag/f3 Patient/p3",
		"/Patient/p2/$everything?_type=Flag,Patient": "Flag/f1 Patient/p1 Patient/p2",
	} {
		if got := everything(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if !slices.Contains(looked, "read AllergyIntolerance/a2") {
		t.Errorf("who was shown what is not told: %v", looked)
	}
	f.want(404, "GET", "/Patient/gone/$everything", "")
	f.want(400, "GET", "/Patient/p1/$everything?_since=2026-01-01", "")
	f.want(405, "POST", "/Patient/p1/$everything", "{}")
	f.want(200, "PUT", "/Patient/p2", `{"resourceType":"Patient","id":"p2"}`)
	if got := everything("/Patient/p1/$everything"); got != "Appointment/both Flag/f1 Patient/p1" {
		t.Errorf("parted: %s", got)
	}
}
