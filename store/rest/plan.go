package rest

import (
	"net/http"
	"slices"
	"strings"

	"tram/store"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// plan finds out which record each op means, whether it may, and what is to be
// written. It changes nothing but the ops.
func (d *desk) plan(ops []*op, by Caller) ([]store.Write, *Problem) {
	n := names{desk: d, by: by, bases: d.bases(), to: map[string]string{}, local: map[string]string{}, asked: map[string]string{}}
	born := map[string]*op{} // births of this plan under a condition, by what they asked
	taken := map[record.Key]action{}
	for _, o := range ops {
		if p := d.meet(o, born); p != nil {
			return nil, p.in(o.at)
		}
		// Two writes of one record have no order, and what is deleted here cannot
		// be the match of a condition (FHIR R4 http "transaction").
		if was := taken[o.key]; was != doNothing && (o.write == 0 || was == doDelete && o.action != doDelete) {
			return nil, problem("twice").in(o.at)
		}
		if o.write == 0 {
			taken[o.key] = o.action
		}
	}
	for _, o := range ops { // all names first: entries refer forward too
		if p := n.learn(o); p != nil {
			return nil, p.in(o.at)
		}
	}
	var writes []store.Write
	for _, o := range ops {
		if o.write < 0 {
			continue
		}
		w := store.Write{Key: o.key, Base: o.basis(), Author: by.Author, Delete: o.action == doDelete}
		if !w.Delete {
			content, p := n.rewrite(named(stripped(o.resource), o.key.ID), o)
			if p != nil {
				return nil, p.in(o.at)
			}
			if issues := d.r4.Check(content); len(issues) > 0 {
				return nil, invalid(issues, o.at)
			}
			w.Content = content.Bytes()
		}
		o.write = len(writes)
		writes = append(writes, w)
	}
	return writes, nil
}

// meet settles an op's key, its status and whether it writes (write 0) or not
// (write -1).
func (d *desk) meet(o *op, born map[string]*op) *Problem {
	o.write, o.shown, o.joins, o.asked = 0, nil, nil, ""
	if o.action == doCreate || o.action == doUpdate {
		if p := d.fits(o); p != nil {
			return p
		}
	}
	if o.action == doCreate {
		return d.meetCreate(o, born)
	}
	if o.key.ID == "" || o.found {
		if done, p := d.meetMatch(o, born); done || p != nil {
			return p
		}
	} else {
		s, p := current(d.b, o.key)
		if p != nil && p.Code != "not-found" && p.Code != "gone" {
			return p
		}
		o.shown = s
	}
	exists := o.shown != nil && !o.shown.Shown.Deleted
	if p := o.preconditions(exists); p != nil {
		return p
	}
	switch {
	case o.action == doPatch && o.shown == nil:
		return problem("not-found")
	case o.action == doPatch && !exists:
		return problem("gone")
	case o.action == doPatch:
		v, p := patched(o.shown, o.patch)
		o.resource, o.status = v, http.StatusOK
		return p
	case o.action == doDelete && !exists: // FHIR R4 http "delete": done already
		o.status, o.write = http.StatusNoContent, -1
	case o.action == doDelete:
		o.status = http.StatusNoContent
	case exists && partial(o.resource):
		return problem("partial")
	case exists:
		o.status = http.StatusOK
	default:
		o.status = http.StatusCreated // also over a tombstone: RFC 9110, 9.3.4
	}
	return nil
}

// fits says whether the resource is of the kind and bears the id of its address.
// The id of a birth is ignored.
func (d *desk) fits(o *op) *Problem {
	kind := o.resource.Str("resourceType")
	id := o.resource.Get("id")
	switch {
	case kind == "":
		return problem("not-a-resource")
	case kind != o.key.Kind:
		return problem("other-kind")
	case o.action == doCreate:
		return nil
	case o.key.ID != "" && !o.found && o.resource.Str("id") != o.key.ID:
		return problem("other-id")
	case id != nil && (id.Shape != fhir.String || !record.ValidID(id.Text)):
		return problem("bad-id")
	}
	return nil
}

// meetCreate gives a birth its id, or finds that If-None-Exist makes it none
// (FHIR R4 http "ccreate").
func (d *desk) meetCreate(o *op, born map[string]*op) *Problem {
	o.status = http.StatusCreated
	if o.ifNoneExist != "" {
		o.key.ID = ""
		asks, p := parseQuery(o.ifNoneExist)
		if p != nil {
			return p
		}
		o.asked = condition(o.key.Kind, asks)
		s, p := d.match(o.key.Kind, asks)
		if p != nil {
			return p
		}
		switch first := born[o.asked]; {
		case s != nil:
			o.key, o.shown, o.status, o.write = s.Key, s, http.StatusOK, -1
			return nil
		case first != nil: // as if the ops were carried out one after the other
			o.key, o.joins, o.status, o.write = first.key, first, http.StatusOK, -1
			return nil
		}
		born[o.asked] = o
	}
	if o.born == "" {
		o.born = d.b.NewID()
	}
	o.key.ID = o.born
	return nil
}

// meetMatch finds the one record that a conditional update or delete means
// (FHIR R4 http "cond-update"). Where none matches, an update is a birth, under
// the id of the resource if it has one; done says that nothing is left to do. What the plan
// bears already under the condition is what matches: to write it a second time is refused.
func (d *desk) meetMatch(o *op, born map[string]*op) (done bool, p *Problem) {
	o.found, o.key.ID, o.asked = true, "", condition(o.key.Kind, o.query)
	s, p := d.match(o.key.Kind, o.query)
	if p != nil {
		return true, p
	}
	id := ""
	if o.action == doUpdate {
		id = o.resource.Str("id")
	}
	switch {
	case s != nil && id != "" && id != s.Key.ID:
		return true, problem("other-id")
	case s != nil:
		o.key, o.shown = s.Key, s
		return false, nil
	case o.action == doDelete:
		o.status, o.write = http.StatusNoContent, -1
		return true, nil
	case born[o.asked] != nil:
		return true, problem("twice")
	case o.action == doPatch:
		return true, problem("not-found")
	}
	if born[o.asked] = o; id == "" {
		if o.born == "" {
			o.born = d.b.NewID()
		}
		o.key.ID = o.born
		return false, nil
	}
	o.key.ID = id
	if s, p := current(d.b, o.key); p == nil {
		return true, problem("id-taken")
	} else if p.Code == "gone" {
		o.shown = s
	} else if p.Code != "not-found" {
		return true, p
	}
	return false, nil
}

// condition names what a conditional write asks, however it is written.
func condition(kind string, asks []param) string {
	var parts []string
	for _, q := range asks {
		if !passive(q.name) {
			parts = append(parts, q.name+":"+q.modifier+"="+q.value)
		}
	}
	slices.Sort(parts)
	return kind + "?" + strings.Join(parts, "\x00") // which no value holds
}

// match finds at most one record by a condition.
func (d *desk) match(kind string, asks []param) (*record.Stand, *Problem) {
	found, p := d.found(kind, asks, 2)
	switch {
	case p != nil:
		return nil, p
	case found.Total > 1 || len(found.Stands) > 1:
		return nil, problem("many-matches")
	case len(found.Stands) == 1:
		return found.Stands[0], nil
	}
	return nil, nil
}

// found is what meets a condition. Nothing in it may be ignored: it decides what is
// written.
func (d *desk) found(kind string, asks []param, limit int) (none store.Result, p *Problem) {
	q := query.Query{Kind: kind, Limit: limit}
	bases := d.bases()
	for _, one := range asks {
		if passive(one.name) {
			continue
		}
		c, known, p := clause(d.r4, bases, kind, one)
		if p != nil {
			return none, p
		}
		if !known || one.value == "" {
			return none, problem("bad-condition")
		}
		q.Clauses = append(q.Clauses, c)
	}
	if len(q.Clauses) == 0 {
		return none, problem("bad-condition")
	}
	found, err := d.b.Search(q)
	if err != nil {
		return none, fromStore(err)
	}
	return found, nil
}

// preconditions checks If-Match and If-None-Match (RFC 9110, 13.1).
func (o *op) preconditions(exists bool) *Problem {
	tag := ""
	if o.shown != nil {
		tag = o.shown.Tag()
	}
	m, n := o.ifMatch, o.ifNoneMatch
	switch {
	case m.given && m.any && !exists, m.given && !m.any && (tag == "" || !m.has(tag)):
		return problem("stale")
	case n.given && exists && (n.any || n.has(tag)):
		return problem("exists")
	}
	return nil
}

// basis is the version that the write is made from. Without If-Match FHIR
// allows to write over whatever is shown.
func (o *op) basis() string {
	switch {
	case o.shown == nil:
		return ""
	case o.action == doPatch || o.ifMatch.given || o.ifNoneMatch.given || o.shown.Shown.Deleted:
		return o.shown.Tag()
	}
	return "*"
}

// names maps what the entries of a transaction are called in it to what they
// are called here.
type names struct {
	desk  *desk
	by    Caller
	bases []string
	to    map[string]string // fullUrl -> Kind/id
	local map[string]string // Kind/id of a body whose id was not kept -> Kind/id
	asked map[string]string // a condition -> Kind/id
}

// learn notes what an entry is called.
func (n names) learn(o *op) *Problem {
	if !o.refs || o.action == doDelete || o.action == doPatch {
		return nil
	}
	here := o.key.String()
	if o.fullURL != "" {
		if was, ok := n.to[o.fullURL]; ok && was != here {
			return problem("same-url")
		}
		n.to[o.fullURL] = here
	}
	if o.asked != "" {
		n.asked[o.asked] = here
	}
	if id := o.resource.Str("id"); id != "" && id != o.key.ID {
		n.local[o.key.Kind+"/"+id] = here
	}
	return nil
}

// rewrite makes references under our own address relative, and those of a transaction's
// entry point to where the entries are now (FHIR R4 http "transaction", bundle "references").
func (n names) rewrite(v *fhir.Value, o *op) (*fhir.Value, *Problem) {
	var bad *Problem
	root := strings.TrimSuffix(o.fullURL, o.resource.Str("resourceType")+"/"+o.resource.Str("id"))
	if root == o.fullURL {
		root = ""
	}
	v = n.desk.r4.RewriteRefs(v, func(literal string) string {
		plain, fragment, _ := strings.Cut(literal, "#")
		if fragment != "" {
			fragment = "#" + fragment
		}
		if to, ok := n.to[plain]; ok {
			return to + fragment
		}
		if root != "" {
			if to, ok := n.to[root+plain]; ok {
				return to + fragment
			}
		}
		literal, plain = relative(n.bases, literal), relative(n.bases, plain)
		// A relative reference means the entry of that name only where no record here bears it.
		if to, ok := n.local[plain]; ok {
			if key, err := record.ParseKey(plain); err == nil {
				if _, p := current(n.desk.b, key); p != nil && p.Code == "not-found" {
					return to + fragment
				}
			}
		}
		if !o.refs || !strings.Contains(literal, "?") {
			return literal
		}
		to, p := n.conditional(literal)
		if p != nil && bad == nil {
			bad = p
		}
		return to
	})
	return v, bad
}

// conditional resolves "Kind?criteria" to the one record that meets it, or that
// the transaction creates under the same condition. Another literal stays.
func (n names) conditional(literal string) (string, *Problem) {
	kind, criteria, _ := strings.Cut(literal, "?")
	if !n.desk.r4.IsKind(kind) {
		return literal, nil
	}
	asks, p := parseQuery(criteria)
	if p != nil {
		return literal, p
	}
	asked := condition(kind, asks)
	if to, ok := n.asked[asked]; ok {
		return to, nil
	}
	if p := (&call{by: n.by}).may('s', kind); p != nil {
		return literal, p
	}
	s, p := n.desk.match(kind, asks)
	if p != nil {
		return literal, p
	}
	if s == nil {
		return literal, problem("no-match")
	}
	n.asked[asked] = s.Key.String()
	return n.asked[asked], nil
}

// asksForRefs says whether a resource holds a conditional reference.
func asksForRefs(v *fhir.Value) bool {
	if v == nil {
		return false
	}
	for _, f := range v.Fields {
		if f.Name == "reference" && strings.Contains(f.Value.Text, "?") || asksForRefs(f.Value) {
			return true
		}
	}
	for _, x := range v.Items {
		if asksForRefs(x) {
			return true
		}
	}
	return false
}
