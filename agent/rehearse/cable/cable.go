// Package cable is a link that a rehearsal can cut: a TCP proxy on loopback.
//
// It owns the connections through it. It promises to count every byte it passes,
// and to stop at a byte when told. It does not know what passes.
package cable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Cable leads from a station to its centre. It is safe for concurrent use.
type Cable struct {
	listen net.Listener
	target string

	mu    sync.Mutex // guards what follows
	open  bool
	hold  *Hold
	lines map[*line]bool
	up    int64
	down  int64
}

// Hold is a cut to come: the cable passes so many bytes and then nothing more,
// while its connections stay open.
type Hold struct {
	// Reached is closed when bytes came that are not passed any more.
	Reached chan struct{}

	cable    *Cable
	up, down way
}

// Up tells the bytes that were passed from the station since the hold was set, and
// those that came and were not passed.
func (h *Hold) Up() (passed, withheld int64) { return h.tell(&h.up) }

// Down is the same for the way to the station.
func (h *Hold) Down() (passed, withheld int64) { return h.tell(&h.down) }

func (h *Hold) tell(w *way) (passed, withheld int64) {
	h.cable.mu.Lock()
	defer h.cable.mu.Unlock()
	return w.passed, w.withheld
}

// way is one direction.
type way struct{ left, passed, withheld int64 }

// line is one connection through the cable.
type line struct {
	near, far net.Conn
	gone      chan struct{}
	once      sync.Once
}

func (l *line) close() {
	l.once.Do(func() {
		close(l.gone)
		l.near.Close()
		l.far.Close()
	})
}

// New makes an open cable to an address. It passes nothing until Run.
func New(target string) (*Cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make cable: %w", err)
	}
	return &Cable{listen: l, target: target, open: true, lines: map[*line]bool{}}, nil
}

// Address is where the near side connects.
func (k *Cable) Address() string { return k.listen.Addr().String() }

// Run passes bytes until ctx ends.
func (k *Cable) Run(ctx context.Context) error {
	var lines sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		k.listen.Close()
		k.Cut()
	})
	defer stop()
	for {
		near, err := k.listen.Accept()
		if err != nil {
			lines.Wait()
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("cable: %w", err)
		}
		lines.Go(func() { k.carry(near) })
	}
}

// Cut breaks every connection and refuses new ones.
func (k *Cable) Cut() {
	k.mu.Lock()
	k.open, k.hold = false, nil
	lines := k.lines
	k.lines = map[*line]bool{}
	k.mu.Unlock()
	for l := range lines {
		l.close()
	}
}

// Mend lets everything pass again.
func (k *Cable) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.hold = true, nil
}

// HoldAfter lets new connections pass so many bytes up and down from now on, and
// nothing more then. A bound below zero is none.
func (k *Cable) HoldAfter(up, down int64) *Hold {
	k.Cut()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.hold = true, &Hold{Reached: make(chan struct{}), cable: k, up: way{left: up}, down: way{left: down}}
	return k.hold
}

// Passed are the bytes that went through so far.
func (k *Cable) Passed() (up, down int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.up, k.down
}

func (k *Cable) carry(near net.Conn) {
	far, err := net.Dial("tcp", k.target)
	if err != nil {
		near.Close()
		return
	}
	l := &line{near: near, far: far, gone: make(chan struct{})}
	k.mu.Lock()
	open := k.open
	if open {
		k.lines[l] = true
	}
	k.mu.Unlock()
	if !open {
		l.close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { k.pump(l, near, far, true) })
	both.Go(func() { k.pump(l, far, near, false) })
	both.Wait()
	k.mu.Lock()
	delete(k.lines, l)
	k.mu.Unlock()
}

// pump passes one way until either end closes; over the bound it stands still
// until the line is cut.
func (k *Cable) pump(l *line, from, to net.Conn, up bool) {
	defer l.close()
	buf := make([]byte, 8<<10)
	for {
		n, err := from.Read(buf)
		pass := k.pass(int64(n), up)
		if pass > 0 {
			if _, werr := to.Write(buf[:pass]); werr != nil {
				return
			}
		}
		if pass < int64(n) {
			<-l.gone
			return
		}
		if err != nil {
			return
		}
	}
}

// pass says how many of n bytes may go on.
func (k *Cable) pass(n int64, up bool) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	pass := n
	if h := k.hold; h != nil {
		w := &h.down
		if up {
			w = &h.up
		}
		if w.left >= 0 {
			pass = min(n, w.left)
			w.left -= pass
		}
		w.passed += pass
		if w.withheld += n - pass; pass < n {
			select {
			case <-h.Reached:
			default:
				close(h.Reached)
			}
		}
	}
	if up {
		k.up += pass
	} else {
		k.down += pass
	}
	return pass
}
