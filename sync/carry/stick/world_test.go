package stick_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/carry"
	"tram/sync/carry/stick"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// world is a centre and its enrolled stations, on real stores with real keys.
type world struct {
	t         *testing.T
	merger    *merge.Merger
	top       *store.Store
	authority *trust.Authority
	centre    *stick.Centre
	stations  map[string]*station
	refuse    wire.Refusal
	stranger  bool
}

type station struct {
	*stick.Station
	carry *engine.Carry
	name  string
}

func made() time.Time { return time.Date(2026, 11, 3, 8, 0, 0, 0, time.UTC) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// enrol makes an identity that a centre answered.
func enrol(t testing.TB, a *trust.Authority, name string) *trust.Identity {
	t.Helper()
	fresh, err := trust.NewIdentity()
	must(t, err)
	csr, err := fresh.CSR()
	must(t, err)
	answer, err := a.Enrol(csr, name, made())
	must(t, err)
	id, err := trust.FinishEnrol(fresh, a.RootPEM(), name, answer)
	must(t, err)
	return id
}

func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	r4 := storetest.R4(t)
	classes, err := merge.DefaultClasses()
	must(t, err)
	a, err := trust.NewAuthority(made())
	must(t, err)
	w := &world{t: t, merger: merge.New(r4, classes), authority: a, stations: map[string]*station{},
		top: storetest.Open(t, store.Options{Name: "centre", Top: true, R4: r4})}
	clock := func() int64 { return made().UnixMilli() }
	w.centre = &stick.Centre{Store: w.top, Authority: a, Now: clock, Begin: func(replica, _ string, p engine.Pace) (*engine.Serve, error) {
		if w.stranger {
			return nil, nil
		}
		return w.serve(replica, p), nil
	}}
	for _, n := range names {
		must(t, w.top.AddPeer(context.Background(), store.Peer{Name: n, Station: n}))
		w.stations[n] = &station{name: n, Station: &stick.Station{Store: storetest.Open(t, store.Options{Name: n, R4: r4}),
			Identity: enrol(t, a, n), Merger: w.merger, Now: clock}}
	}
	return w
}

func (w *world) serve(replica string, p engine.Pace) *engine.Serve {
	epoch, err := w.top.Epoch()
	must(w.t, err)
	return engine.NewServe(engine.ServeOptions{Replica: w.top, Name: "centre", Peer: replica, Epoch: epoch, Merger: w.merger, R4: w.top.R4(),
		Now: made().UnixMilli(), Sign: w.authority.SignReceipt, Hear: func(wire.Hello) wire.Refusal { return w.refuse },
		Admit:      func(*record.Version, *record.Stand) record.Reason { return "" },
		MaxContent: 1 << 20, Pace: p})
}

// direct runs one exchange without a stick.
func (w *world) direct(name string) engine.Result {
	w.t.Helper()
	s := w.stations[name]
	ask, err := engine.NewAsk(engine.AskOptions{Replica: s.Store, Name: name, Merger: w.merger, Pace: engine.DefaultPace(), Carry: s.carry,
		Verify: func(r record.Receipt) error { return trust.VerifyReceipt(s.Identity.ReceiptKey(), r) }})
	must(w.t, err)
	must(w.t, carry.Direct(context.Background(), ask, w.serve(name, engine.DefaultPace())))
	res := ask.Result()
	s.carry = &res.Next
	return res
}

// ask makes a request.
func (w *world) ask(name string) stick.File {
	w.t.Helper()
	f, err := w.stations[name].Make(context.Background())
	must(w.t, err)
	return f
}

// answer lets the centre take a request that it must be able to read.
func (w *world) answer(f stick.File, want ...status.Stick) stick.File {
	w.t.Helper()
	res, out, err := w.centre.Take(context.Background(), f.Bytes)
	must(w.t, err)
	if !slices.Contains(want, res.Code) {
		w.t.Fatalf("the centre says %q of %s, want %q", res.Code, f.Name, want)
	}
	return out
}

// take lets a station take an answer.
func (w *world) take(name string, f stick.File, want status.Stick) stick.Result {
	w.t.Helper()
	res, err := w.stations[name].Take(context.Background(), f.Bytes)
	must(w.t, err)
	if res.Code != want {
		w.t.Fatalf("%s says %q of %s, want %q", name, res.Code, f.Name, want)
	}
	return res
}

// round is a stick that goes up and comes back.
func (w *world) round(name string) stick.Result {
	w.t.Helper()
	return w.take(name, w.answer(w.ask(name), status.StickTaken, status.StickGap), status.StickTaken)
}

// born puts a person with a label, which is the same in every run; an id is not.
func (s *station) born(t testing.TB, label string) record.Key {
	t.Helper()
	k := record.Key{Kind: "Patient", ID: s.Store.NewID()}
	s.put(t, k, "", map[string]any{"resourceType": "Patient", "id": k.ID, "identifier": []any{map[string]any{"system": "urn:label", "value": label}}})
	return k
}

func (s *station) put(t testing.TB, k record.Key, base string, content map[string]any) {
	t.Helper()
	b, err := json.Marshal(content)
	must(t, err)
	_, err = s.Store.Put(context.Background(), store.Write{Key: k, Base: base, Content: b, Author: "nurse-" + s.name})
	must(t, err)
}

// set changes one element of what is shown.
func (s *station) set(t testing.TB, k record.Key, element string, value any) {
	t.Helper()
	st, err := s.Store.Get(k)
	must(t, err)
	var content map[string]any
	must(t, json.Unmarshal(st.Shown.Content, &content))
	delete(content, "meta")
	content[element] = value
	s.put(t, k, st.Tag(), content)
}

// shown is a record's content at a replica without what differs from run to run.
func shown(t testing.TB, s *store.Store, k record.Key, labels map[string]string) string {
	t.Helper()
	st, err := s.Get(k)
	if err != nil {
		return err.Error()
	}
	var content map[string]any
	must(t, json.Unmarshal(st.Shown.Content, &content))
	delete(content, "meta")
	delete(content, "id")
	if sub, ok := content["subject"].(map[string]any); ok {
		sub["reference"] = labels[fmt.Sprint(sub["reference"])]
	}
	b, err := json.Marshal(content)
	must(t, err)
	for _, c := range st.Shown.Conflicts() {
		b = fmt.Appendf(b, " conflict %s of %d", c.Path, len(c.Values))
	}
	return string(b)
}

// waits reports whether a station still waits for the centre.
func (s *station) waits(t testing.TB) bool {
	t.Helper()
	page, err := s.Store.Offer(store.Upstream, record.Cursor{}, 1)
	must(t, err)
	return len(page.Changes) > 0
}
