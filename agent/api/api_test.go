package api

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/store"
	"tram/store/storetest"
)

// door is a Server at work over a store of its own.
type door struct {
	*Server
	log *safeLog
	end func()
}

// safeLog is a log that a test reads while it is written.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, s *store.Store, more ...func(*Options)) *door {
	t.Helper()
	d := &door{log: &safeLog{}}
	o := Options{Listen: "127.0.0.1:0", Dir: s.Dir(), Log: slog.New(slog.NewTextHandler(d.log, nil)),
		Handler: func(base string, own func(*http.Request, string) bool) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				fmt.Fprint(w, base, " ", own(r, r.Host), " ", len(b), " ", err)
			}), nil
		}}
	for _, f := range more {
		f(&o)
	}
	o.Box = s.Box(func() error { return d.Server.Reseal() })
	d.Server = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	d.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(d.end)
	return d
}

// up waits until the door answers.
func (d *door) up(t *testing.T) State {
	t.Helper()
	for range 1000 {
		if s := d.State(); len(s.Addresses) > 0 {
			return s
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never answers: %s", d.log)
	return State{}
}

// trusting is a client that trusts what a door shows as a file.
func trusting(t *testing.T, s State) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.Certificate) {
		t.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 20 * time.Second}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOwnCertificateStaysAndIsSealed(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	d := start(t, s)
	first := d.up(t)
	if got, want := get(t, trusting(t, first), first.Addresses[0]), first.Addresses[0]+" true 0 <nil>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	block, _ := pem.Decode(first.Certificate)
	sum := sha256.Sum256(block.Bytes)
	if want := strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"); first.Fingerprint != want || !first.Own {
		t.Errorf("fingerprint %s, want %s; own %v", first.Fingerprint, want, first.Own)
	}
	path := filepath.Join(s.Dir(), ownFile)
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte("PRIVATE")) || bytes.Contains(b, block.Bytes[:40]) {
		t.Errorf("the file is in the clear, or: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	d.end()
	if err := s.Rotate(context.Background()); err != nil {
		t.Fatal(err)
	}
	d = start(t, s)
	if again := d.up(t); again.Fingerprint != first.Fingerprint {
		t.Errorf("after keys rotated another certificate: %s", d.log)
	}
	d.end()
	d = start(t, s, func(o *Options) { o.Names = []string{"tram-a.example"} })
	named := d.up(t)
	if !strings.HasPrefix(named.Addresses[0], "https://tram-a.example:") || len(named.Addresses) != 2 {
		t.Errorf("addresses: %v", named.Addresses)
	}
	block2, _ := pem.Decode(named.Certificate)
	one, err1 := x509.ParseCertificate(block.Bytes)
	two, err2 := x509.ParseCertificate(block2.Bytes)
	if errors.Join(err1, err2) != nil || two.VerifyHostname("tram-a.example") != nil || string(one.RawSubjectPublicKeyInfo) != string(two.RawSubjectPublicKeyInfo) {
		t.Errorf("a new name needs a new certificate over the same key: %v", errors.Join(err1, err2))
	}
	d.end()
	if err := os.WriteFile(path, []byte("altered"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = start(t, s)
	if made := d.up(t); made.Fingerprint == first.Fingerprint || !strings.Contains(d.log.String(), "does not open") {
		t.Errorf("an altered file: %s", d.log)
	}
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestGivenCertificateIsShown(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	maker := New(Options{Listen: "127.0.0.1:1"})
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	given := func(o *Options) { o.CertFile, o.KeyFile = cert, key }
	d := start(t, s, given)
	for d.State().Trouble != Certificate {
		time.Sleep(time.Millisecond)
	}
	d.end()
	own, err := maker.make(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{cert, key} {
		if err := os.WriteFile(f, own, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d = start(t, s, given)
	st := d.up(t)
	if st.Own || !strings.HasPrefix(get(t, trusting(t, st), st.Addresses[0]), st.Addresses[0]) {
		t.Errorf("state %+v", st)
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), ownFile)); err == nil {
		t.Error("an own certificate was made beside the given one")
	}
}

func TestAddressInUseIsTriedAgain(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, s, func(o *Options) { o.Listen, o.Again = l.Addr().String(), 5*time.Millisecond })
	for d.State().Trouble != Address {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if n := strings.Count(d.log.String(), "are not answered"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	st := d.up(t)
	if st.Trouble != None {
		t.Errorf("trouble %q while it answers", st.Trouble)
	}
	get(t, trusting(t, st), st.Addresses[0])
}

func TestOnlyTLSAndOwnNames(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	d := start(t, s, func(o *Options) { o.Names = []string{"tram-a"} })
	st := d.up(t)
	at := strings.TrimPrefix(st.Addresses[1], "https://")
	_, port, _ := net.SplitHostPort(at)
	if resp, err := http.Get("http://" + at); err == nil {
		if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("in the clear: %d", resp.StatusCode)
		}
	}
	if _, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	c := trusting(t, st)
	for host, want := range map[string]bool{at: true, "tram-a:" + port: true, "tram-a": false, "127.0.0.1": false, "evil.example:" + port: false,
		"127.0.0.2:" + port: false, "localhost:" + port: false, "tram-a:1": false} {
		r, err := http.NewRequest("GET", "https://"+at, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := strings.Contains(string(b), " true "); err != nil || got != want {
			t.Errorf("%s is own: %v, want %v", host, got, want)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	log := &safeLog{}
	l, err := Limits{Connections: 3, PerAddress: 2}.Listen("127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	in := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		return c
	}
	dial()
	dial()
	first := <-in
	<-in
	for range 5 {
		if _, err := io.ReadAll(dial()); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("one too many: %v", err)
		}
	}
	if n := strings.Count(log.String(), "too many connections"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	for range 2 { // closed twice counts once
		first.Close()
	}
	dial()
	select {
	case <-in:
	case <-time.After(10 * time.Second):
		t.Error("room that was given back is not used")
	}
	if b, err := io.ReadAll(dial()); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("one that was closed twice made room for two: %q, %v", b, err)
	}
}

// What runs when the end begins is done before Serve returns: the records are closed then.
func TestServeEndsWhenWhatRunsIsDone(t *testing.T) {
	l, err := Outside().Listen("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	began, done := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		time.Sleep(300 * time.Millisecond)
		close(done)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, l, h, Outside(), slog.New(slog.DiscardHandler)) }()
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	default:
		t.Error("Serve returned while a request ran")
	}
}
