package simnet

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/trust"
)

// What can become of a file on a stick.
const (
	stickLost    = "stick lost"
	stickAgain   = "stick read again"
	stickOrder   = "stick out of order"
	stickForeign = "stick at another station"
	stickAltered = "stick altered"
	stickGap     = "stick above a gap"
)

// keys are those of a centre and of its stations. All worlds share them: making them is
// slow, and nothing that a world draws comes from them.
type keys struct {
	centre *trust.Authority
	of     map[string]*trust.Identity
}

func newKeys(names ...string) (*keys, error) {
	at := time.UnixMilli(begin)
	a, err := trust.NewAuthority(at)
	if err != nil {
		return nil, err
	}
	k := &keys{a, map[string]*trust.Identity{}}
	for _, name := range names {
		fresh, err := trust.NewIdentity()
		if err != nil {
			return nil, err
		}
		csr, err := fresh.CSR()
		if err != nil {
			return nil, err
		}
		answer, err := a.Enrol(csr, name, at)
		if err != nil {
			return nil, err
		}
		if k.of[name], err = trust.FinishEnrol(fresh, a.RootPEM(), name, answer); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// parcel is a file on a stick.
type parcel struct {
	station  string // whose exchange it is
	down     bool
	n        int // counts the requests of all stations
	file     []byte
	restores int // of the centre, when the request was written
	read     bool
}

func (w *world) desk(r *replica) *stick.Station {
	return &stick.Station{Store: r.Store, Identity: w.o.keys.of[r.name], Merger: w.o.Merger, Now: func() int64 { return w.now + r.ahead }}
}

// stuck notes what a side cannot do with a stick, where its disk does not explain it.
func (w *world) stuck(r *replica, err error) bool {
	if err != nil && !errors.Is(err, store.ErrFull) {
		w.bad("%s cannot use a stick: %v", r.label, err)
	}
	return err != nil
}

// carriers are the replicas whose exchanges may go by stick; points have their station.
func (w *world) carriers() []*replica {
	return slices.DeleteFunc(slices.Clone(w.stations), func(r *replica) bool { return r.up != w.centre })
}

// writeStick lets a station write a request.
func (w *world) writeStick(rng *rand.Rand) bool { return w.writeStickAt(w.carrier(rng)) }

func (w *world) carrier(rng *rand.Rand) *replica {
	own := w.carriers()
	return own[rng.IntN(len(own))]
}

func (w *world) writeStickAt(r *replica) bool {
	if w.full(r) {
		return false
	}
	f, err := w.desk(r).Make(context.Background())
	if w.stuck(r, err) {
		return false
	}
	w.written++
	w.sticks = append(w.sticks, parcel{station: r.name, n: w.written, file: f.Bytes, restores: w.model.restores})
	w.say("%-7s writes stick %d", r.label, w.written)
	return true
}

// countAgain lets a station be put back behind a stick that it wrote, and give the next
// one the same number: what the centre answered to the first is read for it.
func (w *world) countAgain(rng *rand.Rand) bool {
	if w.happened[resumedTwice] > 0 {
		return false
	}
	r := w.carrier(rng)
	from := w.stateOf(r)
	if st := held(r, rng); st != nil {
		if there, err := w.centre.Get(st.Key); err == nil && !there.Shown.Deleted {
			w.change(w.centre, there, rng)
		}
	}
	w.exchange(r, whole, rng)
	if !w.writeStickAt(r) {
		return false
	}
	at := len(w.sticks) - 1
	first := w.sticks[at]
	w.sticks = w.sticks[:at]
	w.readAtCentre(first)
	if len(w.sticks) == at { // there is no answer
		return false
	}
	answer := w.sticks[at]
	w.sticks = w.sticks[:at]
	w.putBack(r, from)
	if !w.writeStickAt(r) || w.broken != nil {
		return false
	}
	w.readAt(r, answer)
	return true
}

// loseStick lets a file get lost.
func (w *world) loseStick(rng *rand.Rand) bool {
	if len(w.sticks) == 0 {
		return false
	}
	i := rng.IntN(len(w.sticks))
	w.say("        stick %d is lost", w.sticks[i].n)
	w.sticks = slices.Delete(w.sticks, i, i+1)
	return true
}

// readStick lets somebody read any of the files that are about: the newest before the
// oldest, one that was read before, one that is not for them, or a damaged one.
func (w *world) readStick(rng *rand.Rand) bool {
	if len(w.sticks) == 0 {
		return false
	}
	i := rng.IntN(len(w.sticks))
	p := w.sticks[i]
	older := func(o parcel) bool { return o.station == p.station && o.down == p.down && !o.read && o.n < p.n }
	if slices.ContainsFunc(w.sticks, older) {
		w.happened[stickOrder]++
	}
	if p.read {
		w.happened[stickAgain]++
	}
	switch rng.IntN(8) {
	case 0:
		w.misread(p, rng)
		return true
	case 1, 2:
		w.sticks[i].read = true // and it stays about
	default:
		w.sticks = slices.Delete(w.sticks, i, i+1)
	}
	w.deliver(p, rng)
	return true
}

// deliver lets the one for whom a file is read it.
func (w *world) deliver(p parcel, rng *rand.Rand) {
	if !p.down {
		w.readAtCentre(p)
		return
	}
	own := slices.DeleteFunc(slices.Clone(w.stations), func(r *replica) bool { return r.name != p.station })
	w.readAt(own[rng.IntN(len(own))], p)
}

func (w *world) readAtCentre(p parcel) {
	if w.full(w.centre) {
		return
	}
	desk := w.centreDesk()
	res, f, err := desk.Take(context.Background(), p.file)
	if w.stuck(w.centre, err) {
		return
	}
	w.say("centre  reads stick %d of %s: %s, %d up, %d down", p.n, p.station, res.Code, res.Sent, res.Received)
	switch res.Code {
	case status.StickTaken, status.StickAgain, status.StickRefused:
	case status.StickGap:
		w.happened[stickGap]++
	default:
		w.bad("the centre says %q of a stick of %s", res.Code, p.station)
	}
	if f.Name == "" {
		return
	}
	p.down, p.file, p.read = true, f.Bytes, false
	w.sticks = append(w.sticks, p)
}

func (w *world) centreDesk() *stick.Centre {
	return &stick.Centre{Store: w.centre.Store, Authority: w.o.keys.centre, Now: func() int64 { return w.now },
		Begin: func(name, _ string, p engine.Pace) (*engine.Serve, error) {
			return w.serve(w.centre, name, p, w.o.keys.centre.SignReceipt), nil
		}}
}

func (w *world) readAt(r *replica, p parcel) {
	if w.full(r) {
		return
	}
	res, err := w.desk(r).Take(context.Background(), p.file)
	if w.stuck(r, err) {
		return
	}
	w.say("%-7s reads the answer to stick %d: %s, %d down", r.label, p.n, res.Code, res.Received)
	switch res.Code {
	case status.StickOld, status.StickAgain, status.StickRefused:
	case status.StickTaken:
		w.took(r, res.Exchange)
		if p.restores < w.model.restores { // it tells of what the centre has forgotten
			r.known = known{min(r.heard, p.restores), min(r.green, p.restores)}
		} else {
			r.knows(res.Exchange, known{p.restores, p.restores})
		}
	default:
		w.bad("%s says %q of the answer to a stick", r.label, res.Code)
	}
}

// misread lets a file be read by another station, or with one bit changed: it must
// yield nothing.
func (w *world) misread(p parcel, rng *rand.Rand) {
	how, file := stickForeign, p.file
	others := slices.DeleteFunc(w.carriers(), func(r *replica) bool { return r.name == p.station })
	if rng.IntN(2) == 0 || len(others) == 0 {
		how, file, others = stickAltered, bytes.Clone(p.file), w.carriers()
		bit := rng.IntN(8 * len(file))
		file[bit/8] ^= 1 << (bit % 8)
	}
	var code status.Stick
	if how == stickAltered && !p.down {
		res, _, err := w.centreDesk().Take(context.Background(), file)
		if w.stuck(w.centre, err) {
			return
		}
		code = res.Code
	} else {
		r := others[rng.IntN(len(others))]
		res, err := w.desk(r).Take(context.Background(), file)
		if w.stuck(r, err) {
			return
		}
		code = res.Code
	}
	w.happened[how]++
	if want := map[string]status.Stick{stickForeign: status.StickForeign, stickAltered: status.StickAltered}[how]; code != want {
		w.bad("%s: %q, want %q", how, code, want)
	}
}

// drawer lets every file that is still about be read once, in any order.
func (w *world) drawer(rng *rand.Rand) {
	for len(w.sticks) > 0 {
		i := rng.IntN(len(w.sticks))
		p := w.sticks[i]
		w.sticks = slices.Delete(w.sticks, i, i+1)
		w.deliver(p, rng)
	}
}

// signed stands for the centre's signature on the wire: who signs is proved elsewhere.
func signed(p record.Receipt) record.Receipt {
	p.Sig = []byte("signed")
	return p
}
