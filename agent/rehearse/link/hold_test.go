package link

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestCutBreaksAndRefusesUntilMended(t *testing.T) {
	k := lay(t, Shape{})
	c := dial(t, k)
	if err := ping(c, 10); err != nil {
		t.Fatal(err)
	}
	k.Cut()
	if err := ping(c, 10); err == nil {
		t.Error("a cut link passes bytes")
	}
	if err := reach(k); err == nil {
		t.Error("a cut link takes new connections")
	}
	k.Mend()
	if err := reach(k); err != nil {
		t.Errorf("a mended link passes nothing: %v", err)
	}
}

// TestACutOutlastsTheWeather: an outage that ends does not mend what a hand cut.
func TestACutOutlastsTheWeather(t *testing.T) {
	k := lay(t, Shape{})
	c := dial(t, k)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool)
	go func() {
		k.Storm(ctx, []Outage{{0, time.Hour}})
		close(ended)
	}()
	_, _ = io.ReadAll(c) // until the outage
	k.Cut()
	cancel()
	<-ended
	if err := reach(k); err == nil {
		t.Error("the end of an outage mended a cut")
	}
}

// TestHoldStopsAtTheByte: just so much passes, the connection stays open, and
// what is withheld is told.
func TestHoldStopsAtTheByte(t *testing.T) {
	for _, c := range []struct {
		name             string
		shape            Shape
		up, down         int64
		wantUp, wantDown int64
	}{
		{"up", Shape{}, 700, -1, 700, 700},
		{"down", Shape{}, -1, 300, 1000, 300},
		{"up a thin one", Shape{Up: 2_000_000, Delay: 5 * time.Millisecond}, 700, -1, 700, 700},
	} {
		k := lay(t, c.shape)
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
		if all := k.Read(); all.Up != up || all.Down != down {
			t.Errorf("%s: %d bytes counted up and %d down, %d and %d passed", c.name, all.Up, all.Down, up, down)
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		var timeout net.Error
		if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: more came, or the connection was closed: %v", c.name, err)
		}
	}
}
