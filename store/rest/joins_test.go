package rest_test

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"tram/store/record"
	"tram/store/rest"
)

// ward is a face with two people, their visits, results and who made them.
func ward(t *testing.T) *face {
	t.Helper()
	f := serve(t)
	for path, rest := range map[string]string{
		"Organization/o1":      `,"name":"Trạm y tế Sơn Trà"`,
		"Organization/o2":      `,"name":"Huyện","partOf":{"reference":"Organization/o1"}`,
		"Patient/p1":           `,"name":[{"family":"Đặng"}],"gender":"female","managingOrganization":{"reference":"Organization/o2"}`,
		"Patient/p2":           `,"name":[{"family":"Lê"}],"gender":"male","generalPractitioner":[{"reference":"https://far.example/fhir/Practitioner/9"}]`,
		"Encounter/e1":         `,"status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"}`,
		"Observation/s1":       `,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},"valueQuantity":{"value":150}`,
		"Observation/s2":       `,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/p2"},"performer":[{"reference":"Patient/p1"}]`,
		"MedicationRequest/m1": `,"status":"active","intent":"order","subject":{"reference":"Patient/p1"},"contained":[{"resourceType":"Medication","id":"m","code":{"coding":[{"code":"iron"}]}}],"medicationReference":{"reference":"#m"}`,
		"ValueSet/blood":       `,"status":"active","url":"http://vs/blood","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"8480-6"},{"code":"8462-4"}]}]}`,
		"ValueSet/shown":       `,"status":"active","expansion":{"timestamp":"2026-01-01","contains":[{"abstract":true,"code":"x","contains":[{"system":"http://loinc.org","code":"8867-4"}]}]}`,
		"ValueSet/all":         `,"status":"active","compose":{"include":[{"system":"http://loinc.org"}]}`,
	} {
		kind, id, _ := strings.Cut(path, "/")
		f.want(201, "PUT", "/"+path, `{"resourceType":"`+kind+`","id":"`+id+`"`+rest+`}`)
	}
	return f
}

// all are the records of an answer, those that are included in brackets.
func all(r reply) string {
	var out []string
	if list := r.body.Get("entry"); list != nil {
		for _, e := range list.Items {
			one := e.Get("resource").Str("resourceType") + "/" + e.Get("resource").Str("id")
			if e.Str("search", "mode") == "include" {
				one = "(" + one + ")"
			}
			out = append(out, one)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestClient21ChainsAndIncludes(t *testing.T) {
	f := ward(t)
	for query, want := range map[string]string{
		"Observation?patient.name=dang":                                                         "Observation/s1",
		"Observation?subject:Patient.name=dang":                                                 "Observation/s1",
		"Observation?subject.name:exact=L%C3%AA":                                                "Observation/s2",
		"Observation?patient:Patient.organization.name=huy":                                     "Observation/s1",
		"Observation?patient.organization.partof.name=tram":                                     "Observation/s1",
		"Observation?patient.organization.name=tram":                                            "",
		"Observation?patient.name=dang&code=8867-4":                                             "",
		"Patient?_has:Observation:patient:code=8480-6":                                          "Patient/p1",
		"Patient?_has:Observation:patient:code=8480-6,8867-4":                                   "Patient/p1 Patient/p2",
		"Patient?_has:Observation:performer:code=8867-4":                                        "Patient/p1",
		"Organization?_has:Patient:organization:_has:Observation:patient:code=8480-6":           "Organization/o2",
		"Patient?_has:Observation:patient:encounter.class=AMB":                                  "Patient/p1",
		"Observation?_id=s1&_include=Observation:patient":                                       "(Patient/p1) Observation/s1",
		"Observation?_id=s1&_include=Observation:subject:Patient&_include=Patient:organization": "(Patient/p1) Observation/s1",
		"Observation?_id=s1&_include=Observation:subject:Group":                                 "Observation/s1",
		"Observation?_id=s1&_include=*":                                                         "(Encounter/e1) (Patient/p1) Observation/s1",
		"Observation?_id=s1&_include=Observation:patient&_include:iterate=Patient:organization&_include:iterate=Organization:partof": "(Organization/o1) (Organization/o2) (Patient/p1) Observation/s1",
		"Patient?_id=p1&_revinclude=Observation:patient":                                               "(Observation/s1) Patient/p1",
		"Patient?_id=p1&_revinclude=Observation:performer&_revinclude=Encounter:patient":               "(Encounter/e1) (Observation/s2) Patient/p1",
		"Organization?_id=o2&_revinclude=Patient:organization&_revinclude:iterate=Observation:patient": "(Observation/s1) (Patient/p1) Organization/o2",
		"Patient?_id=p2&_include=Patient:general-practitioner":                                         "Patient/p2",
		"MedicationRequest?medication.code=iron":                                                       "MedicationRequest/m1",
		"MedicationRequest?medication:Medication.code=zinc":                                            "",
		"Observation?subject=BASE/Patient/p1":                                                          "Observation/s1",
		"Observation?component-code-value-quantity=8480-6$150":                                         "",
		"Observation?code-value-quantity=8480-6$gt140":                                                 "Observation/s1",
		"Observation?code:in=ValueSet/blood":                                                           "Observation/s1",
		"Observation?code:in=http://vs/blood":                                                          "Observation/s1",
		"Observation?code:in=ValueSet/shown":                                                           "Observation/s2",
		"Observation?code:not-in=ValueSet/blood":                                                       "Observation/s2",
	} {
		r := f.want(200, "GET", "/"+strings.ReplaceAll(query, "BASE", f.base), "")
		if got := all(r); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		if issues := f.r4.Check(r.body); len(issues) > 0 {
			t.Errorf("%s: not valid R4: %v", query, issues)
		}
	}
	for query, code := range map[string]string{
		"Observation?code:in=ValueSet/all": "no-codes", "Observation?code:in=ValueSet/none": "no-codes",
		"Organization?partof.partof.partof.partof.partof.name=x": "too-wide",
		"Observation?patient.=x":                                 "bad-search", "Observation?patient:Nobody.name=x": "bad-search", "Observation?patient.birthdate=soon": "bad-search",
	} {
		if got := f.want(400, "GET", "/"+query, "").problem(); got != code {
			t.Errorf("%s: %s, want %s", query, got, code)
		}
	}
}

func TestClient30CompartmentSearch(t *testing.T) {
	f := ward(t)
	for path, want := range map[string]string{
		"/Patient/p1/Observation": "Observation/s1 Observation/s2", "/Patient/p1/Observation?code=8480-6": "Observation/s1",
		"/Patient/p2/Observation": "Observation/s2", "/Patient/p2/Encounter": "", "/Patient/none/Encounter": "",
	} {
		r := f.want(200, "GET", path, "")
		if got := all(r); got != want || !strings.HasPrefix(link(r, "self"), f.base+strings.Split(path, "?")[0]) {
			t.Errorf("%s: %q (%s), want %q", path, got, link(r, "self"), want)
		}
	}
	if got := all(f.want(200, "POST", "/Patient/p1/Observation/_search", "code=8480-6", "Content-Type", "application/x-www-form-urlencoded")); got != "Observation/s1" {
		t.Errorf("by POST: %s", got)
	}
	f.want(404, "GET", "/Group/g/Observation", "")
	f.want(405, "PUT", "/Patient/p1/Observation", "{}")
}

func TestScopesHold(t *testing.T) {
	f := ward(t)
	o := `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`
	patch := `[{"op":"add","path":"/status","value":"amended"}]`
	for _, c := range []struct {
		may, method, path, body string
		want                    int
	}{
		{"r Observation", "GET", "/Observation/s1", "", 200}, {"s Observation", "GET", "/Observation/s1", "", 403},
		{"r Observation", "GET", "/Observation/s1/_history", "", 200}, {"r Observation", "GET", "/Observation/_history", "", 403},
		{"s Observation", "GET", "/Observation", "", 200}, {"r Observation", "GET", "/Observation", "", 403}, {"s Observation", "GET", "/Patient", "", 403},
		{"s Observation", "GET", "/_history", "", 403}, {"s Observation", "GET", "/Patient/p1/Observation", "", 200},
		{"c Observation", "POST", "/Observation", o, 201}, {"ru Observation", "POST", "/Observation", o, 403},
		{"c Observation", "PUT", "/Observation/n", withID(o, "n"), 403}, {"u Observation", "PUT", "/Observation/n", withID(o, "n"), 201},
		{"c Observation", "PATCH", "/Observation/n", patch, 403}, {"u Observation", "PATCH", "/Observation/n", patch, 200},
		{"u Observation", "DELETE", "/Observation/n", "", 403}, {"d Observation", "DELETE", "/Observation/n", "", 204},
		{"d Observation", "DELETE", "/Observation?code=x", "", 403},
		{"s Observation", "GET", "/Observation?patient.name=dang", "", 403},
		{"s Patient", "GET", "/Patient?_has:Observation:patient:code=1", "", 403},
		{"s Patient", "GET", "/Patient?_revinclude=Observation:patient", "", 403},
		{"s Observation", "GET", "/Observation?code:in=ValueSet/blood", "", 403},
		{"c Observation", "POST", "/", bundle("transaction", entry("", "POST", "Observation", o), entry("", "POST", "Patient", patient)), 403},
		{"c Observation", "POST", "/", bundle("transaction", entry("", "POST", "Observation", strings.Replace(o, `"status"`, `"subject":{"reference":"Patient?name=dang"},"status"`, 1))), 403},
		{"r Patient", "GET", "/metadata", "", 200}, {"r Patient", "POST", "/$validate", patient, 200},
	} {
		kind := ""
		if c.method == "PATCH" {
			kind = "application/json-patch+json"
		} else if c.body != "" {
			kind = "application/fhir+json"
		}
		if got := f.do(c.method, c.path, c.body, "X-May", c.may, "Content-Type", kind); got.status != c.want || c.want == 403 && got.problem() != "forbidden" {
			t.Errorf("%s: %s %s: %d %s, want %d", c.may, c.method, c.path, got.status, got.raw, c.want)
		}
	}
	if got := all(f.want(200, "GET", "/Observation?_id=s1&_include=Observation:patient", "", "X-May", "s Observation")); got != "Observation/s1" {
		t.Errorf("included what the token does not cover: %s", got)
	}
	if got := all(f.want(200, "GET", "/Patient/p1/$everything", "", "X-May", "r Patient")); got != "Patient/p1" {
		t.Errorf("everything: %s", got)
	}
	r := f.want(200, "POST", "/", bundle("batch", entry("", "GET", "Observation/s1", ""), entry("", "GET", "Patient/p1", "")), "X-May", "r Observation")
	if got := statuses(r); got != "200 403" {
		t.Errorf("batch: %s", got)
	}
}

// A write shows nothing that its caller did not send and may not read, and tells the audit
// where it does, and where all it does is to tell what stands in a record.
func TestWritesShowWhatMayBeRead(t *testing.T) {
	var looked []string
	f := serve(t, func(o *rest.Options) {
		o.Looked = func(_ context.Context, _, action string, keys []record.Key) error {
			looked = append(looked, action+" "+keys[0].String())
			return nil
		}
	})
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	test := func(gender string) string { return `[{"op":"test","path":"/gender","value":"` + gender + `"}]` }
	nothing := `[{"op":"replace","path":"/gender","value":"female"}]`
	in := `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"` + base64.StdEncoding.EncodeToString([]byte(nothing)) + `"}`
	for _, c := range []struct {
		may, method, path, body, kind, exist string
		status                               int
	}{
		{"u Patient", "PATCH", "/Patient/p1", nothing, "application/json-patch+json", "", 200},
		{"cs Patient", "POST", "/Patient", patient, "application/fhir+json", "_id=p1", 200},
		{"u Patient", "POST", "/", bundle("transaction", entry("", "PATCH", "Patient/p1", in)), "application/fhir+json", "", 200},
	} {
		for _, full := range []bool{false, true} {
			may := c.may
			if full {
				may = "r" + may
			}
			looked = nil
			r := f.do(c.method, c.path, c.body, "X-May", may, "Content-Type", c.kind, "If-None-Exist", c.exist, "Prefer", "return=representation")
			if shows := strings.Contains(r.raw, "Nguy"); r.status != c.status || shows != full || !slices.Equal(looked, []string{"read Patient/p1"}) {
				t.Errorf("%s %s with %q: %d, audited %v: %s", c.method, c.path, may, r.status, looked, r.raw)
			}
		}
	}
	for gender, want := range map[string]int{"female": 200, "male": 422} {
		if r := f.do("PATCH", "/Patient/p1", test(gender), "X-May", "u Patient", "Content-Type", "application/json-patch+json"); r.status != 403 {
			t.Errorf("a patch that asks, of who may not read: %d", r.status)
		}
		looked = nil
		if r := f.do("PATCH", "/Patient/p1", test(gender), "X-May", "ru Patient", "Content-Type", "application/json-patch+json", "Prefer", "return=minimal"); r.status != want || !slices.Equal(looked, []string{"read Patient/p1"}) {
			t.Errorf("a patch that asks: %d, audited %v", r.status, looked)
		}
	}
	looked = nil
	f.want(200, "PATCH", "/Patient/p1", `[{"op":"add","path":"/active","value":false}]`, "X-May", "u Patient", "Content-Type", "application/json-patch+json")
	f.want(201, "POST", "/Patient", patient, "X-May", "c Patient", "Prefer", "return=representation")
	if len(looked) > 0 {
		t.Errorf("what was sent is no reading: %v", looked)
	}
}

// A chain looks at so many records in all, however many kinds it might lead to.
func TestChainsHaveOneBudget(t *testing.T) {
	f := ward(t)
	f.want(400, "GET", "/Observation?focus._has:Observation:subject:code=8480-6", "")
	if got := all(f.want(200, "GET", "/Observation?subject:Patient._has:Observation:patient:code=8480-6", "")); got != "Observation/s1" {
		t.Errorf("of a kind that is named: %s", got)
	}
}

func TestClient14Patch(t *testing.T) {
	f := serve(t)
	id, tag := f.create("Observation", `{"resourceType":"Observation","status":"preliminary","code":{"text":"1 < 2"},"valueQuantity":{"value":5.40,"unit":"mmol/L"}}`)
	patch := func(want int, body string, headers ...string) reply {
		t.Helper()
		return f.want(want, "PATCH", "/Observation/"+id, body, append([]string{"Content-Type", "application/json-patch+json; charset=UTF-8"}, headers...)...)
	}
	r := patch(200, `[{"op":"test","path":"/status","value":"preliminary"},{"op":"replace","path":"/status","value":"final"},{"op":"add","path":"/note","value":[{"text":"5.00 < 6"}]}]`, "If-Match", tag)
	if !strings.Contains(r.raw, `"value":5.40`) || r.body.Str("status") != "final" || first(r.body.Get("note")).Str("text") != "5.00 < 6" || r.body.Str("code", "text") != "1 < 2" {
		t.Errorf("patched: %s", r.raw)
	}
	if r.head.Get("ETag") == tag || r.body.Str("meta", "versionId") == "" {
		t.Errorf("no new version: %s", r.head.Get("ETag"))
	}
	same := patch(200, `[{"op":"test","path":"/status","value":"final"}]`)
	if same.head.Get("ETag") != r.head.Get("ETag") {
		t.Errorf("a patch that changes nothing made a version")
	}
	for body, want := range map[string]string{
		`[{"op":"test","path":"/status","value":"amended"}]`:          "patch-failed",
		`[{"op":"remove","path":"/nothing"}]`:                         "patch-failed",
		`[{"op":"replace","path":"/id","value":"other"}]`:             "patch-moves",
		`[{"op":"replace","path":"/resourceType","value":"Patient"}]`: "patch-moves",
		`[{"op":"replace","path":"/status","value":"nonsense"}]`:      "bad-code",
		`[{"op":"copy","from":"","path":"/x"}]`:                       "unknown-element",
		`[{"op":"replace","path":"","value":7}]`:                      "patch-failed",
	} {
		if got := patch(422, body).problem(); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	for _, body := range []string{`{}`, `[]`, `[7]`, `[{"op":"x"`, `[` + strings.Repeat(`{"op":"test","path":"/id","value":1},`, 1000) + `{}]`, `[{"op":"fly","path":"/id"}]`} {
		if r := f.do("PATCH", "/Observation/"+id, body, "Content-Type", "application/json-patch+json"); r.status != 400 && r.status != 422 {
			t.Errorf("%.40s: %d", body, r.status)
		}
	}
	patch(412, `[{"op":"remove","path":"/note"}]`, "If-Match", tag)
	f.want(404, "PATCH", "/Observation/none", `[{"op":"remove","path":"/note"}]`, "Content-Type", "application/json-patch+json")
	f.want(200, "PATCH", "/Observation?_id="+id, `[{"op":"remove","path":"/note"}]`, "Content-Type", "application/json-patch+json")
	f.want(404, "PATCH", "/Observation?_id=none", `[{"op":"remove","path":"/note"}]`, "Content-Type", "application/json-patch+json")
	in := `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zdGF0dXMiLCJ2YWx1ZSI6ImFtZW5kZWQifV0="}`
	t11 := f.want(200, "POST", "/", bundle("transaction", entry("", "PATCH", "Observation/"+id, in)))
	if got := statuses(t11); got != "200" || f.want(200, "GET", "/Observation/"+id, "").body.Str("status") != "amended" {
		t.Errorf("in a transaction: %s", got)
	}
	f.want(204, "DELETE", "/Observation/"+id, "")
	patch(410, `[{"op":"remove","path":"/valueQuantity"}]`)
}

// A patch is of what a read shows (RFC 5789), meta with it; what is ours of that is not stored.
func TestPatchOfMeta(t *testing.T) {
	f := serve(t)
	id, tag := f.create("Patient", patient)
	patch := func(want int, body string) reply {
		t.Helper()
		return f.want(want, "PATCH", "/Patient/"+id, body, "Content-Type", "application/json-patch+json")
	}
	if same := patch(200, `[{"op":"test","path":"/meta/versionId","value":"`+tag[3:len(tag)-1]+`"},{"op":"replace","path":"/meta/lastUpdated","value":"1990-01-01T00:00:00Z"}]`); same.head.Get("ETag") != tag {
		t.Errorf("a patch of what is the server's made the version %s", same.head.Get("ETag"))
	}
	patch(200, `[{"op":"add","path":"/meta/tag","value":[{"system":"urn:a","code":"b"},{"system":"urn:tram:state","code":"conflict"}]}]`)
	s, err := f.store.Get(record.Key{Kind: "Patient", ID: id})
	if want := `"meta":{"tag":[{"system":"urn:a","code":"b"}]}`; err != nil || !strings.Contains(string(s.Shown.Content), want) {
		t.Errorf("stored %s, %v; want %s in it", s.Shown.Content, err, want)
	}
	patch(200, `[{"op":"remove","path":"/meta/tag"}]`)
	if got := f.want(200, "GET", "/Patient/"+id, ""); got.body.Get("meta").Get("tag") != nil {
		t.Errorf("the tag stays: %s", got.raw)
	}
}

func TestClient30Binary(t *testing.T) {
	f := serve(t)
	made := f.want(201, "POST", "/Binary?_filename=note.txt", "Mạch 80\n", "Content-Type", "text/plain; charset=utf-8", "Prefer", "return=representation")
	if made.body.Str("contentType") != "text/plain; charset=utf-8" || made.body.Str("data") == "" {
		t.Fatalf("made %s", made.raw)
	}
	path := "/Binary/" + made.body.Str("id")
	if r := f.want(200, "GET", path, "", "Accept", "application/fhir+json"); r.body.Str("resourceType") != "Binary" {
		t.Errorf("as FHIR: %s", r.raw)
	}
	status, head, body := f.raw("GET", path, "", "Accept", "text/plain")
	if status != 200 || body != "Mạch 80\n" || head.Get("Content-Type") != "text/plain; charset=utf-8" || head.Get("Content-Disposition") != "attachment" || head.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("as it is: %d %v %q", status, head, body)
	}
	if status, _, _ := f.raw("HEAD", path, "", "Accept", "*/*"); status != 200 {
		t.Errorf("HEAD: %d", status)
	}
	f.want(415, "POST", "/Patient", "x", "Content-Type", "text/plain")
	f.want(415, "POST", "/Binary", "x", "Content-Type", "")
	f.want(200, "PUT", path, "neu", "Content-Type", "text/plain")
	if _, _, body := f.raw("GET", path, "", "Accept", "text/plain"); body != "neu" {
		t.Errorf("put: %q", body)
	}
}

func TestClient30Validate(t *testing.T) {
	f := serve(t)
	for _, c := range []struct{ path, body, severities string }{
		{"/Patient/$validate", patient, "information"},
		{"/$validate", patient, "information"},
		{"/Patient/p1/$validate", withID(patient, "p1"), "information"},
		{"/Patient/$validate", `{"resourceType":"Patient","gender":"x","colour":1}`, "information error error"},
		{"/Patient/$validate", `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"},{"name":"resource","resource":{"resourceType":"Patient","gender":"x"}}]}`, "information error"},
	} {
		r := f.want(200, "POST", c.path, c.body)
		var got []string
		for _, i := range r.body.Get("issue").Items {
			got = append(got, i.Str("severity"))
		}
		if strings.Join(got, " ") != c.severities || !strings.Contains(r.raw, "structure-only") {
			t.Errorf("%s %s: %s", c.path, c.body, r.raw)
		}
	}
	f.want(400, "POST", "/Patient/$validate", `{"resourceType":"Observation"}`)
	f.want(400, "POST", "/Patient/$validate", `{"resourceType":"Parameters"}`)
	if r := f.want(200, "GET", "/Patient", ""); r.body.Str("total") != "0" {
		t.Errorf("validating kept something: %s", r.raw)
	}
}
