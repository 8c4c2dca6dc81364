package summary_test

import (
	"testing"

	"tram/store/fhir"
	"tram/store/summary"
)

// Whatever records look like, a document is made of them whose narratives are XML and
// whose references lead to its parts.
func FuzzSummary(f *testing.F) {
	for _, seed := range []string{
		`[` + of("Condition", "c", `,"code":{"text":"<b>&"},"evidence":[{"detail":[{"reference":"Observation/o"},{"reference":"urn:uuid:1"}]}]`) + `]`,
		`[` + of("Observation", "o", `,"status":"final","category":[{"coding":[{"code":"vital-signs"}]}],"component":[{"code":{"text":"x"},"valueQuantity":{"value":1.50,"unit":"kg"}}]`+conflict) + `]`,
		`[` + of("MedicationRequest", "m", `,"status":"active","intent":"order","medicationReference":{"reference":"Medication/x"},"dosageInstruction":[{"text":"1"}]`) + `]`,
		`[` + of("List", "l", `,"status":"current","mode":"snapshot","code":{"coding":[{"code":"problems"}]},"emptyReason":{"coding":[{"code":"nilknown"}]}`) + `,null,1,"x",[],{}]`,
		`[{"resourceType":"Patient","id":"twin","contained":[{"resourceType":"Organization","id":"o","partOf":{"reference":"Patient/p"}}]},{"resourceType":"Patient","id":"p"}]`,
	} {
		f.Add(seed, true)
	}
	d := open(f)
	f.Fuzz(func(t *testing.T, text string, vi bool) {
		records, err := fhir.Parse([]byte(text), fhir.Limits{})
		if err != nil {
			return
		}
		d := &desk{t, d.r4, d.maker}
		a := summary.About{Person: parse(t, linh), Records: records.Items, At: now()}
		if vi {
			a.Language = "vi"
		}
		doc, err := d.maker.Of(a)
		if err != nil {
			t.Fatal(err)
		}
		entries, parts := fhir.Entries(doc), map[string]bool{}
		for _, e := range entries {
			parts[e.FullURL] = true
		}
		for _, e := range entries {
			for _, ref := range d.r4.Refs(e.Resource) {
				if !ref.Contained && !parts[ref.Literal] {
					t.Errorf("%s leads to nothing", ref.Path)
				}
			}
		}
		for _, s := range append(list(entries[0].Resource, "section"), entries[0].Resource) {
			d.sound(s.Str("text", "div"))
		}
	})
}
