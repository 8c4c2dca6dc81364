package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/scope"
	"tram/store/storetest"
	"tram/sync/wire"
)

// strict is a world whose centre, as centres do, takes no word of stations on who
// holds whom, and a copy of that centre from before anything was.
func strict(t *testing.T) (w *world, before string) {
	t.Helper()
	w = newWorld(t, "a", "b")
	w.admit = func(v *record.Version) record.Reason {
		if r, err := fhir.Parse(v.Content, fhir.DefaultLimits()); err == nil && scope.Is(r) {
			return record.NotAllowed
		}
		return ""
	}
	return w, w.copyOfCentre()
}

func (w *world) lends(k record.Key, to string) {
	w.t.Helper()
	if _, err := w.centre.Grant(context.Background(), to, "admin", k); err != nil {
		w.t.Fatal(err)
	}
}

// isHome holds that a station has a person of its own, and that nobody waits for
// anything.
func (w *world) isHome(k record.Key, parts ...string) {
	w.t.Helper()
	w.want(k, parts...)
	a := w.stations["a"]
	if _, err := a.Get(k); err != nil {
		w.t.Errorf("its maker does not hold it: %v", err)
	}
	if in, err := w.centre.ScopeOf(k); err != nil || !slices.Contains(in, "a") {
		w.t.Errorf("held by %v, %v; want a among them", in, err)
	}
	if c, err := a.Waiting(); err != nil || c.Waiting+c.Parked > 0 {
		w.t.Errorf("its maker has %+v, %v", c, err)
	}
	held, err := w.centre.Held()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range held {
		if h.Key == k {
			w.t.Errorf("the centre did not take %s: %s", h.Ref.Name, h.Reason)
		}
	}
}

// a: a0 -> a1 -> U2;  b holds U2 alone;  the centre is put back to before a0, and hears
// b first: a0 and a1 went into what it has then, and are no other record's.
func TestMakerIsHeardAfterItsGuest(t *testing.T) {
	w, before := strict(t)
	k := w.stations["a"].born(t, hoa)
	w.sync("a")
	w.stations["a"].edit(t, k, hoa+`,"gender":"female"`)
	w.sync("a")
	w.editAtCentre(k, hoa+`,"gender":"female"`+phone("0912"))
	w.sync("a")
	w.lends(k, "b")
	w.sync("b")
	w.restoreCentre(before)
	for _, n := range []string{"a", "b"} {
		if err := w.centre.AddPeer(context.Background(), store.Peer{Name: n, Station: n}); err != nil {
			t.Fatal(err)
		}
	}
	w.sync("b")
	w.sync("a")
	w.sync("a", "b")
	w.isHome(k, "0912", "female")
	w.editAtCentre(k, hoa+`,"gender":"female"`+phone("0913")) // and what comes later comes to both
	w.sync("a", "b")
	w.isHome(k, "0913")
}

// a: a0 -> a1, a1 not sent yet;  b holds a0;  the centre is put back to before a0, and
// hears b first: that a1 comes before a0 takes nothing from its maker.
func TestMakerSendsAnEditFirst(t *testing.T) {
	w, before := strict(t)
	k := w.stations["a"].born(t, hoa)
	w.sync("a")
	w.lends(k, "b")
	w.sync("b")
	w.stations["a"].edit(t, k, hoa+`,"gender":"female"`)
	w.restoreCentre(before)
	for _, n := range []string{"a", "b"} {
		if err := w.centre.AddPeer(context.Background(), store.Peer{Name: n, Station: n}); err != nil {
			t.Fatal(err)
		}
	}
	w.sync("b")
	w.sync("a")
	w.sync("a", "b")
	w.isHome(k, "female")
}

// U0 -> U1 at b alone -> b2;  U0 -> U1 -> b2 -> U3 at a;  the centre is put back to U0.
// b2 waits for its base, and came with U3 meanwhile: nothing waits any more.
func TestWhatWaitedAndCameWithAnotherWaitsNoMore(t *testing.T) {
	w, _ := strict(t)
	k := w.bornAtCentre()
	w.sync("a", "b")
	before := w.copyOfCentre()
	w.editAtCentre(k, hoa+phone("0911"))
	w.sync("b")
	w.stations["b"].edit(t, k, hoa+phone("0911")+`,"gender":"female"`)
	w.sync("b")
	w.editAtCentre(k, hoa+phone("0912")+`,"gender":"female"`)
	w.sync("a")
	w.restoreCentre(before)
	for _, n := range []string{"a", "a", "b", "b", "a"} {
		w.once(n)
	}
	w.sync("a", "b")
	w.want(k, "0912", "female")
	if held, err := w.centre.Held(); err != nil || len(held) > 0 {
		t.Errorf("the centre still says that it did not take %d changes, %v", len(held), err)
	}
}

// a: a0 -> a1;  the centre is put back to a0, whose word reaches a before a1 is there
// again; a2 is then made from a0, and has not seen a1.
func TestWhatIsMadeWhileTheCentreLearnsAgainHidesNothing(t *testing.T) {
	w, _ := strict(t)
	a := w.stations["a"]
	k := a.born(t, hoa)
	w.sync("a")
	before := w.copyOfCentre()
	a.edit(t, k, hoa+`,"gender":"female"`)
	w.sync("a")
	w.restoreCentre(before)
	for range 4 {
		ask, serve := w.halves(a)
		if err := w.pump(ask, serve, func(f *wire.Frame) bool { return f.Change == nil && f.Mark == nil }, nil); err != nil {
			t.Fatal(err)
		}
		next := ask.Result().Next
		a.carry = &next
	}
	if got := content(t, a.Store, k); strings.Contains(got, "female") {
		t.Fatalf("the window is not met: %s", got)
	}
	a.edit(t, k, hoa+phone("0912"))
	w.sync("a")
	w.lends(k, "b")
	w.sync("a", "b")
	w.want(k, "female", "0912")
}

// U0 -> a1, which b holds;  the centre is put back to U0 and a to before a1. What b said
// once reaches the centre again, so that b's cursor is known; then c1 is made from U0.
// The line is one: who sees c1 in the place of a1 hands a1 in again.
func TestHeadThatDoesNotCoverTheOneBeforeTellsOfARestore(t *testing.T) {
	w := newWorld(t, "a", "b")
	k, other, third := w.bornAtCentre(), w.bornAtCentre(), w.bornAtCentre()
	w.sync("a", "b")
	before, young := w.copyOfCentre(), w.snapshot("a")
	w.stations["a"].edit(t, k, hoa+`,"gender":"female"`)
	w.once("a")
	b := w.stations["b"]
	b.edit(t, other, hoa+phone("0911"))
	ask, serve := w.halves(b)
	var request []*wire.Frame
	if err := w.pump(ask, serve, func(f *wire.Frame) bool { request = append(request, f); return true }, nil); err != nil {
		t.Fatal(err)
	}
	w.restoreCentre(before)
	w.restore("a", young)
	w.editAtCentre(third, hoa+phone("0913"))
	_, serve = w.halves(b)
	for _, f := range request {
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	w.editAtCentre(k, hoa+phone("0914"))
	w.sync("b", "a")
	w.want(k, "female", "0914")
	w.want(other, "0911")
	w.want(third, "0913")
}

// b: U0 -> b1 -> b2, of which b's clone b' holds b2 alone;  the centre is put back to U0,
// and b' hands b2 in first. b' names b's lineage as its own, and knows nothing of its
// chain: when b comes, both sides must compute the same one.
func TestCloneThatHandsBackSpoilsNoChain(t *testing.T) {
	w := newWorld(t, "b")
	k := w.bornAtCentre()
	w.sync("b")
	before, b := w.copyOfCentre(), w.stations["b"]
	twin := storetest.Open(t, store.Options{Name: "b", Dir: w.snapshot("b"), R4: b.R4()})
	b.edit(t, k, hoa+`,"gender":"female"`)
	b.edit(t, k, hoa+`,"gender":"female"`+phone("0915"))
	w.sync("b")
	w.stations["b'"] = &station{Store: twin, name: "b"}
	w.sync("b'")
	w.restoreCentre(before)
	w.sync("b'")
	w.sync("b", "b'")
	w.want(k, "female", "0915")
}

// b: U0 -> c1 -> b1, and its clone b' holds the same;  the centre is put back to U0. b'
// hands in b1, which waits for c1. The chain is what it was, and b1 is in no record: b
// must not go on saying that it is at the centre.
func TestWhatWaitsIsNotProved(t *testing.T) {
	w := newWorld(t, "b")
	k := w.bornAtCentre()
	w.sync("b")
	before, b := w.copyOfCentre(), w.stations["b"]
	w.editAtCentre(k, hoa+phone("0916"))
	w.sync("b")
	b1 := b.edit(t, k, hoa+phone("0916")+`,"gender":"female"`)
	w.sync("b")
	w.stations["b'"] = &station{Store: storetest.Open(t, store.Options{Name: "b", Dir: w.snapshot("b"), R4: b.R4()}), name: "b"}
	w.restoreCentre(before)
	w.once("b'")
	w.once("b'")
	held, err := w.centre.Held()
	if err != nil || len(held) != 1 || held[0].Ref != b1.Ref() || held[0].Verdict != record.Waits {
		t.Fatalf("the window is not met: %+v, %v", held, err)
	}
	w.once("b")
	if at, err := b.PlaceOf(k, b1.Name); err != nil || at != record.Here {
		t.Errorf("b says of what waits for its base: %s, %v", at, err)
	}
	w.sync("b'", "b")
	w.want(k, "0916", "female")
	if at, err := b.PlaceOf(k, b1.Name); err != nil || at != record.Centre {
		t.Errorf("b says in the end: %s, %v", at, err)
	}
}

// a is told of k while the centre, which was put back, does not know a's cursor. The
// answer is lost, and a loses k: the word that k is gone stands in the feed before the
// place where the trees are compared, and k is in no tree.
func TestWhatNeverCameDownIsGoneAfterComparing(t *testing.T) {
	w := newWorld(t, "a")
	known := w.bornAtCentre()
	w.sync("a")
	before, a := w.copyOfCentre(), w.stations["a"]
	w.editAtCentre(known, hoa+phone("0917"))
	w.sync("a")
	w.restoreCentre(before)
	k := a.born(t, hoa)
	ask, serve := w.halves(a)
	if err := w.pump(ask, serve, nil, func(*wire.Frame) bool { return false }); err != nil {
		t.Fatal(err)
	}
	w.moves(k)
	w.sync("a")
	if got := content(t, a.Store, k); !strings.Contains(got, record.ErrNotFound.Error()) {
		t.Errorf("a still shows %s", got)
	}
	if got := content(t, w.centre, k); !strings.Contains(got, k.ID) {
		t.Errorf("the centre shows %s", got)
	}
}

// moves takes a person from the only station that holds them.
func (w *world) moves(k record.Key) {
	w.t.Helper()
	at := scopeOf(w.t, w.centre, k)
	v, err := fhir.Parse([]byte(content(w.t, w.centre, at)), fhir.DefaultLimits())
	if err != nil {
		w.t.Fatal(err)
	}
	(&station{Store: w.centre, name: "centre"}).put(w.t, store.Write{Key: at, Base: store.Any, Content: v.With("extension", nil).Bytes()})
}

// Who hears in an answer that the centre lost what it had says that there is more to say.
func TestWhatIsVoidedIsSaidAtOnce(t *testing.T) {
	w := newWorld(t, "a")
	before, a := w.copyOfCentre(), w.stations["a"]
	k := a.born(t, hoa)
	w.refuse = wire.Revoked
	w.sync("a")
	w.restoreCentre(before)
	if r := w.once("a"); !r.Waiting {
		t.Errorf("what the centre lost waits, and the exchange says %+v", r)
	}
	w.once("a")
	if !strings.Contains(content(t, w.centre, k), k.ID) {
		t.Error("the centre lacks it")
	}
}

func status(text string) string { return fmt.Sprintf(`,"maritalStatus":{"text":%q}`, text) }

// inVault reports whether a value that did not win is kept at a replica.
func inVault(t *testing.T, s *store.Store, k record.Key, value string) bool {
	t.Helper()
	items, err := s.Vault(k, 100)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(items, func(i store.VaultItem) bool { return strings.Contains(string(i.Lost.Value), value) })
}

// centre: U0 -> c1(y);  b: U0 -> b1(x), merged to U2, which holds x as lost;  b: U2 -> b3;
// centre: b3 -> c4, which both get. The centre is put back to U0, and a hands c4 back.
// b3 went into c4, and its base U2 comes all the same: it holds what lost.
func TestWhatLostComesBackWithTheBase(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.bornAtCentre()
	w.sync("a", "b")
	before, b := w.copyOfCentre(), w.stations["b"]
	w.editAtCentre(k, hoa+status("y"))
	b.edit(t, k, hoa+status("x"))
	w.sync("b")
	if !inVault(t, w.centre, k, `"x"`) {
		t.Fatal("the window is not met")
	}
	b.edit(t, k, hoa+status("y")+phone("0911"))
	w.sync("b")
	w.editAtCentre(k, hoa+status("y")+phone("0912"))
	w.sync("a", "b")
	w.restoreCentre(before)
	w.sync("a")
	w.sync("b", "a")
	w.want(k, "0912", `"y"`)
	if !inVault(t, w.centre, k, `"x"`) {
		t.Error("what lost is in no vault any more")
	}
}
