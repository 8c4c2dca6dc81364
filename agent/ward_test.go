package agent

import (
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	"tram/agent/health"
	"tram/store"
	"tram/store/account"
	"tram/sync/central"
	"tram/sync/engine"
)

const wardPIN = "sen-hong-7"

// ward is a station whose pages are open and which exchanges with its centre, over
// HTTPS, just when a test says so.
type ward struct {
	t      *testing.T
	name   string
	dir    string
	source health.Source // of its clock; nil is the PC's
	a      *Agent
	srv    *httptest.Server
	url    string
	last   engine.Result
	seen   map[string]*http.Client
}

// openWard enrols a station and opens its pages for some people, all of them doctors
// but the first, who is its administrator.
func openWard(t *testing.T, c *central.Centre, centre running, name string, users ...string) *ward {
	t.Helper()
	return openWardAt(t, c, centre, nil, name, users...)
}

// openWardAt is openWard with a clock.
func openWardAt(t *testing.T, c *central.Centre, centre running, source health.Source, name string, users ...string) *ward {
	t.Helper()
	ctx, w := context.Background(), &ward{t: t, name: name, dir: t.TempDir(), source: source}
	enrol(t, c, centre.address, w.dir, name)
	w.start()
	t.Cleanup(w.stop)
	role, by := account.Admin, ""
	book := account.New(w.a.Store(), time.Now, account.Cost{Time: 1, Memory: 64})
	for _, u := range users {
		if err := book.Add(ctx, u, strings.ToUpper(u[:1])+u[1:], role, wardPIN, by); err != nil {
			t.Fatal(err)
		}
		role, by = account.Doctor, users[0]
	}
	return w
}

// start opens the records and the pages, stop closes them.
func (w *ward) start() {
	w.t.Helper()
	a, err := New(Options{Config: config.Default(w.dir)})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.source != nil {
		came, err := a.store.Came()
		if err != nil {
			w.t.Fatal(err)
		}
		offset, err := health.LastOffset(a.store)
		if err != nil {
			w.t.Fatal(err)
		}
		a.clock = health.NewClock(w.source, came, health.Built(), offset)
	}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	here, err := a.announce(context.Background(), listen.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	pages, err := a.pages(here)
	if err != nil {
		w.t.Fatal(err)
	}
	a.door = a.newDoor(here, pages)
	srv := httptest.NewUnstartedServer(a.handler(here, pages))
	srv.Listener.Close()
	srv.Listener = listen
	srv.Start()
	w.a, w.srv, w.url, w.seen = a, srv, srv.URL, map[string]*http.Client{}
	if !a.connect(context.Background()) {
		w.t.Fatalf("%s is not enrolled: %s", w.name, a.link.enrol)
	}
}

func (w *ward) stop() {
	w.srv.Close()
	w.a.hangUp()
	if err := w.a.Close(); err != nil {
		w.t.Error(err)
	}
}

// exchange runs one exchange with the centre.
func (w *ward) exchange() engine.Result {
	w.t.Helper()
	var err error
	if w.last, err = w.a.exchange(context.Background(), false); err != nil {
		w.t.Fatalf("%s: exchange: %v", w.name, err)
	}
	return w.last
}

// settle runs exchanges until nothing is left to do, and counts them.
func (w *ward) settle() int {
	w.t.Helper()
	for n := 1; n <= 40; n++ {
		if r := w.exchange(); !r.More && !r.Waiting {
			return n
		}
	}
	w.t.Fatalf("%s does not come to rest", w.name)
	return 0
}

// as is somebody's browser, in English.
func (w *ward) as(user string) *http.Client {
	w.t.Helper()
	if c := w.seen[user]; c != nil {
		return c
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	at, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	jar.SetCookies(at, []*http.Cookie{{Name: "tram_lang", Value: "en", Path: "/"}})
	w.seen[user] = c
	if code, _ := w.post(user, "/signin", url.Values{"user": {user}, "pin": {wardPIN}, "next": {"/waiting"}}); code != http.StatusOK {
		w.t.Fatalf("%s cannot sign in at %s: %d", user, w.name, code)
	}
	return c
}

func (w *ward) get(user, path string) string {
	w.t.Helper()
	resp, err := w.as(user).Get(w.url + path)
	return w.page(path, resp, err)
}

func (w *ward) post(user, path string, f url.Values) (int, string) {
	w.t.Helper()
	resp, err := w.as(user).PostForm(w.url+path, f)
	page := w.page(path, resp, err)
	return resp.StatusCode, page
}

func (w *ward) page(path string, resp *http.Response, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 {
		w.t.Fatalf("%s at %s: %d, %v", path, w.name, resp.StatusCode, err)
	}
	return string(b)
}

// filled are the fields of the page's form to an address, as they stand in it.
func (w *ward) filled(page, action string) url.Values {
	w.t.Helper()
	forms := w.forms(page, action)
	if len(forms) == 0 {
		w.t.Fatalf("no form to %s at %s", action, w.name)
	}
	return fieldsOf(forms[0])
}

func (w *ward) forms(page, action string) []string {
	var out []string
	for _, part := range strings.Split(page, `action="`+action+`"`)[1:] {
		form, _, _ := strings.Cut(part, "</form>")
		out = append(out, form)
	}
	return out
}

func fieldsOf(form string) url.Values {
	out := url.Values{}
	for _, m := range regexp.MustCompile(`<input[^>]*>`).FindAllString(form, -1) {
		name, value := attribute(m, "name"), attribute(m, "value")
		if kind := attribute(m, "type"); name != "" && kind != "radio" && kind != "checkbox" {
			out.Add(name, value)
		}
	}
	for _, m := range regexp.MustCompile(`(?s)<select[^>]*name="([^"]*)".*?</select>`).FindAllStringSubmatch(form, -1) {
		if chosen := regexp.MustCompile(`value="([^"]*)" selected`).FindStringSubmatch(m[0]); chosen != nil {
			out.Add(m[1], chosen[1])
		}
	}
	return out
}

func attribute(tag, name string) string {
	m := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// pageText is what a page says, line by line, in an order that does not depend on drawn names.
func pageText(page string) []string {
	_, main, _ := strings.Cut(page, `<main id="main">`)
	main, _, _ = strings.Cut(main, "</main>")
	for _, cut := range []string{`(?s)<p class="tabs">.*?</p>`, `(?s)<details>.*?</details>`, `(?s)<svg.*?</svg>`, `(?s)<form[^>]*role="search".*?</form>`} {
		main = regexp.MustCompile(cut).ReplaceAllString(main, "")
	}
	// Values side by side stand in the order of their versions' names, which are drawn.
	main = regexp.MustCompile(`(?s)<div class="values">.*?</div>`).ReplaceAllStringFunc(main, func(values string) string {
		var said []string
		for _, v := range regexp.MustCompile(`(?s)<label class="value">.*?</label>`).FindAllString(values, -1) {
			big, rest, _ := strings.Cut(v, "</span>")
			parts := lines(rest, "</span>")
			slices.Sort(parts)
			said = append(said, "( ) "+strings.Join(append(lines(big, "\x00"), parts...), " | "))
		}
		slices.Sort(said)
		return "<p>" + strings.Join(said, "</p><p>") + "</p>"
	})
	main = regexp.MustCompile(`<button[^>]*>([^<]*)</button>`).ReplaceAllString(main, "<p>[$1]</p>")
	main = regexp.MustCompile(`</(p|h1|h2|li|legend|div|tr)>`).ReplaceAllString(main, "\x00")
	return lines(main, "\x00")
}

// lines are the parts of a page between separators, without tags and without times.
func lines(page, separator string) []string {
	var out []string
	for _, part := range strings.Split(page, separator) {
		part = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(part, " ")
		part = strings.Join(strings.Fields(html.UnescapeString(part)), " ")
		part = regexp.MustCompile(`\d\d/\d\d/\d{4} \d\d:\d\d`).ReplaceAllString(part, "(time)")
		// A program of another station is known here by its drawn id alone.
		part = regexp.MustCompile(`program [a-z0-9_-]{8} ·`).ReplaceAllString(part, "program (id) ·")
		if part != "" {
			out = append(out, part)
		}
	}
	return out
}

// birth is the content of a record with an id.
func birth(kind, id, rest string) store.Write {
	return store.Write{Key: keyOf(kind, id), Author: "mai", Content: fmt.Appendf(nil, `{"resourceType":"%s","id":"%s"%s}`, kind, id, rest)}
}
