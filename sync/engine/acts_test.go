package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tram/store/audit"
	"tram/sync/engine"
	"tram/sync/wire"
)

// keeper keeps what is handed in of an audit, or fails.
type keeper struct {
	kept uint64
	came []audit.Segment
	fail error
}

func (k *keeper) Kept(string) uint64 { return k.kept }

func (k *keeper) Keep(_ context.Context, _ string, s audit.Segment) error {
	k.came = append(k.came, s)
	return k.fail
}

// looks makes a person, looks at it so often, and gives what the audit has behind a number.
func (s *station) looks(t *testing.T, often int, after uint64) audit.Segment {
	t.Helper()
	k := s.born(t, hoa)
	for range often {
		if err := s.Audit(t.Context(), audit.Entry{Who: "hoa", Action: audit.Read, Key: k}); err != nil {
			t.Fatal(err)
		}
	}
	seg, err := s.Acts(after, 100)
	if err != nil || len(seg.Acts) != 1+often-int(after) || !seg.Sound() {
		t.Fatalf("%+v, %v", seg, err)
	}
	return seg
}

// What of the audit is handed in comes whole behind everything else, and is answered where
// it was kept; where it was not, the rest of the exchange goes on.
func TestAuditIsHandedInBehindEverythingElse(t *testing.T) {
	for name, c := range map[string]struct {
		keep keeper
		want uint64
	}{
		"kept":              {keeper{}, 3},
		"not kept":          {keeper{fail: errors.New("no room")}, 0},
		"others are before": {keeper{kept: 9}, 3},
	} {
		w := newWorld(t, "a")
		a := w.stations["a"]
		seg := a.looks(t, 2, 0)
		w.acts, w.keep = &seg, &c.keep
		request, _, err := w.spoken(a, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if last := request[len(request)-3]; last.Act == nil {
			t.Errorf("%s: in front of the last mark there is %+v", name, last)
		}
		if res := a.last; res.Acts == nil || *res.Acts != c.want || res.Taken != 1 {
			t.Errorf("%s: it came to %+v", name, res)
		}
		if came := c.keep.came; len(came) != 1 || came[0].Last() != 3 || !came[0].Sound() {
			t.Errorf("%s: %+v came", name, came)
		}
		w.sync("a")
	}
}

// An upstream that was replaced does not have what came before: it says so, and keeps what
// comes now all the same.
func TestReplacedUpstreamSaysHowFarItKeepsTheAudit(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	seg := a.looks(t, 3, 2)
	w.acts, w.keep = &seg, &keeper{kept: 1}
	w.once("a")
	w.once("a")
	if res := a.last; res.Acts == nil || *res.Acts != 1 || len(w.keep.came) == 0 {
		t.Errorf("it came to %+v, and %d segments came", res, len(w.keep.came))
	}
}

// Nothing of the audit goes while entries wait for another exchange, or after a cut.
func TestAuditIsBehindWhatWaits(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	for range 100 {
		a.born(t, hoa)
	}
	seg, err := a.Acts(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	w.acts, w.keep = &seg, &keeper{}
	if w.once("a"); a.last.Handed || !a.last.Waiting {
		t.Errorf("with 36 entries left it came to %+v", a.last)
	}
	if w.sync("a"); !a.last.Handed {
		t.Errorf("with none left it came to %+v", a.last)
	}
	a.carry.Cut = true
	if w.once("a"); a.last.Handed || a.last.Asked {
		t.Errorf("after a cut it came to %+v", a.last)
	}
}

// Upstream is asked first, by a segment without entries; one that keeps none says nothing.
func TestAuditIsNotHandedInToWhoKeepsNone(t *testing.T) {
	w := newWorld(t, "a")
	w.acts = &audit.Segment{}
	if w.once("a"); w.stations["a"].last.Acts != nil {
		t.Error("who keeps none says that it does")
	}
	w.keep = &keeper{}
	if w.once("a"); w.stations["a"].last.Acts == nil {
		t.Error("who keeps them does not say so")
	}
}

func TestAuditFromOutsideIsBounded(t *testing.T) {
	begin := func(n int) *wire.Frame { return &wire.Frame{Acts: &wire.Acts{N: n, Segment: audit.Segment{From: 1}}} }
	act := &wire.Frame{Act: []byte(`{"at":1}`)}
	for name, frames := range map[string][]*wire.Frame{
		"an entry of no segment":   {act},
		"more entries than said":   {begin(1), act, act},
		"fewer entries than said":  {begin(2), act, {Mark: &wire.Mark{}}},
		"a segment in another one": {begin(2), act, begin(1)},
		"a segment without end":    {begin(engine.MaxActs + 1)},
		"a segment of none":        {begin(0)},
		"an entry that is none":    {begin(1), {Act: []byte("5")}},
		"an entry on two lines":    {begin(1), {Act: []byte("{\n}")}},
		"an entry without end":     {begin(1), {Act: []byte(`"` + strings.Repeat("x", 5000) + `"`)}},
	} {
		w := newWorld(t, "a")
		w.keep = &keeper{}
		ask, serve := w.halvesIn(wire.Protocol, w.stations["a"])
		hello, err := ask.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := serve.Take(t.Context(), hello); err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			err = serve.Take(t.Context(), f)
		}
		if name != "fewer entries than said" && !errors.Is(err, wire.ErrNonsense) {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.keep.came) != 0 {
			t.Errorf("%s: it is kept", name)
		}
	}
}
