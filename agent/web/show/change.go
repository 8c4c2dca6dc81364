package show

import (
	"fmt"
	"slices"
	"strings"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
)

// Change is one element in which two versions differ.
type Change struct {
	Path   string // as in record.Mark
	Label  string
	Before string
	After  string
}

// Changes lists in which elements a version differs from the one it was made
// from; a nil old is nothing, and then nothing is listed.
func (s *Show) Changes(old, now *record.Version) ([]Change, error) {
	if old == nil || now == nil {
		return nil, nil
	}
	before, order, err := s.elements(old)
	if err != nil {
		return nil, err
	}
	after, fresh, err := s.elements(now)
	if err != nil {
		return nil, err
	}
	var out []Change
	// First what the old version had, in its order, then what is new.
	for _, p := range append(order, fresh...) {
		b, a := before[p], after[p]
		if b == nil {
			b = fhir.NewObject()
		}
		if a == nil {
			a = fhir.NewObject()
		}
		if fhir.Equal(a, b) {
			continue
		}
		before[p], after[p] = nil, nil // each path once
		out = append(out, Change{p, s.Path(now.Key.Kind, p), s.Fields(now.Key.Kind, p, b), s.Fields(now.Key.Kind, p, a)})
	}
	return out, nil
}

// elements are the values of a version by path, and the paths in their order.
func (s *Show) elements(v *record.Version) (map[string]*fhir.Value, []string, error) {
	tree, err := element.Read(s.r4, v)
	if err != nil {
		return nil, nil, fmt.Errorf("show %s: %w", v.Key, err)
	}
	out := map[string]*fhir.Value{}
	var order []string
	tree.Each(func(path string, r *element.Register) {
		if strings.HasPrefix(path, "meta/") || path == "text" {
			return
		}
		out[path] = r.Shown
		order = append(order, path)
	})
	return out, order, nil
}

// Path is the path of an element in words: "Contact person › Phone, contact".
func (s *Show) Path(kind, path string) string {
	var out []string
	s.walk(kind, path, func(typ, base string) { out = append(out, s.Element(typ, base)) })
	return strings.Join(out, " › ")
}

// walk follows a path through the types and returns the type in which its last
// element stands, and that element's name.
func (s *Show) walk(kind, path string, step func(typ, base string)) (typ, base string) {
	typ = kind
	parts := strings.Split(path, "/")
	for i, p := range parts {
		base, _, _ = strings.Cut(p, "{")
		step(typ, base)
		if i == len(parts)-1 {
			break
		}
		if e, ok := s.r4.Elem(typ, base); ok {
			typ = e.TypePath
		}
	}
	return typ, base
}

// Fields is the value of an element as conflicts and the vault keep it: an object
// of its JSON fields, an empty one meaning that it is absent ("").
func (s *Show) Fields(kind, path string, value *fhir.Value) string {
	typ, _ := s.walk(kind, path, func(string, string) {})
	var out []string
	for _, f := range value.Fields {
		if strings.HasPrefix(f.Name, "_") {
			if f.Value.Shape == fhir.Object && value.Get(f.Name[1:]) == nil {
				out = append(out, s.absent(f.Value))
			}
			continue
		}
		e, ok := s.r4.Elem(typ, f.Name)
		switch {
		case !ok:
			out = append(out, string(f.Value.Bytes()))
		case e.Type == "Extension":
			for _, x := range items(f.Value) {
				r := s.extension(x)
				out = append(out, r.Label+": "+r.Line())
			}
		default:
			out = append(out, s.text(e, f.Value))
		}
	}
	return strings.Join(out, "; ")
}

// Typed makes the value of an element from a text, after the example of another
// value of it; false where the element is no single thing that can be typed, or
// the text is none of it.
func (s *Show) Typed(kind, path string, like *fhir.Value, text string) (*fhir.Value, bool) {
	typ, _ := s.walk(kind, path, func(string, string) {})
	for _, f := range like.Fields {
		e, ok := s.r4.Elem(typ, f.Name)
		if !ok || strings.HasPrefix(f.Name, "_") {
			continue
		}
		v := s.coded(e, text)
		if v == nil {
			// A quantity may be typed as it is shown, with its unit.
			if _, unit, ok := strings.Cut(s.text(e, f.Value), " "); ok && measured(e) {
				text = strings.TrimSpace(strings.TrimSuffix(text, unit))
			}
			v = typed(e, f.Value, text)
		}
		if v == nil {
			return nil, false
		}
		return fhir.NewObject(fhir.Field{Name: f.Name, Value: v}), true
	}
	return nil, false
}

// coded finds the code of an element whose words were typed; nil where it has none.
func (s *Show) coded(e fhir.Elem, text string) *fhir.Value {
	text = strings.TrimSpace(text)
	for _, code := range e.Codes {
		switch e.Type {
		case "code":
			if strings.EqualFold(text, s.Code(e.Base, code)) {
				return fhir.NewString(code)
			}
		case "CodeableConcept":
			c := fhir.NewObject(fhir.Field{Name: "system", Value: fhir.NewString(e.CodeSystem)}, fhir.Field{Name: "code", Value: fhir.NewString(code)})
			if e.CodeSystem != "" && strings.EqualFold(text, s.coding(e.Base, c)) {
				return fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(c)})
			}
		}
	}
	return nil
}

// measured reports whether an element is a number with a unit.
func measured(e fhir.Elem) bool {
	return e.Type == "Quantity" || e.Type == "Age" || e.Type == "Duration"
}

// typed makes one value of an element's type. A new text drops the codes of the old
// value, which may not fit it; a quantity keeps its unit.
func typed(e fhir.Elem, like *fhir.Value, text string) *fhir.Value {
	switch {
	case like.Shape == fhir.Array:
		return nil
	case measured(e):
		n := fhir.NewNumber(strings.Replace(text, ",", ".", 1))
		if n == nil {
			return nil
		}
		return like.With("value", n)
	case e.Type == "CodeableConcept", e.Type == "Annotation", e.Type == "HumanName", e.Type == "Address", e.Type == "Dosage":
		return fhir.NewObject(fhir.Field{Name: "text", Value: fhir.NewString(text)})
	case e.Type == "ContactPoint" || e.Type == "Identifier":
		return like.With("value", fhir.NewString(text))
	case !e.Primitive:
		return nil
	case e.Type == "date" || e.Type == "dateTime":
		if iso, ok := ISODate(text); ok {
			return fhir.NewString(iso)
		}
		return nil
	// Yes and no are chosen, not typed.
	case e.Type == "boolean" || like.Shape == fhir.Bool:
		return nil
	case like.Shape == fhir.Number:
		return fhir.NewNumber(strings.Replace(text, ",", ".", 1))
	}
	return fhir.NewString(text)
}

// Own lists what a version itself set: of a birth everything, of an edit no more than
// what was edited. What it removed has no text.
func (s *Show) Own(v *record.Version) ([]Change, error) {
	tree, err := element.Read(s.r4, v)
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", v.Key, err)
	}
	var out []Change
	tree.Each(func(path string, r *element.Register) {
		if strings.HasPrefix(path, "meta/") || path == "text" {
			return
		}
		for _, a := range r.Alts {
			if slices.Contains(a.By, v.Name) {
				out = append(out, Change{Path: path, Label: s.Path(v.Key.Kind, path), After: s.Fields(v.Key.Kind, path, a.Value)})
			}
		}
	})
	return out, nil
}
