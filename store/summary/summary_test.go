package summary_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
	"tram/store/summary"
)

var loadR4 = sync.OnceValues(fhir.Load)

// desk makes documents, and fails the test with one that is none.
type desk struct {
	t     testing.TB
	r4    *fhir.R4
	maker *summary.Maker
}

func open(t testing.TB) *desk {
	t.Helper()
	r4, err := loadR4()
	if err != nil {
		t.Fatal(err)
	}
	m, err := summary.New(r4)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t, r4, m}
}

func parse(t testing.TB, text string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(text), fhir.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// now is when the documents of these tests are made.
func now() time.Time { return time.Date(2026, 6, 1, 9, 30, 0, 0, time.FixedZone("", 7*3600)) }

const linh = `{"resourceType":"Patient","id":"p","name":[{"text":"Nguyễn Thị Linh"}],"gender":"female","birthDate":"1961-02-03"}`

// about is a person with some records, in Vietnamese.
func (d *desk) about(person string, records ...string) summary.About {
	a := summary.About{Person: parse(d.t, person), At: now(), Language: "vi"}
	for _, r := range records {
		a.Records = append(a.Records, parse(d.t, r))
	}
	return a
}

// document is a document and its parts by fullUrl.
type document struct {
	*fhir.Value
	composition *fhir.Value
	parts       map[string]*fhir.Value
}

// make makes a document and holds it to what every document must be.
func (d *desk) make(a summary.About) document {
	d.t.Helper()
	v, err := d.maker.Of(a)
	if err != nil {
		d.t.Fatal(err)
	}
	back := a
	back.Records = slices.Clone(a.Records)
	slices.Reverse(back.Records)
	again, err := d.maker.Of(back)
	if err != nil || !bytes.Equal(v.Bytes(), again.Bytes()) {
		d.t.Errorf("the same records in another order made another document (%v)", err)
	}
	for _, i := range d.r4.Check(v) {
		d.t.Errorf("bundle: %+v", i)
	}
	if v.Str("type") != "document" || v.Str("identifier", "value") == "" || v.Str("identifier", "system") == "" || v.Str("timestamp") != now().Format(time.RFC3339) {
		d.t.Errorf("head of the bundle: %s", v.With("entry", nil).Bytes())
	}
	doc := document{v, nil, map[string]*fhir.Value{}}
	patients := 0
	for i, e := range fhir.Entries(v) {
		if doc.parts[e.FullURL] != nil || !strings.HasPrefix(e.FullURL, "urn:uuid:") {
			d.t.Errorf("entry %d: fullUrl %q", i, e.FullURL)
		}
		doc.parts[e.FullURL] = e.Resource
		switch kind := e.Resource.Str("resourceType"); {
		case i == 0 && kind == "Composition":
			doc.composition = e.Resource
		case i == 0, kind == "Composition":
			d.t.Errorf("entry %d is a %s", i, kind)
		case kind == "Patient":
			patients++
		}
	}
	if patients != 1 {
		d.t.Errorf("%d patients", patients)
	}
	for url, r := range doc.parts {
		for _, i := range d.r4.Check(r) {
			d.t.Errorf("%s: %+v", url, i)
		}
		for _, ref := range d.r4.Refs(r) {
			if !ref.Contained && doc.parts[ref.Literal] == nil {
				d.t.Errorf("%s: %s leads to nothing: %s", r.Str("resourceType"), ref.Path, ref.Literal)
			}
		}
	}
	d.told(doc)
	return doc
}

// told holds the sections to the guide: three that must be there, each with a narrative
// and either entries or a reason for having none.
func (d *desk) told(doc document) {
	d.t.Helper()
	var codes []string
	for _, s := range list(doc.composition, "section") {
		codes = append(codes, list(s.Get("code"), "coding")[0].Str("code"))
		if empty := s.Get("emptyReason") != nil; empty != (s.Get("entry") == nil) {
			d.t.Errorf("section %s: neither or both of entries and a reason for none", s.Str("title"))
		}
		d.sound(s.Str("text", "div"))
	}
	d.sound(doc.composition.Str("text", "div"))
	for _, code := range []string{"10160-0", "48765-2", "11450-4"} {
		if !slices.Contains(codes, code) {
			d.t.Errorf("section %s is missing among %v", code, codes)
		}
	}
}

// sound holds a narrative to XML 1.0 and to the few elements that stand in one.
func (d *desk) sound(div string) {
	d.t.Helper()
	x := xml.NewDecoder(strings.NewReader(div))
	for {
		token, err := x.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			d.t.Errorf("narrative: %v in %q", err, div)
			return
		}
		if e, ok := token.(xml.StartElement); ok {
			if !slices.Contains(strings.Fields("div p table thead tbody tr th td"), e.Name.Local) {
				d.t.Errorf("narrative has a <%s>", e.Name.Local)
			}
		}
	}
}

func list(v *fhir.Value, name string) []*fhir.Value {
	if l := v.Get(name); l != nil {
		return l.Items
	}
	return nil
}

// section finds a section by its LOINC code: its narrative, and the records in it.
func (doc document) section(code string) (div string, ids []string, reason string) {
	for _, s := range list(doc.composition, "section") {
		if list(s.Get("code"), "coding")[0].Str("code") != code {
			continue
		}
		for _, e := range list(s, "entry") {
			ids = append(ids, doc.parts[e.Str("reference")].Str("id"))
		}
		for _, c := range list(s.Get("emptyReason"), "coding") {
			reason = c.Str("code")
		}
		return s.Str("text", "div"), ids, reason
	}
	return "", nil, ""
}

func TestOnePersonWithoutRecords(t *testing.T) {
	for _, c := range []struct{ language, allergies, title string }{
		{"vi", "Không có thông tin về dị ứng", "Tóm tắt sức khoẻ"}, {"en", "No information about allergies", "International Patient Summary"},
		{"fr", "No information about allergies", "International Patient Summary"},
	} {
		d := open(t)
		a := d.about(linh)
		a.Language = c.language
		doc := d.make(a)
		div, ids, reason := doc.section("48765-2")
		if !strings.Contains(div, c.allergies) || len(ids) > 0 || reason != "unavailable" {
			t.Errorf("%s: %q %v %q", c.language, div, ids, reason)
		}
		if !strings.Contains(doc.composition.Str("title"), c.title) {
			t.Errorf("%s: title %q", c.language, doc.composition.Str("title"))
		}
		if want := c.language; want != "fr" && (doc.composition.Str("language") != want || !strings.Contains(div, `lang="`+want+`"`)) {
			t.Errorf("%s: language %q, %q", c.language, doc.composition.Str("language"), div)
		}
		if n := len(list(doc.composition, "section")); n != 3 {
			t.Errorf("%s: %d sections", c.language, n)
		}
	}
}

func TestWhatIsNoPersonHasNoSummary(t *testing.T) {
	d := open(t)
	for _, person := range []string{`{"resourceType":"Patient"}`, `{"resourceType":"Group","id":"g"}`} {
		if _, err := d.maker.Of(d.about(person)); !errors.Is(err, summary.ErrNoPerson) {
			t.Errorf("%s: %v", person, err)
		}
	}
}

// What the guide requires of a person and is not known is said to be unknown.
func TestWhatIsMissingIsUnknown(t *testing.T) {
	d := open(t)
	doc := d.make(d.about(`{"resourceType":"Patient","id":"p"}`,
		`{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"MedicationStatement","id":"m","status":"active","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/p"}}`))
	for id, element := range map[string]string{"p": "_birthDate", "c": "code", "m": "_effectiveDateTime"} {
		found := false
		for _, r := range doc.parts {
			found = found || r.Str("id") == id && strings.Contains(string(r.Get(element).Bytes()), `"valueCode":"unknown"`)
		}
		if !found {
			t.Errorf("%s: %s does not say that it is unknown", id, element)
		}
	}
}

// The author is the station, or this program where none is named; nobody vouches unasked.
func TestWhoMadeIt(t *testing.T) {
	d := open(t)
	a := d.about(linh)
	doc := d.make(a)
	if who := doc.parts[list(doc.composition, "author")[0].Str("reference")]; who.Str("resourceType") != "Device" {
		t.Errorf("author: %s", who.Bytes())
	}
	if doc.composition.Get("attester") != nil {
		t.Error("somebody vouches who was not named")
	}
	a.Station = parse(t, `{"resourceType":"Organization","id":"o","name":"Trạm"}`)
	a.Attester = parse(t, `{"resourceType":"Practitioner","id":"b","name":[{"text":"Bác sĩ"}]}`)
	doc = d.make(a)
	if who := doc.parts[list(doc.composition, "author")[0].Str("reference")]; who.Str("id") != "o" {
		t.Errorf("author: %s", who.Bytes())
	}
	if doc.composition.Get("custodian") == nil || list(doc.composition, "attester")[0].Str("mode") != "professional" {
		t.Errorf("custodian and attester: %s", doc.composition.Bytes())
	}
}

// folk are made-up people with their records, and what they share.
func folk(t testing.TB, people, days int) (per map[string][]*fhir.Value, find func(record.Key) *fhir.Value) {
	t.Helper()
	made := practice.New(7, practice.Options{People: people})
	per, shared := map[string][]*fhir.Value{}, map[record.Key]*fhir.Value{}
	for _, e := range made.Shared() {
		shared[record.Key{Kind: e.Kind, ID: e.ID}] = parse(t, string(e.Resource))
	}
	for n := range days {
		for _, e := range made.Day(n) {
			per[e.Patient] = append(per[e.Patient], parse(t, string(e.Resource)))
		}
	}
	return per, func(k record.Key) *fhir.Value { return shared[k] }
}

func person(t testing.TB, records []*fhir.Value) *fhir.Value {
	t.Helper()
	i := slices.IndexFunc(records, func(v *fhir.Value) bool { return v.Str("resourceType") == "Patient" })
	if i < 0 {
		t.Fatal("no Patient among the records of a person")
	}
	return records[i]
}

func TestPracticePeople(t *testing.T) {
	d := open(t)
	per, find := folk(t, 60, 10)
	if len(per) < 50 {
		t.Fatalf("%d people", len(per))
	}
	for _, language := range []string{"vi", "en"} {
		for _, records := range per {
			d.make(summary.About{Person: person(t, records), Records: records, Find: find, At: now(), Language: language})
		}
	}
}

// thousand are a thousand records of one person.
func thousand(t testing.TB) (summary.About, int) {
	t.Helper()
	per, find := folk(t, 10, 30)
	for _, records := range per {
		if len(records) >= 1000 {
			return summary.About{Person: person(t, records), Records: records[:1000], Find: find, At: now(), Language: "vi"}, 1000
		}
	}
	t.Fatal("nobody has a thousand records")
	return summary.About{}, 0
}

func TestAThousandRecords(t *testing.T) {
	a, n := thousand(t)
	start := time.Now()
	doc := open(t).make(a)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("%d records took %v", n, took)
	}
	if len(doc.parts) < 300 {
		t.Errorf("%d records made a document of %d parts", n, len(doc.parts))
	}
}

func BenchmarkSummary(b *testing.B) {
	d := open(b)
	a, n := thousand(b)
	size := 0
	for b.Loop() {
		v, err := d.maker.Of(a)
		if err != nil {
			b.Fatal(err)
		}
		size = len(v.Bytes())
	}
	b.ReportMetric(float64(n), "records")
	b.ReportMetric(float64(size), "document-bytes")
}
