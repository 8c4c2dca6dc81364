package fhir

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Given the folder of an unpacked hl7.fhir.r4.examples 4.0.1, the tests and
// benchmarks of whole resources take HL7's examples too.
var examples = flag.String("examples", "", "a folder with more FHIR R4 resources as *.json")

// fixtures reads testdata and, when given, the examples under 300 kB that are no definitions.
func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	read := func(pattern string) {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no fixtures %s: %v", pattern, err)
		}
		for _, f := range files {
			kind, _, _ := strings.Cut(filepath.Base(f), "-")
			switch kind {
			case "StructureDefinition", "SearchParameter", "ValueSet", "CodeSystem", "package.json", ".index.json":
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) < 300_000 {
				out[filepath.Base(f)] = b
			}
		}
	}
	read("testdata/*.json")
	if *examples != "" {
		read(filepath.Join(*examples, "*.json"))
	}
	return out
}

func load(t testing.TB) *R4 {
	t.Helper()
	r, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// invalidExamples are HL7's own examples that break R4's definitions.
func invalidExamples() map[string]string {
	return map[string]string{
		"DeviceMetric-example.json":        IssueTarget,  // parent is a DeviceDefinition, not a Device
		"DeviceUseStatement-example.json":  IssueTarget,  // reasonReference is a Procedure
		"MedicationRequest-medrx0301.json": IssueTarget,  // dispenseRequest.performer is a Practitioner, not an Organization
		"Observation-clinical-gender.json": IssueTarget,  // performer is an Encounter
		"Questionnaire-qs1.json":           IssueMissing, // item.linkId
	}
}

func TestWholeResources(t *testing.T) {
	r := load(t)
	for name, b := range fixtures(t) {
		v, err := Parse(b, DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, got := invalidExamples()[name], ""
		issues := r.Check(v)
		if len(issues) > 0 {
			got = issues[0].Key
		}
		if got != want {
			t.Errorf("%s: Check = %v, want %q", name, issues, want)
		}
		w, err := Parse(v.Bytes(), DefaultLimits())
		if err != nil || !Equal(v, w) || !bytes.Equal(Canonical(v), Canonical(w)) {
			t.Errorf("%s: not the same after writing and reading: %v", name, err)
		}
		if same := r.RewriteRefs(v, func(s string) string { return s }); same != v {
			t.Errorf("%s: rewriting nothing made a copy", name)
		}
	}
}

func TestTables(t *testing.T) {
	r := load(t)
	if got := len(r.Kinds()); got != 146 {
		t.Errorf("%d kinds, want 146", got)
	}
	for kind, want := range map[string]bool{"Patient": true, "Bundle": true, "HumanName": false, "DomainResource": false, "Patient.contact": false, "": false, "patient": false} {
		if got := r.IsKind(kind); got != want {
			t.Errorf("IsKind(%q) = %v", kind, got)
		}
	}
	for _, c := range []struct {
		path, field string
		want        Elem
	}{
		{"Patient", "birthDate", Elem{Name: "birthDate", Base: "birthDate", Type: "date", Primitive: true}},
		{"Patient", "_birthDate", Elem{Name: "birthDate", Base: "birthDate", Type: "date", Primitive: true}},
		{"Patient", "contact", Elem{Name: "contact", Base: "contact", Type: "BackboneElement", TypePath: "Patient.contact", List: true, Backbone: true}},
		{"Patient.contact", "name", Elem{Name: "name", Base: "name", Type: "HumanName", TypePath: "HumanName"}},
		{"Patient", "contained", Elem{Name: "contained", Base: "contained", Type: "Resource", TypePath: "Resource", List: true}},
		{"Patient", "id", Elem{Name: "id", Base: "id", Type: "id", Primitive: true}},
		{"HumanName", "id", Elem{Name: "id", Base: "id", Type: "string", Primitive: true}},
		{"HumanName", "given", Elem{Name: "given", Base: "given", Type: "string", List: true, Primitive: true}},
		{"Extension", "url", Elem{Name: "url", Base: "url", Type: "uri", Required: true, Primitive: true}},
		{"Observation", "valueQuantity", Elem{Name: "valueQuantity", Base: "value[x]", Type: "Quantity", TypePath: "Quantity"}},
		{"Observation", "encounter", Elem{Name: "encounter", Base: "encounter", Type: "Reference", TypePath: "Reference", Targets: []string{"Encounter"}}},
		{"Observation.component", "referenceRange", Elem{Name: "referenceRange", Base: "referenceRange", Type: "BackboneElement", TypePath: "Observation.referenceRange", List: true, Backbone: true}},
		{"Immunization", "occurrenceString", Elem{Name: "occurrenceString", Base: "occurrence[x]", Type: "string", Required: true, Primitive: true}},
		{"Immunization", "doseQuantity", Elem{Name: "doseQuantity", Base: "doseQuantity", Type: "Quantity", TypePath: "Quantity"}},
		{"MedicationRequest", "medicationReference", Elem{Name: "medicationReference", Base: "medication[x]", Type: "Reference", TypePath: "Reference", Required: true, Targets: []string{"Medication"}}},
		{"MedicationRequest", "medicationCodeableConcept", Elem{Name: "medicationCodeableConcept", Base: "medication[x]", Type: "CodeableConcept", TypePath: "CodeableConcept", Required: true}},
		{"Timing", "repeat", Elem{Name: "repeat", Base: "repeat", Type: "Element", TypePath: "Timing.repeat"}},
		{"Patient", "gender", Elem{Name: "gender", Base: "gender", Type: "code", Primitive: true, CodeSystem: "http://hl7.org/fhir/administrative-gender", Codes: []string{"female", "male", "other", "unknown"}}},
	} {
		got, ok := r.Elem(c.path, c.field)
		w := c.want
		if !ok || got.Name != w.Name || got.Base != w.Base || got.Type != w.Type || got.TypePath != w.TypePath ||
			got.List != w.List || got.Required != w.Required || got.Primitive != w.Primitive || got.Backbone != w.Backbone ||
			got.CodeSystem != w.CodeSystem || !slices.Equal(got.Targets, w.Targets) || !slices.Equal(got.Codes, w.Codes) {
			t.Errorf("Elem(%s, %s) = %+v, %v; want %+v", c.path, c.field, got, ok, w)
		}
	}
	for _, c := range [][2]string{{"Patient", "value"}, {"Observation", "value"}, {"Patient", "_name"}, {"Nobody", "id"}, {"Patient", ""}, {"Observation", "value[x]"}} {
		if e, ok := r.Elem(c[0], c[1]); ok {
			t.Errorf("Elem(%s, %s) = %+v", c[0], c[1], e)
		}
	}
	for _, kind := range r.Kinds() {
		if len(r.Elems(kind)) < 4 || len(r.Params(kind)) < 5 {
			t.Errorf("%s: %d elements, %d parameters", kind, len(r.Elems(kind)), len(r.Params(kind)))
		}
	}
	for _, c := range []struct {
		path, field string
		want        bool
	}{{"Patient", "name", true}, {"Patient", "birthDate", true}, {"Patient", "contact", false}, {"Patient", "contained", false}, {"Timing", "repeat", true}, {"Observation", "extension", true}} {
		e, _ := r.Elem(c.path, c.field)
		if got := r.Atomic(e); got != c.want {
			t.Errorf("Atomic(%s.%s) = %v", c.path, c.field, got)
		}
	}
}

func TestEntries(t *testing.T) {
	got := Entries(parse(t, string(fixtures(t)["transaction.json"])))
	if len(got) != 3 {
		t.Fatalf("%d entries, want 3", len(got))
	}
	if e := got[0]; e.FullURL != "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0" || e.Method != "POST" || e.URL != "Patient" ||
		e.IfNoneExist != "identifier=urn:tram:cccd|2" || e.Resource.Str("resourceType") != "Patient" {
		t.Errorf("first entry: %+v", e)
	}
	if e := got[1]; e.Method != "PUT" || e.IfMatch != `W/"3"` {
		t.Errorf("second entry: %+v", e)
	}
	if e := got[2]; e.Method != "DELETE" || e.URL != "Flag/f-1" || e.Resource != nil {
		t.Errorf("third entry: %+v", e)
	}
	answer := parse(t, `{"resourceType":"Bundle","type":"history","entry":[7,{"search":{"mode":"match"},"response":{"status":"201","location":"Patient/1/_history/2","etag":"W/\"2\"","lastModified":"2024-01-01T00:00:00Z","outcome":{"resourceType":"OperationOutcome"}}}]}`)
	got = Entries(answer)
	if len(got) != 2 || got[1].Status != "201" || got[1].Location != "Patient/1/_history/2" || got[1].ETag != `W/"2"` ||
		got[1].LastModified != "2024-01-01T00:00:00Z" || got[1].Mode != "match" || got[1].Outcome == nil {
		t.Errorf("answer: %+v", got)
	}
	if got := Entries(parse(t, `{"resourceType":"List","entry":[{}]}`)); got != nil {
		t.Errorf("entries of a List: %+v", got)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load(); err != nil {
			b.Fatal(err)
		}
	}
}

// each runs do over all fixtures in turn; ns/op is per resource.
func each(b *testing.B, do func(text []byte, v *Value)) {
	var texts [][]byte
	var values []*Value
	for _, text := range fixtures(b) {
		texts, values = append(texts, text), append(values, parse(b, string(text)))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		do(texts[i], values[i])
		i = (i + 1) % len(texts)
	}
}

func BenchmarkParse(b *testing.B) {
	each(b, func(text []byte, _ *Value) { Parse(text, DefaultLimits()) })
}

func BenchmarkCanonical(b *testing.B) { each(b, func(_ []byte, v *Value) { Canonical(v) }) }

func BenchmarkCheck(b *testing.B) {
	r := load(b)
	each(b, func(_ []byte, v *Value) { r.Check(v) })
}

func BenchmarkSearchValues(b *testing.B) {
	r := load(b)
	each(b, func(_ []byte, v *Value) {
		for _, p := range r.Params(v.Str("resourceType")) {
			r.SearchValues(v, p)
		}
	})
}

func BenchmarkPatients(b *testing.B) {
	r := load(b)
	each(b, func(_ []byte, v *Value) { r.Patients(v) })
}
