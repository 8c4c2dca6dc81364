package people

import (
	"strings"

	"tram/store/fhir"
)

// Person is what tells a person from others at a desk.
type Person struct {
	ID         string
	Name       string
	Birth      string // as written: YYYY-MM-DD, YYYY-MM or YYYY
	Gender     string
	Phone      string
	Identifier string
	Address    string
	Died       string // as written, like Birth or with a time; "true" where the day is not known; "" of the living
}

// Show is what a Patient shows of the person.
func Show(patient *fhir.Value) Person {
	p := Person{ID: patient.Str("id"), Name: nameOf(patient), Birth: patient.Str("birthDate"), Gender: patient.Str("gender")}
	for _, c := range items(patient.Get("telecom")) {
		if p.Phone == "" && c.Str("system") == "phone" {
			p.Phone = c.Str("value")
		}
	}
	for _, id := range items(patient.Get("identifier")) {
		if p.Identifier == "" {
			p.Identifier = id.Str("value")
		}
	}
	if p.Died = patient.Str("deceasedDateTime"); p.Died == "" && patient.Str("deceasedBoolean") == "true" {
		p.Died = "true"
	}
	for i, a := range items(patient.Get("address")) {
		if i == 0 {
			p.Address = addressText(a)
		}
	}
	return p
}

// nameOf is the first name, as it is shown.
func nameOf(patient *fhir.Value) string {
	for _, n := range items(patient.Get("name")) {
		return nameText(n)
	}
	return ""
}

func items(v *fhir.Value) []*fhir.Value {
	if v == nil {
		return nil
	}
	return v.Items
}

func nameText(n *fhir.Value) string {
	if t := n.Str("text"); t != "" {
		return t
	}
	words := []string{n.Str("family")}
	for _, g := range items(n.Get("given")) {
		words = append(words, g.Text)
	}
	return strings.Join(words, " ")
}

func addressText(a *fhir.Value) string {
	if t := a.Str("text"); t != "" {
		return t
	}
	var parts []string
	for _, l := range items(a.Get("line")) {
		parts = append(parts, l.Text)
	}
	for _, f := range []string{"district", "city", "state"} {
		if s := a.Str(f); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}
