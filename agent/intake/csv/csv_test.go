package csv

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tram/store/fhir"
)

func zone() *time.Location { return time.FixedZone("", 7*3600) }

func tables(t testing.TB) *fhir.R4 {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	return r4
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, r4 *fhir.R4, text string) *Map {
	t.Helper()
	m, err := ParseMap([]byte(text), r4)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestADevicesVitals(t *testing.T) {
	r4 := tables(t)
	m := load(t, r4, string(file(t, "vitals.map.toml")))
	rows, err := Read(file(t, "vitals.csv"), m, zone())
	if err != nil || len(rows) != 2 || len(rows[0].Records) != 2 || len(rows[1].Records) != 1 || rows[1].Line != 3 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for i, want := range []string{
		`{"resourceType":"Observation","code":{"coding":[{"code":"8867-4","system":"http://loinc.org"}]},"effectiveDateTime":"2026-11-03T07:30:00+07:00","identifier":[{"system":"urn:example:monitor:pulse","value":"1001"}],"status":"final","valueQuantity":{"unit":"/min","value":72},"subject":{"reference":"urn:tram:subject"}}`,
		`{"resourceType":"Observation","code":{"coding":[{"code":"8310-5","system":"http://loinc.org"}]},"effectiveDateTime":"2026-11-03T07:30:00+07:00","identifier":[{"system":"urn:example:monitor:temperature","value":"1001"}],"status":"final","valueQuantity":{"code":"Cel","system":"http://unitsofmeasure.org","unit":"Cel","value":37.50},"subject":{"reference":"urn:tram:subject"}}`,
	} {
		got := rows[0].Records[i]
		if string(got.Value.Bytes()) != want || !got.Once || len(r4.Check(got.Value)) > 0 {
			t.Errorf("got  %s\nwant %s\n%v", got.Value.Bytes(), want, r4.Check(got.Value))
		}
	}
	if !m.Matches("Vitals-2026-11-03.CSV") || m.Matches("people.csv") {
		t.Error("the map is for other tables than it says")
	}
}

func TestAListOfPeople(t *testing.T) {
	r4 := tables(t)
	m := load(t, r4, string(file(t, "people.map.toml")))
	rows, err := Read(file(t, "people.csv"), m, zone())
	if err != nil || len(rows) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for i, want := range []string{
		`{"resourceType":"Patient","address":[{"text":"12 Lê Lợi, Hà Nội"}],"birthDate":"1985-06-12","gender":"female","identifier":[{"system":"urn:example:cccd","value":"079185000123"}],"name":[{"text":"Nguyễn Thị Hoa"}],"telecom":[{"system":"phone","value":"0900000042"}]}`,
		`{"resourceType":"Patient","address":[{"text":"=HYPERLINK(\"x\")"}],"birthDate":"1979","gender":"male","identifier":[{"system":"urn:example:cccd","value":"079185000200"}],"name":[{"text":"Trần \"Tý\" Bình"}]}`,
	} {
		if got := rows[i].Person; string(got.Bytes()) != want || len(r4.Check(got)) > 0 {
			t.Errorf("got  %s\nwant %s", got.Bytes(), want)
		}
	}
}

func TestWrongTablesAreRefusedWithTheirPlace(t *testing.T) {
	m := load(t, tables(t), string(file(t, "vitals.map.toml")))
	good := string(file(t, "vitals.csv"))
	for _, c := range []struct{ name, text, want, what string }{
		{"nothing", "", "not-csv at line 1: ", ""},
		{"another delimiter", strings.ReplaceAll(good, ";", ","), "no-column at line 1: Mã BN", ""},
		{"a column less", strings.Replace(good, ";Mạch", ";Mach", 1), "no-column at line 1: Mạch", ""},
		{"a column twice", strings.Replace(good, "Số đo", "Mạch", 1), "no-column at line 1: Mạch", ""},
		{"a cell too many", strings.Replace(good, ";37,50", ";37,50;", 1), "not-csv at line 2: ", ""},
		{"a quote that does not end", strings.Replace(good, "1002", `"1002`, 1), "not-csv at line 3: ", ""},
		{"a decimal point", strings.Replace(good, "37,50", "37.50", 1), "bad-cell at line 2: Nhiệt độ", "number"},
		{"a word for a number", strings.Replace(good, ";72;", ";nhanh;", 1), "bad-cell at line 2: Mạch", "number"},
		{"the month first", strings.Replace(good, "3/11/2026;07", "11/13/2026;07", 1), "bad-cell at line 3: Ngày", "time"},
		{"two digits of a year", strings.Replace(good, "3/11/2026", "3/11/26", 1), "bad-cell at line 2: Ngày", "time"},
		{"no time of day", strings.Replace(good, "7:30", "25:30", 1), "bad-cell at line 2: Ngày", "time"},
		{"a time without its day", strings.Replace(good, "3/11/2026;7:30", ";0730", 1), "bad-cell at line 2: Ngày", "time"},
		{"nobody", strings.Replace(good, "079185000123", "", 1), "row-without-person at line 2: ", ""},
		{"bytes that are no UTF-8", strings.Replace(good, "Hoa", "H\xf4a", 1), "table-charset at line 2: ", ""},
		{"a control character", strings.Replace(good, "Hoa", "H\x00a", 2), "table-charset at line 2: ", ""},
		{"too many rows", good + strings.Repeat("1;3/11/2026;7:30;1;x;1;1\n", MaxRows), "too-many-rows at line 1669: ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := Read([]byte(c.text), m, zone())
			var bad *Error
			if !errors.As(err, &bad) || err.Error() != c.want || bad.What != c.what || rows != nil {
				t.Errorf("got %v (%+v), want %s", err, bad, c.want)
			}
		})
	}
}

func TestFormsOfOneTable(t *testing.T) {
	r4 := tables(t)
	good := string(file(t, "vitals.csv"))
	wide := []byte{0xff, 0xfe}
	for _, r := range good { // all of it is in the first plane
		wide = append(wide, byte(r), byte(r>>8))
	}
	text := string(file(t, "vitals.map.toml"))
	for name, c := range map[string]struct{ data, text string }{
		"UTF-8 with a mark":      {"\xef\xbb\xbf" + good, text},
		"UTF-16 with a mark":     {string(wide), text},
		"CR LF":                  {strings.ReplaceAll(good, "\n", "\r\n"), text},
		"CR":                     {strings.ReplaceAll(good, "\n", "\r"), text},
		"Excel's word":           {"sep=;\n" + good, text},
		"lines before the names": {"Báo cáo\n\n" + good, "skip = 2\n" + text},
		"empty rows":             {good + ";;;;;;\n\n", text},
		"names in other letters": {strings.Replace(good, "Mạch", " MẠCH ", 1), text},
		"composed otherwise":     {strings.Replace(good, "ạ", "a\u0323", 1), text},
	} {
		rows, err := Read([]byte(c.data), load(t, r4, c.text), zone())
		if err != nil || len(rows) != 2 || rows[0].Records[1].Value.Str("valueQuantity", "value") != "37.50" {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
}

func TestWrongMapsAreSaid(t *testing.T) {
	r4 := tables(t)
	person := "[person]\nset = {\"identifier.system\"=\"x\"}\ntake = {\"identifier.value\"=\"A\"}\n"
	for _, c := range []struct{ name, text, want string }{
		{"no TOML", "a = ", "bad-map at line 1: "},
		{"an unknown name", "colour = 1\n", "bad-map at line 1: "},
		{"a long delimiter", "delimiter = \";;\"", "bad-map at line 0: delimiter"},
		{"another character set", "charset = \"tcvn\"", "bad-map at line 0: charset"},
		{"no such element", person + "[[record]]\nkind = \"Observation\"\nset = {colour = \"red\"}", "bad-map at line 0: Observation.colour"},
		{"an element that is no value", person + "[[record]]\nkind = \"Observation\"\nset = {code = \"red\"}", "bad-map at line 0: Observation.code"},
		{"an index of what is no list", person + "[[record]]\nkind = \"Observation\"\nset = {\"status[0]\" = \"red\"}", "bad-map at line 0: Observation.status[0]"},
		{"a large index", "[person]\ntake = {\"name[10].text\" = \"A\"}", "bad-map at line 0: Patient.name[10].text"},
		{"a kind about nobody", person + "[[record]]\nkind = \"Organization\"", "bad-map at line 0: record.kind"},
		{"no such list of words", person + "words = {\"identifier.value\" = \"none\"}", "bad-map at line 0: Patient.identifier.value"},
		{"a bad pattern", "files = \"[\"\n" + person, "bad-map at line 0: files"},
	} {
		if _, err := ParseMap([]byte(c.text), r4); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestCells(t *testing.T) {
	in := &reader{m: &Map{Decimal: ",", Date: "day-first"}, zone: zone()}
	for _, c := range []struct{ typ, text, want string }{
		{"decimal", "007,50", "7.50"}, {"decimal", "+0,5", "0.5"}, {"decimal", "-12", "-12"}, {"decimal", "1.250", ""}, {"decimal", "1,2,3", ""},
		{"decimal", "1e3", ""}, {"decimal", ",5", ""}, {"decimal", "5,", ""},
		{"integer", "12", "12"}, {"integer", "1.5", ""}, {"boolean", "true", "true"}, {"boolean", "x", ""},
		{"date", "31/12/1985", `"1985-12-31"`}, {"date", "1985-1-2", `"1985-01-02"`}, {"date", "12.1985", `"1985-12"`}, {"date", "1985", `"1985"`},
		{"date", "19851231", `"1985-12-31"`}, {"date", "30/2/2026", ""}, {"date", "1/2/3/2026", ""}, {"date", "", ""},
		{"dateTime", "3/11/2026 8:05", `"2026-11-03T08:05:00+07:00"`}, {"dateTime", "3/11/2026 8:05:06.250", `"2026-11-03T08:05:06.250+07:00"`},
		{"dateTime", "2026-11-03T08:05:06-03:00", `"2026-11-03T08:05:06-03:00"`}, {"dateTime", "3/11/2026", `"2026-11-03"`}, {"instant", "3/11/2026", ""},
		{"string", "=1+1", `"=1+1"`},
	} {
		got := ""
		if v, _ := in.convert(c.typ, c.text); v != nil {
			got = string(v.Bytes())
		}
		if got != c.want {
			t.Errorf("%s %q: got %s, want %s", c.typ, c.text, got, c.want)
		}
	}
}

func TestNothingGrowsBeyondItsLimit(t *testing.T) {
	take := ""
	for i := range 10 {
		for j := range 10 {
			take += fmt.Sprintf("\"name[%d].given[%d]\" = \"A\", ", i, j)
		}
	}
	m := load(t, tables(t), "[person]\nset = {\"identifier.system\"=\"x\"}\ntake = {"+take+"\"identifier.value\"=\"B\"}")
	_, err := Read([]byte("A,B\n"+strings.Repeat("x", 1<<20)+",1\n"), m, zone())
	if err == nil || err.Error() != "too-many-rows at line 2: " {
		t.Errorf("a cell put in a hundred places: %v", err)
	}
}

// FuzzCSV holds that what comes of any table and map is JSON about the one subject, or
// an error, and no more than the limits allow.
func FuzzCSV(f *testing.F) {
	r4 := tables(f)
	for _, name := range []string{"vitals", "people"} {
		f.Add(file(f, name+".csv"), string(file(f, name+".map.toml")))
	}
	f.Add([]byte("A\n1\n"), "[person]\nset = {\"identifier.system\"=\"x\"}\ntake = {\"identifier.value\"=\"A\", \"name[3].given[2]\" = \"A\"}")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		var bad *Error
		m, err := ParseMap([]byte(text), r4)
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatalf("%T", err)
			}
			return
		}
		rows, err := Read(data, m, zone())
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("%T", err)
		}
		if len(rows) > MaxRows {
			t.Fatalf("%d rows", len(rows))
		}
		for _, row := range rows {
			for _, v := range append(row.Records, Record{Value: row.Person}) {
				if _, err := fhir.Parse(v.Value.Bytes(), fhir.DefaultLimits()); err != nil {
					t.Fatalf("no JSON comes of it: %v", err)
				}
				r4.Check(v.Value)
			}
		}
	})
}
