package rest

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// changes is what came since the last answer, the oldest first: a history Bundle whose next
// link is what to ask with next time, also where nothing more is there yet. A subscription by
// polling: nothing is skipped and nothing told twice, whatever the clocks say.
func (h *Handler) changes(ctx context.Context, c *call) result {
	ask := store.Since{Limit: someCount}
	var used []param
	for _, q := range c.query {
		var p *Problem
		switch {
		case q.name == "_count":
			if ask.Limit, p = parseCount(q.value); p != nil {
				return failed(p)
			}
			ask.Limit = max(ask.Limit, 1)
			q.value = strconv.Itoa(ask.Limit)
		case q.name == "_type":
			if ask.Kinds, p = h.kindsOf(ask.Kinds, q); p != nil {
				return failed(p)
			}
		case q.name == pageParam:
			ask.Page = q.value
			continue
		case passive(q.name):
			continue
		default:
			return failed(problem("unsupported-parameter").in(q.name))
		}
		used = append(used, q)
	}
	asked := ask.Kinds
	if len(asked) == 0 {
		asked = h.o.R4.Kinds()
	}
	if p := c.may('s', asked...); p != nil {
		return failed(p)
	}
	list, next, _, err := h.o.Past.Changes(ask)
	if err != nil {
		return failed(fromStore(err))
	}
	return h.told(ctx, c, "/$changes", used, list, next, -1)
}

// kindsOf adds the kinds of a _type to others, each once; one that does not exist would ask
// another question.
func (h *Handler) kindsOf(kinds []string, p param) ([]string, *Problem) {
	for _, k := range split(p.value) {
		if !h.o.R4.IsKind(k) {
			return nil, problem("bad-search").in("_type")
		}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// conflicts lists the records on whose elements people disagree.
func (h *Handler) conflicts(ctx context.Context, c *call) result {
	kinds := slices.DeleteFunc(slices.Clone(h.o.R4.Kinds()), func(k string) bool { return c.may('r', k) != nil || c.may('s', k) != nil })
	if len(kinds) == 0 {
		return failed(problem("forbidden"))
	}
	stands, err := h.o.Backend.Contested(maxCount, kinds...)
	if err != nil {
		return failed(fromStore(err))
	}
	total := len(stands)
	if total == maxCount { // there may be more
		total = -1
	}
	b := gathered{seen: map[record.Key]bool{}, base: h.o.Base}
	for _, st := range stands {
		if st.Shown == nil {
			continue
		}
		if p := b.add(st); p != nil {
			return failed(p)
		}
	}
	if p := h.looked(ctx, c, "search", b.keys...); p != nil {
		return failed(p)
	}
	return result{status: http.StatusOK, weight: b.weight,
		resource: bundleOf("searchset", total, h.links("/$conflicts", nil, ""), b.entries)}
}

// conflict tells the values on which people disagree, and who set them: a Parameters with one
// parameter for each element. A value is its JSON, a setter the name of a version.
func (h *Handler) conflict(ctx context.Context, c *call) result {
	s, p := current(h.o.Backend, c.key)
	if p != nil {
		return failed(p)
	}
	if p := h.looked(ctx, c, "read", c.key); p != nil {
		return failed(p)
	}
	var all []*fhir.Value
	for _, one := range s.Shown.Conflicts() {
		parts := []*fhir.Value{single("path", "valueString", one.Path)}
		for _, v := range one.Values {
			value := []*fhir.Value{single("value", "valueString", string(v.Value))}
			for _, w := range v.Writers {
				value = append(value, part("setter", single("version", "valueId", w.Name.String()),
					single("author", "valueString", w.Author), single("when", "valueInstant", instant(w.Stamp.Time()))))
			}
			parts = append(parts, part("candidate", value...))
		}
		all = append(all, part("conflict", parts...))
	}
	out := fhir.NewObject(fhir.Field{Name: "resourceType", Value: fhir.NewString("Parameters")})
	if len(all) > 0 {
		out = out.With("parameter", fhir.NewArray(all...))
	}
	return result{status: http.StatusOK, resource: out, tag: s.Tag(), modified: s.Shown.Updated()}
}

// part is a parameter that is made of others.
func part(name string, parts ...*fhir.Value) *fhir.Value {
	return fhir.NewObject(
		fhir.Field{Name: "name", Value: fhir.NewString(name)},
		fhir.Field{Name: "part", Value: fhir.NewArray(parts...)})
}

// single is a parameter with one value.
func single(name, typ, value string) *fhir.Value {
	return fhir.NewObject(
		fhir.Field{Name: "name", Value: fhir.NewString(name)},
		fhir.Field{Name: typ, Value: fhir.NewString(value)})
}

// resolve takes a person's decisions: a Parameters with a parameter "decision" for each
// element, of its path, the value's JSON and the versions that the person saw. Only those are
// closed. If-Match says what was seen of the record.
func (h *Handler) resolve(ctx context.Context, c *call) result {
	if !c.ifMatch.given || c.ifMatch.any || len(c.ifMatch.list) != 1 {
		return failed(problem("needs-match"))
	}
	w := store.Write{Key: c.key, Base: c.ifMatch.list[0], Author: c.by.Author}
	list := c.resource.Get("parameter")
	if c.resource.Str("resourceType") != "Parameters" || list == nil || len(list.Items) == 0 {
		return failed(problem("bad-decision"))
	}
	for _, p := range list.Items {
		d, ok := decisionOf(p)
		if !ok {
			return failed(problem("bad-decision"))
		}
		w.Decisions = append(w.Decisions, d)
	}
	s, p := current(h.o.Backend, c.key)
	switch {
	case p != nil:
		return failed(p)
	case s.Tag() != w.Base:
		return failed(problem("stale"))
	case !decides(s.Shown.Conflicts(), w.Decisions):
		return failed(problem("bad-decision"))
	}
	made, err := h.o.Backend.Put(ctx, w)
	if err != nil {
		return failed(fromStore(err))
	}
	o := &op{call: c, status: http.StatusOK, version: made[0], tag: made[0].Name.String()}
	return h.changed(ctx, o, c.prefer.ret)
}

// decides says whether each decision is about an open conflict.
func decides(open []record.Conflict, all []record.Decision) bool {
	at := map[string]bool{}
	for _, c := range open {
		at[c.Path] = true
	}
	for _, d := range all {
		if !at[d.Path] {
			return false
		}
	}
	return true
}

// decisionOf reads one; a value that is left out takes the element away.
func decisionOf(p *fhir.Value) (d record.Decision, ok bool) {
	parts := p.Get("part")
	if p.Str("name") != "decision" || parts == nil {
		return d, false
	}
	for _, x := range parts.Items {
		switch x.Str("name") {
		case "path":
			d.Path = x.Str("valueString")
		case "value":
			if _, err := fhir.Parse([]byte(x.Str("valueString")), fhir.Limits{Bytes: maxBody}); err != nil {
				return d, false
			}
			d.Value = []byte(x.Str("valueString"))
		case "version":
			name, err := record.ParseName(x.Str("valueId"))
			if err != nil {
				return d, false
			}
			d.Closes = append(d.Closes, name)
		}
	}
	return d, d.Path != "" && len(d.Closes) > 0
}
