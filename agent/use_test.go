package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/agent/web"
	"tram/store"
	"tram/store/record"
	"tram/sync/central"
	"tram/sync/status"
	"tram/sync/wire"
)

// questionAt is a question about a person, as urgent as it says.
func questionAt(t *testing.T, a *Agent, about record.Key, priority string) record.Key {
	t.Helper()
	k := record.Key{Kind: "ServiceRequest", ID: a.Store().NewID()}
	_, err := a.Store().Put(context.Background(), store.Write{Key: k, Author: "hoa", Content: fmt.Appendf(nil,
		`{"resourceType":"ServiceRequest","id":%q,"status":"active","intent":"order","priority":%q,"subject":{"reference":%q}}`, k.ID, priority, about)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// closed are hours that begin in some two hours.
func closed() wire.Allowance {
	now := time.Now()
	at := now.Hour()*60 + now.Minute()
	return wire.Allowance{From: (at + 120) % (24 * 60), Until: (at + 180) % (24 * 60)}
}

// holds reports whether the centre has a record.
func holds(c *central.Centre, k record.Key) bool {
	_, err := c.Store().Get(k)
	return err == nil
}

// Out of the hours that the centre set, what is urgent goes, with what it is about, and
// nothing else does until somebody asks for it. The station says so, also after a restart.
func TestHoursOfUseLetOnlyWhatIsUrgentThrough(t *testing.T) {
	ctx := context.Background()
	c, centre := startCentre(t)
	w := openWard(t, c, centre, "tram-a", "quang", "lan")
	w.settle()
	hours := closed()
	if err := c.Allow(ctx, "tram-a", hours); err != nil {
		t.Fatal(err)
	}
	w.settle()
	about, other := bornAt(t, w.a), bornAt(t, w.a)
	wait, up := w.a.round(ctx)
	if up || wait <= 0 {
		t.Errorf("the link is up %t, the next exchange in %s", up, wait)
	}
	if holds(c, other) {
		t.Error("an entry went out of hours")
	}
	urgent := questionAt(t, w.a, about, "stat")
	if !w.a.presses() {
		t.Error("what is urgent does not press")
	}
	w.a.link.urged = w.a.hurried()
	if w.a.presses() {
		t.Error("what was handed in, and waits at the centre, still presses")
	}
	w.a.link.urged = nil
	w.a.round(ctx)
	for _, k := range []record.Key{about, urgent} {
		if !holds(c, k) {
			t.Errorf("%s is not at the centre", k)
		}
	}
	if holds(c, other) {
		t.Error("what is routine went as well")
	}
	if w.a.presses() {
		t.Error("what was handed in still presses")
	}
	w.stop()
	w.start()
	if codes := w.a.Report().Codes; !strings.Contains(fmt.Sprint(codes), string(status.LinkClosed)) {
		t.Errorf("after a restart it says %v", codes)
	}
	title, _ := status.Words("en", string(status.LinkClosed))
	if page := w.get("quang", "/waiting"); !strings.Contains(page, title) {
		t.Error("the page does not say why entries wait")
	}
	if page := w.get("quang", "/state"); !strings.Contains(page, fmt.Sprintf("from %02d:%02d", hours.From/60, hours.From%60)) {
		t.Error("the page does not say at which hours the link may be used")
	}
	w.a.link.asked = true
	w.a.round(ctx)
	if !holds(c, other) {
		t.Error("asked for, the entry does not go")
	}
}

// What was used of the day's bytes counts on over a restart; the next day begins anew, and
// who asks for an exchange gets it.
func TestBytesOfADayAreUsedUp(t *testing.T) {
	ctx := context.Background()
	c, centre := startCentre(t)
	w := openWard(t, c, centre, "tram-a", "quang")
	w.settle()
	if err := c.Allow(ctx, "tram-a", wire.Allowance{Bytes: 1}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.exchange()
	used := w.a.Report().Used
	if wait, why := w.a.barred(); why != status.LinkSpent || wait > 25*time.Hour || used == 0 {
		t.Errorf("%d bytes used: %q for %s", used, why, wait)
	}
	w.stop()
	w.start()
	if now := w.a.Report().Used; now < used {
		t.Errorf("%d bytes used after a restart, %d before", now, used)
	}
	k := bornAt(t, w.a)
	w.a.round(ctx)
	if holds(c, k) {
		t.Error("an entry went beyond the day's bytes")
	}
	w.a.link.allowance.Day = "2026-01-01"
	if _, why := w.a.barred(); why != "" {
		t.Errorf("on the next day: %q", why)
	}
	w.a.link.asked = true
	w.a.round(ctx)
	if !holds(c, k) {
		t.Error("on the next day the entry does not go")
	}
	if err := c.Allow(ctx, "tram-a", wire.Allowance{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if _, why := w.a.barred(); why != "" || w.a.Report().Used != 0 {
		t.Errorf("not bounded any more: %q", why)
	}
}

// A program that runs out of its hours wakes for what is urgent.
func TestWhatIsUrgentWakesAStation(t *testing.T) {
	c, centre := startCentre(t)
	dir := t.TempDir()
	enrol(t, c, centre.address, dir, "tram-a")
	if err := c.Allow(context.Background(), "tram-a", closed()); err != nil {
		t.Fatal(err)
	}
	a, _ := startStation(t, dir)
	eventually(t, "the station goes by the hours", func() bool {
		return slices.Contains(a.Report().Codes, status.LinkClosed)
	})
	about, other := bornAt(t, a), bornAt(t, a)
	urgent := questionAt(t, a, about, "asap")
	eventually(t, "the question is at the centre", func() bool { return holds(c, urgent) && holds(c, about) })
	if holds(c, other) {
		t.Error("what is routine went as well")
	}
}

// What takes more than one exchange says how far it is, up and down, and how long it will
// take.
func TestLongWorkSaysHowFarItIs(t *testing.T) {
	const records = 3000
	ctx := context.Background()
	c, centre := startCentre(t)
	fill := func(s *store.Store) {
		t.Helper()
		for range records / 500 {
			var writes []store.Write
			for range 500 {
				id := s.NewID()
				writes = append(writes, store.Write{Key: record.Key{Kind: "Organization", ID: id}, Author: "hoa",
					Content: fmt.Appendf(nil, `{"resourceType":"Organization","id":%q,"name":"Trạm"}`, id)})
			}
			if _, err := s.Put(ctx, writes...); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := openWard(t, c, centre, "tram-b", "hoa")
	fill(other.a.Store())
	other.settle()
	w := openWard(t, c, centre, "tram-a", "quang")
	fill(w.a.Store())
	var seen []uint64
	for range 20 {
		res := w.exchange()
		p := w.a.linkUse().Progress
		if p.Left > 0 {
			seen = append(seen, p.Left)
			if page := w.get("quang", "/waiting"); len(seen) == 2 && !strings.Contains(page, fmt.Sprintf(`<progress value="%d" max="%d"`, p.Done, p.Done+p.Left)) {
				t.Error("the page does not show how far it is")
			}
			if len(seen) > 1 && (p.Time <= 0 || p.Done == 0 || p.Carried == 0) {
				t.Errorf("it says %+v", p)
			}
		}
		if !res.More && !res.Waiting {
			break
		}
	}
	if len(seen) < 2 || !slices.IsSortedFunc(seen, func(a, b uint64) int { return cmp.Compare(b, a) }) {
		t.Errorf("left, exchange by exchange: %v", seen)
	}
	if p := w.a.linkUse().Progress; p != (web.Progress{}) {
		t.Errorf("when all is done it says %+v", p)
	}

	// Where nothing goes up, all that is left is what did not come yet.
	all, _ := w.a.Store().Waiting()
	w = openWard(t, c, centre, "tram-c", "mai")
	for came, more := 0, true; more; {
		res := w.exchange()
		came += res.Received
		more = res.More
		if left := int(w.a.linkUse().Progress.Left); left > 0 && came+left != all.Records {
			t.Errorf("%d came and %d are left, of %d", came, left, all.Records)
		}
	}
}

// Each address of the station means its records, whichever a program was given.
func TestEachAddressMeansTheRecordsHere(t *testing.T) {
	gates := siege(t)
	for _, g := range gates {
		for _, other := range gates {
			body := `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"` + other.base() + `/fhir/metadata"}}]}`
			if code, answer := g.do("POST", "/fhir", strings.NewReader(body)); code != 200 || !strings.Contains(answer, `"CapabilityStatement"`) {
				t.Errorf("%s, asked for %s: %d %.200s", g.name, other.base(), code, answer)
			}
		}
	}
}
