// Package central is what only the centre has: who is enrolled, who may hold
// whom, what each station said last, and the endpoints that stations call.
//
// It owns enrolment, admission and the fleet, on the embedded store. It promises
// that what a station hands in is heard even when the station may get nothing,
// that handing in never widens what a station may hold, and that nobody without
// a certificate gets past enrolment. How records reconcile is the engine's
// business.
package central

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/scope"
	"tram/store/seal"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/trust"
	"tram/sync/wire"
)

// Options say where a centre lives.
type Options struct {
	Dir    string   // data folder
	Listen string   // address for stations, such as ":8643"
	Hosts  []string // names and addresses by which stations reach it
	Page   string   // address of the page, on loopback
	// Classic leaves the post-quantum key exchange out: 2.3 kB less a connection.
	Classic bool
	Version string
	Rebuild bool // the database is made anew
	Log     *slog.Logger
	// Now is the clock; nil is this machine's.
	Now func() time.Time
	// Ready is called once both addresses listen.
	Ready func(stations, page net.Addr)
}

// Centre is an open centre.
type Centre struct {
	o         Options
	store     *store.Store
	authority *trust.Authority
	merger    *merge.Merger
	r4        *fhir.R4
	box       seal.Box // of what is kept beside the records

	// above gives the key of the receipts that come down; nil at the centre itself.
	above func() ed25519.PublicKey

	enrolling sync.Mutex // guards codes
	codes     *trust.Codes

	mu    sync.Mutex // guards fleet; never held while waiting for a commit
	fleet map[string]*member
}

// New opens the centre in a folder, making its records and its root at first.
func New(o Options) (*Centre, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r4, err := fhir.Load()
	if err != nil {
		return nil, fmt.Errorf("open centre: %w", err)
	}
	classes, err := merge.DefaultClasses()
	if err != nil {
		return nil, fmt.Errorf("open centre: %w", err)
	}
	clock := func() record.Stamp { return record.Stamp{Unix: o.Now().UnixMilli()} }
	s, err := store.Open(store.Options{Dir: o.Dir, Name: "centre", Top: true, R4: r4, Clock: clock, Log: o.Log, Rebuild: o.Rebuild})
	if err != nil {
		return nil, fmt.Errorf("open centre: %w", err)
	}
	c := &Centre{o: o, store: s, merger: merge.New(r4, classes), r4: r4, fleet: map[string]*member{}}
	if err := c.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open centre: %w", err), s.Close())
	}
	return c, nil
}

func (c *Centre) load() error { return errors.Join(c.loadAuthority(), c.loadCodes(), c.loadFleet()) }

func (c *Centre) loadAuthority() error {
	dir := authorityDir(c.o.Dir)
	c.box = c.store.Box(func() error { return Reseal(c.o.Dir, c.box) })
	a, err := trust.LoadAuthority(dir, c.box)
	if errors.Is(err, fs.ErrNotExist) {
		if a, err = trust.NewAuthority(c.o.Now()); err == nil {
			err = a.Store(dir, c.box)
		}
	}
	c.authority = a
	return err
}

// Close closes the records. Run must have ended.
func (c *Centre) Close() error { return c.store.Close() }

// Store is the centre's records.
func (c *Centre) Store() *store.Store { return c.store }

// maxExchanges bounds the exchanges served at once, and with them the memory;
// the others wait in the listener's queue.
const maxExchanges = 64

// Run serves stations and the page until ctx ends.
func (c *Centre) Run(ctx context.Context) error {
	listen, err := c.listen()
	if err != nil {
		return err
	}
	page, err := net.Listen("tcp", c.o.Page)
	if err != nil {
		return fmt.Errorf("listen for the page on %s: %w", c.o.Page, errors.Join(err, listen.Close()))
	}
	handler, err := c.pages(page.Addr().String())
	if err != nil {
		return errors.Join(err, listen.Close(), page.Close())
	}
	defer os.Remove(filepath.Join(c.o.Dir, hereFile))
	if c.o.Ready != nil {
		c.o.Ready(listen.Addr(), page.Addr())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.tend(ctx) })
	g.Go(func() error { return c.serve(ctx, listen, c.Stations()) })
	g.Go(func() error { return c.serve(ctx, page, handler) })
	return g.Wait()
}

// listen listens for those below, under this replica's own certificate.
func (c *Centre) listen() (net.Listener, error) {
	cert, err := c.authority.ServerCertificate(c.o.Hosts, c.o.Now())
	if err != nil {
		return nil, fmt.Errorf("run centre: %w", err)
	}
	conf := trust.ServerTLS(cert, c.authority.Root(), trust.Options{Classic: c.o.Classic, VerifyAt: c.o.Now})
	listen, err := tls.Listen("tcp", c.o.Listen, conf)
	if err != nil {
		return nil, fmt.Errorf("listen for stations on %s: %w", c.o.Listen, err)
	}
	return listen, nil
}

// serve answers until ctx ends, and then lets what is under way come to its end.
func (c *Centre) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: carry.KeepIdle + time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(c.o.Log.Handler(), slog.LevelDebug)}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := srv.Shutdown(end)
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close() // an exchange that is cut goes on where it was
		}
		ended <- err
	})
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-ended
}

// Stations is what stations call.
func (c *Centre) Stations() http.Handler {
	slots := make(chan struct{}, maxExchanges)
	mux := http.NewServeMux()
	exchange := carry.Handler{Begin: c.begin, Log: c.o.Log, Streams: &carry.Streams{}}
	mux.HandleFunc("POST "+carry.ExchangePath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			exchange.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	mux.Handle("POST "+carry.AttachPath, &carry.Lane{Store: c.store, Peer: c.peer, Gets: c.gets, Log: c.o.Log})
	mux.HandleFunc("POST "+carry.StatusPath, c.hearStatus)
	mux.HandleFunc("POST "+carry.EnrolPath, c.hearEnrol)
	return mux
}

// begin makes the serving half for a station that its certificate names.
func (c *Centre) begin(w http.ResponseWriter, r *http.Request) *engine.Serve {
	peer, ok := c.peer(w, r)
	if !ok {
		return nil
	}
	now := c.o.Now().UnixMilli()
	serve, err := c.serving(peer, now, c.hear(peer, now), engine.DefaultPace())
	if err != nil {
		c.o.Log.Error("cannot read the epoch", "err", err)
		http.Error(w, "the centre's records cannot be read now; come later", http.StatusServiceUnavailable)
		return nil
	}
	return serve
}

// serving makes the serving half for a replica, whatever carries the exchange.
func (c *Centre) serving(peer string, now int64, hear func(wire.Hello) wire.Refusal, p engine.Pace) (*engine.Serve, error) {
	epoch, err := c.store.Epoch()
	if err != nil {
		return nil, err
	}
	o := engine.ServeOptions{
		Replica: c.store, Name: c.store.Name(), Peer: peer, Epoch: epoch, Merger: c.merger, R4: c.r4, Now: now,
		Sign: c.authority.SignReceipt, Hear: hear, Compared: c.compared(peer, now), Admit: c.admit, Allowed: c.allowed(peer), Acts: acts{c},
		MaxContent: fhir.DefaultLimits().Bytes, Pace: p,
	}
	if c.above != nil {
		o.Proved, o.Abandon = c.store.Receipt, c.store.Abandon
	}
	return engine.NewServe(o), nil
}

// peer is the replica that a request comes from; it answers those without, and
// those whose access ended. That is said in words of HTTP: an alert in the
// handshake may be overtaken by the end of the connection, and a station that
// cannot tell the two apart would say that there is no link.
func (c *Centre) peer(w http.ResponseWriter, r *http.Request) (string, bool) {
	name, err := trust.PeerName(r.TLS)
	if err != nil {
		http.Error(w, "only enrolled stations may call this", http.StatusUnauthorized)
		return "", false
	}
	if r.TLS.PeerCertificates[0].NotAfter.Before(c.o.Now()) { // on a connection from before; the next handshake says so
		w.Header().Set("Connection", "close")
		http.Error(w, "the certificate has expired; renew it", http.StatusUnauthorized)
		return "", false
	}
	if key, err := trust.PeerKey(r.TLS); err != nil || c.stranger(name, key) {
		http.Error(w, "the centre knows another PC under this name; ask it for a new code", http.StatusForbidden)
		return "", false
	}
	return name, true
}

// admit refuses what a station may not change: who holds whom is the centre's to
// say, so that handing in never widens a scope.
func (c *Centre) admit(v *record.Version, st *record.Stand) record.Reason {
	for _, content := range [][]byte{v.Content, headContent(st)} {
		if content == nil {
			continue
		}
		if r, err := fhir.Parse(content, fhir.DefaultLimits()); err == nil && scope.Is(r) {
			return record.NotAllowed
		}
	}
	return ""
}

func headContent(st *record.Stand) []byte {
	if st.Head == nil {
		return nil
	}
	return st.Head.Content
}
