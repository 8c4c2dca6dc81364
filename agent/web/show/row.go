package show

import (
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// Row is one element in words. A row has a Text or Rows below it.
type Row struct {
	Label string
	Text  string
	// Link is the record that a reference points to, zero for none.
	Link record.Key
	Rows []Row
}

// Line is the row in one line.
func (r Row) Line() string {
	if r.Text != "" {
		return r.Text
	}
	var parts []string
	for _, below := range r.Rows {
		parts = append(parts, strings.TrimPrefix(below.Label+": "+below.Line(), ": "))
	}
	return strings.Join(parts, ", ")
}

// Rows reads out a whole resource, element by element in the order written. What
// machines alone need (id, meta, the generated narrative) is left out.
func (s *Show) Rows(content *fhir.Value) []Row {
	return s.rows(content.Str("resourceType"), content)
}

func (s *Show) rows(typ string, v *fhir.Value) []Row {
	var out []Row
	for _, f := range v.Fields {
		if machine(typ, s.r4.IsKind(typ), f.Name) {
			continue
		}
		e, ok := s.r4.Elem(typ, f.Name)
		switch {
		// A primitive without a value still says something by its extensions.
		case strings.HasPrefix(f.Name, "_"):
			if v.Get(f.Name[1:]) == nil && f.Value.Shape == fhir.Object {
				out = append(out, Row{Label: s.Element(typ, f.Name[1:]), Text: s.absent(f.Value)})
			}
		case !ok:
			out = append(out, Row{Label: split(f.Name), Text: f.Value.Text})
		case e.Type == "Extension":
			for _, x := range items(f.Value) {
				out = append(out, s.extension(x))
			}
		case f.Value.Shape == fhir.Array && !e.Primitive:
			for _, it := range f.Value.Items {
				out = append(out, s.row(typ, e, it))
			}
		default:
			out = append(out, s.row(typ, e, f.Value))
		}
	}
	return out
}

// machine names the fields of which nobody at a station reads anything.
func machine(typ string, resource bool, field string) bool {
	switch field {
	case "id", "resourceType":
		return true
	case "meta", "text", "implicitRules":
		return resource
	}
	return false
}

// row reads out one value of an element.
func (s *Show) row(typ string, e fhir.Elem, v *fhir.Value) Row {
	r := Row{Label: s.Element(typ, e.Base)}
	if e.Type == "Resource" {
		r.Label, r.Rows = s.Kind(v.Str("resourceType")), s.Rows(v)
		return r
	}
	if e.Type == "Reference" {
		if k, err := record.ParseKey(v.Str("reference")); err == nil && s.r4.IsKind(k.Kind) {
			r.Link = k
		}
	}
	if v.Shape == fhir.Object && s.complex(e, v) == "" {
		r.Rows = s.rows(e.TypePath, v)
		// A code with its value, as in a component, reads best as one line.
		if code := v.Get("code"); len(r.Rows) >= 2 && code != nil && s.complex(fhir.Elem{Type: "CodeableConcept", Base: "code"}, code) != "" {
			return Row{Label: s.concept("code", code), Text: s.measure(e.TypePath, v)}
		}
		return r
	}
	if r.Text = s.text(e, v); e.Type == "code" && v.Shape == fhir.String {
		r.Text = s.codeOf(typ, e.Base, v.Text)
	}
	return r
}

// measure is the value[x] of an object that has one, else the rest of it.
func (s *Show) measure(typ string, v *fhir.Value) string {
	if f, e, ok := s.choice(typ, v, "value[x]"); ok {
		return s.text(e, f)
	}
	var parts []string
	for _, r := range s.rows(typ, v.With("code", nil)) {
		parts = append(parts, r.Label+": "+r.Line())
	}
	return strings.Join(parts, "; ")
}

// choice finds the field of an element that has one type of several.
func (s *Show) choice(typ string, v *fhir.Value, base string) (*fhir.Value, fhir.Elem, bool) {
	for _, f := range v.Fields {
		if e, ok := s.r4.Elem(typ, f.Name); ok && e.Base == base && !strings.HasPrefix(f.Name, "_") {
			return f.Value, e, true
		}
	}
	return nil, fhir.Elem{}, false
}

// extension is named by the last part of its address.
func (s *Show) extension(x *fhir.Value) Row {
	url := x.Str("url")
	name := url[strings.LastIndexAny(url, "/#:")+1:]
	r := Row{Label: either(s.labels["extension"][name], split(strings.ReplaceAll(strings.ReplaceAll(name, "-", " "), "_", " ")))}
	if f, e, ok := s.choice("Extension", x, "value[x]"); ok {
		r.Text = s.text(e, f)
	}
	for _, below := range items(x.Get("extension")) {
		r.Rows = append(r.Rows, s.extension(below))
	}
	return r
}

// absent reads the extensions that stand in place of a primitive value.
func (s *Show) absent(sibling *fhir.Value) string {
	var parts []string
	for _, x := range items(sibling.Get("extension")) {
		parts = append(parts, s.extension(x).Line())
	}
	return strings.Join(parts, ", ")
}
