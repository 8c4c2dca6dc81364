package rest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// pageParam carries the opaque place of a next link.
const pageParam = "_page"

// param is one parameter of a query, unescaped from the URL.
type param struct {
	name, modifier string
	value          string
}

// parseQuery reads a query or a form. A ";" is an ordinary character and a raw
// "|" is taken: clients send both.
func parseQuery(raw string) ([]param, *Problem) {
	var out []param
	for _, pair := range strings.Split(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || !plain(name) || !plain(value) {
			return nil, problem("bad-url")
		}
		if len(out) == maxParams {
			return nil, problem("too-many-params")
		}
		p := param{value: value}
		p.name, p.modifier, _ = strings.Cut(name, ":")
		out = append(out, p)
	}
	return out, nil
}

// plain refuses what no search value can hold.
func plain(s string) bool { return !strings.Contains(s, "\x00") && strings.ToValidUTF8(s, "") == s }

// passive reports parameters that say how to answer, not what to find.
func passive(name string) bool { return name == "_format" || name == "_pretty" }

// split cuts a value at the commas that no backslash escapes. The escapes stay:
// what else they mean depends on the parameter's type (FHIR R4 search "escaping").
func split(value string) []string {
	var out []string
	from := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case ',':
			out = append(out, value[from:i])
			from = i + 1
		}
	}
	return append(out, value[from:])
}

// view reads _summary and _elements, and returns what of them is obeyed.
func (h *Handler) view(asks []param) (w view, used []param, p *Problem) {
	w.r4 = h.o.R4
	for _, q := range asks {
		switch q.name {
		case "_summary":
			switch q.value {
			case "count":
				w.count = true
			case "text":
				w.text = true
			case "data":
				w.data = true
			case "false":
			case "true":
				w.summary = true
			default:
				return w, nil, problem("bad-search").in("_summary")
			}
			used = append(used, q)
		case "_elements":
			w.elements = map[string]bool{}
			for _, name := range strings.Split(q.value, ",") {
				name = strings.TrimSpace(name)
				w.elements[name[strings.LastIndexByte(name, '.')+1:]] = true
			}
			used = append(used, q)
		}
	}
	return w, used, nil
}

// asked is a search as it is really done.
type asked struct {
	query query.Query
	view  view
	total bool
	with  []directive // _include and _revinclude
	used  []param     // for the self link
}

// ask reads a search (FHIR R4 search.html). An unknown parameter is ignored and left
// out of the self link, unless strict; one that would ask another question is always
// refused.
func (h *Handler) ask(ctx context.Context, c *call, strict bool) (a asked, p *Problem) {
	a.query = query.Query{Kind: c.key.Kind, Limit: someCount}
	if c.within != "" {
		a.query.Clauses = []query.Clause{{Param: query.Compartment, Values: h.joinedWith(c.within)}}
	}
	a.total = true
	var used []param
	if a.view, used, p = h.view(c.query); p != nil {
		return a, p
	}
	for _, q := range c.query {
		switch q.name {
		case "_summary", "_elements", "_format", "_pretty":
			continue
		case "_count":
			if a.query.Limit, p = parseCount(q.value); p != nil {
				return a, p
			}
			q.value = strconv.Itoa(a.query.Limit)
		case "_total":
			if q.value != "none" && q.value != "estimate" && q.value != "accurate" {
				return a, problem("bad-search").in("_total")
			}
			a.total = q.value != "none"
		case "_sort":
			sort, p := h.sort(c.key.Kind, q.value, strict)
			if p != nil {
				return a, p
			}
			if q.value = strings.Join(sort, ","); q.value == "" {
				continue
			}
			a.query.Sort = append(a.query.Sort, sort...)
		case pageParam:
			a.query.Page = q.value
			continue
		case "_include", "_revinclude":
			d, p := h.directiveOf(q)
			if p != nil {
				return a, p
			}
			a.with = append(a.with, d)
		default:
			known, p := h.clause(ctx, c, &a.query, q, strict)
			if p != nil {
				return a, p
			}
			if !known {
				continue
			}
		}
		a.used = append(a.used, q)
	}
	if a.query.Limit == 0 { // FHIR R4 search "count": the same as _summary=count
		a.view.count = true
	}
	if a.view.count {
		a.query.Limit, a.query.Sort, a.query.Page, a.total = 1, nil, "", true
	}
	a.used = append(a.used, used...)
	return a, nil
}

// sort keeps the parameters that exist; an order that is not known is no other
// question, so that it may be left out.
func (h *Handler) sort(kind, value string, strict bool) (out []string, p *Problem) {
	for _, name := range strings.Split(value, ",") {
		if _, ok := h.o.R4.Param(kind, strings.TrimPrefix(name, "-")); ok {
			out = append(out, name)
		} else if strict {
			return nil, problem("unknown-parameter").in("_sort")
		}
	}
	return out, nil
}

// clause adds a parameter to a query; known says whether it took part.
func (h *Handler) clause(ctx context.Context, c *call, q *query.Query, p param, strict bool) (known bool, bad *Problem) {
	if p.value == "" { // FHIR R4 search: a parameter without a value is ignored
		return false, nil
	}
	one, known, bad := h.oneClause(ctx, c, q.Kind, p, maxSteps)
	switch {
	case bad != nil:
		return false, bad
	case !known && strict:
		return false, problem("unknown-parameter")
	case known:
		q.Clauses = append(q.Clauses, one)
	}
	return known, nil
}

// oneClause makes a search parameter a clause, with so many steps of a chain at most.
func (h *Handler) oneClause(ctx context.Context, c *call, kind string, p param, steps int) (query.Clause, bool, *Problem) {
	switch {
	case isJoined(p):
		return h.joined(ctx, c, kind, p, steps)
	case p.modifier == "in" || p.modifier == "not-in":
		return h.inSet(c, kind, p)
	case p.name == "_tag" && p.modifier == "" && p.value == contestedTag:
		return h.contested(kind)
	}
	return clause(h.o.R4, h.o.bases(), kind, p)
}

// clause makes a search parameter a clause. known is false for one that R4
// does not define for the kind.
func clause(r4 *fhir.R4, bases []string, kind string, p param) (c query.Clause, known bool, bad *Problem) {
	// A tag of ours is in no record, see shown.
	if unserved(p.name) || isJoined(p) || p.name == "_tag" && strings.Contains(p.value, stateSystem) {
		return c, false, problem("unsupported-parameter").in(p.name)
	}
	def, ok := r4.Param(kind, p.name)
	if !ok {
		return c, false, nil
	}
	if !servedType(def.Type) {
		return c, false, problem("unsupported-parameter").in(p.name)
	}
	c = query.Clause{Param: p.name, Modifier: p.modifier, Values: split(p.value)}
	if len(c.Values) > maxValues {
		return c, true, problem("too-many-params").in(p.name)
	}
	if def.Type == "reference" {
		for i, v := range c.Values {
			c.Values[i] = relative(bases, v)
		}
	}
	return c, true, nil
}

// servedType says which types of search parameters the store has entries for.
func servedType(typ string) bool { return typ != "special" }

// unserved names what R4 defines for every kind and the store cannot find by.
func unserved(name string) bool {
	switch name {
	case "_filter", "_content", "_text", "_query", "_list", "_type", "_contained", "_containedType":
		return true
	}
	return false
}

// search answers a page (FHIR R4 http "search"). An empty result is a Bundle too.
func (h *Handler) search(ctx context.Context, c *call) result {
	a, p := h.ask(ctx, c, c.prefer.strict)
	if p != nil {
		return failed(p)
	}
	found, err := h.o.Backend.Search(a.query)
	if err != nil {
		return failed(fromStore(err))
	}
	res := result{status: http.StatusOK}
	if a.view.count {
		found.Stands, found.Next = nil, ""
	}
	more, p := h.included(c, found.Stands, a.with)
	if p != nil {
		return failed(p)
	}
	var entries []*fhir.Value
	var keys []record.Key
	for i, s := range slices.Concat(found.Stands, more) {
		if s.Shown == nil {
			continue
		}
		content, p := shown(s.Shown, s.Tag())
		if p != nil {
			return failed(p)
		}
		keys = append(keys, s.Key)
		if res.weight += len(s.Shown.Content); res.weight > maxAnswer {
			return failed(problem("too-costly"))
		}
		mode, content := "match", a.view.of(content)
		if i >= len(found.Stands) {
			mode = "include"
		}
		entries = append(entries, fhir.NewObject(
			fhir.Field{Name: "fullUrl", Value: fhir.NewString(h.o.Base + "/" + s.Key.String())},
			fhir.Field{Name: "resource", Value: content},
			fhir.Field{Name: "search", Value: fhir.NewObject(fhir.Field{Name: "mode", Value: fhir.NewString(mode)})}))
	}
	if len(keys) == 0 || !h.personal(a.query.Kind) {
		c.told = append(c.told, h.about(a.query)...)
	}
	for _, key := range c.told {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if p := h.looked(ctx, c, "search", keys...); p != nil {
		return failed(p)
	}
	total := -1
	if a.total {
		total = found.Total
	}
	path := "/" + c.key.Kind
	if c.within != "" {
		path = "/Patient/" + c.within + path
	}
	res.resource = bundleOf("searchset", total, h.links(path, a.used, found.Next), entries)
	return res
}

// maxAbout is how many people are named of whom a search asked.
const maxAbout = 100

// about is of whom a search asked that shows no record of theirs: a count, or that there is
// nothing, tells something too. It is the zero key where nobody is named, and none for what tells of
// nobody: what is new, or a kind that is about no person.
func (h *Handler) about(q query.Query) (out []record.Key) {
	asks, personal := false, h.personal(q.Kind)
	for _, c := range q.Clauses {
		def, _ := h.o.R4.Param(q.Kind, c.Param)
		refers := def.Type == "reference" && (len(def.Targets) == 0 || slices.Contains(def.Targets, "Patient"))
		asks = asks || personal && c.Param != "_lastUpdated" || refers && c.Modifier == "identifier"
		bare := c.Param == query.Compartment || c.Param == "patient" || q.Kind == "Patient" && c.Param == "_id" || c.Modifier == "Patient"
		for i := 0; (refers || bare) && i < len(c.Values) && len(out) < maxAbout; i++ {
			id, is := strings.CutPrefix(c.Values[i], "Patient/")
			key := record.Key{Kind: "Patient", ID: id}
			if key.Valid() && (is || bare || h.isHere(key)) { // an id alone may be anything's
				out = append(out, key)
			}
		}
	}
	if asks && len(out) == 0 {
		out = []record.Key{{}}
	}
	return out
}

// personal says whether a record of a kind is about a person, and leads to it by its own key.
func (h *Handler) personal(kind string) bool {
	_, patient := h.o.R4.Param(kind, "patient")
	_, subject := h.o.R4.Param(kind, "subject")
	return kind == "Patient" || patient || subject
}

// isHere says whether a record is shown here.
func (h *Handler) isHere(key record.Key) bool {
	_, p := current(h.o.Backend, key)
	return p == nil
}

// links are made from the configured base alone: a Host header is anybody's.
// They are the self link, which tells what was really asked, and the next
// link where a page follows.
func (h *Handler) links(path string, used []param, next string) *fhir.Value {
	var b strings.Builder
	for _, q := range used {
		name := q.name
		if q.modifier != "" {
			name += ":" + q.modifier
		}
		b.WriteString("&" + url.QueryEscape(name) + "=" + url.QueryEscape(q.value))
	}
	link := func(relation, asks string) *fhir.Value {
		address := h.o.Base + path
		if asks != "" {
			address += "?" + asks[1:]
		}
		return fhir.NewObject(
			fhir.Field{Name: "relation", Value: fhir.NewString(relation)},
			fhir.Field{Name: "url", Value: fhir.NewString(address)})
	}
	out := []*fhir.Value{link("self", b.String())}
	if next != "" {
		out = append(out, link("next", b.String()+"&"+pageParam+"="+url.QueryEscape(next)))
	}
	return fhir.NewArray(out...)
}

// bundleOf makes a Bundle. FHIR has no empty lists: without entries the element
// is left out.
func bundleOf(kind string, total int, links *fhir.Value, entries []*fhir.Value) *fhir.Value {
	out := fhir.NewObject(
		fhir.Field{Name: "resourceType", Value: fhir.NewString("Bundle")},
		fhir.Field{Name: "type", Value: fhir.NewString(kind)})
	if total >= 0 {
		out = out.With("total", fhir.NewNumber(strconv.Itoa(total)))
	}
	if links != nil {
		out = out.With("link", links)
	}
	if len(entries) > 0 {
		out = out.With("entry", fhir.NewArray(entries...))
	}
	return out
}
