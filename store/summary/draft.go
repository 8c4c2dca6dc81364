package summary

import (
	"slices"

	"tram/store/fhir"
	"tram/store/record"
)

// maxFound is how many records are looked up for one document, found or not: a person
// has a few staff and medicines about, and a hostile record could name any number.
const maxFound = 2000

// program is the id of the Device that stands for this program.
const program = "tram-summary"

// draft is a document in the making. Its parts are numbered by key, "Kind/id".
type draft struct {
	m    *Maker
	a    About
	say  teller
	held map[string]*fhir.Value // by key; nil for what was looked up and may not be here
	self map[string]bool        // the keys of the person's Patients

	person    string // key of About.Person
	contested int    // how many parts bear an open conflict
	found     int
	chosen    map[string][]item

	order []string // keys of the parts
	in    map[string]bool
}

// begin sorts what was handed in. What comes twice counts as it came first, and the Person
// before all; what may not stand in a document is remembered as looked up and not there.
func (m *Maker) begin(a About) *draft {
	d := &draft{m: m, a: a, person: keyOf(a.Person), held: map[string]*fhir.Value{}, self: map[string]bool{},
		chosen: map[string][]item{}, in: map[string]bool{}}
	d.say = m.words.teller(a.Language)
	d.say.named = d.named
	all := append([]*fhir.Value{a.Person.With("link", nil), a.Station, a.Attester}, a.Records...)
	fresh := all[:0]
	for _, v := range all {
		key, kind := keyOf(v), v.Str("resourceType")
		if kind == "Patient" {
			d.self[key] = true
		}
		if _, twice := d.held[key]; twice {
			continue
		}
		d.held[key] = nil
		if v.Str("id") != "" && !wrong(v) && (key == d.person || mayStand(kind)) {
			d.held[key] = v
			fresh = append(fresh, v)
		}
	}
	for _, v := range fresh {
		d.choose(v)
	}
	for _, list := range d.chosen {
		slices.SortFunc(list, item.compare)
	}
	return d
}

// mayStand reports whether a document may have resources of a kind: there is one Patient
// in it, and no other document.
func mayStand(kind string) bool {
	switch kind {
	case "", "Patient", "Composition", "Bundle", "Binary":
		return false
	}
	return true
}

// keyOf is what a resource is called here.
func keyOf(v *fhir.Value) string { return v.Str("resourceType") + "/" + v.Str("id") }

// wrong reports whether a record says that it was entered in error.
func wrong(v *fhir.Value) bool {
	return v.Str("status") == "entered-in-error" || hasCode(v.Get("verificationStatus"), "entered-in-error")
}

// contested reports whether a conflict is open in a record.
func contested(v *fhir.Value) bool {
	list := v.Get("meta").Get("tag")
	return list != nil && slices.ContainsFunc(list.Items, func(t *fhir.Value) bool {
		return t.Str("system") == "urn:tram:state" && t.Str("code") == "conflict"
	})
}

// author is the key of who made the document.
func (d *draft) author() string {
	if d.a.Station != nil && d.held[keyOf(d.a.Station)] != nil {
		return keyOf(d.a.Station)
	}
	name := fhir.NewObject(field("name", "Tram"), field("type", "user-friendly-name"))
	device := fhir.NewObject(field("resourceType", "Device"), field("id", program), fhir.Field{Name: "deviceName", Value: fhir.NewArray(name)})
	d.held[keyOf(device)] = device
	return keyOf(device)
}

// part makes a held record a part of the document and refers to it.
func (d *draft) part(key string) *fhir.Value {
	if !d.in[key] {
		d.in[key] = true
		d.order = append(d.order, key)
		if contested(d.held[key]) {
			d.contested++
		}
	}
	return fhir.NewObject(field("reference", "urn:uuid:"+uuid(key)))
}

// partOf refers to a record that was handed in by itself; nil where it was not.
func (d *draft) partOf(v *fhir.Value) *fhir.Value {
	if v == nil || d.held[keyOf(v)] == nil {
		return nil
	}
	return d.part(keyOf(v))
}

// entries writes the parts. What a part refers to becomes one as well, so that the
// list grows while it is read.
func (d *draft) entries() (out []*fhir.Value) {
	for i := 0; i < len(d.order); i++ {
		v := d.held[d.order[i]]
		out = append(out, entry(d.order[i], complete(d.bind(v, v.Str("resourceType")))))
	}
	return out
}

// lookup is the record that a key means, nil where the document may not have it.
func (d *draft) lookup(key string) *fhir.Value {
	v, known := d.held[key]
	if known || d.a.Find == nil || d.found >= maxFound {
		return v
	}
	k, err := record.ParseKey(key)
	if err != nil || !d.m.r4.IsKind(k.Kind) {
		return nil
	}
	d.held[key] = nil
	if !mayStand(k.Kind) {
		return nil
	}
	d.found++
	if v = d.a.Find(k); keyOf(v) != key || wrong(v) {
		return nil
	}
	for _, ref := range d.m.r4.Refs(v) {
		if ref.Kind == "Patient" && !d.self["Patient/"+ref.ID] {
			return nil
		}
	}
	d.held[key] = v
	return v
}

// named is what the Medication or Device is called that a reference leads to.
func (d *draft) named(ref *fhir.Value) string {
	v := d.lookup(local(ref.Str("reference")))
	if name := concept(v.Get("code")); name != "" {
		return name
	}
	if list := v.Get("deviceName"); list != nil && len(list.Items) > 0 {
		return list.Items[0].Str("name")
	}
	return concept(v.Get("type"))
}
