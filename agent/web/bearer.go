package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tram/store/account"
	"tram/store/fhir"
)

// programKey is where a request's context has the program whose token it bears.
type programKey struct{}

// Caller is who asks under /fhir/ and what they may: an interaction is a letter of
// "cruds", kind "*" stands for all at once. Nobody, "", may nothing.
func Caller(r *http.Request) (author string, may func(verb byte, kind string) bool) {
	p, ok := r.Context().Value(programKey{}).(account.Program)
	if !ok {
		return "", func(byte, string) bool { return false }
	}
	return p.Author(), p.May
}

// programs answers other software, which shows a token (RFC 6750), also on this PC.
// Staff use the pages; their cookie opens nothing here.
func (w *Web) programs(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := &call{Web: w, w: rw, r: r, lang: w.languageOf(r)}
		if rest == nil {
			c.refuse(http.StatusNotFound, "not-found")
			return
		}
		if tokenIn(r.URL) {
			c.refuse(http.StatusBadRequest, "token-url")
			return
		}
		auth := r.Header.Get("Authorization")
		scheme, token, _ := strings.Cut(auth, " ")
		ok := strings.EqualFold(scheme, "Bearer") // RFC 9110, 11.1
		p, err := w.book.Bearer(strings.TrimSpace(token))
		switch {
		case !ok || errors.Is(err, account.ErrWrong):
			if auth != "" && !w.pause(r.Context()) {
				return
			}
			// Nobody asks; programs read its refusal as FHIR, and this header as HTTP.
			rw.Header().Set("WWW-Authenticate", `Bearer realm="tram"`)
			rest.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), userKey{}, "")))
			return
		case err != nil:
			c.fail(err)
			return
		}
		if err := w.book.Using(r.Context(), p); err != nil { // a full disk keeps nobody from reading
			w.Log.Warn("cannot note that a token is in use", "err", err)
		}
		ctx := context.WithValue(context.WithValue(r.Context(), userKey{}, p.Author()), programKey{}, p)
		rest.ServeHTTP(rw, r.WithContext(ctx))
	})
}

// tokenIn reports whether an address holds a token: logs, histories and caches keep
// addresses (RFC 6750, 5.3).
func tokenIn(u *url.URL) bool {
	q := u.Query()
	for name := range q {
		if strings.EqualFold(name, "access_token") {
			return true
		}
	}
	return account.HoldsToken(u.Path) || account.HoldsToken(u.RawQuery)
}

// brake slows down who shows wrong tokens. Some are free, then they are answered one a
// second; who shows a right one never waits.
type brake struct {
	mu   sync.Mutex
	next time.Time // when one more would be answered, had none been free
	hot  bool
}

const (
	wrongFree  = 10
	wrongEvery = time.Second
	wrongMost  = 5 * time.Second // longer would only hold connections
)

// wait is how long the answer to one more wrong token is held back; began says that
// nobody waited before.
func (b *brake) wait(now time.Time) (d time.Duration, began bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if free := now.Add(-wrongFree * wrongEvery); b.next.Before(free) {
		b.next = free
	}
	b.next = b.next.Add(wrongEvery)
	d = b.next.Sub(now)
	if d <= 0 {
		b.hot = false
		return 0, false
	}
	if d > wrongMost {
		b.next, d = now.Add(wrongMost), wrongMost
	}
	began, b.hot = !b.hot, true
	return d, began
}

// pause holds the answer to a wrong token back; false where who asked went away.
func (w *Web) pause(ctx context.Context) bool {
	d, began := w.brake.wait(time.Now())
	if began {
		w.Log.Warn("many wrong tokens: answers to them are held back")
	}
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// outcome refuses a program's request in FHIR's words, as the face itself does.
func (c *call) outcome(code int, key string) {
	kind := map[int]string{http.StatusNotFound: "not-found", http.StatusForbidden: "forbidden", http.StatusBadRequest: "security",
		http.StatusMethodNotAllowed: "not-supported", http.StatusRequestEntityTooLarge: "too-long"}[code]
	if kind == "" {
		kind = "exception"
	}
	say := c.texts["en"].say
	text := func(name, s string) fhir.Field { return fhir.Field{Name: name, Value: fhir.NewString(s)} }
	coding := fhir.NewObject(text("system", "urn:tram:problem"), text("code", key))
	v := fhir.NewObject(text("resourceType", "OperationOutcome"), fhir.Field{Name: "issue", Value: fhir.NewArray(fhir.NewObject(
		text("severity", "error"), text("code", kind),
		fhir.Field{Name: "details", Value: fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding)})},
		text("diagnostics", say("error."+key+".title")+". "+say("error."+key+".todo"))))})
	c.w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
	c.w.WriteHeader(code)
	if c.r.Method != http.MethodHead {
		c.w.Write(v.Bytes()) // a program that went away needs no answer
	}
}
