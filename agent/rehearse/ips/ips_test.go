package ips

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/store/fhir"
	"tram/store/summary"
)

// begin opens a station that ends with the test.
func begin(t *testing.T) *station {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.TempDir(), r4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func parse(t *testing.T, text string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(text), fhir.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	observation = `{"resourceType":"Observation","id":"o","meta":{"profile":["http://a.example/b"]},"status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:0"},"valueQuantity":{"value":1.50}}`
	guide       = `{"resourceType":"Bundle","id":"b","type":"document","timestamp":"2026-01-01T00:00:00Z","identifier":{"value":"x"},"entry":[
		{"fullUrl":"urn:uuid:1","resource":` + observation + `},{"fullUrl":"urn:uuid:0","resource":{"resourceType":"Patient","id":"p"}}]}`
)

// Examples come back as they went in; what is refused or other is said, and fails.
func TestExamplesComeBack(t *testing.T) {
	s := begin(t)
	for _, c := range []struct {
		name  string
		file  string
		wrong int
		says  string
	}{
		{"a document", guide, 0, "documents                          in   1  out   1  equal   1  different   0"},
		{"its parts", guide, 0, "parts of documents, by transaction in   2  out   2  equal   2  different   0"},
		{"another resource", observation, 0, "other examples                     in   1  out   1  equal   1  different   0"},
		{"what is refused", `{"resourceType":"Observation","id":"bad","code":{"text":"x"}}`, 1, "in   1  out   0  equal   0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			wrong, err := s.examples(t.Context(), []example{{"x.json", parse(t, c.file)}}, &out)
			if err != nil || wrong != c.wrong || !strings.Contains(out.String(), c.says) || strings.Contains(out.String(), "FAILED") != (c.wrong > 0) {
				t.Errorf("%d %v: %s", wrong, err, out.String())
			}
		})
	}
}

func TestOtherDigitsAreDifferent(t *testing.T) {
	var y tally
	want := parse(t, observation)
	for _, other := range []struct{ from, to string }{{"1.50", "1.5"}, {"final", "amended"}, {`"x"`, `"y"`}} {
		y.note("x", want, parse(t, strings.Replace(observation, other.from, other.to, 1)), nil)
	}
	y.note("x", want, want.With("meta", nil), nil)
	if y.in != 4 || y.out != 4 || y.same != 1 || len(y.wrong) != 3 {
		t.Errorf("%+v", y)
	}
}

// A document that is not whole is found out, each way for itself.
func TestJudge(t *testing.T) {
	s := begin(t)
	m, err := summary.New(s.r4)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := m.Of(summary.About{Person: parse(t, `{"resourceType":"Patient","id":"p"}`), At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Records: []*fhir.Value{parse(t, `{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p"},"code":{"text":"x"}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if bad := judge(s.r4, doc); len(bad) > 0 {
		t.Fatalf("a whole document: %v", bad)
	}
	whole := string(doc.Bytes())
	condition := fhir.Entries(doc)[3]
	for _, c := range []struct{ name, from, to, want string }{
		{"another bundle", `"type":"document"`, `"type":"collection"`, "type, identifier"},
		{"no identifier", `"value":"urn:uuid:`, `"id":"urn:uuid:`, "type, identifier"},
		{"a reference to nowhere", `"entry":[{"reference":"urn:uuid:`, `"entry":[{"reference":"urn:uuid:0`, "leads to nothing"},
		{"two of one name", `"fullUrl":"` + condition.FullURL + `"`, `"fullUrl":"` + fhir.Entries(doc)[1].FullURL + `"`, "fullUrl of entry 3"},
		{"no allergies", `48765-2`, `48765-9`, "section 48765-2 is missing"},
		{"no narrative", `"text":{"status":"generated","div":`, `"text":{"status":"generated","id":`, "missing"},
		{"neither entries nor a reason", `"emptyReason":`, `"orderedBy":`, "one of entries and emptyReason"},
		{"an invalid part", `"resourceType":"Condition"`, `"resourceType":"Condition","abc":1`, "unknown-element"},
		{"no patient", `"resourceType":"Patient"`, `"resourceType":"Person"`, "0 patients"},
		{"no composition", `"resourceType":"Composition"`, `"resourceType":"Basic"`, "entry 0 is a Basic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := strings.Replace(whole, c.from, c.to, 1)
			if broken == whole {
				t.Fatalf("no %s in %s", c.from, whole)
			}
			if bad := strings.Join(judge(s.r4, parse(t, broken)), "; "); !strings.Contains(bad, c.want) {
				t.Errorf("found %q, want %q", bad, c.want)
			}
		})
	}
}

func TestSummariesOfPracticePeople(t *testing.T) {
	var out strings.Builder
	wrong, err := begin(t).people(t.Context(), 4, 60, &out)
	if err != nil || wrong > 0 || !strings.Contains(out.String(), "summaries of 4 people: wrong 0") {
		t.Errorf("%d %v: %s", wrong, err, out.String())
	}
}

// Another package than that of the guide is refused, and so is none.
func TestAnotherPackageIsRefused(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for n := range 3 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("package/example/%d.json", n), Mode: 0o600, Size: int64(len(observation))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(observation)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{w, z} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "x.tgz")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{name: "3 examples with 0 documents", filepath.Join(dir, "none.tgz"): "read examples"} {
		if err := (Command{Examples: name, Dir: dir, Timeout: time.Minute}).Run(context.Background(), &b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}
