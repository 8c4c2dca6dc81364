package fhir

import (
	"math"
	"strings"
)

// SearchValue is one value by which a resource is found. Which fields are set
// depends on the parameter's type:
//
//	token      System, Code; Text is the display or text that :text matches
//	string     Text, raw: folding is the index's business
//	date       Low, High
//	reference  Kind and ID (of Kind/ID), URL when the literal is absolute or a
//	           canonical (Text is then its version); System and Code of Reference.identifier
//	quantity   Text (the literal), System, Code, Unit
//	number     Text (the literal)
//	uri        URL
//	special    Text ("latitude,longitude" of Location.near)
//	composite  Parts: one value of each component, in the parameter's order
type SearchValue struct {
	System, Code, Unit string
	Text               string
	Kind, ID, URL      string
	Low, High          int64 // first and last millisecond of Unix time; an open end is math.MinInt64 or math.MaxInt64
	Parts              []SearchValue
}

// maxParts bounds what the combinations of a composite may cost.
const maxParts = 256

// SearchValues extracts the values of a search parameter from a resource of
// the parameter's kind, in the order of the document.
func (r *R4) SearchValues(v *Value, p Param) []SearchValue {
	root := node{value: v, typ: v.Str("resourceType")}
	if root.def = r.types[root.typ]; root.def == nil {
		return nil
	}
	var out []SearchValue
	for _, path := range p.paths {
		for _, n := range r.walk(root, root, path, nil) {
			if p.Type == "composite" {
				out = r.composite(out, root, n, p.components)
			} else {
				out = r.convert(out, p.Type, n)
			}
		}
	}
	return out
}

// composite pairs the components of one whole, every combination of their values.
func (r *R4) composite(out []SearchValue, root, whole node, parts []component) []SearchValue {
	rows := [][]SearchValue{nil}
	for _, c := range parts {
		var values []SearchValue
		for _, n := range r.evalAt(root, whole, c.paths) {
			values = r.convert(values, c.typ, n)
		}
		var next [][]SearchValue
		for _, row := range rows {
			for _, x := range values {
				if len(next) < maxParts {
					next = append(next, append(row[:len(row):len(row)], x))
				}
			}
		}
		rows = next
	}
	for _, row := range rows {
		out = append(out, SearchValue{Parts: row})
	}
	return out
}

// convert turns a node into search values of a type by the tables of FHIR R4 search.html.
func (r *R4) convert(out []SearchValue, typ string, n node) []SearchValue {
	switch typ {
	case "token":
		return token(out, n)
	case "string":
		return texts(out, n)
	case "date":
		return r.dates(out, n)
	case "reference":
		return r.references(out, n)
	case "quantity", "number":
		return quantities(out, n)
	case "uri":
		if n.value.Shape == String {
			out = append(out, SearchValue{URL: n.value.Text})
		}
	case "special":
		if lat, long := n.value.Str("latitude"), n.value.Str("longitude"); lat != "" && long != "" {
			out = append(out, SearchValue{Text: lat + "," + long})
		}
	}
	return out
}

// token: every coding is a value; a text beside them is one without a code, so
// that :text finds it too. A ContactPoint's system and use do not count.
func token(out []SearchValue, n node) []SearchValue {
	v := n.value
	switch n.typ {
	case "Coding":
		return append(out, SearchValue{System: v.Str("system"), Code: v.Str("code"), Text: v.Str("display")})
	case "CodeableConcept":
		text := v.Str("text")
		list := v.Get("coding")
		if list == nil || len(list.Items) == 0 {
			if text == "" {
				return out
			}
			return append(out, SearchValue{Text: text})
		}
		for _, x := range list.Items {
			s := SearchValue{System: x.Str("system"), Code: x.Str("code"), Text: x.Str("display")}
			if s.Text == "" {
				s.Text = text
			}
			out = append(out, s)
		}
		if text != "" && text != out[len(out)-1].Text {
			out = append(out, SearchValue{Text: text})
		}
		return out
	case "Identifier":
		return append(out, SearchValue{System: v.Str("system"), Code: v.Str("value"), Text: v.Str("type", "text")})
	case "ContactPoint":
		return append(out, SearchValue{Code: v.Str("value")})
	}
	if v.Shape == Object || v.Shape == Array || v.Text == "" {
		return out
	}
	s := SearchValue{Code: v.Text}
	if n.elem != nil && n.typ == "code" {
		s.System = n.elem.CodeSystem
	}
	return append(out, s)
}

// texts: of a name or an address every part is a value of its own.
func texts(out []SearchValue, n node) []SearchValue {
	var parts []string
	switch n.typ {
	case "HumanName":
		parts = []string{"text", "family", "given", "prefix", "suffix"}
	case "Address":
		parts = []string{"text", "line", "city", "district", "state", "postalCode", "country"}
	case "CodeableConcept":
		parts = []string{"text"}
	default:
		if n.value.Shape == String && n.value.Text != "" {
			out = append(out, SearchValue{Text: n.value.Text})
		}
		return out
	}
	for _, name := range parts {
		x := n.value.Get(name)
		switch {
		case x == nil:
		case x.Shape == String:
			out = append(out, SearchValue{Text: x.Text})
		case x.Shape == Array:
			for _, y := range x.Items {
				if y.Shape == String {
					out = append(out, SearchValue{Text: y.Text})
				}
			}
		}
	}
	return out
}

// dates: a Period is one range; of a Timing each event and the bounds are.
func (r *R4) dates(out []SearchValue, n node) []SearchValue {
	switch n.typ {
	case "Period":
		s := SearchValue{Low: math.MinInt64, High: math.MaxInt64}
		start, end := n.value.Str("start"), n.value.Str("end")
		if start == "" && end == "" {
			return out
		}
		if low, _, ok := DateRange(start, r.zone); ok {
			s.Low = low
		}
		if _, high, ok := DateRange(end, r.zone); ok {
			s.High = high
		}
		return append(out, s)
	case "Timing":
		if events := n.value.Get("event"); events != nil {
			for _, x := range events.Items {
				out = r.dates(out, node{value: x, typ: "dateTime"})
			}
		}
		if p := n.value.Get("repeat").Get("boundsPeriod"); p != nil {
			out = r.dates(out, node{value: p, typ: "Period"})
		}
		return out
	}
	if low, high, ok := DateRange(n.value.Text, r.zone); ok && n.value.Shape == String {
		out = append(out, SearchValue{Low: low, High: high})
	}
	return out
}

// references: what is contained ("#x") or only displayed cannot be searched for.
func (r *R4) references(out []SearchValue, n node) []SearchValue {
	switch {
	case n.typ == "Reference":
		v := n.value
		ref := r.parseRef(v.Str("reference"))
		s := SearchValue{Kind: ref.Kind, ID: ref.ID, System: v.Str("identifier", "system"), Code: v.Str("identifier", "value")}
		if ref.Absolute {
			s.URL = ref.Literal
		}
		if s.Kind == "" {
			s.Kind = v.Str("type")
		}
		if s.ID == "" && s.URL == "" && s.Code == "" {
			return out
		}
		return append(out, s)
	case n.value.Shape == String && n.value.Text != "":
		url, version, _ := strings.Cut(n.value.Text, "|")
		return append(out, SearchValue{URL: url, Text: version})
	case n.def != nil && n.def.class == 'R': // Bundle.entry[0].resource
		if id := n.value.Str("id"); id != "" {
			out = append(out, SearchValue{Kind: n.typ, ID: id})
		}
	}
	return out
}

// currencies is the code system of Money.currency (FHIR R4 datatypes.html#Money).
const currencies = "urn:iso:std:iso:4217"

// quantities: of a Range both ends are values.
func quantities(out []SearchValue, n node) []SearchValue {
	v := n.value
	switch n.typ {
	case "Range":
		for _, end := range []string{"low", "high"} {
			if x := v.Get(end); x != nil {
				out = quantities(out, node{value: x, typ: "Quantity"})
			}
		}
		return out
	case "Money":
		return append(out, SearchValue{Text: v.Str("value"), System: currencies, Code: v.Str("currency"), Unit: v.Str("currency")})
	}
	if v.Shape == Number {
		return append(out, SearchValue{Text: v.Text})
	}
	if value := v.Str("value"); value != "" {
		out = append(out, SearchValue{Text: value, System: v.Str("system"), Code: v.Str("code"), Unit: v.Str("unit")})
	}
	return out
}
