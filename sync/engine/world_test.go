package engine_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/wire"
)

// world is a centre and its stations on real stores.
// packing keeps what packing a stream takes from one exchange to the next.
var packing carry.Streams

type world struct {
	t        *testing.T
	merger   *merge.Merger
	centre   *store.Store
	stations map[string]*station
	refuse   wire.Refusal
	up       int            // the most changes of a request; 0 for 64
	stretch  int            // of a request and, where much is left, wished of the answer; 0 for 8
	urgent   bool           // nothing but what is urgent is handed in
	acts     *audit.Segment // handed in by every station
	keep     *keeper        // of what is handed in; nil for none
	allowed  wire.Allowance // of every station's link
	admit    func(v *record.Version) record.Reason
	// below and above stand between a half and its store, where set.
	below func(engine.Asker) engine.Asker
	above func(engine.Replica) engine.Replica
}

type station struct {
	*store.Store
	dir     string
	name    string
	up      *station // its upstream, where that is not the centre
	carry   *engine.Carry
	last    engine.Result
	allowed wire.Allowance
}

func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	return newWorldAt(t, nil, names...)
}

// newWorldAt makes a world whose replicas have the clocks named; the others have
// the usual one.
func newWorldAt(t *testing.T, clocks map[string]func() record.Stamp, names ...string) *world {
	t.Helper()
	r4 := storetest.R4(t)
	classes, err := merge.DefaultClasses()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, merger: merge.New(r4, classes), stations: map[string]*station{}}
	w.centre = storetest.Open(t, store.Options{Name: "centre", Top: true, R4: r4, Clock: clocks["centre"]})
	for _, n := range names {
		dir := t.TempDir()
		s := &station{Store: storetest.Open(t, store.Options{Name: n, Dir: dir, R4: r4, Clock: clocks[n]}), dir: dir, name: n}
		w.stations[n] = s
		if err := w.centre.AddPeer(context.Background(), store.Peer{Name: n, Station: n}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// halves speak the first protocol, in which every change and answer is a frame of its own.
func (w *world) halves(s *station) (*engine.Ask, *engine.Serve) {
	w.t.Helper()
	return w.halvesIn(wire.First, s)
}

func (w *world) halvesIn(protocol int, s *station) (*engine.Ask, *engine.Serve) {
	w.t.Helper()
	var asker engine.Asker = s.Store
	if w.below != nil {
		asker = w.below(asker)
	}
	var upstream engine.Replica = w.centre
	if s.up != nil {
		upstream = s.up.Store
	}
	if w.above != nil {
		upstream = w.above(upstream)
	}
	ask, err := engine.NewAsk(engine.AskOptions{Replica: asker, Name: s.name, Merger: w.merger, Pace: engine.Pace{Up: cmp.Or(w.up, 64), Stretch: cmp.Or(w.stretch, 8)},
		Carry: s.carry, Protocol: protocol, Urgent: w.urgent, Allowed: s.allowed, Acts: w.acts, Verify: func(r record.Receipt) error {
			if string(r.Sig) != "signed" {
				return errors.New("unsigned")
			}
			return nil
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	epoch, err := w.centre.Epoch()
	if err != nil {
		w.t.Fatal(err)
	}
	o := engine.ServeOptions{Replica: upstream, Name: "centre", Peer: s.name, Epoch: epoch, Merger: w.merger, R4: w.centre.R4(), Now: 1,
		Sign:       func(r record.Receipt) record.Receipt { r.Sig = []byte("signed"); return r },
		Hear:       func(wire.Hello) wire.Refusal { return w.refuse },
		Admit:      func(v *record.Version, _ *record.Stand) record.Reason { return w.admits(v) },
		MaxContent: 1 << 20, Pace: engine.Pace{Down: 64, Stretch: 8}, Allowed: w.allowed}
	if w.keep != nil {
		o.Acts = w.keep
	}
	if s.up != nil {
		o.Proved, o.Abandon = s.up.Receipt, s.up.Abandon
	}
	return ask, engine.NewServe(o)
}

func (w *world) admits(v *record.Version) record.Reason {
	if w.admit == nil {
		return ""
	}
	return w.admit(v)
}

// pump carries a request and its answer frame by frame. What up and down leave out
// is lost on the way; nil loses nothing.
func (w *world) pump(ask *engine.Ask, serve *engine.Serve, up, down func(*wire.Frame) bool) error {
	w.t.Helper()
	for _, half := range []struct {
		next func() (*wire.Frame, error)
		take func(context.Context, *wire.Frame) error
		keep func(*wire.Frame) bool
	}{{ask.Next, serve.Take, up}, {serve.Next, ask.Take, down}} {
		for {
			f, err := half.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if half.keep != nil && !half.keep(f) {
				continue
			}
			if err := half.take(context.Background(), f); err != nil {
				return err
			}
		}
	}
	return nil
}

// once runs one exchange.
func (w *world) once(name string) engine.Result {
	w.t.Helper()
	s := w.stations[name]
	ask, serve := w.halvesIn(wire.Protocol, s)
	err := packing.Direct(context.Background(), ask, serve)
	if errors.Is(err, engine.ErrWhole) {
		s.carry = s.carry.Whole()
		ask, serve = w.halvesIn(wire.Protocol, s)
		err = packing.Direct(context.Background(), ask, serve)
	}
	if err != nil {
		w.t.Fatalf("exchange of %s: %v", name, err)
	}
	s.last = ask.Result()
	next := s.last.Next
	s.carry = &next
	return s.last
}

// sync runs exchanges until nothing moves any more.
func (w *world) sync(names ...string) {
	w.t.Helper()
	for range 40 {
		quiet := true
		for _, n := range names {
			r := w.once(n)
			quiet = quiet && !r.More && !r.Waiting && r.Received == 0 && r.Sent == 0
		}
		if quiet {
			return
		}
	}
	w.t.Fatal("the replicas do not come to rest")
}

func (s *station) put(t *testing.T, wr store.Write) *record.Version {
	t.Helper()
	if wr.Author == "" {
		wr.Author = "nurse-" + s.name
	}
	v, err := s.Put(context.Background(), wr)
	if err != nil {
		t.Fatalf("%s: put %s: %v", s.name, wr.Key, err)
	}
	return v[0]
}

func person(id, rest string) []byte {
	return []byte(`{"resourceType":"Patient","id":"` + id + `"` + rest + `}`)
}

func (s *station) born(t *testing.T, rest string) record.Key {
	t.Helper()
	k := record.Key{Kind: "Patient", ID: s.NewID()}
	s.put(t, store.Write{Key: k, Content: person(k.ID, rest)})
	return k
}

func (s *station) edit(t *testing.T, k record.Key, rest string) *record.Version {
	t.Helper()
	st, err := s.Get(k)
	if err != nil {
		t.Fatalf("%s: get %s: %v", s.name, k, err)
	}
	return s.put(t, store.Write{Key: k, Base: st.Tag(), Content: person(k.ID, rest)})
}

func content(t *testing.T, s *store.Store, k record.Key) string {
	t.Helper()
	st, err := s.Get(k)
	if err != nil {
		return err.Error()
	}
	if st.Shown.Deleted {
		return "deleted"
	}
	return string(st.Shown.Content)
}

// equal fails unless all replicas show the same of the record.
func (w *world) equal(k record.Key) string {
	w.t.Helper()
	want := content(w.t, w.centre, k)
	for n, s := range w.stations {
		if got := content(w.t, s.Store, k); got != want {
			w.t.Errorf("%s on %s:\n%s\nat the centre:\n%s", k, n, got, want)
		}
	}
	return want
}

// share lets every station hold a person.
func (w *world) share(k record.Key) {
	w.t.Helper()
	for n := range w.stations {
		if _, err := w.centre.Grant(context.Background(), n, "admin", k); err != nil {
			w.t.Fatal(err)
		}
	}
}

// cut runs an exchange whose answer ends after n bytes, or the request where
// up is set. It reports whether the exchange was cut.
func (w *world) cut(name string, up bool, n int) bool {
	w.t.Helper()
	s := w.stations[name]
	ask, serve := w.halves(s)
	var req, ans bytes.Buffer
	if err := carry.Send(&req, ask.Next); err != nil {
		w.t.Fatal(err)
	}
	in := req.Bytes()
	if up && n < len(in) {
		err := carry.Receive(context.Background(), bytes.NewReader(in[:n]), serve.Take)
		if !errors.Is(err, wire.ErrCut) {
			w.t.Fatalf("a request cut at %d: %v", n, err)
		}
		return true
	}
	if err := carry.Receive(context.Background(), bytes.NewReader(in), serve.Take); err != nil {
		w.t.Fatal(err)
	}
	if err := carry.Send(&ans, serve.Next); err != nil {
		w.t.Fatal(err)
	}
	if n >= ans.Len() || up {
		return false
	}
	err := carry.Receive(context.Background(), io.LimitReader(&ans, int64(n)), ask.Take)
	if !errors.Is(err, wire.ErrCut) {
		w.t.Fatalf("an answer cut at %d: %v", n, err)
	}
	return true
}

// snapshot copies a station's folder; restore puts the copy back and opens it.
func (w *world) snapshot(name string) string {
	w.t.Helper()
	to := w.t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(w.stations[name].dir)); err != nil {
		w.t.Fatal(err)
	}
	return filepath.Join(to, "copy")
}

func (w *world) restore(name, from string) {
	w.t.Helper()
	old := w.stations[name]
	w.stations[name] = &station{Store: storetest.Open(w.t, store.Options{Name: name, Dir: from, R4: old.R4()}), dir: from, name: name}
}

// bornAtCentre is a person whom the centre made and every station holds.
func (w *world) bornAtCentre() record.Key {
	w.t.Helper()
	c := &station{Store: w.centre, name: "centre"}
	k := c.born(w.t, hoa)
	w.share(k)
	return k
}

func (w *world) editAtCentre(k record.Key, rest string) {
	w.t.Helper()
	(&station{Store: w.centre, name: "centre"}).edit(w.t, k, rest)
}

// copyOfCentre copies the centre's folder; restoreCentre lets it go on from the copy.
func (w *world) copyOfCentre() string {
	w.t.Helper()
	to := filepath.Join(w.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(w.centre.Dir())); err != nil {
		w.t.Fatal(err)
	}
	return to
}

func (w *world) restoreCentre(from string) {
	w.t.Helper()
	w.centre = storetest.Open(w.t, store.Options{Name: "centre", Top: true, Dir: from, R4: w.centre.R4()})
}

func (w *world) want(k record.Key, parts ...string) {
	w.t.Helper()
	got := w.equal(k)
	for _, p := range parts {
		if !bytes.Contains([]byte(got), []byte(p)) {
			w.t.Errorf("%s lacks %s: %s", k, p, got)
		}
	}
}

func phone(n string) string {
	return fmt.Sprintf(`,"telecom":[{"system":"phone","value":%q,"use":"mobile"}]`, n)
}
