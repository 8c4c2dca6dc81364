// Package rest is the face that a replica shows to other software: the RESTful
// API of FHIR R4 (4.0.1) as JSON, the same at a station and at a centre.
//
// It owns the mapping between HTTP and the store: routes, negotiation,
// preconditions, Bundles, search and history pages, the CapabilityStatement, and
// the closed list of what can go wrong (texts.txt).
//
// It promises that an acknowledged write was acknowledged by the store, that a
// transaction is one write, that every refusal is an OperationOutcome that says
// what to do, and that neither answers nor logs repeat content that was refused.
//
// It does not know who may sign in, how versions are kept, merged or sent on,
// nor any country's profile. Authentication stands in front of it.
package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
	"tram/store/summary"
)

// The limits of what is taken from outside.
const (
	maxBody    = 16 << 20 // bytes of a body, also after gunzip
	maxRaw     = 11 << 20 // bytes of a raw Binary, which base64 makes a third longer
	maxForm    = 64 << 10 // bytes of a form-encoded search
	maxIgnored = 1 << 20  // bytes of a refused body that are still read
	maxURL     = 8 << 10  // bytes of a request's URL
	maxEntries = 5000     // entries of a Bundle
	maxBundles = 2        // Bundles at a time; others wait before their body is read
	maxParams  = 100      // parameters of a request
	maxValues  = 1000     // values of a parameter
	maxCount   = 1000     // resources of a page
	someCount  = 50       // resources of a page when nothing is asked for
	maxAnswer  = 64 << 20 // bytes of content that the GETs of one Bundle may return
)

// Backend is the replica's present: what is shown, found and written. All
// methods may be called at once from many goroutines.
//
// Put makes all writes or none and has them durable when it returns; it answers
// one version for each write, in their order. An identical content makes no
// version. It fails with record.ErrStale, ErrExists or ErrDeleted when a record
// moved; the same writes may then be planned anew. Search pages must stay
// stable while writes go on. NewID never returns an id twice.
type Backend interface {
	Get(key record.Key) (*record.Stand, error)
	Search(q query.Query) (store.Result, error)
	Put(ctx context.Context, writes ...store.Write) ([]*record.Version, error)
	NewID() string
	// Contested lists the records of some kinds, or of all, with an open conflict, at most
	// limit.
	Contested(limit int, kinds ...string) ([]*record.Stand, error)
	// Pages cuts what a search finds into parts of so many: where each but the first
	// begins, and how many are found.
	Pages(q query.Query, size int) (marks []string, total int, err error)
	// Linked are the ids of the other records of a person, which may not be held.
	Linked(id string) []string
}

// Past is the replica's past: versions, newest first, tombstones included.
// History fails with record.ErrNotFound for a record never held.
type Past interface {
	History(key record.Key) ([]*record.Version, error)
	HistoryAll(q store.Since) ([]*record.Version, string, error)
	// Came is when the last version that is held came, in Unix milliseconds by the clock of
	// record.Version.Came; 0 before any.
	Came() (int64, error)
	// Changes goes on behind the place of an earlier answer, the oldest first, and answers
	// the place behind what it tells, and whether more is there.
	Changes(q store.Since) (list []*record.Version, place string, more bool, err error)
}

// Options say what a Handler serves.
type Options struct {
	Backend Backend
	Past    Past
	R4      *fhir.R4
	// Base is the address of the service as clients know it, such as
	// "http://127.0.0.1:8642/fhir". Links are made from it, never from a request.
	// Its path is cut off a request's path where it stands in front.
	Base string
	// Also are further addresses of the same records now, such as that on the network; nil
	// tells none.
	Also func() []string
	// Caller tells who asks; nil tells nobody.
	Caller func(*http.Request) Caller
	// Looked is told who is about to be shown which records ("read", "search",
	// "history"); when it fails nothing is shown. Nil tells nobody.
	Looked func(ctx context.Context, author, action string, keys []record.Key) error
	// Acts is the audit, served as AuditEvent, and Station the name of who keeps it; nil
	// serves none.
	Acts    Acts
	Station func() string
	Log     *slog.Logger
	// Version is the program's version, for the CapabilityStatement.
	Version string
}

// Caller is who asks: a signed-in person or program.
type Caller struct {
	Author string // "" is nobody, who is refused
	// May says whether they may do so with records of a kind: 'c' is create, 'r' read, 'u'
	// update, 'd' delete and 's' search (SMART App Launch 2.2, scopes). Nil allows all.
	May func(verb byte, kind string) bool
}

// Handler is the FHIR face. It is safe for concurrent use and starts nothing.
type Handler struct {
	o       Options
	prefix  string // path of Base
	desk    *desk
	capsLen int
	caps    *fhir.Value
	maker   *summary.Maker
	bundles chan struct{} // a place for each Bundle that is carried out
}

// New makes a Handler. It fails only when the program was built with broken words.
func New(o Options) (*Handler, error) {
	maker, err := summary.New(o.R4)
	if err != nil {
		return nil, fmt.Errorf("make the FHIR face: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Base = strings.TrimRight(o.Base, "/")
	h := &Handler{o: o, desk: &desk{b: o.Backend, r4: o.R4, bases: o.bases}, maker: maker, bundles: make(chan struct{}, maxBundles)}
	if u, err := url.Parse(o.Base); err == nil {
		h.prefix = u.Path
	}
	h.caps = capabilities(o)
	h.capsLen = len(h.caps.Bytes())
	return h, nil
}

// bases are the addresses under which the records here are known.
func (o Options) bases() (out []string) {
	if o.Base == "" {
		return nil
	}
	out = append(out, o.Base)
	if o.Also != nil {
		out = append(out, o.Also()...)
	}
	for _, base := range out {
		out = append(out, strings.Replace(base, "//127.0.0.1:", "//localhost:", 1))
	}
	return out
}

// relative is a reference as it stands in a record here: one under our own address names what
// is here (FHIR R4 references.html#literal), and by it alone that would not be found.
func relative(bases []string, literal string) string {
	for _, base := range bases {
		if rest, ok := strings.CutPrefix(literal, base+"/"); ok {
			return rest
		}
	}
	return literal
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.share(w.Header(), r)
	res := h.serve(w, r)
	if p := res.problem; p != nil && p.Status() >= 500 && p.Err != nil {
		h.o.Log.Error("request failed", "code", p.Code, "error", p.Err)
	}
	h.write(w, r, res)
}

// share lets a page that runs in a browser read the answer, where it comes from our own
// origin (https://fetch.spec.whatwg.org/#http-cors-protocol). Without a token it gets nothing.
func (h *Handler) share(head http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	head.Add("Vary", "Origin")
	if !strings.HasPrefix(h.o.Base+"/", origin+"/") {
		return
	}
	head.Set("Access-Control-Allow-Origin", origin)
	head.Set("Access-Control-Expose-Headers", "ETag, Location, Content-Location, Last-Modified, X-Progress")
	if r.Method == http.MethodOptions {
		head.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS")
		head.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer")
		head.Set("Access-Control-Max-Age", "600")
	}
}

// place waits until a Bundle may be carried out; its body has its time from then on.
func (h *Handler) place(w http.ResponseWriter, r *http.Request) *Problem {
	wait := time.NewTimer(bundleWait)
	defer wait.Stop()
	select {
	case h.bundles <- struct{}{}:
	case <-wait.C:
		return problem("later")
	case <-r.Context().Done():
		return problem("cancelled")
	}
	// A writer without deadlines has none to renew.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bundleRead))
	return nil
}

// How long a Bundle waits for its turn, and its body may take from then on.
const (
	bundleWait = 20 * time.Second
	bundleRead = time.Minute
)

// caught turns a panic into a result. The panic's value may hold content, so
// only the stack is logged.
func (h *Handler) caught(res *result) {
	if x := recover(); x != nil {
		h.o.Log.Error("request panicked", "stack", string(debug.Stack()))
		*res = failed(problem("internal"))
	}
}

// serve turns every failure into a result.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (res result) {
	defer h.caught(&res)
	if len(r.RequestURI) > maxURL {
		return failed(problem("url-too-long"))
	}
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, h.prefix); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	c, allow, p := route(h.o.R4, r.Method, path)
	if r.Method == http.MethodOptions && allow != "" {
		return result{status: http.StatusNoContent, allow: allow}
	}
	if p != nil {
		return result{problem: p, allow: allow}
	}
	if p := acceptable(r); p != nil && !isRawRead(c) && c.action != doExportFile {
		return failed(p)
	}
	if c.action == doMetadata { // what a server can is no secret: no sign-in
		return h.do(r.Context(), c)
	}
	if h.o.Caller != nil {
		c.by = h.o.Caller(r)
	}
	if c.by.Author == "" {
		return failed(problem("sign-in"))
	}
	if c.action == doBundle { // each takes much memory, and they write one after the other anyhow
		if p := h.place(w, r); p != nil {
			return failed(p)
		}
		defer func() { <-h.bundles }()
	}
	if p := c.fill(w, r); p != nil {
		return failed(p)
	}
	if r.Method == http.MethodHead && c.action == doExportFile { // made while it is read: nothing is known of it yet
		return result{status: http.StatusOK}
	}
	res = h.do(r.Context(), c)
	if res.resource != nil && isRawRead(c) {
		res.raw, _ = unwrapped(r, res.resource)
	}
	return res
}

// do carries out one interaction, whether it came as a request or as an entry
// of a batch, whose other entries a panic must not touch.
func (h *Handler) do(ctx context.Context, c *call) (res result) {
	defer h.caught(&res)
	if p := h.allowed(c); p != nil {
		return failed(p)
	}
	if h.isAct(c) {
		return h.auditEvents(ctx, c, h.o.Acts, h.o.Station())
	}
	switch c.action {
	case doMetadata:
		return result{status: http.StatusOK, resource: h.caps, weight: h.capsLen}
	case doRead:
		return h.read(ctx, c)
	case doVread:
		return h.vread(ctx, c)
	case doSearch:
		return h.search(ctx, c)
	case doEverything:
		return h.everything(ctx, c)
	case doSummary:
		return h.summary(ctx, c)
	case doHistory:
		return h.history(ctx, c)
	case doKindHistory, doSystemHistory:
		return h.historyAll(ctx, c)
	case doCreate, doUpdate, doPatch, doDelete:
		return h.change(ctx, c)
	case doValidate:
		return h.validate(c)
	case doBundle:
		return h.bundle(ctx, c)
	case doChanges:
		return h.changes(ctx, c)
	case doConflicts:
		return h.conflicts(ctx, c)
	case doConflict:
		return h.conflict(ctx, c)
	case doResolve:
		return h.resolve(ctx, c)
	case doExport:
		return h.export(c)
	case doExportStatus:
		return h.exportStatus(ctx, c)
	case doExportFile:
		return h.exportFile(ctx, c)
	}
	return failed(problem("unknown-route"))
}

// allowed holds a call against what its caller may. A Bundle's entries are calls of their own.
func (h *Handler) allowed(c *call) *Problem {
	if c.key.Kind == auditKind && h.o.Acts != nil && c.writes() {
		return problem("method")
	}
	switch c.action {
	case doRead, doVread, doHistory, doEverything, doSummary, doConflict:
		return c.may('r', c.key.Kind)
	case doSearch, doKindHistory:
		return c.may('s', c.key.Kind)
	case doSystemHistory:
		return c.may('s', h.o.R4.Kinds()...)
	case doCreate:
		return c.may('c', c.key.Kind)
	case doPatch:
		if tests(c.patch) {
			if p := c.may('r', c.key.Kind); p != nil {
				return p
			}
		}
		return c.may('u', c.key.Kind)
	case doUpdate, doResolve:
		return c.may('u', c.key.Kind)
	case doDelete:
		return c.may('d', c.key.Kind)
	}
	return nil
}

// writes says whether a call changes a record.
func (c *call) writes() bool {
	return c.action == doCreate || c.action == doUpdate || c.action == doPatch || c.action == doDelete || c.action == doResolve
}

// may says why not, where a caller may not do so with all of the kinds.
func (c *call) may(verb byte, kinds ...string) *Problem {
	for _, kind := range kinds {
		if c.by.May != nil && !c.by.May(verb, kind) {
			return problem("forbidden")
		}
	}
	return nil
}

// looked leaves word of what is about to be shown.
func (h *Handler) looked(ctx context.Context, c *call, action string, keys ...record.Key) *Problem {
	if h.o.Looked == nil || len(keys) == 0 {
		return nil
	}
	if err := h.o.Looked(ctx, c.by.Author, action, keys); err != nil {
		return problem("not-audited").because(err)
	}
	return nil
}
