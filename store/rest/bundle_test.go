package rest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func bundle(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

// entry makes an entry of a request; extra are further fields of the request.
func entry(fullURL, method, url, resource string, extra ...string) string {
	var b strings.Builder
	b.WriteString("{")
	if fullURL != "" {
		b.WriteString(`"fullUrl":"` + fullURL + `",`)
	}
	if resource != "" {
		b.WriteString(`"resource":` + resource + `,`)
	}
	b.WriteString(`"request":{"method":"` + method + `","url":"` + url + `"`)
	for i := 0; i+1 < len(extra); i += 2 {
		fmt.Fprintf(&b, `,%q:%q`, extra[i], extra[i+1])
	}
	return b.String() + "}}"
}

func observation(subject string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"weight"},"subject":{"reference":"` + subject + `"},"valueQuantity":{"value":50.50,"unit":"kg"}}`
}

func identified(kind, value string) string {
	return `{"resourceType":"` + kind + `","identifier":[{"system":"urn:s","value":"0790` + value + `"}]}`
}

const (
	uuid1 = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f01"
	uuid2 = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f02"
)

func statuses(r reply) string {
	var out []string
	for _, e := range entries(r) {
		out = append(out, e.Status[:3])
	}
	return strings.Join(out, " ")
}

func TestClient10ConditionalWrites(t *testing.T) {
	f := serve(t)
	one := identified("Patient", "1")
	made := f.want(201, "POST", "/Patient", one, "If-None-Exist", "identifier=urn:s|07901")
	again := f.want(200, "POST", "/Patient", one, "If-None-Exist", "identifier=urn%3As%7C07901")
	f.want(200, "POST", "/Patient", one, "If-None-Exist", "Patient?identifier=urn:s|07901")
	if made.body.Str("id") != again.body.Str("id") || again.head.Get("ETag") != made.head.Get("ETag") {
		t.Errorf("conditional create made %s, then %s", made.body.Str("id"), again.body.Str("id"))
	}
	id := made.body.Str("id")
	changed := strings.Replace(one, `"identifier"`, `"gender":"male","identifier"`, 1)
	if got := f.want(200, "PUT", "/Patient?identifier=urn:s|07901", changed).body.Str("id"); got != id {
		t.Errorf("conditional update wrote %s, want %s", got, id)
	}
	f.want(201, "PUT", "/Patient?identifier=urn:s|07902", identified("Patient", "2"))
	f.want(201, "PUT", "/Patient?identifier=urn:s|07903", withID(identified("Patient", "3"), "three"))
	f.want(200, "GET", "/Patient/three", "")
	f.want(400, "PUT", "/Patient?identifier=urn:s|07903", withID(identified("Patient", "3"), "four"))
	f.want(409, "PUT", "/Patient?identifier=urn:s|07909", withID(identified("Patient", "9"), "three"))
	f.want(412, "PUT", "/Patient?identifier=urn:s|07901", changed, "If-Match", `W/"x"`)
	f.create("Patient", one)
	f.want(412, "POST", "/Patient", one, "If-None-Exist", "identifier=urn:s|07901")
	f.want(412, "PUT", "/Patient?identifier=urn:s|07901", one)
	f.want(412, "DELETE", "/Patient?identifier=urn:s|07901", "")
	f.want(204, "DELETE", "/Patient?identifier=urn:s|07902", "")
	f.want(204, "DELETE", "/Patient?identifier=urn:s|07902", "")
	for _, criteria := range []string{"x=1", "identifier=", "name.x=1", "_format=json", "birthdate=x"} {
		f.want(400, "POST", "/Patient", one, "If-None-Exist", criteria)
		f.want(400, "DELETE", "/Patient?"+criteria, "")
	}
	f.want(400, "DELETE", "/Patient", "")
	f.want(400, "PUT", "/Patient", one)
}

func TestClient10ConditionalCreatesSideBySideMakeOne(t *testing.T) {
	f := serve(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f.do("POST", "/Patient", identified("Patient", "1"), "If-None-Exist", "identifier=urn:s|07901")
		})
	}
	wg.Wait()
	if got := f.want(200, "GET", "/Patient?identifier=urn:s|07901", "").body.Str("total"); got != "1" {
		t.Errorf("%s records, want 1", got)
	}
}

func TestClient11Transaction(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/old", withID(patient, "old"))
	f.want(201, "PUT", "/Organization/org", withID(identified("Organization", "o1"), "org"))
	r := f.want(200, "POST", "", bundle("transaction",
		entry("", "GET", "Patient/old", ""),
		entry(uuid2, "POST", "Observation", observation(uuid1)),
		entry("", "PUT", "Encounter/e1", `{"resourceType":"Encounter","id":"e1","status":"planned","class":{"code":"AMB"},"subject":{"reference":"`+uuid1+`"},"serviceProvider":{"reference":"Organization?identifier=urn:s|0790o1"},"reasonReference":[{"reference":"`+uuid2+`"}]}`),
		entry(uuid1, "POST", "Patient", withID(patient, "x")),
		entry("", "DELETE", "Patient/old", ""),
		entry("", "GET", "Encounter?_id=e1", ""),
	))
	if issues := f.r4.Check(r.body); len(issues) > 0 || r.body.Str("type") != "transaction-response" {
		t.Errorf("not valid R4: %v: %s", issues, r.raw)
	}
	if got, want := statuses(r), "410 201 201 201 204 200"; got != want {
		t.Fatalf("statuses %s, want %s", got, want)
	}
	all := entries(r)
	for _, i := range []int{1, 2, 3} {
		if e := all[i]; e.ETag == "" || !strings.HasPrefix(e.Location, f.base+"/") || e.LastModified == "" || e.Resource != nil {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	obs := f.want(200, "GET", all[1].Location, "").body
	pat := f.want(200, "GET", all[3].Location, "").body
	enc := f.want(200, "GET", "/Encounter/e1", "").body
	if got, want := obs.Str("subject", "reference"), "Patient/"+pat.Str("id"); got != want {
		t.Errorf("Observation.subject = %s, want %s", got, want)
	}
	if got := enc.Str("subject", "reference") + " " + enc.Str("serviceProvider", "reference") + " " + first(enc.Get("reasonReference")).Str("reference"); got != "Patient/"+pat.Str("id")+" Organization/org Observation/"+obs.Str("id") {
		t.Errorf("Encounter refers to %s", got)
	}
	if all[5].Resource.Str("total") != "1" {
		t.Errorf("the search sees %s encounters of this transaction", all[5].Resource.Str("total"))
	}
}

// A relative reference is relative to its entry's fullUrl (FHIR R4 bundle
// "references"); without one it means the record that is here.
func TestClient11RelativeReferences(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/a", withID(patient, "a"))
	for _, c := range []struct {
		base string
		here bool
	}{{"http://x.example/r4/", false}, {"", true}} {
		urls := []string{"", ""}
		if c.base != "" {
			urls = []string{c.base + "Patient/a", c.base + "Observation/b"}
		}
		r := f.want(200, "POST", "/", bundle("transaction",
			entry(urls[0], "POST", "Patient", withID(patient, "a")), entry(urls[1], "POST", "Observation", withID(observation("Patient/a"), "b"))))
		subject := f.want(200, "GET", entries(r)[1].Location, "").body.Str("subject", "reference")
		if (subject == "Patient/a") != c.here || !c.here && !strings.Contains(entries(r)[0].Location, subject) {
			t.Errorf("base %q: subject is %s, the new patient %s", c.base, subject, entries(r)[0].Location)
		}
	}
}

// A condition that two entries share means one record, in references too.
func TestClient11ConditionalReferenceToWhatTheTransactionCreates(t *testing.T) {
	f := serve(t)
	body := bundle("transaction",
		entry("", "POST", "Observation", observation("Patient?identifier=urn:s|07901")),
		entry("", "POST", "Patient", identified("Patient", "1"), "ifNoneExist", "identifier=urn:s|07901"))
	for _, want := range []string{"201 201", "201 200"} {
		r := f.want(200, "POST", "/", body)
		if statuses(r) != want {
			t.Errorf("statuses %s, want %s", statuses(r), want)
		}
		obs := f.want(200, "GET", entries(r)[0].Location, "").body
		if got, want := f.base+"/"+obs.Str("subject", "reference"), entries(r)[1].Location; !strings.HasPrefix(want, got+"/_history/") {
			t.Errorf("subject is %s, want %s", got, want)
		}
	}
}

// Two conditional writes of a transaction that mean one person do not make it twice (FHIR R4
// http.html#trules): identities that overlap refuse the whole.
func TestConditionalWritesOfATransactionMakeOne(t *testing.T) {
	const asked, path = "identifier=urn:s|07901", "/Patient?identifier=urn:s|07901&_summary=count"
	f := serve(t)
	put := entry("", "PUT", "Patient?"+asked, identified("Patient", "1"))
	again := entry("", "PUT", "Patient?_format=json&identifier=urn:s%7C07901", identified("Patient", "1"))
	post := entry("", "POST", "Patient", identified("Patient", "1"), "ifNoneExist", asked)
	patch := entry("", "PATCH", "Patient?"+asked, `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL2FjdGl2ZSIsInZhbHVlIjp0cnVlfV0="}`)
	for name, entries := range map[string][]string{
		"updates": {put, put}, "written otherwise": {put, again}, "create and update": {post, put}, "update and create": {put, post}, "create and patch": {post, patch},
	} {
		if r := f.do("POST", "/", bundle("transaction", entries...)); r.status != 400 || r.problem() != "twice" {
			t.Errorf("%s: %d %s, want 400 twice", name, r.status, r.problem())
		}
		if got := f.want(200, "GET", path, "").body.Get("total").Text; got != "0" {
			t.Errorf("%s: %s Patients", name, got)
		}
	}
	// What a conditional update makes is what a condition means.
	f.want(200, "POST", "/", bundle("transaction", put, entry("", "POST", "Observation", observation("Patient?"+asked))))
	id := first(f.want(200, "GET", "/Patient?"+asked, "").body.Get("entry")).Get("resource").Str("id")
	if got := f.want(200, "GET", "/Observation?patient="+id, ""); len(entries(got)) != 1 {
		t.Errorf("%d Observations of the person, want 1", len(entries(got)))
	}
	f.want(200, "POST", "/", bundle("batch", put, put))
	if got := f.want(200, "GET", path, "").body.Get("total").Text; got != "1" {
		t.Errorf("a batch made it %s times", got)
	}
}

func TestClient11RefusedTransactionWritesNothing(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	f.create("Patient", identified("Patient", "twin"))
	f.create("Patient", identified("Patient", "twin"))
	f.want(201, "PUT", "/Organization/o5", withID(identified("Organization", "5"), "o5"))
	good := entry(uuid1, "POST", "Group", `{"resourceType":"Group","type":"person","actual":true}`)
	for _, c := range []struct {
		name, bad string
		want      int
		code      string
	}{
		{"invalid resource", entry("", "POST", "Patient", `{"resourceType":"Patient","gender":"x"}`), 422, "bad-code"},
		{"other kind", entry("", "POST", "Flag", patient), 400, "other-kind"},
		{"other id", entry("", "PUT", "Patient/p2", withID(patient, "p1")), 400, "other-id"},
		{"stale", entry("", "PUT", "Patient/p1", withID(patient, "p1"), "ifMatch", `W/"x"`), 412, "stale"},
		{"exists", entry("", "PUT", "Patient/p1", withID(patient, "p1"), "ifNoneMatch", "*"), 412, "exists"},
		{"reference without match", entry("", "POST", "Observation", observation("Patient?identifier=urn:s|0790none")), 412, "no-match"},
		{"reference with two matches", entry("", "POST", "Observation", observation("Patient?identifier=urn:s|0790twin")), 412, "many-matches"},
		{"condition with two matches", entry("", "POST", "Patient", patient, "ifNoneExist", "identifier=urn:s|0790twin"), 412, "many-matches"},
		{"one id twice", entry("", "PUT", "Patient/p1", withID(patient, "p1")) + "," + entry("", "DELETE", "Patient/p1", ""), 400, "twice"},
		{"a condition that meets what is deleted", entry("", "POST", "Organization", identified("Organization", "5"), "ifNoneExist", "identifier=urn:s|07905") + "," + entry("", "DELETE", "Organization/o5", ""), 400, "twice"},
		{"one fullUrl twice", entry(uuid1, "POST", "Patient", patient), 400, "same-url"},
		{"patch", entry("", "PATCH", "Patient/p1", ""), 400, "bad-patch"},
		{"operation", entry("", "POST", "ValueSet/$lookup", patient), 404, "unknown-operation"},
		{"unknown kind", entry("", "POST", "Pateint", patient), 404, "unknown-kind"},
		{"elsewhere", entry("", "PUT", "http://other.example/fhir/Patient/p1", withID(patient, "p1")), 400, "bad-entry"},
		{"no resource", entry("", "POST", "Patient", ""), 400, "bad-entry"},
		{"no request", `{"resource":` + patient + `}`, 400, "bad-entry"},
		{"no object", `7`, 400, "bad-entry"},
		{"a Bundle in it", entry("", "POST", "/", bundle("batch")), 400, "bad-entry"},
	} {
		r := f.do("POST", "/", bundle("transaction", good, c.bad))
		if r.status != c.want || r.problem() != c.code {
			t.Errorf("%s: got %d %s, want %d %s", c.name, r.status, r.problem(), c.want, c.code)
		}
		if path := first(first(r.body.Get("issue")).Get("expression")); path == nil || !strings.HasPrefix(path.Text, "Bundle.entry[") {
			t.Errorf("%s: does not say which entry: %s", c.name, r.raw)
		}
	}
	if got := f.want(200, "GET", "/Group", "").body.Str("total"); got != "0" {
		t.Errorf("%s records of refused transactions", got)
	}
	if got := f.want(200, "GET", "/Patient/p1/_history", "").body.Str("total"); got != "1" {
		t.Errorf("p1 has %s versions, want 1", got)
	}
}

func TestClient12Batch(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	r := f.want(200, "POST", "/", bundle("batch",
		entry("", "POST", "Patient", patient),
		entry("", "POST", "Patient", `{"resourceType":"Patient","gender":"x"}`),
		entry("", "GET", "Patient/p1", ""),
		entry("", "GET", "Patient/none", ""),
		entry("", "PUT", "Patient/p2", withID(patient, "p2")),
		entry("", "GET", "Patient?gender=female", ""),
		entry("", "DELETE", "Patient/p1", ""),
		entry("", "PATCH", "Patient/p1", ""),
		entry("", "GET", "Patient/_history", ""),
		entry("", "GET", "metadata", ""),
	))
	if got, want := statuses(r), "201 422 200 404 201 200 204 400 200 200"; got != want {
		t.Errorf("statuses %s, want %s", got, want)
	}
	if issues := f.r4.Check(r.body); len(issues) > 0 || r.body.Str("type") != "batch-response" {
		t.Errorf("not valid R4: %v", issues)
	}
	for i, e := range entries(r) {
		if failed := e.Status[0] == '4'; failed != (e.Outcome.Str("resourceType") == "OperationOutcome") {
			t.Errorf("entry %d: %s with outcome %v", i, e.Status, e.Outcome != nil)
		}
	}
	r = f.want(200, "POST", "/", bundle("batch", entry("", "POST", "Patient", patient)), "Prefer", "return=representation")
	if got := entries(r)[0].Resource.Str("birthDate"); got != "1961-02-03" {
		t.Errorf("return=representation shows %q", got)
	}
	for name, body := range map[string]string{"collection": bundle("collection", entry("", "GET", "Patient", "")), "no Bundle": patient} {
		if r := f.do("POST", "/", body); r.status != 400 || r.problem() != "not-a-bundle" {
			t.Errorf("%s: got %d %s", name, r.status, r.problem())
		}
	}
}

func TestClient13ConditionsInBundles(t *testing.T) {
	f := serve(t)
	etag := strings.ReplaceAll(f.want(201, "PUT", "/Patient/p1", withID(patient, "p1")).head.Get("ETag"), `"`, "")
	etag = `W/"` + strings.TrimPrefix(etag, "W/") + `"`
	for _, kind := range []string{"batch", "transaction"} {
		r := f.want(200, "POST", "/", bundle(kind,
			entry("", "GET", "Patient/p1", "", "ifNoneMatch", etag),
			entry("", "POST", "Patient", identified("Patient", kind), "ifNoneExist", "identifier=urn:s|0790"+kind),
			entry("", "POST", "Patient", identified("Patient", kind), "ifNoneExist", "identifier=urn:s|0790"+kind),
			entry("", "PUT", "Patient/"+kind, withID(patient, kind), "ifNoneMatch", "*"),
		))
		if got, want := statuses(r), "304 201 200 201"; got != want {
			t.Errorf("%s: statuses %s, want %s: %s", kind, got, want, r.raw)
		}
		if a, b := entries(r)[1].Location, entries(r)[2].Location; kind == "transaction" && a == "" || a != b {
			t.Errorf("%s: one condition made %s and %s", kind, a, b)
		}
	}
	r := f.want(200, "POST", "/", bundle("transaction", entry("", "PUT", "Patient/p1", strings.Replace(withID(patient, "p1"), "1961", "1962", 1), "ifMatch", etag)))
	if statuses(r) != "200" {
		t.Errorf("ifMatch: %s", statuses(r))
	}
	f.want(412, "POST", "/", bundle("transaction", entry("", "DELETE", "Patient/p1", "", "ifMatch", etag)))
}
