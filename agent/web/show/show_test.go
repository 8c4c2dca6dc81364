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
		"extension":          {`{"resourceType":"Patient","extension":[{"url":"http://x/ethnic-group","valueCodeableConcept":{"text":"Kinh"}}]}`, "Dân tộc: Kinh"},
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
				lines = append(lines, r.Label+": "+r.Line())
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

// A list says of a record what turns its meaning round.
func TestLineSaysWhatTurnsTheMeaningRound(t *testing.T) {
	s := load(t, "en")
	concept := func(system, code string) string {
		return `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/` + system + `","code":"` + code + `"}]}`
	}
	order := `{"resourceType":"MedicationRequest","status":"active","medicationCodeableConcept":{"text":"Aspirin"}`
	hiv := `{"resourceType":"Condition","code":{"text":"HIV"}`
	for name, c := range map[string]struct{ json, want string }{
		"an order":                      {order + `,"intent":"order"}`, "active"},
		"an order for one day":          {order + `,"intent":"instance-order"}`, "active"},
		"not to be given":               {order + `,"intent":"order","doNotPerform":true}`, "must NOT be done"},
		"to be given":                   {order + `,"intent":"order","doNotPerform":false}`, "active"},
		"not to be given any more":      {strings.Replace(order, "active", "stopped", 1) + `,"intent":"order","doNotPerform":true}`, "must NOT be done, stopped"},
		"proposed":                      {order + `,"intent":"proposal"}`, "only proposed"},
		"planned":                       {order + `,"intent":"plan"}`, "only planned"},
		"a plan of care":                {`{"resourceType":"CarePlan","status":"active","intent":"plan","title":"x"}`, "active"},
		"a plan of care, proposed":      {`{"resourceType":"CarePlan","status":"active","intent":"proposal","title":"x"}`, "only proposed"},
		"ill":                           {hiv + `,"clinicalStatus":` + concept("condition-clinical", "active") + `,"verificationStatus":` + concept("condition-ver-status", "confirmed") + `}`, "active"},
		"ruled out":                     {hiv + `,"clinicalStatus":` + concept("condition-clinical", "active") + `,"verificationStatus":` + concept("condition-ver-status", "refuted") + `}`, "active, refuted"},
		"ruled out, without a state":    {hiv + `,"verificationStatus":` + concept("condition-ver-status", "refuted") + `}`, "refuted"},
		"entered in error":              {hiv + `,"verificationStatus":` + concept("condition-ver-status", "entered-in-error") + `}`, "entered in error"},
		"half a dose":                   {`{"resourceType":"Immunization","status":"completed","isSubpotent":true}`, "less than a full dose"},
		"a turn of somebody else's own": {hiv + `,"modifierExtension":[{"url":"http://x/is-of-another","valueBoolean":true}]}`, "Is of another: Yes"},
	} {
		if got := s.Line(parse(t, c.json)).Status; got != c.want {
			t.Errorf("%s: status %q, want %q", name, got, c.want)
		}
	}
}

// Two values are written as one only where they are those of a blood pressure, the systolic
// first; what is below a limit stays below.
func TestBloodPressureIsReadSystolicFirst(t *testing.T) {
	s := load(t, "en")
	part := func(code, value string) string {
		return `{"code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}],"text":"` + code + `"},"valueQuantity":{` + value + `,"unit":"mmHg"}}`
	}
	systolic, diastolic := part("8480-6", `"value":115`), part("8462-4", `"value":67`)
	for parts, want := range map[string]string{
		systolic + "," + diastolic:                                      "115/67 mmHg",
		diastolic + "," + systolic:                                      "115/67 mmHg",
		systolic + "," + part("8462-4", `"value":30,"comparator":"<"`):  "8480-6 115 mmHg; 8462-4 <30 mmHg",
		part("a", `"value":5`) + "," + part("b", `"value":7`):           "a 5 mmHg; b 7 mmHg",
		systolic + "," + systolic:                                       "8480-6 115 mmHg; 8480-6 115 mmHg",
		systolic + "," + diastolic + "," + part("8478-0", `"value":83`): "8480-6 115 mmHg; 8462-4 67 mmHg; 8478-0 83 mmHg",
	} {
		if got := s.Line(parse(t, `{"resourceType":"Observation","status":"final","component":[`+parts+`]}`)).Detail; got != want {
			t.Errorf("%s reads %q, want %q", parts, got, want)
		}
	}
}

// What a certificate counts, and what a station shows, has words for every kind.
func TestEveryKindHasWords(t *testing.T) {
	s := load(t, "vi")
	for _, kind := range s.r4.Kinds() {
		if s.labels["kind"][kind] == "" {
			t.Errorf("%s has no words", kind)
		}
	}
}

func TestWordsFitWhatTheyStandFor(t *testing.T) {
	vi, en := load(t, "vi"), load(t, "en")
	for text, want := range map[string][2]string{
		`{"resourceType":"ServiceRequest","status":"active","intent":"order","code":{"text":"Hb"}}`:                                                           {"Hb (chờ thực hiện)", "Hb (active)"},
		`{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationCodeableConcept":{"text":"Para"}}`:                                 {"Para (đang dùng)", "Para (active)"},
		`{"resourceType":"Flag","status":"active","code":{"text":"Ngã"}}`:                                                                                     {"Ngã (còn hiệu lực)", "Ngã (active)"},
		`{"resourceType":"Encounter","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}}`:                 {"Khám ngoại trú", "Outpatient visit"},
		`{"resourceType":"DocumentReference","status":"current","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0003","code":"R01"}]}}`: {"Tin kết quả xét nghiệm", "Message with results"},
	} {
		v := parse(t, text)
		if got := [2]string{vi.Line(v).Short(), en.Line(v).Short()}; got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
	rows := vi.Rows(parse(t, `{"resourceType":"Patient","extension":[{"url":"http://x/ethnic-group","valueString":"Ê Đê"},{"url":"http://x/occupation","valueString":"Nuôi tôm"}]}`))
	if len(rows) != 2 || rows[0].Label != "Dân tộc" || rows[1].Label != "Nghề nghiệp" {
		t.Errorf("extensions are %+v", rows)
	}
	if rows := vi.Rows(parse(t, `{"resourceType":"ServiceRequest","status":"active"}`)); rows[0].Text != "chờ thực hiện" {
		t.Errorf("the status of an order is %q", rows[0].Text)
	}
}
