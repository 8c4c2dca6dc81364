package stick_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/status"
)

// trail draws what a station knows: "number:state(entries)", then the last answer and
// what was refused since.
func (w *world) trail(name string) string {
	w.t.Helper()
	t, err := stick.TrailOf(w.stations[name].Store)
	must(w.t, err)
	out := ""
	for _, p := range t.Trips {
		out += fmt.Sprintf("%d:%s(%d) ", p.N, p.State, p.Entries)
	}
	out += fmt.Sprint("read to ", t.Taken)
	if t.Answer != nil && len(t.Answer.Miss) > 0 {
		out += fmt.Sprint(" without ", t.Answer.Miss)
	}
	if t.Refused != nil {
		out += " refused " + string(t.Refused.Code)
	}
	return out
}

func (w *world) visit(name string) string {
	w.t.Helper()
	v, err := stick.VisitOf(w.top, name)
	must(w.t, err)
	return fmt.Sprintf("%d%v", v.N, v.Miss)
}

// history compares what a station and the centre know, step by step.
func (w *world) history(step, station, centre string) {
	w.t.Helper()
	if got := w.trail("tram-a"); got != station {
		w.t.Errorf("%s: the station knows %q, want %q", step, got, station)
	}
	if got := w.visit("tram-a"); got != centre {
		w.t.Errorf("%s: the centre knows %q, want %q", step, got, centre)
	}
}

// 1 -> read, answered / 2 -> lost / 3 -> read, a gap, answered / 2 -> found
func TestTrail(t *testing.T) {
	w := newWorld(t, "tram-a", "tram-b")
	a := w.stations["tram-a"]
	clock := made()
	a.Now = func() int64 { return clock.UnixMilli() }
	w.history("nothing yet", "read to 0", "0[]")
	a.born(t, "one")
	w.round("tram-a")
	w.history("one round", "1:answered(1) read to 1", "1[]")

	k := a.born(t, "two")
	lost := w.ask("tram-a")
	w.history("written", "1:answered(1) 2:out(1) read to 1", "1[]")
	clock = clock.Add(48 * time.Hour)
	a.born(t, "three")
	third := w.ask("tram-a")
	late, err := stick.TrailOf(a.Store)
	must(t, err)
	if out := late.Out(); len(out) != 2 || out[0].N != 2 || out[0].At != made().UnixMilli() || out[1].Entries != 2 {
		t.Errorf("on the way: %+v", out)
	}
	answer := w.answer(third, status.StickGap)
	w.history("read with a gap", "1:answered(1) 2:out(1) 3:out(2) read to 1", "3[2]")
	w.take("tram-a", answer, status.StickTaken)
	w.history("answered", "1:answered(1) 2:missed(1) 3:answered(2) read to 3 without [2]", "3[2]")
	if _, err := w.top.Get(k); err != nil || a.waits(t) {
		t.Errorf("what was on the lost stick: %v, waits %t", err, a.waits(t))
	}

	w.answer(lost, status.StickTaken)
	w.history("found", "1:answered(1) 2:missed(1) 3:answered(2) read to 3 without [2]", "2[]")
	w.round("tram-a")
	w.history("and said so", "1:answered(1) 2:passed(1) 3:answered(2) 4:answered(0) read to 4", "4[]")
	for range 2 {
		w.answer(w.ask("tram-a"), status.StickTaken)
	}
	w.direct("tram-a")
	must(t, stick.Called(context.Background(), a.Store))
	w.history("over the link", "1:answered(1) 2:passed(1) 3:answered(2) 4:answered(0) 5:called(0) 6:called(0) read to 4", "6[]")
}

// An own change is on the sticks that hold it and on no other, until something is
// heard of them.
func TestWhichStickHoldsIt(t *testing.T) {
	w := newWorld(t, "tram-a")
	a := w.stations["tram-a"]
	on := func(k record.Key) (out uint64) {
		t.Helper()
		list, err := a.Store.WaitingList(9)
		must(t, err)
		trail, err := stick.TrailOf(a.Store)
		must(t, err)
		for _, e := range list {
			if p := trail.With(e.Version); e.Key == k && p != nil {
				out = p.N
			}
		}
		return out
	}
	one := a.born(t, "one")
	if n := on(one); n != 0 {
		t.Errorf("before any, on %d", n)
	}
	first := w.ask("tram-a")
	two := a.born(t, "two")
	if x, y := on(one), on(two); x != 1 || y != 0 {
		t.Errorf("on %d and %d, want 1 and none", x, y)
	}
	w.ask("tram-a")
	if x, y := on(one), on(two); x != 2 || y != 2 {
		t.Errorf("on %d and %d, want the newest", x, y)
	}
	w.take("tram-a", w.answer(first, status.StickTaken), status.StickTaken)
	if x, y := on(one), on(two); x != 0 || y != 2 {
		t.Errorf("after the answer on %d and %d, want none and 2", x, y)
	}
}

// What a stick brought that yields nothing is told until an answer is taken.
func TestRefusedIsTold(t *testing.T) {
	w := newWorld(t, "tram-a", "tram-b")
	ctx, dir := context.Background(), t.TempDir()
	a := w.stations["tram-a"]
	a.born(t, "one")
	brings := func(n int, b []byte) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Join(dir, stick.Folder), 0o755))
		at := filepath.Join(dir, stick.Folder, fmt.Sprintf("tram-tram-a-down-%d.tram", n))
		must(t, os.WriteFile(at, b, 0o600))
		_, err := stick.Read(ctx, dir, "tram-a", a)
		must(t, err)
		must(t, os.Remove(at))
	}
	foreign := w.answer(w.ask("tram-b"), status.StickTaken).Bytes
	answer := w.answer(w.ask("tram-a"), status.StickTaken).Bytes
	altered := slices.Clone(answer)
	altered[len(altered)-9] ^= 1
	brings(1, altered)
	w.history("altered", "1:out(1) read to 0 refused altered", "1[]")
	brings(1, foreign)
	w.history("foreign", "1:out(1) read to 0 refused foreign", "1[]")
	if !a.waits(t) {
		t.Error("it was taken")
	}
	brings(1, answer)
	w.history("good", "1:answered(1) read to 1", "1[]")
	brings(1, answer)
	w.history("again", "1:answered(1) read to 1", "1[]")
	old := w.answer(w.ask("tram-a"), status.StickTaken).Bytes
	w.round("tram-a")
	brings(2, old)
	w.history("old", "1:answered(1) 2:passed(0) 3:answered(0) read to 3 refused old", "3[]")
	brings(4, make([]byte, 99))
	brings(2, old)
	w.history("old after damaged", "1:answered(1) 2:passed(0) 3:answered(0) read to 3 refused altered", "3[]")
}

// A PC that was enrolled anew counts from 1, and nothing is missing.
func TestAnotherPCCountsAnew(t *testing.T) {
	w := newWorld(t, "tram-a")
	for range 3 {
		w.round("tram-a")
	}
	w.ask("tram-a")
	w.answer(w.ask("tram-a"), status.StickGap)
	w.history("a gap", "1:answered(0) 2:answered(0) 3:answered(0) 4:out(0) 5:out(0) read to 3", "5[4]")
	a := w.stations["tram-a"]
	a.Identity = enrol(t, w.authority, "tram-a")
	must(t, a.Store.SetSetting(context.Background(), "stick", []byte("{}")))
	w.round("tram-a")
	w.history("enrolled anew", "1:answered(0) read to 1", "1[]")
}

// What is written over on a stick is not on its way any more, and the wait for an
// answer is as long as it was.
func TestWrittenOver(t *testing.T) {
	w := newWorld(t, "tram-a")
	ctx, one, other := context.Background(), t.TempDir(), t.TempDir()
	a, clock := w.stations["tram-a"], made()
	a.Now = func() int64 { return clock.UnixMilli() }
	a.born(t, "one")
	for _, dir := range []string{one, other, one} {
		_, err := stick.Write(ctx, dir, "tram-a", a)
		must(t, err)
		clock = clock.Add(24 * time.Hour)
	}
	w.history("written over", "1:replaced(1) 2:out(1) 3:out(1) read to 0", "0[]")
	trail, err := stick.TrailOf(a.Store)
	must(t, err)
	if trail.Since() != made().UnixMilli() {
		t.Errorf("waits since %d", trail.Since())
	}
	_, err = w.centre.Visit(ctx, other)
	must(t, err)
	_, err = stick.Read(ctx, other, "tram-a", a)
	must(t, err)
	w.history("one answered", "1:passed(1) 2:answered(1) 3:out(1) read to 2", "2[]")
	if trail, err = stick.TrailOf(a.Store); err != nil || trail.Since() != made().Add(48*time.Hour).UnixMilli() {
		t.Errorf("waits since %d, %v", trail.Since(), err)
	}
}

// 1 -> answered / 2 -> answered, then the centre is put back / 3 -> lost / 4 -> answered
func TestRestoredCentreMissesNothingAnswered(t *testing.T) {
	w := newWorld(t, "tram-a")
	w.round("tram-a")
	before, err := w.top.Setting("stick/tram-a")
	must(t, err)
	w.round("tram-a")
	must(t, w.top.SetSetting(context.Background(), "stick/tram-a", before))
	w.ask("tram-a")
	w.round("tram-a")
	w.history("put back", "1:answered(0) 2:answered(0) 3:missed(0) 4:answered(0) read to 4 without [3]", "4[2 3]")
}
