package show

import (
	"strings"
	"testing"
	"time"

	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
)

func load(t *testing.T, lang string) *Show {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(r4, lang, time.FixedZone("ICT", 7*3600))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, text string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(text), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDatesAndNumbersAsTheyAreWrittenHere(t *testing.T) {
	vi, en := load(t, "vi"), load(t, "en")
	for in, want := range map[string]string{
		"1961-02-03": "03/02/1961", "1961-02": "02/1961", "1961": "1961", "2026-10-05T01:30:00Z": "05/10/2026 08:30",
		"2026-10-05T08:30:00.123+07:00": "05/10/2026 08:30", "soon": "soon", "": "",
	} {
		if got := vi.Date(in); got != want {
			t.Errorf("Date(%q) = %q, want %q", in, got, want)
		}
	}
	if got := vi.Number("36.80"); got != "36,80" {
		t.Errorf("in Vietnamese 36.80 is %q", got)
	}
	if got := en.Number("36.80"); got != "36.80" {
		t.Errorf("in English 36.80 is %q", got)
	}
}

func TestTypedDates(t *testing.T) {
	for in, want := range map[string]string{
		"3/2/1961": "1961-02-03", "03-02-1961": "1961-02-03", "03021961": "1961-02-03", "1961-02-03": "1961-02-03", "2/1961": "1961-02",
		"1961-02": "1961-02", "1961": "1961", "29/02/2024": "2024-02-29",
		"31/02/1961": "", "29/02/2023": "", "13/1961": "", "": "", "x": "", "1/2/61": "", "1/2/3/1961": "", "-1/2/1961x": "",
	} {
		got, ok := ISODate(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("ISODate(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
	for in, want := range map[string]string{
		"05/10/2026 08:30": "2026-10-05T08:30:00+07:00", "05/10/2026": "2026-10-05", "05/10/2026 8h30": "", "2026 08:30": "", "05/10/2026 25:00": "",
	} {
		if got, ok := ISOTime(in, time.FixedZone("ICT", 7*3600)); ok != (want != "") && in != "05/10/2026 8h30" || ok && want != "" && got != want {
			t.Errorf("ISOTime(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestNothingIsLeftOutOfWords(t *testing.T) {
	s := load(t, "vi")
	for name, c := range map[string]struct{ json, want string }{
		"unknown element":    {`{"resourceType":"Patient","multipleBirthInteger":2}`, "Sinh đôi, sinh ba: 2"},
		"extension":          {`{"resourceType":"Patient","extension":[{"url":"http://x/ethnic-group","valueCodeableConcept":{"text":"Kinh"}}]}`, "Ethnic group: Kinh"},
		"absent with note":   {`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://x/data-absent-reason","valueCode":"asked-unknown"}]}}`, "Ngày sinh: đã hỏi, không biết"},
		"component":          {`{"resourceType":"Observation","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"unit":"mmHg"}}]}`, "Huyết áp tâm thu: 120 mmHg"},
		"kind without words": {`{"resourceType":"SubstanceProtein","sequenceType":{"text":"x"}}`, "Sequence type: x"},
		"contained":          {`{"resourceType":"MedicationRequest","contained":[{"resourceType":"Medication","id":"m","code":{"text":"Sắt"}}]}`, "Tên thuốc: Sắt"},
		"range":              {`{"resourceType":"Condition","onsetRange":{"low":{"value":3,"unit":"a"},"high":{"value":5.0,"unit":"a"}}}`, "Mắc từ: 3 a – 5,0 a"},
		"hostile":            {`{"resourceType":"Patient","gender":"<script>"}`, "Giới tính: <script>"},
	} {
		var lines []string
		var walk func(rows []Row)
		walk = func(rows []Row) {
			for _, r := range rows {
				lines = append(lines, r.Label+": "+r.line())
				walk(r.Rows)
			}
		}
		walk(s.Rows(parse(t, c.json)))
		if got := strings.Join(lines, "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q lacks %q", name, got, c.want)
		}
	}
}

func TestPracticeRecordsReadInVietnamese(t *testing.T) {
	s := load(t, "vi")
	p := practice.New(5, practice.Options{People: 60})
	kinds := map[string]bool{}
	for _, e := range append(p.Shared(), p.Day(0)...) {
		kinds[e.Kind] = true
		v := parse(t, string(e.Resource))
		l := s.Line(v)
		if l.Title == "" || s.Kind(e.Kind) == split(e.Kind) {
			t.Errorf("%s has the line %+v and the name %q", e.Kind, l, s.Kind(e.Kind))
		}
		for _, f := range v.Fields {
			if elem, ok := s.r4.Elem(e.Kind, f.Name); ok && elem.Type != "Extension" && !machine(e.Kind, true, f.Name) && s.labels["element"][e.Kind+"."+elem.Base] == "" && s.labels["element"][elem.Base] == "" {
				t.Errorf("%s.%s has no Vietnamese words", e.Kind, elem.Base)
			}
		}
	}
	if len(kinds) < 15 {
		t.Errorf("only %d kinds were read", len(kinds))
	}
}

func TestPathsAndTypedValues(t *testing.T) {
	s := load(t, "vi")
	if got := s.Path("Patient", "contact{0}/telecom{abcdefghijklmno2-9.0}"); got != "Người liên hệ › Điện thoại, liên lạc" {
		t.Errorf("path in words: %q", got)
	}
	for name, c := range map[string]struct{ kind, path, like, typed, want string }{
		"date":      {"Patient", "birthDate", `{"birthDate":"1961-02-03"}`, "4/5/1963", `{"birthDate":"1963-05-04"}`},
		"quantity":  {"Observation", "value[x]", `{"valueQuantity":{"value":72,"unit":"/min"}}`, "7,50", `{"valueQuantity":{"value":7.50,"unit":"/min"}}`},
		"concept":   {"Condition", "code", `{"code":{"text":"A","coding":[{"code":"a"}]}}`, "B", `{"code":{"text":"B"}}`},
		"code":      {"Patient", "gender", `{"gender":"male"}`, "female", `{"gender":"female"}`},
		"no date":   {"Patient", "birthDate", `{"birthDate":"1961-02-03"}`, "soon", ""},
		"no number": {"Observation", "value[x]", `{"valueQuantity":{"value":72}}`, "7x", ""},
		"backbone":  {"Patient", "contact{0}", `{"contact":[{"gender":"male"}]}`, "x", ""},
		"absent":    {"Patient", "birthDate", `{}`, "1961", ""},
	} {
		got, ok := s.Typed(c.kind, c.path, parse(t, c.like), c.typed)
		if ok != (c.want != "") || ok && string(got.Bytes()) != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got.Bytes(), ok, c.want)
		}
	}
}

func TestChangesNameTheElements(t *testing.T) {
	s := load(t, "en")
	key := record.Key{Kind: "Patient", ID: "x"}
	old := &record.Version{Key: key, Name: record.Name{Lineage: "abcdefghijklmno2", N: 1}, Content: []byte(`{"resourceType":"Patient","id":"x","birthDate":"1961-02-03","gender":"male"}`)}
	now := &record.Version{Key: key, Name: record.Name{Lineage: "abcdefghijklmno2", N: 2}, Content: []byte(`{"resourceType":"Patient","id":"x","birthDate":"1961-03-02","deceasedBoolean":true}`)}
	got, err := s.Changes(old, now)
	if err != nil || len(got) != 3 {
		t.Fatalf("changes: %+v, %v", got, err)
	}
	for _, want := range []Change{{"birthDate", "Birth date", "03/02/1961", "02/03/1961"}, {"gender", "Gender", "Male", ""}, {"deceased[x]", "Deceased", "", "Yes"}} {
		found := false
		for _, c := range got {
			found = found || c == want
		}
		if !found {
			t.Errorf("%+v lacks %+v", got, want)
		}
	}
}
