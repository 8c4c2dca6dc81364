package fhir

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRefs(t *testing.T) {
	r := load(t)
	v := parse(t, string(fixtures(t)["observation.json"]))
	var got []string
	for _, x := range r.Refs(v) {
		got = append(got, fmt.Sprintf("%s %s %s/%s %v %v", x.Path, x.Literal, x.Kind, x.ID, x.Absolute, x.Contained))
	}
	want := []string{
		"Observation.contained[0].owner.reference Organization/o-1 Organization/o-1 false false",
		"Observation.subject.reference Patient/p-1 Patient/p-1 false false",
		"Observation.encounter.reference Encounter/e-1/_history/2 Encounter/e-1 false false",
		"Observation.performer[0].reference https://centre.example.org/fhir/Practitioner/x-9 Practitioner/x-9 true false",
		"Observation.device.reference #cuff / false true",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Refs:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, c := range []struct{ literal, want string }{
		{"Patient/1", "Patient/1 false"},
		{"Patient/1#frag", "/ false"},
		{"Patient?identifier=a|b", "/ false"},
		{"Nobody/1", "/ false"},
		{"Patient/a_b", "/ false"},
		{"x/Patient/1", "/ false"},
		{"/Patient/1", "/ false"},
		{"Patient/", "/ false"},
		{"Patient", "/ false"},
		{"http://Patient/1", "/ true"},
		{"http://h/Patient/1", "Patient/1 true"},
		{"http://h:80/f/Patient/1/_history/3", "Patient/1 true"},
		{"http://h/Patient/1?x=y", "/ true"},
		{"urn:uuid:Patient/1", "/ true"},
	} {
		x := r.parseRef(c.literal)
		if got := fmt.Sprintf("%s/%s %v", x.Kind, x.ID, x.Absolute); got != c.want {
			t.Errorf("parseRef(%s) = %s, want %s", c.literal, got, c.want)
		}
	}
	deep := parse(t, `{"resourceType":"Patient","extension":[{"url":"x","extension":[{"url":"y","valueReference":{"reference":"Group/1"}}]}],"_birthDate":{"extension":[{"url":"z","valueReference":{"reference":"Group/2"}}]}}`)
	if got := r.Refs(deep); len(got) != 2 || got[0].ID != "1" || got[1].Path != "Patient._birthDate.extension[0].valueReference.reference" {
		t.Errorf("references in extensions: %+v", got)
	}
	bundle := parse(t, string(fixtures(t)["transaction.json"]))
	if got := r.Refs(bundle); got != nil {
		t.Errorf("references of a Bundle: %+v", got)
	}
}

func TestRewriteRefs(t *testing.T) {
	r := load(t)
	const old = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
	f := func(s string) string {
		return map[string]string{old: "Patient/9", "#cuff": "#device", "text": "lost"}[s]
	}
	keep := func(s string) string {
		if n := f(s); n != "" {
			return n
		}
		return s
	}
	for _, c := range []struct{ in, want string }{
		{`{"resourceType":"Condition","subject":{"reference":"OLD","display":"OLD"},"code":{"text":"OLD"}}`,
			`{"resourceType":"Condition","subject":{"reference":"Patient/9","display":"OLD"},"code":{"text":"OLD"}}`},
		{`{"resourceType":"Observation","contained":[{"resourceType":"Device","patient":{"reference":"OLD"}}],"device":{"reference":"#cuff"},"valueQuantity":{"value":1.00}}`,
			`{"resourceType":"Observation","contained":[{"resourceType":"Device","patient":{"reference":"Patient/9"}}],"device":{"reference":"#device"},"valueQuantity":{"value":1.00}}`},
		{`{"resourceType":"Patient","extension":[{"url":"OLD","valueUri":"OLD"},{"url":"x","valueCanonical":"OLD"}],"identifier":[{"system":"OLD","value":"OLD"}]}`,
			`{"resourceType":"Patient","extension":[{"url":"OLD","valueUri":"Patient/9"},{"url":"x","valueCanonical":"OLD"}],"identifier":[{"system":"OLD","value":"OLD"}]}`},
		{`{"resourceType":"DocumentReference","content":[{"attachment":{"url":"OLD","title":"OLD"}}]}`,
			`{"resourceType":"DocumentReference","content":[{"attachment":{"url":"Patient/9","title":"OLD"}}]}`},
		{`{"resourceType":"CarePlan","instantiatesUri":["a","OLD"],"basedOn":[{"display":"x"},{"reference":"OLD"}]}`,
			`{"resourceType":"CarePlan","instantiatesUri":["a","Patient/9"],"basedOn":[{"display":"x"},{"reference":"Patient/9"}]}`},
	} {
		v := parse(t, strings.ReplaceAll(c.in, "OLD", old))
		before := string(v.Bytes())
		if got, want := string(r.RewriteRefs(v, keep).Bytes()), strings.ReplaceAll(c.want, "OLD", old); got != want {
			t.Errorf("RewriteRefs(%s)\n = %s\nwant %s", c.in, got, want)
		}
		if string(v.Bytes()) != before {
			t.Errorf("RewriteRefs changed its argument %s", c.in)
		}
	}
	bundle := parse(t, string(fixtures(t)["transaction.json"]))
	if r.RewriteRefs(bundle, keep) != bundle {
		t.Error("RewriteRefs went into the resources of a Bundle")
	}
}

func TestPatients(t *testing.T) {
	r := load(t)
	for _, c := range []struct{ text, want string }{
		{`{"resourceType":"Patient","id":"1"}`, "[1]"},
		{`{"resourceType":"Patient","id":"2","link":[{"other":{"reference":"Patient/1"}},{"other":{"reference":"RelatedPerson/3"}}]}`, "[1 2]"},
		{`{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/4"},"performer":[{"reference":"Patient/2"},{"reference":"Patient/1"}]}`, "[1 2]"},
		{`{"resourceType":"Observation","subject":{"reference":"Group/1"},"focus":[{"reference":"Patient/2"}]}`, "[]"},
		{`{"resourceType":"Observation","subject":{"reference":"http://elsewhere/fhir/Patient/1"}}`, "[]"},
		{`{"resourceType":"Observation","subject":{"identifier":{"value":"1"},"type":"Patient"}}`, "[]"},
		{`{"resourceType":"Immunization","patient":{"reference":"Patient/1"}}`, "[1]"},
		{`{"resourceType":"Encounter","subject":{"reference":"Patient/1"}}`, "[1]"},
		{`{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/2"}},{"actor":{"reference":"Patient/1"}}]}`, "[1 2]"},
		{`{"resourceType":"Coverage","payor":[{"reference":"Patient/1"}],"beneficiary":{"reference":"Patient/3"}}`, "[1 3]"},
		{`{"resourceType":"Group","member":[{"entity":{"reference":"Patient/1"}}]}`, "[1]"},
		{`{"resourceType":"Organization","id":"1"}`, "[]"},
		{`{"resourceType":"Nobody","id":"1"}`, "[]"},
		{`[]`, "[]"},
	} {
		if got := fmt.Sprint(r.Patients(parse(t, c.text))); got != c.want {
			t.Errorf("Patients(%s) = %s, want %s", c.text, got, c.want)
		}
	}
}

func TestItemKey(t *testing.T) {
	r := load(t)
	for _, c := range []struct{ path, field, item, strong, slot string }{
		{"Patient", "identifier", `{"system":"s","value":"1","use":"old"}`, `"s","1"`, "s"},
		{"Patient", "identifier", `{"system":"s"}`, ``, "s"},
		{"Patient", "telecom", `{"system":"phone","value":"09","use":"mobile"}`, `"phone","09"`, `"phone","mobile"`},
		{"Patient", "telecom", `{"value":"09"}`, `,"09"`, ``},
		{"Patient", "name", `{"use":"official","text":"x"}`, ``, "official"},
		{"Patient", "address", `{"use":"home"}`, ``, "home"},
		{"Patient", "extension", `{"url":"u","valueString":"x"}`, "u", ""},
		{"Patient", "contained", `{"resourceType":"Device","id":"1"}`, `"Device","1"`, ""},
		{"Patient", "contained", `{"resourceType":"Device"}`, "", ""},
		{"Patient", "generalPractitioner", `{"reference":"Practitioner/1","display":"x"}`, "Practitioner/1", ""},
		{"Patient", "generalPractitioner", `{"identifier":{"system":"s","value":"1"}}`, `"s","1"`, ""},
		{"Patient", "generalPractitioner", `{"display":"x"}`, "", ""},
		{"Patient", "contact", `{"relationship":[{"text":"m"}],"name":{"text":"N"}}`, `"\",\\\"m\\\"\"","{\"text\":\"N\"}"`, `"\",\\\"m\\\"\""`},
		{"Patient", "communication", `{"language":{"coding":[{"code":"vi"}]},"preferred":true}`, `"\",\\\"vi\\\"\""`, ""},
		{"Patient", "link", `{"other":{"reference":"Patient/1"}}`, `"Patient/1"`, ""},
		{"Meta", "security", `{"system":"s","code":"R"}`, `"s","R"`, "s"},
		{"Observation", "category", `{"coding":[{"system":"s","code":"b"},{"system":"s","code":"a"}],"text":"x"}`, `"\"s\",\"a\"","\"s\",\"b\""`, ""},
		{"Observation", "category", `{"text":"a"}`, `,"a"`, ""},
		{"Observation", "component", `{"code":{"coding":[{"system":"s","code":"a"}]},"valueInteger":1}`, `"\"\\\"s\\\",\\\"a\\\"\""`, ""},
		{"Observation", "note", `{"time":"2024","text":"x"}`, `"2024",,,"x"`, ""},
		{"Observation", "referenceRange", `{"text":"x"}`, "", ""},
		{"Immunization", "protocolApplied", `{"targetDisease":[{"text":"polio"}],"doseNumberPositiveInt":2}`, `"\",\\\"polio\\\"\"","2"`, `"\",\\\"polio\\\"\""`},
		{"Encounter", "participant", `{"individual":{"reference":"Practitioner/1"}}`, `"Practitioner/1",`, ""},
		{"Encounter", "statusHistory", `{"status":"arrived","period":{"start":"2024","end":"2025"}}`, `"arrived","2024"`, ""},
		{"QuestionnaireResponse.item.answer", "item", `{"linkId":"1.2"}`, `"1.2"`, ""},
		{"CarePlan", "instantiatesUri", `"http://x"`, "http://x", ""},
		{"Composition", "section", `{"title":"x"}`, "", ""},
	} {
		e, ok := r.Elem(c.path, c.field)
		strong, slot := r.ItemKey(c.path, e, parse(t, c.item))
		if !ok || !keyLike(strong, c.strong) || !keyLike(slot, c.slot) {
			t.Errorf("ItemKey(%s.%s, %s) = %s, %s; want %s, %s", c.path, c.field, c.item, strong, slot, c.strong, c.slot)
		}
	}
}

// keyLike compares keys apart from how deep the quotes of nested keys are escaped.
func keyLike(got, want string) bool {
	flat := strings.NewReplacer(`\`, "", `"`, "")
	return flat.Replace(got) == flat.Replace(want)
}

func TestItemKeysTellItemsApart(t *testing.T) {
	r := load(t)
	for _, c := range []struct {
		path, field, a, b string
		same              bool
	}{
		{"Patient", "identifier", `{"system":"a,b","value":"c"}`, `{"system":"a","value":"b,c"}`, false},
		{"Patient", "identifier", `{"system":"a\",\"b","value":"c"}`, `{"system":"a","value":"b\",\"c"}`, false},
		{"Observation", "category", `{"text":"a"}`, `{"coding":[{"code":"a"}]}`, false},
		{"Observation", "category", `{"coding":[{"code":"a"},{"code":"b"}]}`, `{"coding":[{"code":"b"},{"code":"a","display":"A"}]}`, true},
		{"Patient", "contact", `{"relationship":[{"text":"a"},{"text":"b"}]}`, `{"relationship":[{"text":"b"},{"text":"a"}]}`, true},
		{"Patient", "contact", `{"relationship":[{"text":"a"}]}`, `{"name":{"text":"a"}}`, false},
		{"Medication", "ingredient", `{"itemReference":{"reference":"Substance/1"}}`, `{"itemCodeableConcept":{"text":"x"}}`, false},
		{"AllergyIntolerance", "reaction", `{"manifestation":[{"text":"rash"}],"onset":"2024"}`, `{"manifestation":[{"text":"rash"}],"onset":"2023"}`, true},
	} {
		e, _ := r.Elem(c.path, c.field)
		a, _ := r.ItemKey(c.path, e, parse(t, c.a))
		b, _ := r.ItemKey(c.path, e, parse(t, c.b))
		if a == "" || (a == b) != c.same {
			t.Errorf("%s.%s: keys %s and %s, same should be %v", c.path, c.field, a, b, c.same)
		}
	}
}

// Every structure that has key fields exists, and so do its fields.
func TestKeyFieldsExist(t *testing.T) {
	r := load(t)
	keyed := 0
	for path, def := range r.types {
		for _, e := range def.elems {
			if !e.Backbone {
				continue
			}
			strong, slot := keyFields(path + "." + e.Name)
			if len(strong) > 0 {
				keyed++
			}
			for _, name := range append(strong, slot...) {
				head, _, _ := strings.Cut(name, ".")
				if !leads(r.types[e.TypePath], strings.TrimSuffix(head, "[x]")) {
					t.Errorf("%s.%s has no %s", path, e.Name, name)
				}
			}
		}
	}
	if keyed != 51 {
		t.Errorf("%d structures have keys, want 51: a path is misspelt or the number is old", keyed)
	}
}

func TestAttachments(t *testing.T) {
	a, b := strings.Repeat("0a", 32), strings.Repeat("1b", 32)
	for text, want := range map[string][]Attached{
		`{"content":[{"attachment":{"url":"Binary/` + a + `","size":12}},{"attachment":{"url":"Binary/` + a + `"}}]}`:                                {{a, 12}},
		`{"photo":[{"url":"Binary/` + a + `"}],"contained":[{"extension":[{"valueAttachment":{"size":-1,"url":"Binary\/` + b + `"}}]}]}`:             {{a, 0}, {b, 0}},
		`{"url":"Binary/` + a[1:] + `","x":{"url":"Binary/` + strings.ToUpper(a) + `"},"y":{"url":["Binary/` + a + `"],"uri":"Binary/` + a + `"}}`:   nil,
		`{"url":"https://elsewhere/Binary/` + a + `","a":{"url":"Binary/` + a + `/_history/1"},"b":{"reference":"Binary/` + a + `"},"c":"Binary/x"}`: nil,
		`{"photo":[{"url":"\u0042inary/` + a + `"}]}`: {{a, 0}},
	} {
		v, err := Parse([]byte(text), DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		got := Attachments(v)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
		if len(want) > 0 && !MayAttach([]byte(text)) {
			t.Errorf("%s: said to refer to nothing", text)
		}
	}
}
