package link

import "time"

// Traffic is what went over a link since it was last reset.
type Traffic struct {
	// Up and Down are bytes of payload that were put on the way, TLS and all. What
	// a loss sent again within TCP is counted once; Cuts are the outages.
	Up, Down    int64
	Connections int
	Cuts        int
	// Requests are turns of a client that are longer than the end of TLS, without a
	// connection's first one, which is the handshake's. Of a plain HTTP/1.1 client
	// they are one too few for each connection.
	Requests int
	// Trips are round trips: turns of the client that the server answered, and one
	// for each connection to be made. A side that speaks while the other one does
	// makes more turns than it waits for.
	Trips       int
	First, Last time.Time // when the first connection or byte came, and when a byte came or arrived last
}

// Bytes is the sum of both directions.
func (t Traffic) Bytes() int64 { return t.Up + t.Down }

// Seconds is how long it took from the first connection or byte to the last byte.
func (t Traffic) Seconds() float64 { return t.Last.Sub(t.First).Seconds() }

// request is the least number of bytes of a turn that counts as a request: the end
// of a TLS connection is one of 24.
const request = 200

// answer is the least number of bytes by which a server takes its turn: what a
// connection may be taken up again with is shorter, and comes while the client speaks.
const answer = 100

// turns are those of one connection.
type turns struct {
	n       int   // of the client
	bytes   int64 // of its present one
	down    int64 // what the server said since
	counted bool  // as a request
	upward  bool  // it is the client's turn
}

// began is called when a sender's bytes were read.
func (l *line) began() {
	l.link.mu.Lock()
	defer l.link.mu.Unlock()
	t := &l.link.total
	t.Last = time.Now()
	if t.First.IsZero() {
		t.First = t.Last
	}
}

// count is called when a segment left its sender, before it arrives: an answer is
// never seen before what it answers.
func (l *line) count(n int, up bool) {
	k := l.link
	k.mu.Lock()
	defer k.mu.Unlock()
	t, c := &k.total, &l.turns
	t.Last = time.Now()
	if !up {
		t.Down += int64(n)
		if c.down += int64(n); c.upward && c.down >= answer {
			t.Trips++
			c.upward = false
		}
		return
	}
	t.Up += int64(n)
	c.down = 0
	if !c.upward {
		c.upward, c.bytes, c.counted = true, 0, false
		c.n++
	}
	if c.bytes += int64(n); c.n > 1 && c.bytes >= request && !c.counted {
		c.counted = true
		t.Requests++
	}
}

func (l *line) arrived() {
	l.link.mu.Lock()
	defer l.link.mu.Unlock()
	l.link.total.Last = time.Now()
}

// Read is what went over the link since the last reset.
func (k *Link) Read() Traffic {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.total
}

// Reset begins to count anew.
func (k *Link) Reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.total = Traffic{}
}
