package rest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// partSize is how many records a file of an export holds: what a cut costs at most.
const partSize = 10_000

// job is an export as it was asked for (FHIR Bulk Data Access 2.0). Its id is the job itself, so
// that nothing is kept of it here and it lasts over a restart: which kinds, changed since
// when, and asked for when. Each file is made while it is read.
type job struct {
	Kinds   []string `json:"k,omitempty"`
	Since   string   `json:"s,omitempty"`
	Query   string   `json:"q,omitempty"`
	Patient bool     `json:"p,omitempty"`
	// At is when the last version came that it may hold, in Unix milliseconds by the clock of
	// meta.lastUpdated: who asks since then misses nothing.
	At *int64 `json:"at"`
	// Kind, Page and Until are one file of it.
	Kind  string `json:"f,omitempty"`
	Page  string `json:"from,omitempty"`
	Until string `json:"to,omitempty"`
}

func (j job) id() string {
	b, err := json.Marshal(j)
	if err != nil { // texts and numbers alone
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func jobOf(id string) (j job, p *Problem) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || json.Unmarshal(b, &j) != nil || j.At == nil {
		return j, problem("no-export")
	}
	return j, nil
}

// export takes an export in hand and answers where it is told how it stands.
func (h *Handler) export(c *call) result {
	at, err := h.o.Past.Came()
	if err != nil {
		return failed(fromStore(err))
	}
	j := job{Patient: c.key.Kind == "Patient", At: &at, Query: c.rawQuery}
	for _, q := range c.query {
		var p *Problem
		switch q.name {
		case "_type":
			if j.Kinds, p = h.kindsOf(j.Kinds, q); p != nil {
				return failed(p)
			}
		case "_since":
			if _, _, ok := fhir.DateRange(q.value, time.UTC); !ok {
				return failed(problem("bad-search").in("_since"))
			}
			j.Since = q.value
		case "_outputFormat":
			if !ndjson(q.value) {
				return failed(problem("not-acceptable"))
			}
		default:
			if passive(q.name) {
				continue
			}
			return failed(problem("unsupported-parameter").in(q.name))
		}
	}
	if !c.prefer.async {
		return failed(problem("async"))
	}
	if _, p := h.exported(c, j); p != nil {
		return failed(p)
	}
	return result{status: http.StatusAccepted, at: h.o.Base + "/$export-status/" + j.id()}
}

// ndjson says whether an output format is newline-delimited JSON.
func ndjson(s string) bool {
	return slices.Contains([]string{"application/fhir+ndjson", "application/ndjson", "ndjson"}, strings.ReplaceAll(s, " ", "+"))
}

// exported are the kinds of a job, all of which its caller may search.
func (h *Handler) exported(c *call, j job) ([]string, *Problem) {
	kinds := j.Kinds
	if len(kinds) == 0 {
		kinds = h.o.R4.Kinds()
	}
	if j.Patient {
		all, p := h.everyKind(nil)
		if p != nil {
			return nil, p
		}
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return !slices.Contains(all, k) })
	}
	return kinds, c.may('s', kinds...)
}

// search is what finds the records of a kind that a job wants.
func (j job) search(kind string) query.Query {
	q := query.Query{Kind: kind, Limit: query.MaxLimit}
	if j.Since != "" {
		q.Clauses = []query.Clause{{Param: "_lastUpdated", Values: []string{"ge" + j.Since}}}
	}
	return q
}

// exportStatus answers the manifest: the files of each kind, each of at most partSize records.
// Its progress says how many records they hold together.
func (h *Handler) exportStatus(ctx context.Context, c *call) result {
	j, p := jobOf(c.job)
	if p != nil {
		return failed(p)
	}
	if c.method == http.MethodDelete { // nothing is kept of it
		return result{status: http.StatusAccepted}
	}
	kinds, p := h.exported(c, j)
	if p != nil {
		return failed(p)
	}
	var files []*fhir.Value
	all := 0
	for _, kind := range kinds {
		if ctx.Err() != nil {
			return failed(problem("cancelled"))
		}
		marks, total, err := h.o.Backend.Pages(j.search(kind), partSize)
		if err != nil {
			return failed(fromStore(err))
		}
		for i := range (total + partSize - 1) / partSize {
			one := job{At: j.At, Since: j.Since, Kind: kind}
			if i > 0 {
				one.Page = marks[i-1]
			}
			if i < len(marks) {
				one.Until = marks[i]
			}
			files = append(files, fhir.NewObject(
				fhir.Field{Name: "type", Value: fhir.NewString(kind)},
				fhir.Field{Name: "url", Value: fhir.NewString(h.o.Base + "/$export-file/" + one.id())},
				fhir.Field{Name: "count", Value: fhir.NewNumber(strconv.Itoa(min(partSize, total-i*partSize)))}))
		}
		all += total
	}
	request := h.o.Base + "/$export"
	if j.Patient {
		request = h.o.Base + "/Patient/$export"
	}
	if j.Query != "" {
		request += "?" + j.Query
	}
	return result{status: http.StatusOK, progress: strconv.Itoa(all) + " records in " + strconv.Itoa(len(files)) + " files", plain: true, resource: fhir.NewObject(
		fhir.Field{Name: "transactionTime", Value: fhir.NewString(instant(time.UnixMilli(*j.At)))},
		fhir.Field{Name: "request", Value: fhir.NewString(request)},
		fhir.Field{Name: "requiresAccessToken", Value: fhir.NewBool(true)},
		fhir.Field{Name: "output", Value: fhir.NewArray(files...)},
		fhir.Field{Name: "error", Value: fhir.NewArray()})}
}

// exportFile writes one file of an export, page by page; its first may still fail.
func (h *Handler) exportFile(ctx context.Context, c *call) result {
	j, p := jobOf(c.job)
	if p == nil && !h.o.R4.IsKind(j.Kind) {
		p = problem("no-export")
	}
	if p == nil {
		p = c.may('s', j.Kind)
	}
	if p != nil {
		return failed(p)
	}
	q := j.search(j.Kind)
	q.Page, q.Until = j.Page, j.Until
	first, p := h.exportPage(ctx, c, &q)
	if p != nil {
		return failed(p)
	}
	return result{status: http.StatusOK, stream: func(write func([]byte) error) error {
		for page := first; ; {
			if err := write(page); err != nil {
				return err
			}
			if q.Page == "" {
				return nil
			}
			next, p := h.exportPage(ctx, c, &q)
			if p != nil {
				return p
			}
			page = next
		}
	}}
}

// exportPage is the next page of a file as lines; q goes on behind it.
func (h *Handler) exportPage(ctx context.Context, c *call, q *query.Query) ([]byte, *Problem) {
	if ctx.Err() != nil {
		return nil, problem("cancelled")
	}
	found, err := h.o.Backend.Search(*q)
	if err != nil {
		return nil, fromStore(err)
	}
	var out []byte
	var keys []record.Key
	for _, s := range found.Stands {
		content, p := shown(s.Shown, s.Tag())
		if p != nil {
			return nil, p
		}
		out, keys = append(content.Append(out), '\n'), append(keys, s.Key)
	}
	if p := h.looked(ctx, c, "export", keys...); p != nil {
		return nil, p
	}
	q.Page = found.Next
	return out, nil
}
