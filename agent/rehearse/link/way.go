package link

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Shape is what a link can do. The zero value is a link without limits.
type Shape struct {
	Up, Down int           // bit/s of each direction; 0 is without limit
	Delay    time.Duration // one way; a round trip takes twice that
	// Loss is how likely a segment is lost, from 0 to below 1. It is sent again
	// RTO later, and what its connection sent behind it waits for it.
	Loss float64
	RTO  time.Duration // 0 is a second (RFC 6298, section 2.4)
	Seed uint64        // of the losses
}

// thin reports whether bytes wait for anything.
func (s Shape) thin() bool { return s.Up > 0 || s.Down > 0 || s.Loss > 0 }

// Sizes in bytes.
const (
	segment = 1400 // of payload, at most
	headers = 40   // of IPv4 and TCP, without options
)

// way is one direction, which all connections share.
type way struct {
	mu   sync.Mutex
	rate int // bit/s
	loss float64
	rto  time.Duration
	draw *rand.Rand
	free time.Time // when the last segment has left
}

func (w *way) set(rate int, s Shape, stream uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rate, w.loss, w.rto, w.free = rate, s.Loss, s.RTO, time.Time{}
	if w.rto == 0 {
		w.rto = time.Second
	}
	w.draw = rand.New(rand.NewPCG(s.Seed, stream))
}

// most is how many bytes travel together.
func (w *way) most() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rate == 0 && w.loss == 0 {
		return 32 << 10
	}
	return segment
}

// late is how late a timer may wake without the rate losing by it.
const late = 5 * time.Millisecond

// send puts a segment on the way: when it has left, and how long it is held up by
// losses. A segment that is sent again takes its share of the rate again.
func (w *way) send(n int, now time.Time) (left time.Time, held time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free.Before(now.Add(-late)) {
		w.free = now
	}
	takes := time.Duration(0)
	if w.rate > 0 {
		takes = time.Duration(n+headers) * 8 * time.Second / time.Duration(w.rate)
	}
	w.free = w.free.Add(takes)
	left = w.free
	for w.loss > 0 && w.draw.Float64() < w.loss {
		held += w.rto
		w.free = w.free.Add(takes)
	}
	return left, held
}

// parcel is a segment on its way.
type parcel struct {
	bytes []byte
	at    time.Time // when it arrives
	err   error     // how the sender ended; then there are no bytes
}

// flight is how many segments of a connection are on the way at most.
const flight = 256

// pump passes one way of a connection until the sender ends it, from a time on. Over
// the bound of a hold it stands still until the connection is cut.
func (l *line) pump(w *way, from, to net.Conn, up bool, open time.Time) {
	parcels := make(chan parcel, flight)
	var arriving sync.WaitGroup
	arriving.Go(func() { l.arrive(to, parcels) })
	defer arriving.Wait()
	defer close(parcels)
	var last time.Time // when the segment before arrives
	for {
		buf := make([]byte, w.most())
		n, err := from.Read(buf)
		pass := l.hold.pass(n, up)
		if pass > 0 {
			l.began()
			if !l.wait(open) {
				return
			}
			left, held := w.send(pass, time.Now())
			if !l.wait(left) {
				return
			}
			l.count(pass, up)
			if at := left.Add(l.shape.Delay + held); at.After(last) {
				last = at
			}
			if !l.put(parcels, parcel{bytes: buf[:pass], at: last}) {
				return
			}
		}
		if pass < n {
			<-l.gone
			return
		}
		if err != nil {
			if at := time.Now().Add(l.shape.Delay); at.After(last) {
				last = at
			}
			l.put(parcels, parcel{err: err, at: last})
			return
		}
	}
}

func (l *line) put(parcels chan<- parcel, p parcel) bool {
	select {
	case parcels <- p:
		return true
	case <-l.gone:
		return false
	}
}

// arrive hands over each segment in its time.
func (l *line) arrive(to net.Conn, parcels <-chan parcel) {
	for p := range parcels {
		if !l.wait(p.at) {
			return
		}
		if p.err != nil {
			if t, ok := to.(*net.TCPConn); !ok || !errors.Is(p.err, io.EOF) || t.CloseWrite() != nil {
				l.cut()
			}
			return
		}
		l.arrived()
		if _, err := to.Write(p.bytes); err != nil {
			l.cut()
			return
		}
	}
}

// wait waits until a time; false where the connection ended before.
func (l *line) wait(until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		select {
		case <-l.gone:
			return false
		default:
			return true
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.gone:
		return false
	}
}
