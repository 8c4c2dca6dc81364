package fhir

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheckFinds(t *testing.T) {
	r := load(t)
	obs := func(more string) string {
		return `{"resourceType":"Observation","status":"final","code":{"text":"x"}` + more + `}`
	}
	pat := func(more string) string { return `{"resourceType":"Patient"` + more + `}` }
	for _, c := range []struct {
		name, text, want string
	}{
		{"an array", `[]`, "[structure  not-object]"},
		{"no kind", `{"id":"1"}`, "[structure .resourceType unknown-kind]"},
		{"a data type", `{"resourceType":"HumanName"}`, "[structure .resourceType unknown-kind]"},
		{"an abstract kind", `{"resourceType":"DomainResource"}`, "[structure .resourceType unknown-kind]"},
		{"kind is a number", `{"resourceType":1}`, "[structure .resourceType unknown-kind]"},
		{"unknown element", pat(`,"colour":"red"`), "[structure Patient unknown-element]"},
		{"unknown sibling", pat(`,"_colour":{"id":"1"}`), "[structure Patient unknown-element]"},
		{"unknown element inside", pat(`,"contact":[{"name":{"nick":"x"}}]`), "[structure Patient.contact[0].name unknown-element]"},
		{"kind in a data type", pat(`,"name":[{"resourceType":"HumanName"}]`), "[structure Patient.name[0] unknown-element]"},
		{"missing", `{"resourceType":"Observation","code":{"text":"x"}}`, "[required Observation.status missing]"},
		{"missing inside", pat(`,"link":[{"other":{"display":"x"}}]`), "[required Patient.link[0].type missing]"},
		{"missing choice", `{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"display":"y"}}`, "[required Immunization.occurrence[x] missing]"},
		{"required by sibling", `{"resourceType":"Observation","_status":{"extension":[{"url":"http://x","valueCode":"unknown"}]},"code":{"text":"x"}}`, ""},
		{"two choices", obs(`,"valueString":"a","valueInteger":1`), "[structure Observation.value[x] two-choices]"},
		{"two choices by sibling", obs(`,"valueString":"a","_valueInteger":{"id":"1"}`), "[structure Observation.value[x] two-choices]"},
		{"one choice and its sibling", obs(`,"valueString":"a","_valueString":{"id":"1"}`), ""},
		{"no such choice", obs(`,"valueMoney":{"value":1}`), "[structure Observation unknown-element]"},
		{"choice without type", obs(`,"value":1`), "[structure Observation unknown-element]"},
		{"not an array", pat(`,"name":{"text":"x"}`), "[structure Patient.name not-array]"},
		{"not single", pat(`,"birthDate":["2000"]`), "[structure Patient.birthDate not-single]"},
		{"not single, complex", obs(`,"subject":[{"display":"x"}]`), "[structure Observation.subject not-single]"},
		{"text for an object", obs(`,"subject":"Patient/1"`), "[structure Observation.subject not-object]"},
		{"object for a text", pat(`,"birthDate":{"value":"2000"}`), "[structure Patient.birthDate wrong-type]"},
		{"string for bool", pat(`,"active":"true"`), "[structure Patient.active wrong-type]"},
		{"string for number", obs(`,"valueQuantity":{"value":"1"}`), "[structure Observation.valueQuantity.value wrong-type]"},
		{"number for string", pat(`,"id":1`), "[structure Patient.id wrong-type]"},
		{"empty array", pat(`,"name":[]`), "[structure Patient.name empty]"},
		{"empty object", pat(`,"name":[{}]`), "[structure Patient.name[0] empty]"},
		{"empty string", pat(`,"name":[{"text":""}]`), "[value Patient.name[0].text empty]"},
		{"null", pat(`,"birthDate":null`), "[structure Patient.birthDate null]"},
		{"null object", obs(`,"subject":null`), "[structure Observation.subject null]"},
		{"null item", pat(`,"name":[null]`), "[structure Patient.name[0] null]"},
		{"null without sibling", pat(`,"name":[{"given":["a",null]}]`), "[structure Patient.name[0].given[1] null]"},
		{"null with null sibling", pat(`,"name":[{"given":["a",null],"_given":[{"id":"1"},null]}]`), "[structure Patient.name[0].given[1] null]"},
		{"padding", pat(`,"name":[{"given":["a",null],"_given":[null,{"id":"1"}]}]`), ""},
		{"siblings alone", pat(`,"name":[{"_given":[{"id":"1"}]}]`), ""},
		{"null sibling alone", pat(`,"name":[{"_given":[null,{"id":"1"}]}]`), "[structure Patient.name[0]._given[0] null]"},
		{"padding of another length", pat(`,"name":[{"given":["a"],"_given":[null,{"id":"1"}]}]`), "[structure Patient.name[0]._given bad-sibling]"},
		{"sibling of an object", pat(`,"_name":[{"id":"1"}]`), "[structure Patient._name bad-sibling]"},
		{"sibling with a value", pat(`,"_birthDate":{"value":"2000"}`), "[structure Patient._birthDate unknown-element]"},
		{"sibling is a text", pat(`,"_birthDate":"x"`), "[structure Patient._birthDate not-object]"},
		{"sibling list is none", pat(`,"name":[{"_given":{"id":"1"}}]`), "[structure Patient.name[0]._given not-array]"},
		{"bad code", pat(`,"gender":"f"`), "[code-invalid Patient.gender bad-code]"},
		{"bad concept", `{"resourceType":"Condition","subject":{"display":"x"},"clinicalStatus":{"coding":[{"code":"gone"}]}}`, "[code-invalid Condition.clinicalStatus.coding bad-code]"},
		{"concept with a translation", `{"resourceType":"Condition","subject":{"display":"x"},"clinicalStatus":{"coding":[{"code":"gone"},{"code":"active"}]}}`, ""},
		{"bad target", obs(`,"encounter":{"reference":"Patient/1"}`), "[value Observation.encounter.reference bad-target]"},
		{"absolute target", obs(`,"encounter":{"reference":"http://h/fhir/Patient/1/_history/2"}`), "[value Observation.encounter.reference bad-target]"},
		{"targets that cannot be told", obs(`,"encounter":{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},"subject":{"reference":"#x"}`), ""},
		{"contained of unknown kind", pat(`,"contained":[{"resourceType":"Nobody"}]`), "[structure Patient.contained[0].resourceType unknown-kind]"},
		{"contained is checked", pat(`,"contained":[{"resourceType":"Patient","gender":"x"}]`), "[code-invalid Patient.contained[0].gender bad-code]"},
		{"contained in contained", pat(`,"contained":[{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}]`), "[structure Patient.contained[0].contained nested-contained]"},
		{"entry is checked", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","active":1}}]}`, "[structure Bundle.entry[0].resource.active wrong-type]"},
		{"extension is checked", pat(`,"extension":[{"valueString":"x"}]`), "[required Patient.extension[0].url missing]"},
		{"content reference is followed", obs(`,"component":[{"code":{"text":"x"},"referenceRange":[{"low":{"value":"1"}}]}]`), "[structure Observation.component[0].referenceRange[0].low.value wrong-type]"},
	} {
		var got []string
		for _, i := range r.Check(parse(t, c.text)) {
			got = append(got, fmt.Sprintf("[%s %s %s]", i.Code, i.Path, i.Key))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: Check(%s) = %s, want %s", c.name, c.text, got, c.want)
		}
	}
	if got := r.Check(nil); len(got) != 1 || got[0].Key != IssueNotObject {
		t.Errorf("Check(nil) = %v", got)
	}
	many := `{"resourceType":"Patient","name":[` + strings.Repeat(`{"x":1},`, 5000) + `{"x":1}]}`
	if got := len(r.Check(parse(t, many))); got != maxIssues {
		t.Errorf("%d issues of 5001, want %d", got, maxIssues)
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ typ, good, bad string }{
		{"date", "2024 2024-02 2024-02-29 0001-01-01", "24 2024-13 2023-02-29 2024-00 2024-1-1 2024-01-01T00:00:00Z 0000 2024-02-29Z 2024-"},
		{"dateTime", "2024 2024-02 2024-02-29 2024-02-29T10:00:00Z 2024-02-29T23:59:60.123456789012+14:00 2024-01-01T00:00:00-13:59",
			"2024-02-29T10:00Z 2024-02-29T10:00:00 2024-02-29T24:00:00Z 2024-02-29T10:60:00Z 2024-02-29T10:00:00+14:01 2024-02-29T10:00:00.Z 2024-02-29t10:00:00z 2024-02-29T10:00:00+0700"},
		{"instant", "2024-02-29T10:00:00Z 2024-02-29T10:00:00.1+07:00", "2024 2024-02-29 2024-02-29T10:00:00 2024-02-29T10:00Z"},
		{"time", "10:00:00 23:59:59.999", "10:00 24:00:00 10:00:00Z 1:00:00 10:00:61"},
		{"id", "a A-1.b " + strings.Repeat("x", 64), "a_b a/b é " + strings.Repeat("x", 65)},
		{"code", "a a-b", "\ta a\u00a0\t"},
		{"uri", "urn:x http://a/b?c=d|e a", "a\tb"},
		{"canonical", "http://a|1", "a\nb"},
		{"oid", "urn:oid:1.2.840.0", "1.2.3 urn:oid:3.1 urn:oid:1 urn:oid:1.02 urn:oid:1..2 urn:oid:1.a"},
		{"uuid", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520 urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
			"c757873d-ec9a-4326-a141-556f43239520 urn:uuid:c757873d-ec9a-4326-a141-556f4323952 urn:uuid:c757873dxec9a-4326-a141-556f43239520 urn:uuid:g757873d-ec9a-4326-a141-556f43239520"},
		{"base64Binary", "QUJD QUI= QQ== QUJDREVG", "QUJ Q=== QU=D QUJ* ===="},
		{"integer", "0 -5 2147483647 -2147483648", "2147483648 1.0 1e2 -2147483649"},
		{"positiveInt", "1 2147483647", "0 -1 1.0"},
		{"unsignedInt", "0 1", "-1 1e0"},
		{"decimal", "1.0 1e-7 -0.00 12345678901234567890.1", ""},
		{"string", "a", "a\x00 \x1b"},
		{"xhtml", "<div>x</div>", "text"},
	} {
		for _, s := range strings.Split(c.good, " ") {
			if !fits(c.typ, s) {
				t.Errorf("%s refuses %q", c.typ, s)
			}
		}
		for _, s := range strings.Split(c.bad, " ") {
			if s != "" && fits(c.typ, s) {
				t.Errorf("%s takes %q", c.typ, s)
			}
		}
	}
	for typ, cases := range map[string][2]string{
		"code":         {"a b", "a  b"},
		"base64Binary": {"QU JD\r\n", "Q U"},
		"string":       {" a\tb\n", "\b"},
		"uri":          {"a", "a b"},
	} {
		if !fits(typ, cases[0]) || fits(typ, cases[1]) {
			t.Errorf("%s: %q %v, %q %v", typ, cases[0], fits(typ, cases[0]), cases[1], fits(typ, cases[1]))
		}
	}
}

// What Check says must hold nothing that a person typed.
func TestIssuesAndErrorsHoldNoContent(t *testing.T) {
	r := load(t)
	for _, text := range []string{
		`{"resourceType":"Patient","SECRET":1}`,
		`{"resourceType":"SECRET"}`,
		`{"resourceType":"Patient","gender":"SECRET","birthDate":"SECRET","name":"SECRET","_SECRET":{}}`,
		`{"resourceType":"Patient","name":[{"SECRET":[{"a":1}]}],"generalPractitioner":[{"reference":"SECRET/1"},{"reference":"Patient/SECRET"}]}`,
	} {
		if got := fmt.Sprint(r.Check(parse(t, text))); got == "[]" || strings.Contains(got, "SECRET") {
			t.Errorf("Check(%s) = %s", text, got)
		}
	}
	for _, text := range []string{`{"SECRET":1,"SECRET":2}`, `{"a":SECRET}`, `"SECRET`, `"SECRET\q"`} {
		if _, err := Parse([]byte(text), DefaultLimits()); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("Parse(%s): %v", text, err)
		}
	}
}
