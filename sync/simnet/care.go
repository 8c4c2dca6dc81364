package simnet

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"tram/store"
	"tram/store/query"
	"tram/store/record"
)

const (
	movedAway = "moved away"
	// refusedWrite is a write for which a disk had no room.
	refusedWrite = "write refused"
)

// disk is a replica's store whose disk takes so many more writes; all that come where
// left is below zero.
type disk struct {
	*store.Store
	left *int
}

func (d disk) room() error {
	switch {
	case *d.left < 0:
		return nil
	case *d.left == 0:
		return fmt.Errorf("write: %w", store.ErrFull)
	}
	*d.left--
	return nil
}

func (d disk) Apply(ctx context.Context, st record.Stretch) error {
	if err := d.room(); err != nil {
		return err
	}
	return d.Store.Apply(ctx, st)
}

func (d disk) Recover(ctx context.Context, r record.Recovery) error {
	if err := d.room(); err != nil {
		return err
	}
	return d.Store.Recover(ctx, r)
}

func (r *replica) disk() disk { return disk{r.Store, &r.left} }

// full reports whether somebody's write finds no room, and counts it.
func (w *world) full(r *replica) bool {
	if r.disk().room() == nil {
		return false
	}
	w.happened[refusedWrite]++
	return true
}

// fillDisk lets a disk be full after a few more writes, or makes room again.
func (w *world) fillDisk(rng *rand.Rand) bool {
	r := w.anyone(rng)
	if r.left >= 0 {
		r.left = -1
		w.say("%-7s has room on its disk again", r.label)
		return false
	}
	r.left = rng.IntN(5)
	w.say("%-7s has room for %d more writes", r.label, r.left)
	return true
}

// endAccess ends a station's access, or gives it back.
func (w *world) endAccess(rng *rand.Rand) bool {
	name := w.station(rng).name
	w.denied[name] = !w.denied[name]
	w.say("centre  lets %s in: %t", name, !w.denied[name])
	return w.denied[name]
}

// moveAway takes a person from a station that holds them.
func (w *world) moveAway(rng *rand.Rand) bool {
	st := held(w.centre, rng)
	if st == nil || st.Key.Kind != "Patient" {
		return false
	}
	names, err := w.centre.ScopeOf(st.Key)
	if err != nil || len(names) == 0 || w.full(w.centre) {
		return false
	}
	scope, err := w.centre.Search(query.Query{Kind: "Basic", Limit: query.MaxLimit,
		Clauses: []query.Clause{{Param: "patient", Values: []string{st.Key.ID}}}})
	if err != nil || len(scope.Stands) == 0 {
		w.bad("the centre has no record of who holds %s: %v", st.Key, err)
		return false
	}
	leaves := names[rng.IntN(len(names))]
	at := scope.Stands[0]
	content := decode(at.Shown.Content)
	content["extension"] = slices.DeleteFunc(list(content["extension"]), func(e any) bool {
		m, _ := e.(map[string]any)
		return m["valueString"] == leaves
	})
	if len(list(content["extension"])) == 0 {
		delete(content, "extension")
	}
	delete(content, "meta")
	b, err := json.Marshal(content)
	if err == nil {
		_, err = w.centre.Put(context.Background(), store.Write{Key: at.Key, Base: store.Any, Content: b, Author: "admin"})
	}
	if err != nil {
		w.bad("the centre cannot take %s from %s: %v", st.Key, leaves, err)
		return false
	}
	w.say("centre  takes %s from %s", st.Key, leaves)
	return true
}

// doubtClock lets a station's clock be in doubt, or sure again.
func (w *world) doubtClock(rng *rand.Rand) bool {
	r := w.station(rng)
	r.doubt = !r.doubt
	w.say("%-7s has its clock in doubt: %t", r.label, r.doubt)
	return r.doubt
}

// easeAll ends what keeps replicas from coming to rest.
func (w *world) easeAll() {
	clear(w.denied)
	for _, r := range w.everybody() {
		r.left = -1
	}
}
