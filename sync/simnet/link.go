package simnet

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"

	"tram/store/record"
	"tram/sync/engine"
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
)

// faults are what can become of exchanges, by name.
func faults() []string {
	return []string{whole, cutUp, cutDown, lostAnswer, repeated, delayed, late}
}

// errUnsigned is said of a receipt without the word that stands for the centre's
// signature here: who signs is proved elsewhere.
var errUnsigned = errors.New("unsigned")

func (w *world) ask(r *replica) (*engine.Ask, error) {
	return engine.NewAsk(engine.AskOptions{Replica: r.Store, Name: r.name, Merger: w.o.Merger, Carry: r.carry,
		Pace: engine.Pace{Up: 16, Stretch: 3},
		Verify: func(p record.Receipt) error {
			if string(p.Sig) != "signed" {
				return errUnsigned
			}
			return nil
		}})
}

func (w *world) serve(r *replica) *engine.Serve {
	w.now += 1000
	return engine.NewServe(engine.ServeOptions{Replica: w.centre.Store, Name: "centre", Peer: r.name, Merger: w.o.Merger, R4: w.o.R4, Now: w.now,
		Sign:       func(p record.Receipt) record.Receipt { p.Sig = []byte("signed"); return p },
		Hear:       func(wire.Hello) wire.Refusal { return "" },
		Admit:      func(*record.Version, *record.Stand) record.Reason { return "" },
		MaxContent: 1 << 20, Pace: engine.Pace{Down: 16, Stretch: 3}})
}

// request is what a replica would send now, as bytes on the wire.
func (w *world) request(r *replica) (*engine.Ask, []byte) {
	ask, err := w.ask(r)
	if err != nil {
		w.bad("%s cannot ask: %v", r.label, err)
		return nil, nil
	}
	var b bytes.Buffer
	if err := w.o.streams.Send(&b, ask.Next); err != nil {
		w.bad("%s cannot ask: %v", r.label, err)
		return nil, nil
	}
	return ask, b.Bytes()
}

// answer lets the centre read a request, as much as came of it, and answer.
func (w *world) answer(r *replica, request []byte) []byte {
	serve := w.serve(r)
	if err := w.o.streams.Receive(context.Background(), bytes.NewReader(request), serve.Take); err != nil {
		if !errors.Is(err, wire.ErrCut) {
			w.bad("the centre cannot read %s: %v", r.label, err)
		}
		return nil
	}
	var b bytes.Buffer
	if err := w.o.streams.Send(&b, serve.Next); err != nil {
		w.bad("the centre cannot answer %s: %v", r.label, err)
		return nil
	}
	return b.Bytes()
}

// take lets a replica read an answer, as much as came of it.
func (w *world) take(r *replica, ask *engine.Ask, answer []byte) (res engine.Result, whole bool) {
	err := w.o.streams.Receive(context.Background(), bytes.NewReader(answer), ask.Take)
	if err != nil && !errors.Is(err, wire.ErrCut) {
		w.bad("%s cannot take an answer: %v", r.label, err)
	}
	res = ask.Result()
	if err == nil && len(res.Next.Compare) > 0 && w.undisturbed() {
		w.bad("%s must compare its trees with the centre's, and nothing was put back or copied", r.label)
	}
	if err == nil {
		r.carry = &res.Next
		r.offset = -r.ahead
		if res.Equal {
			r.green = w.model.restores
		}
	}
	return res, err == nil
}

// undisturbed reports whether every replica has lived one life: then no tree may ever
// differ, whatever the links did.
func (w *world) undisturbed() bool {
	return w.happened["station restored"]+w.happened["centre restored"]+w.happened["clone"] == 0
}

// exchange runs one exchange, which may go wrong as named.
func (w *world) exchange(r *replica, how string, rng *rand.Rand) engine.Result {
	ask, request := w.request(r)
	if ask == nil {
		return engine.Result{}
	}
	switch how {
	case cutUp:
		w.answer(r, request[:rng.IntN(len(request))])
	case lostAnswer:
		w.answer(r, request)
	case delayed:
		w.flying = append(w.flying, flight{r, request})
	case cutDown:
		if answer := w.answer(r, request); len(answer) > 0 {
			w.take(r, ask, answer[:rng.IntN(len(answer))])
		}
	case repeated:
		w.answer(r, request)
		fallthrough
	default:
		if answer := w.answer(r, request); len(answer) > 0 {
			res, _ := w.take(r, ask, answer)
			w.say("%-7s %s: %d up, %d down", r.label, how, res.Sent, res.Received)
			w.happened[how]++
			return res
		}
	}
	w.say("%-7s %s", r.label, how)
	w.happened[how]++
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
	w.answer(f.from, f.request)
	w.say("%-7s %s", f.from.label, late)
	w.happened[late]++
	return true
}
