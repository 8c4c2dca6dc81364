package simnet

import (
	"bytes"
	"encoding/base32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
)

const resumedTwice = "image resumed twice"

// action is a kind of step; do reports whether it happened.
type action struct {
	name   string
	weight int
	do     func(w *world, rng *rand.Rand) bool
}

func actions() []action {
	return []action{
		{"birth", 6, (*world).birth},
		{"edit", 14, (*world).edit},
		{"rivals", 4, (*world).rival},
		{"observation", 3, (*world).observe},
		{"urgent question", 2, (*world).question},
		{"deletion", 2, (*world).remove},
		{"decision", 6, (*world).decide},
		{"preview saved", 4, (*world).overPreview},
		{"visit", 3, (*world).visit},
		{"sync", 16, (*world).sync},
		{"bad sync", 10, (*world).badSync},
		{"late arrival", 4, func(w *world, rng *rand.Rand) bool { return w.arrive(rng) }},
		{"kill", 4, (*world).kill},
		{"copy", 3, (*world).copyState},
		{"station restored", 2, (*world).restoreStation},
		{"centre restored", 1, (*world).restoreCentre},
		{"clone", 1, (*world).clone},
		{resumedTwice, 1, (*world).resume},
		{"clock set", 2, (*world).setClock},
		{"conflict in pieces", 1, (*world).pieces},
		{movedAway, 2, (*world).moveAway},
		{"access ended", 2, (*world).endAccess},
		{"disk full", 2, (*world).fillDisk},
		{"clock in doubt", 2, (*world).doubtClock},
		{"stick written", 6, (*world).writeStick},
		{"stick read", 12, (*world).readStick},
		{stickLost, 2, (*world).loseStick},
		{"stick counted twice", 1, (*world).countAgain},
	}
}

func (w *world) sync(rng *rand.Rand) bool {
	r := w.station(rng)
	for range 6 {
		res := w.exchange(r, whole, rng)
		if !res.More && !res.Waiting {
			break
		}
	}
	return true
}

func (w *world) badSync(rng *rand.Rand) bool {
	how := []string{cutUp, cutDown, cutDown, lostAnswer, repeated, delayed, centreDies, askerDies}[rng.IntN(8)]
	w.exchange(w.station(rng), how, rng)
	return true
}

// kill ends a program without notice; what its disk holds is what goes on.
func (w *world) kill(rng *rand.Rand) bool {
	r := w.anyone(rng)
	w.reopen(r, w.copyOf(r.dir))
	w.say("%-7s is killed, and starts again", r.label)
	w.greenIsTrue()
	return true
}

// copyState keeps a replica's state for a later restore.
func (w *world) copyState(rng *rand.Rand) bool {
	r := w.anyone(rng)
	r.copies = append(r.copies, w.stateOf(r))
	w.say("%-7s is copied", r.label)
	return true
}

func (w *world) restore(r *replica, rng *rand.Rand) bool {
	if len(r.copies) == 0 || w.happened[resumedTwice] > 0 {
		return false
	}
	w.putBack(r, r.copies[rng.IntN(len(r.copies))])
	return true
}

// putBack lets a replica go on from a state that it was in once.
func (w *world) putBack(r *replica, from state) {
	for _, t := range w.model.missing(w.surviving()) {
		w.bad("%s is lost, and nothing took it away", t)
	}
	w.reopen(r, w.copyOf(from.dir))
	r.known, r.left, r.put = from.known, -1, r.put+1
	w.say("%-7s goes on from a copy", r.label)
	for _, t := range w.model.missing(w.surviving()) {
		t.gone = true // every copy of it was destroyed
	}
}

// restoreStation puts a station back; one that has points below it as little as the centre
// after somebody moved away.
func (w *world) restoreStation(rng *rand.Rand) bool {
	r := w.station(rng)
	above := slices.ContainsFunc(w.stations, func(p *replica) bool { return p.up == r })
	return !(above && w.happened[movedAway] > 0) && w.restore(r, rng)
}

// restoreCentre puts the centre back, not after somebody moved away: what a station
// handed in behind that it does not hold any more, and where the centre forgets it too,
// the lineage's chain has a gap that nothing closes.
func (w *world) restoreCentre(rng *rand.Rand) bool {
	if w.happened[movedAway] > 0 || !w.restore(w.centre, rng) {
		return false
	}
	w.model.restores++
	return true
}

// clone lets a copy of a station's folder run as a second PC.
func (w *world) clone(rng *rand.Rand) bool {
	if len(w.stations) > 4 {
		return false
	}
	of := w.station(rng)
	if w.happened[resumedTwice] > 0 { // each would give what both have of a fork a name of its own
		return false
	}
	r := &replica{label: of.label + "'", name: of.name, up: of.up, ahead: of.ahead, offset: of.offset, doubt: of.doubt, left: -1, known: of.known}
	if err := w.open(r, w.copyOf(of.dir)); err != nil {
		w.bad("a clone of %s does not open: %v", of.label, err)
		return false
	}
	w.stations = append(w.stations, r)
	w.say("%-7s is a clone of %s", r.label, of.label)
	return true
}

// resume lets the image of a running station be resumed a second time: both speak under
// one lineage and count on from one number. Not where somebody is put back too: what a
// receipt proves of one of the two, and the centre then has of the other, stays in doubt.
// Nor a third time: each would give what all have of a fork a name of its own.
func (w *world) resume(rng *rand.Rand) bool {
	of := w.carrier(rng)
	if len(w.stations) > 4 || slices.ContainsFunc(w.stations, func(p *replica) bool { return p.up == of }) || w.putBackOnce() || w.happened[resumedTwice] > 0 {
		return false
	}
	image := w.copyOf(of.dir)
	w.reopen(of, w.copyOf(image))
	if w.broken != nil {
		return false
	}
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(string(of.Lineage())))
	w.fail(err)
	r := &replica{label: of.label + "~", name: of.name, up: of.up, ahead: of.ahead, doubt: of.doubt, left: -1, known: of.known}
	w.stations = append(w.stations, r)
	w.fail(w.openWith(r, image, io.MultiReader(bytes.NewReader(raw), w)))
	w.say("%-7s is the image of %s, resumed once more", r.label, of.label)
	return true
}

func (w *world) putBackOnce() bool {
	return slices.ContainsFunc(w.everybody(), func(r *replica) bool { return r.put > 0 })
}

func (w *world) setClock(rng *rand.Rand) bool {
	const year = 365 * 24 * 3600 * 1000
	r := w.station(rng)
	r.ahead = []int64{0, -3 * year, 5 * year, 60_000, -86_400_000}[rng.IntN(5)]
	w.say("%-7s has its clock ahead by %d s", r.label, r.ahead/1000)
	return true
}

// pieces makes a conflict, and lets one side decide while the other sets on.
func (w *world) pieces(rng *rand.Rand) bool {
	if !w.rival(rng) {
		return false
	}
	order := rng.Perm(len(w.stations))
	for _, i := range order {
		w.exchange(w.stations[i], whole, rng)
	}
	did := w.decide(rng)
	w.edit(rng)
	slices.Reverse(order)
	for _, i := range order {
		w.exchange(w.stations[i], whole, rng)
	}
	return did
}
