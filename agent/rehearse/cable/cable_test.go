package cable

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}

// lay starts a cable to the far side; it has ended when the test has.
func lay(t *testing.T, to string) *Cable {
	t.Helper()
	k, err := New(to)
	if err != nil {
		t.Fatal(err)
	}
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

func dial(t *testing.T, k *Cable) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", k.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func TestCablePassesAndCounts(t *testing.T) {
	k := lay(t, echo(t))
	c := dial(t, k)
	sent := bytes.Repeat([]byte("0123456789"), 5000)
	go c.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what came back differs: %v", err)
	}
	if up, down := k.Passed(); up != int64(len(sent)) || down != int64(len(sent)) {
		t.Errorf("passed %d up and %d down, want %d", up, down, len(sent))
	}
}

func TestCutBreaksAndRefusesUntilMended(t *testing.T) {
	k := lay(t, echo(t))
	c := dial(t, k)
	ping := func(c net.Conn) error {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	if err := ping(c); err != nil {
		t.Fatal(err)
	}
	k.Cut()
	if err := ping(c); err == nil {
		t.Error("a cut cable passes bytes")
	}
	if err := ping(dial(t, k)); err == nil {
		t.Error("a cut cable takes new connections")
	}
	k.Mend()
	if err := ping(dial(t, k)); err != nil {
		t.Errorf("a mended cable passes nothing: %v", err)
	}
}

// TestHoldStopsAtTheByte: just so much passes, the connection stays open, and
// what is withheld is told.
func TestHoldStopsAtTheByte(t *testing.T) {
	for _, c := range []struct {
		name             string
		up, down         int64
		wantUp, wantDown int64
	}{
		{"up", 700, -1, 700, 700},
		{"down", -1, 300, 1000, 300},
	} {
		k := lay(t, echo(t))
		h := k.HoldAfter(c.up, c.down)
		conn := dial(t, k)
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		<-h.Reached
		got := make([]byte, c.wantDown)
		if _, err := io.ReadFull(conn, got); err != nil {
			t.Errorf("%s: of %d bytes: %v", c.name, c.wantDown, err)
		}
		up, upLeft := h.Up()
		down, downLeft := h.Down()
		if up != c.wantUp || down != c.wantDown || up+upLeft != 1000 || upLeft+downLeft == 0 {
			t.Errorf("%s: up %d and %d withheld, down %d and %d withheld; want %d up, %d down", c.name, up, upLeft, down, downLeft, c.wantUp, c.wantDown)
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		var timeout net.Error
		if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: more came, or the connection was closed: %v", c.name, err)
		}
	}
}
