package summary

import (
	"testing"

	"tram/store/fhir"
)

// Whatever a narrative may have to say has words in both languages.
func TestEverythingHasWords(t *testing.T) {
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, s := range sections() {
		keys = append(keys, s.name)
		if s.required {
			keys = append(keys, s.name+".unavailable", s.name+".nilknown", s.name+".notasked")
		}
	}
	for _, of := range []struct{ typ, element, before string }{
		{"MedicationRequest", "status", ""}, {"MedicationStatement", "status", ""}, {"MedicationDispense", "status", ""}, {"MedicationAdministration", "status", ""},
		{"Immunization", "status", ""}, {"Procedure", "status", ""}, {"DeviceUseStatement", "status", ""}, {"Observation", "status", ""},
		{"DiagnosticReport", "status", ""}, {"CarePlan", "status", ""}, {"Consent", "status", ""}, {"Flag", "status", ""},
		{"Condition", "clinicalStatus", ""}, {"Condition", "verificationStatus", ""}, {"AllergyIntolerance", "clinicalStatus", ""},
		{"AllergyIntolerance", "criticality", "criticality."}, {"AllergyIntolerance.reaction", "severity", ""}, {"Patient", "gender", "gender."},
	} {
		e, ok := r4.Elem(of.typ, of.element)
		if !ok || len(e.Codes) == 0 {
			t.Errorf("%s.%s has no codes", of.typ, of.element)
		}
		for _, code := range e.Codes {
			if code != "entered-in-error" {
				keys = append(keys, of.before+code)
			}
		}
	}
	keys = append(keys, "doNotPerform", "isSubpotent", "intent.proposal", "intent.plan", "intent.option")
	for _, key := range keys {
		if w["en"][key] == "" || w["vi"][key] == "" {
			t.Errorf("no words for %s", key)
		}
	}
}

func TestDatesAndNumbers(t *testing.T) {
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ language, date, number string }{{"vi", "05/01/2026 07:41", "5,60"}, {"en", "2026-01-05 07:41", "5.60"}} {
		say := w.teller(c.language)
		if got := say.date("2026-01-05T07:41:08+07:00"); got != c.date {
			t.Errorf("%s: date %q, want %q", c.language, got, c.date)
		}
		if got := say.number("5.60"); got != c.number {
			t.Errorf("%s: number %q, want %q", c.language, got, c.number)
		}
	}
	for text, want := range map[string]string{"2026": "2026", "2026-01": "01/2026", "": "", "T": "", "a-b-c-dT1": "d/c/b/a"} {
		if got := w.teller("vi").date(text); got != want {
			t.Errorf("date of %q: %q, want %q", text, got, want)
		}
	}
}
