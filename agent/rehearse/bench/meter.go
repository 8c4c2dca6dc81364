package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// meter stands between a station and its centre, hands on every byte, and counts.
type meter struct {
	listen net.Listener
	to     string

	mu    sync.Mutex
	total traffic
}

// traffic is what went through a meter.
type traffic struct {
	up, down    int64 // bytes, with TLS and all that is above TCP
	connections int
	// requests are counted by the turns of a connection: HTTP/1.1 speaks in turns,
	// and the client's first one is the handshake's.
	requests    int
	first, last time.Time // when the first and the last byte went through
}

// request is the least number of bytes of a client's turn that counts as a
// request: the end of a TLS connection is one of 24 bytes.
const request = 200

// newMeter listens on loopback for what goes to an address.
func newMeter(to string) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &meter{listen: l, to: to}, nil
}

// address is where the station connects to.
func (m *meter) address() string { return m.listen.Addr().String() }

// run hands on connections until ctx ends.
func (m *meter) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { m.listen.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		in, err := m.listen.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		all.Go(func() { m.carry(ctx, in) })
	}
}

// carry hands one connection on, both ways.
func (m *meter) carry(ctx context.Context, in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", m.to)
	if err != nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
	defer stop()
	c := &conn{meter: m}
	m.mu.Lock()
	m.total.connections++
	m.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { c.pump(out, in, true) })
	both.Go(func() { c.pump(in, out, false) })
	both.Wait()
}

// conn counts the turns of one connection, under the meter's lock.
type conn struct {
	meter   *meter
	turns   int
	turn    int64 // bytes of the client's present turn
	counted bool  // the turn is counted as a request
	upward  bool  // it is the client's turn
}

// pump copies until either end closes, and closes the other one's way.
func (c *conn) pump(to, from net.Conn, up bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		c.count(int64(n), up)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			if t, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
				err = t.CloseWrite()
			}
			if err != nil {
				to.Close()
			}
			return
		}
	}
}

// count is called before the bytes are handed on, so that an answer is never seen
// before what it answers.
func (c *conn) count(n int64, up bool) {
	if n == 0 {
		return
	}
	m := c.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total.last = time.Now()
	if m.total.first.IsZero() {
		m.total.first = m.total.last
	}
	if !up {
		m.total.down += n
		c.upward = false
		return
	}
	m.total.up += n
	if !c.upward {
		c.upward, c.turn, c.counted = true, 0, false
		c.turns++
	}
	if c.turn += n; c.turns > 1 && c.turn >= request && !c.counted {
		c.counted = true
		m.total.requests++
	}
}

// read is what went through since the last reset.
func (m *meter) read() traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

func (m *meter) reset() {
	m.mu.Lock()
	m.total = traffic{}
	m.mu.Unlock()
}
