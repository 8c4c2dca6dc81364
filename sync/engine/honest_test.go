package engine_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/wire"
)

// Who claims to have seen another's version would overwrite it unseen.
func TestClaimToHaveSeenMoreIsParked(t *testing.T) {
	w, k := shared(t, hoa)
	a, b := w.stations["a"], w.stations["b"]
	a.edit(t, k, hoa+`,"gender":"female"`)
	page, err := a.Offer(store.Upstream, record.Cursor{}, 1)
	if err != nil || len(page.Changes) != 1 {
		t.Fatalf("offered: %+v, %v", page, err)
	}
	c := page.Changes[0]
	forged := *c.Version
	forged.Seen = forged.Seen.With(record.Name{Lineage: b.Lineage(), N: 1 << 40})
	c.Version, c.Ref = &forged, forged.Ref()
	_, serve := w.halves(a)
	hello := &wire.Hello{Protocol: wire.First, Replica: "a", Life: a.Lineage()}
	for _, f := range []*wire.Frame{{Hello: hello}, {Change: &c}, {Mark: &wire.Mark{}}, {End: &wire.End{}}} {
		if err := serve.Take(context.Background(), f); err != nil {
			t.Fatal(err)
		}
	}
	var said []record.Answer
	for f, err := serve.Next(); !errors.Is(err, io.EOF); f, err = serve.Next() {
		if err != nil {
			t.Fatal(err)
		}
		if f.Answer != nil {
			said = append(said, *f.Answer)
		}
	}
	if len(said) != 1 || said[0].Verdict != record.Parked || said[0].Reason != record.NotAllowed {
		t.Errorf("answers: %+v", said)
	}
	if got := content(t, w.centre, k); strings.Contains(got, "female") {
		t.Errorf("the centre took it: %s", got)
	}
}

// A correction typed after a restart stands on upstream's version: what the parked
// one had seen is not claimed.
func TestCorrectionAfterARestartIsTaken(t *testing.T) {
	w := newWorld(t, "a")
	w.admit = func(v *record.Version) record.Reason {
		if !strings.Contains(string(v.Content), "active") {
			return record.NotAllowed
		}
		return ""
	}
	k := w.stations["a"].born(t, hoa)
	w.sync("a")
	w.restore("a", w.snapshot("a"))
	a := w.stations["a"]
	a.edit(t, k, hoa+`,"active":true`)
	w.sync("a")
	if p := place(t, a, k); p != record.Centre {
		t.Errorf("the correction is %s", p)
	}
	w.want(k, `"active":true`)
}
