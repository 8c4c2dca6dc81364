package rest_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/rest"
	"tram/store/storetest"
)

var loadR4 = sync.OnceValues(fhir.Load)

// face is a Handler over a real store behind a real listener.
type face struct {
	t     *testing.T
	base  string
	store *store.Store
	r4    *fhir.R4
	rest  *rest.Handler
	log   *bytes.Buffer
}

func serve(t *testing.T, change ...func(*rest.Options)) *face {
	t.Helper()
	r4, err := loadR4()
	if err != nil {
		t.Fatal(err)
	}
	f := &face{t: t, r4: r4, log: &bytes.Buffer{}}
	// A clock that steps: two versions never share a millisecond.
	var mu sync.Mutex
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	clock := func() record.Stamp {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(1500 * time.Millisecond)
		return record.Stamp{Unix: now.UnixMilli()}
	}
	f.store = storetest.Open(t, store.Options{Name: "tram-a", R4: r4, Clock: clock})
	srv := httptest.NewUnstartedServer(nil)
	f.base = "http://" + srv.Listener.Addr().String() + "/fhir"
	o := rest.Options{
		Backend: f.store, Past: f.store, R4: r4, Base: f.base,
		Caller: func(r *http.Request) rest.Caller {
			if r.Header.Get("X-Nobody") != "" {
				return rest.Caller{}
			}
			c := rest.Caller{Author: "lan"}
			if only := r.Header.Get("X-May"); only != "" { // "rs Observation"
				verbs, kinds, _ := strings.Cut(only, " ")
				c.May = func(verb byte, of string) bool {
					return strings.IndexByte(verbs, verb) >= 0 && slices.Contains(strings.Split(kinds, ","), of)
				}
			}
			return c
		},
		Log: slog.New(slog.NewTextHandler(f.log, nil)), Version: "1.0",
	}
	for _, c := range change {
		c(&o)
	}
	if f.rest, err = rest.New(o); err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = f.rest
	srv.Start()
	t.Cleanup(srv.Close)
	return f
}

type reply struct {
	status int
	head   http.Header
	body   *fhir.Value // nil without a body
	raw    string
}

// problem is the stable code of an OperationOutcome.
func (r reply) problem() string {
	return first(first(r.body.Get("issue")).Get("details").Get("coding")).Str("code")
}

func first(v *fhir.Value) *fhir.Value {
	if v == nil || len(v.Items) == 0 {
		return nil
	}
	return v.Items[0]
}

// do sends a request and reads the FHIR that answers it.
func (f *face) do(method, path, body string, headers ...string) reply {
	f.t.Helper()
	if body != "" {
		headers = append([]string{"Content-Type", "application/fhir+json"}, headers...)
	}
	status, head, raw := f.raw(method, path, body, headers...)
	out := reply{status: status, head: head, raw: raw}
	if raw != "" && head.Get("Content-Encoding") == "" {
		var err error
		if out.body, err = fhir.Parse([]byte(raw), fhir.Limits{}); err != nil {
			f.t.Fatalf("%s %s: answer is no JSON: %v", method, path, err)
		}
	}
	return out
}

// raw sends a request whose answer may be no FHIR; headers alternate names and values. A
// path that starts with the base is taken as it is.
func (f *face) raw(method, path, body string, headers ...string) (int, http.Header, string) {
	f.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = f.base + path
	}
	req, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// want sends a request and fails unless the status is as expected.
func (f *face) want(status int, method, path, body string, headers ...string) reply {
	f.t.Helper()
	r := f.do(method, path, body, headers...)
	if r.status != status {
		f.t.Fatalf("%s %s: got %d, want %d: %s", method, path, r.status, status, r.raw)
	}
	if status >= 400 && method != "HEAD" {
		f.outcome(r)
	}
	return r
}

// outcome fails unless the answer is a valid OperationOutcome with our code and
// a sentence.
func (f *face) outcome(r reply) {
	f.t.Helper()
	if r.body.Str("resourceType") != "OperationOutcome" || r.problem() == "" || first(r.body.Get("issue")).Str("diagnostics") == "" {
		f.t.Errorf("status %d without a telling OperationOutcome: %s", r.status, r.raw)
	}
	if issues := f.r4.Check(r.body); len(issues) > 0 {
		f.t.Errorf("OperationOutcome is not valid R4: %v", issues)
	}
}

const patient = `{"resourceType":"Patient","name":[{"family":"Nguyễn","given":["Lan"]}],"gender":"female","birthDate":"1961-02-03"}`

// create posts a resource and returns its id and ETag.
func (f *face) create(kind, body string) (id, etag string) {
	f.t.Helper()
	r := f.want(201, "POST", "/"+kind, body)
	return r.body.Str("id"), r.head.Get("ETag")
}

func withID(body, id string) string { return `{"id":"` + id + `",` + body[1:] }

func TestClient01CreateAnswersWhereItIs(t *testing.T) {
	f := serve(t)
	r := f.want(201, "POST", "/Patient", withID(patient, "mine"))
	id, tag := r.body.Str("id"), strings.Trim(strings.TrimPrefix(r.head.Get("ETag"), "W/"), `"`)
	if id == "mine" || !record.ValidID(id) {
		t.Errorf("id = %q, want one that the server made", id)
	}
	if got, want := r.head.Get("Location"), f.base+"/Patient/"+id+"/_history/"+tag; got != want {
		t.Errorf("Location = %q, want %q", got, want)
	}
	if _, err := http.ParseTime(r.head.Get("Last-Modified")); err != nil {
		t.Errorf("Last-Modified = %q", r.head.Get("Last-Modified"))
	}
	if got := r.body.Str("meta", "versionId"); got != tag || tag == "" {
		t.Errorf("meta.versionId = %q, want the ETag %q", got, tag)
	}
	if got := r.body.Str("meta", "lastUpdated"); got != "2026-03-01T08:00:01.500Z" && !strings.HasSuffix(got, "Z") {
		t.Errorf("meta.lastUpdated = %q", got)
	}
	f.want(404, "GET", "/Patient/mine", "")
	f.want(400, "POST", "/Observation", patient)
}

func TestClient02UpdateUnderItsOwnID(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	f.want(200, "PUT", "/Patient/p1", strings.Replace(withID(patient, "p1"), "1961", "1962", 1))
	for name, body := range map[string]string{
		"id missing": patient, "id differs": withID(patient, "p2"),
		"kind differs": `{"resourceType":"Group","id":"p1"}`, "no resource": `{}`, "id is a number": `{"id":1,` + patient[1:],
	} {
		if r := f.do("PUT", "/Patient/p1", body); r.status != 400 {
			t.Errorf("%s: got %d, want 400", name, r.status)
		}
	}
	f.want(400, "PUT", "/Patient/a_b", withID(patient, "a_b"))
}

func TestClient03ConditionalRead(t *testing.T) {
	f := serve(t)
	id, etag := f.create("Patient", patient)
	made := f.want(200, "GET", "/Patient/"+id, "").head.Get("Last-Modified")
	later := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	for _, c := range []struct {
		name, header, value string
		want                int
	}{
		{"same tag", "If-None-Match", etag, 304},
		{"same tag, strong", "If-None-Match", strings.TrimPrefix(etag, "W/"), 304},
		{"a list", "If-None-Match", `"x", ` + etag, 304},
		{"any", "If-None-Match", "*", 304},
		{"other tag", "If-None-Match", `W/"x"`, 200},
		{"same second", "If-Modified-Since", made, 304},
		{"later", "If-Modified-Since", later, 304},
		{"earlier", "If-Modified-Since", "Sun, 01 Feb 2026 00:00:00 GMT", 200},
		{"no date", "If-Modified-Since", "yesterday", 200},
		{"malformed", "If-None-Match", "abc", 400},
	} {
		r := f.do("GET", "/Patient/"+id, "", c.header, c.value)
		if r.status != c.want {
			t.Errorf("%s: got %d, want %d", c.name, r.status, c.want)
		}
		if c.want == 304 && (r.raw != "" || r.head.Get("ETag") != etag) {
			t.Errorf("%s: 304 with body %q, ETag %q", c.name, r.raw, r.head.Get("ETag"))
		}
	}
}

func TestClient04Vread(t *testing.T) {
	f := serve(t)
	first := f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	f.want(200, "PUT", "/Patient/p1", strings.Replace(withID(patient, "p1"), "1961", "1962", 1))
	old := f.want(200, "GET", first.head.Get("Location"), "")
	if old.body.Str("birthDate") != "1961-02-03" || old.head.Get("ETag") != first.head.Get("ETag") {
		t.Errorf("vread shows %s under %s", old.body.Str("birthDate"), old.head.Get("ETag"))
	}
	gone := f.want(204, "DELETE", "/Patient/p1", "").head.Get("ETag")
	if gone == "" {
		t.Fatal("a deletion has no ETag")
	}
	f.want(410, "GET", "/Patient/p1/_history/"+strings.Trim(gone, `W/"`), "")
	f.want(200, "GET", first.head.Get("Location"), "")
	f.want(404, "GET", "/Patient/p1/_history/nothing", "")
	f.want(404, "GET", "/Patient/p2/_history/"+strings.Trim(gone, `W/"`), "")
}

func TestClient05Preconditions(t *testing.T) {
	f := serve(t)
	one := withID(patient, "p1")
	two := strings.Replace(one, "1961", "1962", 1)
	stale := f.want(201, "PUT", "/Patient/p1", one).head.Get("ETag")
	now := f.want(200, "PUT", "/Patient/p1", two).head.Get("ETag")
	for _, c := range []struct {
		name, method, path, header, value string
		want                              int
	}{
		{"stale update", "PUT", "p1", "If-Match", stale, 412},
		{"stale delete", "DELETE", "p1", "If-Match", stale, 412},
		{"malformed", "PUT", "p1", "If-Match", "1", 400},
		{"half a tag", "PUT", "p1", "If-Match", `W/"1`, 400},
		{"two tags without comma", "PUT", "p1", "If-Match", `"1" "2"`, 400},
		{"empty", "PUT", "p1", "If-Match", " ", 400},
		{"none there", "PUT", "p2", "If-Match", now, 412},
		{"any, none there", "PUT", "p2", "If-Match", "*", 412},
		{"exists", "PUT", "p1", "If-None-Match", "*", 412},
		{"exists in this version", "PUT", "p1", "If-None-Match", now, 412},
		{"exists not", "PUT", "p3", "If-None-Match", "*", 201},
		{"weak", "PUT", "p1", "If-Match", now, 200},
		{"strong", "PUT", "p1", "If-Match", strings.TrimPrefix(now, "W/"), 200},
		{"list", "PUT", "p1", "If-Match", stale + ", " + now, 200},
		{"any", "PUT", "p1", "If-Match", "*", 200},
	} {
		body := strings.Replace(two, `"p1"`, `"`+c.path+`"`, 1)
		if c.method == "DELETE" {
			body = ""
		}
		if r := f.do(c.method, "/Patient/"+c.path, body, c.header, c.value); r.status != c.want {
			t.Errorf("%s: got %d, want %d: %s", c.name, r.status, c.want, r.raw)
		}
	}
}

func TestClient05TwoWritersOneWins(t *testing.T) {
	f := serve(t)
	id, etag := f.create("Patient", patient)
	for round := range 10 {
		var wg sync.WaitGroup
		got := make([]reply, 4)
		for i := range got {
			body := strings.Replace(withID(patient, id), "1961", "19"+string(rune('1'+round%9))+string(rune('0'+i)), 1)
			wg.Go(func() { got[i] = f.do("PUT", "/Patient/"+id, body, "If-Match", etag) })
		}
		wg.Wait()
		won := 0
		for i, r := range got {
			switch r.status {
			case 200:
				won++
				etag = r.head.Get("ETag")
			case 412:
			default:
				t.Fatalf("round %d, writer %d: got %d: %s", round, i, r.status, r.raw)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d writers won, want 1", round, won)
		}
	}
}

func TestClient06Delete(t *testing.T) {
	f := serve(t)
	id, _ := f.create("Patient", patient)
	f.want(204, "DELETE", "/Patient/"+id, "")
	gone := f.want(410, "GET", "/Patient/"+id, "")
	f.want(204, "DELETE", "/Patient/"+id, "")
	if again := f.want(410, "GET", "/Patient/"+id, ""); again.head.Get("ETag") != gone.head.Get("ETag") {
		t.Errorf("a second DELETE made a version: %s, then %s", gone.head.Get("ETag"), again.head.Get("ETag"))
	}
	f.want(204, "DELETE", "/Patient/never", "")
	f.want(404, "GET", "/Patient/never", "")
	f.want(404, "GET", "/Patient/never/_history", "")
	if got := f.want(200, "GET", "/Patient?_id="+id, "").body.Str("total"); got != "0" {
		t.Errorf("search finds %s deleted records", got)
	}
}

func TestClient07PutRevives(t *testing.T) {
	f := serve(t)
	id, _ := f.create("Patient", patient)
	gone := f.want(204, "DELETE", "/Patient/"+id, "").head.Get("ETag")
	f.want(412, "PUT", "/Patient/"+id, withID(patient, id), "If-Match", `W/"x"`)
	r := f.want(201, "PUT", "/Patient/"+id, withID(patient, id), "If-None-Match", "*")
	if r.head.Get("ETag") == gone {
		t.Error("no new version")
	}
	f.want(200, "GET", "/Patient/"+id, "")
	if got := f.want(200, "GET", "/Patient/"+id+"/_history", "").body.Str("total"); got != "3" {
		t.Errorf("history has %s versions, want 3", got)
	}
}

func TestClient08IdenticalPutMakesNoVersion(t *testing.T) {
	f := serve(t)
	id, etag := f.create("Patient", patient)
	read := f.want(200, "GET", "/Patient/"+id, "")
	for name, body := range map[string]string{"as sent": withID(patient, id), "as read": read.raw} {
		if got := f.want(200, "PUT", "/Patient/"+id, body).head.Get("ETag"); got != etag {
			t.Errorf("%s: ETag %s became %s", name, etag, got)
		}
	}
}

func TestClient26Prefer(t *testing.T) {
	f := serve(t)
	for _, c := range []struct{ prefer, want string }{
		{"return=minimal", ""}, {"return=representation", "Patient"}, {"return=OperationOutcome", "OperationOutcome"},
		{"return=everything", "Patient"}, {"wait=10, return=minimal", ""}, {"respond-async; return=minimal", ""},
	} {
		r := f.want(201, "POST", "/Patient", patient, "Prefer", c.prefer)
		if got := r.body.Str("resourceType"); got != c.want || r.head.Get("Location") == "" {
			t.Errorf("Prefer: %s answers %q, want %q; Location %q", c.prefer, got, c.want, r.head.Get("Location"))
		}
	}
}

func TestClient27Negotiation(t *testing.T) {
	f := serve(t)
	id, _ := f.create("Patient", patient)
	for _, c := range []struct {
		accept, query string
		want          int
	}{
		{"application/fhir+json", "", 200}, {"application/json", "", 200}, {"*/*", "", 200}, {"", "", 200},
		{"application/fhir+json;charset=UTF-8", "", 200}, {"text/html, application/xhtml+xml, */*;q=0.8", "", 200},
		{"application/fhir+json; fhirVersion=4.0", "", 200}, {"application/fhir+json; fhirVersion=5.0", "", 406},
		{"application/fhir+xml", "", 406}, {"text/plain", "", 406}, {"application/json;q=0", "", 406}, {"nonsense", "", 406},
		{"application/fhir+xml", "?_format=json", 200}, {"", "?_format=application/fhir+json", 200},
		{"", "?_format=application%2Ffhir%2Bjson", 200}, {"", "?_format=xml", 406}, {"application/json", "?_format=text/turtle", 406},
	} {
		r := f.do("GET", "/Patient/"+id+c.query, "", "Accept", c.accept)
		if r.status != c.want {
			t.Errorf("Accept %q, %q: got %d, want %d", c.accept, c.query, r.status, c.want)
		}
		if got := r.head.Get("Content-Type"); got != "application/fhir+json; charset=utf-8" {
			t.Errorf("Accept %q: Content-Type %q", c.accept, got)
		}
	}
	for kind, want := range map[string]int{
		"application/fhir+json": 201, "application/json": 201, "application/json; charset=UTF-8": 201,
		"application/json; charset=utf-16": 415, "application/fhir+xml": 415, "text/plain": 415, "": 415,
		"application/x-www-form-urlencoded": 415, "application/json-patch+json": 415,
	} {
		if r := f.do("POST", "/Patient", patient, "Content-Type", kind); r.status != want {
			t.Errorf("Content-Type %q: got %d, want %d", kind, r.status, want)
		}
	}
}

func TestClient31HeadSlashGzipOptions(t *testing.T) {
	f := serve(t)
	id, etag := f.create("Patient", patient)
	head := f.want(200, "HEAD", "/Patient/"+id, "")
	get := f.want(200, "GET", "/Patient/"+id+"/", "")
	if head.raw != "" || head.head.Get("ETag") != etag || get.head.Get("ETag") != etag {
		t.Errorf("HEAD: body %q, ETag %q; GET with a slash: ETag %q; want %q", head.raw, head.head.Get("ETag"), get.head.Get("ETag"), etag)
	}
	f.want(200, "POST", "/", `{"resourceType":"Bundle","type":"batch"}`)
	if r := f.want(204, "OPTIONS", "/Patient/"+id, ""); r.head.Get("Allow") != "GET, PUT, PATCH, DELETE, HEAD, OPTIONS" {
		t.Errorf("Allow = %q", r.head.Get("Allow"))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(patient))
	z.Close()
	f.want(201, "POST", "/Patient", packed.String(), "Content-Encoding", "gzip")
	f.want(415, "POST", "/Patient", packed.String(), "Content-Encoding", "br")
	f.want(400, "POST", "/Patient", patient, "Content-Encoding", "gzip")
	r := f.do("GET", "/metadata", "", "Accept-Encoding", "gzip")
	zr, err := gzip.NewReader(strings.NewReader(r.raw))
	if err != nil {
		t.Fatalf("metadata is not gzipped: %v", err)
	}
	if b, err := io.ReadAll(zr); err != nil || !strings.HasPrefix(string(b), `{"resourceType":"CapabilityStatement"`) {
		t.Errorf("metadata gunzips to %.60q, %v", b, err)
	}
	if r := f.do("GET", "/metadata", "", "Accept-Encoding", "gzip;q=0"); r.head.Get("Content-Encoding") != "" {
		t.Error("gzip for a client that refuses it")
	}
}
