// The traps of the field, each a test named after it, live here:
//
//	trap_feed_test.go   1, 2, 6, 9, 10, 17: what a feed, a cursor and an answer prove
//	trap_entry_test.go  3, 7, 8, 11, 12, 14, 15: what becomes of an entry that waits
//	trap_merge_test.go  4, 5, 13, 16: what becomes of values set apart
//
// Trap 11 has a second half in agent/health: a failure never moves the time of
// the last good exchange.
package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// flaky is a replica whose disk fails at the n-th stretch that brings records.
type flaky struct {
	engine.Asker
	n int
}

var errDisk = errors.New("no room")

func (f *flaky) Apply(ctx context.Context, st record.Stretch) error {
	if len(st.Arrived) > 0 {
		if f.n--; f.n == 0 {
			return errDisk
		}
	}
	return f.Asker.Apply(ctx, st)
}

// people lets station a make people whom b holds, but has not got yet.
func people(t *testing.T, w *world, n int) []record.Key {
	t.Helper()
	var keys []record.Key
	for range n {
		keys = append(keys, w.stations["a"].born(t, hoa))
	}
	w.sync("a")
	if _, err := w.centre.Grant(context.Background(), "b", "admin", keys...); err != nil {
		t.Fatal(err)
	}
	return keys
}

func holds(t *testing.T, s *station, keys []record.Key) int {
	t.Helper()
	n := 0
	for _, k := range keys {
		if _, err := s.Get(k); err == nil {
			n++
		}
	}
	return n
}

// a: 30 births -> centre;  b pulls in pages and its disk fails in each page once
func TestTrap01CursorSavedBeforePageIsCommitted(t *testing.T) {
	w := newWorld(t, "a", "b")
	keys := people(t, w, 30)
	b := w.stations["b"]
	for page := 1; page <= 4; page++ {
		before, err := b.Cursor(record.OwnFeed)
		if err != nil {
			t.Fatal(err)
		}
		w.below = func(a engine.Asker) engine.Asker { return &flaky{a, 1} }
		ask, serve := w.halves(b)
		if err := w.pump(ask, serve, nil, nil); !errors.Is(err, errDisk) {
			t.Fatalf("page %d: %v, want the disk's error", page, err)
		}
		after, err := b.Cursor(record.OwnFeed)
		if err != nil || after != before {
			t.Errorf("page %d failed: the cursor went from %d to %d, %v", page, before.Seq, after.Seq, err)
		}
		w.below = func(a engine.Asker) engine.Asker { return &flaky{a, 2} } // one page goes through
		ask, serve = w.halves(b)
		if err := w.pump(ask, serve, nil, nil); err != nil && !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		// The process ends here; what it left on the disk goes on.
		w.restore("b", w.snapshot("b"))
		b = w.stations["b"]
	}
	w.below = nil
	w.sync("b")
	if n := holds(t, b, keys); n != len(keys) || !b.last.Equal {
		t.Errorf("b holds %d of %d, proved equal %t", n, len(keys), b.last.Equal)
	}
}

// a: 30 births, all stamped alike -> centre;  b pulls pages of 8 and is cut in each
func TestTrap02TiesOfOneTimeAreSkipped(t *testing.T) {
	still := func() record.Stamp { return record.Stamp{Unix: 1_790_000_000_000} }
	w := newWorldAt(t, map[string]func() record.Stamp{"centre": still, "a": still, "b": still}, "a", "b")
	keys := people(t, w, 30)
	b := w.stations["b"]
	for range 3 {
		ask, serve := w.halves(b)
		marks := 0
		err := w.pump(ask, serve, nil, func(f *wire.Frame) bool {
			if f.Mark != nil && f.Mark.Cursor != nil {
				marks++
			}
			return marks <= 1 // the rest is cut off
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := holds(t, b, keys); n == 0 || n == len(keys) {
		t.Fatalf("the cuts did not fall into the tie: b holds %d of %d", n, len(keys))
	}
	r := w.once("b") // the pages alone must do: comparing would heal what they skip
	if n := holds(t, b, keys); n != len(keys) || !r.Equal {
		t.Errorf("b holds %d of %d, proved equal %t", n, len(keys), r.Equal)
	}
}

// a: 5 births -> centre, which passes over the third in silence and says 200
func TestTrap06SkipInsideSuccessIsTakenForSuccess(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	var keys []record.Key
	for range 5 {
		keys = append(keys, a.born(t, hoa))
	}
	ask, serve := w.halves(a)
	if err := w.pump(ask, serve, func(f *wire.Frame) bool { return f.Change == nil || f.Change.Key != keys[2] }, nil); err != nil {
		t.Fatal(err)
	}
	if res := ask.Result(); res.Sent != 5 || res.Taken != 4 {
		t.Errorf("sent %d, taken %d; want 5 and 4", res.Sent, res.Taken)
	}
	if p := place(t, a, keys[2]); p != record.Here {
		t.Errorf("the one passed over shows as %q", p)
	}
	if c, err := a.Waiting(); err != nil || c.Waiting == 0 {
		t.Errorf("nothing waits: %+v, %v", c, err)
	}
	w.sync("a")
	for i, k := range keys {
		if place(t, a, k) != record.Centre || !strings.Contains(content(t, w.centre, k), "Đặng") {
			t.Errorf("birth %d did not reach the centre", i)
		}
	}
}

// U0 -> A1(deleted);  thirty years on b, which slept with its copy, and c, which is new
func TestTrap09TombstonesExpireByTime(t *testing.T) {
	now := int64(1_790_000_000_000)
	clock := func() record.Stamp { return record.Stamp{Unix: now} }
	w := newWorldAt(t, map[string]func() record.Stamp{"centre": clock, "a": clock, "b": clock, "c": clock}, "a", "b", "c")
	k := w.stations["a"].born(t, hoa)
	w.sync("a")
	for _, n := range []string{"a", "b"} {
		if _, err := w.centre.Grant(context.Background(), n, "admin", k); err != nil {
			t.Fatal(err)
		}
	}
	w.sync("a", "b")
	old := w.snapshot("b")
	a := w.stations["a"]
	st, err := a.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, store.Write{Key: k, Base: st.Tag(), Delete: true})
	w.sync("a")
	now += 30 * 365 * 24 * time.Hour.Milliseconds()
	if _, err := w.centre.Grant(context.Background(), "c", "admin", k); err != nil {
		t.Fatal(err)
	}
	w.restore("b", old)
	// b offers what it holds once more, as if upstream might have forgotten it.
	if err := w.stations["b"].Recover(context.Background(), record.Recovery{Offer: []record.Key{k}}); err != nil {
		t.Fatal(err)
	}
	w.sync("a", "b", "c")
	for n, s := range w.stations {
		if got := content(t, s.Store, k); got != "deleted" {
			t.Errorf("%s shows %s", n, got)
		}
	}
	if got := content(t, w.centre, k); got != "deleted" {
		t.Errorf("the centre shows %s", got)
	}
}

// counting notes what passes for each replica.
func (w *world) received(name string) int {
	w.t.Helper()
	n := 0
	for range 10 {
		r := w.once(name)
		n += r.Received
		if !r.More && !r.Waiting && r.Received == 0 && r.Sent == 0 {
			return n
		}
	}
	w.t.Fatalf("%s does not come to rest", name)
	return 0
}

func TestTrap10FullResyncOfEveryoneToRepairOne(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, w *world) int{
		"rolled back by three entries": func(t *testing.T, w *world) int {
			old := w.snapshot("a")
			for range 3 {
				w.stations["a"].born(t, hoa)
			}
			w.sync("a")
			w.restore("a", old)
			return 6 // three people, and who holds them
		},
		"its cursor is of another feed": func(t *testing.T, w *world) int {
			bad := &record.Cursor{Feed: record.OwnFeed, Epoch: "another", Seq: 7}
			if err := w.stations["a"].Apply(context.Background(), record.Stretch{Peer: engine.Upstream, Cursor: bad}); err != nil {
				t.Fatal(err)
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			var keys []record.Key
			for range 40 {
				keys = append(keys, w.stations["a"].born(t, hoa))
			}
			w.sync("a")
			if _, err := w.centre.Grant(context.Background(), "b", "admin", keys...); err != nil {
				t.Fatal(err)
			}
			w.sync("a", "b")
			want := damage(t, w)
			if got := w.received("a"); got != want {
				t.Errorf("a received %d changes to be repaired, want %d", got, want)
			}
			if got := w.received("b"); got != 0 {
				t.Errorf("b received %d changes because a was repaired", got)
			}
			if !w.stations["a"].last.Equal || !w.stations["b"].last.Equal {
				t.Error("not proved equal")
			}
		})
	}
}

// a holds 10 people of its own and 20 organisations of b's; the centre comes back
// without these, b stays away, and the way is cut at every frame of the repair
func TestTrap17IncompleteSeedOverwritesGoodOne(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.stations["a"]
	var keys []record.Key
	for range 10 {
		keys = append(keys, a.born(t, hoa))
	}
	w.sync("a")
	part := copyOf(t, w.centre, t.TempDir())
	for range 20 {
		b := w.stations["b"]
		k := record.Key{Kind: "Organization", ID: b.NewID()}
		b.put(t, store.Write{Key: k, Content: []byte(`{"resourceType":"Organization","id":"` + k.ID + `","name":"Trạm"}`)})
		keys = append(keys, k)
	}
	w.sync("b", "a")
	w.centre = part()
	for cut := 1; cut < 60; cut++ {
		ask, serve := w.halves(a)
		frames, ended := 0, false
		err := w.pump(ask, serve, nil, func(f *wire.Frame) bool {
			frames++
			ended = ended || f.End != nil && frames <= cut
			return frames <= cut
		})
		if err != nil {
			t.Fatal(err)
		}
		res := ask.Result()
		if res.Proved && !ended {
			t.Fatalf("cut after %d frames: it calls itself complete", cut)
		}
		if n := holds(t, a, keys); n != len(keys) {
			t.Fatalf("cut after %d frames: a holds %d of %d", cut, n, len(keys))
		}
		if ended {
			next := res.Next
			a.carry = &next
		}
	}
	w.sync("a")
	for _, k := range keys {
		if got := content(t, w.centre, k); got != content(t, a.Store, k) {
			t.Errorf("%s at the centre: %s", k, got)
		}
	}
	if n := holds(t, a, keys); n != len(keys) || !a.last.Equal {
		t.Errorf("a holds %d of %d, proved equal %t", n, len(keys), a.last.Equal)
	}
}
