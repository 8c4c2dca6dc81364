package rest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
	"tram/store/summary"
)

// everything answers all that is kept here of a person (FHIR R4 operation
// Patient/$everything): the Patient, its compartment, and both of each record that
// links join with it. What an entry belongs to, its own reference says. It is one
// page; a period or a time is refused, for to ignore it would answer another question.
func (h *Handler) everything(ctx context.Context, c *call) result {
	kinds, p := h.everyKind(c.query)
	if p != nil {
		return failed(p)
	}
	kinds = slices.DeleteFunc(kinds, func(k string) bool { return c.may('r', k) != nil })
	b, p := h.gather(c.key, kinds)
	if p != nil {
		return failed(p)
	}
	if p := h.looked(ctx, c, "read", b.keys...); p != nil {
		return failed(p)
	}
	return result{status: http.StatusOK, weight: b.weight,
		resource: bundleOf("searchset", len(b.entries), h.links("/"+c.key.String()+"/$everything", b.used(c.query), ""), b.entries)}
}

// gather gathers what is kept of a person, of some kinds.
func (h *Handler) gather(key record.Key, kinds []string) (*gathered, *Problem) {
	if _, p := current(h.o.Backend, key); p != nil {
		return nil, p
	}
	b := &gathered{seen: map[record.Key]bool{}, base: h.o.Base}
	for _, id := range h.joinedWith(key.ID) {
		if st, p := current(h.o.Backend, record.Key{Kind: "Patient", ID: id}); p == nil && slices.Contains(kinds, "Patient") {
			if p := b.add(st); p != nil {
				return nil, p
			}
		}
		for _, kind := range kinds {
			if p := h.compartment(b, kind, id); p != nil {
				return nil, p
			}
		}
	}
	return b, nil
}

// joinedWith are the ids of all records of a person, the one that is asked about first.
func (h *Handler) joinedWith(id string) []string {
	return append([]string{id}, h.o.Backend.Linked(id)...)
}

// summary answers the International Patient Summary of a person (HL7 IPS 2.0.0, operation
// Patient/$summary), by id or by identifier. It is made of what the caller may read.
func (h *Handler) summary(ctx context.Context, c *call) result {
	key, p := h.summarised(c)
	if p != nil {
		return failed(p)
	}
	// A section that is empty says that nothing is known, so it must not be for want of a scope.
	if p := c.may('r', "Patient", "AllergyIntolerance", "Condition", "MedicationRequest", "MedicationStatement"); p != nil {
		return failed(p)
	}
	kinds, p := h.everyKind(nil)
	if p != nil {
		return failed(p)
	}
	may := func(kind string) bool { return c.may('r', kind) == nil }
	b, p := h.gather(key, slices.DeleteFunc(kinds, func(k string) bool { return !may(k) }))
	if p != nil {
		return failed(p)
	}
	about := summary.About{At: time.Now(), Language: c.language, Find: func(k record.Key) *fhir.Value {
		s, p := current(h.o.Backend, k)
		if p != nil || !may(k.Kind) {
			return nil
		}
		v, p := shown(s.Shown, s.Tag())
		if p != nil {
			return nil
		}
		return v
	}}
	for i, k := range b.keys {
		if v := b.entries[i].Get("resource"); k == key {
			about.Person = v
		} else {
			about.Records = append(about.Records, v)
		}
	}
	doc, err := h.maker.Of(about)
	if err != nil {
		return failed(problem("internal").because(err))
	}
	var keys []record.Key
	for _, e := range fhir.Entries(doc)[1:] { // the Composition is no record
		k := record.Key{Kind: e.Resource.Str("resourceType"), ID: e.Resource.Str("id")}
		if s, p := current(h.o.Backend, k); p == nil && s != nil {
			keys = append(keys, k)
		}
	}
	if p := h.looked(ctx, c, "read", keys...); p != nil {
		return failed(p)
	}
	return result{status: http.StatusOK, resource: doc, weight: b.weight}
}

// summarised is the person of whom a summary is asked for.
func (h *Handler) summarised(c *call) (record.Key, *Problem) {
	asks := slices.DeleteFunc(slices.Clone(c.query), func(q param) bool { return passive(q.name) })
	for _, q := range asks {
		if c.key.ID != "" && q.name != "profile" || c.key.ID == "" && q.name != "identifier" {
			return c.key, problem("unsupported-parameter").in(q.name)
		}
		if q.name == "profile" && !strings.HasPrefix(q.value, ipsProfile) {
			return c.key, problem("unsupported-parameter").in(q.name)
		}
	}
	if c.key.ID != "" {
		return c.key, nil
	}
	if p := c.may('s', "Patient"); p != nil {
		return c.key, p
	}
	found, p := h.desk.found("Patient", asks, someCount) // more than one person has records
	if p == nil && len(found.Stands) == 0 {
		p = problem("not-found")
	}
	if p != nil {
		return c.key, p
	}
	key := found.Stands[0].Key
	one := h.joinedWith(key.ID)
	for _, s := range found.Stands {
		if !slices.Contains(one, s.Key.ID) {
			return c.key, problem("many-matches")
		}
	}
	return key, nil
}

// ipsProfile begins the names of the only profile that a summary is made by.
const ipsProfile = "http://hl7.org/fhir/uv/ips/StructureDefinition/"

// everyKind are the kinds that are asked for: those in which a Patient's compartment
// has a reference to it, or those of them that _type names.
func (h *Handler) everyKind(asks []param) (kinds []string, p *Problem) {
	var only []string
	for _, q := range asks {
		switch {
		case passive(q.name) || q.name == "_count": // a page may be larger than asked for
		case q.name == "_type":
			if only, p = h.kindsOf(only, q); p != nil {
				return nil, p
			}
		default:
			return nil, problem("unsupported-parameter").in(q.name)
		}
	}
	for _, kind := range h.o.R4.Kinds() {
		def, ok := h.o.R4.Param(kind, "patient")
		if (kind == "Patient" || ok && def.Type == "reference") && (only == nil || slices.Contains(only, kind)) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// compartment gathers the entries of one kind in a Patient's compartment.
func (h *Handler) compartment(b *gathered, kind, id string) *Problem {
	if kind == "Patient" {
		return nil
	}
	q := query.Query{Kind: kind, Limit: query.MaxLimit, Clauses: []query.Clause{{Param: "patient", Values: []string{id}}}}
	for more := true; more; more = q.Page != "" {
		res, err := h.o.Backend.Search(q)
		if err != nil {
			return fromStore(err)
		}
		for _, st := range res.Stands {
			if st.Shown == nil {
				continue
			}
			if p := b.add(st); p != nil {
				return p
			}
		}
		q.Page = res.Next
	}
	return nil
}

// gathered is what an answer is made of, each record once.
type gathered struct {
	base    string
	seen    map[record.Key]bool
	keys    []record.Key
	entries []*fhir.Value
	weight  int
}

func (b *gathered) add(st *record.Stand) *Problem {
	if b.seen[st.Key] {
		return nil
	}
	content, p := shown(st.Shown, st.Tag())
	if p != nil {
		return p
	}
	b.seen[st.Key], b.keys = true, append(b.keys, st.Key)
	if b.weight += len(st.Shown.Content); b.weight > maxAnswer {
		return problem("too-costly")
	}
	b.entries = append(b.entries, fhir.NewObject(
		fhir.Field{Name: "fullUrl", Value: fhir.NewString(b.base + "/" + st.Key.String())},
		fhir.Field{Name: "resource", Value: content},
		fhir.Field{Name: "search", Value: fhir.NewObject(fhir.Field{Name: "mode", Value: fhir.NewString("match")})}))
	return nil
}

// used are the parameters that took part, for the self link.
func (b *gathered) used(asks []param) []param {
	return slices.DeleteFunc(slices.Clone(asks), func(q param) bool { return q.name != "_type" })
}

// validate says what is wrong with a resource, and keeps nothing (FHIR R4 operation
// Resource/$validate). It looks at the structure alone, and says so.
func (h *Handler) validate(c *call) result {
	v := c.resource
	if v.Str("resourceType") == "Parameters" && c.key.Kind != "Parameters" {
		v = parameter(v, "resource").Get("resource")
	}
	issues := []*fhir.Value{done("structure-only").Get("issue").Items[0]}
	switch {
	case v == nil || v.Shape != fhir.Object || v.Str("resourceType") == "":
		return failed(problem("not-a-resource"))
	case c.key.Kind != "" && v.Str("resourceType") != c.key.Kind:
		return failed(problem("other-kind"))
	}
	if found := h.o.R4.Check(stripped(v)); len(found) > 0 {
		issues = append(issues, invalid(found, "").outcome().Get("issue").Items...)
	}
	return result{status: http.StatusOK, resource: outcomeOf(issues...)}
}

// parameter finds a parameter of an operation by its name.
func parameter(parameters *fhir.Value, name string) *fhir.Value {
	if list := parameters.Get("parameter"); list != nil {
		for _, p := range list.Items {
			if p.Str("name") == name {
				return p
			}
		}
	}
	return nil
}
