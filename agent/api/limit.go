package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits are what a client may take of a listener.
type Limits struct {
	Header time.Duration // to send a request's header
	Read   time.Duration // to send all of a request
	Write  time.Duration // from a request's header to the end of its answer; 0 is no limit
	Idle   time.Duration // between two requests
	Bytes  int           // of a request's header
	// Connections are those at once, PerAddress those of one other PC; more are closed
	// at once.
	Connections, PerAddress int
}

// Outside are the limits of what the network reaches.
func Outside() Limits {
	return Limits{Header: 10 * time.Second, Read: 2 * time.Minute, Write: 5 * time.Minute, Idle: time.Minute,
		Bytes: 32 << 10, Connections: 256, PerAddress: 64}
}

// Inside are the limits of what this PC alone reaches. A backup may take as long as it
// takes.
func Inside() Limits {
	return Limits{Header: 20 * time.Second, Read: 5 * time.Minute, Idle: 2 * time.Minute, Bytes: 32 << 10, Connections: 1024, PerAddress: 1024}
}

// Listen is net.Listen within the limits of numbers.
func (l Limits) Listen(address string, log *slog.Logger) (net.Listener, error) {
	in, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return l.listener(in, log), nil
}

// Serve answers with h within the limits until ctx ends, and gives what runs then a
// few seconds to end.
func Serve(ctx context.Context, l net.Listener, h http.Handler, limits Limits, log *slog.Logger) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: limits.Header, ReadTimeout: limits.Read, WriteTimeout: limits.Write, IdleTimeout: limits.Idle,
		MaxHeaderBytes: limits.Bytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l) // returns as soon as the end begins
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// limited closes connections that are too many.
type limited struct {
	net.Listener
	limits Limits
	log    *slog.Logger

	mu   sync.Mutex
	all  int
	from map[string]int // connections by address
	full bool           // said in the log
}

func (l Limits) listener(in net.Listener, log *slog.Logger) *limited {
	return &limited{Listener: in, limits: l, log: log, from: map[string]int{}}
}

// Accept waits for a connection that there is room for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = ""
		}
		if l.enter(host) {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { l.leave(host) })}, nil
		}
		c.Close() // who sent it learns nothing else
	}
}

func (l *limited) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.limits.Connections || l.from[host] >= l.limits.PerAddress {
		if !l.full {
			l.log.Warn("too many connections: more are closed", "all", l.all, "of one address", l.from[host])
		}
		l.full = true
		return false
	}
	l.all++
	l.from[host]++
	return true
}

func (l *limited) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[host]--; l.from[host] == 0 {
		delete(l.from, host)
	}
	l.full = l.full && l.all > l.limits.Connections/2
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
