package rest

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"tram/store/fhir"
	"tram/store/record"
)

// call is one interaction as asked for, by a request or by an entry of a Bundle.
type call struct {
	action  action
	method  string
	key     record.Key   // ID is "" for a kind
	version string       // of a vread
	within  string       // the Patient in whose compartment a search looks; "" for all
	job     string       // of an export
	joins   int          // records that its chains looked at
	told    []record.Key // of whom the answer tells beside the records that it shows
	by      Caller

	query           []param
	rawQuery        string
	resource        *fhir.Value
	patch           jsonpatch.Patch
	ifMatch         tags
	ifNoneMatch     tags
	ifNoneExist     string
	ifModifiedSince string
	prefer          prefer
	language        string // that a client would rather read, "vi" or "en"
	fullURL         string // of a Bundle's entry
	at              string // where a Bundle holds it: "Bundle.entry[3]"
}

// fill reads the query, the headers and the body.
func (c *call) fill(w http.ResponseWriter, r *http.Request) (p *Problem) {
	c.rawQuery = r.URL.RawQuery
	if c.query, p = parseQuery(c.rawQuery); p != nil {
		return p
	}
	if c.ifMatch, p = parseTags(r.Header.Values("If-Match")); p != nil {
		return p
	}
	if c.ifNoneMatch, p = parseTags(r.Header.Values("If-None-Match")); p != nil {
		return p
	}
	c.ifModifiedSince = r.Header.Get("If-Modified-Since")
	c.ifNoneExist = c.condition(r.Header.Get("If-None-Exist"))
	c.prefer = parsePrefer(r.Header.Values("Prefer"))
	c.language = preferred(r.Header.Get("Accept-Language"))
	switch {
	case c.action == doSearch && r.Method == http.MethodPost:
		return c.fillForm(w, r)
	case c.action == doPatch:
		return c.fillPatch(w, r)
	case c.asksByParameters():
		return c.fillParameters(w, r)
	case c.method == http.MethodPost || c.method == http.MethodPut:
		return c.fillResource(w, r)
	}
	return nil
}

// fillResource reads the body as a resource; at /Binary one that is no JSON is the content
// of a Binary (FHIR R4 binary.html#rest).
func (c *call) fillResource(w http.ResponseWriter, r *http.Request) *Problem {
	kind := r.Header.Get("Content-Type")
	wrap := c.key.Kind == "Binary" && c.action != doValidate && kind != "" && !isJSON(kind)
	if !wrap && !isJSON(kind) {
		return problem("not-json")
	}
	limit := int64(maxBody)
	if wrap {
		limit = maxRaw
	}
	b, p := body(w, r, limit)
	if p != nil {
		return p
	}
	if !wrap {
		c.resource, p = parse(b)
		return p
	}
	if c.resource, p = binaryOf(kind, b); p == nil && c.key.ID != "" {
		c.resource = named(c.resource, c.key.ID)
	}
	return p
}

// fillParameters adds the parameters of an operation that is called by POST, if it has any
// (FHIR R4 operations.html#request). Those of the operations here are plain values.
func (c *call) fillParameters(w http.ResponseWriter, r *http.Request) *Problem {
	b, p := body(w, r, maxForm)
	if p != nil || len(b) == 0 {
		return p
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return problem("not-json")
	}
	v, p := parse(b)
	if p != nil {
		return p
	}
	return c.addParameters(v)
}

// addParameters adds what a Parameters holds to the query.
func (c *call) addParameters(v *fhir.Value) *Problem {
	if v.Str("resourceType") != "Parameters" {
		return problem("not-a-resource")
	}
	list := v.Get("parameter")
	if list == nil {
		return nil
	}
	if len(list.Items) > maxParams {
		return problem("too-many-params")
	}
	for _, one := range list.Items {
		q := param{name: one.Str("name")}
		for _, f := range one.Fields {
			if strings.HasPrefix(f.Name, "value") {
				q.value = f.Value.Text
			}
		}
		c.query = append(c.query, q)
	}
	return nil
}

// asksByParameters says whether a POST calls an operation whose parameters are plain values.
func (c *call) asksByParameters() bool {
	return c.method == http.MethodPost && (c.action == doEverything || c.action == doSummary)
}

// fillPatch reads the body as a JSON Patch.
func (c *call) fillPatch(w http.ResponseWriter, r *http.Request) *Problem {
	if !isPatch(r.Header.Get("Content-Type")) {
		return problem("not-a-patch")
	}
	b, p := body(w, r, maxPatch)
	if p != nil {
		return p
	}
	c.patch, p = parsePatch(b)
	return p
}

// condition is the query of an If-None-Exist; clients also send it with "?" or
// "Kind?" in front.
func (c *call) condition(s string) string {
	return strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(s), c.key.Kind), "?")
}

// fillForm adds the parameters of POST [kind]/_search (FHIR R4 http "search").
func (c *call) fillForm(w http.ResponseWriter, r *http.Request) *Problem {
	b, p := body(w, r, maxForm)
	if p != nil || len(b) == 0 {
		return p
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return problem("not-form")
	}
	form, p := parseQuery(string(b))
	c.query = append(c.query, form...)
	return p
}

// body reads the whole body, gunzipped where it says so.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *Problem) {
	if r.Header.Get("Expect") == "" { // else it sends nothing that is not asked for
		// A client that still sends what is refused would lose the answer with the connection.
		defer func() { _, _ = io.CopyN(io.Discard, r.Body, maxIgnored) }()
	}
	if r.ContentLength > limit {
		return nil, problem("too-large")
	}
	var in io.Reader = http.MaxBytesReader(w, r.Body, limit)
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, problem("bad-gzip")
		}
		in = z
	default:
		return nil, problem("encoding")
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) || int64(len(b)) > limit:
		return nil, problem("too-large")
	case errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader):
		return nil, problem("bad-gzip")
	case err != nil:
		return nil, problem("cut-off")
	}
	return b, nil
}

// parse reads a body as one resource.
func parse(b []byte) (*fhir.Value, *Problem) {
	v, err := fhir.Parse(b, fhir.Limits{Bytes: maxBody})
	var syntax *fhir.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, badJSON(syntax)
	case err != nil:
		return nil, problem("bad-json").because(err)
	case v.Shape != fhir.Object:
		return nil, problem("not-a-resource")
	}
	return v, nil
}

// isJSON says whether a body's media type is JSON in UTF-8. A missing one is
// not: a browser sends such bodies for any page, without asking first.
func isJSON(contentType string) bool {
	kind, par, err := mime.ParseMediaType(contentType)
	return err == nil && jsonType(kind) && utf8Set(par["charset"]) && r4Version(par["fhirversion"])
}

// jsonType lists the media types under which clients send and ask for FHIR JSON.
func jsonType(kind string) bool {
	return kind == "application/fhir+json" || kind == "application/json" || kind == "text/json"
}

func utf8Set(s string) bool {
	s = strings.ToLower(s)
	return s == "" || s == "utf-8" || s == "utf8" || s == "us-ascii"
}

// r4Version reads the fhirVersion of a media type (FHIR R4 http "version-parameter").
func r4Version(s string) bool { return s == "" || s == "4.0" || s == "4.0.1" }

// acceptable says whether JSON is among what a client takes. _format wins over
// Accept (FHIR R4 http "mime-type").
func acceptable(r *http.Request) *Problem {
	for _, pair := range strings.FieldsFunc(r.URL.RawQuery, func(c rune) bool { return c == '&' }) {
		if v, ok := strings.CutPrefix(pair, "_format="); ok {
			if v, err := url.PathUnescape(v); err == nil && formatIsJSON(v) {
				return nil
			}
			return problem("not-acceptable")
		}
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return nil
	}
	for _, one := range strings.Split(strings.Join(accept, ","), ",") {
		kind, par, err := mime.ParseMediaType(strings.TrimSpace(one))
		if err != nil || strings.Trim(par["q"], "0.") == "" && par["q"] != "" {
			continue
		}
		if (jsonType(kind) || kind == "*/*" || kind == "application/*") && r4Version(par["fhirversion"]) {
			return nil
		}
	}
	return problem("not-acceptable")
}

// formatIsJSON reads _format. A "+" that was not encoded arrives as it is or as
// a blank.
func formatIsJSON(s string) bool {
	kind, par, err := mime.ParseMediaType(strings.ReplaceAll(s, " ", "+"))
	return err == nil && (kind == "json" || jsonType(kind)) && r4Version(par["fhirversion"])
}

// tags is an If-Match or If-None-Match header.
type tags struct {
	given bool
	any   bool // *
	list  []string
}

func (t tags) has(tag string) bool {
	for _, one := range t.list {
		if one == tag {
			return true
		}
	}
	return false
}

// parseTags reads a list of weak or strong entity tags (RFC 9110, 8.8.3).
func parseTags(values []string) (t tags, p *Problem) {
	s := strings.TrimSpace(strings.Join(values, ","))
	if s == "" && len(values) == 0 {
		return t, nil
	}
	t.given = true
	if s == "*" {
		t.any = true
		return t, nil
	}
	for {
		s = strings.TrimPrefix(strings.TrimSpace(s), "W/")
		if !strings.HasPrefix(s, `"`) {
			return t, problem("bad-etag")
		}
		tag, rest, ok := strings.Cut(s[1:], `"`)
		if rest = strings.TrimSpace(rest); !ok || rest != "" && rest[0] != ',' {
			return t, problem("bad-etag")
		}
		t.list = append(t.list, inner(tag))
		if rest == "" {
			return t, nil
		}
		s = rest[1:]
	}
}

// A preview's tag joins two names by "~", which FHIR does not allow in an id
// (datatypes.html#id); outside it is a ".", which no name holds.
func outer(tag string) string { return strings.Replace(tag, "~", ".", 1) }
func inner(tag string) string { return strings.Replace(tag, ".", "~", 1) }

func etag(tag string) string { return `W/"` + outer(tag) + `"` }

// prefer is the Prefer header (FHIR R4 http "ops", RFC 7240). What it does not
// know it ignores.
type prefer struct {
	ret    string // minimal, representation, OperationOutcome or ""
	strict bool
	async  bool
}

// parsePrefer also takes ";" between preferences: clients send it.
func parsePrefer(values []string) (out prefer) {
	for _, one := range strings.FieldsFunc(strings.Join(values, ","), func(c rune) bool { return c == ',' || c == ';' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		switch value = strings.Trim(strings.TrimSpace(value), `"`); strings.ToLower(strings.TrimSpace(name)) {
		case "return":
			if value == "minimal" || value == "representation" || value == "OperationOutcome" {
				out.ret = value
			}
		case "respond-async":
			out.async = true
		case "handling":
			out.strict = value == "strict"
		}
	}
	return out
}

// preferred is the first language of an Accept-Language header that is known here (RFC 9110,
// 12.5.4), Vietnamese where none is.
func preferred(header string) string {
	for _, one := range strings.Split(header, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(one), ";")
		if tag, _, _ = strings.Cut(strings.ToLower(tag), "-"); tag == "vi" || tag == "en" {
			return tag
		}
	}
	return "vi"
}

// httpDate makes an instant, as Bundles hold them, a date of HTTP.
func httpDate(instant string) string {
	t, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return ""
	}
	return t.UTC().Format(http.TimeFormat)
}

// notSince says whether what was made at a moment is unchanged since the date
// of an If-Modified-Since header, which tells whole seconds.
func notSince(header string, made time.Time) bool {
	t, err := http.ParseTime(header)
	return err == nil && !made.Truncate(time.Second).After(t)
}
