package rest

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tram/store/fhir"
)

// bundle carries out a transaction or a batch (FHIR R4 http "transaction").
func (h *Handler) bundle(ctx context.Context, c *call) result {
	if c.resource.Str("resourceType") != "Bundle" {
		return failed(problem("not-a-bundle"))
	}
	entries := fhir.Entries(c.resource)
	if len(entries) > maxEntries {
		return failed(problem("too-many-entries"))
	}
	switch c.resource.Str("type") {
	case "transaction":
		return h.transaction(ctx, c, entries)
	case "batch":
		return h.batch(ctx, c, entries)
	}
	return failed(problem("not-a-bundle"))
}

// batch carries out each entry by itself, in the order given. A client that went
// away stops it between two entries; what was answered so far is done.
func (h *Handler) batch(ctx context.Context, c *call, entries []fhir.Entry) result {
	left := maxAnswer
	bases := h.o.bases()
	answers := make([]*fhir.Value, len(entries))
	for i, e := range entries {
		one, p := entryCall(h.o.R4, bases, e, i)
		var res result
		switch {
		case p != nil:
			res = failed(p)
		case ctx.Err() != nil:
			res = failed(problem("cancelled"))
		default:
			one.by, one.prefer = c.by, inBundle(c.prefer)
			res = h.bounded(ctx, one, &left)
		}
		answers[i] = h.answer(res)
	}
	return result{status: http.StatusOK, resource: bundleOf("batch-response", -1, nil, answers)}
}

// transaction makes all writes in one Put, deletes first, then creates, then
// updates, and reads afterwards. What is wrong with the form of a read refuses
// the whole; whether it finds anything is told in its own entry.
func (h *Handler) transaction(ctx context.Context, c *call, entries []fhir.Entry) result {
	calls := make([]*call, len(entries))
	ops := make([]*op, len(entries))
	var writes []*op
	bases := h.o.bases()
	for i, e := range entries {
		one, p := entryCall(h.o.R4, bases, e, i)
		if p != nil {
			return failed(p)
		}
		one.by, one.prefer = c.by, inBundle(c.prefer)
		calls[i] = one
		if one.action == doResolve { // a decision is about what was seen, and made by itself
			return failed(problem("bad-entry").in(at(i)))
		}
		if one.writes() {
			ops[i] = &op{call: one, refs: true}
			p := h.allowed(one)
			if p == nil {
				p = one.maySearch(ops[i])
			}
			if p != nil {
				return failed(p.in(at(i)))
			}
			writes = append(writes, ops[i])
		}
	}
	inOrder(writes)
	if p := h.desk.commit(ctx, c.by, writes); p != nil {
		return failed(h.tried(ctx, p, writes...))
	}
	left := maxAnswer
	answers := make([]*fhir.Value, len(entries))
	for i := range entries {
		var res result
		if ops[i] != nil {
			res = h.changed(ctx, ops[i], calls[i].prefer.ret)
		} else {
			res = h.bounded(ctx, calls[i], &left)
		}
		answers[i] = h.answer(res)
	}
	return result{status: http.StatusOK, resource: bundleOf("transaction-response", -1, nil, answers)}
}

// inOrder sorts writes as a transaction demands: DELETE, POST, PUT and PATCH.
func inOrder(ops []*op) {
	rank := map[action]int{doDelete: 0, doCreate: 1, doUpdate: 2, doPatch: 2}
	slices.SortStableFunc(ops, func(a, b *op) int { return rank[a.action] - rank[b.action] })
}

// bounded carries out a call while what the Bundle's answer may hold lasts.
func (h *Handler) bounded(ctx context.Context, c *call, left *int) result {
	if *left <= 0 && !c.writes() {
		return failed(problem("too-costly"))
	}
	res := h.do(ctx, c)
	*left -= res.weight
	return res
}

// inBundle makes short answers the default: who sent the resources has them.
func inBundle(p prefer) prefer {
	if p.ret == "" {
		p.ret = "minimal"
	}
	return p
}

// entryCall reads Bundle.entry.request as a call.
func entryCall(r4 *fhir.R4, bases []string, e fhir.Entry, i int) (*call, *Problem) {
	c, p := entryRoute(r4, bases, e)
	if p == nil {
		c.at, c.fullURL = at(i), e.FullURL
		p = c.fillEntry(e)
	}
	if p != nil {
		return nil, p.in(at(i))
	}
	return c, nil
}

// entryRoute reads method and address. An address under our own base is ours;
// any other server's is not for us to write to.
func entryRoute(r4 *fhir.R4, bases []string, e fhir.Entry) (*call, *Problem) {
	address := relative(bases, e.URL)
	if e.Method == "" || address == "" || len(address) > maxURL || strings.Contains(address, "://") && !strings.Contains(address, "?") {
		return nil, problem("bad-entry")
	}
	path, query, _ := strings.Cut(address, "?")
	c, _, p := route(r4, e.Method, path)
	if p != nil {
		return nil, p
	}
	switch c.action {
	case doBundle, doExport, doExportStatus, doExportFile:
		return nil, problem("bad-entry")
	}
	if c.action == doSearch && e.Method == http.MethodPost {
		return nil, problem("bad-entry")
	}
	c.query, p = parseQuery(query)
	return c, p
}

// fillEntry reads the conditions and the resource; they mean what the headers of
// a request mean.
func (c *call) fillEntry(e fhir.Entry) (p *Problem) {
	if c.ifMatch, p = entryTags(e.IfMatch); p != nil {
		return p
	}
	if c.ifNoneMatch, p = entryTags(e.IfNoneMatch); p != nil {
		return p
	}
	c.ifNoneExist, c.ifModifiedSince = c.condition(e.IfNoneExist), httpDate(e.IfModifiedSince)
	if c.action == doPatch {
		c.patch, p = patchIn(e.Resource)
		return p
	}
	if c.asksByParameters() {
		if e.Resource == nil {
			return nil
		}
		return c.addParameters(e.Resource)
	}
	if c.method == http.MethodPost || c.method == http.MethodPut {
		if e.Resource == nil || e.Resource.Shape != fhir.Object {
			return problem("bad-entry")
		}
		c.resource = e.Resource
	}
	return nil
}

// entryTags reads an ifMatch or ifNoneMatch, which is absent when empty.
func entryTags(s string) (tags, *Problem) {
	if s == "" {
		return tags{}, nil
	}
	return parseTags([]string{s})
}

// at is the FHIRPath of a Bundle's entry.
func at(i int) string { return "Bundle.entry[" + strconv.Itoa(i) + "]" }

// answer makes a result an entry of the answering Bundle. An outcome stands in
// response.outcome, unless it is the very record that was asked for.
func (h *Handler) answer(res result) *fhir.Value {
	response := fhir.NewObject(fhir.Field{Name: "status", Value: fhir.NewString(statusLine(res.code()))})
	if res.located {
		response = response.With("location", fhir.NewString(res.location(h.o.Base)))
	}
	if res.tag != "" {
		response = response.With("etag", fhir.NewString(etag(res.tag)))
	}
	if !res.modified.IsZero() {
		response = response.With("lastModified", fhir.NewString(instant(res.modified)))
	}
	content := res.resource
	switch {
	case res.problem != nil:
		response, content = response.With("outcome", res.problem.outcome()), nil
	case content != nil && content.Str("resourceType") == "OperationOutcome" && res.key.Kind != "OperationOutcome":
		response, content = response.With("outcome", content), nil
	}
	entry := fhir.NewObject()
	if content != nil && !res.key.IsZero() {
		entry = entry.With("fullUrl", fhir.NewString(h.o.Base+"/"+res.key.String()))
	}
	return entry.With("resource", content).With("response", response)
}
