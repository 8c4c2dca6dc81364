package fhir

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// shown draws search values: only what is set, in a fixed order.
func shown(list []SearchValue) string {
	var out []string
	for _, s := range list {
		var p []string
		for _, f := range [][2]string{{"", s.System}, {"|", s.Code}, {"unit ", s.Unit}, {"'", s.Text}, {"", s.Kind}, {"/", s.ID}, {"@", s.URL}} {
			if f[1] != "" {
				p = append(p, f[0]+f[1])
			}
		}
		if s.Low != 0 || s.High != 0 {
			p = append(p, stamp(s.Low)+".."+stamp(s.High))
		}
		if s.Parts != nil {
			p = append(p, "("+shown(s.Parts)+")")
		}
		out = append(out, strings.Join(p, " "))
	}
	return strings.Join(out, "; ")
}

func stamp(ms int64) string {
	switch ms {
	case math.MinInt64:
		return "-inf"
	case math.MaxInt64:
		return "+inf"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000")
}

func TestSearchValues(t *testing.T) {
	r := load(t)
	files := fixtures(t)
	const loinc, ucum = "http://loinc.org", "http://unitsofmeasure.org"
	for _, c := range []struct{ file, param, want string }{
		{"patient.json", "_id", "|p-1"},
		{"patient.json", "_tag", "urn:tram:test |made-up"},
		{"patient.json", "_profile", "@http://example.org/StructureDefinition/people"},
		{"patient.json", "identifier", "urn:tram:cccd |001088000123 'citizen card; urn:tram:bhyt |GD4010000000001"},
		{"patient.json", "name", "'Nguyễn Thị Mẫu; 'Nguyễn; 'Thị; 'Mẫu"},
		{"patient.json", "family", "'Nguyễn"},
		{"patient.json", "given", "'Thị; 'Mẫu"},
		{"patient.json", "phone", "|0900000001"},
		{"patient.json", "telecom", "|0900000001; |mau@example.org"},
		{"patient.json", "gender", "http://hl7.org/fhir/administrative-gender |female"},
		{"patient.json", "active", "|true"},
		{"patient.json", "deceased", "|false"},
		{"patient.json", "death-date", ""},
		{"patient.json", "birthdate", "1988-02-01T00:00:00.000..1988-02-29T23:59:59.999"},
		{"patient.json", "address", "'Thôn 3; 'Lào Cai; 'Sa Pa; 'VN"},
		{"patient.json", "address-country", "'VN"},
		{"patient.json", "language", "urn:ietf:bcp:47 |vi"},
		{"patient.json", "organization", "Organization /o-1"},
		{"patient.json", "link", "Patient /p-0"},
		{"observation.json", "code", loinc + " |85354-9 'Blood pressure; 'Huyết áp"},
		{"observation.json", "combo-code", loinc + " |85354-9 'Blood pressure; 'Huyết áp; " + loinc + " |8480-6; " + loinc + " |8462-4"},
		{"observation.json", "date", "2024-02-29T23:30:00.000..2024-02-29T23:30:00.999"},
		{"observation.json", "subject", "Patient /p-1"},
		{"observation.json", "patient", "Patient /p-1"},
		{"observation.json", "encounter", "Encounter /e-1"},
		{"observation.json", "performer", "Practitioner /x-9 @https://centre.example.org/fhir/Practitioner/x-9; urn:p |77"},
		{"observation.json", "device", ""},
		{"observation.json", "component-value-quantity", ucum + " |mm[Hg] unit mmHg '125.00; " + ucum + " |mm[Hg] unit mmHg '1e-7"},
		{"observation.json", "value-quantity", ""},
		{"observation.json", "component-code-value-quantity",
			"(" + loinc + " |8480-6; " + ucum + " |mm[Hg] unit mmHg '125.00); (" + loinc + " |8462-4; " + ucum + " |mm[Hg] unit mmHg '1e-7)"},
		{"immunization.json", "date", "2024-01-01T00:00:00.000..2024-12-31T23:59:59.999"},
		{"immunization.json", "status", "http://hl7.org/fhir/event-status |completed"},
		{"immunization.json", "lot-number", "'A1"},
		{"encounter.json", "date", "2024-03-01T00:00:00.000..+inf"},
		{"encounter.json", "class", "http://terminology.hl7.org/CodeSystem/v3-ActCode |AMB"},
		{"encounter.json", "patient", "Patient /p-1"},
		{"encounter.json", "practitioner", "Practitioner /d-1"},
	} {
		v := parse(t, string(files[c.file]))
		p, ok := r.Param(v.Str("resourceType"), c.param)
		if got := shown(r.SearchValues(v, p)); !ok || got != c.want {
			t.Errorf("%s %s = %q, %v; want %q", c.file, c.param, got, ok, c.want)
		}
	}
}

func TestSearchValuesOfRarePaths(t *testing.T) {
	r := load(t)
	for _, c := range []struct{ text, param, want string }{
		{`{"resourceType":"Patient","deceasedDateTime":"2024"}`, "deceased", "|true"},
		{`{"resourceType":"Patient","deceasedDateTime":"2024"}`, "death-date", "2024-01-01T00:00:00.000..2024-12-31T23:59:59.999"},
		{`{"resourceType":"Patient"}`, "deceased", "|false"},
		{`{"resourceType":"ConceptMap","sourceCanonical":"http://a"}`, "source-uri", "@http://a"},
		{`{"resourceType":"Location","position":{"latitude":22.50,"longitude":103.9}}`, "near", "'22.50,103.9"},
		{`{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","id":"c"}},{"resource":{"resourceType":"Composition","id":"d"}}]}`, "composition", "Composition /c"},
		{`{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":0.50}]}`, "probability", "'0.50"},
		{`{"resourceType":"Condition","onsetAge":{"value":52,"code":"a"}}`, "onset-age", "|a '52"},
		{`{"resourceType":"Condition","onsetPeriod":{"end":"2024-01"}}`, "onset-date", "-inf..2024-01-31T23:59:59.999"},
		{`{"resourceType":"Condition","onsetPeriod":{"id":"x"}}`, "onset-date", ""},
		{`{"resourceType":"ServiceRequest","occurrenceTiming":{"event":["2024-01-01"],"repeat":{"boundsPeriod":{"start":"2024"}}}}`, "occurrence", "2024-01-01T00:00:00.000..2024-01-01T23:59:59.999; 2024-01-01T00:00:00.000..+inf"},
		{`{"resourceType":"Library","relatedArtifact":[{"type":"composed-of","resource":"http://a|2"},{"type":"successor","resource":"http://b"}]}`, "composed-of", "'2 @http://a"},
		{`{"resourceType":"Observation","valueString":"x","code":{"text":"c"}}`, "code-value-string", "('c; 'x)"},
		{`{"resourceType":"Observation","valueDateTime":"2024-01-01","code":{"text":"c"}}`, "code-value-date", "('c; 2024-01-01T00:00:00.000..2024-01-01T23:59:59.999)"},
		{`{"resourceType":"Observation","valueQuantity":{"value":1},"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/observation-geneticsGene","valueCodeableConcept":{"coding":[{"code":"g"}]}}]}`, "gene-identifier", "|g"},
		{`{"resourceType":"Invoice","totalGross":{"value":10.0,"currency":"VND"}}`, "totalgross", "urn:iso:std:iso:4217 |VND unit VND '10.0"},
		{`{"resourceType":"Group","characteristic":[{"code":{"text":"k"},"valueBoolean":true}]}`, "characteristic-value", "('k; |true)"},
		{`{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":{"coding":[{"code":"1"}]}},"variant":[{"start":3,"end":4}]}`, "chromosome-variant-coordinate", "(|1; '3; '4)"},
		{`{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/1"}},{"actor":{"reference":"Location/2"}},{"actor":{"reference":"urn:x","type":"Patient"}}]}`, "patient", "Patient /1; Patient @urn:x"},
	} {
		v := parse(t, c.text)
		p, ok := r.Param(v.Str("resourceType"), c.param)
		if got := shown(r.SearchValues(v, p)); !ok || got != c.want {
			t.Errorf("%s %s = %q, %v; want %q", c.text, c.param, got, ok, c.want)
		}
	}
	wide := `{"code":{"text":"c"},"valueQuantity":{"value":1}}`
	v := parse(t, `{"resourceType":"Observation","component":[{"code":{"coding":[`+strings.Repeat(`{"code":"a"},`, 999)+`{"code":"b"}]},"valueQuantity":{"value":1}},`+wide+`]}`)
	p, _ := r.Param("Observation", "component-code-value-quantity")
	if got := len(r.SearchValues(v, p)); got != maxParts+1 {
		t.Errorf("%d combinations, want %d and one", got, maxParts)
	}
}

func TestDatesWithoutZone(t *testing.T) {
	vn := time.FixedZone("", 7*3600)
	r := load(t).In(vn)
	p, _ := r.Param("Patient", "birthdate")
	got := shown(r.SearchValues(parse(t, `{"resourceType":"Patient","birthDate":"2024-03-01"}`), p))
	if want := "2024-02-29T17:00:00.000..2024-03-01T16:59:59.999"; got != want {
		t.Errorf("birthdate = %s, want %s", got, want)
	}
	for text, want := range map[string]string{
		"2024":                         "2023-12-31T17:00:00.000..2024-12-31T16:59:59.999",
		"2024-02":                      "2024-01-31T17:00:00.000..2024-02-29T16:59:59.999",
		"2024-02-29T10:30":             "2024-02-29T03:30:00.000..2024-02-29T03:30:59.999",
		"2024-02-29T10:30Z":            "2024-02-29T10:30:00.000..2024-02-29T10:30:59.999",
		"2024-02-29T10:30:05-05:00":    "2024-02-29T15:30:05.000..2024-02-29T15:30:05.999",
		"2024-02-29T10:30:05.2Z":       "2024-02-29T10:30:05.200..2024-02-29T10:30:05.299",
		"2024-02-29T10:30:05.1239999Z": "2024-02-29T10:30:05.123..2024-02-29T10:30:05.123",
		"2024-13":                      "bad",
		"":                             "bad",
	} {
		got := "bad"
		if low, high, ok := DateRange(text, vn); ok {
			got = stamp(low) + ".." + stamp(high)
		}
		if got != want {
			t.Errorf("DateRange(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestParams(t *testing.T) {
	r := load(t)
	p, ok := r.Param("Observation", "patient")
	if want := "Observation.subject.where(resolve() is Patient)"; !ok || p.Expr != want || p.Type != "reference" {
		t.Errorf("Observation patient = %+v, want %s", p, want)
	}
	p, _ = r.Param("Observation", "code-value-quantity")
	if fmt.Sprint(p.Parts) != "[token quantity]" {
		t.Errorf("parts = %v", p.Parts)
	}
	for _, c := range [][2]string{{"Patient", "code"}, {"Nobody", "_id"}, {"Patient", ""}} {
		if p, ok := r.Param(c[0], c[1]); ok {
			t.Errorf("Param(%s, %s) = %+v", c[0], c[1], p)
		}
	}
	// Every path of every kind must lead somewhere in that kind.
	for _, kind := range r.Kinds() {
		for i, p := range r.Params(kind) {
			if i > 0 && r.Params(kind)[i-1].Name >= p.Name {
				t.Errorf("%s: %s is out of order or twice", kind, p.Name)
			}
			for _, path := range p.paths {
				if len(path) > 0 && path[0].op == opField && !leads(r.types[kind], path[0].name) {
					t.Errorf("%s %s: no element %s", kind, p.Name, path[0].name)
				}
			}
			if len(p.paths) == 0 {
				t.Errorf("%s %s has no path", kind, p.Name)
			}
		}
	}
}

func leads(t *typeDef, name string) bool {
	for _, e := range t.elems {
		if e.Name == name || e.Base == name+"[x]" {
			return true
		}
	}
	return false
}
