// Package query says which resources a FHIR R4 search wants.
//
// It owns the clauses of a search and whether a resource matches them, driven
// by R4's table of search parameters (FHIR R4, search.html). It is pure, and does
// not know how candidates are found.
package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tram/store/fhir"
	"tram/store/people"
)

// Query searches one kind. A resource must match every clause.
type Query struct {
	Kind    string
	Clauses []Clause
	Sort    []string // parameter names, "-" in front for descending
	Limit   int      // 1 to MaxLimit; 0 is DefaultLimit
	Page    string   // opaque, from Result.Next
	Until   string   // opaque as well: where to end, "" for nowhere
}

// Limits of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// Clause is one parameter; one of its values must match.
type Clause struct {
	Param    string
	Modifier string
	Values   []string // as in the URL, split at commas, escapes kept
	// Inside says what a contained resource must match to which a reference leads, one of
	// them; Values are then other records (FHIR R4 search.html#chaining).
	Inside []Query
}

// Compartment is the parameter of a clause that wants what is in the compartment of one of the
// patients whose ids are its values (FHIR R4 compartmentdefinition-patient.html).
const Compartment = "_compartment"

// ParamError says that a search cannot be done as asked.
type ParamError struct {
	Param string
	Why   string // unknown, modifier or value
}

func (e *ParamError) Error() string { return fmt.Sprintf("search parameter %s: %s", e.Param, e.Why) }

// Check refuses what cannot be searched: unknown parameters, modifiers that do
// not go with the type, values that cannot be read.
func Check(r4 *fhir.R4, q Query) error {
	for _, c := range q.Clauses {
		if c.Param == Compartment {
			continue
		}
		p, ok := r4.Param(q.Kind, c.Param)
		if !ok || p.Type == "special" {
			return &ParamError{c.Param, "unknown"}
		}
		if !slices.Contains(modifiers(p.Type), c.Modifier) && !(p.Type == "reference" && r4.IsKind(c.Modifier)) {
			return &ParamError{c.Param, "modifier"}
		}
		for _, q := range c.Inside {
			if err := Check(r4, q); err != nil {
				return err
			}
		}
		for _, v := range c.Values {
			if !readable(p, c.Modifier, v) {
				return &ParamError{c.Param, "value"}
			}
		}
	}
	for _, s := range q.Sort {
		if _, ok := r4.Param(q.Kind, strings.TrimPrefix(s, "-")); !ok {
			return &ParamError{s, "unknown"}
		}
	}
	return nil
}

// readable reports whether a value can be what it is compared as.
func readable(p fhir.Param, modifier, v string) bool {
	if modifier == "missing" {
		return v == "true" || v == "false"
	}
	_, rest := prefix(v)
	switch p.Type {
	case "composite":
		parts := components(v)
		for i, typ := range p.Parts {
			if len(parts) != len(p.Parts) || !readable(fhir.Param{Type: typ}, "", parts[i]) {
				return false
			}
		}
	case "date":
		_, _, ok := fhir.DateRange(rest, time.UTC)
		return ok
	case "number":
		return decimal(rest) != nil
	case "quantity":
		literal, _, _ := cut(rest, '|')
		return decimal(literal) != nil
	}
	return true
}

func modifiers(typ string) []string {
	out := []string{"", "missing"}
	switch typ {
	case "string":
		out = append(out, "exact", "contains")
	case "token":
		out = append(out, "not", "text")
	case "reference":
		out = append(out, "identifier")
	case "uri":
		out = append(out, "below", "above")
	}
	return out
}

// Matches reports whether a resource, known to be of q's kind, matches. Meta
// holds what the store knows of it and the content does not say. Days are those
// of r4's zone.
func Matches(r4 *fhir.R4, q Query, v *fhir.Value, meta Meta) bool {
	for _, c := range q.Clauses {
		if c.Param == Compartment {
			if !slices.ContainsFunc(r4.Patients(v), func(id string) bool { return slices.Contains(c.Values, id) }) {
				return false
			}
			continue
		}
		p, ok := r4.Param(q.Kind, c.Param)
		if !ok || !matches(values(r4, v, p, meta), p, c, r4.Zone()) && !inside(r4, v, p, c) {
			return false
		}
	}
	return true
}

// inside reports whether a resource that is contained in v matches in its place.
func inside(r4 *fhir.R4, v *fhir.Value, p fhir.Param, c Clause) bool {
	if len(c.Inside) == 0 {
		return false
	}
	for _, x := range r4.Contained(v, p) {
		for _, q := range c.Inside {
			if x.Str("resourceType") == q.Kind && Matches(r4, q, x, Meta{ID: x.Str("id")}) {
				return true
			}
		}
	}
	return false
}

// Meta is what the store knows of a resource.
type Meta struct {
	ID          string
	LastUpdated int64 // Unix milliseconds
}

func values(r4 *fhir.R4, v *fhir.Value, p fhir.Param, m Meta) []fhir.SearchValue {
	switch p.Name {
	case "_id":
		return []fhir.SearchValue{{Code: m.ID}}
	case "_lastUpdated":
		return []fhir.SearchValue{{Low: m.LastUpdated, High: m.LastUpdated}}
	}
	return r4.SearchValues(v, p)
}

func matches(have []fhir.SearchValue, p fhir.Param, c Clause, zone *time.Location) bool {
	switch c.Modifier {
	case "missing":
		return slices.Contains(c.Values, fmt.Sprint(len(have) == 0))
	case "not":
		plain := c
		plain.Modifier = ""
		return !matches(have, p, plain, zone)
	}
	for _, want := range c.Values {
		for _, h := range have {
			if one(h, p, c.Modifier, want, zone) {
				return true
			}
		}
	}
	return false
}

func one(h fhir.SearchValue, p fhir.Param, modifier, want string, zone *time.Location) bool {
	switch p.Type {
	case "token":
		return token(h, modifier, want)
	case "string":
		return text(h, modifier, want)
	case "date":
		return date(h, want, zone)
	case "reference":
		return reference(h, modifier, want)
	case "quantity", "number":
		return quantity(h, p.Type, want)
	case "uri":
		return uri(h.URL, modifier, unescape(want))
	case "composite":
		parts := components(want)
		for i, typ := range p.Parts {
			if i >= len(parts) || i >= len(h.Parts) || !one(h.Parts[i], fhir.Param{Type: typ}, "", parts[i], zone) {
				return false
			}
		}
		return true
	}
	return false
}

// components are the values of a composite, joined by "$" (FHIR R4 search.html#composite).
func components(v string) (out []string) {
	for more := true; more; {
		var part string
		part, v, more = cut(v, '$')
		out = append(out, part)
	}
	return out
}

func token(h fhir.SearchValue, modifier, want string) bool {
	if modifier == "text" {
		return strings.Contains(people.Fold(h.Text), people.Fold(unescape(want)))
	}
	system, code, both := cut(want, '|')
	if !both {
		return h.Code == unescape(want)
	}
	return (system == "" && h.System == "" || unescape(system) == h.System) && (code == "" || unescape(code) == h.Code)
}

func text(h fhir.SearchValue, modifier, want string) bool {
	want = unescape(want)
	switch modifier {
	case "exact":
		return h.Text == want
	case "contains":
		return strings.Contains(people.Fold(h.Text), people.Fold(want))
	}
	return strings.HasPrefix(people.Fold(h.Text), people.Fold(want))
}

func uri(have, modifier, want string) bool {
	switch modifier {
	case "below":
		return strings.HasPrefix(have, want)
	case "above":
		return strings.HasPrefix(want, have)
	}
	return have == want
}

func reference(h fhir.SearchValue, modifier, want string) bool {
	if modifier == "identifier" {
		return token(h, "", want)
	}
	want = unescape(want)
	if modifier != "" {
		return h.Kind == modifier && h.ID == want
	}
	if kind, id, typed := strings.Cut(want, "/"); typed && !strings.Contains(id, "/") {
		return h.Kind == kind && h.ID == id
	}
	return h.ID == want && h.ID != "" || h.URL == want && h.URL != ""
}

// cut splits at the first separator that is not escaped.
func cut(s string, sep byte) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// unescape takes back the escapes of FHIR R4 search, 3.1.1.4.0.2.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\,`, `,`, `\|`, `|`, `\$`, `$`).Replace(s)
}
