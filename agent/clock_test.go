package agent

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tram/agent/health"
	"tram/store"
	"tram/store/record"
	"tram/sync/proof"
)

// TestClockThreeYearsBehind lets a station with a wrong clock enter three records and
// reach its centre. A person is asked, and what they say holds after the database is
// lost; at no time does a version become another one.
//
//	p1 (stamped 2023, made in 2026) -> p2 (stamped 2022, made later)
func TestClockThreeYearsBehind(t *testing.T) {
	ctx := context.Background()
	c, centre := startCentre(t)
	start := time.Now()
	wrong := start.AddDate(-3, 0, 0).Sub(start)
	w := openWardAt(t, c, centre, func() (time.Time, time.Duration) { return time.Now().Add(wrong), time.Since(start) }, "tram-a", "mai", "hoa")
	p := birth("Patient", w.a.Store().NewID(), `,"name":[{"text":"Lê Văn Tám"}],"birthDate":"1961-01-01"`)
	var made []*record.Version
	for _, x := range []store.Write{p,
		birth("Location", w.a.Store().NewID(), `,"name":"x"`), birth("Location", w.a.Store().NewID(), `,"name":"y"`)} {
		v, err := w.a.Store().Put(ctx, x)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, v[0])
	}
	if n := w.a.Report().Undated; n != 0 {
		t.Fatalf("%d to be looked at before anything was measured", n)
	}
	w.settle()
	if r := w.a.Report(); r.Undated != 1 || strings.Contains(string(r.Encode()), p.Key.ID) {
		t.Fatalf("the report says %d: %s", r.Undated, r.Encode())
	}
	w.exchange() // the report goes first
	fleet, err := c.Fleet("en")
	if err != nil || len(fleet) != 1 || fleet[0].Report.Undated != 1 {
		t.Errorf("the centre hears of %+v, %v", fleet, err)
	}

	text := func(path string) string { return strings.Join(pageText(w.get("mai", path)), "\n") }
	for _, path := range []string{"/conflicts", "/clock/1"} {
		if got := text(path); !strings.Contains(got, "clock was 3 years") || !strings.Contains(got, "3 entries carry a time from") {
			t.Errorf("%s:\n%s", path, got)
		}
	}
	if got := text("/state"); !strings.Contains(got, "A wrong clock stamped some entries") {
		t.Errorf("the state:\n%s", got)
	}
	history := "/record/" + p.Key.String() + "/history"
	day := func(at time.Time) string { return at.Format("02/01/2006 15:04") }
	carried := made[0].Stamp.Time().Local()
	if page := w.get("mai", history); !strings.Contains(page, day(carried)) || !strings.Contains(page, "the clock may have been wrong") {
		t.Error("before anybody said when it was, the history does not say that the clock was wrong")
	}
	if day, err := health.Certify(w.a.Store(), w.a.Report(), carried, proof.Last{}); err != nil || day.Entries != 3 || day.Doubtful != 3 {
		t.Errorf("three years before: %d entries, %d of them in doubt, want 3 and 3: %v", day.Entries, day.Doubtful, err)
	}
	f, late := w.filled(w.get("mai", "/clock/1"), "/clock/1"), w.filled(w.get("hoa", "/clock/1"), "/clock/1")
	f.Set("choice", "likely")
	late.Set("choice", "likely")
	if code, page := w.post("mai", "/clock/1", f); code != http.StatusOK || !strings.Contains(page, "Recorded when these entries were made.") {
		t.Fatalf("said: %d", code)
	}
	if code, page := w.post("hoa", "/clock/1", late); code != http.StatusConflict || !strings.Contains(page, "Somebody else has just said") {
		t.Errorf("said over what somebody else said: %d", code)
	}

	holds := func(when string) {
		t.Helper()
		if got := text("/clock/1"); !strings.Contains(got, "Lê Văn Tám") {
			t.Errorf("%s: the page does not name the entries:\n%s", when, got)
		}
		page := w.get("mai", history)
		shown := regexp.MustCompile(`<b>(\d\d/\d\d/\d{4} \d\d:\d\d)</b>`).FindAllStringSubmatch(page, -1)
		oldest := shown[len(shown)-1][1]
		if at, err := time.ParseInLocation("02/01/2006 15:04", oldest, time.Local); err != nil || at.Before(start.Add(-2*time.Minute)) || at.After(time.Now()) {
			t.Errorf("%s: the history shows %s, want about %s", when, oldest, day(start))
		}
		for _, want := range []string{"time put right", "clock showed " + day(carried), "Mai said when it was"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the history lacks %q", when, want)
			}
		}
		if page := w.get("mai", "/record/"+p.Key.String()+"/audit"); !strings.Contains(page, "said when it was made") {
			t.Errorf("%s: the audit does not tell who said it", when)
		}
		if r := w.a.Report(); r.Undated != 0 {
			t.Errorf("%s: %d still to be looked at", when, r.Undated)
		}
		for _, v := range made[:3] {
			now, err := w.a.Store().Version(v.Key, v.Name)
			if err != nil || now.Ref() != v.Ref() {
				t.Errorf("%s: version %v is another one: %v", when, v.Name, err)
			}
		}
	}
	holds("at once")
	if day, err := health.Certify(w.a.Store(), w.a.Report(), start, proof.Last{}); err != nil || day.Entries != 3 || day.Doubtful != 0 {
		t.Errorf("the day has %d entries, %d of them in doubt, want 3 and 0: %v", day.Entries, day.Doubtful, err)
	}
	w.settle()
	if st, err := c.Store().Get(p.Key); err != nil || st.Head.Ref() != made[0].Ref() {
		t.Errorf("the centre has another version: %v", err)
	}

	w.stop()
	if err := os.Remove(filepath.Join(w.dir, "tram.db")); err != nil {
		t.Fatal(err)
	}
	w.start()
	if m, err := w.a.Store().Mended(); err != nil || m == nil {
		t.Fatalf("the database was not rebuilt: %+v, %v", m, err)
	}
	holds("after the database was lost")

	// An edit by a clock that shows an earlier time than any before follows all the same.
	wrong -= 365 * 24 * time.Hour
	edit := p
	edit.Base, edit.Content = made[0].Name.String(), fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","name":[{"text":"Lê Văn Chín"}],"birthDate":"1961-01-01"}`, p.Key.ID)
	last, err := w.a.Store().Put(ctx, edit)
	if err != nil {
		t.Fatal(err)
	}
	if last[0].Stamp.Unix >= made[0].Stamp.Unix {
		t.Fatalf("the edit is stamped %v, after %v", last[0].Stamp, made[0].Stamp)
	}
	w.settle()
	for name, s := range map[string]*store.Store{"station": w.a.Store(), "centre": c.Store()} {
		st, err := s.Get(p.Key)
		if err != nil || st.Head.Ref() != last[0].Ref() {
			t.Errorf("the %s shows %v, %v, want the edit", name, st.Head, err)
		}
		past, err := s.History(p.Key)
		if err != nil || len(past) != 2 || past[0].Name != last[0].Name {
			t.Errorf("the %s has the history %v, %v", name, past, err)
		}
	}
}

// TestOffsetOfAnotherPC lets a station whose clock is right take in what one with a
// wrong clock wrote last, and starts it again: its own offset is still its own.
func TestOffsetOfAnotherPC(t *testing.T) {
	ctx := context.Background()
	c, centre := startCentre(t)
	start := time.Now()
	wrong := start.AddDate(-3, 0, 0).Sub(start)
	a := openWard(t, c, centre, "tram-a", "mai")
	b := openWardAt(t, c, centre, func() (time.Time, time.Duration) { return time.Now().Add(wrong), time.Since(start) }, "tram-b", "hoa")
	a.settle()
	b.settle()
	x := birth("Location", b.a.Store().NewID(), `,"name":"x"`)
	if _, err := b.a.Store().Put(ctx, x); err != nil {
		t.Fatal(err)
	}
	b.settle()
	a.settle()
	if st, err := a.a.Store().Get(x.Key); err != nil || st.Shown.Stamp.Offset < 1000*24*3600*1000 {
		t.Fatalf("%+v, %v", st, err)
	}
	for _, w := range []*ward{a, b} {
		w.stop()
		w.start()
		if off := time.Since(w.a.clock.Stamp().Time()).Abs(); off > time.Minute {
			t.Errorf("%s takes the time for one that is off by %v", w.name, off)
		}
	}
}
