package rest

import (
	"context"
	"slices"
	"strings"

	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// What searches across references may cost.
const (
	maxJoined   = 1000 // records that one step of a chain may lead to
	maxLooked   = 5000 // records that all chains of a request look at
	maxSteps    = 4    // references of a chain
	maxIncluded = 1000 // records that a page may include
)

// joined makes a clause of a chain ("subject:Patient.name", FHIR R4 search.html#chaining) or
// of a reverse one ("_has:Observation:patient:code", search.html#has): what it asks about other
// records is asked first, and the clause then names those. known is false for a
// parameter that R4 does not define.
func (h *Handler) joined(ctx context.Context, c *call, kind string, p param, steps int) (out query.Clause, known bool, bad *Problem) {
	rest := func(target string, inner param) ([]*record.Stand, query.Query, *Problem) {
		return h.joinedTo(ctx, c, target, inner, steps-1)
	}
	if p.name == "_has" {
		return h.has(kind, p, rest)
	}
	return h.chain(kind, p, rest)
}

// isJoined says whether a parameter asks about another record than the one it finds.
func isJoined(p param) bool { return p.name == "_has" || strings.Contains(p.name+p.modifier, ".") }

// joinedTo are the records of a kind that the rest of a chain finds, and how it asked.
func (h *Handler) joinedTo(ctx context.Context, c *call, kind string, inner param, steps int) (out []*record.Stand, q query.Query, p *Problem) {
	if steps <= 0 {
		return nil, q, problem("too-wide").in(inner.name)
	}
	if p := c.may('s', kind); p != nil {
		return nil, q, p
	}
	clause, known, p := h.oneClause(ctx, c, kind, inner, steps)
	if p == nil && !known {
		p = problem("bad-search").in(inner.name)
	}
	if p != nil {
		return nil, q, p
	}
	q = query.Query{Kind: kind, Limit: query.MaxLimit, Clauses: []query.Clause{clause}}
	for more := true; more; more = q.Page != "" {
		if ctx.Err() != nil {
			return nil, q, problem("cancelled")
		}
		found, err := h.o.Backend.Search(q)
		if err != nil {
			return nil, q, fromStore(err)
		}
		if q.Page == "" {
			c.joins += 1 + found.Total
		}
		if c.joins > maxLooked {
			return nil, q, problem("too-wide").in(inner.name)
		}
		out, q.Page = append(out, found.Stands...), found.Next
	}
	c.told = append(c.told, h.toldBy(q, out)...)
	return out, q, nil
}

// toldBy is of whom a step of a chain tells: of those whom it names, or else of the few that it
// found. What is true of many tells of nobody more than of others.
func (h *Handler) toldBy(q query.Query, found []*record.Stand) []record.Key {
	named := h.about(q)
	if len(named) == 0 || !named[0].IsZero() || len(found) == 0 || len(found) > maxAbout {
		return named
	}
	keys := make([]record.Key, len(found))
	for i, s := range found {
		keys[i] = s.Key
	}
	return keys
}

// rest asks what stands behind a reference.
type rest func(kind string, inner param) ([]*record.Stand, query.Query, *Problem)

// chain is "reference.rest" or "reference:Kind.rest". A person is never a contained resource here:
// what is about one is found by an index.
func (h *Handler) chain(kind string, p param, rest rest) (out query.Clause, known bool, bad *Problem) {
	name, after, _ := strings.Cut(p.name, ".")
	inner := param{name: after, modifier: p.modifier, value: p.value}
	only := ""
	if after == "" { // the kind stands where a modifier does, and the rest behind it
		var tail string
		only, tail, _ = strings.Cut(p.modifier, ".")
		inner.name, inner.modifier, _ = strings.Cut(tail, ":")
	}
	def, ok := h.o.R4.Param(kind, name)
	switch {
	case !ok:
		return out, false, nil
	case def.Type != "reference" || inner.name == "" || inner.value == "":
		return out, true, problem("bad-search").in(name)
	}
	targets := def.Targets
	if only != "" {
		targets = []string{only}
	} else if len(targets) == 0 {
		targets = h.o.R4.Kinds()
	}
	first, _, _ := strings.Cut(inner.name, ".")
	targets = slices.DeleteFunc(slices.Clone(targets), func(t string) bool {
		_, ok := h.o.R4.Param(t, first)
		return !ok && !(first == "_has" && t == only && h.o.R4.IsKind(t))
	})
	if len(targets) == 0 {
		return out, true, problem("bad-search").in(name)
	}
	out.Param = name
	for _, target := range targets {
		found, q, p := rest(target, inner)
		if p != nil {
			return out, true, p
		}
		if name != "patient" && name != "subject" {
			out.Inside = append(out.Inside, q)
		}
		for _, s := range found {
			out.Values = append(out.Values, s.Key.String())
		}
	}
	if len(out.Values) > maxJoined {
		return out, true, problem("too-wide").in(name)
	}
	return out, true, nil
}

// has is "_has:Kind:reference:rest": what records of a kind refer to that the rest finds.
func (h *Handler) has(kind string, p param, rest rest) (out query.Clause, known bool, bad *Problem) {
	parts := strings.SplitN(p.modifier, ":", 3)
	if len(parts) < 3 || p.value == "" {
		return out, true, problem("bad-search").in("_has")
	}
	inner := param{value: p.value}
	inner.name, inner.modifier, _ = strings.Cut(parts[2], ":")
	def, ok := h.o.R4.Param(parts[0], parts[1])
	if !ok || def.Type != "reference" {
		return out, true, problem("bad-search").in("_has")
	}
	found, _, bad := rest(parts[0], inner)
	if bad != nil {
		return out, true, bad
	}
	out.Param = "_id"
	for _, s := range found {
		keys, bad := h.refersTo(s, def)
		if bad != nil {
			return out, true, bad
		}
		for _, key := range keys {
			if key.Kind == kind {
				out.Values = append(out.Values, key.ID)
			}
		}
	}
	slices.Sort(out.Values)
	if out.Values = slices.Compact(out.Values); len(out.Values) > maxJoined {
		return out, true, problem("too-wide").in("_has")
	}
	return out, true, nil
}

// refersTo are the records here to which a search parameter of a record leads.
func (h *Handler) refersTo(s *record.Stand, def fhir.Param) (out []record.Key, p *Problem) {
	content, err := fhir.Parse(s.Shown.Content, fhir.Limits{})
	if err != nil {
		return nil, problem("internal").because(err)
	}
	for _, v := range h.o.R4.SearchValues(content, def) {
		if v.URL == "" && v.ID != "" && v.Kind != "" {
			out = append(out, record.Key{Kind: v.Kind, ID: v.ID})
		}
	}
	return out, nil
}

// directive is one _include or _revinclude (FHIR R4 search.html#include).
type directive struct {
	source, param, target string // param "*" is every reference
	iterate, reverse      bool
}

// directiveOf reads one; its form is "Source:parameter" or "Source:parameter:Target".
func (h *Handler) directiveOf(p param) (directive, *Problem) {
	parts := strings.Split(p.value, ":")
	d := directive{source: parts[0], iterate: p.modifier == "iterate" || p.modifier == "recurse", reverse: p.name == "_revinclude"}
	bad := problem("bad-search").in(p.name)
	switch {
	case p.modifier != "" && !d.iterate, len(parts) > 3:
		return d, bad
	case p.value == "*" && !d.reverse:
		d.source, d.param = "", "*"
		return d, nil
	case len(parts) < 2:
		return d, bad
	}
	d.param = parts[1]
	if len(parts) == 3 {
		d.target = parts[2]
	}
	if d.param == "*" && h.o.R4.IsKind(d.source) && !d.reverse {
		return d, nil
	}
	if def, ok := h.o.R4.Param(d.source, d.param); !ok || def.Type != "reference" || d.target != "" && !h.o.R4.IsKind(d.target) {
		return d, bad
	}
	return d, nil
}

// included are the records that a page's matches bring with them, each once.
func (h *Handler) included(c *call, matches []*record.Stand, all []directive) (out []*record.Stand, p *Problem) {
	seen := map[record.Key]bool{}
	for _, s := range matches {
		seen[s.Key] = true
	}
	for from, first := matches, true; len(from) > 0; first = false {
		var next []*record.Stand
		add := func(s *record.Stand) {
			if s.Shown != nil && !seen[s.Key] {
				seen[s.Key] = true
				next = append(next, s)
			}
		}
		for _, d := range all {
			if !first && !d.iterate {
				continue
			}
			if d.reverse {
				p = h.referring(c, from, d, add)
			} else {
				p = h.referred(c, from, d, add)
			}
			if p != nil {
				return nil, p
			}
		}
		if out = append(out, next...); len(out) > maxIncluded {
			return nil, problem("too-wide").in("_include")
		}
		from = next
	}
	return out, nil
}

// referred adds what records refer to. What is not here, or not for who asks, is left out.
func (h *Handler) referred(c *call, from []*record.Stand, d directive, add func(*record.Stand)) *Problem {
	for _, s := range from {
		if d.source != "" && s.Key.Kind != d.source {
			continue
		}
		for _, def := range h.o.R4.Params(s.Key.Kind) {
			if def.Type != "reference" || d.param != "*" && def.Name != d.param {
				continue
			}
			keys, p := h.refersTo(s, def)
			if p != nil {
				return p
			}
			for _, key := range keys {
				if d.target != "" && key.Kind != d.target || c.may('r', key.Kind) != nil {
					continue
				}
				if s, p := current(h.o.Backend, key); p == nil {
					add(s)
				}
			}
		}
	}
	return nil
}

// referring adds what refers to records.
func (h *Handler) referring(c *call, from []*record.Stand, d directive, add func(*record.Stand)) *Problem {
	q := query.Query{Kind: d.source, Limit: query.MaxLimit, Clauses: []query.Clause{{Param: d.param}}}
	for _, s := range from {
		if d.target == "" || s.Key.Kind == d.target {
			q.Clauses[0].Values = append(q.Clauses[0].Values, s.Key.String())
		}
	}
	if len(q.Clauses[0].Values) == 0 {
		return nil
	}
	if p := c.may('s', d.source); p != nil {
		return p
	}
	found, err := h.o.Backend.Search(q)
	switch {
	case err != nil:
		return fromStore(err)
	case found.Total > maxIncluded:
		return problem("too-wide").in("_revinclude")
	}
	for _, s := range found.Stands {
		add(s)
	}
	return nil
}

// contested is the clause of the tag that a record with an open conflict is shown with.
func (h *Handler) contested(kind string) (out query.Clause, known bool, bad *Problem) {
	stands, err := h.o.Backend.Contested(maxJoined+1, kind)
	switch {
	case err != nil:
		return out, true, fromStore(err)
	case len(stands) > maxJoined:
		return out, true, problem("too-wide").in("_tag")
	}
	out.Param = "_id"
	for _, s := range stands {
		out.Values = append(out.Values, s.Key.ID)
	}
	return out, true, nil
}

// inSet makes a clause of "code:in=ValueSet/x", or of a value set's canonical URL (FHIR R4
// search.html#token): its codes, where the set is held here and lists them.
func (h *Handler) inSet(c *call, kind string, p param) (out query.Clause, known bool, bad *Problem) {
	def, ok := h.o.R4.Param(kind, p.name)
	if !ok {
		return out, false, nil
	}
	if def.Type != "token" {
		return out, true, problem("bad-search").in(p.name)
	}
	if p := c.may('r', "ValueSet"); p != nil {
		return out, true, p
	}
	set, bad := h.valueSet(p.value)
	if bad != nil {
		return out, true, bad.in(p.name)
	}
	out = query.Clause{Param: p.name}
	if p.modifier == "not-in" {
		out.Modifier = "not"
	}
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)
	codes, listed := fhir.CodesOf(set)
	if !listed || len(codes) == 0 || len(codes) > maxJoined {
		return out, true, problem("no-codes").in(p.name)
	}
	for _, one := range codes {
		out.Values = append(out.Values, escape.Replace(one.System)+"|"+escape.Replace(one.Code))
	}
	return out, true, nil
}

// valueSet finds a value set by "ValueSet/id" or by its canonical URL.
func (h *Handler) valueSet(name string) (*fhir.Value, *Problem) {
	var s *record.Stand
	if key, err := record.ParseKey(name); err == nil && key.Kind == "ValueSet" {
		found, p := current(h.o.Backend, key)
		if p != nil {
			return nil, problem("no-codes")
		}
		s = found
	} else {
		found, err := h.o.Backend.Search(query.Query{Kind: "ValueSet", Limit: 1, Clauses: []query.Clause{{Param: "url", Values: []string{name}}}})
		if err != nil {
			return nil, fromStore(err)
		}
		if len(found.Stands) == 0 {
			return nil, problem("no-codes")
		}
		s = found.Stands[0]
	}
	set, err := fhir.Parse(s.Shown.Content, fhir.Limits{})
	if err != nil {
		return nil, problem("internal").because(err)
	}
	return set, nil
}
