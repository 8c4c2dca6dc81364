package rest

import (
	"context"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// Taken says what became of a resource or Bundle that was taken in.
type Taken struct {
	Created, Updated, Unchanged, Deleted int
	// IDs maps what got another id here: "Kind/id", or the fullUrl of an entry
	// whose resource bears no id, to "Kind/id" as it is now.
	IDs map[string]string
	// Keys are the records in the order of the entries.
	Keys []record.Key
}

// Take writes one resource, or what a Bundle holds, in whole or not at all.
//
// A resource with an id keeps it, creating or updating its record; one without
// gets a new id. Of a collection, searchset or document the entries are taken
// likewise. A transaction or batch is carried out as a transaction, its reads
// left out: what it creates gets new ids. A Bundle of any other type is a
// record like others. Every error is a *Problem. Conditional creates of calls
// to Take that run side by side do not see each other; those of one Handler do.
func Take(ctx context.Context, b Backend, r4 *fhir.R4, author string, resource *fhir.Value) (Taken, error) {
	return (&desk{b: b, r4: r4}).take(ctx, author, resource)
}

// Take is the function Take in turn with what the Handler itself writes.
func (h *Handler) Take(ctx context.Context, author string, resource *fhir.Value) (Taken, error) {
	return h.desk.take(ctx, author, resource)
}

func (d *desk) take(ctx context.Context, author string, resource *fhir.Value) (Taken, error) {
	ops, p := d.unpack(resource)
	if p == nil {
		sorted := append([]*op(nil), ops...)
		inOrder(sorted)
		p = d.commit(ctx, author, sorted)
	}
	if p != nil {
		return Taken{}, p
	}
	out := Taken{IDs: map[string]string{}}
	for _, o := range ops {
		out.count(o)
	}
	return out, nil
}

// count adds what became of one write. A write that made no version shows the
// tag that was there before.
func (t *Taken) count(o *op) {
	t.Keys = append(t.Keys, o.key)
	switch {
	case o.action == doDelete && o.write >= 0:
		t.Deleted++
	case o.write < 0 || o.shown != nil && o.shown.Tag() == o.tag:
		t.Unchanged++
	case o.shown == nil:
		t.Created++
	default:
		t.Updated++
	}
	if o.action == doDelete {
		return
	}
	was := o.fullURL
	if id := o.resource.Str("id"); id != "" {
		was = o.key.Kind + "/" + id
	}
	if now := o.key.String(); was != "" && was != now {
		t.IDs[was] = now
	}
}

// unpack makes the writes that a resource stands for.
func (d *desk) unpack(resource *fhir.Value) ([]*op, *Problem) {
	entries := fhir.Entries(resource)
	kind := ""
	if resource.Str("resourceType") == "Bundle" {
		kind = resource.Str("type")
	}
	if len(entries) > maxEntries {
		return nil, problem("too-many-entries")
	}
	var ops []*op
	var p *Problem
	switch kind {
	case "transaction", "batch":
		ops, p = d.unpackRequests(entries)
	case "collection", "searchset", "document":
		ops, p = d.unpackContents(entries)
	default:
		c, p := d.keeping(resource)
		if p != nil {
			return nil, p
		}
		return []*op{{call: c}}, nil
	}
	if p == nil && len(ops) == 0 {
		p = problem("nothing")
	}
	return ops, p
}

// unpackRequests reads the entries of a transaction or batch, without its reads.
func (d *desk) unpackRequests(entries []fhir.Entry) (ops []*op, p *Problem) {
	for i, e := range entries {
		e.URL = d.local(e.URL)
		c, p := entryCall(d.r4, d.base, e, i)
		if p != nil {
			return nil, p
		}
		if c.action == doCreate || c.action == doUpdate || c.action == doDelete {
			ops = append(ops, &op{call: c, refs: true})
		}
	}
	return ops, nil
}

// local cuts the base of another server off an address: a file may come from
// any.
func (d *desk) local(address string) string {
	path, query, asks := strings.Cut(address, "?")
	if !strings.Contains(path, "://") {
		return address
	}
	seg := strings.Split(path, "/")
	n := len(seg) - 1
	switch {
	case d.r4.IsKind(seg[n]):
		path = seg[n]
	case d.r4.IsKind(seg[n-1]):
		path = seg[n-1] + "/" + seg[n]
	}
	if asks {
		path += "?" + query
	}
	return path
}

// unpackContents takes equal copies of one record once, as search results hold them.
func (d *desk) unpackContents(entries []fhir.Entry) (ops []*op, p *Problem) {
	seen := map[record.Key]*op{}
	for i, e := range entries {
		if e.Resource == nil || e.Mode == "outcome" {
			continue
		}
		c, p := d.keeping(e.Resource)
		if p != nil {
			return nil, p.in(at(i))
		}
		c.at, c.fullURL = at(i), e.FullURL
		o := &op{call: c, refs: true, keep: c.action == doUpdate}
		if first := seen[c.key]; first != nil && c.key.ID != "" {
			if !fhir.Equal(stripped(first.resource), stripped(c.resource)) {
				return nil, problem("twice").in(at(i))
			}
			continue
		}
		seen[c.key] = o
		ops = append(ops, o)
	}
	return ops, nil
}

// keeping is the call that writes a resource under its own id, or a new one
// where it has none.
func (d *desk) keeping(resource *fhir.Value) (*call, *Problem) {
	kind := resource.Str("resourceType")
	if kind == "" {
		return nil, problem("not-a-resource")
	}
	if !d.r4.IsKind(kind) {
		return nil, problem("unknown-kind")
	}
	c := &call{action: doCreate, key: record.Key{Kind: kind}, resource: resource}
	if id := resource.Get("id"); id != nil {
		c.action, c.key.ID = doUpdate, id.Text
		if id.Shape != fhir.String || !record.ValidID(id.Text) {
			return nil, problem("bad-id")
		}
	}
	return c, nil
}
