package store_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tram/store"
	"tram/store/query"
	"tram/store/record"
	"tram/store/storetest"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random workload; 0 draws some")

// truth is one record in the plain model: what each of its versions says.
type truth struct {
	names    []record.Name
	contents [][]byte // nil for a deletion
	open     bool     // a conflict is open in the last one
}

func (m *truth) deleted() bool { return m.contents[len(m.contents)-1] == nil }

// world is a store and the plain model of what it must hold.
type world struct {
	t     *testing.T
	r     *rand.Rand
	o     store.Options
	s     *store.Store
	model map[record.Key]*truth
	names map[record.Name]bool
	old   []byte // an older database
	did   map[string]int
}

// TestRandomWorkload does random things to a store and to a plain model, opens it
// anew now and then, now and then over an older copy of its database, and
// compares. A seed that fails is printed: go test ./store -run Random -seed N
func TestRandomWorkload(t *testing.T) {
	t.Parallel()
	seeds := []uint64{*seedFlag}
	if *seedFlag == 0 {
		seeds = []uint64{1, rand.Uint64()}
	}
	r4 := storetest.R4(t)
	did := map[string]int{}
	for _, seed := range seeds {
		for _, top := range []bool{true, false} {
			t.Run(fmt.Sprintf("seed=%d/top=%t", seed, top), func(t *testing.T) {
				w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), model: map[record.Key]*truth{}, names: map[record.Name]bool{}, did: did,
					o: store.Options{Name: "a", Dir: t.TempDir(), Top: top, R4: r4, Clock: storetest.Clock()}}
				w.open()
				defer func() { w.s.Close() }()
				for range 150 {
					w.step()
				}
				w.reopen(true)
			})
		}
	}
	for _, what := range []string{"birth", "edit", "stale", "delete", "revive", "same", "transaction", "half a transaction", "conflict", "decision", "reopened", "older database"} {
		if did[what] == 0 {
			t.Errorf("never happened: %s", what)
		}
	}
}

func (w *world) open() {
	s, err := store.Open(w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.s = s
}

func (w *world) step() {
	switch n := w.r.IntN(100); {
	case n < 25:
		w.birth()
	case n < 50:
		w.write("edit", w.edit(w.any()))
	case n < 58:
		w.stale()
	case n < 64:
		w.remove()
	case n < 68:
		w.same()
	case n < 78:
		w.transaction()
	case n < 84:
		w.conflict()
	case n < 90:
		w.decide()
	case n < 94:
		w.reopen(false)
	case n < 96:
		w.copy()
	default:
		w.reopen(true)
	}
}

// any is a record of the model, the zero key before there is one.
func (w *world) any() record.Key {
	keys := slices.SortedFunc(maps.Keys(w.model), func(a, b record.Key) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	if len(keys) == 0 {
		return record.Key{}
	}
	return keys[w.r.IntN(len(keys))]
}

func (w *world) content(k record.Key) []byte {
	if k.Kind == "Patient" {
		return patient(k.ID, fmt.Sprintf(`,"name":[{"text":"Hoà %d"}],"gender":"unknown","multipleBirthInteger":%d`, w.r.IntN(5), w.r.IntN(1_000_000)))
	}
	return fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"Mạch"},"valueInteger":%d}`, k.ID, w.r.IntN(1_000_000))
}

func (w *world) newborn() store.Write {
	k := key([]string{"Patient", "Observation"}[w.r.IntN(2)], w.s.NewID())
	return store.Write{Key: k, Content: w.content(k), Author: "hoa"}
}

// edit is a write over what a record shows; the zero Write where there is none.
func (w *world) edit(k record.Key) store.Write {
	if w.model[k] == nil {
		return store.Write{}
	}
	st, err := w.s.Get(k)
	if err != nil {
		w.t.Fatalf("%s: %v", k, err)
	}
	return store.Write{Key: k, Base: st.Tag(), Content: w.content(k), Author: "hoa"}
}

// write makes writes that must succeed, and notes them.
func (w *world) write(what string, writes ...store.Write) {
	if writes[0].Key.IsZero() {
		return
	}
	vs, err := w.s.Put(context.Background(), writes...)
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	for i, v := range vs {
		if m := w.model[v.Key]; m != nil && m.deleted() && !v.Deleted {
			w.did["revive"]++
		}
		w.note(v, writes[i].Content)
	}
	w.did[what]++
}

func (w *world) note(v *record.Version, content []byte) {
	if w.names[v.Name] {
		w.t.Fatalf("the name %s was given twice", v.Name)
	}
	w.names[v.Name] = true
	m := w.model[v.Key]
	if m == nil {
		m = &truth{}
		w.model[v.Key] = m
	}
	m.names, m.contents = append(m.names, v.Name), append(m.contents, content)
}

func (w *world) birth() { w.write("birth", w.newborn()) }

func (w *world) refused(what string, want error, writes ...store.Write) {
	if _, err := w.s.Put(context.Background(), writes...); !errors.Is(err, want) {
		w.t.Fatalf("%s: got %v, want %v", what, err, want)
	}
	w.did[what]++
}

func (w *world) stale() {
	k := w.any()
	m := w.model[k]
	if m == nil || len(m.names) < 2 {
		return
	}
	w.refused("stale", record.ErrStale, store.Write{Key: k, Base: m.names[len(m.names)-2].String(), Content: w.content(k), Author: "hoa"})
}

func (w *world) remove() {
	k := w.any()
	if m := w.model[k]; m != nil && !m.deleted() {
		w.write("delete", store.Write{Key: k, Base: store.Any, Delete: true, Author: "hoa"})
	}
}

func (w *world) same() {
	k := w.any()
	m := w.model[k]
	if m == nil || m.deleted() {
		return
	}
	last := len(m.names) - 1
	vs, err := w.s.Put(context.Background(), store.Write{Key: k, Base: store.Any, Content: m.contents[last], Author: "dung"})
	if err != nil || vs[0].Name != m.names[last] {
		w.t.Fatalf("the same content: %v, %v; want %s", vs, err, m.names[last])
	}
	w.did["same"]++
}

func (w *world) transaction() {
	writes := []store.Write{w.newborn()}
	k := w.any()
	if e := w.edit(k); !e.Key.IsZero() {
		writes = append(writes, e)
	}
	if w.r.IntN(2) == 0 {
		w.refused("half a transaction", record.ErrStale, append(writes, store.Write{Key: key("Patient", "nobody"), Base: "x", Content: patient("nobody", ""), Author: "hoa"})...)
		return
	}
	w.write("transaction", writes...)
}

// conflict brings a version from below in which the gender is contested. Only what
// comes from below is in the journal, so it is for the top alone.
func (w *world) conflict() {
	k := w.any()
	m := w.model[k]
	if m == nil || m.deleted() || m.open || k.Kind != "Patient" || !w.o.Top {
		return
	}
	st, err := w.s.Get(k)
	if err != nil {
		w.t.Fatal(err)
	}
	by := record.Name{Lineage: "abcdefghijklmno2", N: uint64(len(w.names)) + 1}
	v := &record.Version{Key: k, Name: by, Base: st.Shown.Ref(), Seen: st.Shown.Seen.With(by), Author: "far", Content: st.Shown.Content,
		Trace: record.Trace{Born: st.Shown.Trace.Born, Writers: st.Shown.Trace.Writers, Marks: []record.Mark{{Path: "gender", By: []record.Name{by}, Alts: []record.Alt{
			{Value: []byte(`{"gender":"male"}`), By: []record.Name{st.Shown.Name}}, {Value: []byte(`{"gender":"female"}`), By: []record.Name{by}}}}}}}
	d := record.Decided{Change: record.Change{Key: k, Ref: v.Ref(), Version: v}, On: st.Head.Ref(), Verdict: record.Accepted}
	if err := w.s.Apply(context.Background(), record.Stretch{Peer: "far", Taken: []record.Decided{d}}); err != nil {
		w.t.Fatal(err)
	}
	w.note(v, st.Shown.Content)
	m.open = true
	w.did["conflict"]++
}

func (w *world) decide() {
	var open []record.Key
	for k, m := range w.model {
		if m.open && !m.deleted() {
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return
	}
	k := slices.MinFunc(open, func(a, b record.Key) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	m := w.model[k]
	st, err := w.s.Get(k)
	if err != nil || len(st.Shown.Conflicts()) == 0 {
		w.t.Fatalf("%s has no conflict: %v", k, err)
	}
	var closes []record.Name
	for _, c := range st.Shown.Conflicts()[0].Values {
		for _, by := range c.Writers {
			closes = append(closes, by.Name)
		}
	}
	vs, err := w.s.Put(context.Background(), store.Write{Key: k, Base: st.Tag(), Author: "hoa",
		Decisions: []record.Decision{{Path: "gender", Value: []byte(`{"gender":"male"}`), Closes: closes}}})
	if err != nil {
		w.t.Fatalf("decide %s: %v", k, err)
	}
	if vs[0].Contested() || !bytes.Contains(vs[0].Content, []byte(`"gender":"male"`)) {
		w.t.Fatalf("decided: %s", vs[0].Content)
	}
	w.note(vs[0], vs[0].Content)
	m.open = false
	w.did["decision"]++
}

func (w *world) db() string { return filepath.Join(w.o.Dir, "tram.db") }

// copy keeps the database as it is now, to come back later.
func (w *world) copy() {
	w.close()
	b, err := os.ReadFile(w.db())
	if err != nil {
		w.t.Fatal(err)
	}
	w.old = b
	w.open()
}

func (w *world) close() {
	if err := w.s.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// reopen opens the store anew, over the older database where it may, and compares.
func (w *world) reopen(older bool) {
	w.close()
	if older && w.old != nil {
		if err := os.WriteFile(w.db(), w.old, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.old = nil
		w.did["older database"]++
	}
	w.open()
	w.did["reopened"]++
	w.compare()
}

// compare holds the store against the model.
func (w *world) compare() {
	w.t.Helper()
	storetest.Check(w.t, w.s)
	alive := map[string]int{}
	versions := 0
	for k, m := range w.model {
		h, err := w.s.History(k)
		if err != nil || len(h) != len(m.names) {
			w.t.Errorf("%s: %d versions, %v; want %d", k, len(h), err, len(m.names))
			continue
		}
		for i, v := range h {
			at := len(m.names) - 1 - i
			if v.Name != m.names[at] || v.Deleted != (m.contents[at] == nil) || !v.Deleted && !bytes.Equal(v.Content, m.contents[at]) {
				w.t.Errorf("%s: version %d is %s (deleted %t) %s; want %s %s", k, at, v.Name, v.Deleted, v.Content, m.names[at], m.contents[at])
			}
		}
		if st, err := w.s.Get(k); err != nil || st.Shown.Name != h[0].Name || st.Shown.Contested() != m.open {
			w.t.Errorf("%s shows %v, %v; want %s, contested %t", k, st, err, h[0].Name, m.open)
		}
		versions += len(m.names)
		if !m.deleted() {
			alive[k.Kind]++
		}
	}
	for _, kind := range []string{"Patient", "Observation"} {
		if r, err := w.s.Search(query.Query{Kind: kind}); err != nil || r.Total != alive[kind] {
			w.t.Errorf("%d of %s, %v; want %d", r.Total, kind, err, alive[kind])
		}
	}
	if found, err := w.s.People("", 1_000_000); err != nil || len(found) != alive["Patient"] {
		w.t.Errorf("%d people at the desk, %v, want %d", len(found), err, alive["Patient"])
	}
	page, err := w.s.Offer(store.Upstream, record.Cursor{}, 1_000_000)
	if want := versions; !w.o.Top && (err != nil || len(page.Changes) != want) {
		w.t.Errorf("%d changes wait, %v; want %d", len(page.Changes), err, want)
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}
