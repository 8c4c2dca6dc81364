package show

import (
	"strings"

	"tram/store/fhir"
)

// maxText is how much of a long text stands in one line.
const maxText = 4000

// text is a value of an element in one line.
func (s *Show) text(e fhir.Elem, v *fhir.Value) string {
	if v == nil {
		return ""
	}
	if v.Shape == fhir.Array {
		var parts []string
		for _, it := range v.Items {
			if t := s.text(e, it); t != "" {
				parts = append(parts, t)
			}
		}
		return strings.Join(parts, "; ")
	}
	if v.Shape != fhir.Object {
		return s.primitive(e, v)
	}
	if t := s.complex(e, v); t != "" {
		return t
	}
	var parts []string
	for _, r := range s.rows(e.TypePath, v) {
		if t := r.Line(); t != "" {
			parts = append(parts, r.Label+": "+t)
		}
	}
	return strings.Join(parts, "; ")
}

// primitive writes one JSON string, number or bool by its FHIR type.
func (s *Show) primitive(e fhir.Elem, v *fhir.Value) string {
	switch e.Type {
	case "date", "dateTime", "instant":
		return s.Date(v.Text)
	case "boolean":
		return s.Code("boolean", v.Text)
	case "code":
		return s.Code(e.Base, v.Text)
	case "decimal":
		return s.Number(v.Text)
	// Bytes are nothing to read.
	case "base64Binary":
		return "…"
	}
	if r := []rune(v.Text); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return v.Text
}

// complex writes the data types that people read as one; "" for all others.
func (s *Show) complex(e fhir.Elem, v *fhir.Value) string {
	switch e.Type {
	case "HumanName":
		return either(v.Str("text"), words(v.Get("prefix"), v.Get("family"), v.Get("given"), v.Get("suffix")))
	case "Address":
		return either(v.Str("text"), list(v.Get("line"), v.Get("district"), v.Get("city"), v.Get("state"), v.Get("country")))
	case "ContactPoint":
		return s.tagged(v.Str("value"), v.Str("use"))
	case "Identifier":
		return s.tagged(v.Str("value"), either(v.Str("type", "text"), s.concept("type", v.Get("type")), v.Str("use")))
	case "CodeableConcept":
		return s.concept(e.Base, v)
	case "Coding":
		return s.coding(e.Base, v)
	case "Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity":
		return strings.TrimSpace(v.Str("comparator") + s.Number(v.Str("value")) + " " + s.Code("unit", either(v.Str("unit"), v.Str("code"))))
	case "Money":
		return strings.TrimSpace(s.Number(v.Str("value")) + " " + v.Str("currency"))
	// Times of one day share the date.
	case "Period":
		return s.span(s.Date(v.Str("start")), s.Date(v.Str("end")))
	case "Range":
		q := fhir.Elem{Type: "Quantity"}
		return s.span(s.text(q, v.Get("low")), s.text(q, v.Get("high")))
	case "Ratio":
		q := fhir.Elem{Type: "Quantity"}
		return s.text(q, v.Get("numerator")) + " / " + s.text(q, v.Get("denominator"))
	case "Reference":
		return either(v.Str("display"), v.Str("identifier", "value"), s.kindOf(v.Str("reference")))
	case "Annotation":
		return v.Str("text")
	case "Attachment":
		return either(v.Str("title"), v.Str("contentType"), v.Str("url"))
	case "Dosage":
		return v.Str("text")
	}
	return ""
}

// concept prefers what its writer typed, then words of ours, then the display.
func (s *Show) concept(base string, v *fhir.Value) string {
	if v == nil {
		return ""
	}
	if t := v.Str("text"); t != "" {
		return t
	}
	best := ""
	for _, c := range items(v.Get("coding")) {
		if w, ok := s.known(base, c); ok {
			return w
		}
		if best == "" {
			best = s.coding(base, c)
		}
	}
	return best
}

// coding prefers words of ours to a display, which often is English only.
func (s *Show) coding(base string, c *fhir.Value) string {
	if w, ok := s.known(base, c); ok {
		return w
	}
	return either(c.Str("display"), c.Str("code"))
}

// known has words for LOINC and for HL7's own code systems only: elsewhere an
// equal code means another thing.
func (s *Show) known(base string, c *fhir.Value) (string, bool) {
	switch system := c.Str("system"); {
	case system == "http://loinc.org":
		w, ok := s.labels["loinc"][c.Str("code")]
		return w, ok
	case strings.HasPrefix(system, "http://terminology.hl7.org/") || system == "urn:ietf:bcp:47":
		// An allergy's "active" is not an illness's, though both stand in one element.
		if w, ok := s.labels["code"][system[strings.LastIndex(system, "/")+1:]+"."+c.Str("code")]; ok {
			return w, true
		}
		return s.code(base, c.Str("code"))
	}
	return "", false
}

// tagged puts what a number is for behind it.
func (s *Show) tagged(value, tag string) string {
	if tag == "" || value == "" {
		return value
	}
	return value + " (" + s.Code("use", tag) + ")"
}

// span writes a stretch; an open end is an ellipsis.
func (s *Show) span(from, to string) string {
	switch {
	case from == "" && to == "":
		return ""
	case from == to:
		return from
	case len(from) > 10 && len(to) > 10 && from[:10] == to[:10] && from[2] == '/':
		return from + " – " + to[11:]
	}
	return either(from, "…") + " – " + either(to, "…")
}

// kindOf is what a reference without a display points to.
func (s *Show) kindOf(literal string) string {
	kind, _, _ := strings.Cut(literal, "/")
	if s.r4.IsKind(kind) {
		return s.Kind(kind)
	}
	return literal
}

// either is the first text that is not empty.
func either(options ...string) string {
	for _, o := range options {
		if o != "" {
			return o
		}
	}
	return ""
}

func items(v *fhir.Value) []*fhir.Value {
	if v == nil {
		return nil
	}
	return v.Items
}

// texts gathers the texts of values and of lists of them.
func texts(values ...*fhir.Value) []string {
	var out []string
	for _, v := range values {
		switch {
		case v == nil:
		case v.Shape == fhir.Array:
			out = append(out, texts(v.Items...)...)
		case v.Text != "":
			out = append(out, v.Text)
		}
	}
	return out
}

func words(values ...*fhir.Value) string { return strings.Join(texts(values...), " ") }

func list(values ...*fhir.Value) string { return strings.Join(texts(values...), ", ") }
