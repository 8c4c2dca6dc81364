package entry

import (
	"strings"
	"testing"
	"time"

	"tram/agent/web/show"
	"tram/store/fhir"
)

func words(t *testing.T) (*fhir.R4, *show.Show) {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := show.New(r4, "vi", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return r4, s
}

func TestUntouchedDetailsStayAsTheyWere(t *testing.T) {
	_, s := words(t)
	text := `{"resourceType":"Patient","id":"p","extension":[{"url":"http://x/y","valueDecimal":1.00}],"identifier":[{"system":"http://a","value":"1"},{"value":"2"}],` +
		`"name":[{"use":"official","text":"Đặng Thị Hoà","family":"Đặng","prefix":["Bà"]},{"use":"old","text":"Hoà Nhỏ"}],"telecom":[{"system":"email","value":"a@b"},{"system":"phone","value":"09","use":"mobile"}],` +
		`"gender":"female","birthDate":"1961-02-03","address":[{"use":"home","line":["Xóm 1"],"city":"Xã Đông"}],"contact":[{"gender":"male"}]}`
	v, err := fhir.Parse([]byte(text), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	read := ReadPerson(v, s)
	if got := string(WritePerson(v, "p", read, s).Bytes()); got != text {
		t.Errorf("nothing typed, yet\n%s became\n%s", text, got)
	}
	read["phone"], read["birth"], read["address"], read["number"] = "0911", "1961", "", "3"
	got := string(WritePerson(v, "p", read, s).Bytes())
	for _, want := range []string{`{"system":"email","value":"a@b"}`, `{"system":"phone","value":"0911","use":"mobile"}`, `"birthDate":"1961"`, `"identifier":[{"system":"http://a","value":"1"},{"value":"3"}]`, `"prefix":["Bà"]`, `Hoà Nhỏ`, `1.00`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if strings.Contains(got, `"address"`) {
		t.Errorf("an emptied address stays: %s", got)
	}
	for number, want := range map[string]string{"": `"identifier":[{"system":"http://a","value":"1"}]`, "4": `"identifier":[{"system":"http://a","value":"1"},{"use":"official","value":"4"}]`} {
		only := v.With("identifier", fhir.NewArray(v.Get("identifier").Items[0]))
		typed := ReadPerson(only, s)
		typed["number"] = number
		if got := string(WritePerson(only, "p", typed, s).Bytes()); !strings.Contains(got, want) || ReadPerson(only, s)["number"] != "" {
			t.Errorf("the number %q beside one that somebody gave: %s", number, got)
		}
	}
	if got := Given(v); len(got) != 1 || got[0] != "1" {
		t.Errorf("given are %q", got)
	}
}

// What other software wrote beside a value goes with the value, and does not keep a detail
// from being changed.
func TestExtensionsOfAReplacedValueGo(t *testing.T) {
	r4, s := words(t)
	beside := `{"extension":[{"url":"http://x/y","valueString":"z"}]}`
	v, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"p","name":[{"text":"Dang Thi Hoa","_text":`+beside+`,"family":"Dang","_family":`+beside+`,"given":["Thi","Hoa"],"_given":[null,`+beside+`]},{"use":"old","family":"X","_family":`+beside+`}],`+
		`"identifier":[{"value":"1","_value":`+beside+`}],"telecom":[{"system":"phone","value":"09","_value":`+beside+`}],"birthDate":"1961","_birthDate":`+beside+`,"address":[{"text":"A","_text":`+beside+`}]}`), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if issues := r4.Check(v); len(issues) > 0 {
		t.Fatal(issues)
	}
	for _, name := range []string{"Tran Thi Hoa Binh", "Hoa"} {
		now := WritePerson(v, "p", Typed{"name": name, "number": "2", "phone": "08", "birth": "1962", "address": "B"}, s)
		if issues := r4.Check(now); len(issues) > 0 {
			t.Errorf("%s: cannot be saved: %v", name, issues)
		}
		if got := string(now.Bytes()); strings.Count(got, beside) != 1 || !strings.Contains(got, `"use":"old","family":"X","_family"`) {
			t.Errorf("%s: %s, want the extension of the other name alone", name, got)
		}
	}
}

func TestWhatFormsMakeIsFHIR(t *testing.T) {
	r4, s := words(t)
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	ids := []string{"a", "b", "c", "d", "e", "f", "g"}
	visit := Typed{"when": "05/10/2026 08:30", "reason": "Ho", "pulse": "88", "systolic": "120", "diastolic": "80", "temperature": "37,80", "weight": "50", "height": "150", "note": "Ghi"}
	all := Visit("p", "Quang", ids, visit, now)
	if len(all) != VisitRecords {
		t.Errorf("a full visit makes %d records, want %d", len(all), VisitRecords)
	}
	all = append(all, Visit("p", "Quang", ids, Typed{"when": "2026", "reason": "Ho"}, now)...)
	all = append(all, Allergy("p", "Quang", "h", Typed{"substance": "Tôm", "certainty": "confirmed", "category": "food", "criticality": "high", "reaction": "Ngứa"}, now),
		Allergy("p", "Quang", "h", Typed{"substance": "Tôm", "certainty": "unconfirmed"}, now),
		WritePerson(nil, "p", Typed{"name": "An", "birth": "1961", "sex": "male", "number": "001", "phone": "09", "address": "Xóm 1"}, s))
	for _, v := range all {
		if issues := r4.Check(v); len(issues) > 0 {
			t.Errorf("%s: %v", v.Bytes(), issues)
		}
	}
	if got := string(all[4].Bytes()); !strings.Contains(strings.Join([]string{string(all[2].Bytes()), string(all[3].Bytes()), got}, ""), `"value":37.80`) {
		t.Errorf("37,80 lost a digit: %s", got)
	}
}

func TestFieldsAreChecked(t *testing.T) {
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		typed        Typed
		field        string
		fault, doubt string
	}{
		"nothing":       {Typed{"when": "05/10/2026"}, "reason", Nothing, ""},
		"no time":       {Typed{"reason": "x"}, "when", Missing, ""},
		"bad time":      {Typed{"reason": "x", "when": "99/10/2026"}, "when", NoDay, ""},
		"to come":       {Typed{"reason": "x", "when": "06/10/2026 08:00"}, "when", "", Future},
		"letters":       {Typed{"when": "05/10/2026", "pulse": "8o"}, "pulse", NoNumber, ""},
		"exponent":      {Typed{"when": "05/10/2026", "pulse": "1e9"}, "pulse", NoNumber, ""},
		"minus":         {Typed{"when": "05/10/2026", "pulse": "-5"}, "pulse", NoNumber, ""},
		"two commas":    {Typed{"when": "05/10/2026", "weight": "1,2,3"}, "weight", NoNumber, ""},
		"high":          {Typed{"when": "05/10/2026", "temperature": "42,1"}, "temperature", "", Unusual},
		"no moment":     {Typed{"reason": "x", "when": "hôm qua"}, "when", NoMoment, ""},
		"fever":         {Typed{"when": "05/10/2026", "temperature": "45,1"}, "temperature", Beyond, ""},
		"ice":           {Typed{"when": "05/10/2026", "temperature": "24,9"}, "temperature", Beyond, ""},
		"heavy":         {Typed{"when": "05/10/2026", "weight": "400,5"}, "weight", Beyond, ""},
		"swapped":       {Typed{"when": "05/10/2026", "systolic": "80", "diastolic": "120"}, "diastolic", "", Swapped},
		"equal":         {Typed{"when": "05/10/2026", "systolic": "80", "diastolic": "80"}, "diastolic", "", Swapped},
		"edge":          {Typed{"when": "05/10/2026", "temperature": "42"}, "temperature", "", ""},
		"half pressure": {Typed{"when": "05/10/2026", "diastolic": "80"}, "systolic", OneOfTwo, ""},
		"long":          {Typed{"when": "05/10/2026", "reason": strings.Repeat("ớ", 301)}, "reason", TooLong, ""},
	} {
		faults, doubts := CheckVisit(c.typed, "", now)
		if faults[c.field] != c.fault || doubts[c.field] != c.doubt {
			t.Errorf("%s: fault %q, doubt %q; want %q, %q", name, faults[c.field], doubts[c.field], c.fault, c.doubt)
		}
	}
}

func TestNoClockRefusesABirth(t *testing.T) {
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	for _, typed := range []string{"06/10/2026", "2027"} {
		faults, doubts := Check(PersonFields(), Typed{"name": "An", "birth": typed}, now)
		if len(faults) > 0 || doubts["birth"] != Future {
			t.Errorf("%s: faults %v, doubts %v; want it asked back", typed, faults, doubts)
		}
	}
}

func TestDetailsOfAPersonAreChecked(t *testing.T) {
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ field, typed, fault string }{
		"today":         {"birth", "05/10/2026", ""},
		"year":          {"birth", "1961", ""},
		"no such day":   {"birth", "31/02/1990", NoDay},
		"no such month": {"birth", "01/13/1990", NoDay},
		"digits only":   {"birth", "31021990", NoDay},
		"ISO":           {"birth", "1990-02-31", NoDay},
		"words":         {"birth", "mùa xuân", NoDate},
		"year of two":   {"birth", "31/02/90", NoDate},
		"phone":         {"phone", "0912 345 678", ""},
		"no phone":      {"phone", "không có", NoPhone},
	} {
		faults, doubts := Check(PersonFields(), Typed{"name": "An", c.field: c.typed}, now)
		if faults[c.field] != c.fault || len(doubts) > 0 {
			t.Errorf("%s, %q: fault %q, doubts %v; want %q", name, c.typed, faults[c.field], doubts, c.fault)
		}
	}
}

// What nobody of an age weighs is asked back, and so is a visit before the birth.
func TestVisitFitsTheAge(t *testing.T) {
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		birth, when, field, typed, want string
	}{
		"an adult's weight for a baby":    {"2026-06-01", "05/10/2026", "weight", "62", Unusual},
		"an adult's height for a baby":    {"2026-06-01", "05/10/2026", "height", "160", Unusual},
		"a baby":                          {"2026-06-01", "05/10/2026", "weight", "6,5", ""},
		"a newborn":                       {"2026-10-05", "05/10/2026", "weight", "3,2", ""},
		"a baby's weight for an adult":    {"1961-02-03", "05/10/2026", "weight", "6,5", Unusual},
		"an adult":                        {"1961", "05/10/2026", "height", "160", ""},
		"the day before three months":     {"2026-07-06", "05/10/2026", "weight", "10", Unusual},
		"three months":                    {"2026-07-05", "05/10/2026", "weight", "10", ""},
		"either end of a year":            {"2025", "05/10/2026", "weight", "15", ""},
		"a baby then, on paper until now": {"2016-06-01", "05/10/2016", "weight", "30", Unusual},
		"nothing is known of the birth":   {"", "05/10/2026", "weight", "3", ""},
		"before the birth":                {"2026-06-01", "31/05/2026", "when", "", Unborn},
		"the year before the birth":       {"2026-06-01", "2025", "when", "", Unborn},
		"in the year of the birth":        {"2026", "01/01/2026 08:00", "when", "", ""},
		"longer ago than anybody lives":   {"", "05/10/1830", "when", "", Old},
	} {
		typed := Typed{"when": c.when, "reason": "x", c.field: c.typed}
		if c.field == "when" {
			typed["when"] = c.when
		}
		faults, doubts := CheckVisit(typed, c.birth, now)
		if len(faults) > 0 || doubts[c.field] != c.want {
			t.Errorf("%s: faults %v, doubts %v; want %q", name, faults, doubts, c.want)
		}
	}
}

func TestYearsOfBirth(t *testing.T) {
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	for typed, want := range map[string][2]string{
		"1830": {"", Old}, "3/2/1905": {"", Old}, "1906": {"", ""}, "10/1906": {"", ""}, "09/1906": {"", Old}, "2027": {"", Future},
		"1/1/1750": {NoYear, ""}, "1750": {NoYear, ""}, "1750-01-01": {NoYear, ""}, "31/02/1961": {NoDay, ""}, "x": {NoDate, ""},
	} {
		faults, doubts := Check(PersonFields(), Typed{"name": "x", "birth": typed}, now)
		if got := [2]string{faults["birth"], doubts["birth"]}; got != want {
			t.Errorf("born %s: %q, want %q", typed, got, want)
		}
	}
}
