// Package web is the pages for the staff of a station: people and their records,
// what waits, conflicts, and how the station is; in Vietnamese and English.
//
// It owns the sign-in of staff and programs, what a browser may ask, the forms
// and their texts. It promises that nobody sees a record without having signed
// in, that every page that shows a person's record leaves an audit entry first,
// that every write bears its author, and that nothing that somebody typed is lost
// to a lock, a stale record or a wrong field. Pages work without any script and
// load nothing from elsewhere; addresses hold ids only.
//
// It does not know how records are kept, merged or sent, nor who listens.
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"tram/agent/intake"
	"tram/agent/web/show"
	"tram/store"
	"tram/store/account"
	"tram/sync/proof"
	"tram/sync/status"
)

//go:embed pages
var pages embed.FS

// Options say what the pages serve. Store, Report and Listen are required.
type Options struct {
	Store *store.Store
	// Report is the station's present status report. It may be called often.
	Report func() status.Report
	// SyncNow asks for an exchange soon and returns at once; nil where there is none.
	SyncNow func()
	// Last is how the station and its centre compared last; nil for never.
	Last func() proof.Last
	// Link is how the link to the centre is used; nil where none is.
	Link func() Link
	// Incoming is what came in as files and messages; nil where nothing comes in.
	Incoming *intake.Intake
	// Listen is the address that the pages are served on, "127.0.0.1:8642", and
	// Hosts are further names ("host:port") under which a browser may ask for them.
	Listen string
	Hosts  []string
	// Rest is what answers under /fhir/ for programs with a token; nil for nothing.
	// It finds who asks by Caller, and refuses "", who is nobody, in its own format.
	Rest http.Handler
	// API is how the station's network reaches the FHIR face; nil where it does not.
	API      func() API
	Version  string
	Language string // of who has not chosen one; "" is vi
	// SetupSecret is what the first page asks for while there is no account.
	SetupSecret string
	Practice    bool
	Log         *slog.Logger     // nil is silence
	Now         func() time.Time // nil is the PC's clock
	Zone        *time.Location   // of the times on pages; nil is the PC's
	Idle        time.Duration    // after which a session locks; 0 is account.DefaultIdle
	Cost        account.Cost     // of new PINs; zero is account.DefaultCost
}

// Web is the pages. It is an http.Handler, safe for concurrent use; it starts
// nothing.
type Web struct {
	Options
	book     *account.Book
	sessions *account.Sessions
	show     map[string]*show.Show
	texts    map[string]texts
	pages    map[string]*template.Template
	hosts    map[string]bool
	brake    brake
	kinds    []string // that belong to a person's compartment
	mux      *http.ServeMux
	handler  http.Handler
}

// New makes the pages.
func New(o Options) (*Web, error) {
	if o.Store == nil || o.Report == nil || o.Listen == "" {
		return nil, errors.New("make pages: a store, a report and an address are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Language != "en" {
		o.Language = "vi"
	}
	w := &Web{
		Options: o, book: account.New(o.Store, o.Now, o.Cost), sessions: account.NewSessions(o.Idle, o.Now),
		show: map[string]*show.Show{}, texts: map[string]texts{}, pages: map[string]*template.Template{},
		hosts: allowedHosts(o.Listen, o.Hosts), mux: http.NewServeMux(),
	}
	for _, lang := range show.Languages() {
		var err error
		if w.show[lang], err = show.New(o.Store.R4(), lang, o.Zone); err != nil {
			return nil, fmt.Errorf("make pages: %w", err)
		}
		if w.texts[lang], err = loadTexts(lang); err != nil {
			return nil, fmt.Errorf("make pages: %w", err)
		}
		if w.pages[lang], err = w.parse(lang); err != nil {
			return nil, fmt.Errorf("make pages: %w", err)
		}
	}
	for _, k := range o.Store.R4().Kinds() {
		if p, ok := o.Store.R4().Param(k, "patient"); ok && p.Type == "reference" {
			w.kinds = append(w.kinds, k)
		}
	}
	w.routes()
	w.handler = w.guarded(w.mux, func(_ *http.Request, host string) bool { return w.hosts[host] })
	return w, nil
}

// Accounts is the book of those who may sign in.
func (w *Web) Accounts() *account.Book { return w.book }

// ServeHTTP answers one request.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r) }

// Network is what other software on the station's network may ask: the FHIR face,
// for who has a token, and how the station is. None of the pages is there. own reports
// whether a name, with its port, is the station's.
func (w *Web) Network(rest http.Handler, own func(r *http.Request, host string) bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", w.health)
	w.serveFHIR(mux, rest)
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		c := &call{Web: w, w: rw, r: r, lang: w.languageOf(r), api: true}
		c.refuse(http.StatusNotFound, "not-found")
	})
	return w.guarded(mux, own)
}

// serveFHIR puts the FHIR face in its place. Clients send Bundles to it without a slash.
func (w *Web) serveFHIR(mux *http.ServeMux, rest http.Handler) {
	mux.Handle("/fhir", w.programs(rest))
	mux.Handle("/fhir/", w.programs(rest))
}

func (w *Web) routes() {
	w.mux.HandleFunc("GET /health", w.health)
	w.mux.HandleFunc("GET /pages/{file}", w.file)
	w.serveFHIR(w.mux, w.Rest)
	for pattern, h := range map[string]func(*call) error{
		"GET /setup": (*call).setupForm, "POST /setup": (*call).setup,
		"GET /signin": (*call).signinForm, "POST /signin": (*call).signin,
		"POST /signout": (*call).signout, "POST /lock": (*call).lock, "POST /language": (*call).language,
	} {
		w.mux.HandleFunc(pattern, w.open(h))
	}
	for pattern, h := range map[string]func(*call) error{
		"GET /{$}":                         (*call).home,
		"POST /draft":                      (*call).draft,
		"GET /people":                      (*call).people,
		"POST /people":                     (*call).search,
		"GET /people/new":                  (*call).newPerson,
		"POST /people/new":                 (*call).newPerson,
		"GET /person/{id}":                 (*call).person,
		"GET /person/{id}/edit":            (*call).editPerson,
		"POST /person/{id}/edit":           (*call).editPerson,
		"GET /person/{id}/same":            (*call).another,
		"POST /person/{id}/same":           (*call).another,
		"GET /person/{id}/same/{other}":    (*call).compare,
		"POST /person/{id}/same/{other}":   (*call).compare,
		"POST /person/{id}/part/{other}":   (*call).part,
		"GET /person/{id}/visit":           (*call).addVisit,
		"POST /person/{id}/visit":          (*call).addVisit,
		"GET /person/{id}/allergy":         (*call).addAllergy,
		"POST /person/{id}/allergy":        (*call).addAllergy,
		"GET /record/{kind}/{id}":          (*call).record,
		"GET /record/{kind}/{id}/history":  (*call).history,
		"POST /record/{kind}/{id}/restore": (*call).restore,
		"GET /record/{kind}/{id}/mend":     (*call).mend,
		"POST /record/{kind}/{id}/mend":    (*call).corrected,
		"POST /record/{kind}/{id}/giveup":  (*call).giveUp,
		"POST /record/{kind}/{id}/same":    (*call).same,
		"POST /record/{kind}/{id}/reissue": (*call).reissue,
		"POST /record/{kind}/{id}/wrong":   (*call).wrong,
		"POST /record/{kind}/{id}/back":    attending((*call).takeBack),
		"GET /record/{kind}/{id}/audit":    (*call).audit,
		"GET /record/{kind}/{id}/vault":    (*call).recordVault,
		"GET /waiting":                     (*call).waiting,
		"GET /waiting/proof":               (*call).proof,
		"GET /waiting/proof.json":          (*call).proofFile,
		"GET /kept/{item}":                 (*call).keptShow,
		"POST /kept/{item}/dismiss":        (*call).dismiss,
		"POST /sync":                       (*call).sync,
		"GET /conflicts":                   (*call).conflicts,
		"GET /conflicts/{kind}/{id}":       (*call).conflict,
		"POST /conflicts/{kind}/{id}":      (*call).decide,
		"POST /vault/{item}/seen":          (*call).seen,
		"POST /vault/{item}/restore":       (*call).bringBack,
		"GET /state":                       (*call).state,
		"POST /state/check":                (*call).check,
		"POST /state/mended":               (*call).sawMended,
		"GET /clock/{n}":                   (*call).clock,
		"POST /clock/{n}":                  (*call).dated,
		"GET /incoming":                    attending((*call).incoming),
		"GET /incoming/{id}":               attending((*call).message),
		"POST /incoming/{id}":              attending((*call).message),
		"GET /incoming/{id}/reject":        attending((*call).reject),
		"POST /incoming/{id}/reject":       attending((*call).reject),
		"GET /me":                          (*call).me,
		"POST /me":                         (*call).me,
		"GET /staff":                       admin((*call).staff),
		"POST /staff":                      admin((*call).addStaff),
		"POST /staff/{user}/{act}":         admin((*call).changeStaff),
		"GET /programs":                    admin((*call).programsPage),
		"POST /programs":                   admin((*call).addProgram),
		"GET /programs/certificate.pem":    admin((*call).certificate),
		"POST /programs/{program}/revoke":  admin((*call).revokeProgram),
	} {
		w.mux.HandleFunc(pattern, w.signed(h))
	}
	w.mux.HandleFunc("/", w.open((*call).lost))
}

// userKey is where a request's context has the author.
type userKey struct{}

// User is who signed in, for whoever writes in the name of a request: the user
// name of staff, "program:" and an id for a program; "" for nobody.
func User(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}
