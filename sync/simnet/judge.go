package simnet

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"tram/store/query"
	"tram/store/record"
)

// settle lets all links work until nothing moves any more, and judges. Sticks that are
// found afterwards change nothing.
func (w *world) settle() {
	w.flying = nil
	w.easeAll()
	w.say("        all links work from here on")
	rng := rand.New(rand.NewPCG(0, 0))
	w.rest(rng)
	if len(w.sticks) > 0 {
		w.drawer(rng)
		w.rest(rng)
	}
	w.nothingLost()
	w.allEqual()
	w.greenIsTrue()
	w.explained()
	w.replacedIsGone()
	w.sound()
}

// rest runs exchanges until nothing moves any more.
func (w *world) rest(rng *rand.Rand) {
	for round := 0; ; round++ {
		if round == 40 {
			w.bad("the replicas do not come to rest")
			w.unrest()
			return
		}
		if round > 5 {
			w.story = w.story[:len(w.story)-len(w.stations)] // it repeats itself
		}
		quiet := true
		for _, r := range w.stations {
			res := w.exchange(r, whole, rng)
			quiet = quiet && !res.More && !res.Waiting && res.Received == 0 && res.Sent == 0
		}
		if quiet || w.broken != nil || len(w.wrong) > 20 {
			return
		}
	}
}

// unrest names what still waits.
func (w *world) unrest() {
	for _, r := range w.stations {
		list, err := r.WaitingList(10)
		w.fail(err)
		for _, e := range list {
			w.bad("%s: %s of %s waits: %s %s", r.label, e.Version, e.Key, e.Verdict, e.Reason)
		}
	}
}

// nothingLost holds that every value that a person saved is still there for people,
// unless somebody who saw it replaced it, or every copy of it was destroyed. Where the
// centre was put back since, a merge of which nobody else had heard is destroyed, and what
// lost in it is in the history alone.
func (w *world) nothingLost() {
	for _, t := range w.model.missing(w.atCentre) {
		if t.restores == w.model.restores || !past(w.centre, t.key)[t.value] {
			w.bad("%s is lost", t)
		}
	}
}

// atCentre are the values of a record that the centre has, and those that it refused
// and their makers keep, also of a record that they do not hold any more.
func (w *world) atCentre(key record.Key) map[string]bool {
	out := kept(w.centre, key)
	for _, r := range w.stations {
		if st, err := r.Get(key); err == nil && st.Parked != "" {
			maps.Copy(out, shown(st.Shown))
			maps.Copy(out, waiting(r, st))
		}
		rescued, err := r.Rescued(1000)
		w.fail(err)
		for _, item := range rescued {
			if item.Version.Key == key && item.Reason != "" {
				maps.Copy(out, shown(item.Version))
			}
		}
	}
	return out
}

// allEqual holds that who holds a record shows it as the centre does.
func (w *world) allEqual() {
	for _, key := range w.model.keys() {
		want := text(w.centre, key)
		for _, r := range w.stations {
			st, err := r.Get(key)
			if errors.Is(err, record.ErrNotFound) || err == nil && st.Parked != "" {
				continue
			}
			if got := text(r, key); got != want {
				w.bad("%s shows %s as\n    %s\n  and the centre as\n    %s", r.label, key, got, want)
			}
		}
		w.inScope(key, want)
	}
}

// inScope holds that the stations that may see a person do, and no others; where the
// centre was put back, also who hands in a birth that it forgot (replication.md, rule 18).
func (w *world) inScope(key record.Key, want string) {
	if key.Kind != "Patient" || want == "not there" {
		return
	}
	names, err := w.centre.ScopeOf(key)
	if err != nil {
		w.bad("the centre does not know who holds %s: %v", key, err)
	}
	for _, r := range w.stations {
		has := text(r, key) != "not there"
		if in := slices.Contains(names, r.station()); in && !has {
			w.bad("%s lacks %s, which is in its scope", r.label, key)
		} else if has && !in && w.undisturbed(r.up) {
			w.bad("%s has %s, which is not in its scope", r.label, key)
		}
	}
}

func text(r *replica, key record.Key) string {
	st, err := r.Get(key)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return "not there"
	case err != nil:
		return err.Error()
	case st.Shown.Deleted:
		return "deleted"
	}
	return string(st.Shown.Content)
}

// greenIsTrue holds that what a station says is at the centre is there; not while the
// centre was put back and the station has not heard of it.
func (w *world) greenIsTrue() {
	for _, t := range w.model.order {
		known := w.model.tokens[t]
		for _, r := range w.stations {
			own := known.at == r && known.put == r.put // else it came down, like any other's
			if r.green != w.model.restores && (r.heard != w.model.restores || !own) {
				continue
			}
			place, err := r.PlaceOf(known.key, known.name)
			if err != nil || place != record.Centre {
				continue
			}
			if _, err := w.centre.Version(known.key, known.name); err != nil && (own || !w.covered(known)) {
				w.bad("%s says that %s of %s is at the centre: %v", r.label, known.name, known.key, err)
			}
		}
	}
}

// covered reports whether the centre's head was made from a version: another's, which
// came down and whose successor alone came back to a centre that was put back.
func (w *world) covered(t *token) bool {
	st, err := w.centre.Get(t.key)
	return err == nil && st.Head.Seen.Has(t.name)
}

// replacedIsGone holds that a value that somebody saw and replaced does not come back,
// where nobody was put back and no decision or deletion stands against an edit.
func (w *world) replacedIsGone() {
	for _, r := range w.everybody() {
		if r.put > 0 {
			return
		}
	}
	for _, key := range w.model.keys() {
		st, err := w.centre.Get(key)
		if err != nil || w.model.settled[key] {
			continue
		}
		texts := [][]byte{}
		for _, c := range st.Shown.Conflicts() { // what is shown meanwhile is what it was before
			for _, cand := range c.Values {
				texts = append(texts, cand.Value)
			}
		}
		if len(texts) == 0 {
			texts = append(texts, st.Shown.Content)
		}
		for t := range tokensIn(texts...) {
			if known := w.model.tokens[t]; known != nil && known.replaced {
				w.bad("%s shows again, and was replaced", known)
			}
		}
	}
}

// explained holds that nothing is parked but what can be with people who do nothing
// forbidden: what a copy made anew under a name that is used, what stands on it, and two
// who were born under one id of an image that was resumed twice.
func (w *world) explained() {
	for _, r := range w.stations {
		list, err := r.ParkedList(1000)
		if err != nil {
			w.bad("%s cannot list what is parked: %v", r.label, err)
		}
		for _, p := range list {
			twice := p.Reason == record.IDTaken && w.happened[resumedTwice] > 0
			if p.Reason != record.Fork && p.Reason != record.BaseParked && !twice {
				w.bad("%s of %s at %s is parked: %s", p.Version, p.Key, r.label, p.Reason)
			}
		}
	}
}

// sound holds every invariant of every store.
func (w *world) sound() {
	for _, r := range w.everybody() {
		found, err := r.Check(context.Background())
		if err != nil {
			w.bad("%s cannot be checked: %v", r.label, err)
		}
		for _, f := range found {
			w.bad("check of %s: %s: %s %s", r.label, f.Code, f.Key, f.Text)
		}
		if _, err := r.Search(query.Query{Kind: "Patient"}); err != nil {
			w.bad("%s cannot search: %v", r.label, err)
		}
	}
}
