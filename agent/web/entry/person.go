package entry

import (
	"slices"
	"strings"

	"tram/agent/web/show"
	"tram/store/fhir"
)

// PersonFields are the fields of a person's details.
func PersonFields() []Field {
	return []Field{
		{Name: "name", Type: Text, Required: true},
		{Name: "birth", Type: Date},
		{Name: "sex", Type: Choice, Choices: []string{"female", "male", "other", "unknown"}},
		{Name: "number", Type: Text},
		{Name: "phone", Type: Phone},
		{Name: "address", Type: Text},
	}
}

// ReadPerson is a Patient as its details are typed.
func ReadPerson(v *fhir.Value, s *show.Show) Typed {
	name := first(v.Get("name"), anyItem)
	text := name.Str("text")
	if text == "" {
		text = strings.Join(append([]string{name.Str("family")}, given(name)...), " ")
	}
	address := first(v.Get("address"), anyItem)
	where := address.Str("text")
	if where == "" && address != nil {
		where = s.Fields("Patient", "address", fhir.NewObject(fhir.Field{Name: "address", Value: address}))
	}
	return Typed{
		"name":    strings.TrimSpace(text),
		"birth":   s.Date(v.Str("birthDate")),
		"sex":     v.Str("gender"),
		"number":  first(v.Get("identifier"), isBare).Str("value"),
		"phone":   first(v.Get("telecom"), isPhone).Str("value"),
		"address": where,
	}
}

// WritePerson is the Patient old with what was typed over it; a nil old is a
// new person with the given id. A detail that is typed as it was leaves its element
// untouched, and so is a number that somebody else gave.
func WritePerson(old *fhir.Value, id string, t Typed, s *show.Show) *fhir.Value {
	v := old
	if v == nil {
		v = fhir.NewObject(str("resourceType", "Patient"), str("id", id), fhir.Field{Name: "active", Value: fhir.NewBool(true)})
	}
	// Compared as typed, so that a form sent back untouched writes nothing.
	was := ReadPerson(v, s)
	changed := func(field string) bool { return t[field] != was[field] }
	if changed("name") {
		v = setFirst(v, "name", anyItem, t["name"], func(item *fhir.Value) *fhir.Value {
			if item == nil {
				item = fhir.NewObject(str("use", "official"))
			}
			// The family name comes first in a Vietnamese name.
			w := strings.Fields(t["name"])
			item = set(set(set(item, "text", fhir.NewString(strings.Join(w, " "))), "family", nil), "given", nil)
			if len(w) > 1 {
				var names []*fhir.Value
				for _, g := range w[1:] {
					names = append(names, fhir.NewString(g))
				}
				item = item.With("family", fhir.NewString(w[0])).With("given", fhir.NewArray(names...))
			}
			return item
		})
	}
	if changed("birth") {
		iso, _ := show.ISODate(t["birth"])
		v = set(v, "birthDate", text(iso))
	}
	if changed("sex") {
		v = set(v, "gender", text(t["sex"]))
	}
	if changed("number") {
		v = setFirst(v, "identifier", isBare, t["number"], func(item *fhir.Value) *fhir.Value {
			if item == nil {
				item = fhir.NewObject(str("use", "official"))
			}
			return set(item, "value", fhir.NewString(t["number"]))
		})
	}
	if changed("phone") {
		v = setFirst(v, "telecom", isPhone, t["phone"], func(item *fhir.Value) *fhir.Value {
			if item == nil {
				item = fhir.NewObject(str("system", "phone"))
			}
			return set(item, "value", fhir.NewString(t["phone"]))
		})
	}
	if changed("address") {
		v = setFirst(v, "address", anyItem, t["address"], func(item *fhir.Value) *fhir.Value {
			if item == nil {
				item = fhir.NewObject(str("use", "home"))
			}
			// The parts of the old address would contradict the new text.
			for _, part := range []string{"line", "city", "district", "state", "postalCode"} {
				item = set(item, part, nil)
			}
			return set(item, "text", fhir.NewString(t["address"]))
		})
	}
	return v
}

// Given are the numbers of a person that have a system: who gave them changes them.
func Given(v *fhir.Value) []string {
	var out []string
	if list := v.Get("identifier"); list != nil {
		for _, it := range list.Items {
			if n := it.Str("value"); n != "" && !isBare(it) && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// isBare takes the first number of which nothing says who gave it: one that a desk typed.
func isBare(v *fhir.Value) bool { return v.Str("system") == "" }

// anyItem takes the first item of a list.
func anyItem(*fhir.Value) bool { return true }

// isPhone takes the first telephone among the contacts.
func isPhone(v *fhir.Value) bool { return v.Str("system") == "phone" }

// first is the first item of a list that is meant; nil where there is none.
func first(list *fhir.Value, is func(*fhir.Value) bool) *fhir.Value {
	if list != nil {
		for _, it := range list.Items {
			if is(it) {
				return it
			}
		}
	}
	return nil
}

// given are the given names in their order.
func given(name *fhir.Value) []string {
	var out []string
	if g := name.Get("given"); g != nil {
		for _, it := range g.Items {
			out = append(out, it.Text)
		}
	}
	return out
}

// setFirst changes the first item of a list that is meant, adds one where there
// is none, and takes it out where nothing is typed.
func setFirst(v *fhir.Value, name string, is func(*fhir.Value) bool, typed string, edit func(*fhir.Value) *fhir.Value) *fhir.Value {
	var out []*fhir.Value
	done := false
	if list := v.Get(name); list != nil {
		for _, it := range list.Items {
			if !done && is(it) {
				done = true
				if typed == "" {
					continue
				}
				it = edit(it)
			}
			out = append(out, it)
		}
	}
	if !done && typed != "" {
		out = append(out, edit(nil))
	}
	if len(out) == 0 {
		return v.With(name, nil)
	}
	return v.With(name, fhir.NewArray(out...))
}

// set writes a primitive element anew, nil for none. Its sibling (FHIR R4 json.html#primitive)
// speaks of the old value.
func set(v *fhir.Value, name string, x *fhir.Value) *fhir.Value {
	return v.With(name, x).With("_"+name, nil)
}

// str is a field with a text; an empty one leaves the field out.
func str(name, s string) fhir.Field { return fhir.Field{Name: name, Value: text(s)} }

func text(s string) *fhir.Value {
	if s == "" {
		return nil
	}
	return fhir.NewString(s)
}
