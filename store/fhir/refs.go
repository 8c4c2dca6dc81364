package fhir

import (
	"bytes"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Ref is one literal reference in a resource.
type Ref struct {
	Path      string // of the literal: "Observation.performer[0].reference"
	Literal   string // as written
	Kind, ID  string // when the literal is Kind/ID, relative or at the end of an absolute URL; else ""
	Absolute  bool   // the literal has a scheme ("http:", "urn:"): Kind/ID lives on another server
	Contained bool   // the literal is "#x"
}

// parseRef reads a literal reference (FHIR R4 references.html#literal). The
// version of "Kind/ID/_history/1" is left out, and a search ("Patient?x=y") names no ID.
func (r *R4) parseRef(literal string) Ref {
	ref := Ref{Literal: literal}
	if strings.HasPrefix(literal, "#") {
		ref.Contained = true
		return ref
	}
	path := literal
	if i := strings.IndexByte(literal, ':'); i > 0 && !strings.Contains(literal[:i], "/") {
		ref.Absolute = true
		if path = strings.TrimLeft(literal[i+1:], "/"); !strings.HasPrefix(literal, "http") {
			return ref
		}
	}
	if strings.ContainsAny(path, "?#") {
		return ref
	}
	if i := strings.Index(path, "/_history/"); i >= 0 {
		path = path[:i]
	}
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return ref
	}
	kind, id := path[:i], path[i+1:]
	j := strings.LastIndexByte(kind, '/')
	if ref.Absolute == (j < 0) { // relative is Kind/ID alone, absolute has at least a host before
		return ref
	}
	if kind = kind[j+1:]; r.IsKind(kind) && isID(id) {
		ref.Kind, ref.ID = kind, id
	}
	return ref
}

// Refs lists every Reference.reference in a resource, also within contained
// resources and extensions, in the order of the document. The resources in a
// Bundle or Parameters are others: see Entries.
func (r *R4) Refs(v *Value) []Ref {
	var out []Ref
	kind := v.Str("resourceType")
	r.eachRef(v, r.types[kind], []string{kind}, func(path []string, literal string) {
		ref := r.parseRef(literal)
		ref.Path = strings.Join(path, "")
		out = append(out, ref)
	})
	return out
}

// eachRef walks by type, so that only a Reference's field counts, whatever
// other elements are called "reference". found must not keep its path.
func (r *R4) eachRef(v *Value, t *typeDef, path []string, found func(path []string, literal string)) {
	if t == nil || v == nil {
		return
	}
	for i := range v.Fields {
		f := &v.Fields[i]
		if f.Name == "reference" && t.path == "Reference" {
			if f.Value.Shape == String && f.Value.Text != "" {
				found(append(path, ".reference"), f.Value.Text)
			}
			continue
		}
		if f.Value.Shape != Object && f.Value.Shape != Array {
			continue
		}
		child := r.child(t, f.Name)
		if child == nil {
			continue
		}
		path := append(path, ".", f.Name)
		if f.Value.Shape == Object {
			r.eachRef(f.Value, r.concrete(child, f.Value), path, found)
			continue
		}
		for k, x := range f.Value.Items {
			if x.Shape == Object {
				r.eachRef(x, r.concrete(child, x), append(path, "[", strconv.Itoa(k), "]"), found)
			}
		}
	}
}

// child is the type of a complex field or of a primitive's sibling; nil for
// what holds no references and for the resources of a Bundle.
func (r *R4) child(t *typeDef, field string) *typeDef {
	name, sibling := strings.CutPrefix(field, "_")
	e := t.elem(name)
	switch {
	case e == nil || e.Primitive != sibling:
		return nil
	case sibling:
		return r.types["Element"]
	case e.Type == "Resource" && e.Name != "contained":
		return nil
	}
	return r.types[e.TypePath]
}

// concrete replaces Resource by the kind that a contained resource says it is.
func (r *R4) concrete(t *typeDef, v *Value) *typeDef {
	if t.path == "Resource" {
		return r.types[v.Str("resourceType")]
	}
	return t
}

// RewriteRefs returns v with f applied to every literal reference: each
// Reference.reference and, as a transaction demands (FHIR R4 http.html#trules),
// each urn:uuid: or urn:oid: literal in an element of type uri, url, oid or
// uuid that is a link. Resources in a Bundle or Parameters are left alone. It
// returns v itself when nothing changed.
func (r *R4) RewriteRefs(v *Value, f func(literal string) string) *Value {
	return r.rewrite(v, r.types[v.Str("resourceType")], f)
}

// rewrite copies an object only once a field of it changes.
func (r *R4) rewrite(v *Value, t *typeDef, f func(string) string) *Value {
	if t == nil || v == nil || v.Shape != Object {
		return v
	}
	var fields []Field
	for i := range v.Fields {
		old := v.Fields[i].Value
		next := r.rewriteField(old, t, v.Fields[i].Name, f)
		if next == old {
			continue
		}
		if fields == nil {
			fields = slices.Clone(v.Fields)
		}
		fields[i].Value = next
	}
	if fields == nil {
		return v
	}
	return &Value{Shape: Object, Fields: fields}
}

func (r *R4) rewriteField(v *Value, t *typeDef, name string, f func(string) string) *Value {
	e := t.elem(name)
	one := func(x *Value) *Value { return x }
	if e != nil && e.Primitive {
		if !literalHere(t, e) {
			return v
		}
		one = func(x *Value) *Value {
			if x.Shape != String || x.Text == "" || t.path != "Reference" && !isURN(x.Text) {
				return x
			}
			if s := f(x.Text); s != x.Text {
				return NewString(s)
			}
			return x
		}
	} else {
		child := r.child(t, name)
		if child == nil {
			return v
		}
		one = func(x *Value) *Value { return r.rewrite(x, r.concrete(child, x), f) }
	}
	if v.Shape != Array {
		return one(v)
	}
	var items []*Value
	for i, x := range v.Items {
		if y := one(x); y != x {
			if items == nil {
				items = slices.Clone(v.Items)
			}
			items[i] = y
		}
	}
	if items == nil {
		return v
	}
	return &Value{Shape: Array, Items: items}
}

func isURN(s string) bool {
	return strings.HasPrefix(s, "urn:uuid:") || strings.HasPrefix(s, "urn:oid:")
}

// literalHere says where a literal stands. A system, an extension's url and a
// fullUrl are names in themselves, not links.
func literalHere(t *typeDef, e *Elem) bool {
	if t.path == "Reference" {
		return e.Name == "reference"
	}
	switch e.Type {
	case "uri", "url", "oid", "uuid":
		return e.Name != "system" && e.Name != "fullUrl" && !(t.path == "Extension" && e.Name == "url")
	}
	return false
}

// Patients lists the ids of the Patients in whose compartment the resource is
// (FHIR R4 CompartmentDefinition/patient), sorted, each once. A Patient is in
// its own. Only relative literal references to Patient/<id> count.
func (r *R4) Patients(v *Value) []string {
	kind := v.Str("resourceType")
	var out []string
	if id := v.Str("id"); kind == "Patient" && id != "" {
		out = append(out, id)
	}
	for _, name := range r.compartment[kind] {
		p, ok := r.Param(kind, name)
		if !ok {
			continue
		}
		for _, n := range r.eval(v, p.paths) {
			if n.typ != "Reference" {
				continue
			}
			if ref := r.parseRef(n.value.Str("reference")); ref.Kind == "Patient" && !ref.Absolute {
				out = append(out, ref.ID)
			}
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// OfPeople reports whether R4 relates resources of a kind to a Patient: by its compartment,
// or by a search parameter "patient".
func (r *R4) OfPeople(kind string) bool {
	_, ok := r.Param(kind, "patient")
	return ok || kind == "Patient" || len(r.compartment[kind]) > 0
}

// Contained are the resources contained in v to which a search parameter leads.
func (r *R4) Contained(v *Value, p Param) (out []*Value) {
	list := v.Get("contained")
	if list == nil {
		return nil
	}
	for _, n := range r.eval(v, p.paths) {
		id, inside := strings.CutPrefix(n.value.Str("reference"), "#")
		if n.typ != "Reference" || !inside {
			continue
		}
		for _, x := range list.Items {
			if x.Str("id") == id {
				out = append(out, x)
			}
		}
	}
	return out
}

// Attached is content that stands outside a resource: an Attachment (FHIR R4
// datatypes.html#Attachment) whose url is "Binary/" and the content's SHA-256, in hex.
type Attached struct {
	ID   string
	Size int64 // as the resource says; 0 where it does not
}

// attachedBase is what an Attached's url begins with.
const attachedBase = "Binary/"

// IsAttached reports whether an id is that of content outside a resource.
func IsAttached(id string) bool {
	return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == ""
}

// Attachments lists what a resource's Attachments refer to, each content once, in the
// order of the document.
func Attachments(v *Value) (out []Attached) {
	if v == nil {
		return nil
	}
	if url := v.Get("url"); url != nil && url.Shape == String {
		if id, ok := strings.CutPrefix(url.Text, attachedBase); ok && IsAttached(id) {
			size, _ := strconv.ParseInt(v.Str("size"), 10, 64)
			out = append(out, Attached{id, max(size, 0)})
		}
	}
	add := func(some []Attached) {
		for _, a := range some {
			if !slices.ContainsFunc(out, func(o Attached) bool { return o.ID == a.ID }) {
				out = append(out, a)
			}
		}
	}
	for _, f := range v.Fields {
		add(Attachments(f.Value))
	}
	for _, item := range v.Items {
		add(Attachments(item))
	}
	return out
}

// MayAttach reports at a glance whether a resource may refer to content outside it: false
// is certain. Any of the letters, or the stroke, may be escaped (RFC 8259, section 7).
func MayAttach(content []byte) bool {
	return bytes.Contains(content, []byte(attachedBase)) || bytes.Contains(content, []byte(`\/`)) || bytes.Contains(content, []byte(`\u00`))
}
