package practice_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/store/fhir"
	"tram/store/practice"
)

func TestSameSeedSameBytes(t *testing.T) {
	a, b, other := practice.New(7, practice.Options{}), practice.New(7, practice.Options{}), practice.New(8, practice.Options{})
	b.Edits(3, 10) // the order of calls changes nothing
	for n := range 4 {
		x, y, z := a.Day(n), b.Day(n), other.Day(n)
		if len(x) != len(y) {
			t.Fatalf("day %d: %d and %d records from one seed", n, len(x), len(y))
		}
		for i := range x {
			if !bytes.Equal(x[i].Resource, y[i].Resource) {
				t.Fatalf("day %d, record %d differs under one seed:\n%s\n%s", n, i, x[i].Resource, y[i].Resource)
			}
		}
		if bytes.Equal(x[0].Resource, z[0].Resource) {
			t.Errorf("day %d begins alike under two seeds: %s", n, x[0].Resource)
		}
	}
	x, y := a.Edits(2, 40), b.Edits(2, 40)
	if len(x) != 40 || len(y) != 40 {
		t.Fatalf("%d and %d edits, want 40", len(x), len(y))
	}
	for i := range x {
		if !bytes.Equal(x[i].New, y[i].New) {
			t.Errorf("edit %d differs under one seed:\n%s\n%s", i, x[i].New, y[i].New)
		}
	}
}

// TestRecordsAreR4 checks all that a station writes: structure, ids and the
// references among them.
func TestRecordsAreR4(t *testing.T) {
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	references := regexp.MustCompile(`"reference":"([^"]+)"`)
	for seed := range uint64(2) {
		s := practice.New(seed, practice.Options{})
		known := map[string]bool{}
		take := func(e practice.Entry) {
			key := e.Kind + "/" + e.ID
			if known[key] {
				t.Errorf("seed %d: %s twice", seed, key)
			}
			known[key] = true
			check(t, r4, e.Kind, e.Resource)
			var head struct{ ResourceType, ID string }
			if err := json.Unmarshal(e.Resource, &head); err != nil || head.ResourceType != e.Kind || head.ID != e.ID {
				t.Errorf("seed %d: entry %s holds %s/%s (%v)", seed, key, head.ResourceType, head.ID, err)
			}
			for _, match := range references.FindAllSubmatch(e.Resource, -1) {
				if ref := string(match[1]); !known[ref] {
					t.Errorf("seed %d: %s refers to %s, which is not written yet", seed, key, ref)
				}
			}
			if e.Patient != "" && !known["Patient/"+e.Patient] {
				t.Errorf("seed %d: %s belongs to Patient/%s, who is not written yet", seed, key, e.Patient)
			}
			if e.Author == "" {
				t.Errorf("seed %d: %s has no author", seed, key)
			}
		}
		for _, e := range s.Shared() {
			take(e)
		}
		kinds := map[string]bool{}
		for n := range 22 {
			day := s.Day(n)
			if len(day) < 300 || len(day) > 360 {
				t.Errorf("seed %d, day %d: %d records, want about 330", seed, n, len(day))
			}
			for _, e := range day {
				take(e)
				kinds[e.Kind] = true
			}
		}
		for _, kind := range strings.Fields("Patient RelatedPerson Encounter Observation Condition MedicationRequest Immunization AllergyIntolerance CarePlan ServiceRequest DiagnosticReport Procedure Appointment Task Communication DocumentReference Flag Consent") {
			if !kinds[kind] {
				t.Errorf("seed %d: no %s in 22 days", seed, kind)
			}
		}
		for i := range s.People() {
			check(t, r4, "Patient", s.Person(i).Resource)
		}
		for n := range 6 {
			for _, e := range s.Edits(n, 60) {
				check(t, r4, e.Kind, e.New)
			}
		}
	}
}

func check(t *testing.T, r4 *fhir.R4, kind string, resource []byte) {
	t.Helper()
	v, err := fhir.Parse(resource, fhir.DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v\n%s", kind, err, resource)
	}
	for _, issue := range r4.Check(v) {
		t.Errorf("%s: %+v\n%s", kind, issue, resource)
	}
}

func TestCallerGivesIDsAndStart(t *testing.T) {
	n := 0
	s := practice.New(1, practice.Options{People: 60, Commune: "Xã Thử", Start: time.Date(2027, 3, 6, 23, 0, 0, 0, time.UTC),
		NewID: func() string { n++; return fmt.Sprintf("abc-%d", n) }})
	if got, want := s.Date(0).Format(time.RFC3339), "2027-03-08T00:00:00+07:00"; got != want {
		t.Errorf("a start on a Saturday: first day %s, want the Monday %s", got, want)
	}
	if got, want := s.Date(7).Format(time.DateOnly), "2027-03-17"; got != want {
		t.Errorf("working day 7 is %s, want %s", got, want)
	}
	if got, want := s.Name(), "Trạm Y tế Xã Thử"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	for _, e := range slices.Concat(s.Shared(), s.Day(0), s.Day(1)) {
		if !strings.HasPrefix(e.ID, "abc-") {
			t.Fatalf("%s/%s: id is not the caller's", e.Kind, e.ID)
		}
	}
	users := map[string]bool{}
	for _, m := range s.Staff() {
		users[m.User] = true
	}
	for _, e := range s.Day(1) {
		if !users[e.Author] {
			t.Errorf("%s/%s: author %q is none of the staff", e.Kind, e.ID, e.Author)
		}
	}
	if len(users) != 6 {
		t.Errorf("%d users, want 6", len(users))
	}
}

func TestPeopleLookLikeACommune(t *testing.T) {
	for seed := range uint64(2) {
		s := practice.New(seed, practice.Options{People: 5000})
		names, surnames := map[string]int{}, map[string]int{}
		women, young, old := 0, 0, 0
		for i := range s.People() {
			var p struct {
				Name              []struct{ Text, Family string }
				Gender, BirthDate string
			}
			if err := json.Unmarshal(s.Person(i).Resource, &p); err != nil {
				t.Fatal(err)
			}
			names[p.Name[0].Text+p.BirthDate]++
			surnames[p.Name[0].Family]++
			if p.Gender == "female" {
				women++
			}
			if p.BirthDate > "2011-01-05" {
				young++
			}
			if p.BirthDate < "1961-01-05" {
				old++
			}
		}
		for name, n := range map[string][3]int{"women": {women, 48, 53}, "under 15": {young, 19, 29}, "over 64": {old, 6, 13}} {
			if share := n[0] * 100 / 5000; share < n[1] || share > n[2] {
				t.Errorf("seed %d: %d %% %s, want %d to %d", seed, share, name, n[1], n[2])
			}
		}
		if len(names) < 4990 {
			t.Errorf("seed %d: %d people of 5000 differ by name and birth date", seed, len(names))
		}
		if len(surnames) < 40 {
			t.Errorf("seed %d: %d surnames", seed, len(surnames))
		}
	}
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	s := practice.New(3, practice.Options{})
	for code, form := range map[string]string{"8310-5": `^\d\d\.\d$`, "29463-7": `^\d+\.\d\d$`, "8302-2": `^\d+\.\d$`, "15074-8": `^\d+\.\d\d$`, "8867-4": `^\d+$`} {
		seen, zeros := 0, 0
		coded := regexp.MustCompile(`"code":"` + code + `".*?"value":([0-9.]+)`)
		for n := range 8 {
			for _, e := range s.Day(n) {
				value := coded.FindSubmatch(e.Resource)
				if e.Kind != "Observation" || value == nil {
					continue
				}
				seen++
				if !regexp.MustCompile(form).Match(value[1]) {
					t.Errorf("%s: value %s, want %s", code, value[1], form)
				}
				if bytes.HasSuffix(value[1], []byte("0")) {
					zeros++
				}
			}
		}
		if seen < 15 || zeros == 0 {
			t.Errorf("%s: %d values, %d end in 0", code, seen, zeros)
		}
	}
}

func TestADayIsNotTrivial(t *testing.T) {
	s := practice.New(5, practice.Options{})
	for n := range 6 {
		sum := practice.Summarize(s.Day(n))
		if bits := sum.Entropy(); bits < 500 || bits > 1500 {
			t.Errorf("day %d: %.0f bits a record", n, bits)
		}
		if mean := sum.Raw / sum.Records; mean < 700 || mean > 1500 {
			t.Errorf("day %d: %d bytes a record", n, mean)
		}
	}
	one := s.Day(0)[:1]
	same := slices.Repeat(one, 330)
	if bits := practice.Entropy(same); bits > 100 {
		t.Errorf("330 times one record: %.0f bits a record", bits)
	}
	if bits := practice.Entropy(nil); bits != 0 {
		t.Errorf("no records: %.0f bits", bits)
	}
}

func TestIdentifyingStringsAreInTheRecords(t *testing.T) {
	s := practice.New(11, practice.Options{})
	var all strings.Builder
	for n := range 5 {
		for _, e := range s.Day(n) {
			all.Write(e.Resource)
		}
	}
	for i := range s.People() {
		all.Write(s.Person(i).Resource)
	}
	strs := s.Identifying()
	if len(strs) < 500 {
		t.Errorf("%d strings, want 500", len(strs))
	}
	text := all.String()
	missing := 0
	for i, one := range strs {
		if i%8 > 0 {
			continue
		}
		if len(one) < 8 {
			t.Errorf("%q is too short to mean a person", one)
		}
		if !strings.Contains(text, one) {
			missing++ // letters hold theirs in base64; newborns may not have come yet
		}
	}
	if missing > len(strs)/8/50 {
		t.Errorf("%d of %d strings are in no record", missing, len(strs)/8)
	}
}

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

func BenchmarkDay(b *testing.B) {
	s := practice.New(1, practice.Options{})
	n, size := 0, 0
	for b.Loop() {
		for _, e := range s.Day(n) {
			size += len(e.Resource)
		}
		n++
	}
	b.SetBytes(int64(size / n))
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		practice.New(1, practice.Options{})
	}
}

func ExampleSummarize() {
	s := practice.New(1, practice.Options{})
	fmt.Println(s.Name())
	sum := practice.Summarize(s.Day(0))
	fmt.Printf("%d records, about %.1f kbit each\n", sum.Records, sum.Entropy()/1000)
	for _, k := range sum.Kinds {
		fmt.Println(k.Kind, k.Records)
	}
	// Output:
	// Trạm Y tế Xã Cư Suê Đông
	// 335 records, about 0.7 kbit each
	// AllergyIntolerance 1
	// Appointment 6
	// CarePlan 4
	// Condition 35
	// Consent 3
	// DiagnosticReport 2
	// Encounter 40
	// Flag 1
	// Immunization 2
	// MedicationRequest 69
	// Observation 112
	// Patient 40
	// Procedure 5
	// RelatedPerson 7
	// ServiceRequest 2
	// Task 6
}
