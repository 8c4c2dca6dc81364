package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tram/agent/health"
	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
)

// TestPersonSaysWhenEntriesWereMade opens a station whose clock was two hours behind, and lets
// people say what they know of it.
func TestPersonSaysWhenEntriesWereMade(t *testing.T) {
	wall, ran := time.Date(2026, 10, 5, 6, 30, 20, 0, time.UTC), time.Duration(0)
	clock := health.NewClock(func() (time.Time, time.Duration) { return wall, ran }, 0, time.Time{}, 0)
	s := staffed(t, storetest.Open(t, store.Options{Name: "tram-a", Clock: func() record.Stamp { return clock.Stamp() }}))
	v := s.born("Patient", hoa, "quang")
	wall, ran = wall.Add(25*time.Minute), ran+25*time.Minute
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+v.Key.String()+`"}`, "quang")
	m := clock.Measured((2 * time.Hour).Milliseconds())
	if more, err := health.Note(context.Background(), s.store, m); err != nil || !more {
		t.Fatalf("noted %t, %v", more, err)
	}
	b := s.as("quang")
	b.post("/language", url.Values{"lang": {"en"}, "back": {"/people"}})
	_, page, _ := b.get("/conflicts")
	want(t, "the list", page, "2 h 0 min behind", "2 entries carry a time from 05/10/2026 06:30 to 05/10/2026 06:55", "/clock/1")
	_, page, _ = b.get("/clock/1")
	want(t, "the question", page, "From 05/10/2026 08:30 to 05/10/2026 08:55", "Mạch", "Hoà", "No entry is changed")
	if _, clerk, _ := s.as("lan").get("/clock/1"); strings.Contains(clerk, "Mạch") || !strings.Contains(clerk, "Hoà") {
		t.Error("a clerk is shown an observation, or not the person")
	}
	for path, code := range map[string]int{"/clock/0": 404, "/clock/2": 404, "/clock/x": 404} {
		if got, _, _ := b.get(path); got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
	first := hidden(t, page, "/clock/1")
	for name, c := range map[string]struct {
		choice, typed string
		code          int
		text          string
	}{
		"nothing":         {"", "", 422, "Choose one of these."},
		"no such choice":  {"late", "", 400, ""},
		"no time":         {"other", "", 422, "Write it like"},
		"a day only":      {"other", "05/10/2026", 422, "Write it like"},
		"in the future":   {"other", "05/10/2026 08:40", 422, "into the future"},
		"what was typed":  {"other", "yesterday", 422, `value="yesterday"`},
		"a day too early": {"other", "5/10/2026 24:10", 422, "Write it like"},
	} {
		if code, page, _ := b.post("/clock/1", with(first, "choice", c.choice, "first", c.typed)); code != c.code || !strings.Contains(page, c.text) {
			t.Errorf("%s: %d, want %d and %q", name, code, c.code, c.text)
		}
	}
	b.post("/lock", nil)
	if code, _, _ := b.post("/clock/1", with(first, "choice", "other", "first", "5/10/2026 7:15")); code != http.StatusUnauthorized {
		t.Errorf("a locked screen: %d", code)
	}
	b.post("/signin", url.Values{"user": {"quang"}, "pin": {pin}})
	_, page, _ = b.get("/clock/1")
	want(t, "what was typed before the lock", page, `value="5/10/2026 7:15"`, `value="other" checked`)
	history := "/record/" + o.Key.String() + "/history"
	for _, c := range []struct {
		choice, typed string
		shown, not    []string
	}{
		{"leave", "", []string{"<b>05/10/2026 06:55</b>", "the clock may have been wrong"}, []string{"time put right"}},
		{"other", "5/10/2026 7:15", []string{"<b>05/10/2026 07:40</b>", "time put right", "clock showed 05/10/2026 06:55", "Nguyễn Văn Quang said"}, []string{"may have been wrong"}},
		{"likely", "", []string{"<b>05/10/2026 08:55</b>", "time put right", "clock showed 05/10/2026 06:55"}, []string{"may have been wrong"}},
	} {
		s.pass(time.Minute)
		_, page, _ := b.get("/clock/1")
		if code, _, to := b.post("/clock/1", with(hidden(t, page, "/clock/1"), "choice", c.choice, "first", c.typed)); code != http.StatusSeeOther || to != "/clock/1?said=dated" {
			t.Fatalf("%s: %d to %q", c.choice, code, to)
		}
		_, page, _ = b.get(history)
		want(t, c.choice, page, c.shown...)
		for _, x := range c.not {
			if strings.Contains(page, x) {
				t.Errorf("%s: the history says %q", c.choice, x)
			}
		}
		if _, page, _ = b.get("/conflicts"); strings.Contains(page, "/clock/1") {
			t.Errorf("%s: it is asked again", c.choice)
		}
	}
	if code, page, _ := b.post("/clock/1", with(first, "choice", "leave")); code != http.StatusConflict || !strings.Contains(page, "Somebody else has just said") {
		t.Errorf("over what was said since: %d", code)
	}
	if st, err := s.store.Get(o.Key); err != nil || st.Shown.Ref() != o.Ref() {
		t.Errorf("the version is another one: %v", err)
	}
}
