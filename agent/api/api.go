// Package api is the door for other software on the station's network: a listener
// that speaks TLS only and hands requests on.
//
// It owns the certificate that it shows, the limits of time, size and number of every
// listener of the agent, and which names are the station's. It promises that nothing
// is answered in the clear, that slow or many clients hold up nobody else for long,
// and that a station whose address is away works on and answers once it is back. It
// does not know what is served, nor who may ask.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tram/store/seal"
)

// Options say where is listened and what is shown.
type Options struct {
	Listen string   // "address:port"
	Names  []string // host names under which others know the PC, beside the address
	// CertFile and KeyFile are PEM files; "" means that the station makes its own, which
	// is kept in Dir, sealed in Box.
	CertFile, KeyFile string
	Dir               string
	Box               seal.Box
	// Handler makes what answers, once it is known under which address programs ask,
	// "https://192.168.1.10:8643"; own reports whether a name is the station's.
	Handler func(base string, own func(r *http.Request, host string) bool) (http.Handler, error)
	Limits  Limits        // zero is Outside
	Again   time.Duration // how long trouble is left before it is tried again; 0 is 15 s
	Log     *slog.Logger
}

// State is how the door is.
type State struct {
	Addresses   []string // "https://192.168.1.10:8643", the first one is in links
	Fingerprint string   // SHA-256 of the certificate, as "AB:CD:…"; "" before there is one
	Certificate []byte   // PEM
	Own         bool     // the station made it
	Trouble     Trouble
}

// Trouble is why nobody is answered.
type Trouble string

// The troubles.
const (
	None        Trouble = ""
	Address     Trouble = "address"     // it is not this PC's now, or in use
	Certificate Trouble = "certificate" // it cannot be used
)

// Server is the door. Run it once.
type Server struct {
	o       Options
	keeping sync.Mutex // who reads or writes the file of the certificate

	mu    sync.Mutex
	state State
}

// New makes a Server. It starts nothing.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Limits == (Limits{}) {
		o.Limits = Outside()
	}
	if o.Again == 0 {
		o.Again = 15 * time.Second
	}
	return &Server{o: o}
}

// State is how the door is now.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run answers until ctx ends. What keeps it from that is in State, and tried again: the
// station goes on where nobody outside can be answered.
func (s *Server) Run(ctx context.Context) error {
	for {
		trouble, err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if trouble == None { // the program's own fault
			return err
		}
		s.mu.Lock()
		told := s.state.Trouble == trouble
		s.state.Trouble = trouble
		s.mu.Unlock()
		if !told {
			s.o.Log.Error("programs on the network are not answered", "trouble", trouble, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.o.Again):
		}
	}
}

// serve answers as long as it can.
func (s *Server) serve(ctx context.Context) (Trouble, error) {
	cert, err := s.certificate()
	if err != nil {
		return Certificate, err
	}
	l, err := net.Listen("tcp", s.o.Listen)
	if err != nil {
		return Address, err
	}
	sum := sha256.Sum256(cert.Certificate[0])
	st := State{Own: s.o.CertFile == "", Fingerprint: strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")}
	for _, der := range cert.Certificate {
		st.Certificate = append(st.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return Address, errors.Join(err, l.Close())
	}
	hosts := slices.Clone(s.o.Names)
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		hosts = append(hosts, host)
	}
	for _, h := range hosts {
		st.Addresses = append(st.Addresses, "https://"+net.JoinHostPort(h, port))
	}
	if len(st.Addresses) == 0 {
		return Address, errors.Join(errors.New("no name for the address; name one under [api] in the settings"), l.Close())
	}
	h, err := s.o.Handler(st.Addresses[0], s.own)
	if err != nil {
		return None, errors.Join(err, l.Close())
	}
	s.mu.Lock()
	s.state = st
	s.mu.Unlock()
	s.o.Log.Info("programs on the network are answered", "address", l.Addr().String())
	return Address, Serve(ctx, tls.NewListener(s.o.Limits.listener(l, s.o.Log), shown(cert)), h, s.o.Limits, s.o.Log)
}

// shown is how TLS is spoken with a certificate (RFC 9325).
func shown(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// own reports whether a name of a request, with its port, is the station's: one that the
// settings say, or the address that the connection came to. Any other name may be one
// that a page of the Internet points here (DNS rebinding).
func (s *Server) own(r *http.Request, host string) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	ip, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return false
	}
	name, asked, err := net.SplitHostPort(host)
	if err != nil { // no port is that of https
		name, asked = strings.Trim(host, "[]"), "443"
	}
	return asked == port && (slices.Contains(s.o.Names, name) || net.ParseIP(name) != nil && net.ParseIP(name).Equal(net.ParseIP(ip)))
}
