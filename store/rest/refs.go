package rest

import (
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// names maps what the entries of a transaction are called in it to what they
// are called here.
type names struct {
	desk  *desk
	by    Caller
	to    map[string]string // fullUrl -> Kind/id
	local map[string]string // Kind/id of a body whose id was not kept -> Kind/id
	asked map[string]string // Kind?criteria -> Kind/id
}

// learn notes what an entry is called.
func (n names) learn(o *op) *Problem {
	if !o.refs || o.action == doDelete || o.action == doPatch {
		return nil
	}
	here := o.key.String()
	if o.fullURL != "" {
		if was, ok := n.to[o.fullURL]; ok && was != here {
			return problem("same-url")
		}
		n.to[o.fullURL] = here
	}
	if o.ifNoneExist != "" {
		n.asked[o.key.Kind+"?"+o.ifNoneExist] = here
	}
	if id := o.resource.Str("id"); id != "" && id != o.key.ID {
		n.local[o.key.Kind+"/"+id] = here
	}
	return nil
}

// rewrite makes the references of a transaction's entry point to where the
// entries are now (FHIR R4 http "transaction", bundle "references").
func (n names) rewrite(v *fhir.Value, o *op) (*fhir.Value, *Problem) {
	var bad *Problem
	root := strings.TrimSuffix(o.fullURL, o.resource.Str("resourceType")+"/"+o.resource.Str("id"))
	if root == o.fullURL {
		root = ""
	}
	v = n.desk.r4.RewriteRefs(v, func(literal string) string {
		plain, fragment, _ := strings.Cut(literal, "#")
		if fragment != "" {
			fragment = "#" + fragment
		}
		if to, ok := n.to[plain]; ok {
			return to + fragment
		}
		if root != "" {
			if to, ok := n.to[root+plain]; ok {
				return to + fragment
			}
		}
		// A relative reference means the entry of that name only where no record here bears it.
		if to, ok := n.local[plain]; ok {
			if key, err := record.ParseKey(plain); err == nil {
				if _, p := current(n.desk.b, key); p != nil && p.Code == "not-found" {
					return to + fragment
				}
			}
		}
		if !strings.Contains(literal, "?") {
			return literal
		}
		to, p := n.conditional(literal)
		if p != nil && bad == nil {
			bad = p
		}
		return to
	})
	return v, bad
}

// conditional resolves "Kind?criteria" to the one record that meets it, or that
// the transaction creates under the same condition. Another literal stays.
func (n names) conditional(literal string) (string, *Problem) {
	if to, ok := n.asked[literal]; ok {
		return to, nil
	}
	kind, criteria, _ := strings.Cut(literal, "?")
	if !n.desk.r4.IsKind(kind) {
		return literal, nil
	}
	if p := (&call{by: n.by}).may('s', kind); p != nil {
		return literal, p
	}
	asks, p := parseQuery(criteria)
	if p != nil {
		return literal, p
	}
	s, p := n.desk.match(kind, asks)
	if p != nil {
		return literal, p
	}
	if s == nil {
		return literal, problem("no-match")
	}
	n.asked[literal] = s.Key.String()
	return n.asked[literal], nil
}

// asksForRefs says whether a resource holds a conditional reference.
func asksForRefs(v *fhir.Value) bool {
	if v == nil {
		return false
	}
	for _, f := range v.Fields {
		if f.Name == "reference" && strings.Contains(f.Value.Text, "?") || asksForRefs(f.Value) {
			return true
		}
	}
	for _, x := range v.Items {
		if asksForRefs(x) {
			return true
		}
	}
	return false
}
