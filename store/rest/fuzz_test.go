package rest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/rest"
	"tram/store/storetest"
)

// mostAnswered is what an answer to fuzzed input may be long: the input is far shorter than
// a body may be, and there are few records.
const mostAnswered = 1 << 20

// asking is a face for fuzzing with a few records, and a request to it.
func asking(f *testing.F) func(t *testing.T, method, path, kind, body string) (int, *fhir.Value) {
	f.Helper()
	r4, err := loadR4()
	if err != nil {
		f.Fatal(err)
	}
	s := storetest.Open(f, store.Options{Name: "tram-a", Top: true, R4: r4})
	h, err := rest.New(rest.Options{Backend: s, Past: s, R4: r4, Base: "http://x/fhir", Caller: func(*http.Request) rest.Caller { return rest.Caller{Author: "lan"} }})
	if err != nil {
		f.Fatal(err)
	}
	ask := func(method, path, kind, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, "/fhir/", strings.NewReader(body))
		address, query, _ := strings.Cut(path, "?")
		req.URL = &url.URL{Path: "/fhir" + address, RawQuery: query}
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	for path, body := range map[string]string{
		"/Patient/p1":     withID(patient, "p1"),
		"/Observation/o1": `{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":120.50}}`,
		"/ValueSet/v1":    `{"resourceType":"ValueSet","id":"v1","status":"active","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"8480-6"}]}]}}`,
	} {
		if w := ask("PUT", path, "application/fhir+json", body); w.Code != http.StatusCreated {
			f.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	return func(t *testing.T, method, path, kind, body string) (int, *fhir.Value) {
		t.Helper()
		w := ask(method, path, kind, body)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Fatalf("%s %q %q: %d %s", method, path, body, w.Code, w.Body)
		}
		if w.Body.Len() > mostAnswered {
			t.Fatalf("%s %q: an answer of %d bytes", method, path, w.Body.Len())
		}
		if w.Body.Len() == 0 {
			return w.Code, nil
		}
		v, err := fhir.Parse(w.Body.Bytes(), fhir.Limits{})
		if err != nil {
			t.Fatalf("%s %q: the answer is no JSON: %v", method, path, err)
		}
		return w.Code, v
	}
}

// FuzzSearch lets anybody ask anything: what is answered is a page or says what is wrong.
func FuzzSearch(f *testing.F) {
	for _, q := range []string{
		"patient.name=dang&_include=Observation:patient", "_has:Observation:patient:code=8480-6", "code-value-quantity=8480-6$gt120",
		"code:in=ValueSet/v1&_sort=-date,code&_count=1", "value-quantity=le120.5||&_total=none", `code=a\,b|c\|d&_elements=code`,
		"date=ge2026-03&_lastUpdated=lt2027", "patient:Patient.organization.partof:missing=true", "_summary=true&_revinclude:iterate=Encounter:patient", "_page=AAAA",
	} {
		f.Add("Observation", q)
		f.Add("Patient", q)
	}
	ask := asking(f)
	f.Fuzz(func(t *testing.T, kind, query string) {
		if strings.ContainsAny(kind, "/$?") || len(query) > 4<<10 {
			return
		}
		if status, v := ask(t, "GET", "/"+kind+"?"+query, "", ""); status == http.StatusOK && v.Str("resourceType") != "Bundle" && kind != "metadata" {
			t.Fatalf("%s?%s: %s", kind, query, v.Str("resourceType"))
		}
	})
}

// FuzzPatch lets anybody patch: the record keeps its kind, its id and the digits that the
// patch does not touch, and stays valid.
func FuzzPatch(f *testing.F) {
	for _, p := range []string{
		`[{"op":"replace","path":"/status","value":"amended"}]`, `[{"op":"test","path":"/valueQuantity/value","value":120.50}]`,
		`[{"op":"copy","from":"/code","path":"/category/0"}]`, `[{"op":"move","from":"/subject","path":"/focus"}]`, `[{"op":"add","path":"/note/-","value":{"text":"x"}}]`,
		`[{"op":"add","path":"","value":{}}]`, `[{"op":"remove","path":"/code/coding/0/~1~0"}]`, `[{"op":"copy","from":"","path":"/code/coding/0"}]`, `[{"op":"add","path":"/code/coding/99999999999","value":1}]`,
	} {
		f.Add(p)
	}
	ask := asking(f)
	f.Fuzz(func(t *testing.T, patch string) {
		if len(patch) > 64<<10 {
			return
		}
		status, v := ask(t, "PATCH", "/Observation/o1", "application/json-patch+json", patch)
		if status == http.StatusOK && (v.Str("resourceType") != "Observation" || v.Str("id") != "o1") {
			t.Fatalf("%q made %s/%s", patch, v.Str("resourceType"), v.Str("id"))
		}
		if status, v := ask(t, "GET", "/Observation/o1", "", ""); status != http.StatusOK || v.Str("resourceType") != "Observation" {
			t.Fatalf("%q: then %d", patch, status)
		}
	})
}

// FuzzBundle lets anybody post any Bundle: it is carried out or refused whole, and says why.
func FuzzBundle(f *testing.F) {
	for _, b := range []string{
		bundle("transaction", entry("urn:uuid:a", "POST", "Patient", patient), entry("", "PUT", "Observation/o2", `{"resourceType":"Observation","id":"o2","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:a"}}`)),
		bundle("batch", entry("", "GET", "Patient/p1", ""), entry("", "DELETE", "Patient?name=none", ""), entry("", "GET", "Observation?patient.name=dang", "")),
		bundle("transaction", entry("", "PATCH", "Observation/o1", `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="}`)),
		`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=x"},"resource":{"resourceType":"Patient"}}]}`,
	} {
		f.Add(b)
	}
	ask := asking(f)
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 64<<10 {
			return
		}
		if status, v := ask(t, "POST", "/", "application/fhir+json", body); status == http.StatusOK && !strings.HasSuffix(v.Str("type"), "-response") {
			t.Fatalf("%q: %s", body, v.Str("type"))
		}
	})
}
