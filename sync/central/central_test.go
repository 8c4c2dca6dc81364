package central

import (
	"bytes"
	"context"
	"errors"
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
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// site is a running centre with real listeners, and a clock that tests move.
type site struct {
	*Centre
	t         *testing.T
	dir       string
	now       time.Time
	mu        sync.Mutex
	url, page string
	log       bytes.Buffer
	stop      context.CancelFunc
	ended     chan error
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 3, 8, 0, 0, 0, time.UTC)}
	s.start()
	t.Cleanup(s.end)
	return s
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Write takes the centre's log.
func (s *site) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func (s *site) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *site) start() {
	s.t.Helper()
	ready := make(chan [2]net.Addr, 1)
	c, err := New(Options{Dir: s.dir, Listen: "127.0.0.1:0", Page: "127.0.0.1:0", Hosts: []string{"127.0.0.1"}, Version: "test", Now: s.clock,
		Log: slog.New(slog.NewTextHandler(s, nil)), Ready: func(a, b net.Addr) { ready <- [2]net.Addr{a, b} }})
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s.Centre, s.stop, s.ended = c, cancel, make(chan error, 1)
	ended := s.ended
	go func() { ended <- c.Run(ctx) }()
	select {
	case at := <-ready:
		s.url, s.page = "https://"+at[0].String(), "http://"+at[1].String()
	case err := <-ended:
		s.t.Fatalf("the centre did not start: %v", err)
	}
}

func (s *site) end() {
	s.stop()
	if err := <-s.ended; err != nil {
		s.t.Errorf("the centre ended with %v", err)
	}
	storetest.Check(s.t, s.store)
	must(s.t, s.Close())
}

// restart ends the centre and starts it anew from its folder.
func (s *site) restart() {
	s.t.Helper()
	s.end()
	s.start()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pc is a station's PC: records, identity, and what its last exchange left.
type pc struct {
	*store.Store
	site *site
	name string
	id   *trust.Identity
	left *engine.Carry
	// says is the name that it gives itself; its own where empty.
	says   string
	report []byte
}

func (s *site) newPC(name string) *pc {
	s.t.Helper()
	id, err := trust.NewIdentity()
	must(s.t, err)
	return &pc{Store: storetest.Open(s.t, store.Options{Name: name, R4: s.r4}), site: s, name: name, id: id}
}

// enrolled is a PC that used a code.
func (s *site) enrolledPC(name string) *pc {
	s.t.Helper()
	p := s.newPC(name)
	must(s.t, p.enrol(s.code(name)))
	return p
}

func (s *site) code(name string) trust.Kit {
	s.t.Helper()
	kit, err := s.Enrol(context.Background(), name, "", s.url)
	must(s.t, err)
	return kit
}

// enrol spends a code over the wire.
func (p *pc) enrol(kit trust.Kit) error {
	req, err := trust.PrepareEnrol(p.id, kit.Code)
	if err != nil {
		return err
	}
	return p.certify(kit.Root, req)
}

func (p *pc) certify(rootPEM string, req trust.EnrolRequest) error {
	root, err := trust.ParseRoot(rootPEM)
	if err != nil {
		return err
	}
	b, err := p.post(trust.EnrolTLS(root, trust.Options{VerifyAt: p.site.clock}), carry.EnrolPath, encode(p.site.t, req))
	if err != nil {
		return err
	}
	answer, err := trust.ParseEnrolAnswer(b)
	if err != nil {
		return err
	}
	id, err := trust.FinishEnrol(p.id, rootPEM, p.name, answer)
	if err == nil {
		p.id = id
	}
	return err
}

// copied is another PC with a copy of this one's records, identity and all.
func (p *pc) copied() *pc {
	t := p.site.t
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(p.Dir())))
	return &pc{Store: storetest.Open(t, store.Options{Name: p.name, Dir: to, R4: p.site.r4}), site: p.site, name: p.name, id: p.id}
}

// ask begins an exchange from this PC.
func (p *pc) ask() *engine.Ask {
	p.site.t.Helper()
	says := p.says
	if says == "" {
		says = p.name
	}
	ask, err := engine.NewAsk(engine.AskOptions{Replica: p.Store, Name: says, Merger: p.site.merger, Pace: engine.DefaultPace(), Carry: p.left, Report: p.report,
		Verify: func(r record.Receipt) error { return trust.VerifyReceipt(p.id.ReceiptKey(), r) }})
	must(p.site.t, err)
	return ask
}

// exchange runs one exchange over the wire.
func (p *pc) exchange() (engine.Result, error) {
	p.site.t.Helper()
	conf, err := trust.ClientTLS(p.id, trust.Options{VerifyAt: p.site.clock})
	must(p.site.t, err)
	client := carry.NewClient(p.site.url, conf, slog.New(slog.DiscardHandler))
	defer client.Close()
	ask := p.ask()
	err = client.Exchange(context.Background(), ask)
	r := ask.Result()
	p.left = &r.Next
	return r, err
}

// sync exchanges until nothing moves.
func (p *pc) sync() engine.Result {
	p.site.t.Helper()
	for range 12 {
		r, err := p.exchange()
		if err != nil {
			p.site.t.Fatalf("%s: %v", p.name, err)
		}
		if !r.More && !r.Waiting && r.Received == 0 && r.Sent == 0 {
			return r
		}
	}
	p.site.t.Fatalf("%s does not come to rest", p.name)
	return engine.Result{}
}

func (p *pc) born(rest string) record.Key {
	p.site.t.Helper()
	k := record.Key{Kind: "Patient", ID: p.NewID()}
	p.write(k, "", rest)
	return k
}

func (p *pc) write(k record.Key, base, rest string) {
	p.site.t.Helper()
	_, err := p.Put(context.Background(), store.Write{Key: k, Base: base, Author: "nurse",
		Content: []byte(`{"resourceType":"` + k.Kind + `","id":"` + k.ID + `"` + rest + `}`)})
	must(p.site.t, err)
}

func shown(s *store.Store, k record.Key) string {
	st, err := s.Get(k)
	if err != nil {
		return err.Error()
	}
	return string(st.Shown.Content)
}

func (p *pc) place(k record.Key) record.Place {
	p.site.t.Helper()
	st, err := p.Get(k)
	must(p.site.t, err)
	place, err := p.Place(st)
	must(p.site.t, err)
	return place
}

func TestExchangeOverTheWire(t *testing.T) {
	s := newSite(t)
	a, b := s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	k := a.born(`,"gender":"female"`)
	if r := a.sync(); !r.Equal || a.place(k) != record.Centre {
		t.Errorf("at a it is %q, proved equal %t", a.place(k), r.Equal)
	}
	if b.sync(); shown(b.Store, k) != record.ErrNotFound.Error() {
		t.Error("b holds a person whom nobody gave it")
	}
	n, err := s.Grant(context.Background(), "tram-b", "tram-a", nil, "admin")
	if err != nil || n != 1 {
		t.Fatalf("grant: %d, %v", n, err)
	}
	if b.sync(); !strings.Contains(shown(b.Store, k), "female") {
		t.Errorf("b shows %s", shown(b.Store, k))
	}
	b.write(k, store.Any, `,"gender":"female","active":true`)
	b.sync()
	s.restart()
	if a.sync(); !strings.Contains(shown(a.Store, k), "active") {
		t.Errorf("a shows %s", shown(a.Store, k))
	}
	if strings.Contains(s.logged(), k.ID) {
		t.Errorf("the log names a record:\n%s", s.logged())
	}
}

// Handing in never widens what a station may hold.
func TestStationCannotChangeItsScope(t *testing.T) {
	s := newSite(t)
	a, b := s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	k := a.born("")
	a.sync()
	forged := record.Key{Kind: "Basic", ID: b.NewID()}
	b.write(forged, "", `,"extension":[{"url":"urn:tram:station","valueString":"tram-b"}],"code":{"coding":[{"system":"urn:tram:scope","code":"stations"}]},"subject":{"reference":"`+k.String()+`"}`)
	other := b.born("")
	b.sync()
	if b.place(forged) != record.NeedsUs || b.place(other) != record.Centre {
		t.Errorf("the forged scope is %q, what stood behind it %q", b.place(forged), b.place(other))
	}
	if got := shown(b.Store, k); got != record.ErrNotFound.Error() {
		t.Errorf("b got %s", got)
	}
	if at, err := s.store.ScopeOf(k); err != nil || len(at) != 1 || at[0] != "tram-a" {
		t.Errorf("scope: %v, %v", at, err)
	}
}

func TestRefusalsOverTheWire(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	k := a.born("")
	a.says = "tram-b"
	if r, err := a.exchange(); err != nil || r.Refused != wire.OtherName || r.Received != 0 {
		t.Errorf("under another name: %+v, %v", r, err)
	}
	a.says = ""
	if got := shown(s.store, k); !strings.Contains(got, "Patient") {
		t.Errorf("what it handed in was not heard: %s", got)
	}
	for name, h := range map[string]wire.Hello{
		"a protocol of later": {Protocol: 99, Replica: "tram-a", Life: a.Lineage()},
		"none":                {Replica: "tram-a", Life: a.Lineage()},
	} {
		if got := a.greet(h); got != wire.TooOld {
			t.Errorf("%s: refused as %q, want %q", name, got, wire.TooOld)
		}
	}
}

// greet sends a hello alone and returns how the centre refuses it.
func (p *pc) greet(h wire.Hello) wire.Refusal {
	t := p.site.t
	t.Helper()
	frames := []*wire.Frame{{Hello: &h}, {End: &wire.End{}}}
	var body bytes.Buffer
	must(t, carry.Send(&body, func() (*wire.Frame, error) {
		if len(frames) == 0 {
			return nil, io.EOF
		}
		f := frames[0]
		frames = frames[1:]
		return f, nil
	}))
	conf, err := trust.ClientTLS(p.id, trust.Options{VerifyAt: p.site.clock})
	must(t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	resp, err := client.Post(p.site.url+carry.ExchangePath, wire.Plain.MediaType(), &body)
	must(t, err)
	defer resp.Body.Close()
	var out wire.Refusal
	err = carry.Receive(context.Background(), resp.Body, func(_ context.Context, f *wire.Frame) error {
		if f.Welcome != nil {
			out = f.Welcome.Refused
		}
		return nil
	})
	must(t, err)
	return out
}

// Two folders, one station: whoever was followed by the other and speaks again is the
// second PC.
//
//	L1 speaks, is copied;  copy: L2 speaks;  L1 speaks again: named;  copy: L3 speaks
func TestSecondPC(t *testing.T) {
	s := newSite(t)
	first := s.enrolledPC("tram-a")
	shared := first.born("")
	first.sync()
	second := first.copied()
	late := second.born("")
	if r := second.sync(); r.Refused != "" {
		t.Fatalf("the copy is refused as %q", r.Refused)
	}
	// The first one speaks on: heard, named, and given nothing.
	unsent := first.born(`,"active":true`)
	r, err := first.exchange()
	if err != nil || r.Refused != wire.SecondPC || r.Received != 0 {
		t.Errorf("the first PC: %+v, %v", r, err)
	}
	if got := shown(s.store, unsent); !strings.Contains(got, "active") || first.place(unsent) != record.Centre {
		t.Errorf("what it handed in was not heard: %s, there %q", got, first.place(unsent))
	}
	if got := shown(first.Store, late); got != record.ErrNotFound.Error() {
		t.Errorf("it was given %s", got)
	}
	named := func(want bool) {
		t.Helper()
		list, err := s.Fleet("en")
		if err != nil || len(list) != 1 || list[0].Twin != want {
			t.Errorf("fleet: %+v, %v; second PC should be %t", list, err, want)
		}
	}
	named(true)
	// Both are started anew, and the centre as well: each is still what it was.
	first, second = first.copied(), second.copied()
	s.restart()
	if r, err := second.exchange(); err != nil || r.Refused != "" {
		t.Errorf("the copy, started anew: %+v, %v", r, err)
	}
	if r, err := first.exchange(); err != nil || r.Refused != wire.SecondPC {
		t.Errorf("the first, started anew: %+v, %v", r, err)
	}
	if second.sync(); !strings.Contains(shown(second.Store, unsent), "active") {
		t.Errorf("the copy did not get the other's work: %s", shown(second.Store, unsent))
	}
	// The first one is the right one after all: it is enrolled anew, without a restart.
	key, err := trust.NewIdentity()
	must(t, err)
	first.id = key
	must(t, first.enrol(s.code("tram-a")))
	if r := first.sync(); r.Refused != "" {
		t.Errorf("enrolled anew: refused as %q", r.Refused)
	}
	for _, k := range []record.Key{shared, late, unsent} {
		if first.place(k) != record.Centre {
			t.Errorf("%s is %q", k, first.place(k))
		}
	}
	named(false)
	if _, err := second.exchange(); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("the other PC, with the old key: %v", err)
	}
}

// L1 speaks, is copied;  copy: L2 speaks;  L1 is enrolled anew before it speaks again
func TestEnrolledAnewIsNoSecondPC(t *testing.T) {
	s := newSite(t)
	first := s.enrolledPC("tram-a")
	first.born("")
	first.sync()
	second := first.copied()
	second.born("")
	second.sync()
	key, err := trust.NewIdentity()
	must(t, err)
	first.id = key
	must(t, first.enrol(s.code("tram-a")))
	if r := first.sync(); r.Refused != "" || !r.Equal {
		t.Errorf("got %+v", r)
	}
}

func TestDenyAndUndo(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	ctx := context.Background()
	unused := s.code("tram-a")
	must(t, s.Deny(ctx, "tram-a", true))
	k := a.born("")
	for range 2 {
		if r, err := a.exchange(); err != nil || r.Refused != wire.Revoked || r.Received != 0 || shown(s.store, k) != shown(a.Store, k) {
			t.Errorf("denied: %+v, %v, want it heard and given nothing", r, err)
		}
		s.restart()
	}
	thief := s.newPC("tram-a")
	if err := thief.enrol(unused); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("a code from before the denial: %v, want it refused", err)
	}
	must(t, s.Deny(ctx, "tram-a", false))
	if r := a.sync(); r.Refused != "" || a.place(k) != record.Centre {
		t.Errorf("given back: %+v, the entry is %q", r, a.place(k))
	}
	if err := s.Deny(ctx, "tram-x", true); !errors.Is(err, ErrUnknown) {
		t.Errorf("a station that is none: %v", err)
	}
}

// Whoever changes what is remembered of one replica at the same time, the denial stays.
func TestDenialOutlivesReportsUnderWay(t *testing.T) {
	s := newSite(t)
	s.enrolledPC("tram-a")
	hear := s.hear("tram-a", 1)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { hear(wire.Hello{Life: "abcdefghijklmno2", Report: []byte(`{"s":"tram-a"}`)}) })
	}
	all.Go(func() {
		if err := s.Deny(context.Background(), "tram-a", true); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	s.restart()
	if list, err := s.Fleet("en"); err != nil || !list[0].Denied {
		t.Errorf("after a restart: %+v, %v", list, err)
	}
}
