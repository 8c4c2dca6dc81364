package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// heavy is of about 900 kB.
var heavy = strings.Repeat("heavy ", 150_000)

// lacks lets a station lose n heavy records of the centre, with a comparison behind it that
// found that out.
func lacks(t *testing.T, n int) (*world, *station, []record.Key) {
	t.Helper()
	w := newWorld(t, "a")
	a := w.stations["a"]
	keys := orgs(n, "3f")
	w.below = func(a engine.Asker) engine.Asker { return forgetful{a, keys} }
	for _, k := range keys {
		w.write("", heavy, k)
	}
	for w.once("a").Next.Want == nil {
		if a.last.Equal {
			t.Fatal("nothing is lacking")
		}
	}
	w.below = nil
	return w, a, keys
}

// longest is the longest stretch of an answer, in bytes of content.
func longest(answer []*wire.Frame) (most int) {
	size := 0
	for _, f := range answer {
		if f.Change != nil && f.Change.Version != nil {
			size += len(f.Change.Version.Content)
		}
		if f.Mark != nil {
			most, size = max(most, size), 0
		}
	}
	return most
}

// 20 records, of 18 MB: they come in stretches, and one exchange heals them.
func TestWhatIsWantedComesInStretches(t *testing.T) {
	w, a, keys := lacks(t, 20)
	_, answer, err := w.spoken(a, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := holds(t, a, keys); n != len(keys) || !a.last.Equal {
		t.Errorf("a holds %d of %d: %+v", n, len(keys), a.last)
	}
	if n := longest(answer); n < 8<<20 || n > 9<<20 {
		t.Errorf("a stretch of %d bytes, want about 8 MB", n)
	}
}

// An answer that is cut behind the first stretch leaves the cursor, and what was taken.
func TestWhatIsWantedIsCut(t *testing.T) {
	w, a, keys := lacks(t, 12)
	want := a.carry.Want[0]
	was, err := a.Cursor(record.SharedFeed)
	if err != nil {
		t.Fatal(err)
	}
	want.End.Digest[0] ^= 1 // the end is another place than where a stands
	a.carry.Want[0] = want
	ask, serve := w.halvesIn(wire.Protocol, a)
	changes, marks := 0, 0
	if err := w.pump(ask, serve, nil, func(f *wire.Frame) bool {
		if f.Change != nil {
			changes++
		}
		if f.Mark != nil && changes > 0 {
			marks++
		}
		return marks == 0 || marks == 1 && f.Mark != nil
	}); err != nil {
		t.Fatal(err)
	}
	if now, err := a.Cursor(record.SharedFeed); err != nil || now != was {
		t.Errorf("the cursor is %+v, was %+v, %v", now, was, err)
	}
	if n := holds(t, a, keys); n == 0 || n == len(keys) {
		t.Errorf("a holds %d of %d after the cut", n, len(keys))
	}
	a.carry = nil
	w.sync("a")
	if n := holds(t, a, keys); n != len(keys) || !a.last.Equal {
		t.Errorf("a holds %d of %d: %+v", n, len(keys), a.last)
	}
}

// 45 records, of 40 MB, are more than one answer gives: the rest is found by the next
// comparison, in either protocol.
func TestMoreThanAnAnswerGivesIsWantedAgain(t *testing.T) {
	for _, protocol := range []int{wire.First, wire.Protocol} {
		w, a, keys := lacks(t, 45)
		n := 0
		for {
			ask, serve := w.halvesIn(protocol, a)
			if err := w.pump(ask, serve, nil, nil); err != nil {
				t.Fatal(err)
			}
			a.last = ask.Result()
			next := a.last.Next
			a.carry = &next
			if n++; n == 1 && (holds(t, a, keys) == len(keys) || !a.last.More) {
				t.Errorf("one answer gave %d records: %+v", holds(t, a, keys), a.last)
			}
			if a.last.Equal {
				break
			}
			if n > 8 || !a.last.More {
				t.Fatalf("protocol %d: not equal after %d exchanges: %+v", protocol, n, a.last)
			}
		}
		if got := holds(t, a, keys); got != len(keys) {
			t.Errorf("protocol %d: a holds %d of %d", protocol, got, len(keys))
		}
	}
}

// One key, named as often as may be, gives one record.
func TestWhatIsWantedTwiceIsGivenOnce(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	keys := orgs(2, "3f")
	w.write("", "X", keys...)
	w.once("a")
	_, serve := w.halvesIn(wire.Protocol, a)
	hello := &wire.Hello{Protocol: wire.Protocol, Replica: "a", Life: a.Lineage(), Want: []wire.Want{{Feed: record.SharedFeed}}}
	for range 1 << 15 {
		hello.Want[0].Keys = append(hello.Want[0].Keys, keys...)
	}
	for _, f := range []*wire.Frame{{Hello: hello}, {End: &wire.End{}}} {
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for f, err := serve.Next(); err == nil; f, err = serve.Next() {
		if f.Change != nil {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// weighing notes how many bytes of content come in at once, and how often.
type weighing struct {
	engine.Replica
	most, times int
}

func (w *weighing) Apply(ctx context.Context, st record.Stretch) error {
	size := 0
	for _, d := range st.Taken {
		size += len(d.Version.Content)
	}
	w.most, w.times = max(w.most, size), w.times+1
	return w.Replica.Apply(ctx, st)
}

// 60 records, of 54 MB, before one mark, and edits of three of them: what came does not wait
// for the mark, and where it has to, whole versions are asked for.
func TestStretchThatIsTooLargeIsNotKept(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	keys := orgs(60, "3f")
	var whole, edits []*wire.Frame
	for i, k := range keys {
		v := &record.Version{Key: k, Name: record.Name{Lineage: a.Lineage(), N: uint64(i + 1)}, Author: "nurse", Stamp: record.Stamp{Unix: 1}, Content: org(k, heavy)}
		v.Seen = record.Seen{}.With(v.Name)
		whole = append(whole, &wire.Frame{Change: &record.Change{Key: k, Ref: v.Ref(), Prev: uint64(i), Version: v}})
		edits = append(edits, &wire.Frame{Edit: &wire.Edit{Key: k, Name: v.Name, Base: v.Name, Middle: heavy}})
	}
	hello := &wire.Frame{Hello: &wire.Hello{Protocol: wire.Protocol, Replica: "a", Life: a.Lineage(), Links: []record.Link{{Lineage: a.Lineage(), N: 60}}}}
	weighed := &weighing{}
	w.above = func(r engine.Replica) engine.Replica { weighed.Replica = r; return weighed }
	_, serve := w.halvesIn(wire.Protocol, a)
	for _, f := range append(append([]*wire.Frame{hello}, whole...), &wire.Frame{Mark: &wire.Mark{}}, &wire.Frame{End: &wire.End{}}) {
		if err := serve.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if weighed.most > 34<<20 || weighed.times != 2 {
		t.Errorf("%d bytes came in at once, in %d times; want at most 32 MB and one more, in 2", weighed.most, weighed.times)
	}
	answers := 0
	for f, err := serve.Next(); err == nil; f, err = serve.Next() {
		if f.Answers != nil && f.Answers.Verdict == record.Accepted {
			answers += f.Answers.N
		}
	}
	if got := content(t, w.centre, keys[59]); answers != 60 || !strings.Contains(got, "heavy") {
		t.Errorf("%d answers, and the last record is %.40s", answers, got)
	}
	_, serve = w.halvesIn(wire.Protocol, a)
	if err := serve.Take(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	var err error
	for _, f := range edits {
		if err = serve.Take(t.Context(), f); err != nil {
			break
		}
	}
	if err != engine.ErrWhole {
		t.Errorf("54 MB of edits before a mark: %v, want ErrWhole", err)
	}
}

// centre: 12 records and what a knows of them -> a;  the centre is put back to before they
// were edited, and edits them otherwise, at earlier places of its feed and heavily. a's
// cursor is unknown, and its places in that feed are later ones: all heals all the same.
func TestWhatIsWantedOfACentreThatWasPutBack(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	all := orgs(40, "3f")
	keys := all[:12]
	w.write("", "first", keys...)
	w.sync("a")
	before := w.copyOfCentre()
	w.write("", "other", all[12:]...)
	for _, k := range keys { // what they have then and what heavy is stand beside each other
		c := &station{Store: w.centre, name: "centre"}
		c.put(t, store.Write{Key: k, Base: store.Any, Content: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"name":"first","alias":["second"]}`, k.Kind, k.ID)})
	}
	w.sync("a")
	w.restoreCentre(before)
	for _, k := range keys {
		w.write(store.Any, heavy, k)
	}
	heaviest, last := 0, false
	for range 12 {
		_, answer, err := w.spoken(a, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		heaviest = max(heaviest, longest(answer))
		if last = a.last.Equal && !a.last.More && !a.last.Waiting; last {
			break
		}
	}
	if !last || heaviest > 9<<20 {
		t.Errorf("a stretch of %d bytes, and in the end %+v", heaviest, a.last)
	}
	for _, k := range all {
		w.equal(k)
	}
}
