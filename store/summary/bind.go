package summary

import (
	"strings"

	"tram/store/fhir"
)

// bind returns v, of the given type, with each reference leading to a part of the
// document, which it becomes if it can, or to none.
func (d *draft) bind(v *fhir.Value, typ string) *fhir.Value {
	if v == nil || v.Shape != fhir.Object {
		return v
	}
	if typ == "Reference" {
		v = d.refer(v)
	}
	out := v
	for _, f := range v.Fields {
		if f.Value.Shape != fhir.Object && f.Value.Shape != fhir.Array {
			continue
		}
		child := d.child(typ, f.Name)
		if child == "" {
			continue
		}
		if next := d.bindAll(f.Value, child); next != f.Value {
			out = out.With(f.Name, next)
		}
	}
	return out
}

// bindAll is bind of one value or of each in a list.
func (d *draft) bindAll(v *fhir.Value, typ string) *fhir.Value {
	if v.Shape != fhir.Array {
		if typ == "Resource" {
			typ = v.Str("resourceType")
		}
		return d.bind(v, typ)
	}
	var items []*fhir.Value
	for i, x := range v.Items {
		if next := d.bindAll(x, typ); next != x {
			if items == nil {
				items = append(items, v.Items...)
			}
			items[i] = next
		}
	}
	if items == nil {
		return v
	}
	return fhir.NewArray(items...)
}

// child is the type of a field that may hold references; "" for one that does not. What
// stands beside a primitive is an Element, whose extensions may.
func (d *draft) child(typ, name string) string {
	if strings.HasPrefix(name, "_") {
		return "Element"
	}
	e, _ := d.m.r4.Elem(typ, name)
	return e.TypePath
}

// refer makes a Reference lead into the document. One that cannot keeps who is meant:
// its identifier, which an address elsewhere is made to, its type and its display.
func (d *draft) refer(v *fhir.Value) *fhir.Value {
	literal := v.Str("reference")
	if literal == "" || strings.HasPrefix(literal, "#") {
		return v
	}
	key := local(literal)
	if d.self[key] {
		key = d.person
	}
	if d.in[key] || d.lookup(key) != nil {
		return v.With("reference", d.part(key).Get("reference"))
	}
	out := v.With("reference", nil)
	if kind, _, ok := strings.Cut(key, "/"); ok && d.m.r4.IsKind(kind) {
		if out.Get("type") == nil {
			out = out.With("type", fhir.NewString(kind))
		}
	} else if strings.Contains(literal, ":") && out.Get("identifier") == nil {
		out = out.With("identifier", fhir.NewObject(field("system", "urn:ietf:rfc:3986"), field("value", literal)))
	}
	if out.Get("display") == nil {
		out = out.With("display", fhir.NewString(d.say.get("outside")))
	}
	return out
}

// local is a relative reference as "Kind/id", without the version it may name.
func local(literal string) string {
	key, _, _ := strings.Cut(literal, "/_history/")
	return key
}

// complete says of what the guide requires and the record does not have that it is not
// known (http://hl7.org/fhir/StructureDefinition/data-absent-reason).
func complete(v *fhir.Value) *fhir.Value {
	unknown := fhir.NewObject(fhir.Field{Name: "extension", Value: fhir.NewArray(fhir.NewObject(
		field("url", "http://hl7.org/fhir/StructureDefinition/data-absent-reason"), field("valueCode", "unknown")))})
	absent := func(names ...string) bool {
		for _, name := range names {
			if v.Get(name) != nil {
				return false
			}
		}
		return true
	}
	switch v.Str("resourceType") {
	case "Patient":
		if absent("name") {
			v = v.With("name", fhir.NewArray(fhir.NewObject(fhir.Field{Name: "_text", Value: unknown})))
		}
		if absent("birthDate", "_birthDate") {
			v = v.With("_birthDate", unknown)
		}
	case "Condition", "AllergyIntolerance":
		if absent("code") {
			v = v.With("code", unknown)
		}
	case "MedicationStatement":
		if absent("effectiveDateTime", "_effectiveDateTime", "effectivePeriod") {
			v = v.With("_effectiveDateTime", unknown)
		}
	}
	return v
}
