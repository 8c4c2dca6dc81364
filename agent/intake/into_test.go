package intake

import (
	"path/filepath"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/storetest"
)

func TestIntoAStore(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	b := newBench(t, t.TempDir(), func(o *Options) {
		o.Author = "drop"
		o.Take, o.Exists, o.NewID, o.Setting, o.SetSetting = Into(s), Holds(s), s.NewID, s.Setting, s.SetSetting
	})
	submit := func(text string) Event {
		t.Helper()
		e, err := b.Submit(t.Context(), "x.json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := submit(bundle("transaction", entry("POST", "Observation", "urn:uuid:1", observation("o", "urn:uuid:2")),
		entry("POST", "Patient", "urn:uuid:2", patient("p")), entry("PUT", "Patient/fix", "", patient("fix"))))
	if first.What != Took || first.Taken != (Taken{New: 3}) || len(first.Assigned) != 2 {
		t.Fatalf("first: %+v", first)
	}
	obs, err := s.Get(first.Assigned[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := fhir.Parse(obs.Shown.Content, fhir.DefaultLimits())
	if err != nil || v.Str("subject", "reference") != first.Assigned[1].Key.String() || v.Str("valueQuantity", "value") != "37.50" {
		t.Errorf("kept %s, %v", obs.Shown.Content, err)
	}

	fix := record.Key{Kind: "Patient", ID: "fix"}
	if e := submit(" " + patient("fix")); e.What != Took || e.Taken != (Taken{Same: 1}) {
		t.Errorf("the same content: %+v", e)
	}
	edited := strings.Replace(patient("fix"), `"name"`, `"gender":"female","name"`, 1)
	if e := submit(edited); e.Refusal == nil || e.Refusal.Code != Stale || e.Refusal.Key != fix {
		t.Errorf("an edit that does not say what it was made from: %+v", e)
	}
	stand, err := s.Get(fix)
	if err != nil {
		t.Fatal(err)
	}
	based := strings.Replace(edited, `"name"`, `"meta":{"versionId":"`+stand.Tag()+`","lastUpdated":"2026-01-01T00:00:00Z"},"name"`, 1)
	if e := submit(based); e.Taken != (Taken{Changed: 1}) {
		t.Errorf("an edit that does: %+v", e)
	}
	if stand, err = s.Get(fix); err != nil || string(stand.Shown.Content) != edited {
		t.Errorf("kept %s, %v; want %s", stand.Shown.Content, err, edited)
	}
	if _, err := s.Put(t.Context(), store.Write{Key: fix, Base: stand.Tag(), Delete: true, Author: "hoa"}); err != nil {
		t.Fatal(err)
	}
	if e := submit(patient("fix") + " "); e.Refusal == nil || e.Refusal.Code != Deleted {
		t.Errorf("a deleted record: %+v", e)
	}
	if e := submit(observation("o2", "Patient/none")); e.Refusal == nil || e.Refusal.Code != RefersNowhere {
		t.Errorf("a reference to nothing: %+v", e)
	}
	if got := filepath.Base(b.drop); got != "drop" || len(b.tree()) != 0 {
		t.Errorf("Submit left files: %q", b.tree())
	}
}
