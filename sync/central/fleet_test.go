package central

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/trust"
)

// tell sends a report by itself.
func (p *pc) tell(body []byte) ([]byte, error) {
	conf, err := trust.ClientTLS(p.id, trust.Options{VerifyAt: p.site.clock})
	must(p.site.t, err)
	return p.post(conf, carry.StatusPath, body)
}

func (s *site) line(name string) Station {
	s.t.Helper()
	list, err := s.Fleet("en")
	must(s.t, err)
	i := slices.IndexFunc(list, func(l Station) bool { return l.Name == name })
	if i < 0 {
		s.t.Fatalf("%s is not in the fleet", name)
	}
	return list[i]
}

func codes(list []status.Health) []status.Code {
	var out []status.Code
	for _, h := range list {
		out = append(out, h.Code)
	}
	return out
}

func TestReportByItself(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	if l := s.line("tram-a"); l.Seen != 0 || len(l.Health) != 0 {
		t.Errorf("before it spoke: %+v", l)
	}
	now := s.clock().UnixMilli()
	stuck := status.Report{Station: "tram-a", Version: "0.1.0", Made: now, Waiting: 7, Failures: 9, Failure: status.FailNonsense, DiskTotal: 1 << 40, DiskFree: 1 << 39}
	b, err := p.tell(stuck.Encode())
	if err != nil || !strings.Contains(string(b), `"time":`) {
		t.Fatalf("answer %q, %v", b, err)
	}
	want := []status.Code{status.CentreNonsense}
	if l := s.line("tram-a"); l.Seen != now || l.Report.Waiting != 7 || !slices.Equal(codes(l.Health), want) || l.Health[0].Todo == "" {
		t.Errorf("got %+v, want it stuck with %v", l, want)
	}
	for name, body := range map[string]string{"no report": "hello", "too much": `{"s":"` + strings.Repeat("a", 5000) + `"}`, "a list": "[]"} {
		if _, err := p.tell([]byte(body)); carry.FailureOf(err) != status.FailNonsense {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	s.restart()
	if l := s.line("tram-a"); l.Seen != now || l.Report.Waiting != 7 {
		t.Errorf("after a restart: %+v", l)
	}
	// A report in front of an exchange takes its place.
	s.pass(time.Hour)
	p.report = status.Report{Station: "tram-a", Made: s.clock().UnixMilli()}.Encode()
	p.sync()
	if l := s.line("tram-a"); l.Report.Waiting != 0 || !slices.Equal(codes(l.Health), []status.Code{status.Fine}) {
		t.Errorf("after an exchange: %+v", l)
	}
	// A report that is none harms no exchange.
	p.report = []byte(`{"s":7}`)
	p.sync()
}

// How long a station is silent is told by the centre's clock alone.
func TestSilenceDoesNotDependOnTheStationsClock(t *testing.T) {
	for name, shift := range map[string]time.Duration{"right": 0, "two years back": -2 * 365 * 24 * time.Hour, "two years ahead": 2 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			p := s.enrolledPC("tram-a")
			made := s.clock().Add(shift).UnixMilli()
			r := status.Report{Station: "tram-a", Made: made, Waiting: 1, Oldest: made - 2*3600*1000}
			_, err := p.tell(r.Encode())
			must(t, err)
			if got := codes(s.line("tram-a").Health); slices.Contains(got, status.Silent) {
				t.Errorf("just heard: %v", got)
			}
			s.pass(25 * time.Hour)
			if got := codes(s.line("tram-a").Health); !slices.Contains(got, status.Silent) || !slices.Contains(got, status.Behind1) {
				t.Errorf("a day later: %v, want it silent and behind", got)
			}
		})
	}
}

func TestGrantNamesWhatIsThere(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	k := a.born("")
	a.sync()
	ctx := context.Background()
	for _, c := range []struct {
		to, from, person string
		want             error
	}{
		{"tram-x", "", k.ID, ErrUnknown},
		{"tram-a", "tram-x", "", ErrUnknown},
	} {
		if n, err := s.Grant(ctx, c.to, c.from, []string{c.person}, "admin"); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
	// A second PC of one station holds what the station does.
	_, err := s.Enrol(ctx, "tram-a-2", "tram-a", s.url)
	must(t, err)
	if l := s.line("tram-a-2"); l.Station != "tram-a" {
		t.Errorf("got %+v", l)
	}
	if at, err := s.store.ScopeOf(k); err != nil || !slices.Equal(at, []string{"tram-a"}) {
		t.Errorf("scope: %v, %v", at, err)
	}
}

// A record is lost at the station, in silence: both sides find it out, each by itself,
// and say so until a day after it is healed.
func TestBothSidesReportRecordsThatDiffer(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	k := p.born("")
	p.sync()
	p.report = status.Report{Station: "tram-a", Made: s.clock().UnixMilli()}.Encode()
	want := func(codes []status.Code, want status.Code, when string) {
		t.Helper()
		if !slices.Equal(codes, []status.Code{want}) {
			t.Errorf("%s: %v, want %s", when, codes, want)
		}
	}
	exchange := func() engine.Result {
		t.Helper()
		r, err := p.exchange()
		must(t, err)
		return r
	}
	exchange()
	want(codes(s.line("tram-a").Health), status.Fine, "at first")
	at, err := p.Cursor(record.OwnFeed)
	must(t, err)
	gone := record.Arrival{Change: record.Change{Seq: at.Seq, Key: k, Gone: true}}
	must(t, p.Apply(context.Background(), record.Stretch{Peer: store.Upstream, Arrived: []record.Arrival{gone}, Cursor: &at}))
	if r := exchange(); r.Equal || !r.Proved {
		t.Fatalf("the station did not find out: %+v", r)
	}
	want(codes(s.line("tram-a").Health), status.Unequal, "found")
	s.restart()
	want(codes(s.line("tram-a").Health), status.Unequal, "after a restart")
	for r := exchange(); !r.Healed; r = exchange() {
		if !r.More {
			t.Fatalf("not healed: %+v", r)
		}
	}
	if shown(p.Store, k) != shown(s.store, k) {
		t.Errorf("at the station: %s", shown(p.Store, k))
	}
	want(codes(s.line("tram-a").Health), status.Unequal, "healed, and not heard yet")
	if r := exchange(); r.Healed || !r.Equal {
		t.Errorf("after it was healed: %+v", r)
	}
	want(codes(s.line("tram-a").Health), status.Healed, "healed")
	s.pass(25 * time.Hour)
	p.report = status.Report{Station: "tram-a", Made: s.clock().UnixMilli()}.Encode()
	exchange()
	want(codes(s.line("tram-a").Health), status.Fine, "a day later")
}
