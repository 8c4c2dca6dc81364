package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"tram/store/fhir"
	"tram/store/record"
)

// tries is how often a write that another overtook is planned anew.
const tries = 8

// desk plans writes against what is shown and makes them in one Put. When a
// record moved in between, the plan is made again: that finds a precondition
// broken, or a write that asked for none goes over the newer state.
type desk struct {
	b     Backend
	r4    *fhir.R4
	bases func() []string // under which references mean records here
	// only lets a conditional write search and write with no other write of this
	// desk in between; plain writes share it.
	only sync.RWMutex
}

// op is one write of a plan.
type op struct {
	*call
	refs  bool // rewrite references, as a transaction does
	found bool // the key comes from a search, which every try repeats

	asked   string // its condition; "" for none
	born    string // the id drawn for a birth, the same in every try
	status  int
	shown   *record.Stand // before the write; nil where there was none
	joins   *op           // an earlier op of the plan that made what this one asks for
	write   int           // its place among the writes; -1 for none
	version *record.Version
	tag     string
}

// conditional says whether carrying out the op takes a search.
func (o *op) conditional() bool {
	return o.ifNoneExist != "" || o.key.ID == "" && o.action != doCreate
}

// maySearch holds a conditional write against what its caller may: it tells what is here.
func (c *call) maySearch(o *op) *Problem {
	if o.conditional() {
		return c.may('s', c.key.Kind)
	}
	return nil
}

// commit carries out all ops or none. Keys, states and tags are in the ops then.
func (d *desk) commit(ctx context.Context, by Caller, ops []*op) *Problem {
	lock, unlock := d.only.RLock, d.only.RUnlock
	for _, o := range ops {
		if o.conditional() || o.refs && asksForRefs(o.resource) {
			lock, unlock = d.only.Lock, d.only.Unlock
			break
		}
	}
	lock()
	defer unlock()
	for range tries {
		writes, p := d.plan(ops, by)
		if p != nil {
			return p
		}
		var made []*record.Version
		var err error
		if len(writes) > 0 {
			made, err = d.b.Put(ctx, writes...)
		}
		switch {
		case err == nil:
			return d.settle(ops, made)
		case errors.Is(err, record.ErrStale), errors.Is(err, record.ErrExists), errors.Is(err, record.ErrDeleted), errors.Is(err, record.ErrMoved):
			continue
		default:
			return fromStore(err)
		}
	}
	return problem("busy")
}

// settle tells each op which version stands for it now.
func (d *desk) settle(ops []*op, made []*record.Version) *Problem {
	for _, o := range ops {
		switch {
		case o.write >= 0 && o.write < len(made) && made[o.write] != nil:
			o.version = made[o.write]
			o.tag = o.version.Name.String()
			if o.tag == "" && o.shown != nil { // a preview that already held the content
				o.tag = o.shown.Tag()
			}
		case o.write >= 0:
			return problem("internal").because(errors.New("a write without a version"))
		case o.joins != nil:
			o.version, o.tag = o.joins.version, o.joins.tag
		case o.shown != nil:
			o.version, o.tag = o.shown.Shown, o.shown.Tag()
		}
	}
	return nil
}

// change carries out one create, update or delete.
func (h *Handler) change(ctx context.Context, c *call) result {
	o := &op{call: c}
	if p := c.maySearch(o); p != nil {
		return failed(p)
	}
	if p := h.desk.commit(ctx, c.by, []*op{o}); p != nil {
		return failed(h.tried(ctx, p, o))
	}
	return h.changed(ctx, o, c.prefer.ret)
}

// tried leaves word of patches that fit no record: that tells what does not stand there.
func (h *Handler) tried(ctx context.Context, p *Problem, ops ...*op) *Problem {
	for _, o := range ops {
		if p.Code == "patch-failed" && o.action == doPatch && o.shown != nil {
			if not := h.looked(ctx, o.call, "read", o.key); not != nil {
				return not
			}
		}
	}
	return p
}

// changed is the answer to a write that was made. What the caller did not send itself, such as
// the rest of a patched record, is shown to who may read it, and that is told first.
func (h *Handler) changed(ctx context.Context, o *op, ret string) result {
	res := result{status: o.status, key: o.key, tag: o.tag}
	if o.version != nil {
		res.modified = o.version.Updated()
	}
	if o.action == doDelete {
		if ret == "OperationOutcome" {
			res.status, res.resource = http.StatusOK, done("deleted")
		}
		return res
	}
	res.located = true
	sent := (o.action == doCreate || o.action == doUpdate) && o.write >= 0
	shows := !sent && ret != "minimal" && ret != "OperationOutcome" && o.may('r', o.key.Kind) == nil
	same := o.shown != nil && o.tag == o.shown.Tag() // which leaves no trace of who asked
	if shows || !sent && same {
		if p := h.looked(ctx, o.call, "read", o.key); p != nil {
			return failed(p)
		}
	}
	if !sent && !shows && ret != "OperationOutcome" {
		ret = "minimal"
	}
	switch ret {
	case "minimal":
	case "OperationOutcome":
		res.resource = done("saved")
	default:
		var p *Problem
		if res.resource, p = shown(o.version, o.tag); p != nil {
			return failed(p)
		}
		res.weight = len(o.version.Content)
	}
	return res
}

// done is the OperationOutcome of a success.
func done(code string) *fhir.Value {
	p := problem(code)
	return outcomeOf(issue("information", "informational", code, p.Text("en"), ""))
}
