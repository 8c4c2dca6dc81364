package link

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// echo is a far side that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if _, err := io.Copy(c, c); err == nil {
					c.(*net.TCPConn).CloseWrite()
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}

// lay starts a link of a shape to an echo; it has ended when the test has.
func lay(t *testing.T, s Shape) *Link {
	t.Helper()
	return lead(t, echo(t), s)
}

func lead(t *testing.T, target string, s Shape) *Link {
	t.Helper()
	k, err := New(target)
	if err != nil {
		t.Fatal(err)
	}
	k.Set(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return k
}

func dial(t *testing.T, k *Link) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", k.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn)
}

// ping sends a number of bytes and reads them back.
func ping(c net.Conn, n int) error {
	sent := make([]byte, n)
	for i := range sent {
		sent[i] = byte(i * i >> 3)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		wrote <- err
	}()
	got := make([]byte, n)
	_, err := io.ReadFull(c, got)
	if werr := <-wrote; err == nil {
		err = werr
	}
	if err == nil && !bytes.Equal(got, sent) {
		err = io.ErrNoProgress
	}
	return err
}

// reach makes a connection of its own and pings.
func reach(k *Link) error {
	c, err := net.Dial("tcp", k.Address())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	return ping(c, 10)
}

// TestBytesArriveInOrderAndAreCounted, whatever the link does to them.
func TestBytesArriveInOrderAndAreCounted(t *testing.T) {
	for name, s := range map[string]Shape{
		"open":  {},
		"thin":  {Up: 2_000_000, Down: 4_000_000, Delay: 5 * time.Millisecond},
		"lossy": {Up: 8_000_000, Down: 8_000_000, Loss: 0.3, RTO: 3 * time.Millisecond, Seed: 7},
	} {
		t.Run(name, func(t *testing.T) {
			k := lay(t, s)
			const n = 50_000
			c := dial(t, k)
			if err := ping(c, n); err != nil {
				t.Fatal(err)
			}
			if got := k.Read(); got.Up != n || got.Down != n || got.Connections != 1 || got.Trips < 2 {
				t.Errorf("counted %+v, want %d both ways and one connection", got, n)
			}
			// A sender that ends its way is told of so, behind all that it sent.
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
				t.Errorf("at the end came %d bytes and %v", len(rest), err)
			}
		})
	}
}

// TestTheRateIsShared: two connections together take no less time than the rate
// allows. That they take more is no matter of this test.
func TestTheRateIsShared(t *testing.T) {
	const n, rate, delay = 20_000, 1_600_000, 20 * time.Millisecond
	k := lay(t, Shape{Up: rate, Delay: delay})
	began := time.Now()
	var both sync.WaitGroup
	for range 2 {
		c := dial(t, k)
		both.Go(func() {
			if err := ping(c, n); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	// a round trip to connect, one for the bytes, and their time on the way
	if took, least := time.Since(began), 4*delay+2*n*8*time.Second/rate; took < least {
		t.Errorf("took %s, want %s at least", took, least)
	}
}

// TestRoundTripsAreTurns: each question that waits for its answer is one, and so
// is the making of the connection. An answer that is too short to be one is none.
func TestRoundTripsAreTurns(t *testing.T) {
	k := lay(t, Shape{Up: 10_000_000, Down: 10_000_000, Delay: time.Millisecond})
	c := dial(t, k)
	for _, n := range []int{300, 1200, 120, 900, 50} {
		if err := ping(c, n); err != nil {
			t.Fatal(err)
		}
	}
	if got := k.Read(); got.Trips != 5 || got.Requests != 2 {
		t.Errorf("%d round trips and %d requests, want 5 and 2", got.Trips, got.Requests)
	}
}

func TestOutagesCutAndRefuse(t *testing.T) {
	k := lay(t, Shape{})
	c := dial(t, k)
	if err := ping(c, 10); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool)
	go func() {
		k.Storm(ctx, []Outage{{0, time.Hour}})
		close(ended)
	}()
	if _, err := io.ReadAll(c); err == nil {
		t.Error("a connection was ended in an outage as if the other side had")
	}
	if err := reach(k); err == nil {
		t.Error("a connection was made in an outage")
	}
	cancel()
	<-ended
	if err := reach(k); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	if got := k.Read(); got.Cuts != 1 || got.Connections != 2 {
		t.Errorf("%d outages and %d connections, want 1 and 2", got.Cuts, got.Connections)
	}
}

func TestLossesFollowFromTheSeed(t *testing.T) {
	held := func(seed uint64) (all []time.Duration) {
		w := &way{}
		w.set(0, Shape{Loss: 0.2, Seed: seed}, 1)
		for range 500 {
			_, h := w.send(1000, time.Time{})
			all = append(all, h)
		}
		return all
	}
	a, lost := held(1), 0
	for _, h := range a {
		if h%time.Second != 0 {
			t.Errorf("held up for %s", h)
		}
		if h > 0 {
			lost++
		}
	}
	if !slices.Equal(a, held(1)) || slices.Equal(a, held(2)) {
		t.Error("one seed draws two links, or two seeds one")
	}
	if lost < 50 || lost > 200 {
		t.Errorf("of 500 segments %d were lost, want about 100", lost)
	}
}

func TestThePlans(t *testing.T) {
	s := time.Second
	if got, want := Cuts(3*s, 30*s, 3), []Outage{{3 * s, 3 * s}, {33 * s, 33 * s}, {63 * s, 63 * s}}; !slices.Equal(got, want) {
		t.Errorf("cuts at %v, want %v", got, want)
	}
	a := Flapping(5, 20*s, 40*s, 400)
	if !slices.Equal(a, Flapping(5, 20*s, 40*s, 400)) || slices.Equal(a, Flapping(6, 20*s, 40*s, 400)) {
		t.Error("one seed draws two plans, or two seeds one")
	}
	var up, down, at time.Duration
	for _, o := range a {
		if o.From < at || o.Until < o.From {
			t.Fatalf("an outage from %s until %s after %s", o.From, o.Until, at)
		}
		up, down, at = up+o.From-at, down+o.Until-o.From, o.Until
	}
	if up < 300*20*s || up > 500*20*s || down < 300*40*s || down > 500*40*s {
		t.Errorf("up %s and down %s in 400 outages, want about 20 s and 40 s each", up, down)
	}
	for needed, want := range map[time.Duration]time.Duration{4 * s: 4 * s, 5 * s: 5 * s, 6 * s: 16 * s, 12 * s: 32 * s} {
		if got := Through([]Outage{{5 * s, 15 * s}, {20 * s, 30 * s}, {40 * s, 41 * s}}, needed); got != want {
			t.Errorf("%s take %s, want %s", needed, got, want)
		}
	}
}
