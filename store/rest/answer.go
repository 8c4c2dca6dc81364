package rest

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tram/store/fhir"
	"tram/store/record"
)

// stateSystem is the system of the tag that marks a record with an open
// conflict. Tags of this system are ours: they are never taken in.
const (
	stateSystem  = "urn:tram:state"
	contestedTag = stateSystem + "|conflict"
)

// result is the answer to a call, before it becomes HTTP or a Bundle's entry.
type result struct {
	status   int
	problem  *Problem
	resource *fhir.Value

	key      record.Key // of what was read or written; zero for other answers
	tag      string
	modified time.Time
	located  bool // Location is told
	allow    string
	weight   int // bytes of records in the answer
	raw      *raw
	at       string // Content-Location
	progress string // X-Progress
	plain    bool   // JSON that is no resource
	// stream writes an answer of many lines, which may break off.
	stream func(write func([]byte) error) error
}

func failed(p *Problem) result { return result{problem: p} }

func (r result) code() int {
	if r.problem != nil {
		return r.problem.Status()
	}
	return r.status
}

// location is the address of the version that was written.
func (r result) location(base string) string {
	return base + "/" + r.key.String() + "/_history/" + outer(r.tag)
}

// write sends the answer.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, res result) {
	head := w.Header()
	head.Set("Cache-Control", "no-store") // records stay off the disks of clients
	head.Set("X-Content-Type-Options", "nosniff")
	head.Add("Vary", "Accept, Accept-Encoding")
	if res.allow != "" {
		head.Set("Allow", res.allow)
	}
	if res.tag != "" {
		head.Set("ETag", etag(res.tag))
	}
	if !res.modified.IsZero() {
		head.Set("Last-Modified", res.modified.UTC().Format(http.TimeFormat))
	}
	if res.located {
		head.Set("Location", res.location(h.o.Base))
	}
	if res.at != "" {
		head.Set("Content-Location", res.at)
	}
	if res.progress != "" {
		head.Set("X-Progress", res.progress)
	}
	if res.stream != nil {
		h.writeLines(w, r, res)
		return
	}
	content := res.resource
	if res.problem != nil && res.problem.Status() == http.StatusServiceUnavailable {
		head.Set("Retry-After", "5")
	}
	if res.problem != nil {
		content = res.problem.outcome()
	}
	if content == nil {
		w.WriteHeader(res.code())
		return
	}
	b, kind := content.Bytes(), "application/fhir+json; charset=utf-8"
	if res.raw != nil {
		b, kind = res.raw.data, res.raw.kind
		head.Set("Content-Disposition", "attachment")
		head.Set("Content-Security-Policy", "sandbox")
	}
	if res.plain {
		kind = "application/json"
	}
	head.Set("Content-Type", kind)
	if len(b) < 1400 || !takesGzip(r) {
		head.Set("Content-Length", strconv.Itoa(len(b)))
		w.WriteHeader(res.code())
		w.Write(b) // a client that went away is nobody's error
		return
	}
	head.Set("Content-Encoding", "gzip")
	w.WriteHeader(res.code())
	z := gzip.NewWriter(w)
	z.Write(b)
	z.Close()
}

// writeLines sends newline-delimited JSON as it is made. One that breaks off breaks the
// connection, so that nobody takes a part for the whole.
func (h *Handler) writeLines(w http.ResponseWriter, r *http.Request, res result) {
	w.Header().Set("Content-Type", "application/fhir+ndjson")
	out, end := io.Writer(w), func() error { return nil }
	if takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		out, end = z, z.Close
	}
	w.WriteHeader(res.status)
	err := res.stream(func(b []byte) error { _, err := out.Write(b); return err })
	if err == nil {
		err = end()
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func takesGzip(r *http.Request) bool {
	for _, one := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, par, _ := strings.Cut(strings.ToLower(strings.TrimSpace(one)), ";")
		q, weighted := strings.CutPrefix(strings.TrimSpace(par), "q=")
		if strings.TrimSpace(name) == "gzip" {
			return !weighted || strings.Trim(q, "0.") != ""
		}
	}
	return false
}

// shown is a version as the API shows it under a tag: its content with
// meta.versionId, meta.lastUpdated and, while a conflict is open, our tag. All
// other bytes are those that were stored.
func shown(v *record.Version, tag string) (*fhir.Value, *Problem) {
	content, err := fhir.Parse(v.Content, fhir.Limits{})
	if err != nil {
		return nil, problem("internal").because(err)
	}
	meta := content.Get("meta").
		With("versionId", fhir.NewString(outer(tag))).
		With("lastUpdated", fhir.NewString(instant(v.Updated())))
	if v.Contested() {
		meta = tagged(meta, stateSystem, "conflict")
	}
	return content.With("meta", meta), nil
}

// instant is a moment as FHIR writes it, in milliseconds and UTC.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// tagged adds a code to meta.tag.
func tagged(meta *fhir.Value, system, code string) *fhir.Value {
	var items []*fhir.Value
	if list := meta.Get("tag"); list != nil {
		items = append(items, list.Items...)
	}
	return meta.With("tag", fhir.NewArray(append(items, fhir.NewObject(
		fhir.Field{Name: "system", Value: fhir.NewString(system)},
		fhir.Field{Name: "code", Value: fhir.NewString(code)}))...))
}

// stripped takes away what only we say of a record, so that what was read can
// be written back and is found identical.
func stripped(v *fhir.Value) *fhir.Value {
	meta := v.Get("meta")
	if meta == nil || meta.Shape != fhir.Object {
		return v
	}
	out := meta.With("versionId", nil).With("lastUpdated", nil)
	if list := out.Get("tag"); list != nil && list.Shape == fhir.Array {
		var rest []*fhir.Value
		for _, t := range list.Items {
			if t.Str("system") != stateSystem {
				rest = append(rest, t)
			}
		}
		switch {
		case len(rest) == 0 && len(list.Items) > 0:
			out = out.With("tag", nil)
		case len(rest) < len(list.Items):
			out = out.With("tag", fhir.NewArray(rest...))
		}
	}
	if len(out.Fields) == len(meta.Fields) {
		return v.With("meta", out)
	}
	if len(out.Fields) == 0 {
		return v.With("meta", nil)
	}
	return v.With("meta", out)
}

// named gives a resource its id, in the place of an old one or after its type.
func named(v *fhir.Value, id string) *fhir.Value {
	if v.Get("id") != nil {
		return v.With("id", fhir.NewString(id))
	}
	out := &fhir.Value{Shape: fhir.Object, Fields: make([]fhir.Field, 0, len(v.Fields)+1)}
	for _, f := range v.Fields {
		if out.Fields = append(out.Fields, f); f.Name == "resourceType" {
			out.Fields = append(out.Fields, fhir.Field{Name: "id", Value: fhir.NewString(id)})
		}
	}
	return out
}

// view is what _summary and _elements ask to see of a resource (FHIR R4
// search "summary", "elements").
type view struct {
	r4       *fhir.R4
	count    bool            // only the number of matches
	summary  bool            // what R4 marks as summary, and what is required
	text     bool            // text, and what is required
	data     bool            // all but text
	elements map[string]bool // these, and what is required; nil for all
}

// of returns the part of a resource that was asked for, marked as a part.
func (w view) of(v *fhir.Value) *fhir.Value {
	if !w.summary && !w.text && !w.data && w.elements == nil {
		return v
	}
	kind := v.Str("resourceType")
	out := &fhir.Value{Shape: fhir.Object}
	for _, f := range v.Fields {
		name := strings.TrimPrefix(f.Name, "_")
		e, _ := w.r4.Elem(kind, name)
		keep := name != "text"
		if !w.data {
			always := name == "resourceType" || name == "id" || name == "meta" || name == "implicitRules" || e.Required
			keep = always || w.summary && e.Summary || w.text && name == "text" || w.elements[name] || w.elements[strings.TrimSuffix(e.Base, "[x]")]
		}
		if keep {
			out.Fields = append(out.Fields, f)
		}
	}
	return out.With("meta", tagged(out.Get("meta"), "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED"))
}

// partial says whether a resource is such a part: writing it back would lose
// the rest.
func partial(v *fhir.Value) bool {
	if list := v.Get("meta").Get("tag"); list != nil {
		for _, t := range list.Items {
			if t.Str("code") == "SUBSETTED" {
				return true
			}
		}
	}
	return false
}
