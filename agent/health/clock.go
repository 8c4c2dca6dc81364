package health

import (
	"slices"
	"sync"
	"time"

	"tram/store/record"
)

const (
	// jump is how far the wall clock may leave the steady one between two
	// readings: time services set it by less.
	jump = 30 * time.Second
	// backSlack is how far before the last known time the clock may be: a time service
	// sets it back by little.
	backSlack = 5 * time.Minute
	// aside is how long a station may have been switched off: a clock that starts further
	// ahead is rather one that lost its battery.
	aside = 366 * 24 * time.Hour
)

// Source is a reading of two clocks: the wall clock, and a steady one that
// nobody sets and whose zero means nothing.
type Source func() (wall time.Time, steady time.Duration)

// System is this machine's Source.
func System() Source {
	start := time.Now()
	return func() (time.Time, time.Duration) { return time.Now(), steady(start) }
}

// Clock makes the stamps of versions. It never makes a clock right: it tells by
// how much upstream's clock is ahead, and whether the time is in doubt. It is
// safe for concurrent use.
type Clock struct {
	source Source

	mu       sync.Mutex
	wall     time.Time // the last reading
	steady   time.Duration
	floor    int64 // Unix ms, corrected: the time is not before this
	ceiling  int64 // nor, as far as can be told, after this; 0 where unknown
	offset   int64 // ms that upstream is ahead of the wall clock
	measured bool  // the offset was measured since the program started
	jumped   bool  // the wall clock was set, and the offset has not been measured since
	// spans are what the wall clock ran through without being set, since the start or
	// the last measure; step is by how much it was set when one began.
	spans []span
}

type span struct{ from, to, step int64 } // ms of the wall clock

// maxSpans bounds what is kept of a clock that somebody sets again and again.
const maxSpans = 64

// NewClock starts a clock. Came is when the store took something in last (Unix
// milliseconds, 0 where unknown) and built the time of the program's build: no present
// moment is before either, nor, in a store that is in use, more than a year after both.
// Offset is the one measured last, in milliseconds, or 0.
func NewClock(source Source, came int64, built time.Time, offset int64) *Clock {
	c := &Clock{source: source, offset: offset}
	if !built.IsZero() {
		c.floor = built.UnixMilli()
	}
	if came != 0 {
		c.floor = max(c.floor, came-backSlack.Milliseconds())
		c.ceiling = c.floor + aside.Milliseconds()
	}
	c.wall, c.steady = source()
	c.spans = []span{{from: c.wall.UnixMilli()}}
	return c
}

// Stamp is the present moment. It is in doubt when the wall clock was set since
// the program started or shows a time that is over already, or that is not to be
// expected yet, until an exchange measures the offset.
func (c *Clock) Stamp() record.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	s := record.Stamp{Unix: c.wall.UnixMilli(), Offset: c.offset}
	at := s.Corrected()
	s.Doubt = c.jumped || !c.measured && (at < c.floor || c.ceiling != 0 && at > c.ceiling)
	if !s.Doubt {
		c.floor = max(c.floor, at-backSlack.Milliseconds())
		c.ceiling = max(c.ceiling, at+aside.Milliseconds())
	}
	return s
}

// Measured takes over what an exchange found: how many milliseconds upstream's
// clock is ahead of this one. From then on the time is known, whatever the wall
// clock shows: when it is set, the offset follows. It tells what the clock went
// through since the last measure, as it is known now.
func (c *Clock) Measured(offset int64) Measure {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	now := c.wall.UnixMilli()
	m := Measure{Now: now + offset, Again: c.measured, By: offset - c.offset}
	c.spans[len(c.spans)-1].to = now
	ahead := offset
	for _, s := range slices.Backward(c.spans) {
		m.Spans = append(m.Spans, Span{s.from, s.to, ahead})
		ahead += s.step
	}
	slices.Reverse(m.Spans)
	c.spans = []span{{from: now}}
	c.offset, c.measured, c.jumped = offset, true, false
	c.floor = now + offset - backSlack.Milliseconds()
	return m
}

// Measure is what an exchange told of the time since the measure before it. Times
// are Unix milliseconds.
type Measure struct {
	Now int64 // by upstream's clock
	// Again says that the offset was measured in this run before; By is by how much
	// what was taken for the offset since was wrong.
	Again bool
	By    int64
	// Unsure is how far the measure itself may be wrong.
	Unsure int64
	// Spans are what the wall clock ran through without being set, in order.
	Spans []Span
}

// Span is a stretch of the wall clock, and by how many milliseconds upstream's was
// ahead of it.
type Span struct{ From, To, Offset int64 }

// read takes a reading and notices a wall clock that was set since the last.
func (c *Clock) read() {
	wall, steady := c.source()
	step := wall.Round(0).Sub(c.wall.Round(0)) - (steady - c.steady) // Round(0) leaves the wall clock only
	was := c.wall
	c.wall, c.steady = wall, steady
	if step <= jump && step >= -jump {
		return
	}
	c.spans[len(c.spans)-1].to = was.UnixMilli()
	c.spans = append(c.spans, span{from: wall.UnixMilli(), step: step.Milliseconds()})
	c.spans = c.spans[max(0, len(c.spans)-maxSpans):]
	if c.measured {
		c.offset -= step.Milliseconds()
	} else {
		c.jumped = true
	}
}

// Offset is how many milliseconds upstream's clock is ahead of this one, from one
// exchange: this clock when the request left and when the answer came, and
// upstream's in between. It is wrong by half of what the way took at most.
func Offset(sent, got, upstream int64) int64 { return upstream - (sent + (got-sent)/2) }
