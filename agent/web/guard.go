package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"tram/store"
	"tram/store/account"
	"tram/store/audit"
	"tram/store/record"
)

const (
	cookieName  = "tram_session"
	langCookie  = "tram_lang"
	maxFormSize = 1 << 20
	// formUser is the field of a form that says who was signed in when it was made.
	formUser = "form_user"
)

// allowedHosts are the Host values that a browser may send: the address itself
// and, on loopback, its usual names. All others are refused, or a page of the
// Internet could point its own name at this PC (DNS rebinding).
func allowedHosts(listen string, more []string) map[string]bool {
	out := map[string]bool{}
	host, port, err := net.SplitHostPort(listen)
	if err == nil {
		ip := net.ParseIP(host)
		if host == "localhost" || ip != nil && ip.IsLoopback() {
			for _, h := range []string{"127.0.0.1", "localhost", "::1"} {
				out[net.JoinHostPort(h, port)] = true
			}
		}
		if ip == nil || !ip.IsUnspecified() {
			out[listen] = true
		}
	}
	for _, h := range more {
		out[strings.ToLower(h)] = true
	}
	return out
}

// guarded stands before everything: who asks under which name, from which page. own
// reports whether a name, with its port, is the station's.
func (w *Web) guarded(next http.Handler, own func(r *http.Request, host string) bool) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		c := &call{Web: w, w: rw, r: r, lang: w.languageOf(r)}
		if !own(r, strings.ToLower(r.Host)) {
			c.refuse(http.StatusForbidden, "host")
			return
		}
		if !ownOrigin(r, own) || cross.Check(r) != nil {
			c.refuse(http.StatusForbidden, "origin")
			return
		}
		if !isFHIR(r.URL.Path) {
			r.Body = http.MaxBytesReader(rw, r.Body, maxFormSize)
		}
		next.ServeHTTP(rw, r)
	})
}

// ownOrigin refuses a foreign Origin with every method: reading is no business
// of other pages either.
func ownOrigin(r *http.Request, own func(r *http.Request, host string) bool) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	// "null" and other opaque origins have no host and fail here.
	return err == nil && (u.Scheme == "https") == (r.TLS != nil) && own(r, strings.ToLower(u.Host))
}

// open answers also those who have not signed in.
func (w *Web) open(h func(*call) error) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		c := &call{Web: w, w: rw, r: r, lang: w.languageOf(r)}
		c.run(h)
	}
}

// signed answers those who have signed in, and asks all others to do so. What
// they typed comes back after that.
func (w *Web) signed(h func(*call) error) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		c := &call{Web: w, w: rw, r: r, lang: w.languageOf(r)}
		ok, err := c.identify()
		switch {
		case err != nil:
			c.fail(err)
		case ok:
			c.r = r.WithContext(context.WithValue(r.Context(), userKey{}, c.user.User))
			c.run(func(c *call) error {
				if owner := c.r.PostForm.Get(formUser); owner != "" && owner != c.user.User {
					return c.notTheirs(owner)
				}
				return h(c)
			})
		default:
			c.run((*call).askToSignIn)
		}
	}
}

// admin lets administrators pass.
func admin(h func(*call) error) func(*call) error {
	return func(c *call) error {
		if c.user.Role != account.Admin {
			return errForbidden
		}
		return h(c)
	}
}

// identify finds the session of a request and its account; false where somebody
// must sign in first.
func (c *call) identify() (bool, error) {
	ck, err := c.r.Cookie(cookieName)
	if err != nil {
		return false, nil
	}
	s, ok := c.sessions.Find(ck.Value)
	if !ok {
		return false, nil
	}
	a, err := c.book.Find(s.User)
	if errors.Is(err, account.ErrUnknown) || a.Disabled {
		c.sessions.End(ck.Value)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// A locked session is known, so that its user can be greeted, but opens nothing.
	c.session, c.cookie, c.locked = s, ck.Value, a
	if s.Locked {
		return false, nil
	}
	c.user = a
	return true, nil
}

// looked leaves the audit entry of a read, before anything is shown.
func (c *call) looked(action audit.Action, key record.Key) error {
	return c.Store.Audit(c.r.Context(), audit.Entry{Who: c.user.User, Action: action, Key: key, Purpose: "treatment"})
}

// acted leaves an audit entry for each of the records.
func (c *call) acted(action audit.Action, keys ...record.Key) error {
	entries := make([]audit.Entry, len(keys))
	for i, k := range keys {
		entries[i] = audit.Entry{Who: c.user.User, Action: action, Key: k, Purpose: "treatment"}
	}
	return c.Store.Audit(c.r.Context(), entries...)
}

// searched leaves the audit entries of a list: one for each person of whom it tells, for
// they go over a thin link.
func (c *call) searched(keys []record.Key) error {
	once := map[record.Key]bool{}
	keys = slices.DeleteFunc(keys, func(k record.Key) bool {
		twice := once[k]
		once[k] = true
		return twice
	})
	if len(keys) == 0 {
		return c.looked(audit.Search, record.Key{})
	}
	return c.acted(audit.Search, keys...)
}

// get reads a record that the user may see.
func (c *call) get(key record.Key) (*record.Stand, error) {
	if !key.Valid() || !c.Store.R4().IsKind(key.Kind) {
		return nil, record.ErrNotFound
	}
	if !c.user.Role.Sees(key.Kind) {
		return nil, errForbidden
	}
	return c.Store.Get(key)
}

// Errors of pages.
var (
	errForbidden = errors.New("the role does not allow it")
	errBadForm   = errors.New("the form is not one of these pages")
	errTooLarge  = errors.New("the form is too large")
)

// trouble maps an error to what is answered and to the code of its words.
func trouble(err error) (int, string) {
	var large *http.MaxBytesError
	var invalid *store.InvalidError
	switch {
	case errors.Is(err, record.ErrNotFound), errors.Is(err, account.ErrUnknown):
		return http.StatusNotFound, "not-found"
	case errors.Is(err, errForbidden):
		return http.StatusForbidden, "forbidden"
	case errors.Is(err, record.ErrDeleted):
		return http.StatusGone, "deleted"
	case errors.Is(err, store.ErrParked):
		return http.StatusConflict, "parked"
	case errors.Is(err, record.ErrStale), errors.Is(err, record.ErrMoved):
		return http.StatusConflict, "stale"
	case errors.Is(err, store.ErrFull):
		return http.StatusInsufficientStorage, "full"
	case errors.Is(err, store.ErrStopped):
		return http.StatusServiceUnavailable, "stopped"
	case errors.As(err, &large), errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, "too-large"
	case errors.As(err, &invalid):
		return http.StatusUnprocessableEntity, "invalid"
	case errors.Is(err, errBadForm):
		return http.StatusBadRequest, "bad-form"
	}
	return http.StatusInternalServerError, "internal"
}

// run calls a handler and tells what went wrong.
func (c *call) run(h func(*call) error) {
	if c.r.Method == http.MethodPost {
		if err := c.r.ParseForm(); err != nil {
			var large *http.MaxBytesError
			if !errors.As(err, &large) {
				err = errBadForm
			}
			c.fail(err)
			return
		}
	}
	// An error comes up to here and is told once.
	if err := h(c); err != nil {
		c.fail(err)
	}
}

// fail tells the user what an error means, and the log what it was. The log gets
// the page's pattern, never an address or what was typed.
func (c *call) fail(err error) {
	code, key := trouble(err)
	if code == http.StatusInternalServerError {
		c.Log.Error("page failed", slog.String("page", c.r.Pattern), slog.Any("err", err))
	}
	c.refuse(code, key)
}

// refuse shows what is wrong, and what to do: to people as a page, to programs in
// FHIR's words.
func (c *call) refuse(code int, key string) {
	if c.api || isFHIR(c.r.URL.Path) {
		c.outcome(code, key)
		return
	}
	c.render(code, "error", "error."+key+".title", key)
}

// lost answers addresses that are none.
func (c *call) lost() error {
	// Who has signed in keeps the menu.
	if _, err := c.identify(); err != nil {
		return err
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && c.r.Method != http.MethodPost {
		c.w.Header().Set("Allow", "GET, HEAD, POST")
		c.refuse(http.StatusMethodNotAllowed, "method")
		return nil
	}
	// A page that exists for another method is not missing: say so (RFC 9110, 15.5.6).
	other := c.r.Clone(c.r.Context())
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		other.Method = m
		if _, pattern := c.mux.Handler(other); pattern != "/" {
			c.w.Header().Set("Allow", m)
			c.refuse(http.StatusMethodNotAllowed, "method")
			return nil
		}
	}
	c.refuse(http.StatusNotFound, "not-found")
	return nil
}

// isFHIR reports whether an address is the FHIR face's, which has limits of its own.
func isFHIR(path string) bool { return path == "/fhir" || strings.HasPrefix(path, "/fhir/") }

// localPath is where a form says to go on, if that is one of these pages.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n") {
		return "/"
	}
	return path.Clean(u.Path)
}
