package mllp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// serve runs a server on loopback that answers each frame with its length, and says how
// a frame was broken.
func serve(t *testing.T, answer func(context.Context, []byte, error) []byte) (string, context.CancelFunc, chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(Options{Answer: answer}).Run(ctx, l) }()
	t.Cleanup(stop)
	return l.Addr().String(), stop, ended
}

func echo(_ context.Context, frame []byte, bad error) []byte {
	if bad != nil {
		return []byte("bad")
	}
	return append([]byte("got "), frame...)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestFramesAreAnsweredInTheirOrder(t *testing.T) {
	address, stop, ended := serve(t, echo)
	c := dial(t, address)
	io.WriteString(c, "\x0bone\x1c\r\r\n\x0btwo\rlines\x1c\r")
	in := bufio.NewReader(c)
	for _, want := range []string{"got one", "got two\rlines"} {
		if got, err := Read(in, MaxFrame); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	stop() // with the connection open
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
}

func TestBrokenFramesAreAnsweredAndEnd(t *testing.T) {
	address, _, _ := serve(t, echo)
	for name, sent := range map[string]string{
		"no frame":           "GET / HTTP/1.1\r\n",
		"cut off by another": "\x0bone\x0btwo\x1c\r",
		"an end without CR":  "\x0bone\x1cX",
		"too large":          "\x0b" + strings.Repeat("x", MaxFrame+1),
	} {
		c := dial(t, address)
		go io.WriteString(c, sent)
		in := bufio.NewReader(c)
		if got, err := Read(in, MaxFrame); err != nil || string(got) != "bad" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if b, err := in.ReadByte(); err == nil {
			t.Errorf("%s: %q follows", name, b)
		}
	}
}

func TestHalfAFrameIsNoMessage(t *testing.T) {
	heard := make(chan []byte, 1)
	address, _, _ := serve(t, func(_ context.Context, b []byte, _ error) []byte { heard <- b; return b })
	c := dial(t, address)
	io.WriteString(c, "\x0bhalf")
	c.Close()
	io.WriteString(dial(t, address), "\x0bwhole\x1c\r")
	if got := <-heard; string(got) != "whole" {
		t.Errorf("got %q", got)
	}
}

func TestNoMorePeersThanThereIsRoomFor(t *testing.T) {
	address, _, _ := serve(t, echo)
	var first net.Conn
	for range MaxPeers {
		c := dial(t, address)
		io.WriteString(c, "\x0bx\x1c\r") // it is heard, and stays
		if _, err := Read(bufio.NewReader(c), 100); err != nil {
			t.Fatal(err)
		}
		first = c
	}
	if _, err := dial(t, address).Read(make([]byte, 1)); err == nil {
		t.Error("one more is heard")
	}
	first.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		c := dial(t, address)
		io.WriteString(c, "\x0bx\x1c\r")
		if _, err := Read(bufio.NewReader(c), 100); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody is heard after one left")
		}
	}
}

func TestOnlyThisPCAndThoseOnTheListAreHeard(t *testing.T) {
	s := New(Options{From: []netip.Addr{netip.MustParseAddr("192.168.1.20")}})
	for address, want := range map[string]bool{
		"127.0.0.1:99": true, "[::1]:99": true, "192.168.1.20:5": true, "[::ffff:192.168.1.20]:5": true,
		"192.168.1.21:5": false, "10.0.0.1:5": false,
	} {
		at, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.welcome(at); got != want {
			t.Errorf("%s: heard %v, want %v", address, got, want)
		}
	}
}

// FuzzFrame holds that a frame holds what was sent in it, and no more than its limit.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x0bMSH|^~\\&|\x1c\r"))
	f.Add([]byte("\r\n\x0ba\x1c\r\x0bb\x1c\r"))
	f.Add([]byte("\x0b\x0b\x1c\x1c\r"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 64
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			message, err := Read(r, most)
			if len(message) > most {
				t.Fatalf("%d bytes in a frame of at most %d", len(message), most)
			}
			if err == nil && message != nil {
				again, err := Read(bufio.NewReader(bytes.NewReader(Frame(message))), most)
				if err != nil || !bytes.Equal(again, message) {
					t.Fatalf("%q comes back as %q, %v", message, again, err)
				}
				continue
			}
			if err != nil && !errors.Is(err, ErrFrame) && !errors.Is(err, ErrTooLarge) {
				return
			}
		}
	})
}
