package practice_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/practice"
)

// elements are the top-level values as written, and the order of their keys.
func elements(t *testing.T, resource []byte) (map[string]string, []string) {
	t.Helper()
	var values map[string]json.RawMessage
	if err := json.Unmarshal(resource, &values); err != nil {
		t.Fatalf("%v\n%s", err, resource)
	}
	out := map[string]string{}
	for key, value := range values {
		out[key] = string(value)
	}
	d := json.NewDecoder(bytes.NewReader(resource))
	var keys []string
	_, _ = d.Token()
	for d.More() {
		key, _ := d.Token()
		keys = append(keys, key.(string))
		var skip json.RawMessage
		_ = d.Decode(&skip)
	}
	return out, keys
}

// differs fails unless exactly the named element differs, byte for byte.
func differs(t *testing.T, base, changed []byte, element string) {
	t.Helper()
	a, order := elements(t, base)
	b, after := elements(t, changed)
	if a[element] == b[element] {
		t.Errorf("%s is unchanged:\n%s", element, changed)
	}
	for key := range a {
		if key != element && a[key] != b[key] {
			t.Errorf("%s differs too: %s, was %s", key, b[key], a[key])
		}
	}
	if _, had := a[element]; !had {
		order = append(order, element)
	}
	if !slices.Equal(order, after) {
		t.Errorf("keys %v, want %v", after, order)
	}
}

func TestEditsChangeOneElement(t *testing.T) {
	s := practice.New(2, practice.Options{})
	made := map[string][]byte{}
	classes := map[string]int{}
	edited := map[string]bool{}
	for n := range 12 {
		for _, e := range s.Day(n) {
			made[e.Kind+"/"+e.ID] = e.Resource
		}
		edits := s.Edits(n, 50)
		if len(edits) != 50 {
			t.Errorf("day %d: %d edits, want 50", n, len(edits))
		}
		for _, e := range edits {
			key := e.Kind + "/" + e.ID
			if edited[key] {
				t.Errorf("%s is edited twice", key)
			}
			edited[key] = true
			if !bytes.Equal(e.Base, made[key]) {
				t.Errorf("%s: the base is not the record as made", key)
			}
			differs(t, e.Base, e.New, e.Element)
			classes[e.Class]++
		}
	}
	for _, class := range []string{practice.ClassSafety, practice.ClassAdministrative, practice.ClassMonotonic} {
		if classes[class] < 30 {
			t.Errorf("%d edits of class %s", classes[class], class)
		}
	}
}

// TestEditorsFitEveryKind: on any record the three editors touch three
// elements, the same ones for every salt, with values that differ.
func TestEditorsFitEveryKind(t *testing.T) {
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := practice.New(4, practice.Options{})
	entries := s.Shared()
	for n := range 3 {
		entries = append(entries, s.Day(n)...)
	}
	for i, e := range entries {
		touched := map[string]bool{}
		for _, edit := range []func([]byte, int) ([]byte, string){practice.EditSafety, practice.EditAdministrative, practice.EditOther} {
			one, element := edit(e.Resource, i)
			two, again := edit(e.Resource, i+1)
			if element == "" {
				if e.Kind != "Medication" {
					t.Errorf("%s: no edit\n%s", e.Kind, e.Resource)
				}
				continue
			}
			if again != element || bytes.Equal(one, two) {
				t.Errorf("%s: %s and %s, equal: %v", e.Kind, element, again, bytes.Equal(one, two))
			}
			if touched[element] {
				t.Errorf("%s: %s is touched by two editors", e.Kind, element)
			}
			touched[element] = true
			differs(t, e.Resource, one, element)
			check(t, r4, e.Kind, one)
		}
	}
}

func TestEditorsOnRecordsOfOthers(t *testing.T) {
	for _, c := range []struct {
		name, resource string
		edit           func([]byte, int) ([]byte, string)
		want, element  string
	}{
		{"digits and order", `{"resourceType":"Observation", "status":"final","valueQuantity":{"unit":"Cel","value":37.00, "x":1.10}, "component":[]}`,
			practice.EditSafety, `{"resourceType":"Observation","status":"final","valueQuantity":{"unit":"Cel","value":37.05,"x":1.10},"component":[]}`, "valueQuantity"},
		{"small number", `{"resourceType":"Observation","valueQuantity":{"value":0.004}}`,
			practice.EditSafety, `{"resourceType":"Observation","valueQuantity":{"value":0.009}}`, "valueQuantity"},
		{"year only", `{"resourceType":"Patient","birthDate":"1951","_birthDate":{"id":"a"}}`,
			practice.EditSafety, `{"resourceType":"Patient","birthDate":"1946","_birthDate":{"id":"a"}}`, "birthDate"},
		{"fraction of a second", `{"resourceType":"Observation","issued":"2013-08-08T05:58:12.031-04:00"}`,
			practice.EditAdministrative, `{"resourceType":"Observation","issued":"2013-08-03T05:58:12.031-04:00"}`, "issued"},
		{"criticality", `{"resourceType":"AllergyIntolerance","criticality":"low"}`,
			practice.EditSafety, `{"resourceType":"AllergyIntolerance","criticality":"high"}`, "criticality"},
		{"dosage without id", `{"resourceType":"MedicationRequest","medicationReference":{"reference":"#m"},"dosageInstruction":[{"text":"x"}]}`,
			practice.EditSafety, "", "medicationReference"},
		{"dosage with id", `{"resourceType":"MedicationRequest","dosageInstruction":[{"id":"1","text":"x","doseAndRate":[{"doseQuantity":{"value":0.5}}]}]}`,
			practice.EditSafety, "", "dosageInstruction"},
		{"e-mail stays", `{"resourceType":"Patient","telecom":[{"system":"email","value":"a@b"}]}`,
			practice.EditAdministrative, "", "telecom"},
		{"status at its end", `{"resourceType":"Encounter","status":"finished"}`, practice.EditStatus, "", ""},
		{"status moves", `{"resourceType":"Encounter","status":"in-progress"}`, practice.EditStatus, `{"resourceType":"Encounter","status":"finished"}`, "status"},
		{"no such kind", `{"resourceType":"Basic"}`, practice.EditSafety, "", ""},
		{"no object", `[1]`, practice.EditSafety, "", ""},
		{"cut off", `{"resourceType":"Patient","birthDate":`, practice.EditSafety, "", ""},
	} {
		got, element := c.edit([]byte(c.resource), 4)
		if element != c.element || c.want != "" && string(got) != c.want {
			t.Errorf("%s: %q in %s\ngot  %s\nwant %s", c.name, element, c.resource, got, c.want)
		}
		if element == "telecom" && !strings.Contains(string(got), `{"system":"email","value":"a@b"}`) {
			t.Errorf("%s: the e-mail is gone: %s", c.name, got)
		}
		if element != "" && c.element != "" && c.want == "" {
			differs(t, []byte(c.resource), got, element)
		}
	}
}
