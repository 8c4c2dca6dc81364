package simnet

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"

	"tram/store"
	"tram/store/query"
	"tram/store/record"
)

// anyone is one replica, the centre's own people among them.
func (w *world) anyone(rng *rand.Rand) *replica {
	all := append(w.everybody(), w.stations...) // stations twice as often
	return all[rng.IntN(len(all))]
}

func (w *world) station(rng *rand.Rand) *replica { return w.stations[rng.IntN(len(w.stations))] }

// held is one record that a replica shows, tombstones too.
func held(r *replica, rng *rand.Rand) *record.Stand {
	kinds := []string{"Patient", "Patient", "Observation"}
	res, err := r.Search(query.Query{Kind: kinds[rng.IntN(len(kinds))], Limit: query.MaxLimit})
	if err != nil || len(res.Stands) == 0 {
		return nil
	}
	return res.Stands[rng.IntN(len(res.Stands))]
}

// put writes as a person at a replica does, and notes what was saved.
func (w *world) put(r *replica, wr store.Write, st *record.Stand, what string) *record.Version {
	if w.full(r) {
		return nil
	}
	wr.Author = "nurse-" + r.label
	before := map[string]bool{}
	switch {
	case st == nil:
	case wr.Delete: // who does that saw all that is contested
		before = shown(st.Shown)
	case len(wr.Decisions) > 0:
		before = closed(st.Shown, wr.Decisions)
	case !st.Shown.Deleted:
		before = tokensIn(st.Shown.Content)
	}
	vs, err := r.Put(context.Background(), wr)
	if errors.Is(err, record.ErrStale) || errors.Is(err, record.ErrDeleted) || errors.Is(err, record.ErrNotFound) {
		return nil
	}
	if errors.Is(err, store.ErrParked) && w.happened[resumedTwice] > 0 { // its id is another's
		return nil
	}
	if err != nil {
		w.bad("%s cannot save %s: %v", r.label, wr.Key, err)
		return nil
	}
	v := vs[0]
	after := map[string]bool{}
	if !v.Deleted {
		after = shown(v)
	}
	w.model.saved(r, v, what, before, after)
	if wr.Delete || len(wr.Decisions) > 0 {
		w.model.settled[v.Key] = true
	}
	w.say("%-7s %s %s as %s", r.label, what, wr.Key, v.Name)
	return v
}

func (w *world) birth(rng *rand.Rand) bool { return w.birthAt(w.anyone(rng), rng) }

func (w *world) birthAt(r *replica, rng *rand.Rand) bool {
	id := r.NewID()
	content := map[string]any{"resourceType": "Patient", "id": id, "multipleBirthInteger": w.number(),
		"telecom": []any{phone(w.model.fresh())}}
	key := record.Key{Kind: "Patient", ID: id}
	if w.put(r, store.Write{Key: key, Content: encode(content)}, nil, "is told of a person") == nil {
		return false
	}
	if r == w.centre {
		w.grant(w.station(rng).station(), key)
	}
	return true
}

// number draws a value.
func (w *world) number() int {
	n, err := strconv.Atoi(w.model.fresh())
	w.fail(err)
	return n
}

func phone(value string) map[string]any {
	return map[string]any{"system": "phone", "value": value, "use": "mobile"}
}

func encode(content map[string]any) []byte {
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // what was decoded or made here always encodes
	}
	return b
}

func decode(b []byte) map[string]any {
	var out map[string]any
	if json.Unmarshal(b, &out) != nil {
		return map[string]any{}
	}
	return out
}

// edit changes one or two elements of what is shown.
func (w *world) edit(rng *rand.Rand) bool {
	r := w.anyone(rng)
	st := held(r, rng)
	if st == nil || st.Shown.Deleted {
		return false
	}
	return w.change(r, st, rng)
}

func (w *world) change(r *replica, st *record.Stand, rng *rand.Rand) bool {
	content := decode(st.Shown.Content)
	what := "edits"
	for range 1 + rng.IntN(2) {
		what += " " + w.touch(st.Key.Kind, content, rng)
	}
	return w.put(r, store.Write{Key: st.Key, Base: st.Tag(), Content: encode(content)}, st, what) != nil
}

// touch changes one element, and names it.
func (w *world) touch(kind string, content map[string]any, rng *rand.Rand) string {
	if kind == "Observation" {
		content["note"] = append(list(content["note"]), map[string]any{"text": w.model.fresh()})
		return "note"
	}
	phones := list(content["telecom"])
	switch rng.IntN(6) {
	case 0, 1:
		content["multipleBirthInteger"] = w.number()
		return "number"
	case 2:
		content["maritalStatus"] = map[string]any{"text": w.model.fresh()}
		return "status"
	case 3:
		if len(phones) > 1 {
			i := rng.IntN(len(phones))
			content["telecom"] = append(phones[:i:i], phones[i+1:]...)
			return "one phone less"
		}
	case 4:
		if len(phones) > 0 {
			phones[rng.IntN(len(phones))] = phone(w.model.fresh())
			return "a phone"
		}
	}
	content["telecom"] = append(phones, phone(w.model.fresh()))
	return "one phone more"
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// rival lets people at two replicas set the same element before they sync.
func (w *world) rival(rng *rand.Rand) bool {
	r := w.anyone(rng)
	st := held(r, rng)
	if st == nil || st.Shown.Deleted || st.Key.Kind != "Patient" {
		return false
	}
	set := 0
	for _, one := range w.everybody() {
		st, err := one.Get(st.Key)
		if err != nil || st.Shown.Deleted {
			continue
		}
		content := decode(st.Shown.Content)
		content["multipleBirthInteger"] = w.number()
		if w.put(one, store.Write{Key: st.Key, Base: st.Tag(), Content: encode(content)}, st, "sets the number") != nil {
			set++
		}
	}
	return set > 1
}

// overPreview lets somebody at a station type while an exchange is under way that brings
// down what others made of the same record, and save once more over both.
func (w *world) overPreview(rng *rand.Rand) bool {
	r := w.station(rng)
	st := held(r, rng)
	if st == nil || st.Shown.Deleted {
		return false
	}
	other := w.anyone(rng)
	if there, err := other.Get(st.Key); other != r && err == nil && !there.Shown.Deleted {
		w.change(other, there, rng)
		if other != w.centre {
			w.exchange(other, whole, rng)
		}
	}
	ask, request := w.request(r)
	if ask == nil {
		return false
	}
	answer := w.answer(r, request, nil)
	w.change(r, st, rng)
	w.take(r, ask, answer, nil)
	w.say("%-7s exchanged meanwhile", r.label)
	if rng.IntN(3) == 0 { // what is pending then is of another lineage than what includes it
		w.reopen(r, w.copyOf(r.dir))
		w.say("%-7s is killed, and starts again", r.label)
	}
	st, err := r.Get(st.Key)
	if err != nil || !st.Preview() || st.Shown.Deleted {
		return false
	}
	return w.change(r, st, rng)
}

func (w *world) observe(rng *rand.Rand) bool {
	r := w.station(rng)
	st := held(r, rng)
	if st == nil || st.Key.Kind != "Patient" || st.Shown.Deleted {
		return false
	}
	id := r.NewID()
	content := map[string]any{"resourceType": "Observation", "id": id, "status": "final", "code": map[string]any{"text": "weight"},
		"subject": map[string]any{"reference": st.Key.String()}, "valueString": w.model.fresh()}
	return w.put(r, store.Write{Key: record.Key{Kind: "Observation", ID: id}, Content: encode(content)}, nil, "observes") != nil
}

// question is one that does not wait: it goes up before what was made earlier.
func (w *world) question(rng *rand.Rand) bool {
	r := w.station(rng)
	st := held(r, rng)
	if st == nil || st.Key.Kind != "Patient" || st.Shown.Deleted {
		return false
	}
	id := r.NewID()
	content := map[string]any{"resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order", "priority": "urgent",
		"subject": map[string]any{"reference": st.Key.String()}, "patientInstruction": w.model.fresh()}
	return w.put(r, store.Write{Key: record.Key{Kind: "ServiceRequest", ID: id}, Content: encode(content)}, nil, "asks urgently") != nil
}

func (w *world) remove(rng *rand.Rand) bool {
	r := w.anyone(rng)
	st := held(r, rng)
	if st == nil || st.Shown.Deleted {
		return false
	}
	return w.put(r, store.Write{Key: st.Key, Base: st.Tag(), Delete: true}, st, "deletes") != nil
}

// decide settles a conflict for one of its values, or for a third.
func (w *world) decide(rng *rand.Rand) bool {
	r := w.anyone(rng)
	open, err := r.Contested(100)
	if err != nil {
		w.bad("%s cannot list its conflicts: %v", r.label, err)
	}
	if len(open) == 0 {
		return false
	}
	st := open[rng.IntN(len(open))]
	all := st.Shown.Conflicts()
	c := all[rng.IntN(len(all))]
	d := record.Decision{Path: c.Path, Value: c.Values[rng.IntN(len(c.Values))].Value}
	if c.Path == "multipleBirth" && rng.IntN(3) == 0 {
		d.Value = encode(map[string]any{"multipleBirthInteger": w.number()})
	}
	leave := -1
	if len(c.Values) > 2 { // the decider may not care about one of them
		leave = rng.IntN(2*len(c.Values)) - len(c.Values)
	}
	for i, cand := range c.Values {
		if i == leave {
			continue
		}
		for _, by := range cand.Writers {
			d.Closes = append(d.Closes, by.Name)
		}
	}
	v := w.put(r, store.Write{Key: st.Key, Base: st.Tag(), Decisions: []record.Decision{d}}, st, "decides")
	if v == nil {
		return false
	}
	for _, c := range v.Conflicts() {
		for _, cand := range c.Values {
			closed := slices.ContainsFunc(cand.Writers, func(by record.Writer) bool { return slices.Contains(d.Closes, by.Name) })
			if c.Path == d.Path && closed {
				w.bad("%s decided about %s of %s, and a value that this closed is open", r.label, d.Path, st.Key)
			}
		}
	}
	return true
}

func (w *world) grant(station string, key record.Key) bool {
	if w.full(w.centre) {
		return false
	}
	n, err := w.centre.Grant(context.Background(), station, "admin", key)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		w.bad("the centre cannot grant %s: %v", key, err)
	}
	if n > 0 {
		w.say("centre  grants %s to %s", key, station)
	}
	return n > 0
}

// visit lets a station follow a person of another.
func (w *world) visit(rng *rand.Rand) bool {
	st := held(w.centre, rng)
	if st == nil || st.Key.Kind != "Patient" {
		return false
	}
	return w.grant(w.station(rng).station(), st.Key)
}
