package link

import (
	"context"
	"math/rand/v2"
	"time"
)

// Outage is when a link is down, counted from the beginning of the weather. One
// that ends as it begins cuts the connections and nothing more.
type Outage struct{ From, Until time.Duration }

// Cuts is n cuts: the first one after a time, each further one a time later.
func Cuts(first, each time.Duration, n int) (all []Outage) {
	for i := range n {
		at := first + time.Duration(i)*each
		all = append(all, Outage{at, at})
	}
	return all
}

// Flapping is n outages drawn from a seed: the times up and down are exponentially
// distributed around their means.
func Flapping(seed uint64, up, down time.Duration, n int) (all []Outage) {
	r := rand.New(rand.NewPCG(seed, 3))
	drawn := func(mean time.Duration) time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
	at := time.Duration(0)
	for range n {
		from := at + drawn(up)
		at = from + drawn(down)
		all = append(all, Outage{from, at})
	}
	return all
}

// Through is how long it takes until a link was up for a time, at best: nothing is
// sent twice, and no moment is missed.
func Through(weather []Outage, needed time.Duration) time.Duration {
	at := time.Duration(0)
	for _, o := range weather {
		if needed <= o.From-at {
			break
		}
		needed -= o.From - at
		at = o.Until
	}
	return at + needed
}

// Storm lets outages come and go, from now on until ctx ends, the link is set anew,
// or the last one is over.
func (k *Link) Storm(ctx context.Context, weather []Outage) {
	began := time.Now()
	k.mu.Lock()
	k.storms++
	mine := k.storms
	k.mu.Unlock()
	defer k.turn(mine, false)
	for _, o := range weather {
		for _, down := range []bool{true, false} {
			at := o.Until
			if down {
				at = o.From
			}
			timer := time.NewTimer(time.Until(began.Add(at)))
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			if ctx.Err() != nil || !k.turn(mine, down) {
				return
			}
		}
	}
}

// turn lets an outage begin or end, and cuts what is open; false where this is the
// weather no more.
func (k *Link) turn(storm int, down bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.storms != storm {
		return false
	}
	if k.down = down; down {
		k.cut()
		k.total.Cuts++
	}
	return true
}
