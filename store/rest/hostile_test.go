package rest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/rest"
	"tram/store/storetest"
)

// secret stands for a patient's data: no refusal and no log may repeat it.
const secret = "Nguyễn-Thị-Bí-Mật"

func TestClient28EveryRefusalIsAnOutcome(t *testing.T) {
	f := serve(t)
	long := strings.Repeat("x", 9000)
	for _, c := range []struct {
		name, method, path, body string
		want                     int
		code                     string
	}{
		{"not JSON", "POST", "/Patient", secret, 400, "bad-json"},
		{"half JSON", "POST", "/Patient", `{"resourceType":"Patient","name":[{"text":"` + secret, 400, "bad-json"},
		{"empty", "POST", "/Patient", " ", 400, "bad-json"},
		{"a key twice", "POST", "/Patient", `{"resourceType":"Patient","gender":"male","gender":"` + secret + `"}`, 400, "bad-json"},
		{"byte order mark", "POST", "/Patient", "\uFEFF" + patient, 400, "bad-json"},
		{"too deep", "POST", "/Patient", strings.Repeat("[", 100) + strings.Repeat("]", 100), 400, "too-complex"},
		{"a list", "POST", "/Patient", `["` + secret + `"]`, 400, "not-a-resource"},
		{"wrong code", "POST", "/Patient", `{"resourceType":"Patient","gender":"` + secret + `"}`, 422, "bad-code"},
		{"unknown element", "POST", "/Patient", `{"resourceType":"Patient","` + secret + `":1}`, 422, "unknown-element"},
		{"other kind", "POST", "/Patient", `{"resourceType":"` + secret + `"}`, 400, "other-kind"},
		{"unknown kind", "GET", "/Pateint/1", "", 404, "unknown-kind"},
		{"small kind", "GET", "/patient/1", "", 404, "unknown-kind"},
		{"bad id", "GET", "/Patient/a_b", "", 400, "bad-id"},
		{"dots", "GET", "/Patient/%2e%2e%2fmetadata", "", 404, "unknown-route"},
		{"too far down", "GET", "/Patient/1/_history/1/x", "", 404, "unknown-route"},
		{"nothing there", "GET", "/Patient/1/x", "", 404, "unknown-route"},
		{"system search", "GET", "/_search", "", 404, "unknown-route"},
		{"base", "GET", "/", "", 405, "method"},
		{"operation", "POST", "/$reindex", patient, 404, "unknown-operation"},
		{"not a patch", "PATCH", "/Patient/1", patient, 415, "not-a-patch"},
		{"invented method", "FOO", "/Patient", "", 405, "method"},
		{"POST to an instance", "POST", "/Patient/1", patient, 405, "method"},
		{"long URL", "GET", "/Patient?name=" + long, "", 414, "url-too-long"},
		{"many parameters", "GET", "/Patient?" + strings.Repeat("_id=1&", 101), "", 400, "too-many-params"},
		{"many values", "GET", "/Patient?_id=" + strings.Repeat("1,", 1000), "", 400, "too-many-params"},
		{"bad escape", "GET", "/Patient?name=%zz" + secret, "", 400, "bad-url"},
		{"secret in a parameter's name", "GET", "/Patient?name." + secret + "=1", "", 400, "bad-search"},
		{"secret in a date", "GET", "/Patient?birthdate=" + secret, "", 400, "bad-search"},
	} {
		r := f.do(c.method, c.path, c.body, "Prefer", "handling=strict")
		if r.status != c.want || r.problem() != c.code {
			t.Errorf("%s: got %d %s, want %d %s", c.name, r.status, r.problem(), c.want, c.code)
			continue
		}
		f.outcome(r)
		if c.code == "bad-json" && !strings.Contains(first(r.body.Get("issue")).Str("diagnostics"), "(byte ") {
			t.Errorf("%s: does not say where: %s", c.name, r.raw)
		}
		if c.want == 405 && r.head.Get("Allow") == "" {
			t.Errorf("%s: no Allow", c.name)
		}
		if strings.Contains(r.raw, "Nguy") || strings.Contains(r.raw, "Mật") {
			t.Errorf("%s: the answer repeats content: %s", c.name, r.raw)
		}
	}
	f.want(401, "GET", "/Patient", "", "X-Nobody", "1")
	f.want(401, "POST", "/Patient", patient, "X-Nobody", "1")
	if f.log.Len() > 0 {
		t.Errorf("refusals of clients are logged: %s", f.log)
	}
}

func TestClient31Limits(t *testing.T) {
	f := serve(t)
	big := `{"resourceType":"Patient","name":[{"text":"` + strings.Repeat("a", 17<<20) + `"}]}`
	f.want(413, "POST", "/Patient", big)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(big))
	z.Close()
	f.want(413, "POST", "/Patient", packed.String(), "Content-Encoding", "gzip")
	packed.Reset()
	z.Reset(&packed)
	z.Write([]byte("gender=" + strings.Repeat("x", 70<<10)))
	z.Close()
	f.want(413, "POST", "/Patient/_search", packed.String(), "Content-Encoding", "gzip", "Content-Type", "application/x-www-form-urlencoded")
	// A body that does not tell its length.
	req, err := http.NewRequest("POST", f.base+"/Patient", struct{ *strings.Reader }{strings.NewReader(big)})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err == nil { // the server may close before all is sent
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Errorf("chunked: got %d, want 413", resp.StatusCode)
		}
	}
	one := entry("", "GET", "Patient/1", "")
	f.want(413, "POST", "/", bundle("batch", strings.Repeat(one+",", 5000)+one))
	if got := f.want(200, "GET", "/Patient", "").body.Str("total"); got != "0" {
		t.Errorf("%s records", got)
	}
}

// Whatever comes, the face answers, never with a fault of its own, and says why
// it refuses.
func FuzzServe(f *testing.F) {
	f.Add("GET", "/fhir/Patient?name=a,b%5C%2C&_sort=-_id&_count=3", "If-None-Match", `W/"x", "y"`, "")
	f.Add("PUT", "/fhir/Patient/p1", "If-Match", "*", withID(patient, "p1"))
	f.Add("POST", "/fhir/", "Prefer", "return=minimal", bundle("transaction", entry(uuid1, "POST", "Patient", patient), entry("", "GET", "Patient?_id=1", "")))
	f.Add("POST", "/fhir", "Accept", "*/*;q=0.1", bundle("batch", entry("", "DELETE", "Patient?identifier=|", ""), "7", "null"))
	f.Add("GET", "/fhir/Patient/p1/_history/a.b?_elements=,.&_summary=data", "Accept-Encoding", "gzip;q=", "")
	f.Add("GET", "/fhir//_history?_since=2026&_page=AAAAAAAAAAE&_count=99999999999999999999", "X", "", "")
	f.Add("POST", "/fhir/Patient/_search?_total=none", "Content-Type", "application/x-www-form-urlencoded", "birthdate=ge2020&birthdate=ap1&_tag=a%7Cb")
	r4, err := loadR4()
	if err != nil {
		f.Fatal(err)
	}
	s := storetest.Open(f, store.Options{Name: "tram-a", R4: r4})
	var log bytes.Buffer
	h, err := rest.New(rest.Options{Backend: s, Past: s, R4: r4, Base: "http://x/fhir", Caller: func(*http.Request) rest.Caller { return rest.Caller{Author: "lan"} }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, address, header, value, body string) {
		u, err := url.ParseRequestURI(address)
		if err != nil {
			return
		}
		req := httptest.NewRequest("GET", "/", strings.NewReader(body))
		req.Method, req.URL, req.RequestURI = method, u, address
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code >= 500 || log.Len() > 0 {
			t.Fatalf("%s %q (%q: %q) %q: got %d, log %s", method, address, header, value, body, w.Code, &log)
		}
		if w.Code >= 400 {
			v, err := fhir.Parse(w.Body.Bytes(), fhir.Limits{})
			if err != nil || v.Str("resourceType") != "OperationOutcome" {
				t.Fatalf("%s %q: %d with %q", method, address, w.Code, w.Body)
			}
		}
	})
}

// FHIR R4 datatypes "decimal": precision is part of the value.
func TestDigitsSurvive(t *testing.T) {
	f := serve(t)
	body := `{"resourceType":"Observation","status":"final","code":{"text":"x"},"_issued":{"extension":[{"url":"urn:e","valueDecimal":1.00}]},"valueQuantity":{"value":125.00,"unit":"mg"},"component":[{"code":{"text":"a"},"valueQuantity":{"value":1.10e-7}},{"code":{"text":"b"},"valueQuantity":{"value":0.000000000000000000012345678901234567890}}],"note":[{"text":"1 < 2 & é \u0041"}]}`
	want := strings.Replace(strings.Replace(body[1:len(body)-1], `"resourceType":"Observation",`, "", 1), `\u0041`, "A", 1)
	id, _ := f.create("Observation", body)
	for _, path := range []string{"/Observation/" + id, "/Observation?_id=" + id, "/Observation/" + id + "/_history"} {
		if got := f.want(200, "GET", path, "").raw; !strings.Contains(got, want) {
			t.Errorf("%s: %s does not hold %s", path, got, want)
		}
	}
}

func TestOurOwnMetaIsNotTakenIn(t *testing.T) {
	f := serve(t)
	meta := `,"meta":{"versionId":"99","lastUpdated":"1990-01-01T00:00:00Z","profile":["http://p/1"],"tag":[{"system":"urn:tram:state","code":"conflict"},{"system":"urn:x","code":"mine"}]}}`
	id, _ := f.create("Patient", patient[:len(patient)-1]+meta)
	s, err := f.store.Get(record.Key{Kind: "Patient", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(s.Shown.Content), `"meta":{"profile":["http://p/1"],"tag":[{"system":"urn:x","code":"mine"}]}}`; !strings.HasSuffix(got, want) {
		t.Errorf("stored %s, want it to end with %s", got, want)
	}
	id, _ = f.create("Patient", patient[:len(patient)-1]+`,"meta":{"versionId":"99","tag":[{"system":"urn:tram:state","code":"conflict"}]}}`)
	if s, err = f.store.Get(record.Key{Kind: "Patient", ID: id}); err != nil || strings.Contains(string(s.Shown.Content), "meta") {
		t.Errorf("stored %s, %v; want no meta", s.Shown.Content, err)
	}
}

// broken is a store whose reads fail in the way that is set.
type broken struct {
	*store.Store
	get func() error
	put error
}

func (b *broken) Get(key record.Key) (*record.Stand, error) {
	if err := b.get(); err != nil {
		return nil, err
	}
	return b.Store.Get(key)
}

func (b *broken) Put(ctx context.Context, w ...store.Write) ([]*record.Version, error) {
	if b.put != nil {
		return nil, b.put
	}
	return b.Store.Put(ctx, w...)
}

func TestTroubleBehindTheFace(t *testing.T) {
	b := &broken{get: func() error { return nil }}
	f := serve(t, func(o *rest.Options) { b.Store = o.Backend.(*store.Store); o.Backend = b })
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	for _, c := range []struct {
		name string
		put  error
		want int
		code string
	}{
		{"disk full", errors.Join(store.ErrFull, os.ErrInvalid), 507, "disk-full"},
		{"stopped", store.ErrStopped, 503, "stopped"},
		{"always overtaken", record.ErrStale, 409, "busy"},
		{"unknown", errors.New("x"), 500, "internal"},
		{"cancelled", context.Canceled, 503, "cancelled"},
	} {
		b.put = c.put
		if r := f.do("PUT", "/Patient/p2", withID(patient, "p2")); r.status != c.want || r.problem() != c.code {
			t.Errorf("%s: got %d %s, want %d %s", c.name, r.status, r.problem(), c.want, c.code)
		}
	}
	b.put, b.get = nil, func() error { panic(secret) }
	if r := f.want(500, "GET", "/Patient/p1", ""); r.problem() != "internal" {
		t.Errorf("panic: %s", r.problem())
	}
	if log := f.log.String(); !strings.Contains(log, "panicked") || strings.Contains(log, secret) {
		t.Errorf("log of a panic: %.200s", log)
	}
	b.get = func() error { return nil }
	f.want(200, "GET", "/Patient/p1", "")
}

func TestWhoLookedIsToldFirst(t *testing.T) {
	var seen []string
	var refuse error
	f := serve(t, func(o *rest.Options) {
		o.Looked = func(_ context.Context, author, action string, keys []record.Key) error {
			for _, k := range keys {
				seen = append(seen, author+" "+action+" "+k.String())
			}
			return refuse
		}
	})
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	etag := f.want(200, "GET", "/Patient/p1", "").head.Get("ETag")
	f.want(304, "GET", "/Patient/p1", "", "If-None-Match", etag)
	f.want(200, "GET", "/Patient?gender=female", "")
	f.want(200, "GET", "/Patient?_summary=count", "")
	f.want(200, "GET", "/Patient?_lastUpdated=gt2099-01-01", "")
	f.want(200, "GET", "/Organization?name=x", "")
	for _, asks := range []string{"/Condition?patient=p1&code=B24&_summary=count", "/Condition?subject=Patient/p1&code=B24&_count=0", "/Patient/p1/Condition?code=B24",
		"/Condition?patient.gender=female&code=B24", "/Patient?_id=p1&gender=male", "/Patient?name=nobody", "/Observation?code=x"} {
		f.want(200, "GET", asks, "")
	}
	f.want(200, "GET", "/Patient/p1/_history", "")
	f.want(200, "POST", "/", bundle("batch", entry("", "GET", "Patient/p1", "")))
	want := "lan read Patient/p1,lan search Patient/p1," + strings.Repeat("lan search Patient/p1,", 5) + strings.Repeat("lan search /,", 2) + "lan history Patient/p1,lan read Patient/p1"
	if got := strings.Join(seen, ","); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	refuse = errors.New("no room for the audit")
	r := f.want(500, "GET", "/Patient/p1", "")
	if r.problem() != "not-audited" || strings.Contains(r.raw, "1961") {
		t.Errorf("shown without an audit: %s", r.raw)
	}
}

// Who asks about a person by way of another record is heard of, also where only a number comes back.
func TestAskingByWayOfAnotherRecordIsTold(t *testing.T) {
	var seen []string
	f := serve(t, func(o *rest.Options) {
		o.Looked = func(_ context.Context, _, _ string, keys []record.Key) error {
			for _, k := range keys {
				seen = append(seen, k.String())
			}
			return nil
		}
	})
	f.want(201, "PUT", "/Practitioner/d", `{"resourceType":"Practitioner","id":"d"}`)
	f.want(201, "PUT", "/Organization/o", `{"resourceType":"Organization","id":"o","name":"x"}`)
	f.want(201, "PUT", "/Patient/p1", `{"resourceType":"Patient","id":"p1","birthDate":"1961-02-03","managingOrganization":{"reference":"Organization/o"}}`)
	f.want(201, "PUT", "/Observation/hiv", `{"resourceType":"Observation","id":"hiv","status":"final","code":{"coding":[{"code":"HIV"}]},"subject":{"reference":"Patient/p1"},"performer":[{"reference":"Practitioner/d"}]}`)
	f.want(201, "PUT", "/Group/hiv", `{"resourceType":"Group","id":"hiv","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p1"}}]}`)
	for asks, want := range map[string]string{
		"/Practitioner?_has:Observation:performer:patient=p1&_summary=count":    "Patient/p1",
		"/Practitioner?_has:Observation:performer:subject=p1":                   "Practitioner/d,Patient/p1",
		"/Practitioner?_has:Observation:performer:patient.identifier=1":         "/",
		"/Practitioner?_has:Observation:performer:code=HIV&_summary=count":      "Observation/hiv",
		"/Organization?_has:Patient:organization:birthdate=1961-02-03&_count=0": "Patient/p1",
		"/Observation?code=none&patient.birthdate=1961-02-03":                   "Patient/p1",
		"/Group?_id=hiv&member=Patient/p1&_summary=count":                       "Patient/p1",
		"/Group?_id=hiv&member:Patient=p1&_summary=count":                       "Patient/p1",
		"/Group?_id=hiv&member=p1":                                              "Group/hiv,Patient/p1",
		"/Group?_id=hiv&member=Patient/nobody":                                  "Patient/nobody",
		"/Group?member:identifier=urn:s|1&_summary=count":                       "/",
		"/Group?member=Device/d&_summary=count":                                 "",
		"/Organization?name=x&_summary=count":                                   "",
	} {
		seen = nil
		f.want(200, "GET", asks, "")
		if got := strings.Join(seen, ","); got != want {
			t.Errorf("%s: told %s, want %s", asks, got, want)
		}
	}
}

func TestClient31PagesOfOtherOrigins(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	own := strings.TrimSuffix(f.base, "/fhir")
	for origin, want := range map[string]string{own: own, "https://evil.example": "", "null": "", "http://127.0.0.1": "", own + "0": ""} {
		flight := f.want(204, "OPTIONS", "/Patient/p1", "", "Origin", origin, "Access-Control-Request-Method", "PUT", "X-Nobody", "1")
		read := f.want(200, "GET", "/Patient/p1", "", "Origin", origin)
		for _, r := range []reply{flight, read} {
			if got := r.head.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(strings.Join(r.head.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: allowed %q, want %q; Vary %q", origin, got, want, r.head.Values("Vary"))
			}
		}
		if got := strings.Contains(flight.head.Get("Access-Control-Allow-Headers"), "If-Match"); got != (want != "") {
			t.Errorf("%s: headers allowed %v", origin, got)
		}
	}
}

// Who asks before it sends is refused before it sends.
func TestWhoAsksFirstSendsNothing(t *testing.T) {
	f := serve(t)
	at, err := url.Parse(f.base)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /fhir/Patient HTTP/1.1\r\nHost: %s\r\nContent-Type: application/fhir+json\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n", at.Host)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 413 Request Entity Too Large\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}
