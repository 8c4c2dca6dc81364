package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/rest"
)

// Who follows the changes gets each once, in the order in which they came, over any pause.
func TestChangesAreFollowed(t *testing.T) {
	f := serve(t)
	for i := range 5 {
		f.want(201, "PUT", fmt.Sprintf("/Patient/p%d", i), withID(patient, fmt.Sprintf("p%d", i)))
		f.want(201, "POST", "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`)
	}
	var got []string
	at := f.base + "/$changes?_type=Patient&_count=2"
	follow := func() {
		t.Helper()
		for range 10 {
			r := f.want(200, "GET", at, "")
			if issues := f.r4.Check(r.body); len(issues) > 0 || r.body.Str("type") != "history" {
				t.Errorf("not valid R4: %v", issues)
			}
			at = link(r, "next")
			list := fhir.Entries(r.body)
			for _, e := range list {
				got = append(got, e.Method+" "+e.URL)
			}
			if len(list) == 0 {
				return
			}
		}
		t.Fatal("the changes do not end")
	}
	follow()
	follow()
	f.want(200, "PUT", "/Patient/p1", withID(patient[:len(patient)-1]+`,"active":true}`, "p1"))
	f.want(204, "DELETE", "/Patient/p2", "")
	follow()
	if want := "PUT Patient/p0 PUT Patient/p1 PUT Patient/p2 PUT Patient/p3 PUT Patient/p4 PUT Patient/p1 DELETE Patient/p2"; strings.Join(got, " ") != want {
		t.Errorf("followed %s, want %s", strings.Join(got, " "), want)
	}
	f.want(400, "GET", "/$changes?_page=x", "")
	f.want(400, "GET", "/$changes?_type=Nobody", "")
	f.want(400, "GET", "/$changes?code=1", "")
	f.want(403, "GET", "/$changes", "", "X-May", "s Patient")
	f.want(200, "GET", "/$changes?_type=Patient", "", "X-May", "s Patient")
}

// decided notes what a write decided.
type decided struct {
	over
	write store.Write
}

func (d *decided) Put(_ context.Context, w ...store.Write) ([]*record.Version, error) {
	d.write = w[0]
	return []*record.Version{d.shown.Head}, nil
}

func (d *decided) Contested(_ int, kinds ...string) ([]*record.Stand, error) {
	if !slices.Contains(kinds, d.shown.Key.Kind) {
		return nil, nil
	}
	return []*record.Stand{d.shown}, nil
}

// a1: 1961, b1: 1962. The values are told with who set them, and a decision closes what it names.
func TestConflictsAreToldAndDecided(t *testing.T) {
	d := &decided{}
	f := serve(t, func(opt *rest.Options) { d.Store = opt.Backend.(*store.Store); opt.Backend = d })
	key := record.Key{Kind: "Patient", ID: "p1"}
	a, b := record.Name{Lineage: "abcdefghijklmno2", N: 3}, record.Name{Lineage: "bcdefghijklmnop3", N: 7}
	head := &record.Version{Key: key, Name: a, Author: "hoa", Content: []byte(withID(patient, "p1"))}
	head.Trace.Marks = []record.Mark{{Path: "birthDate", Alts: []record.Alt{{Value: json.RawMessage(`{"birthDate":"1961-02-03"}`), By: []record.Name{a}}, {Value: json.RawMessage(`{"birthDate":"1962-02-03"}`), By: []record.Name{b}}}}}
	d.shown = &record.Stand{Key: key, Head: head, Shown: head}

	if got := all(f.want(200, "GET", "/$conflicts", "")); got != "Patient/p1" {
		t.Errorf("listed: %s", got)
	}
	if got := all(f.want(200, "GET", "/$conflicts", "", "X-May", "rs Observation")); got != "" {
		t.Errorf("listed for who may not read it: %s", got)
	}
	f.want(403, "GET", "/$conflicts", "", "X-May", "r Patient")
	for _, id := range []string{"p1", "p2"} {
		if _, err := d.Store.Put(t.Context(), store.Write{Key: record.Key{Kind: "Patient", ID: id}, Author: "hoa", Content: []byte(withID(patient, id))}); err != nil {
			t.Fatal(err)
		}
	}
	// The tag that a read shows is one by which a search finds.
	if got := all(f.want(200, "GET", "/Patient?gender=female&_tag=urn:tram:state|conflict", "")); got != "Patient/p1" {
		t.Errorf("by the tag: %s", got)
	}
	for _, path := range []string{"/Patient?_tag:not=urn:tram:state|conflict", "/Patient?_tag=urn:tram:state|conflict,mine", "/Patient?_tag=urn:tram:state|"} {
		if r := f.want(400, "GET", path, ""); r.problem() != "unsupported-parameter" {
			t.Errorf("%s: %s", path, r.problem())
		}
	}
	r := f.want(200, "GET", "/Patient/p1/$conflicts", "")
	if issues := f.r4.Check(r.body); len(issues) > 0 || !strings.Contains(r.raw, `{\"birthDate\":\"1962-02-03\"}`) || !strings.Contains(r.raw, b.String()) {
		t.Errorf("told: %v %s", issues, r.raw)
	}
	word := func(path, value string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"decision","part":[{"name":"path","valueString":"` + path + `"},{"name":"value","valueString":` + fmt.Sprintf("%q", value) + `},{"name":"version","valueId":"` + a.String() + `"},{"name":"version","valueId":"` + b.String() + `"}]}]}`
	}
	tag := r.head.Get("ETag")
	f.want(200, "POST", "/Patient/p1/$resolve", word("birthDate", `{"birthDate":"1962-02-03"}`), "If-Match", tag)
	if w := d.write; len(w.Decisions) != 1 || len(w.Decisions[0].Closes) != 2 || string(w.Decisions[0].Value) != `{"birthDate":"1962-02-03"}` || w.Base != a.String() || w.Author != "lan" {
		t.Errorf("decided: %+v", w)
	}
	for _, c := range []struct {
		body, match string
		want        int
	}{
		{word("birthDate", `{"birthDate":"1962"}`), "", 428}, {word("birthDate", `{"birthDate":"1962"}`), "*", 428},
		{word("birthDate", `{"birthDate":"1962"}`), `W/"bcdefghijklmnop3-9"`, 412},
		{word("gender", `{"gender":"male"}`), tag, 400}, {word("birthDate", `{`), tag, 400}, {`{"resourceType":"Parameters"}`, tag, 400}, {patient, tag, 400},
	} {
		f.want(c.want, "POST", "/Patient/p1/$resolve", c.body, "If-Match", c.match)
	}
	if r := f.want(400, "POST", "/", bundle("transaction", entry("", "POST", "Patient/p1/$resolve", withID(patient, "p1")))); r.problem() != "bad-entry" {
		t.Errorf("in a transaction: %s", r.raw)
	}
	f.want(403, "POST", "/Patient/p1/$resolve", word("birthDate", `{}`), "If-Match", tag, "X-May", "r Patient")
	f.want(404, "GET", "/Patient/none/$conflicts", "")
}

// An export hands out each record once, also while others are written, in files that a client
// can fetch again after a cut or a restart.
func TestExport(t *testing.T) {
	f := serve(t)
	for i := range 7 {
		f.want(201, "PUT", fmt.Sprintf("/Patient/p%d", i), withID(patient, fmt.Sprintf("p%d", i)))
	}
	f.want(201, "POST", "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`)
	f.want(201, "POST", "/Organization", `{"resourceType":"Organization","name":"x"}`)
	f.want(400, "GET", "/$export", "")
	start := func(path string) string {
		t.Helper()
		r := f.want(202, "GET", path, "", "Prefer", "respond-async", "Accept", "application/fhir+json")
		return r.head.Get("Content-Location")
	}
	output := func(at string) map[string]string {
		t.Helper()
		r := f.want(200, "GET", at, "")
		out := map[string]string{}
		for _, x := range r.body.Get("output").Items {
			out[x.Str("type")+" "+x.Str("count")] = x.Str("url")
		}
		if r.head.Get("X-Progress") == "" || r.body.Str("transactionTime") == "" {
			t.Errorf("manifest: %v %s", r.head, r.raw)
		}
		return out
	}
	at := start("/$export")
	files := output(at)
	if len(output(start("/$export?_type=Patient&_type=Organization&_type=Patient"))) != 2 {
		t.Error("of two types")
	}
	if len(files) != 3 || files["Patient 7"] == "" || files["Observation 1"] == "" {
		t.Fatalf("files: %v", files)
	}
	f.want(201, "PUT", "/Patient/late", withID(patient, "late"))
	_, head, body := f.raw("GET", strings.TrimPrefix(files["Patient 7"], f.base), "", "Accept", "application/fhir+ndjson")
	seen := map[string]bool{}
	for line := range strings.Lines(body) {
		v, err := fhir.Parse([]byte(line), fhir.Limits{})
		if err != nil || v.Str("meta", "versionId") == "" {
			t.Fatalf("line %q: %v", line, err)
		}
		seen[v.Str("id")] = true
	}
	for i := range 7 {
		if !seen[fmt.Sprintf("p%d", i)] {
			t.Errorf("p%d is missing", i)
		}
	}
	if head.Get("Content-Type") != "application/fhir+ndjson" {
		t.Errorf("as %s", head.Get("Content-Type"))
	}
	if files := output(start("/Patient/$export?_type=Observation,Organization")); len(files) != 1 {
		t.Errorf("of patients: %v", files)
	}
	since := f.want(200, "GET", at, "").body.Str("transactionTime")
	if files := output(start("/$export?_since=" + since)); files["Patient 1"] == "" {
		t.Errorf("since the export began: %v", files)
	}
	late := f.want(200, "GET", "/Patient/late", "").body.Str("meta", "lastUpdated")
	if files := output(start("/$export?_since=" + late)); len(files) != 1 || files["Patient 1"] == "" {
		t.Errorf("since: %v", files)
	}
	f.want(202, "DELETE", at, "")
	for _, path := range []string{"/$export?_type=Nobody", "/$export?_since=soon", "/$export?_elements=id"} {
		f.want(400, "GET", path, "", "Prefer", "respond-async")
	}
	f.want(406, "GET", "/$export?_outputFormat=csv", "", "Prefer", "respond-async")
	f.want(403, "GET", "/$export", "", "Prefer", "respond-async", "X-May", "s Patient")
	f.want(403, "GET", files["Patient 7"], "", "X-May", "s Observation")
	r := f.want(200, "POST", "/", bundle("batch", entry("", "GET", strings.TrimPrefix(files["Organization 1"], f.base+"/"), "")))
	if got := statuses(r); got != "400" {
		t.Errorf("in a batch: %s", got)
	}
	for _, path := range []string{"/$export-status/x", "/$export-file/x", "/$export-status/e30", "/$export-file/" + strings.TrimPrefix(at, f.base+"/$export-status/")} {
		f.want(404, "GET", path, "")
	}
	if status, _, _ := f.raw("GET", strings.TrimPrefix(files["Patient 7"], f.base), "", "X-Nobody", "1"); status != http.StatusUnauthorized {
		t.Errorf("to nobody: %d", status)
	}
}

// The audit is read as AuditEvents and never written, also not in a Bundle; those of other
// systems that came as files stay what they are.
func TestAuditIsReadOnly(t *testing.T) {
	var s *store.Store
	f := serve(t, func(o *rest.Options) {
		s = o.Backend.(*store.Store)
		o.Acts, o.Station = s, func() string { return "tram-a" }
	})
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	event := `{"resourceType":"AuditEvent","id":"theirs","type":{"code":"rest"},"recorded":"2026-03-01T08:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}}}`
	if _, err := s.Put(context.Background(), store.Write{Key: record.Key{Kind: "AuditEvent", ID: "theirs"}, Author: "drop-folder", Content: []byte(event)}); err != nil {
		t.Fatal(err)
	}
	r := f.want(200, "GET", "/AuditEvent?patient=Patient/p1", "")
	list := fhir.Entries(r.body)
	if len(list) == 0 || list[0].Resource.Str("source", "observer", "display")+list[0].Resource.Str("source", "observer", "identifier", "value") == "" {
		t.Fatalf("the audit of p1: %s", r.raw)
	}
	if got := fhir.Entries(f.want(200, "GET", "/Patient/p1/AuditEvent", "").body); len(got) < len(list) {
		t.Errorf("in the compartment: %d, want %d", len(got), len(list))
	}
	f.want(200, "GET", "/AuditEvent/"+list[0].Resource.Str("id"), "")
	f.want(200, "GET", "/AuditEvent/theirs", "")
	f.want(405, "POST", "/AuditEvent", event)
	f.want(405, "PUT", "/AuditEvent/theirs", event)
	f.want(405, "DELETE", "/AuditEvent/theirs", "")
	f.want(405, "POST", "/", bundle("transaction", entry("", "PUT", "AuditEvent/theirs", event)))
	f.want(403, "GET", "/AuditEvent", "", "X-May", "s Patient")
}
