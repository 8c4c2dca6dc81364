package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/agent/intake"
	"tram/agent/web"
	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/merge"
	"tram/sync/status"
)

const pin = "sen-hong-7"

// station is a store with its pages on a real listener.
type station struct {
	t     *testing.T
	store *store.Store
	web   *web.Web
	srv   *httptest.Server
	asked int // how often SyncNow was called
	api   web.API

	failed status.Failure // of the last exchange

	intake *intake.Intake
	drop   string // its folder

	mu  sync.Mutex
	now time.Time
}

func (s *station) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *station) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// start opens pages over a store, without any account.
func start(t *testing.T, st *store.Store) *station {
	t.Helper()
	s := &station{t: t, store: st, now: time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)}
	s.drop = t.TempDir()
	over := intake.Over(st)
	over.Folder, over.Author, over.Zone, over.Now = s.drop, "drop-folder", time.UTC, s.clock
	s.intake = intake.New(over)
	s.srv = httptest.NewUnstartedServer(nil)
	w, err := web.New(web.Options{
		Store: st, Listen: s.srv.Listener.Addr().String(), Version: "1.2.3", SetupSecret: "one-time", Zone: time.UTC, Now: s.clock, Cost: account.Cost{Time: 1, Memory: 64},
		SyncNow:  func() { s.asked++ },
		API:      func() web.API { return s.api },
		Incoming: s.intake,
		Report: func() status.Report {
			c, err := st.Waiting()
			if err != nil {
				t.Error(err)
			}
			r := status.Report{Station: "tram-a", Version: "1.2.3", Made: s.clock().UnixMilli(), People: int64(c.People), Waiting: int64(c.Waiting), Conflicts: int64(c.Conflicts), Parked: int64(c.Parked)}
			list, err := s.intake.Waiting()
			if err != nil {
				t.Error(err)
			}
			r.Messages = int64(len(list))
			if s.failed != "" {
				r.Tried, r.Failures, r.Failure = r.Made, 1, s.failed
			}
			return r
		},
		Rest: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			author, may := web.Caller(r)
			if author != web.User(r.Context()) {
				t.Errorf("the caller is %q, the user %q", author, web.User(r.Context()))
			}
			for _, verb := range []byte("cruds") {
				if may(verb, "Observation") {
					rw.Header().Add("X-May", string(verb))
				}
			}
			if web.User(r.Context()) == "" {
				rw.WriteHeader(http.StatusUnauthorized)
				io.WriteString(rw, `{"resourceType":"OperationOutcome"}`)
			}
			io.WriteString(rw, web.User(r.Context()))
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.web = w
	s.srv.Config.Handler = w
	s.srv.Start()
	t.Cleanup(s.srv.Close)
	return s
}

// open is a station with an administrator, a doctor and a clerk.
func open(t *testing.T) *station {
	t.Helper()
	return staffed(t, storetest.Open(t, store.Options{Name: "tram-a"}))
}

func staffed(t *testing.T, st *store.Store) *station {
	t.Helper()
	s := start(t, st)
	for _, a := range []struct {
		user, name string
		role       account.Role
		by         string
	}{{"trang", "Lê Thị Trang", account.Admin, ""}, {"quang", "Nguyễn Văn Quang", account.Doctor, "trang"}, {"lan", "Kiều Thị Lan", account.Clerk, "trang"}} {
		if err := s.web.Accounts().Add(context.Background(), a.user, a.name, a.role, pin, a.by); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// browser is a browser with cookies of its own; it follows no redirect by itself.
type browser struct {
	*station
	http *http.Client
}

func (s *station) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is a browser in which a user signed in.
func (s *station) as(user string) *browser {
	s.t.Helper()
	b := s.browser()
	if code, _, to := b.post("/signin", url.Values{"user": {user}, "pin": {pin}, "next": {"/people"}}); code != http.StatusSeeOther || to != "/people" {
		s.t.Fatalf("sign in %s: %d to %q", user, code, to)
	}
	return b
}

func (b *browser) do(r *http.Request) (int, string, string) {
	b.t.Helper()
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header.Get("Location")
}

func (b *browser) request(method, path, body string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequest(method, b.srv.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (b *browser) get(path string) (int, string, string) {
	b.t.Helper()
	return b.do(b.request(http.MethodGet, path, ""))
}

func (b *browser) post(path string, v url.Values) (int, string, string) {
	b.t.Helper()
	return b.do(b.request(http.MethodPost, path, v.Encode()))
}

// hidden are the hidden fields of the page's form to an address.
func hidden(t *testing.T, page, action string) url.Values {
	t.Helper()
	_, form, ok := strings.Cut(page, `action="`+action+`"`)
	if !ok {
		t.Fatalf("no form to %s in the page", action)
	}
	form, _, _ = strings.Cut(form, "</form>")
	out := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form, -1) {
		out.Add(m[1], strings.NewReplacer("&#43;", "+", "&#34;", `"`, "&amp;", "&").Replace(m[2]))
	}
	return out
}

// with is v with more fields.
func with(v url.Values, more ...string) url.Values {
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

const hoa = `,"name":[{"text":"Đặng Thị Hoà","family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1961-02-03","gender":"female","telecom":[{"system":"phone","value":"0912345678"}]`

func (s *station) born(kind, rest, author string) *record.Version {
	s.t.Helper()
	id := s.store.NewID()
	return s.put(store.Write{Key: record.Key{Kind: kind, ID: id}, Content: []byte(`{"resourceType":"` + kind + `","id":"` + id + `"` + rest + `}`), Author: author})
}

func (s *station) put(w store.Write) *record.Version {
	s.t.Helper()
	v, err := s.store.Put(context.Background(), w)
	if err != nil {
		s.t.Fatal(err)
	}
	return v[0]
}

// edited is a record's content with one text in place of another.
func edited(v *record.Version, old, now string) []byte {
	return []byte(strings.Replace(string(v.Content), old, now, 1))
}

// meet edits one record here and elsewhere, and lets the centre's merge of both
// arrive:
//
//	base -> here
//	base -> there -> merge(there, here)
func (s *station) meet(base *record.Version, here, there []byte) {
	s.t.Helper()
	ctx := context.Background()
	centre := storetest.Open(s.t, store.Options{Name: "centre", Top: true, R4: s.store.R4()})
	err := centre.Apply(ctx, record.Stretch{Peer: "tram-a", Taken: []record.Decided{{Change: record.Change{Key: base.Key, Ref: base.Ref(), Version: base}, Verdict: record.Accepted}}})
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := centre.Put(ctx, store.Write{Key: base.Key, Base: base.Name.String(), Content: there, Author: "minh"})
	if err != nil {
		s.t.Fatal(err)
	}
	mine := s.put(store.Write{Key: base.Key, Base: base.Name.String(), Content: here, Author: "quang"})
	classes, err := merge.DefaultClasses()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := merge.New(s.store.R4(), classes).Merge(base, v[0], mine)
	if err != nil {
		s.t.Fatal(err)
	}
	m := *out.Version
	m.Name, m.Stamp = record.Name{Lineage: "centrecentrecent", N: 9}, v[0].Stamp
	m.Seen = m.Seen.With(m.Name)
	err = s.store.Apply(ctx, record.Stretch{Cursor: &record.Cursor{Feed: record.OwnFeed, Epoch: "e", Seq: 2}, Arrived: []record.Arrival{
		{Change: record.Change{Seq: 1, Key: base.Key, Ref: v[0].Ref(), Version: v[0]}, On: mine.Ref()},
		{Change: record.Change{Seq: 2, Key: base.Key, Ref: m.Ref(), Version: &m}, On: mine.Ref()}}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) content(key record.Key) string {
	s.t.Helper()
	st, err := s.store.Get(key)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(st.Shown.Content)
}

// want fails where a page lacks a text.
func want(t *testing.T, name, page string, texts ...string) {
	t.Helper()
	for _, x := range texts {
		if !strings.Contains(page, x) {
			t.Errorf("%s lacks %q", name, x)
		}
	}
}
