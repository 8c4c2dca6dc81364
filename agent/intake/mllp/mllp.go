// Package mllp receives messages over HL7's Minimal Lower Layer Protocol (release 1):
// frames of 0x0B, a message, 0x1C 0x0D over TCP.
//
// It owns connections and frames: how many there are, how large one may be, how long
// it may take. It promises that a sender gets an answer only when Answer gave one, one
// for each frame and in their order, that it holds no more than its limits, and that
// all has ended when Run returns. It does not know what a message is.
package mllp

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// The limits of a server.
const (
	MaxFrame = 4 << 20
	MaxPeers = 8
	idle     = 10 * time.Minute // without a frame
	frame    = time.Minute      // from a frame's first byte to its last
	reply    = 30 * time.Second // for an answer to be taken
)

// Options say who is heard and what is answered.
type Options struct {
	// Answer answers a frame. Where bad is an error of this package the frame is no whole
	// one, and the connection ends after the answer. It is called by several goroutines,
	// and again with the same frame when a sender did not get the answer.
	Answer func(ctx context.Context, frame []byte, bad error) []byte
	// From are the addresses that are heard besides this PC's own.
	From []netip.Addr
	Log  *slog.Logger
}

// Server hears what senders say.
type Server struct{ o Options }

// New prepares a server; it starts nothing.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o}
}

// Run serves a listener until ctx ends, and closes it. It returns nil then, and an
// error where the listener fails.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	var open sync.WaitGroup
	defer open.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	room := make(chan struct{}, MaxPeers)
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // of this one connection, or of too many files that are open
			s.o.Log.Warn("cannot accept a sender of messages")
			wait(ctx, time.Second)
			continue
		}
		select {
		case room <- struct{}{}:
		default:
			s.o.Log.Warn("too many senders of messages at once")
			conn.Close()
			continue
		}
		open.Go(func() {
			defer func() { <-room }()
			s.hear(ctx, conn)
		})
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// hear answers one sender until it leaves.
func (s *Server) hear(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if !s.welcome(conn.RemoteAddr()) {
		s.o.Log.Warn("a sender of messages is not on the list", "address", conn.RemoteAddr().String())
		return
	}
	in := bufio.NewReader(conn)
	for {
		err := conn.SetReadDeadline(time.Now().Add(idle))
		if err == nil {
			_, err = in.Peek(1)
		}
		if err == nil {
			err = conn.SetReadDeadline(time.Now().Add(frame))
		}
		if err != nil {
			return
		}
		message, err := Read(in, MaxFrame)
		if err != nil && !errors.Is(err, ErrFrame) && !errors.Is(err, ErrTooLarge) {
			return // it left, or came too slowly: there is nobody to answer
		}
		if message == nil && err == nil {
			continue
		}
		answer := s.o.Answer(ctx, message, err)
		if answer == nil || ctx.Err() != nil {
			return
		}
		if conn.SetWriteDeadline(time.Now().Add(reply)) != nil {
			return
		}
		if _, werr := conn.Write(Frame(answer)); werr != nil || err != nil {
			return
		}
	}
}

// welcome reports whether an address is heard.
func (s *Server) welcome(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	from := at.Addr().Unmap().WithZone("")
	return from.IsLoopback() || slices.Contains(s.o.From, from)
}
