package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/engine"
	"tram/sync/wire"
)

// forgetful is a station that loses what comes down of some records.
type forgetful struct {
	engine.Asker
	lost []record.Key
}

func (f forgetful) Apply(ctx context.Context, st record.Stretch) error {
	st.Arrived = slices.DeleteFunc(slices.Clone(st.Arrived), func(a record.Arrival) bool { return slices.Contains(f.lost, a.Key) })
	return f.Asker.Apply(ctx, st)
}

// orgs makes keys of organizations whose place in the tree is in a node.
func orgs(n int, in record.Node) []record.Key {
	var out []record.Key
	at := record.NewNodes(in)
	for i := 0; len(out) < n; i++ {
		k := record.Key{Kind: "Organization", ID: fmt.Sprintf("org-%s-%d", in, i)}
		if _, ok := at.Of(record.LeafAt(k)); ok {
			out = append(out, k)
		}
	}
	return out
}

func org(k record.Key, name string) []byte {
	return fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"name":%q}`, k.Kind, k.ID, name)
}

func (w *world) write(base, name string, keys ...record.Key) {
	w.t.Helper()
	var writes []store.Write
	for _, k := range keys {
		writes = append(writes, store.Write{Key: k, Base: base, Content: org(k, name), Author: "admin"})
	}
	if _, err := w.centre.Put(context.Background(), writes...); err != nil {
		w.t.Fatal(err)
	}
}

// plant lets a version come down that the centre does not have any more: a birth, or
// made from what the station has.
func (s *station) plant(t *testing.T, n uint64, k record.Key) {
	t.Helper()
	v := &record.Version{Key: k, Name: record.Name{Lineage: "lostlostlostlost", N: n}, Author: "admin", Stamp: record.Stamp{Unix: 1}, Content: org(k, "planted")}
	v.Trace.Born = v.Name
	if st, err := s.Get(k); err == nil {
		v.Base, v.Seen, v.Trace = st.Head.Ref(), st.Head.Seen, st.Head.Trace
	}
	v.Seen = v.Seen.With(v.Name)
	c, err := s.Cursor(record.SharedFeed)
	if err == nil {
		a := record.Arrival{Change: record.Change{Seq: c.Seq, Key: k, Ref: v.Ref(), Version: v}}
		err = s.Apply(context.Background(), record.Stretch{Peer: engine.Upstream, Arrived: []record.Arrival{a}, Cursor: &c})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// centre: n organizations -> a;  then of each kind one differs:
//
//	lacking at a, lacking at the centre, older at a, older at the centre
func TestDifferencesOfEachKindAreNarrowedAndHealed(t *testing.T) {
	for _, test := range []struct {
		n    int
		in   record.Node
		want int // exchanges, the one that finds it and the one that heals it included
	}{
		{40, "3f", 3},   // few in the bucket: named at once
		{300, "3f", 4},  // told apart one digit below, and named there
		{60, "3fa1", 5}, // one level more
	} {
		w := newWorld(t, "a")
		a := w.stations["a"]
		keys := orgs(test.n+4, test.in)
		there, apart := keys[4:], keys[:4]
		w.write("", "first", append(slices.Clone(there), apart[2], apart[3])...)
		w.sync("a")
		w.below = func(a engine.Asker) engine.Asker { return forgetful{a, apart} }
		w.write("", "lacking", apart[0])
		w.write(store.Any, "second", apart[2])
		w.sync("a")
		a.carry = nil // what it found out by that is forgotten too
		w.below = nil
		a.plant(t, 1, apart[1])
		a.plant(t, 2, apart[3])
		n := 1
		for r := w.once("a"); !r.Equal; r = w.once("a") {
			if n++; n > 8 || !r.More {
				t.Fatalf("%d in %s: not equal after %d exchanges: %+v", test.n, test.in, n, r)
			}
		}
		if n != test.want {
			t.Errorf("%d in %s: healed in %d exchanges, want %d", test.n, test.in, n, test.want)
		}
		for i, name := range []string{"lacking", "planted", "second", "planted"} {
			if got := w.equal(apart[i]); !strings.Contains(got, name) {
				t.Errorf("%d in %s: %s is %s, want %s", test.n, test.in, apart[i], got, name)
			}
		}
		w.sync("a")
	}
}

// Where more nodes differ than one comparison narrows, all heads in those above them
// are named.
func TestTooManyNodesAreNamedWhole(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	keys := orgs(60, "3fa")
	w.below = func(a engine.Asker) engine.Asker { return forgetful{a, keys[:10]} }
	w.write("", "first", keys...)
	w.once("a")
	w.below = nil
	var all []record.Node
	for i := range 16 * 16 * 16 * 16 {
		all = append(all, record.Node("").Below(i, 4))
	}
	a.carry = &engine.Carry{Compare: []engine.Narrow{{Feed: record.SharedFeed, Nodes: all}}}
	ask, serve := w.halves(a)
	asked, named := 0, 0
	err := w.pump(ask, serve, func(f *wire.Frame) bool {
		if f.Hello != nil {
			for _, p := range f.Hello.Compare[0].Parts {
				if asked++; len(p.Sums) > 0 || len(p.At) != 3 {
					t.Fatalf("asked for %+v", p)
				}
			}
		}
		return true
	}, func(f *wire.Frame) bool {
		if f.Leaves != nil {
			named += len(f.Leaves.Heads)
		}
		return true
	})
	if err != nil || asked != 4096 || named != len(keys) {
		t.Fatalf("%d parts asked for, %d heads named, %v; want 4096 and %d", asked, named, err, len(keys))
	}
	next := ask.Result().Next
	a.carry = &next
	w.sync("a")
	if !a.last.Equal {
		t.Errorf("not healed: %+v", a.last)
	}
}

// busy is an upstream where somebody writes when its feed was just given.
type busy struct {
	engine.Replica
	write func()
}

func (b busy) Offer(to string, after record.Cursor, max int) (record.Page, error) {
	page, err := b.Replica.Offer(to, after, max)
	if after.Feed == record.SharedFeed && max > 1 && !page.More {
		b.write()
	}
	return page, err
}

func TestFeedThatGoesOnMeanwhileIsNoDifference(t *testing.T) {
	w := newWorld(t, "a")
	keys := orgs(3, "")
	w.write("", "first", keys[0])
	wrote := false
	w.above = func(r engine.Replica) engine.Replica {
		return busy{r, func() {
			if !wrote {
				wrote = true
				w.write("", "meanwhile", keys[1])
			}
		}}
	}
	if r := w.once("a"); r.Proved || !r.More || len(r.Next.Compare) > 0 {
		t.Errorf("what was written meanwhile counts as a difference: %+v", r)
	}
	if r := w.once("a"); !wrote || !r.Equal {
		t.Errorf("then: %+v", r)
	}
}

// Comparisons that are none are nonsense, and cost upstream nothing.
func TestComparisonsOutOfFormAreNonsense(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	for name, parts := range map[string][]wire.Part{
		"all heads of the whole tree": {{}},
		"all heads of a sixteenth":    {{At: "3"}},
		"no node":                     {{At: "3G", Sums: make([]byte, 8)}},
		"17 digits":                   {{At: "0123456789abcdef", Sums: make([]byte, 128)}},
		"half a digest":               {{At: "3f", Sums: make([]byte, 12)}},
		"too many parts":              slices.Repeat([]wire.Part{{At: "3f", Sums: make([]byte, 8)}}, 4097),
	} {
		_, serve := w.halves(a)
		hello := &wire.Hello{Protocol: wire.Protocol, Replica: "a", Life: a.Lineage(), Compare: []wire.Compare{{Feed: record.OwnFeed, Parts: parts}}}
		err := serve.Take(t.Context(), &wire.Frame{Hello: hello})
		if err == nil {
			err = serve.Take(t.Context(), &wire.Frame{End: &wire.End{}})
		}
		for err == nil {
			_, err = serve.Next()
		}
		if !errors.Is(err, wire.ErrNonsense) {
			t.Errorf("%s: %v, want nonsense", name, err)
		}
	}
}

// fixed gives the same lineages each time.
type fixed struct{ n byte }

func (f *fixed) Read(b []byte) (int, error) {
	for i := range b {
		f.n++
		b[i] = f.n
	}
	return len(b), nil
}

// twice is an image of a, resumed twice with one lineage, as a and as r, and two people.
func twice(t *testing.T) (w *world, a, r *station, k, other record.Key) {
	t.Helper()
	w = newWorld(t, "a")
	k, other = w.bornAtCentre(), w.bornAtCentre()
	w.sync("a")
	r4, image := w.stations["a"].R4(), w.snapshot("a")
	resumed := func() *station {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(image)); err != nil {
			t.Fatal(err)
		}
		return &station{Store: storetest.Open(t, store.Options{Name: "a", Dir: dir, R4: r4, Random: &fixed{}}), dir: dir, name: "a"}
	}
	a, r = resumed(), resumed()
	w.stations = map[string]*station{"a": a, "r": r}
	return w, a, r, k, other
}

func (s *station) atRest(t *testing.T) {
	t.Helper()
	if c, err := s.Waiting(); err != nil || c.Waiting+c.Parked > 0 {
		t.Errorf("%s waits: %+v, %v", s.dir, c, err)
	}
}

// a: U0 -> X(0911);  r: U0 -> X(0922) -> r2. Both X bear one name, and the second to come is
// no other's X: all is in what all show in the end.
func TestOneNameForTwoContentsIsAFork(t *testing.T) {
	w, a, r, k, _ := twice(t)
	x := a.edit(t, k, hoa+phone("0911"))
	y := r.edit(t, k, hoa+phone("0922"))
	r.edit(t, k, hoa+phone("0922")+`,"gender":"female"`)
	if x.Name != y.Name || x.Ref() == y.Ref() {
		t.Fatalf("the window is not met: %s and %s", x.Ref(), y.Ref())
	}
	w.once("a")
	ask, serve := w.halves(r)
	var said []record.Reason
	if err := w.pump(ask, serve, nil, func(f *wire.Frame) bool { // which r does not hear
		if f.Answer != nil {
			said = append(said, f.Answer.Reason)
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(said, []record.Reason{record.Fork, record.Fork}) {
		t.Errorf("the centre says of r's: %q", said)
	}
	w.sync("r")
	w.sync("a", "r")
	w.want(k, "0911", "0922", "female")
	a.atRest(t)
	r.atRest(t)
}

// a: U0 -> X(0911) of one person;  r: U0 -> X(female) of another, under the same name, and
// V0 -> r2. No record has two of one name, but the chains differ, and no receipt would ever
// come for r's.
func TestOneNameInTwoRecordsIsAFork(t *testing.T) {
	w, a, r, k, other := twice(t)
	x := a.edit(t, k, hoa+phone("0911"))
	y := r.edit(t, other, hoa+`,"gender":"female"`)
	r.edit(t, k, hoa+phone("0922"))
	if x.Name != y.Name {
		t.Fatalf("the window is not met: %s and %s", x.Ref(), y.Ref())
	}
	ask, serve := w.halves(r) // r hands in what it has, and does not hear what became of it
	if err := w.pump(ask, serve, nil, func(*wire.Frame) bool { return false }); err != nil {
		t.Fatal(err)
	}
	w.sync("a")
	w.sync("r", "a")
	w.want(k, "0911", "0922")
	w.want(other, "female")
	a.atRest(t)
	r.atRest(t)
}

// a: U0 -> X(0911), at the centre;  r: V0, then U0 -> r3(0922), under higher numbers of the one
// lineage. That r3 says to have seen that lineage so far does not mean X.
func TestANumberOfAForkIsNotSeen(t *testing.T) {
	w, a, r, k, _ := twice(t)
	a.edit(t, k, hoa+phone("0911"))
	w.once("a")
	r.born(t, hoa)
	r.edit(t, k, hoa+phone("0922"))
	w.sync("r", "a")
	w.want(k, "0911", "0922")
	a.atRest(t)
	r.atRest(t)
}

// a asks by a stick, as the lineage that it was before its image was resumed, and makes
// X(0911);  r's X(0922) reaches the centre, and the answer to the stick brings it: a has
// seen none of what is meant.
func TestLateAnswerThatForeseesIsATwins(t *testing.T) {
	w, a, r, k, _ := twice(t)
	ask, serve := w.halves(a)
	var request []*wire.Frame
	for f, err := ask.Next(); err == nil; f, err = ask.Next() {
		request = append(request, f)
	}
	request[0].Hello.Life = "lifebeforeimage2"
	asked := ask.Asked()
	a.edit(t, k, hoa+phone("0911"))
	r.edit(t, k, hoa+phone("0922"))
	w.sync("r")
	for _, f := range request {
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	late, err := engine.Resume(engine.AskOptions{Replica: a.Store, Name: a.name, Merger: w.merger, Pace: engine.DefaultPace(),
		Verify: func(record.Receipt) error { return nil }}, engine.Late{Asked: asked, Ends: asked.Cursors, Unheard: func(record.Lineage) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.pump(late, serve, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.sync("a", "r")
	w.want(k, "0911", "0922")
	a.atRest(t)
	r.atRest(t)
}

// a: U0 -> X(0911) -> X2(0933), of which X reached the centre and a does not know it;  r: U0 ->
// X(0922) -> X2(0944), handed in between. The centre refuses r's as a fork, and a's chain goes
// on as if they had never come: 0911, which is in it and was replaced, is not issued anew.
func TestForkLeavesTheOthersChainAlone(t *testing.T) {
	w, a, r, k, _ := twice(t)
	unheard := func(s *station) {
		t.Helper()
		ask, serve := w.halves(s)
		if err := w.pump(ask, serve, nil, func(*wire.Frame) bool { return false }); err != nil {
			t.Fatal(err)
		}
	}
	a.edit(t, k, hoa+phone("0911"))
	r.edit(t, k, hoa+phone("0922"))
	unheard(a)
	second := a.edit(t, k, hoa+phone("0933"))
	r.edit(t, k, hoa+phone("0944"))
	unheard(r)
	w.sync("a")
	if st, err := w.centre.Get(k); err != nil || st.Head.Ref() != second.Ref() {
		t.Errorf("at the centre is %s, %v; want %s", st.Head.Ref(), err, second.Ref())
	}
	w.sync("r", "a")
	w.want(k, "0933", "0944")
	a.atRest(t)
	r.atRest(t)
}

// a: U0 -> X(0911), at the centre. r: U0 -> X(0922), then, opened anew, -> Y1(0944), and a
// birth Y3. Only r's X arrives: it is a fork, and what was made from it gets another name
// before it was ever sent. Y3 does not wait for it.
func TestWhatStandsBehindAForkedBaseWaitsForNoGap(t *testing.T) {
	w, a, r, k, _ := twice(t)
	a.edit(t, k, hoa+phone("0911"))
	w.sync("a")
	r.edit(t, k, hoa+phone("0922"))
	again := storetest.Open(t, store.Options{Name: "a", Dir: w.snapshot("r"), R4: r.R4()})
	r = &station{Store: again, dir: again.Dir(), name: "a"}
	w.stations["r"] = r
	r.edit(t, k, hoa+phone("0944"))
	other := r.born(t, hoa)
	w.up = 1
	w.once("r")
	w.up = 0
	w.sync("r", "a")
	if p := place(t, r, other); p != record.Centre {
		t.Errorf("the birth is at %q", p)
	}
	w.want(k, "0911", "0944")
	r.atRest(t)
}

// a gives a person an id that r, which goes on under the lineage of both, would give next, and
// hands the person in under a name of its own: r gives another one.
func TestIDOfATwinIsNotGivenAgain(t *testing.T) {
	w, a, r, k, _ := twice(t)
	r.edit(t, k, hoa+phone("0922"))
	ask, serve := w.halves(r)
	if err := w.pump(ask, serve, nil, func(*wire.Frame) bool { return false }); err != nil {
		t.Fatal(err)
	}
	a.edit(t, k, hoa+phone("0911"))
	theirs := a.born(t, hoa)
	w.sync("a")
	w.share(theirs)
	w.sync("r")
	if mine := r.born(t, hoa); string(r.Lineage()) != theirs.ID[:record.LineageLen] || mine == theirs {
		t.Errorf("r gives %s under %s, and a gave %s", mine, r.Lineage(), theirs)
	}
}

// a makes X and hands it in;  r, which has made nothing yet, hears of it, and takes another
// lineage before it does.
func TestWhoHearsOfATwinMakesNoFork(t *testing.T) {
	w, a, r, k, _ := twice(t)
	a.edit(t, k, hoa+phone("0911"))
	w.once("a")
	w.once("r")
	if v := r.edit(t, k, hoa+phone("0922")); v.Name.Lineage == a.Lineage() {
		t.Errorf("r writes %s, under the lineage that a speaks for", v.Name)
	}
}

// r asks by a stick, as the lineage that it was before its image was resumed;  a's X reaches
// the centre, and the answer to the stick brings it: r takes another lineage before it writes.
func TestWhoTakesInWhatATwinMadeMakesNoFork(t *testing.T) {
	w, a, r, k, _ := twice(t)
	ask, serve := w.halves(r)
	var request []*wire.Frame
	for f, err := ask.Next(); err == nil; f, err = ask.Next() {
		request = append(request, f)
	}
	request[0].Hello.Life = "lifebeforeimage2"
	a.edit(t, k, hoa+phone("0911"))
	w.sync("a")
	for _, f := range request {
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.pump(ask, serve, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.edit(t, k, hoa+phone("0922"))
	if r.Lineage() == a.Lineage() {
		t.Errorf("r writes under %s, of which a's version came down", r.Lineage())
	}
	w.sync("r", "a")
	w.want(k, "0922")
	a.atRest(t)
	r.atRest(t)
}
