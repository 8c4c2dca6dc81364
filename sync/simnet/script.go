package simnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"tram/store"
	"tram/store/record"
)

// task is one thing that people do in the script, or an exchange. Every element has one
// setter after another who saw it, but for rivals, so that no order of arrival decides
// what comes of it.
type task struct {
	kind  string
	at    string // the replica's label
	on    int    // the task with which the record began
	slot  string // of the record; of a grant the station
	value string
	after []int // tasks that whoever does this one must have seen
}

// The kinds of tasks.
const (
	tBirth    = "birth"
	tObserve  = "observation"
	tAdd      = "addition"  // of an item to a list
	tSet      = "value"     // of an element that one after another sets
	tRival    = "rival"     // sets a safety element while the next task does
	tOther    = "other"     // the rival of the task before it
	tDecide   = "decision"  // between two rivals, for a third value
	tDelete   = "deletion"  // by one who saw everything
	tGrant    = "grant"     // of a person to a station
	tExchange = "exchanges" // of a station with the centre
)

const contestable = "multipleBirthInteger"

// lists and singles are elements that tasks fill. Items of those lists are told apart by
// what is in them, so that none ever stands in another's place.
func lists() []string {
	return []string{"identifier", "communication", "generalPractitioner", "photo"}
}

func singles() []string { return []string{"maritalStatus", "managingOrganization"} }

// fill puts a task's value into a record.
func (t *task) fill(content map[string]any) {
	text := map[string]any{"text": t.value}
	switch t.slot {
	case contestable:
		content[t.slot], _ = strconv.ParseFloat(t.value, 64)
	case "maritalStatus":
		content[t.slot] = text
	case "managingOrganization":
		content[t.slot] = map[string]any{"display": t.value}
	default:
		item := map[string]any{
			"identifier":          map[string]any{"system": "urn:of:" + t.kind + ":" + t.value[3:], "value": t.value},
			"generalPractitioner": map[string]any{"identifier": map[string]any{"value": t.value}},
			"communication":       map[string]any{"language": text},
			"photo":               map[string]any{"url": t.value},
			"note":                text,
		}[t.slot]
		content[t.slot] = append(list(content[t.slot]), item)
	}
}

// person is what the script knows of a record while it is drawn.
type person struct {
	birth    int
	holders  []string
	tasks    []int // on the record, and on what refers to it
	last     map[string]int
	rivals   int
	observed []int
}

// firstValue is the value of the first task; values of the worlds' own people are smaller.
const firstValue = 7_100_000

// firsts is how many people every world begins with.
const firsts = 3

// script draws n tasks, the same for the same seed. The first are the people whom every
// world has.
func script(seed uint64, n int) []task {
	d := drawing{rng: rand.New(rand.NewPCG(seed, 5))}
	for range firsts {
		d.begin(tBirth, "centre", []string{"centre", "a", "b"})
	}
	for len(d.tasks) < n {
		d.draw()
	}
	return d.tasks
}

// drawing is a script that is being drawn.
type drawing struct {
	rng    *rand.Rand
	tasks  []task
	people []*person
}

func (d *drawing) add(t task) int {
	t.value = fmt.Sprint(firstValue + len(d.tasks))
	d.tasks = append(d.tasks, t)
	return len(d.tasks) - 1
}

func (d *drawing) begin(kind, at string, holders []string) {
	i := d.add(task{kind: kind, at: at, on: len(d.tasks)})
	d.people = append(d.people, &person{birth: i, holders: holders, tasks: []int{i}, last: map[string]int{}, rivals: -1})
}

func (d *drawing) one(of []string) string { return of[d.rng.IntN(len(of))] }

// draw draws one task or two.
func (d *drawing) draw() {
	i := d.rng.IntN(len(d.people))
	p := d.people[i]
	at := d.one(p.holders)
	on := func(kind, slot string, after ...int) {
		p.tasks = append(p.tasks, d.add(task{kind: kind, at: at, on: p.birth, slot: slot, after: after}))
	}
	switch n := d.rng.IntN(30); {
	case n < 4:
		at := d.one([]string{"a", "a", "b", "centre"})
		d.begin(tBirth, at, slices.Compact([]string{"centre", at}))
	case n < 11:
		on(tAdd, d.one(lists()))
	case n < 14:
		slot := d.one(singles())
		var after []int
		if last, ok := p.last[slot]; ok {
			after = []int{last}
		}
		on(tSet, slot, after...)
		p.last[slot] = len(d.tasks) - 1
	case n < 16 && p.rivals < 0 && len(p.holders) > 1:
		other := d.one(slices.DeleteFunc(slices.Clone(p.holders), func(h string) bool { return h == at }))
		on(tRival, contestable)
		p.rivals = len(d.tasks) - 1
		at = other
		on(tOther, contestable)
	case n == 16 && p.rivals >= 0 && p.last[contestable] == 0:
		on(tDecide, contestable, p.rivals, p.rivals+1)
		p.last[contestable] = len(d.tasks) - 1
	case n < 20:
		p.tasks = append(p.tasks, d.add(task{kind: tObserve, at: at, on: len(d.tasks), after: []int{p.birth}}))
		p.observed = append(p.observed, len(d.tasks)-1)
	case n == 20 && len(p.observed) > 0:
		p.tasks = append(p.tasks, d.add(task{kind: tAdd, at: at, on: p.observed[0], slot: "note"}))
	case n == 21 && p.rivals < 0 && p.birth >= firsts:
		on(tDelete, "", p.tasks...)
		d.people = slices.Delete(d.people, i, i+1)
	case n == 22 && len(p.holders) < 3:
		at = "centre"
		to := "b"
		if slices.Contains(p.holders, "b") {
			to = "a"
		}
		on(tGrant, to)
		p.holders = append(p.holders, to)
	case n > 22:
		d.add(task{kind: tExchange, at: d.one([]string{"a", "b"})})
	}
}

// entry is a task and what became of it.
type entry struct {
	task
	key     record.Key
	content []byte // of a birth
	done    bool
	lost    bool // every copy of it was destroyed
	over    bool // somebody who saw it set another value
}

// play is a script that is being played in a world.
type play struct {
	*world
	entries []*entry
	script  int      // how many entries it has; people add to them
	waiting []int    // tasks that could not be done yet
	second  *replica // a clone of a, from when it runs
	names   map[record.Name]record.Ref
	born    map[record.Key]record.Ref
	last    record.Name        // that was given
	kept    map[string]string  // by label: where a state is kept
	away    map[int][]*replica // who lost what came of a task
}

func newPlay(w *world, tasks []task, skip map[int]bool) *play {
	p := &play{world: w, script: len(tasks), names: map[record.Name]record.Ref{}, born: map[record.Key]record.Ref{},
		kept: map[string]string{}, away: map[int][]*replica{}}
	for i, t := range tasks {
		if skip[i] || t.kind == tRival && skip[i+1] || t.kind == tOther && skip[i-1] {
			t.kind = ""
		}
		p.entries = append(p.entries, &entry{task: t})
	}
	for i, key := range w.model.keys() {
		e := p.entries[i]
		if st, err := w.centre.Get(key); err == nil {
			e.key, e.content, e.done = key, st.Shown.Content, true
			for value := range tokensIn(encode(map[string]any{"telecom": decode(e.content)["telecom"]})) {
				e.value = value
			}
		}
	}
	return p
}

// alive reports whether a task was done and what came of it is somewhere.
func (p *play) alive(i int) bool { return p.entries[i].done && !p.entries[i].lost }

// hopeless reports whether a task can never be done: it, or what it is about, was left
// out or destroyed.
func (p *play) hopeless(i int) bool {
	e := p.entries[i]
	dead := func(j int) bool { return j != i && (p.entries[j].lost || !p.entries[j].done && p.hopeless(j)) }
	return e.lost || !e.done && (e.kind == "" || dead(e.on) || e.kind != tDelete && slices.ContainsFunc(e.after, dead))
}

// replica finds who works at a place: where a station's PC was cloned, both do.
func (p *play) replica(i int) *replica {
	if p.second != nil && p.entries[i].at == "a" && i%2 == 1 {
		return p.second
	}
	return p.named(p.entries[i].at)
}

func (w *world) named(label string) *replica {
	for _, r := range w.everybody() {
		if r.label == label {
			return r
		}
	}
	return nil
}

// retry does what waits and can be done now.
func (p *play) retry() {
	p.waiting = slices.DeleteFunc(p.waiting, func(i int) bool { return p.entries[i].done || p.hopeless(i) || p.do(i) })
}

// do does a task, and reports whether it could be done.
func (p *play) do(i int) bool {
	e, r := p.entries[i], p.replica(i)
	switch e.kind {
	case tBirth, tObserve:
		e.done = p.give(e, r)
	case tAdd, tSet:
		e.done = p.edit(e, r)
	case tRival:
		other := p.entries[i+1]
		if p.shows(e, r) == nil || p.shows(other, p.replica(i+1)) == nil {
			return false
		}
		e.done, other.done, other.key = p.edit(e, r), p.edit(other, p.replica(i+1)), p.entries[e.on].key
	case tOther:
		return true // its rival does it
	case tDecide:
		e.done = p.decideAs(e, r)
	case tDelete:
		if st := p.shows(e, r); st != nil {
			e.done = p.put(r, store.Write{Key: st.Key, Base: st.Tag(), Delete: true}, st, "deletes") != nil
		}
	case tGrant:
		key := p.entries[e.on].key
		if _, err := p.centre.Get(key); err == nil {
			p.grant(e.slot, key)
			e.done = true
		}
	}
	if e.done && e.key.IsZero() {
		e.key = p.entries[e.on].key
	}
	return e.done
}

// give begins a record.
func (p *play) give(e *entry, r *replica) bool {
	content := map[string]any{"resourceType": "Patient", contestable: 1}
	if e.kind == tObserve {
		st := p.shows(p.entries[e.after[0]], r)
		if st == nil {
			return false
		}
		content = map[string]any{"resourceType": "Observation", "status": "final", "code": map[string]any{"text": "weight"},
			"subject": map[string]any{"reference": st.Key.String()}}
	}
	e.key = record.Key{Kind: content["resourceType"].(string), ID: r.NewID()}
	content["id"] = e.key.ID
	content["identifier"] = []any{map[string]any{"value": e.value}}
	e.content = encode(content)
	return p.put(r, store.Write{Key: e.key, Content: e.content}, nil, "begins") != nil
}

// shows is how a replica shows a task's record, nil where it does not, or not all that
// whoever does the task must have seen.
func (p *play) shows(e *entry, r *replica) *record.Stand {
	st, err := r.Get(p.entries[e.on].key)
	if err != nil || st.Shown.Deleted {
		return nil
	}
	all := shown(st.Shown)
	for _, i := range e.after {
		need := p.entries[i]
		if i == e.on || need.lost || need.over || need.kind == tGrant || !need.done && p.hopeless(i) {
			continue
		}
		if need.on != e.on { // it is on what refers to this one
			other, err := r.Get(p.entries[need.on].key)
			if err != nil || !shown(other.Shown)[need.value] {
				return nil
			}
			continue
		}
		if !all[need.value] {
			return nil
		}
	}
	return st
}

func (p *play) edit(e *entry, r *replica) bool {
	st := p.shows(e, r)
	if st == nil {
		return false
	}
	content := decode(st.Shown.Content)
	e.fill(content)
	if p.put(r, store.Write{Key: st.Key, Base: st.Tag(), Content: encode(content)}, st, "sets "+e.slot+" of") == nil {
		return false
	}
	p.covers(e)
	return true
}

// covers notes whose values a task replaced, knowingly.
func (p *play) covers(e *entry) {
	if e.kind == tSet || e.kind == tDecide {
		for _, i := range e.after {
			p.entries[i].over = true
		}
	}
}

func (p *play) decideAs(e *entry, r *replica) bool {
	st := p.shows(e, r)
	if st == nil {
		return false
	}
	for _, c := range st.Shown.Conflicts() {
		var closes []record.Name
		for _, cand := range c.Values {
			for _, by := range cand.Writers {
				closes = append(closes, by.Name)
			}
		}
		value := map[string]any{}
		e.fill(value)
		d := record.Decision{Path: c.Path, Value: encode(value), Closes: closes}
		if p.put(r, store.Write{Key: st.Key, Base: st.Tag(), Decisions: []record.Decision{d}}, st, "decides on") != nil {
			p.covers(e)
			return true
		}
	}
	return false
}

// put writes, and holds that no name and no id was there before.
func (p *play) put(r *replica, wr store.Write, st *record.Stand, what string) *record.Version {
	v := p.world.put(r, wr, st, what)
	if v == nil {
		return nil
	}
	if had, ok := p.names[v.Name]; ok {
		p.bad("%s gives the name %s to %s, which is that of %s already", r.label, v.Name, v.Key, had)
	}
	p.know(r, v)
	p.last = v.Name
	return v
}

// know notes a version that somebody has: one name has one content, and one id one
// birth.
func (p *play) know(r *replica, v *record.Version) {
	ref := v.Ref()
	if had, ok := p.names[v.Name]; ok && had != ref {
		p.bad("%s has two contents, one of them at %s, of %s", v.Name, r.label, v.Key)
	}
	p.names[v.Name] = ref
	if !v.Base.IsZero() {
		return
	}
	if had, ok := p.born[v.Key]; ok && had != ref {
		p.bad("%s stands for two things, born as %s and, at %s, as %s", v.Key, had.Name, r.label, v.Name)
	}
	p.born[v.Key] = ref
}

// remember notes every version that a replica has.
func (p *play) remember(r *replica) {
	for page := ""; ; {
		all, next, err := r.HistoryAll(store.Since{Limit: 1000, Page: page})
		if err != nil {
			p.bad("%s cannot list its history: %v", r.label, err)
			return
		}
		for _, v := range all {
			p.know(r, v)
		}
		if page = next; next == "" {
			break
		}
	}
	held, err := r.Held()
	p.fail(err)
	for _, h := range held {
		if v, err := record.DecodeVersion(h.Version); err == nil {
			p.know(r, v)
		}
	}
}

// catchUp lets a station exchange until nothing is left to be said.
func (p *play) catchUp(r *replica, rng *rand.Rand) {
	for range 6 {
		res := p.exchange(r, whole, rng)
		if !res.More && !res.Waiting {
			return
		}
	}
}

// more lets people at a replica begin a record and add to one that it shows, beyond
// the script.
func (p *play) more(r *replica, rng *rand.Rand) {
	t := task{kind: tBirth, at: r.label, on: len(p.entries), value: fmt.Sprint(firstValue + len(p.entries))}
	p.entries = append(p.entries, &entry{task: t})
	e := p.entries[len(p.entries)-1]
	if e.done = p.give(e, r); !e.done {
		p.bad("%s cannot begin a record", r.label)
	}
	i := rng.IntN(firsts)
	t = task{kind: tAdd, at: r.label, on: i, slot: lists()[rng.IntN(len(lists()))], value: fmt.Sprint(firstValue + len(p.entries))}
	e = &entry{task: t, key: p.entries[i].key}
	if st, err := r.Get(e.key); errors.Is(err, record.ErrNotFound) || err == nil && st.Shown.Deleted {
		return
	}
	p.entries = append(p.entries, e)
	if e.done = p.edit(e, r); !e.done {
		p.bad("%s cannot add to %s", r.label, e.key)
	}
}

// top is the highest number that anybody saw of some lineages.
func (p *play) top(lives []store.Life) uint64 {
	var n uint64
	for name := range p.names {
		if slices.ContainsFunc(lives, func(l store.Life) bool { return l.Lineage == name.Lineage }) {
			n = max(n, name.N)
		}
	}
	return n
}
