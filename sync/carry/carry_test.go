package carry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// pair is an enrolled station with a store, and the centre's side of its TLS.
type pair struct {
	t        *testing.T
	store    *store.Store
	merger   *merge.Merger
	identity *trust.Identity
	server   *tls.Config
}

// epoch is when the pair's certificates were made.
func epoch() time.Time { return time.Date(2026, 11, 3, 8, 0, 0, 0, time.UTC) }

func newPair(t *testing.T) *pair {
	t.Helper()
	a, err := trust.NewAuthority(epoch())
	must(t, err)
	cert, err := a.ServerCertificate([]string{"127.0.0.1"}, epoch())
	must(t, err)
	fresh, err := trust.NewIdentity()
	must(t, err)
	csr, err := fresh.CSR()
	must(t, err)
	answer, err := a.Enrol(csr, "tram-a", epoch())
	must(t, err)
	id, err := trust.FinishEnrol(fresh, a.RootPEM(), "tram-a", answer)
	must(t, err)
	classes, err := merge.DefaultClasses()
	must(t, err)
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	return &pair{t, s, merge.New(s.R4(), classes), id, trust.ServerTLS(cert, a.Root(), trust.Options{VerifyAt: epoch})}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client dials base with short patience.
func (p *pair) client(base string) *Client {
	p.t.Helper()
	conf, err := trust.ClientTLS(p.identity, trust.Options{VerifyAt: epoch})
	must(p.t, err)
	c := newClient(base, conf, slog.New(slog.DiscardHandler), 300*time.Millisecond)
	c.http.RetryWaitMin, c.http.RetryWaitMax = time.Millisecond, time.Millisecond
	p.t.Cleanup(c.Close)
	return c
}

// serve starts a listener with certificates on both sides.
func (p *pair) serve(h http.Handler) *httptest.Server {
	p.t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS, s.Config.ErrorLog = p.server.Clone(), slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	p.t.Cleanup(s.Close)
	return s
}

func (p *pair) ask() *engine.Ask {
	p.t.Helper()
	return p.askIn(wire.Protocol)
}

func (p *pair) askIn(protocol int) *engine.Ask {
	p.t.Helper()
	ask, err := engine.NewAsk(engine.AskOptions{Replica: p.store, Name: "tram-a", Merger: p.merger, Pace: engine.DefaultPace(), Protocol: protocol,
		Verify: func(record.Receipt) error { return nil }})
	must(p.t, err)
	return ask
}

func (p *pair) born() record.Key {
	p.t.Helper()
	k := record.Key{Kind: "Patient", ID: p.store.NewID()}
	_, err := p.store.Put(context.Background(), store.Write{Key: k, Content: []byte(`{"resourceType":"Patient","id":"` + k.ID + `"}`), Author: "hoa"})
	must(p.t, err)
	return k
}

func packed(t *testing.T, s string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	must(t, err)
	return z.EncodeAll([]byte(s), nil)
}

func stream(t *testing.T, frames ...*wire.Frame) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := wire.NewWriter(&b, wire.Plain, wire.After{})
	must(t, err)
	for _, f := range frames {
		must(t, w.Write(f))
	}
	must(t, w.Close())
	return b.Bytes()
}

// says answers every request alike, after reading it.
func says(code int, header string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if name, value, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		w.Write(body)
	}
}

func TestFailuresHaveTheirCode(t *testing.T) {
	p := newPair(t)
	born := p.born()
	welcome := &wire.Frame{Welcome: &wire.Welcome{Protocol: 1}}
	good := stream(t, welcome, &wire.Frame{Mark: &wire.Mark{}}, &wire.Frame{End: &wire.End{}})
	portal := []byte("<!doctype html><title>Wi-Fi</title><form>Xin chào! Hãy đăng nhập.</form>")
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   status.Failure
		after  time.Duration
	}{
		{"a captive portal", says(200, "Content-Type: text/html", portal), status.FailNonsense, 0},
		{"nothing at all", says(200, "", nil), status.FailCut, 0},
		{"garbage behind zstd's first bytes", says(200, "", append([]byte{0x28, 0xb5, 0x2f, 0xfd}, portal...)), status.FailNonsense, 0},
		{"zstd that is no JSON", says(200, "", packed(t, "hello\nworld\n")), status.FailNonsense, 0},
		{"an end before the welcome", says(200, "", stream(t, &wire.Frame{End: &wire.End{}})), status.FailNonsense, 0},
		{"a line without end", says(200, "", packed(t, strings.Repeat(" ", wire.MaxLine+2))), status.FailNonsense, 0},
		{"half an answer", says(200, "", good[:len(good)/2]), status.FailCut, 0},
		{"an answer without an end", says(200, "", stream(t, welcome)), status.FailCut, 0},
		{"an answer that stops", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Write(good[:len(good)-9])
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, status.FailCut, 0},
		{"503 in five minutes", says(503, "Retry-After: 300", nil), status.FailLater, 5 * time.Minute},
		{"429 in a year", says(429, "Retry-After: 31536000", nil), status.FailLater, time.Hour},
		{"503 at a date", says(503, "Retry-After: Tue, 03 Nov 2026 08:00:00 GMT", nil), status.FailLater, 0},
		{"503 and minus one", says(503, "Retry-After: -1", nil), status.FailLater, 0},
		{"401", says(401, "", nil), status.FailRefused, 0},
		{"403", says(403, "", nil), status.FailRefused, 0},
		{"426", says(426, "", nil), status.FailVersion, 0},
		{"404 of another program", says(404, "", portal), status.FailNonsense, 0},
		{"500", says(500, "", nil), status.FailNonsense, 0},
		{"what is good", says(200, "", good), "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := p.client(p.serve(c.answer).URL)
			err := client.Exchange(context.Background(), p.askIn(wire.First))
			if got := FailureOf(err); got != c.want || (err == nil) != (c.want == "") {
				t.Fatalf("got %q (%v), want %q", got, err, c.want)
			}
			if err != nil && !Sent(err) {
				t.Error("it says that nothing was sent")
			}
			var e *Error
			if errors.As(err, &e) && e.After != c.after {
				t.Errorf("to come back after %s, want %s", e.After, c.after)
			}
			if err != nil && strings.Contains(err.Error(), born.ID) {
				t.Errorf("the error names a record: %v", err)
			}
		})
	}
	if list, err := p.store.WaitingList(5); err != nil || len(list) != 1 || list[0].Place != record.Here {
		t.Errorf("after all this the entry is %+v, %v; want it waiting", list, err)
	}
}

func TestLinksThatAreNone(t *testing.T) {
	p, other := newPair(t), newPair(t)
	denying := httptest.NewUnstartedServer(says(200, "", nil))
	denying.TLS, denying.Config.ErrorLog = p.server.Clone(), slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	denying.TLS.VerifyConnection = func(tls.ConnectionState) error { return trust.ErrRefused }
	denying.StartTLS()
	t.Cleanup(denying.Close)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, free.Close())
	plain := httptest.NewServer(says(200, "", []byte("hello")))
	t.Cleanup(plain.Close)
	for name, c := range map[string]struct {
		base string
		want status.Failure
	}{
		"nobody listens":           {"https://" + free.Addr().String(), status.FailLink},
		"no TLS":                   {"https://" + plain.Listener.Addr().String(), status.FailLink},
		"another centre":           {other.serve(says(200, "", nil)).URL, status.FailCertificate},
		"a centre that denies us":  {denying.URL, status.FailCertificate},
		"a certificate for others": {strings.Replace(p.serve(says(200, "", nil)).URL, "127.0.0.1", "localhost", 1), status.FailCertificate},
		"no address":               {"https://%zz", status.FailLink},
	} {
		err := p.client(c.base).Exchange(context.Background(), p.ask())
		if got := FailureOf(err); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if c.want == status.FailLink && Sent(err) {
			t.Errorf("%s: a part of the request may have arrived", name)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	p := newPair(t)
	p.born()
	var leaked atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		leaked.Add(n + 1)
	}))
	t.Cleanup(plain.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		err := p.client(p.serve(says(code, "Location: "+plain.URL, nil)).URL).Exchange(context.Background(), p.ask())
		if FailureOf(err) != status.FailNonsense || leaked.Load() != 0 {
			t.Errorf("%d: %v, and %d bytes went elsewhere", code, err, leaked.Load())
		}
	}
}

// A link may die while the request goes up: what is read no more fills the buffers.
func TestDeadLinkWhileSending(t *testing.T) {
	p := newPair(t)
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.(*net.TCPConn).SetReadBuffer(4096)
			tls.Server(conn, p.server).HandshakeContext(context.Background())
		}
	}()
	_, err = p.client("https://"+listen.Addr().String()).Post(context.Background(), StatusPath, make([]byte, 32<<20), 100)
	if FailureOf(err) != status.FailLink || !Sent(err) {
		t.Errorf("got %v, want a link that went down after something was sent", err)
	}
	must(t, listen.Close())
	<-done
}

func TestPost(t *testing.T) {
	p := newPair(t)
	got, err := p.client(p.serve(says(200, "", []byte("0123456789"))).URL).Post(context.Background(), StatusPath, []byte("{}"), 4)
	if err != nil || string(got) != "0123" {
		t.Errorf("at most four bytes: %q, %v", got, err)
	}
	stops := p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write([]byte("{"))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	if _, err := p.client(stops.URL).Post(context.Background(), EnrolPath, []byte("{}"), 100); FailureOf(err) != status.FailCut {
		t.Errorf("an answer that stops: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.client(stops.URL).Post(ctx, EnrolPath, []byte("{}"), 100); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// upstream is a centre's store behind a Handler.
func (p *pair) upstream(wrap func(engine.Replica) engine.Replica) (*store.Store, Handler) {
	p.t.Helper()
	top := storetest.Open(p.t, store.Options{Name: "centre", Top: true, R4: p.store.R4()})
	must(p.t, top.AddPeer(context.Background(), store.Peer{Name: "tram-a", Station: "tram-a"}))
	return top, Handler{Log: slog.New(slog.DiscardHandler), Begin: func(http.ResponseWriter, *http.Request) *engine.Serve {
		return engine.NewServe(engine.ServeOptions{Replica: wrap(top), Name: "centre", Peer: "tram-a", Merger: p.merger, R4: p.store.R4(), Now: 1,
			Sign: func(r record.Receipt) record.Receipt { return r }, Hear: func(wire.Hello) wire.Refusal { return "" },
			Admit:      func(*record.Version, *record.Stand) record.Reason { return "" },
			MaxContent: 1 << 20, Pace: engine.DefaultPace()})
	}}
}

func same(r engine.Replica) engine.Replica { return r }

func TestExchangesShareOneConnection(t *testing.T) {
	p := newPair(t)
	_, h := p.upstream(same)
	conns := atomic.Int64{}
	s := httptest.NewUnstartedServer(h)
	s.TLS = p.server
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	c := p.client(s.URL)
	for i := range 4 {
		p.born()
		ask := p.ask()
		must(t, c.Exchange(context.Background(), ask))
		if r := ask.Result(); r.Taken != 1 {
			t.Errorf("exchange %d: %+v", i, r)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for four exchanges, want 1", n)
	}
	if up, down := c.Bytes(); up < 1000 || down < 1000 || up > 40_000 || down > 40_000 {
		t.Errorf("%d bytes up, %d down", up, down)
	}
}

// full is a replica whose disk has no more room.
type full struct{ engine.Replica }

func (full) Apply(context.Context, record.Stretch) error {
	return fmt.Errorf("apply: %w", store.ErrFull)
}

func TestHandlerRefuses(t *testing.T) {
	p := newPair(t)
	p.born()
	var request bytes.Buffer
	must(t, Send(&request, p.askIn(wire.First).Next))
	for _, c := range []struct {
		name, method string
		body         []byte
		wrap         func(engine.Replica) engine.Replica
		want         int
		after        string
	}{
		{"a look", http.MethodGet, nil, same, 405, ""},
		{"nothing", http.MethodPost, nil, same, 400, ""},
		{"a form", http.MethodPost, []byte("user=hoa"), same, 400, ""},
		{"half a request", http.MethodPost, request.Bytes()[:request.Len()/2], same, 400, ""},
		{"a disk that is full", http.MethodPost, request.Bytes(), func(r engine.Replica) engine.Replica { return full{r} }, 503, "300"},
		{"a good one", http.MethodPost, request.Bytes(), same, 200, ""},
		{"the same again", http.MethodPost, request.Bytes(), same, 200, ""},
	} {
		_, h := p.upstream(c.wrap)
		s := httptest.NewServer(h)
		req, err := http.NewRequest(c.method, s.URL, bytes.NewReader(c.body))
		must(t, err)
		req.Header.Set("Content-Type", wire.Plain.MediaType())
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != c.want || resp.Header.Get("Retry-After") != c.after {
			t.Errorf("%s: %s, Retry-After %q; want %d, %q", c.name, resp.Status, resp.Header.Get("Retry-After"), c.want, c.after)
		}
		if c.want != 200 && (len(text) == 0 || strings.Count(string(text), "\n") != 1) {
			t.Errorf("%s: says %q, want one sentence", c.name, text)
		}
		s.Close()
	}
}

// A sender that falls silent lets go of the handler; what was committed stays.
func TestHandlerLetsGoOfADeadSender(t *testing.T) {
	p := newPair(t)
	var keys []record.Key
	for range 40 { // more than one stretch
		keys = append(keys, p.born())
	}
	var request bytes.Buffer
	must(t, Send(&request, p.askIn(wire.First).Next))
	top, h := p.upstream(same)
	h.idle = 200 * time.Millisecond
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	r, w := io.Pipe()
	go func() {
		w.Write(request.Bytes()[:request.Len()-8]) // and no more, without closing
	}()
	req, err := http.NewRequest(http.MethodPost, s.URL, r)
	must(t, err)
	req.Header.Set("Content-Type", wire.Plain.MediaType())
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %s", resp.Status)
		}
	}
	must(t, r.Close())
	if _, err := top.Get(keys[0]); err != nil {
		t.Errorf("what came before the last mark is gone: %v", err)
	}
}

// What Streams keeps from one stream shows in none that follows, also where one was cut,
// could not be written, or was nonsense.
func TestStreamsLeaveNothingBehind(t *testing.T) {
	var kept Streams
	frames := func(n int) func() (*wire.Frame, error) {
		i := 0
		return func() (*wire.Frame, error) {
			i++
			switch {
			case i <= n:
				return &wire.Frame{Welcome: &wire.Welcome{Protocol: wire.Protocol, Replica: strings.Repeat("r", n), Time: int64(i)}}, nil
			case i == n+1:
				return &wire.Frame{End: &wire.End{}}, nil
			}
			return nil, io.EOF
		}
	}
	for i := range 40 {
		n, form := 1+i%7, wire.Form(i/20)
		var fresh, again bytes.Buffer
		_, err := (*Streams)(nil).Send(&fresh, form, wire.After{}, frames(n))
		must(t, err)
		_, err = kept.Send(&again, form, wire.After{}, frames(n))
		must(t, err)
		if !bytes.Equal(fresh.Bytes(), again.Bytes()) {
			t.Fatalf("stream %d differs from one with memory of its own", i)
		}
		got := 0
		_, err = kept.Receive(t.Context(), &again, form, wire.After{}, func(_ context.Context, f *wire.Frame) error {
			if f.Welcome != nil && f.Welcome.Time == int64(got+1) && len(f.Welcome.Replica) == n {
				got++
			}
			return nil
		})
		must(t, err)
		if got != n {
			t.Fatalf("stream %d: %d frames, want %d", i, got, n)
		}
		none := func(context.Context, *wire.Frame) error { return nil }
		if _, err := kept.Receive(t.Context(), bytes.NewReader(fresh.Bytes()[:fresh.Len()-i%4-1]), form, wire.After{}, none); !errors.Is(err, wire.ErrCut) {
			t.Fatalf("a cut stream: %v", err)
		}
		if _, err := kept.Receive(t.Context(), strings.NewReader(strings.Repeat("user=hoa&", 20)), form, wire.After{}, none); !errors.Is(err, wire.ErrNonsense) {
			t.Fatalf("no stream: %v", err)
		}
		if _, err := kept.Receive(t.Context(), bytes.NewReader(fresh.Bytes()), form, wire.After{}, func(context.Context, *wire.Frame) error { return io.ErrNoProgress }); !errors.Is(err, io.ErrNoProgress) {
			t.Fatalf("a reader who gives up: %v", err)
		}
		if _, err := kept.Send(io.Discard, form, wire.After{}, func() (*wire.Frame, error) { return nil, io.ErrNoProgress }); !errors.Is(err, io.ErrNoProgress) {
			t.Fatalf("a writer who gives up: %v", err)
		}
	}
}
