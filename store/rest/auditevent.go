package rest

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tram/store/audit"
	"tram/store/audit/event"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// auditKind is the kind under which the audit is read. Nobody writes it.
const auditKind = "AuditEvent"

const (
	actsAtOnce = 500    // entries read at a time
	maxNamed   = 20     // records that a search of the audit names
	maxActs    = 20_000 // entries looked at for one page; the next link goes on behind them
)

// Acts is the replica's audit.
type Acts interface {
	// ActsBefore lists the entries whose number is below one, newest first and at most so
	// many: those about some records, or all where none is named. Number 0 stands behind
	// the last. It may be called at any time, from many goroutines.
	ActsBefore(n uint64, limit int, keys ...record.Key) ([]audit.Numbered, error)
}

// isAct says whether a call is about the audit. AuditEvents of other systems, which came as
// files, are records: they are read by their id, which is no number.
func (h *Handler) isAct(c *call) bool {
	if c.key.Kind != auditKind || h.o.Acts == nil {
		return false
	}
	_, err := strconv.ParseUint(c.key.ID, 10, 63)
	return c.action == doSearch || c.action == doRead && err == nil
}

// actsAsked is a search of the audit.
type actsAsked struct {
	keys   []record.Key // of the records; none for all
	about  []record.Key // what was named, for the audit of this search
	tests  []func(audit.Entry) bool
	count  int
	before uint64
	view   view
	used   []param // for the self link
}

// auditEvents answers AuditEvent, by id or as a search by patient, entity, agent and
// date: newest first, in pages that later acts do not shift. What is deleted is in no
// one's compartment any more: its own acts are found by entity. Station is who keeps
// the audit. Reading it is an act too.
func (h *Handler) auditEvents(ctx context.Context, c *call, acts Acts, station string) result {
	if c.key.ID != "" {
		return h.auditEvent(ctx, c, acts, station)
	}
	ask, p := h.actsAsked(c)
	if p != nil {
		return failed(p)
	}
	list, next, err := ask.page(acts)
	if err != nil {
		return failed(fromStore(err))
	}
	about := ask.about
	if len(about) == 0 {
		about = []record.Key{{Kind: auditKind, ID: "0"}}
		if len(list) > 0 {
			about[0].ID = strconv.FormatUint(list[0].N, 10)
		}
	}
	if p := h.looked(ctx, c, string(audit.Review), about...); p != nil {
		return failed(p)
	}
	var entries []*fhir.Value
	weight := 0
	whose := map[record.Key][]string{}
	for _, e := range list {
		v, p := h.eventOf(e, station, whose)
		if p != nil {
			return failed(p)
		}
		weight += len(v.Bytes())
		entries = append(entries, fhir.NewObject(
			fhir.Field{Name: "fullUrl", Value: fhir.NewString(h.o.Base + "/" + auditKind + "/" + v.Str("id"))},
			fhir.Field{Name: "resource", Value: ask.view.of(v)},
			fhir.Field{Name: "search", Value: fhir.NewObject(fhir.Field{Name: "mode", Value: fhir.NewString("match")})}))
	}
	return result{status: http.StatusOK, weight: weight, resource: bundleOf("searchset", -1, h.links("/"+auditKind, ask.used, next), entries)}
}

// auditEvent answers one entry; its id is its number.
func (h *Handler) auditEvent(ctx context.Context, c *call, acts Acts, station string) result {
	w, _, p := h.view(c.query)
	if p != nil {
		return failed(p)
	}
	n, err := strconv.ParseUint(c.key.ID, 10, 63)
	if err != nil || n == 0 {
		return failed(problem("not-found"))
	}
	list, err := acts.ActsBefore(n+1, 1)
	if err != nil {
		return failed(fromStore(err))
	}
	if len(list) == 0 || list[0].N != n || strconv.FormatUint(n, 10) != c.key.ID {
		return failed(problem("not-found"))
	}
	v, p := h.eventOf(list[0], station, map[record.Key][]string{})
	if p == nil {
		p = h.looked(ctx, c, string(audit.Review), c.key)
	}
	if p != nil {
		return failed(p)
	}
	return result{status: http.StatusOK, resource: w.of(v), key: c.key, tag: c.key.ID, modified: time.UnixMilli(list[0].At)}
}

// actsAsked reads a search of the audit. What FHIR defines and is not served is
// refused: to ignore it would answer another question.
func (h *Handler) actsAsked(c *call) (a actsAsked, p *Problem) {
	a.count = someCount
	if c.within != "" {
		c.query = append(c.query, param{name: "patient", value: "Patient/" + c.within})
	}
	var used []param
	if a.view, used, p = h.view(c.query); p != nil {
		return a, p
	}
	if a.view.count {
		return a, problem("unsupported-parameter").in("_summary")
	}
	for _, q := range c.query {
		switch {
		case q.name == "_summary" || q.name == "_elements" || passive(q.name) || q.value == "":
			continue
		case q.name == pageParam:
			n, err := strconv.ParseUint(q.value, 36, 63)
			if err != nil || n == 0 {
				return a, problem("bad-page")
			}
			a.before = n
			continue
		case q.name == "_count":
			if a.count, p = parseCount(q.value); p != nil {
				return a, p
			}
			a.count = max(a.count, 1)
			q.value = strconv.Itoa(a.count)
		default:
			known, p := h.actsClause(&a, q)
			if p != nil {
				return a, p
			}
			if !known && c.prefer.strict {
				return a, problem("unknown-parameter")
			}
			if !known {
				continue
			}
		}
		a.used = append(a.used, q)
	}
	a.used = append(a.used, used...)
	return a, nil
}

// actsClause adds a parameter to a search; known says whether it took part.
func (h *Handler) actsClause(a *actsAsked, q param) (known bool, bad *Problem) {
	switch q.name + ":" + q.modifier {
	case "patient:", "patient:Patient", "entity:":
		if len(a.about) > 0 { // the records of both would be asked for
			return false, problem("unsupported-parameter").in(q.name)
		}
		named := split(q.value)
		if len(named) > maxNamed {
			return false, problem("too-many-params").in(q.name)
		}
		for _, one := range named {
			key, ok := h.meant(one, q.name)
			if !ok {
				return false, problem("bad-search").in(q.name)
			}
			if slices.Contains(a.about, key) {
				continue
			}
			a.about = append(a.about, key)
			if q.name == "entity" {
				a.keys = append(a.keys, key)
				continue
			}
			keys, p := h.ofPatient(key.ID)
			if p != nil {
				return false, p
			}
			a.keys = append(a.keys, keys...)
		}
	case "agent:", "agent:identifier":
		who := split(q.value)
		for i := range who {
			who[i] = strings.TrimPrefix(who[i], event.AccountSystem+"|")
		}
		a.tests = append(a.tests, func(e audit.Entry) bool { return slices.Contains(who, e.Who) })
	case "date:":
		var any []func(int64) bool
		for _, one := range split(q.value) {
			test, ok := whenIs(one, h.o.R4.Zone())
			if !ok {
				return false, problem("bad-search").in(q.name)
			}
			any = append(any, test)
		}
		a.tests = append(a.tests, func(e audit.Entry) bool {
			return slices.ContainsFunc(any, func(test func(int64) bool) bool { return test(e.At) })
		})
	default:
		if _, ok := h.o.R4.Param(auditKind, q.name); ok || unserved(q.name) || isJoined(q) {
			return false, problem("unsupported-parameter").in(q.name)
		}
		return false, nil
	}
	return true, nil
}

// meant is the record that a reference means: relative, absolute under our base, or of
// a Patient its id alone.
func (h *Handler) meant(reference, as string) (record.Key, bool) {
	kind, id, ok := strings.Cut(relative(h.o.bases(), reference), "/")
	if !ok && as == "patient" {
		kind, id = "Patient", kind
	}
	key := record.Key{Kind: kind, ID: id}
	return key, key.Valid() && h.o.R4.IsKind(kind) && (as != "patient" || kind == "Patient")
}

// ofPatient are the records in a Patient's compartment, and the other records of the
// person with theirs.
func (h *Handler) ofPatient(id string) (keys []record.Key, p *Problem) {
	kinds, p := h.everyKind(nil)
	if p != nil {
		return nil, p
	}
	for _, one := range h.joinedWith(id) {
		keys = append(keys, record.Key{Kind: "Patient", ID: one})
		for _, kind := range kinds {
			q := query.Query{Kind: kind, Limit: query.MaxLimit, Clauses: []query.Clause{{Param: query.Compartment, Values: []string{one}}}}
			for more := kind != "Patient"; more; more = q.Page != "" {
				found, err := h.o.Backend.Search(q)
				if err != nil {
					return nil, fromStore(err)
				}
				for _, st := range found.Stands {
					keys = append(keys, st.Key)
				}
				q.Page = found.Next
			}
		}
	}
	return keys, nil
}

// page finds the entries of a page, and where the next one goes on. It looks at so many
// at most: a page may hold few, or none, and still have a next one.
func (a *actsAsked) page(acts Acts) (out []audit.Numbered, next string, err error) {
	at := a.before
	for looked := 0; looked < maxActs; looked += actsAtOnce {
		list, err := acts.ActsBefore(at, actsAtOnce, a.keys...)
		if err != nil {
			return nil, "", err
		}
		for _, e := range list {
			if at = e.N; !slices.ContainsFunc(a.tests, func(test func(audit.Entry) bool) bool { return !test(e.Entry) }) {
				if len(out) == a.count {
					return out, strconv.FormatUint(out[len(out)-1].N, 36), nil
				}
				out = append(out, e)
			}
		}
		if len(list) < actsAtOnce {
			return out, "", nil
		}
	}
	return out, strconv.FormatUint(at, 36), nil
}

// eventOf is an entry as an AuditEvent. Whose remembers to whom records belong.
func (h *Handler) eventOf(e audit.Numbered, station string, whose map[record.Key][]string) (*fhir.Value, *Problem) {
	if _, known := whose[e.Key]; !known && e.Key.Valid() {
		whose[e.Key] = h.patientsOf(e.Key)
	}
	v, err := event.Of(e, station, whose[e.Key])
	if err != nil {
		return nil, problem("internal").because(err)
	}
	return v, nil
}

// patientsOf are the Patients to whom a record belongs: what it says now or, deleted,
// said last. Nobody where it left this replica.
func (h *Handler) patientsOf(key record.Key) []string {
	if key.Kind == "Patient" {
		return []string{key.ID}
	}
	st, p := current(h.o.Backend, key)
	var last *record.Version
	switch {
	case p == nil:
		last = st.Shown
	case p.Code == "gone":
		list, err := h.o.Past.History(key)
		if i := slices.IndexFunc(list, func(v *record.Version) bool { return !v.Deleted }); err == nil && i >= 0 {
			last = list[i]
		}
	}
	if last == nil {
		return nil
	}
	v, err := fhir.Parse(last.Content, fhir.Limits{})
	if err != nil {
		return nil
	}
	return h.o.R4.Patients(v)
}

// whenIs reads a date with its prefix as a test of a moment (FHIR R4 search,
// 3.1.1.4.3). A moment has no length: gt is sa, and lt is eb.
func whenIs(s string, zone *time.Location) (func(at int64) bool, bool) {
	op := "eq"
	if len(s) > 2 && s[0] >= 'a' {
		op, s = s[:2], s[2:]
	}
	low, high, ok := fhir.DateRange(s, zone)
	test := map[string]func(int64) bool{
		"eq": func(at int64) bool { return at >= low && at <= high },
		"ne": func(at int64) bool { return at < low || at > high },
		"gt": func(at int64) bool { return at > high },
		"sa": func(at int64) bool { return at > high },
		"ge": func(at int64) bool { return at >= low },
		"lt": func(at int64) bool { return at < low },
		"eb": func(at int64) bool { return at < low },
		"le": func(at int64) bool { return at <= high },
	}[op]
	return test, ok && test != nil
}
