package simnet

import (
	"fmt"
	"maps"
	"slices"

	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
	"tram/store/scope"
)

// facts are what a record says, each as a path and a value; the order of lists, ids and
// meta are none.
func facts(content map[string]any) []string {
	var out []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, in := range v {
				if path != "" || k != "id" && k != "meta" {
					walk(path+"/"+k, in)
				}
			}
		case []any:
			for _, in := range v {
				walk(path, in)
			}
		default:
			out = append(out, fmt.Sprint(path, "=", v))
		}
	}
	walk("", content)
	slices.Sort(out)
	return out
}

// says are the facts of a record at a replica; nil where it is not there.
func says(r *replica, key record.Key) []string {
	st, err := r.Get(key)
	if err != nil {
		return nil
	}
	if st.Shown.Deleted {
		return []string{"deleted"}
	}
	out := facts(decode(st.Shown.Content))
	for _, c := range st.Shown.Conflicts() {
		for _, cand := range c.Values {
			out = append(out, "contested: "+string(cand.Value))
		}
	}
	slices.Sort(out)
	return out
}

// want are the facts of a record as it must stand in the end; nil where it must not be
// there.
func (p *play) want(birth int) []string {
	if !p.alive(birth) {
		return nil
	}
	content := decode(p.entries[birth].content)
	var rivals []int
	for i, e := range p.entries {
		switch {
		case e.on != birth || !p.alive(i) || e.over:
		case e.kind == tDelete:
			return []string{"deleted"}
		case e.kind == tRival || e.kind == tOther:
			rivals = append(rivals, i)
		case e.kind != tBirth && e.kind != tObserve && e.kind != tGrant:
			e.fill(content)
		}
	}
	var contested []string
	for _, i := range rivals {
		e := p.entries[i]
		if len(rivals) == 1 {
			e.fill(content)
			continue
		}
		value := map[string]any{}
		e.fill(value)
		contested = append(contested, "contested: "+string(encode(value)))
	}
	out := append(facts(content), contested...)
	slices.Sort(out)
	return out
}

// holders are the stations that must hold a record in the end.
func (p *play) holders(birth int) map[string]bool {
	out := map[string]bool{}
	e := p.entries[birth]
	if e.kind == tObserve {
		out = p.holders(e.after[0])
		out[e.at] = true
	}
	switch {
	case birth < firsts:
		out["a"], out["b"] = true, true
	case e.at != "centre":
		out[e.at[:1]] = true
	}
	for i, g := range p.entries {
		if g.kind == tGrant && g.on == birth && p.alive(i) {
			out[g.slot] = true
		}
	}
	delete(out, "centre")
	return out
}

// births are the tasks with which records begin.
func (p *play) births() []int {
	var out []int
	for i, e := range p.entries {
		if e.kind == tBirth || e.kind == tObserve {
			out = append(out, i)
		}
	}
	return out
}

// allThere holds that every replica shows every record that it must hold just as people
// left it, and nothing else.
func (p *play) allThere() {
	expected := map[string]map[record.Key]bool{}
	for _, r := range p.everybody() {
		expected[r.label] = map[record.Key]bool{}
	}
	for _, birth := range p.births() {
		want, holders := p.want(birth), p.holders(birth)
		key := p.entries[birth].key
		for _, r := range p.everybody() {
			should := want
			if r != p.centre && !holders[r.name] {
				should = nil
			}
			expected[r.label][key] = should != nil
			if got := says(r, key); !slices.Equal(got, should) {
				p.bad("%s has of %s (task %d)\n    %v\n  instead of\n    %v", r.label, key, birth, got, should)
			}
		}
	}
	for _, r := range p.everybody() {
		for _, kind := range []string{"Patient", "Observation", "ServiceRequest"} {
			for _, st := range p.all(r, kind) {
				if !expected[r.label][st.Key] {
					p.bad("%s has %s, which nobody told it of", r.label, st.Key)
				}
			}
		}
		p.scopes(r)
	}
}

// all are the records of a kind that a replica shows.
func (p *play) all(r *replica, kind string) []*record.Stand {
	res, err := r.Search(query.Query{Kind: kind, Limit: query.MaxLimit})
	if err != nil || res.Total > len(res.Stands) {
		p.bad("%s cannot list its %d of %s: %v", r.label, res.Total, kind, err)
	}
	return res.Stands
}

// scopes holds that one record at most says which stations hold a person.
func (p *play) scopes(r *replica) {
	of := map[string]int{}
	for _, st := range p.all(r, "Basic") {
		if subject := scopeOf(st.Shown); subject != "" {
			if of[subject]++; of[subject] == 2 {
				p.bad("%s has two records of the stations of %s", r.label, subject)
			}
		}
	}
}

// scopeOf is whose stations a version names; "" where it is no scope record.
func scopeOf(v *record.Version) string {
	content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
	if err != nil || v.Deleted || !scope.Is(content) {
		return ""
	}
	return content.Get("subject").Str("reference")
}

// survives reports whether what came of a task is at some replica.
func (p *play) survives(e *entry, have func(record.Key) map[string]bool) bool {
	switch e.kind {
	case tDelete:
		return slices.ContainsFunc(p.everybody(), func(r *replica) bool {
			st, err := r.Get(e.key)
			return err == nil && st.Shown.Deleted
		})
	case tGrant:
		all, err := p.centre.ScopeOf(e.key)
		return err == nil && slices.Contains(all, e.slot)
	}
	return have(e.key)[e.value]
}

// takeStock finds what is nowhere any more, right after something was put back.
func (p *play) takeStock() (destroyed int) {
	later, have := map[int]bool{}, p.surviving()
	for i, e := range slices.Backward(p.entries) {
		if !e.done {
			continue
		}
		if !later[i] && !e.lost && !p.survives(e, have) {
			e.lost = true
			destroyed++
		}
		if !e.lost && (e.kind == tSet || e.kind == tDecide) {
			for _, j := range e.after {
				later[j] = true
			}
		}
	}
	for i, e := range p.entries {
		e.over = later[i]
		switch {
		case e.kind == tGrant && e.lost: // it is said again
			e.lost, e.done = false, false
			p.waiting = append(p.waiting, i)
		case e.kind == tBirth && e.done && !e.lost && p.strange(e):
			destroyed++
			p.waiting = append(p.waiting, len(p.entries))
			p.entries = append(p.entries, &entry{task: task{kind: tGrant, at: "centre", on: i, slot: e.at}})
		}
	}
	for _, t := range p.model.missing(have) {
		t.gone = true
	}
	return destroyed
}

// strange reports whether neither the centre nor the station where a person was told of
// knows any more that it is that station's: somebody must say it again.
func (p *play) strange(e *entry) bool {
	if e.at == "centre" {
		return false
	}
	all, err := p.centre.ScopeOf(e.key)
	_, here := p.named(e.at).Get(e.key)
	return here != nil && (err != nil || !slices.Contains(all, e.at))
}

// receipted holds that all that was typed is at the centre, and that each station says
// so, by receipts that the centre can prove.
func (p *play) receipted() {
	for _, r := range p.stations {
		if r.green != p.model.restores {
			p.bad("%s never had its records proved equal since the centre was put back", r.label)
		}
		c, err := r.Waiting()
		if err != nil || c.Waiting+c.Parked > 0 {
			p.bad("%s has %d entries waiting and %d parked: %v", r.label, c.Waiting, c.Parked, err)
		}
		all, err := r.Receipts()
		p.fail(err)
		for _, have := range all {
			link, ok, err := p.centre.Chain(have.Lineage, have.N)
			if err != nil || !ok || link.Chain != have.Chain {
				p.bad("%s has a receipt for %s up to %d, which the centre cannot prove: %v", r.label, have.Lineage, have.N, err)
			}
		}
	}
	held, err := p.centre.Held()
	p.fail(err)
	for _, h := range held {
		if h.Key.Kind != "Basic" {
			p.bad("the centre did not take %s of %s: %s", h.Ref.Name, h.Key, h.Reason)
		}
	}
}

// texts are all records as they stand at the centre, by the task with which each began,
// names of records replaced by those tasks: what two runs of one script can be
// compared by.
func (p *play) texts() map[int][]string {
	label := map[string]string{}
	for _, i := range p.births() {
		if key := p.entries[i].key; !key.IsZero() {
			label["/subject/reference="+key.String()] = fmt.Sprintf("/subject=task %d", i)
		}
	}
	out := map[int][]string{}
	for _, i := range p.births() {
		all := says(p.centre, p.entries[i].key)
		for j, f := range all {
			if l, ok := label[f]; ok {
				all[j] = l
			}
		}
		slices.Sort(all)
		out[i] = all
	}
	return out
}

// differs names the records that are not as in a run without anything put back, of
// those of which nothing was destroyed and to which nobody added.
func (p *play) differs(reference map[int][]string) {
	touched := map[int]bool{}
	for i, e := range p.entries {
		if e.kind != tExchange && (!p.alive(i) || i >= p.script) {
			touched[e.on] = true
		}
	}
	now := p.texts()
	for _, i := range slices.Sorted(maps.Keys(reference)) {
		if !touched[i] && !slices.Equal(reference[i], now[i]) {
			p.bad("%s (task %d) says\n    %v\n  and without anything put back\n    %v", p.entries[i].key, i, now[i], reference[i])
		}
	}
}
