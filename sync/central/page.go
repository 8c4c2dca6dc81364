package central

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"tram/store/account"
	"tram/store/audit"
	"tram/store/record"
	"tram/store/rest"
	"tram/store/seal"
	"tram/sync/status"
	"tram/sync/wire"
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var pageStyle string

//go:embed words.toml
var wordsTable []byte

// Here is how the command line finds the running centre: a private file.
type Here struct {
	Page  string `json:"page"`
	Token string `json:"token"`
	Setup string `json:"setup"` // what the page asks for while there is no account
}

const hereFile = "run.json"

// pages is what listens on loopback: the fleet for people, the same as JSON, the
// FHIR face for programs, and what the command line asks.
func (c *Centre) pages(address string) (http.Handler, error) {
	book := account.New(c.store, c.o.Now, account.Cost{})
	h := Here{Page: address, Token: rand.Text()}
	any, err := book.Any()
	if err != nil {
		return nil, err
	}
	if !any {
		h.Setup = rand.Text()[:8]
	}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if err := seal.WriteFile(filepath.Join(c.o.Dir, hereFile), b); err != nil {
		return nil, fmt.Errorf("tell where the centre is: %w", err)
	}
	var words map[string]map[string]string
	if err := toml.Unmarshal(wordsTable, &words); err != nil {
		return nil, fmt.Errorf("read words: %w", err)
	}
	t, err := template.New("page").Funcs(template.FuncMap{"ago": ago, "size": size, "class": class}).Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	p := &pages{c: c, here: h, words: words, page: t, book: book, sessions: account.NewSessions(15*time.Minute, c.o.Now)}
	return p.handler()
}

type pages struct {
	c        *Centre
	here     Here
	words    map[string]map[string]string
	page     *template.Template
	book     *account.Book
	sessions *account.Sessions
}

func (p *pages) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.fleet)
	mux.HandleFunc("GET /fleet.json", p.fleetJSON)
	mux.HandleFunc("POST /sign-in", p.signIn)
	mux.HandleFunc("POST /sign-out", p.signOut)
	mux.HandleFunc("GET /page.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		fmt.Fprint(w, pageStyle)
	})
	mux.Handle("/local/", p.local())
	face, err := rest.New(rest.Options{Backend: p.c.store, Past: p.c.store, R4: p.c.r4, Base: "http://" + p.here.Page + "/fhir",
		Version: p.c.o.Version, Log: p.c.o.Log, Caller: p.caller, Looked: p.looked, Acts: p.c.store, Station: func() string { return p.c.store.Name() }})
	if err != nil {
		return nil, err
	}
	mux.Handle("/fhir/", face)
	mux.Handle("/fhir", face)
	cross := http.NewCrossOriginProtection()
	return p.guard(cross.Handler(mux)), nil
}

// guard lets in only who calls this PC by its own name: another name is a page
// from elsewhere that was pointed here (DNS rebinding).
func (p *pages) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		own, _, _ := net.SplitHostPort(p.here.Page)
		if host != own && host != "localhost" && !net.ParseIP(host).IsLoopback() {
			http.Error(w, "call this page by its own address", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 16<<20)
		next.ServeHTTP(w, r)
	})
}

const cookieName = "tram-centre"

// user is who is signed in by cookie; "" for nobody.
func (p *pages) user(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	s, ok := p.sessions.Find(c.Value)
	if !ok || s.Locked {
		return ""
	}
	a, err := p.book.Find(s.User)
	if err != nil || a.Disabled {
		return ""
	}
	return a.User
}

// caller is whose token or session a request bears, and what they may.
func (p *pages) caller(r *http.Request) rest.Caller {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return rest.Caller{Author: p.user(r)}
	}
	prog, err := p.book.Bearer(strings.TrimSpace(token))
	if err != nil {
		return rest.Caller{}
	}
	return rest.Caller{Author: prog.Author(), May: prog.May}
}

// looked leaves word of who is about to be shown which records.
func (p *pages) looked(ctx context.Context, who, action string, keys []record.Key) error {
	entries := make([]audit.Entry, len(keys))
	for i, k := range keys {
		entries[i] = audit.Entry{Who: who, Action: audit.Action(action), Key: k}
	}
	return p.c.store.Audit(ctx, entries...)
}

func (p *pages) lang(r *http.Request) string {
	if l := r.URL.Query().Get("lang"); p.words[l] != nil {
		return l
	}
	return "vi"
}

// view is what the template shows.
type view struct {
	Lang     string
	W        map[string]string
	User     string
	First    bool   // there is no account yet
	Wrong    string // what was wrong with the sign-in
	Stations []line
	Now      int64
	// Contested adds up what all stations say is contested; Rest is what they do not
	// name.
	Contested []total
	Rest      int64
}

// total is a group of contested elements at all stations.
type total struct {
	status.Group
	Stations int
}

// bounds is in words what a link may be used for, and what of it was used today; -1 where
// that is not known.
func bounds(words map[string]string, a wire.Allowance, used int64) string {
	var out []string
	if a.From != a.Until {
		out = append(out, fmt.Sprintf("%02d:%02d–%02d:%02d", a.From/60, a.From%60, a.Until/60, a.Until%60))
	}
	switch {
	case a.Bytes > 0 && used < 0:
		out = append(out, fmt.Sprintf(words["link-bytes"], float64(a.Bytes)/1e6))
	case a.Bytes > 0:
		out = append(out, fmt.Sprintf(words["link-share"], float64(used)/1e6, float64(a.Bytes)/1e6))
	}
	if len(out) == 0 {
		return words["link-any"]
	}
	return strings.Join(out, ", ")
}

// line is one station with what is most important about it.
type line struct {
	Station
	Clock    int64 // what the station's clock shows now, in Unix milliseconds
	Badge    string
	Severity status.Severity
	Worst    []status.Health
	Link     string // what its link may be used for; "" for anything
}

func (p *pages) fleet(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, p.user(r), "")
}

func (p *pages) show(w http.ResponseWriter, r *http.Request, user, wrong string) {
	lang := p.lang(r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v := view{Lang: lang, W: p.words[lang], User: user, Wrong: wrong, Now: p.c.o.Now().UnixMilli()}
	if user == "" {
		any, err := p.book.Any()
		if err != nil {
			p.broken(w, err)
			return
		}
		v.First = !any
		w.WriteHeader(http.StatusUnauthorized)
	} else {
		list, err := p.c.Fleet(lang)
		if err != nil {
			p.broken(w, err)
			return
		}
		for _, s := range list {
			l := newLine(lang, s, v.Now)
			if s.Allowed != (wire.Allowance{}) {
				l.Link = bounds(p.words[lang], s.Allowed, s.Report.Used)
			}
			v.Stations = append(v.Stations, l)
		}
		v.Contested, v.Rest = addUp(list)
	}
	if err := p.page.Execute(w, v); err != nil {
		p.c.o.Log.Warn("page cut", "err", err)
	}
}

// maxTotals is how many groups the page lists; the rest is added up.
const maxTotals = 30

// addUp adds the stations' groups up, the biggest first.
func addUp(list []Station) (out []total, rest int64) {
	at := map[status.Group]int{}
	for _, s := range list {
		rest += s.Report.Rest
		for _, g := range s.Report.Contested {
			n := g.N
			g.N = 0
			i, ok := at[g]
			if !ok {
				i = len(out)
				at[g], out = i, append(out, total{Group: g})
			}
			out[i].N, out[i].Stations = out[i].N+n, out[i].Stations+1
		}
	}
	slices.SortStableFunc(out, func(a, b total) int { return cmp.Compare(b.N, a.N) })
	for _, t := range out[min(maxTotals, len(out)):] {
		rest += t.N
	}
	return out[:min(maxTotals, len(out))], rest
}

func newLine(lang string, s Station, now int64) line {
	l := line{Station: s, Clock: s.Report.Made + now - s.Seen, Severity: status.Worst(s.Health)}
	for _, h := range s.Health {
		if h.Why == "" {
			l.Worst = append(l.Worst, h)
		}
	}
	l.Badge, _ = status.SeverityWords(lang, l.Severity)
	return l
}

func (p *pages) broken(w http.ResponseWriter, err error) {
	p.c.o.Log.Error("page failed", "err", err)
	http.Error(w, "the centre's records cannot be read now; see its log", http.StatusInternalServerError)
}

// fleetJSON is the same for programs, by token or when signed in.
func (p *pages) fleetJSON(w http.ResponseWriter, r *http.Request) {
	if p.caller(r).Author == "" {
		http.Error(w, "sign in, or send a program's token", http.StatusUnauthorized)
		return
	}
	list, err := p.c.Fleet(p.lang(r))
	if err != nil {
		p.broken(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(list)
}

func (p *pages) signIn(w http.ResponseWriter, r *http.Request) {
	user, pin := r.PostFormValue("user"), r.PostFormValue("pin")
	words := p.words[p.lang(r)]
	if setup := r.PostFormValue("setup"); setup != "" {
		if p.here.Setup == "" || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(setup)), []byte(p.here.Setup)) != 1 {
			p.show(w, r, "", words["wrong-setup"])
			return
		}
		if err := p.book.Add(r.Context(), user, user, account.Admin, pin, ""); err != nil {
			p.show(w, r, "", words["bad-account"])
			return
		}
	}
	a, err := p.book.SignIn(r.Context(), user, pin)
	var locked *account.LockedError
	switch {
	case errors.As(err, &locked):
		p.show(w, r, "", fmt.Sprintf(words["locked"], int(locked.Wait.Seconds())+1))
		return
	case err != nil:
		p.show(w, r, "", words["wrong"])
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: p.sessions.Start(a.User), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/?lang="+p.lang(r), http.StatusSeeOther)
}

func (p *pages) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		p.sessions.End(c.Value)
	}
	http.Redirect(w, r, "/?lang="+p.lang(r), http.StatusSeeOther)
}

// ago is a span in the largest unit that fits: "5 min", "3 h", "2 d".
func ago(words map[string]string, now, at int64) string {
	d := time.Duration(now-at) * time.Millisecond
	switch {
	case at == 0:
		return "–"
	case d < time.Minute:
		return words["ago-moment"]
	case d < time.Hour:
		return fmt.Sprintf(words["ago-minutes"], int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf(words["ago-hours"], int(d.Hours()))
	}
	return fmt.Sprintf(words["ago-days"], int(d.Hours()/24))
}

// size is a number of bytes in GB.
func size(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/(1<<30)) }

// class is a class of elements in words; a newer one shows its name.
func class(words map[string]string, name string) string {
	if w := words["class-"+name]; w != "" {
		return w
	}
	return name
}

// ReadHere finds a running centre by its data folder.
func ReadHere(dir string) (Here, error) {
	var h Here
	b, err := os.ReadFile(filepath.Join(dir, hereFile))
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(b, &h)
}
