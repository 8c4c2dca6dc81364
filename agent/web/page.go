package web

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"tram/agent/health"
	"tram/store/account"
	"tram/store/record"
	"tram/sync/status"
)

// call is one request with who makes it.
type call struct {
	*Web
	w       http.ResponseWriter
	r       *http.Request
	lang    string
	api     bool            // there are no pages where it was asked
	user    account.Account // zero before sign-in
	session account.Session
	cookie  string
	locked  account.Account  // whose session it is, also while it is locked
	clocks  *health.Sessions // when the clock was wrong; nil until it is asked for
	counted []need           // what needs the user; nil until it is asked for
}

// view is what every page is made of.
type view struct {
	Lang     string
	Title    string // text key
	Nav      string // the part of the house that the page belongs to
	Path     string // where to come back to
	User     account.Account
	Report   status.Report
	Severity status.Severity
	Needs    int64 // records and entries that need a person
	Practice bool
	Version  string
	Said     string // text key of what was just done
	Form     bool   // something may be typed in it: it must not go away by itself
	Unsaved  bool   // what was typed was sent, and is not saved
	Idle     int    // seconds
	Body     any
}

// texts are the words of pages, by key.
type texts map[string]string

func loadTexts(lang string) (texts, error) {
	raw, err := pages.ReadFile("pages/texts_" + lang + ".toml")
	if err != nil {
		return nil, err
	}
	var sections map[string]map[string]string
	if err := toml.Unmarshal(raw, &sections); err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	out := texts{}
	for section, entries := range sections {
		for key, text := range entries {
			out[section+"."+key] = text
		}
	}
	return out, nil
}

// say is a text with its places {1}, {2} … filled in; {1:entry|entries} is the word for one
// and for many. A key without words shows itself, so that a page is never silent.
func (t texts) say(key string, args ...any) string {
	text, ok := t[key]
	if !ok {
		return key
	}
	for i, a := range args {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i+1)+"}", fmt.Sprint(a))
		for {
			before, rest, ok := strings.Cut(text, "{"+strconv.Itoa(i+1)+":")
			words, after, closed := strings.Cut(rest, "}")
			if !ok || !closed {
				break
			}
			word, many, _ := strings.Cut(words, "|")
			if fmt.Sprint(a) != "1" {
				word = many
			}
			text = before + word + after
		}
	}
	return text
}

// parse reads the templates with the words of a language.
func (w *Web) parse(lang string) (*template.Template, error) {
	s, t := w.show[lang], w.texts[lang]
	return template.New("").Funcs(template.FuncMap{
		"t":        t.say,
		"kind":     s.Kind,
		"code":     s.Code,
		"date":     s.Date,
		"time":     s.Time,
		"day":      func(ms int64) string { return s.Date(time.UnixMilli(ms).In(w.Zone).Format(time.DateOnly)) },
		"badge":    func(p record.Place) string { b, _ := status.PlaceWords(lang, p); return b },
		"meaning":  func(p record.Place) string { _, m := status.PlaceWords(lang, p); return m },
		"severity": func(sv status.Severity) string { b, _ := status.SeverityWords(lang, sv); return b },
		"reason":   func(r record.Reason) string { title, _ := status.ReasonWords(lang, r); return title },
		"remedy":   func(r record.Reason) string { _, todo := status.ReasonWords(lang, r); return todo },
		"refusal":  func(s status.Stick) string { title, todo := status.StickWords(lang, s); return title + ". " + todo },
		"finding":  func(code string) string { title, _ := status.FindingWords(lang, code); return title },
		"clinical": func(a account.Account) bool { return a.Role.Clinical() },
		"add":      func(a, b int) int { return a + b },
	}).ParseFS(pages, "pages/*.html")
}

// say is a text in the language of the call.
func (c *call) say(key string, args ...any) string { return c.texts[c.lang].say(key, args...) }

// render writes a page: whole, or an error instead of half of one.
func (c *call) render(code int, page, title string, body any) {
	report := c.Report()
	v := view{
		Lang: c.lang, Title: title, Path: c.after(localPath(c.r.URL.Path)), User: c.user, Report: report, Practice: c.Practice, Version: c.Version,
		Severity: status.Worst(status.Judge(report, c.Now().UnixMilli()+report.Offset)), Idle: int(c.sessions.Idle().Seconds()), Body: body,
	}
	for _, n := range c.needs(report) {
		v.Needs += n.N
	}
	v.Form = page == "form" || page == "mend" || page == "conflict" || page == "clock"
	v.Unsaved = v.Form && c.r.Method == http.MethodPost
	v.Nav, _, _ = strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	if said := "said." + c.r.URL.Query().Get("said"); c.texts[c.lang][said] != "" {
		v.Said = said
	}
	var b bytes.Buffer
	if err := c.pages[c.lang].ExecuteTemplate(&b, page, v); err != nil {
		c.Log.Error("page failed", "page", page, "err", err)
		http.Error(c.w, c.say("error.internal.title")+"\n"+c.say("error.internal.todo"), http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	c.w.Header().Set("Content-Language", c.lang)
	c.w.WriteHeader(code)
	if c.r.Method != http.MethodHead {
		c.w.Write(b.Bytes()) // a browser that went away needs no answer
	}
}

// goTo sends the browser on after a form; said is the code of what was done.
func (c *call) goTo(path, said string) error {
	if said != "" {
		path += "?said=" + said
	}
	http.Redirect(c.w, c.r, path, http.StatusSeeOther)
	return nil
}

// languageOf is the language of a request: as chosen, else the station's.
func (w *Web) languageOf(r *http.Request) string {
	if ck, err := r.Cookie(langCookie); err == nil && w.texts[ck.Value] != nil {
		return ck.Value
	}
	return w.Language
}

// language changes the language and comes back.
func (c *call) language() error {
	if lang := c.r.PostForm.Get("lang"); c.texts[lang] != nil {
		http.SetCookie(c.w, &http.Cookie{Name: langCookie, Value: lang, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
	return c.goTo(localPath(c.r.PostForm.Get("back")), "")
}

// file serves the style and the script.
func (w *Web) file(rw http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	// Not by the system's own table: on Windows any program may have changed it.
	kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}[path.Ext(name)]
	b, err := pages.ReadFile("pages/" + name)
	if err != nil || kind == "" {
		c := &call{Web: w, w: rw, r: r, lang: w.languageOf(r)}
		c.refuse(http.StatusNotFound, "not-found")
		return
	}
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("Content-Length", strconv.Itoa(len(b)))
	rw.Write(b) // a browser that went away needs no answer
}
