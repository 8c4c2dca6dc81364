package central

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"tram/sync/status"
	"tram/sync/wire"
)

// browser is somebody at the centre's page.
type browser struct {
	*http.Client
	site *site
}

func (s *site) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	return &browser{&http.Client{Jar: jar}, s}
}

// do asks for a path; change may spoil the request.
func (b *browser) do(method, path string, form url.Values, change func(*http.Request)) (int, string, http.Header) {
	b.site.t.Helper()
	req, err := http.NewRequest(method, b.site.page+path, strings.NewReader(form.Encode()))
	must(b.site.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(req)
	}
	resp, err := b.Do(req)
	must(b.site.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(b.site.t, err)
	return resp.StatusCode, string(text), resp.Header
}

func (b *browser) get(path string) (int, string) {
	b.site.t.Helper()
	code, text, _ := b.do(http.MethodGet, path, nil, nil)
	return code, text
}

// pin is a good one.
const pin = "cau-may-93"

// setUp makes the first administrator by the set-up code.
func (b *browser) setUp(user string) (int, string) {
	b.site.t.Helper()
	h, err := ReadHere(b.site.dir)
	must(b.site.t, err)
	code, text, _ := b.do(http.MethodPost, "/sign-in?lang=en", url.Values{"setup": {h.Setup}, "user": {user}, "pin": {pin}}, nil)
	return code, text
}

func TestSignIn(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	words := allWords(t)
	if code, text := b.get("/"); code != 401 || !strings.Contains(text, words["vi"]["first"]) || !strings.Contains(text, `lang="vi"`) {
		t.Errorf("at first: %d %s", code, text)
	}
	for name, form := range map[string]url.Values{
		words["en"]["wrong-setup"]: {"setup": {"AAAAAAAA"}, "user": {"hoa"}, "pin": {pin}},
		words["en"]["wrong"]:       {"user": {"hoa"}, "pin": {pin}},
	} {
		if code, text, _ := b.do("POST", "/sign-in?lang=en", form, nil); code != 401 || !strings.Contains(text, name) {
			t.Errorf("want %q: %d %s", name, code, text)
		}
	}
	h, err := ReadHere(s.dir)
	must(t, err)
	if code, text, _ := b.do("POST", "/sign-in?lang=vi", url.Values{"setup": {h.Setup}, "user": {"hoa"}, "pin": {"123456"}}, nil); code != 401 || !strings.Contains(text, words["vi"]["bad-account"]) {
		t.Errorf("an easy PIN: %d %s", code, text)
	}
	if code, text := b.setUp("hoa"); code != 200 || !strings.Contains(text, words["en"]["signout"]+" (hoa)") {
		t.Errorf("set up: %d %s", code, text)
	}
	if code, _ := s.browser().setUp("thief"); code != 401 {
		t.Errorf("the set-up code works a second time: %d", code)
	}
	if code, text, _ := b.do("POST", "/sign-out?lang=vi", url.Values{}, nil); code != 401 || strings.Contains(text, words["vi"]["first"]) {
		t.Errorf("signed out: %d %s", code, text)
	}
	wrong := url.Values{"user": {"hoa"}, "pin": {"song-xa-58"}}
	locked := strings.Split(words["vi"]["locked"], "%d")[0]
	for i := 0; ; i++ {
		code, text, _ := b.do("POST", "/sign-in?lang=vi", wrong, nil)
		if code != 401 {
			t.Fatalf("a wrong PIN: %d", code)
		}
		if strings.Contains(text, locked) {
			break
		}
		if !strings.Contains(text, words["vi"]["wrong"]) || i > 20 {
			t.Fatalf("wrong PIN %d: %s", i, text)
		}
	}
	good := url.Values{"user": {"hoa"}, "pin": {pin}}
	if code, _, _ := b.do("POST", "/sign-in", good, nil); code != 401 {
		t.Errorf("locked, and let in: %d", code)
	}
	s.pass(24 * time.Hour)
	if code, _, _ := b.do("POST", "/sign-in", good, nil); code != 200 {
		t.Errorf("after the lock: %d", code)
	}
	s.pass(time.Hour)
	if code, _ := b.get("/"); code != 401 {
		t.Errorf("after an hour of nothing: %d", code)
	}
}

func TestFleetPage(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	b.setUp("hoa")
	words := allWords(t)
	if code, text := b.get("/?lang=vi"); code != 200 || !strings.Contains(text, words["vi"]["none"]) {
		t.Errorf("without stations: %d %s", code, text)
	}
	p := s.enrolledPC("tram-a")
	s.enrolledPC("tram-quiet")
	now := s.clock().UnixMilli()
	r := status.Report{Station: "tram-a", Version: "0.1.0<b>", Made: now, Oldest: now - 3*3600*1000, Waiting: 41, Parked: 2, Conflicts: 5,
		DiskTotal: 1 << 40, DiskFree: 512 << 30, Failures: 9, Failure: status.FailNonsense}
	_, err := p.tell(r.Encode())
	must(t, err)
	for lang, w := range words {
		said := status.Health{Code: status.CentreNonsense}.AtCentre(lang)
		code, text := b.get("/?lang=" + lang)
		for _, want := range []string{`lang="` + lang + `"`, w["title"], w["oldest"], w["never"], "tram-a", "tram-quiet", said.Title, said.Todo, strings.ReplaceAll(w["ago-hours"], "%d", "3"), ">41<", ">2<", ">5<", "512.0 GB", "0.1.0"} {
			if code != 200 || !strings.Contains(html.UnescapeString(text), want) {
				t.Errorf("%s: %d, lacks %q", lang, code, want)
			}
		}
		if strings.Contains(text, "<b>") {
			t.Errorf("%s: what a station says is shown as HTML", lang)
		}
	}
	if _, text := b.get("/?lang=fr"); !strings.Contains(text, `lang="vi"`) {
		t.Error("an unknown language is not Vietnamese")
	}
	must(t, s.Allow(context.Background(), "tram-a", wire.Allowance{Bytes: 2e6, From: 22 * 60, Until: 5*60 + 30}))
	if _, text := b.get("/?lang=en"); !strings.Contains(text, "Link: 22:00–05:30, 0.00 of 2.00 MB a day") {
		t.Error("the page does not tell what a link may be used for")
	}
	must(t, s.Deny(context.Background(), "tram-a", true))
	if _, text := b.get("/?lang=en"); !strings.Contains(text, words["en"]["denied"]) {
		t.Error("the page does not tell of an access that ended")
	}
	for lang := range words {
		code, text := b.get("/fleet.json?lang=" + lang)
		var list []Station
		must(t, json.Unmarshal([]byte(text), &list))
		title := status.Health{Code: status.CentreNonsense}.AtCentre(lang).Title
		if code != 200 || len(list) != 2 || list[0].Name != "tram-a" || list[0].Report.Waiting != 41 || !list[0].Denied || list[0].Health[0].Title != title || list[1].Seen != 0 {
			t.Errorf("%s: %d %s", lang, code, text)
		}
	}
}

func TestFleetPageShowsConflictsByElement(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	b.setUp("hoa")
	birth := status.Group{Kind: "Patient", Element: "birthDate", Class: "safety", N: 3}
	dose := status.Group{Kind: "MedicationRequest", Element: "dosageInstruction", Class: "moon", N: 2}
	for name, groups := range map[string][]status.Group{"tram-a": {birth, dose}, "tram-b": {birth}} {
		p := s.enrolledPC(name)
		r := status.Report{Station: name, Made: s.clock().UnixMilli(), Conflicts: 5, Contested: groups, Rest: 4}
		_, err := p.tell(r.Encode())
		must(t, err)
	}
	for lang, w := range allWords(t) {
		_, text := b.get("/?lang=" + lang)
		for _, want := range []string{w["contested"], "Patient.birthDate (" + w["class-safety"] + "): 3", "MedicationRequest.dosageInstruction (moon): 2",
			"<td>Patient</td><td>birthDate</td><td>" + w["class-safety"] + `</td><td class="n">6</td><td class="n">2</td>`,
			w["rest"] + ": 4", w["rest"] + `</td><td class="n">8</td>`} {
			if !strings.Contains(html.UnescapeString(text), want) {
				t.Errorf("%s lacks %q in\n%s", lang, want, text)
			}
		}
	}
}

func TestFleetForPrograms(t *testing.T) {
	s := newSite(t)
	out, err := s.do(context.Background(), asked{Do: "staff", User: "hoa", PIN: pin, Program: "monitor"})
	must(t, err)
	b := s.browser()
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	h, err := ReadHere(s.dir)
	must(t, err)
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"its token":             {bearer(out.Token), 200},
		"no token":              {nil, 401},
		"another":               {bearer("x" + out.Token), 401},
		"an empty one":          {bearer(""), 401},
		"the command line's":    {bearer(h.Token), 401},
		"a password":            {func(r *http.Request) { r.SetBasicAuth("hoa", pin) }, 401},
		"a cookie out of a hat": {func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: "AAAA"}) }, 401},
	} {
		if code, text, _ := b.do("GET", "/fleet.json", nil, c.change); code != c.want {
			t.Errorf("with %s: %d %s, want %d", name, code, text, c.want)
		}
		if code, _, _ := b.do("GET", "/fhir/Patient", nil, c.change); code != c.want {
			t.Errorf("the FHIR face with %s: %d, want %d", name, code, c.want)
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		want   int
	}{
		"no token":        {nil, `{"do":"deny"}`, 403},
		"a program's":     {bearer(out.Token), `{"do":"deny"}`, 403},
		"its token":       {bearer(h.Token), `{"do":"deny","replica":"tram-x","lang":"vi"}`, 400},
		"what is no JSON": {bearer(h.Token), `hello`, 400},
		"what is unknown": {bearer(h.Token), `{"do":"dance"}`, 400},
	} {
		req := func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
			if c.change != nil {
				c.change(r)
			}
		}
		code, text, _ := b.do("POST", "/local/do", nil, req)
		if code != c.want || strings.Count(text, "\n") != 1 {
			t.Errorf("the command line with %s: %d %q, want %d and a sentence", name, code, text, c.want)
		}
		if name == "its token" && strings.TrimSpace(text) != allWords(t)["vi"]["unknown-station"] {
			t.Errorf("in Vietnamese: %q", text)
		}
	}
}

// How long ago a thing was is said in the page's language.
func TestSpansAreInTheLanguageOfThePage(t *testing.T) {
	const now = int64(1_800_000_000_000)
	for _, c := range []struct {
		span   time.Duration
		vi, en string
	}{
		{8 * time.Second, "dưới 1 phút", "< 1 min"},
		{8 * time.Minute, "8 phút", "8 min"},
		{47 * time.Hour, "47 giờ", "47 h"},
		{72 * time.Hour, "3 ngày", "3 d"},
	} {
		for lang, want := range map[string]string{"vi": c.vi, "en": c.en} {
			if got := ago(allWords(t)[lang], now, now-c.span.Milliseconds()); got != want {
				t.Errorf("%s, %s: %q, want %q", lang, c.span, got, want)
			}
		}
	}
}

// A page from elsewhere that is open in the same browser gets nothing and does nothing.
// A program that reads at the centre is named in the centre's audit, and may read that.
func TestReadingAtTheCentreIsAudited(t *testing.T) {
	s := newSite(t)
	out, err := s.do(context.Background(), asked{Do: "staff", User: "hoa", PIN: pin, Program: "monitor"})
	must(t, err)
	b := s.browser()
	fhir := func(method, path, body string) (int, string) {
		code, text, _ := b.do(method, "/fhir/"+path, nil, func(r *http.Request) {
			r.Header.Set("Authorization", "bearer "+out.Token)
			r.Header.Set("Content-Type", "application/fhir+json")
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		})
		return code, text
	}
	if code, text := fhir("PUT", "Patient/p1", `{"resourceType":"Patient","id":"p1"}`); code != 201 {
		t.Fatalf("%d %s", code, text)
	}
	if code, text := fhir("GET", "Patient/p1", ""); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	code, text := fhir("GET", "AuditEvent?patient=Patient/p1", "")
	if code != 200 || !strings.Contains(text, "program:") || !strings.Contains(text, `"code":"read"`) {
		t.Errorf("the audit of p1: %d %s", code, text)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	b.setUp("hoa")
	at, err := url.Parse(s.page)
	must(t, err)
	for name, c := range map[string]struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		"by address":             {"GET", "/", nil, 200},
		"by localhost":           {"GET", "/page.css", func(r *http.Request) { r.Host = "localhost:" + at.Port() }, 200},
		"a name pointed here":    {"GET", "/", func(r *http.Request) { r.Host = "evil.example" }, 421},
		"it with our port":       {"GET", "/fleet.json", func(r *http.Request) { r.Host = "evil.example:" + at.Port() }, 421},
		"one that looks like us": {"GET", "/", func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, 421},
		"the sign-out of a foreign page": {"POST", "/sign-out", func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
		}, 403},
		"another port's page": {"POST", "/sign-out", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, 403},
		"across sites":        {"POST", "/sign-in", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"a record across sites": {"PUT", "/fhir/Patient/x", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, 403},
		"what is not there": {"GET", "/etc/passwd", nil, 404},
	} {
		if code, text, _ := b.do(c.method, c.path, nil, c.change); code != c.want {
			t.Errorf("%s: %d %.80q, want %d", name, code, text, c.want)
		}
	}
	code, _, header := b.do("GET", "/", nil, nil)
	if code != 200 {
		t.Errorf("the session did not survive: %d", code)
	}
	for name, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, c := range b.Jar.Cookies(at) {
		if strings.Contains(s.logged(), c.Value) {
			t.Error("the log holds a session")
		}
	}
}

func allWords(t *testing.T) map[string]map[string]string {
	t.Helper()
	var words map[string]map[string]string
	must(t, toml.Unmarshal(wordsTable, &words))
	return words
}

func TestBothLanguagesSayTheSame(t *testing.T) {
	words := allWords(t)
	vi, en := slices.Sorted(maps.Keys(words["vi"])), slices.Sorted(maps.Keys(words["en"]))
	if len(words) != 2 || len(vi) == 0 || !slices.Equal(vi, en) {
		t.Errorf("keys in vi: %v, in en: %v", vi, en)
	}
	for key, text := range words["vi"] {
		if text == "" || words["en"][key] == "" || strings.Count(text, "%") != strings.Count(words["en"][key], "%") {
			t.Errorf("%s: %q, %q", key, text, words["en"][key])
		}
	}
}
