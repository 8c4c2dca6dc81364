package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// current is what a replica shows of a record. It fails with "not-found" and,
// with the tombstone beside it, with "gone".
func current(b Backend, key record.Key) (*record.Stand, *Problem) {
	s, err := b.Get(key)
	if err != nil {
		return nil, fromStore(err)
	}
	if s == nil || s.Shown == nil || s.Gone {
		return nil, problem("not-found")
	}
	if s.Shown.Deleted {
		return s, problem("gone")
	}
	return s, nil
}

// read answers what is shown (FHIR R4 http "read"). A deleted record answers 410
// with its tombstone's tag, so that a client can revive it under If-Match.
func (h *Handler) read(ctx context.Context, c *call) result {
	w, _, p := h.view(c.query)
	if p != nil {
		return failed(p)
	}
	s, p := current(h.o.Backend, c.key)
	if p != nil {
		res := failed(p)
		if s != nil {
			res.tag, res.modified = s.Tag(), s.Shown.Updated()
		}
		return res
	}
	return h.version(ctx, c, s.Shown, s.Tag(), w)
}

// vread answers one version (FHIR R4 http "vread"). The tag of a preview names
// something only as long as it is shown; its two halves are versions of their own.
func (h *Handler) vread(ctx context.Context, c *call) result {
	w, _, p := h.view(c.query)
	if p != nil {
		return failed(p)
	}
	s, p := current(h.o.Backend, c.key)
	if s == nil {
		return failed(p)
	}
	tag := inner(c.version)
	if s.Tag() == tag && p == nil {
		return h.version(ctx, c, s.Shown, tag, w)
	}
	list, err := h.o.Past.History(c.key)
	if err != nil {
		return failed(fromStore(err))
	}
	for _, v := range list {
		if v.Name.String() != tag {
			continue
		}
		if v.Deleted {
			return result{problem: problem("gone"), tag: tag, modified: v.Updated()}
		}
		return h.version(ctx, c, v, tag, w)
	}
	return failed(problem("no-version"))
}

// version answers one version, or that the client has it already (FHIR R4 http
// "cread"). If-None-Match wins over If-Modified-Since (RFC 9110, 13.2.2).
func (h *Handler) version(ctx context.Context, c *call, v *record.Version, tag string, w view) result {
	res := result{status: http.StatusOK, key: v.Key, tag: tag, modified: v.Updated()}
	known := c.ifNoneMatch.any || c.ifNoneMatch.has(tag)
	if !c.ifNoneMatch.given && c.ifModifiedSince != "" {
		known = notSince(c.ifModifiedSince, res.modified)
	}
	if known {
		res.status = http.StatusNotModified
		return res
	}
	content, p := shown(v, tag)
	if p != nil {
		return failed(p)
	}
	if p := h.looked(ctx, c, "read", v.Key); p != nil {
		return failed(p)
	}
	res.resource, res.weight = w.of(content), len(v.Content)
	return res
}

// past is what a history asks for: versions stamped at or after since, count to
// a page, from an opaque page on. used is for the self link.
type past struct {
	since time.Time
	count int
	page  string
	used  []param
}

// past reads a history's parameters (FHIR R4 http "history"). _count=0 would page
// for ever, so a page has at least one version.
func (h *Handler) past(c *call) (out past, p *Problem) {
	out.count = someCount
	for _, q := range c.query {
		switch {
		case q.name == "_count":
			if out.count, p = parseCount(q.value); p != nil {
				return out, p
			}
			out.count = max(out.count, 1)
			out.used = append(out.used, param{name: "_count", value: strconv.Itoa(out.count)})
		case q.name == "_since":
			low, _, ok := fhir.DateRange(q.value, time.UTC)
			if !ok {
				return out, problem("bad-search").in("_since")
			}
			out.since = time.UnixMilli(low)
			out.used = append(out.used, q)
		case q.name == pageParam:
			out.page = q.value
		case q.name == "_at" || q.name == "_list": // to ignore them would answer another question
			return out, problem("unsupported-parameter").in(q.name)
		case !passive(q.name) && c.prefer.strict:
			return out, problem("unknown-parameter")
		}
	}
	return out, nil
}

// history is that of one record: a page goes on behind the version that the
// last one ended with, so that new versions shift nothing.
func (h *Handler) history(ctx context.Context, c *call) result {
	ask, p := h.past(c)
	if p != nil {
		return failed(p)
	}
	if s, p := current(h.o.Backend, c.key); s == nil {
		return failed(p)
	}
	list, err := h.o.Past.History(c.key)
	if err != nil {
		return failed(fromStore(err))
	}
	var all, page []*record.Version
	for _, v := range list {
		if ask.since.IsZero() || !v.Updated().Before(ask.since) {
			all = append(all, v)
		}
	}
	from := 0
	if ask.page != "" {
		if from = 1 + index(all, ask.page); from == 0 {
			return failed(problem("bad-page"))
		}
	}
	page = all[from:min(len(all), from+ask.count)]
	next := ""
	if from+len(page) < len(all) {
		next = page[len(page)-1].Name.String()
	}
	return h.versions(ctx, c, ask, page, next, len(all))
}

// index finds a version by its name; -1 when it is not there any more.
func index(list []*record.Version, name string) int {
	for i, v := range list {
		if v.Name.String() == name {
			return i
		}
	}
	return -1
}

// historyAll is that of a kind, or of all, in the order in which the replica
// came to hold the versions.
func (h *Handler) historyAll(ctx context.Context, c *call) result {
	ask, p := h.past(c)
	if p != nil {
		return failed(p)
	}
	q := store.Since{Limit: ask.count, Page: ask.page}
	if c.key.Kind != "" {
		q.Kinds = []string{c.key.Kind}
	}
	if !ask.since.IsZero() {
		q.After = ask.since.UnixMilli()
	}
	list, next, err := h.o.Past.HistoryAll(q)
	if err != nil {
		return failed(fromStore(err))
	}
	return h.versions(ctx, c, ask, list, next, -1)
}

// versions makes a history Bundle; total is left out where it is negative.
// Deleted records are told to the audit too: their ids were shown.
func (h *Handler) versions(ctx context.Context, c *call, ask past, list []*record.Version, next string, total int) result {
	path := "/_history"
	if c.key.ID != "" {
		path = "/" + c.key.String() + path
	} else if c.key.Kind != "" {
		path = "/" + c.key.Kind + path
	}
	return h.told(ctx, c, path, ask.used, list, next, total)
}

// told makes a Bundle of versions that stand at a path.
func (h *Handler) told(ctx context.Context, c *call, path string, used []param, list []*record.Version, next string, total int) result {
	res := result{status: http.StatusOK}
	var entries []*fhir.Value
	var keys []record.Key
	for _, v := range list {
		e, p := h.entryOf(v)
		if p != nil {
			return failed(p)
		}
		entries, keys = append(entries, e), append(keys, v.Key)
		res.weight += len(v.Content)
	}
	if p := h.looked(ctx, c, "history", keys...); p != nil {
		return failed(p)
	}
	res.resource = bundleOf("history", total, h.links(path, used, next), entries)
	return res
}

// entryOf is one version as an entry of a history. Every version but a deletion is told as
// a PUT: done again elsewhere, it keeps the id.
func (h *Handler) entryOf(v *record.Version) (*fhir.Value, *Problem) {
	tag := v.Name.String()
	method, status := "PUT", http.StatusOK
	var content *fhir.Value
	if v.Deleted {
		method, status = "DELETE", http.StatusNoContent
	} else {
		var p *Problem
		if content, p = shown(v, tag); p != nil {
			return nil, p
		}
		if v.Base.IsZero() {
			status = http.StatusCreated
		}
	}
	return fhir.NewObject(
		fhir.Field{Name: "fullUrl", Value: fhir.NewString(h.o.Base + "/" + v.Key.String())},
		fhir.Field{Name: "resource", Value: content},
		fhir.Field{Name: "request", Value: fhir.NewObject(
			fhir.Field{Name: "method", Value: fhir.NewString(method)},
			fhir.Field{Name: "url", Value: fhir.NewString(v.Key.String())})},
		fhir.Field{Name: "response", Value: fhir.NewObject(
			fhir.Field{Name: "status", Value: fhir.NewString(statusLine(status))},
			fhir.Field{Name: "etag", Value: fhir.NewString(etag(tag))},
			fhir.Field{Name: "lastModified", Value: fhir.NewString(instant(v.Updated()))})}), nil
}

// statusLine is Bundle.entry.response.status: the code, and the phrase for people.
func statusLine(code int) string { return strconv.Itoa(code) + " " + http.StatusText(code) }

// parseCount reads _count. More than maxCount is no error: a server may always
// return fewer (FHIR R4 search "count").
func parseCount(s string) (int, *Problem) {
	n, err := strconv.Atoi(s)
	if n < 0 || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, problem("bad-search").in("_count")
	}
	return min(n, maxCount), nil
}
