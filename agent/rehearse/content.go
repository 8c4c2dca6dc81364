package rehearse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// Shown is one record as a replica's FHIR face shows it.
type Shown struct {
	Raw       []byte // the resource as it came, with meta
	Content   string // canonical JSON without meta
	Version   string // meta.versionId
	Contested bool   // an open conflict is tagged
}

// Snapshot is everything that one replica shows.
type Snapshot map[record.Key]Shown

// read takes up one resource.
func read(v *fhir.Value) (record.Key, Shown, error) {
	key := record.Key{Kind: v.Str("resourceType"), ID: v.Str("id")}
	if !key.Valid() {
		return key, Shown{}, fmt.Errorf("a resource without kind or id")
	}
	s := Shown{Raw: v.Bytes(), Content: content(v), Version: v.Str("meta", "versionId")}
	if tags := v.Get("meta").Get("tag"); tags != nil {
		s.Contested = slices.ContainsFunc(tags.Items, func(t *fhir.Value) bool {
			return t.Str("system") == "urn:tram:state" && t.Str("code") == "conflict"
		})
	}
	return key, s, nil
}

// content is what two replicas must agree on: all but meta, which names versions.
func content(v *fhir.Value) string { return string(fhir.Canonical(v.With("meta", nil))) }

// contentOf is the content of a resource's text; "" where it is none.
func contentOf(text []byte) string {
	v, err := fhir.Parse(text, fhir.DefaultLimits())
	if err != nil || v.Shape != fhir.Object {
		return ""
	}
	return content(v)
}

// Keys lists the records in a fixed order.
func (s Snapshot) Keys() []record.Key {
	keys := make([]record.Key, 0, len(s))
	for k := range s {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b record.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// Digest is one hash over all records by content: equal ones mean equal records.
func (s Snapshot) Digest() string {
	h := sha256.New()
	for _, k := range s.Keys() {
		fmt.Fprintf(h, "%s %d %s\n", k, len(s[k].Content), s[k].Content)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Kinds counts the records by kind: "Observation 120, Patient 34".
func Kinds(keys []record.Key) string {
	n := map[string]int{}
	for _, k := range keys {
		n[k.Kind]++
	}
	var out []string
	for kind, count := range n {
		out = append(out, fmt.Sprintf("%s %d", kind, count))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// leaf is one primitive value and the field that holds it, lists' places left out.
type leaf struct{ field, text string }

// leaves lists the primitive values of v by their place, such as "/name/0/text".
func leaves(v *fhir.Value) map[string]leaf {
	out := map[string]leaf{}
	var walk func(at, field string, v *fhir.Value)
	walk = func(at, field string, v *fhir.Value) {
		for _, f := range v.Fields {
			walk(at+"/"+f.Name, f.Name, f.Value)
		}
		for i, x := range v.Items {
			walk(fmt.Sprintf("%s/%d", at, i), field, x)
		}
		if v.Shape != fhir.Object && v.Shape != fhir.Array {
			out[at] = leaf{field, v.Text}
		}
	}
	walk("", "", v)
	return out
}

// clash is one place at which two people set different values.
type clash struct{ a, b leaf }

// clashes lists the places that both a and b set otherwise than base, each to
// another value.
func clashes(base, a, b string) []clash {
	vals := make([]map[string]leaf, 3)
	for i, text := range []string{base, a, b} {
		v, err := fhir.Parse([]byte(text), fhir.DefaultLimits())
		if err != nil {
			return nil
		}
		vals[i] = leaves(v)
	}
	var out []clash
	for at, x := range vals[1] {
		y, ok := vals[2][at]
		if was := vals[0][at]; ok && x != y && x != was && y != was {
			out = append(out, clash{x, y})
		}
	}
	slices.SortFunc(out, func(p, q clash) int { return strings.Compare(p.a.field+p.a.text, q.a.field+q.a.text) })
	return out
}

// holds reports whether a piece of JSON has the leaf.
func holds(piece []byte, l leaf) bool {
	v, err := fhir.Parse(piece, fhir.DefaultLimits())
	if err != nil {
		return false
	}
	for _, have := range leaves(v) {
		if have == l {
			return true
		}
	}
	return false
}

// graft is base with one element taken from another version.
func graft(base, from, element string) string {
	b, err := fhir.Parse([]byte(base), fhir.DefaultLimits())
	if err != nil {
		return ""
	}
	f, err := fhir.Parse([]byte(from), fhir.DefaultLimits())
	if err != nil {
		return ""
	}
	return content(b.With(element, f.Get(element)))
}
