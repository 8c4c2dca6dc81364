package simnet

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/scope"
	"tram/sync/engine"
	"tram/sync/trust"
	"tram/sync/wire"
)

// What can become of an exchange.
const (
	whole      = "exchange"
	cutUp      = "request cut"
	cutDown    = "answer cut"
	lostAnswer = "answer lost"
	repeated   = "request repeated"
	delayed    = "request delayed"
	late       = "late request arrives"
	centreDies = "centre killed in exchange"
	askerDies  = "station killed in exchange"
	older      = "exchange of an older program"
	asksFirst  = "asks what arrived"
	wholes     = "edits sent again whole"
)

// faults are what can become of exchanges, by name.
func faults() []string {
	return []string{whole, cutUp, cutDown, lostAnswer, repeated, delayed, late, centreDies, askerDies, older, asksFirst, wholes,
		stickAgain, stickOrder, stickForeign, stickAltered, stickGap, refusedWrite}
}

// excused reports whether an exchange may end so.
func excused(err error) bool {
	return errors.Is(err, wire.ErrCut) || errors.Is(err, errKilled) || errors.Is(err, store.ErrFull)
}

// errKilled ends what a program does when it is killed.
var errKilled = errors.New("killed")

// life is how many frames a program lives on for; it dies of no age where it is nil.
type life struct{ left int }

func (l *life) over() bool {
	if l == nil {
		return false
	}
	l.left--
	return l.left < 0
}

func (l *life) take(f func(context.Context, *wire.Frame) error) func(context.Context, *wire.Frame) error {
	return func(ctx context.Context, frame *wire.Frame) error {
		if l.over() {
			return errKilled
		}
		return f(ctx, frame)
	}
}

func (l *life) next(f func() (*wire.Frame, error)) func() (*wire.Frame, error) {
	return func() (*wire.Frame, error) {
		if l.over() {
			return nil, errKilled
		}
		return f()
	}
}

func (w *world) ask(r *replica) (*engine.Ask, error) {
	protocol := wire.Protocol
	if w.now/1000%4 == 0 { // an older program
		protocol = wire.First
		w.happened[older]++
	}
	return engine.NewAsk(engine.AskOptions{Replica: r.disk(), Name: r.name, Merger: w.o.Merger, Carry: r.carry, Protocol: protocol,
		Pace: pace(),
		Verify: func(p record.Receipt) error {
			if string(p.Sig) == "signed" {
				return nil
			}
			return trust.VerifyReceipt(w.o.keys.centre.ReceiptKey(), p) // it came to a station by stick
		}})
}

// pace makes many stretches of little.
func pace() engine.Pace { return engine.Pace{Up: 16, Down: 16, Stretch: 3} }

func (w *world) serve(up *replica, peer string, p engine.Pace, sign func(record.Receipt) record.Receipt) *engine.Serve {
	w.now += 1000
	epoch, err := up.Epoch()
	if err != nil {
		w.bad("%s does not know its epoch: %v", up.label, err)
	}
	o := engine.ServeOptions{Replica: up.disk(), Name: up.name, Peer: peer, Epoch: epoch, Merger: w.o.Merger, R4: w.o.R4, Now: w.now,
		Sign: sign,
		Hear: func(wire.Hello) wire.Refusal {
			if w.denied[peer] {
				return wire.Revoked
			}
			return ""
		},
		Admit:      admit,
		MaxContent: 1 << 20, Pace: p}
	if up != w.centre {
		o.Proved, o.Abandon = up.Receipt, up.Abandon
	}
	return engine.NewServe(o)
}

// admit refuses what the centre alone may say: who holds whom.
func admit(v *record.Version, st *record.Stand) record.Reason {
	contents := [][]byte{v.Content}
	if st.Head != nil {
		contents = append(contents, st.Head.Content)
	}
	for _, content := range contents {
		if r, err := fhir.Parse(content, fhir.DefaultLimits()); err == nil && scope.Is(r) {
			return record.NotAllowed
		}
	}
	return ""
}

// request is what a replica would send now, as bytes on the wire.
func (w *world) request(r *replica) (*engine.Ask, []byte) {
	ask, err := w.ask(r)
	if err != nil {
		w.bad("%s cannot ask: %v", r.label, err)
		return nil, nil
	}
	var b bytes.Buffer
	if r.asked, err = w.o.streams.Send(&b, wire.Packed, wire.After{}, ask.Next); err != nil {
		w.bad("%s cannot ask: %v", r.label, err)
		return nil, nil
	}
	return ask, b.Bytes()
}

// answer lets the centre read a request, as much as came of it, and answer for as long
// as it lives.
func (w *world) answer(r *replica, request []byte, l *life) []byte {
	serve := w.serve(r.up, r.name, pace(), signed)
	heard, err := w.o.streams.Receive(context.Background(), bytes.NewReader(request), wire.Packed, wire.After{}, l.take(serve.Take))
	if errors.Is(err, engine.ErrWhole) {
		r.carry = r.carry.Whole()
		return nil
	} else if err != nil {
		if !excused(err) {
			w.bad("the centre cannot read %s: %v", r.label, err)
		}
		return nil
	}
	var b bytes.Buffer
	if _, err := w.o.streams.Send(&b, wire.Packed, heard, l.next(serve.Next)); err != nil && !excused(err) {
		w.bad("the centre cannot answer %s: %v", r.label, err)
		return nil
	}
	return b.Bytes()
}

// take lets a replica read an answer, as much as came of it, for as long as it lives.
func (w *world) take(r *replica, ask *engine.Ask, answer []byte, l *life) (res engine.Result, whole bool) {
	_, err := w.o.streams.Receive(context.Background(), bytes.NewReader(answer), wire.Packed, r.asked, l.take(ask.Take))
	if err != nil && !excused(err) {
		w.bad("%s cannot take an answer: %v", r.label, err)
	}
	res = ask.Result()
	if err == nil {
		w.took(r, res)
		r.carry = &res.Next
		r.offset = -r.ahead
		up := known{w.model.restores, w.model.restores}
		if r.up != w.centre {
			up = r.up.known // no more than its station knows
		}
		r.knows(res, up)
	}
	return res, err == nil
}

// took judges what an exchange came to.
func (w *world) took(r *replica, res engine.Result) {
	if len(res.Next.Compare) > 0 && w.undisturbed(r.up) {
		w.bad("%s must compare its trees with its upstream's, and that was never put back", r.label)
	}
}

// knows notes what an exchange told of how often the centre was put back.
func (r *replica) knows(res engine.Result, up known) {
	if r.heard = up.heard; res.Equal {
		r.green = up.green
	}
}

// undisturbed reports whether an upstream, and the centre above it, have lived one life:
// then no tree below may ever differ, whatever links did and whoever else was put back.
func (w *world) undisturbed(up *replica) bool { return w.model.restores == 0 && up.put == 0 }

// exchange runs one exchange, which may go wrong as named.
func (w *world) exchange(r *replica, how string, rng *rand.Rand) engine.Result {
	ask, request := w.request(r)
	if ask == nil {
		return engine.Result{}
	}
	before := r.carry
	switch how {
	case cutUp:
		w.answer(r, request[:rng.IntN(len(request))], nil)
	case lostAnswer:
		w.answer(r, request, nil)
	case delayed:
		w.flying = append(w.flying, flight{r, request})
	case cutDown:
		if answer := w.answer(r, request, nil); len(answer) > 0 {
			w.take(r, ask, answer[:rng.IntN(len(answer))], nil)
		}
	case centreDies:
		answer := w.answer(r, request, &life{rng.IntN(24)})
		w.reopen(r.up, w.copyOf(r.up.dir))
		w.take(r, ask, answer, nil)
	case askerDies:
		if answer := w.answer(r, request, nil); len(answer) > 0 {
			w.take(r, ask, answer, &life{rng.IntN(24)})
		}
		w.reopen(r, w.copyOf(r.dir))
	case repeated:
		w.answer(r, request, nil)
		fallthrough
	default:
		answer := w.answer(r, request, nil)
		if len(answer) == 0 && r.carry != nil && r.carry.Full { // as a station does, at once
			ask, request = w.request(r)
			answer = w.answer(r, request, nil)
			w.happened[wholes]++
		}
		if len(answer) > 0 {
			res, _ := w.take(r, ask, answer, nil)
			w.say("%-7s %s: %d up, %d down", r.label, how, res.Sent, res.Received)
			w.happened[how]++
			if res.Asked {
				w.happened[asksFirst]++
			}
			return res
		}
	}
	if r.carry == before && how != askerDies {
		r.carry = ask.AfterCut()
	}
	w.say("%-7s %s", r.label, how)
	w.happened[how]++
	w.greenIsTrue()
	return engine.Result{}
}

// arrive lets a request that was on its way for long reach the centre.
func (w *world) arrive(rng *rand.Rand) bool {
	if len(w.flying) == 0 {
		return false
	}
	i := rng.IntN(len(w.flying))
	f := w.flying[i]
	w.flying = append(w.flying[:i], w.flying[i+1:]...)
	w.answer(f.from, f.request, nil)
	w.say("%-7s %s", f.from.label, late)
	w.happened[late]++
	return true
}
