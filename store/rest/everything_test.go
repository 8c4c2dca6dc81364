package rest_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
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
	byPost := f.want(200, "POST", "/Patient/p2/$everything", `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Flag"}]}`)
	if got := all(byPost); got != "Flag/f1" {
		t.Errorf("by POST: %s", got)
	}
	f.want(200, "POST", "/Patient/p2/$everything", "")
	f.want(400, "POST", "/Patient/p1/$everything", "{}")
	several := `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Flag"},{"name":"_type","valueString":"Patient"}]}`
	if got := all(f.want(200, "POST", "/Patient/p2/$everything", several)); got != "Flag/f1 Patient/p1 Patient/p2" {
		t.Errorf("of two types: %s", got)
	}
	r := f.want(200, "POST", "/", bundle("batch", entry("", "POST", "Patient/p2/$everything", several)))
	if got := all(reply{body: fhir.Entries(r.body)[0].Resource}); got != "Flag/f1 Patient/p1 Patient/p2" {
		t.Errorf("of two types in a batch: %s", got)
	}
	f.want(400, "GET", "/Patient/p1/$everything?_type=Nobody", "")
	f.want(200, "PUT", "/Patient/p2", `{"resourceType":"Patient","id":"p2"}`)
	if got := everything("/Patient/p1/$everything"); got != "Appointment/both Flag/f1 Patient/p1" {
		t.Errorf("parted: %s", got)
	}
}

// The summary is a document about one person, in the language that is asked for, of what the
// caller may read.
func TestSummaryOfAPerson(t *testing.T) {
	var looked []string
	f := serve(t, func(o *rest.Options) {
		o.Looked = func(_ context.Context, _, action string, keys []record.Key) error {
			for _, k := range keys {
				looked = append(looked, action+" "+k.String())
			}
			return nil
		}
	})
	f.want(201, "PUT", "/Patient/p1", `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:cccd","value":"001161002345"}],"name":[{"text":"Đặng Thị Hoà"}],"birthDate":"1961-02-03"}`)
	f.want(201, "PUT", "/AllergyIntolerance/a1", `{"resourceType":"AllergyIntolerance","id":"a1","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"code":{"text":"Penicillin"},"patient":{"reference":"Patient/p1"}}`)
	for _, path := range []string{"/Patient/p1/$summary", "/Patient/$summary?identifier=urn:cccd|001161002345", "/Patient/p1/$summary?profile=http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"} {
		r := f.want(200, "GET", path, "", "Accept-Language", "fr, en;q=0.5")
		doc := fhir.Entries(r.body)
		if r.body.Str("type") != "document" || len(doc) < 3 || doc[0].Resource.Str("resourceType") != "Composition" || doc[0].Resource.Str("language") != "en" || !strings.Contains(r.raw, "Penicillin") {
			t.Errorf("%s: %s", path, r.raw)
		}
		if issues := f.r4.Check(r.body); len(issues) > 0 {
			t.Errorf("%s: not valid R4: %v", path, issues)
		}
	}
	if !slices.Contains(looked, "read AllergyIntolerance/a1") || !slices.Contains(looked, "read Patient/p1") {
		t.Errorf("who was shown what is not told: %v", looked)
	}
	if r := f.want(200, "GET", "/Patient/p1/$summary", ""); fhir.Entries(r.body)[0].Resource.Str("language") != "vi" {
		t.Errorf("in another language than the station's: %s", r.raw)
	}
	f.want(201, "PUT", "/Immunization/i1", `{"resourceType":"Immunization","id":"i1","status":"completed","vaccineCode":{"text":"Rubella"},"patient":{"reference":"Patient/p1"},"occurrenceDateTime":"2026-01-01"}`)
	required := "Patient,AllergyIntolerance,Condition,MedicationRequest,MedicationStatement"
	if r := f.want(200, "GET", "/Patient/p1/$summary", "", "X-May", "r "+required); strings.Contains(r.raw, "Rubella") || !strings.Contains(r.raw, "Penicillin") {
		t.Errorf("told what the token does not cover: %s", r.raw)
	}
	for _, may := range []string{"r Patient", "r AllergyIntolerance", "r " + strings.TrimSuffix(required, ",MedicationStatement")} {
		f.want(403, "GET", "/Patient/p1/$summary", "", "X-May", may)
	}
	f.want(404, "GET", "/Patient/none/$summary", "")
	f.want(404, "GET", "/Patient/$summary?identifier=none", "")
	f.want(400, "GET", "/Patient/$summary?name=hoa", "")
	f.want(400, "GET", "/Patient/p1/$summary?profile=urn:x", "")
}

// A person with two records is one also for a search in the compartment, and for a summary
// under a number that both bear.
func TestJoinedRecordsAreOnePerson(t *testing.T) {
	const asked = "/Patient/$summary?identifier=urn:x|1"
	of := func(id, link string) string {
		return `{"resourceType":"Patient","id":"` + id + `","identifier":[{"system":"urn:x","value":"1"}]` + link + `}`
	}
	f := serve(t)
	f.want(201, "PUT", "/Patient/a", of("a", ""))
	f.want(201, "PUT", "/Patient/b", of("b", ""))
	f.want(201, "POST", "/AllergyIntolerance", `{"resourceType":"AllergyIntolerance","code":{"text":"Penicillin"},"patient":{"reference":"Patient/b"}}`)
	if r := f.want(412, "GET", asked, ""); r.problem() != "many-matches" {
		t.Errorf("two persons with one number: %s", r.problem())
	}
	f.want(200, "PUT", "/Patient/b", of("b", `,"link":[{"other":{"reference":"Patient/a"},"type":"seealso"}]`))
	for _, id := range []string{"a", "b"} {
		if got := f.want(200, "GET", "/Patient/"+id+"/AllergyIntolerance", ""); len(entries(got)) != 1 {
			t.Errorf("a search in the compartment of %s finds %d, want 1", id, len(entries(got)))
		}
	}
	if got := f.want(200, "GET", asked, ""); !strings.Contains(got.raw, "Penicillin") {
		t.Errorf("the summary lacks the allergy: %s", got.raw)
	}
}
