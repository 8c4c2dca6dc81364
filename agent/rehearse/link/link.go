// Package link emulates a thin and unreliable way between a station and its
// centre: a TCP proxy on loopback with a rate, a delay, losses and outages, which
// can also be cut, mended and stopped at a byte by hand.
//
// It owns the connections through it and what each byte waits for. It promises
// that time is real, that all connections share one rate for each direction, that
// the bytes of a connection arrive in order, and that every byte that it put on
// the way is counted, also one that an outage swallows. Losses and outages follow
// from a seed. It does not know what passes.
//
// It models no congestion window: the links it is made for hold less on their way
// than TCP's initial window (RFC 6928). A segment costs the 40 bytes of its IP and
// TCP headers on the way, which are not counted.
package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Link leads from a station to its centre. It is safe for concurrent use.
type Link struct {
	listen net.Listener
	ways   [2]*way // up and down

	mu     sync.Mutex // guards what follows
	target string
	shape  Shape
	down   bool // an outage lasts, or it is cut
	hold   *Hold
	storms int // how often the weather changed
	lines  map[*line]bool
	total  Traffic
}

// New makes an open link to an address that has no limits yet. It passes nothing
// until Run.
func New(target string) (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make link: %w", err)
	}
	k := &Link{listen: l, target: target, lines: map[*line]bool{}}
	k.ways = [2]*way{{}, {}}
	k.Set(Shape{})
	return k, nil
}

// Address is where the station connects.
func (k *Link) Address() string { return k.listen.Addr().String() }

// Lead lets new connections go to another address.
func (k *Link) Lead(target string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.target = target
}

// Set shapes new connections from now on, ends those that are open, makes the
// weather fair and mends the link.
func (k *Link) Set(s Shape) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin(false, nil)
	k.shape = s
	k.ways[0].set(s.Up, s, 1)
	k.ways[1].set(s.Down, s, 2)
}

// Run passes bytes until ctx ends.
func (k *Link) Run(ctx context.Context) error {
	var lines sync.WaitGroup
	defer lines.Wait()
	stop := context.AfterFunc(ctx, func() {
		k.listen.Close()
		k.Cut()
	})
	defer stop()
	for {
		near, err := k.listen.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("link: %w", err)
		}
		lines.Go(func() { k.carry(ctx, near) })
	}
}

// Cut ends every connection and the weather, and refuses new ones until the link is
// mended.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin(true, nil)
}

// Mend ends a cut, a hold and the weather. New connections pass everything.
func (k *Link) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin(false, nil)
}

// begin ends what is open and the weather, and says how new connections fare.
func (k *Link) begin(down bool, h *Hold) {
	k.cut()
	k.down, k.hold = down, h
	k.storms++
}

// cut ends every connection at both ends, as a modem does that loses its network.
// What was on the way is lost.
func (k *Link) cut() {
	for l := range k.lines {
		l.cut()
	}
	clear(k.lines)
}

// line is one connection through the link.
type line struct {
	link      *Link
	near, far net.Conn
	shape     Shape         // of the link when it was made
	hold      *Hold         // nil for none
	gone      chan struct{} // closed once it is ended
	once      sync.Once
	turns     turns // guarded by the link
}

// cut ends the connection at once at both ends; what the kernel still holds is not
// sent.
func (l *line) cut() {
	for _, c := range []net.Conn{l.near, l.far} {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // fails where it was closed before
		}
	}
	l.end()
}

func (l *line) end() {
	l.once.Do(func() {
		close(l.gone)
		l.near.Close()
		l.far.Close()
	})
}

// buffer is how many bytes the kernel should hold for each end of a thin link, so
// that a station soon sees that it takes no more.
const buffer = 32 << 10

// carry hands one connection on, both ways, until both have ended.
func (k *Link) carry(ctx context.Context, near net.Conn) {
	k.mu.Lock()
	target := k.target
	k.mu.Unlock()
	far, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		near.Close()
		return
	}
	l := &line{link: k, near: near, far: far, gone: make(chan struct{})}
	if !k.enter(ctx, l) {
		l.cut()
		return
	}
	for _, c := range []net.Conn{near, far} {
		if t, ok := c.(*net.TCPConn); ok && l.shape.thin() {
			_ = t.SetReadBuffer(buffer) // else the station sees a little later
		}
	}
	var both sync.WaitGroup
	// The client may send only when SYN and SYN-ACK have gone to and fro; the
	// kernel let it believe so at once.
	both.Go(func() { l.pump(k.ways[0], near, far, true, time.Now().Add(2*l.shape.Delay)) })
	both.Go(func() { l.pump(k.ways[1], far, near, false, time.Time{}) })
	both.Wait()
	l.end()
	k.mu.Lock()
	delete(k.lines, l)
	k.mu.Unlock()
}

// enter takes a connection in, as the link is now; false where it is down.
func (k *Link) enter(ctx context.Context, l *line) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down || ctx.Err() != nil {
		return false
	}
	k.lines[l] = true
	l.shape, l.hold = k.shape, k.hold
	t := &k.total
	t.Connections++
	t.Trips++
	t.Last = time.Now()
	if t.First.IsZero() {
		t.First = t.Last
	}
	return true
}
