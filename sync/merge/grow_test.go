package merge_test

import (
	"fmt"

	"tram/store/fhir"
)

// grown draws a resource of any kind by R4's structure: what it demands, some of
// what it allows, lists of up to three items, decimals whose last digits are
// zeros, and siblings of primitives.
func (d *drawer) grown() *fhir.Value {
	kinds := d.r4.Kinds()
	for {
		kind := kinds[d.r.IntN(len(kinds))]
		v := fhir.NewObject(append([]fhir.Field{
			{Name: "resourceType", Value: fhir.NewString(kind)}, {Name: "id", Value: fhir.NewString("x")}}, d.fields(kind, 0)...)...)
		if len(d.r4.Check(v)) == 0 {
			return v
		}
	}
}

// fields draws those of a type, one of each choice at the most.
func (d *drawer) fields(typ string, depth int) []fhir.Field {
	var out []fhir.Field
	elems := d.r4.Elems(typ)
	for i, j := 0, 0; i < len(elems); i = j {
		for j = i; j < len(elems) && elems[j].Base == elems[i].Base; j++ {
		}
		e := elems[i+d.r.IntN(j-i)]
		if depth == 0 && e.Name == "id" || !e.Required && d.r.IntN(10) >= 3-depth {
			continue
		}
		out = append(out, d.field(e, depth)...)
	}
	if len(out) == 0 && len(elems) > 0 { // FHIR has no empty objects
		return d.field(elems[d.r.IntN(len(elems))], depth)
	}
	return out
}

// field draws one field, a primitive sometimes with its sibling.
func (d *drawer) field(e fhir.Elem, depth int) []fhir.Field {
	n := 1
	if e.List {
		n += d.r.IntN(3)
	}
	var items, beside []*fhir.Value
	for i := range n {
		items = append(items, d.drawn(e, i, depth))
		beside = append(beside, fhir.NewObject(fhir.Field{Name: "extension", Value: fhir.NewArray(fhir.NewObject(
			fhir.Field{Name: "url", Value: fhir.NewString("urn:x")}, fhir.Field{Name: "valueDecimal", Value: d.decimal()}))}))
	}
	one := func(vs []*fhir.Value) *fhir.Value {
		if e.List {
			return fhir.NewArray(vs...)
		}
		return vs[0]
	}
	out := []fhir.Field{{Name: e.Name, Value: one(items)}}
	if e.Primitive && d.r.IntN(4) == 0 {
		out = append(out, fhir.Field{Name: "_" + e.Name, Value: one(beside)})
	}
	return out
}

// drawn draws one value of an element; i is its place in a list.
func (d *drawer) drawn(e fhir.Elem, i, depth int) *fhir.Value {
	if e.Primitive {
		return d.primitive(e)
	}
	word := func(name, text string) fhir.Field { return fhir.Field{Name: name, Value: fhir.NewString(text)} }
	switch e.Type {
	case "Extension":
		return fhir.NewObject(word("url", fmt.Sprint("urn:", d.r.IntN(3))), fhir.Field{Name: "valueDecimal", Value: d.decimal()})
	case "Narrative":
		return fhir.NewObject(word("status", "generated"), word("div", fmt.Sprintf(`<div xmlns="http://www.w3.org/1999/xhtml">%d</div>`, d.r.IntN(9))))
	case "Reference":
		kind := "Patient"
		if len(e.Targets) > 0 && d.r4.IsKind(e.Targets[0]) {
			kind = e.Targets[0]
		}
		return fhir.NewObject(word("reference", fmt.Sprintf("%s/%d", kind, d.r.IntN(3))))
	case "Resource":
		return fhir.NewObject(word("resourceType", "Organization"), word("id", fmt.Sprint("o", i)), word("name", fmt.Sprint(d.r.IntN(9))))
	}
	if depth > 3 && !e.Backbone {
		return fhir.NewObject(word("id", fmt.Sprint(d.r.IntN(9))))
	}
	fields := d.fields(e.TypePath, depth+1)
	if len(fields) == 0 {
		fields = []fhir.Field{word("id", fmt.Sprint("i", i))}
	}
	return fhir.NewObject(fields...)
}

func (d *drawer) decimal() *fhir.Value {
	return fhir.NewNumber([]string{"1.50", "1.5", "0.0500", "12.0", "-3.20", "7"}[d.r.IntN(6)])
}

func (d *drawer) primitive(e fhir.Elem) *fhir.Value {
	if len(e.Codes) > 0 {
		return fhir.NewString(e.Codes[d.r.IntN(len(e.Codes))])
	}
	n := d.r.IntN(9)
	switch e.Type {
	case "boolean":
		return fhir.NewBool(n < 4)
	case "integer", "positiveInt", "unsignedInt":
		return fhir.NewNumber(fmt.Sprint(1 + n))
	case "decimal":
		return d.decimal()
	case "date":
		return fhir.NewString(fmt.Sprintf("2026-01-%02d", 1+n))
	case "dateTime":
		return fhir.NewString(fmt.Sprintf("2026-01-%02dT08:00:00+07:00", 1+n))
	case "instant":
		return fhir.NewString(fmt.Sprintf("2026-01-%02dT08:00:00.000Z", 1+n))
	case "time":
		return fhir.NewString(fmt.Sprintf("08:%02d:00", n))
	case "uri", "url", "canonical":
		return fhir.NewString(fmt.Sprint("http://example.org/", n))
	case "oid":
		return fhir.NewString(fmt.Sprint("urn:oid:1.2.", n))
	case "uuid":
		return fhir.NewString(fmt.Sprintf("urn:uuid:5b1f2c3d-0000-4000-8000-00000000000%d", n))
	case "base64Binary":
		return fhir.NewString([]string{"YQ==", "Yg==", "Yw=="}[n%3])
	case "xhtml":
		return fhir.NewString(fmt.Sprintf(`<div xmlns="http://www.w3.org/1999/xhtml">%d</div>`, n))
	}
	return fhir.NewString(fmt.Sprint("v", n))
}
