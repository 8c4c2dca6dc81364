package hl7v2

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the system may have no zones

	"tram/store/fhir"
)

// zone is that of the station in tests.
func zone() *time.Location { return time.FixedZone("", 7*3600) }

// examples are the made-up messages of testdata.
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.hl7")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d examples, %v", len(names), err)
	}
	out := map[string][]byte{}
	for _, n := range names {
		if out[filepath.Base(n)], err = os.ReadFile(n); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func one(t testing.TB, text string) *Content {
	t.Helper()
	all, err := Parse([]byte(strings.ReplaceAll(text, "\n", "\r")), zone())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	c, err := all[0].Content(Rules{Systems: map[string]string{"BYT": "urn:example:cccd", "1.2.3": "urn:example:oid"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	head = "MSH|^~\\&|LIS|BVH|Tram|TYT|20261103080000||ORU^R01|1|P|2.5\n"
	who  = "PID|1||079001^^^BYT^NI||Nguyễn^Hoa||19800205|F\n"
	obr  = "OBR|1|||718-7^Hb^LN|||20261103073000\n"
)

// obx is an example's one Observation.
func obx(t testing.TB, line string) *fhir.Value {
	t.Helper()
	return one(t, head+who+obr+line+"\n").Items[1].Value
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ name, obx, want string }{
		{"digits as written", "OBX|1|NM|a^b^L||13.40|g/dL", `"valueQuantity":{"value":13.40,"unit":"g/dL"}`},
		{"a unit said to be of UCUM", "OBX|1|NM|a^b^L||5|mmol/L^^UCUM", `"valueQuantity":{"value":5,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}`},
		{"a unit with a power", "OBX|1|NM|a^b^L||7.2|10^9/L", `"valueQuantity":{"value":7.2,"unit":"10^9/L"}`},
		{"times a power", "OBX|1|NM|a^b^L||7.2|x10^12/L", `"unit":"x10^12/L"`},
		{"a power of UCUM", "OBX|1|NM|a^b^L||7.2|10^3/uL^^UCUM", `"unit":"10^3/uL","system":"http://unitsofmeasure.org","code":"10^3/uL"`},
		{"a power and its text", "OBX|1|NM|a^b^L||7.2|K/uL^10^3/uL^L", `"unit":"10^3/uL"`},
		{"powers of a length", "OBX|1|NM|a^b^L||21|10^6/mm^3", `"unit":"10^6/mm^3"`},
		{"a power at the end", "OBX|1|NM|a^b^L||21|kg/m^2|19-25", `"low":{"value":19,"unit":"kg/m^2"}`},
		{"a text that begins with a number", "OBX|1|NM|a^b^L||7.2|K/uL^10*3/uL^L", `"unit":"10*3/uL"`},
		{"a power that was escaped", `OBX|1|NM|a^b^L||7.2|10\S\9/L^10*9/L^L`, `"unit":"10*9/L"`},
		{"signs and zeros that JSON does not have", "OBX|1|NM|a^b^L||+007.50", `"valueQuantity":{"value":7.50}`},
		{"no digit before the point", "OBX|1|NM|a^b^L||-.5", `"valueQuantity":{"value":-0.5}`},
		{"below what is measured", "OBX|1|NM|a^b^L||<0.5|U/L", `"valueQuantity":{"value":0.5,"comparator":"<","unit":"U/L"}`},
		{"no number after all", "OBX|1|NM|a^b^L||5,4", `"valueString":"5,4"`},
		{"an exponent is none", "OBX|1|NM|a^b^L||1e3", `"valueString":"1e3"`},
		{"structured: above", "OBX|1|SN|a^b^L||>^100|U/L", `"valueQuantity":{"value":100,"comparator":">","unit":"U/L"}`},
		{"structured: a titre", "OBX|1|SN|a^b^L||^1^:^128", `"valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}`},
		{"structured: from to", "OBX|1|SN|a^b^L||^5^-^8", `"valueRange":{"low":{"value":5},"high":{"value":8}}`},
		{"a code and another one", "OBX|1|CWE|a^b^L||260373001^Detected^SCT^P^Dương tính^L", `"valueCodeableConcept":{"coding":[{"system":"http://snomed.info/sct","code":"260373001","display":"Detected"},{"system":"urn:tram:code:L","code":"P","display":"Dương tính"}]}`},
		{"an ampersand that was not escaped", "OBX|1|CE|a & b^c & d^L||s^Salmonella & Shigella^L", `"valueCodeableConcept":{"coding":[{"system":"urn:tram:code:L","code":"s","display":"Salmonella & Shigella"}]}`},
		{"the name of a test with one", "OBX|1|NM|a&b^c & d^L||5", `"code":"a&b","display":"c & d"`},
		{"a number as text keeps its unit", "OBX|1|ST|a^b^L||5,4|mmol/L", `"valueString":"5,4 mmol/L"`},
		{"no number keeps its unit", "OBX|1|NM|a^b^L||5,4|10^9/L", `"valueString":"5,4 10^9/L"`},
		{"parts keep their unit", "OBX|1|NA|a^b^L||1^2^3|mV", `"valueString":"1 2 3 mV"`},
		{"lines keep their unit", "OBX|1|ST|a^b^L||5,4~6,1|g/L", `"valueString":"5,4\n6,1 g/L"`},
		{"a unit that is said already", "OBX|1|ST|a^b^L||5,4 g/L|g/L", `"valueString":"5,4 g/L"`},
		{"a unit of nothing", "OBX|1|ST|a^b^L||Âm tính|g/L", `"valueString":"Âm tính"`},
		{"text that repeats", "OBX|1|TX|a^b^L||one~two\\.br\\three", `"valueString":"one\ntwo\nthree"`},
		{"escapes", "OBX|1|ST|a^b^L||a\\T\\b\\F\\c\\S\\d\\R\\e\\E\\f\\X41E1BA^", `"valueString":"a&b|c^d~e\\f\\X41E1BA^"`},
		{"hexadecimal in UTF-8", "OBX|1|ST|a^b^L||\\XE1BAA1\\ \\H\\x\\N\\", `"valueString":"ạ x"`},
		{"hexadecimal controls", "OBX|1|ST|a^b^L||a\\X00\\b", `"valueString":"a` + "\ufffd" + `b"`},
		{"numbers that repeat", "OBX|1|NM|a^b^L||60~120|bpm", `"component":[{"code":{"coding":[{"system":"urn:tram:code:L","code":"a","display":"b"}]},"valueQuantity":{"value":60,"unit":"bpm"}},{"code":{"coding":[{"system":"urn:tram:code:L","code":"a","display":"b"}]},"valueQuantity":{"value":120,"unit":"bpm"}}]`},
		{"a day", "OBX|1|DT|a^b^L||20261103", `"valueDateTime":"2026-11-03"`},
		{"nothing", "OBX|1|NM|a^b^L||||||||F", `"dataAbsentReason":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown"}]}`},
		{"deleted is nothing", `OBX|1|NM|a^b^L||""||||||F`, `"dataAbsentReason"`},
		{"a picture", "OBX|1|ED|a^b^L||^IM^png^Base64^iVBO", `"code":"unsupported"`},
		{"a range with numbers", "OBX|1|NM|a^b^L||5|g|4.0-6.50", `"referenceRange":[{"low":{"value":4.0,"unit":"g"},"high":{"value":6.50,"unit":"g"},"text":"4.0-6.50"}]`},
		{"a range in words", "OBX|1|NM|a^b^L||5|g|< 6", `"referenceRange":[{"text":"< 6"}]`},
		{"high", "OBX|1|NM|a^b^L||5|g||HH", `"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"HH"}]}]`},
		{"its own time", "OBX|1|NM|a^b^L||5|||||||||20261103|", `"effectiveDateTime":"2026-11-03"`},
		{"the order's time", "OBX|1|NM|a^b^L||5", `"effectiveDateTime":"2026-11-03T07:30:00+07:00"`},
		{"corrected", "OBX|1|NM|a^b^L||5||||||C", `"status":"corrected"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(obx(t, c.obx).Bytes()); !strings.Contains(got, c.want) {
				t.Errorf("%s: got %s, want %s", c.obx, got, c.want)
			}
		})
	}
}

func TestTextIsKeptToItsLastLine(t *testing.T) {
	text := strings.Repeat("line~", MaxRepeats) + "CONCLUSION"
	c := one(t, head+who+obr+"OBX|1|TX|1^report||"+text+"\nNTE|1||"+text+"\nOBX|2|TX|||"+text+"\n")
	want := strings.ReplaceAll(text, "~", "\n")
	if got := c.Items[1].Value.Str("valueString"); got != want {
		t.Errorf("the result: %q", got)
	}
	if got := c.Items[1].Value.Get("note").Items[0].Str("text"); got != want {
		t.Errorf("the note: %q", got)
	}
	if got := c.Items[0].Value.Str("conclusion"); got != want {
		t.Errorf("the conclusion: %q", got)
	}
}

// What stands before the first OBR is of a report of its own.
func TestResultsWithoutAnOrderAreTaken(t *testing.T) {
	const loose = "OBX|1|NM|8302-2^Height^LN||160|cm\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"before an order": {head + who + loose + obr + "OBX|1|NM|a||5\n", []string{"DiagnosticReport", "160", "DiagnosticReport", "5"}},
		"no order":        {head + who + loose, []string{"DiagnosticReport", "160"}},
	} {
		var got []string
		for _, it := range one(t, c.text).Items {
			got = append(got, cmp.Or(it.Value.Str("valueQuantity", "value"), it.Value.Str("resourceType")))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	ended := one(t, head+who+"OBR|1|||718-7^Hb^LN||||20261103073000\nOBX|1|NM|a||5\n").Items[0].Value
	if got := ended.Str("effectivePeriod", "end"); got != "2026-11-03T07:30:00+07:00" {
		t.Errorf("an order of which only the end is said: %s", ended.Bytes())
	}
}

func TestTimesKeepTheirPrecisionAndZone(t *testing.T) {
	m := &Message{zone: zone()}
	for text, want := range map[string]string{
		"2026": "2026", "202611": "2026-11", "20261103": "2026-11-03", "202611030815": "2026-11-03T08:15:00+07:00",
		"20261103081530": "2026-11-03T08:15:30+07:00", "20261103081530.25": "2026-11-03T08:15:30.25+07:00",
		"20261103081530-0330": "2026-11-03T08:15:30-03:30", "202611030815+0000": "2026-11-03T08:15:00+00:00", "20261103+0700": "2026-11-03",
		"": "", "00000000": "",
	} {
		if got, ok := m.moment(text); !ok || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, ok, want)
		}
	}
	santiago, err := time.LoadLocation("America/Santiago") // summer time begins at midnight
	if err != nil {
		t.Fatal(err)
	}
	m.zone = santiago
	for text, want := range map[string]string{"20190908": "2019-09-08", "20190908003000+0700": "2019-09-08T00:30:00+07:00"} {
		if got, ok := m.moment(text); !ok || got != want {
			t.Errorf("%q where midnight is skipped: got %q, %v; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"20261303", "20260230", "2026110", "03/11/2026", "202611032460", "20261103080000+1500", "20261103080000+07:00", "abcd", "20",
		"1980-02-05", "1980-0205", "2026-11", "2026-11-03T07:30:00", "2026-1103073000", "2026.11", "20261103.5", "20261103+7"} {
		if got, ok := m.moment(text); ok {
			t.Errorf("%q is taken as %q", text, got)
		}
	}
}

func TestWhatTellsAMessageFromAnother(t *testing.T) {
	later := strings.NewReplacer("20261103080000", "20261110080000")
	for _, c := range []struct {
		name, text string
		same       bool // also when it is sent a week later
	}{
		{"no time but that of sending", head + who + "OBR|1|||15074-8^Glucose^LN\nOBX|1|NM|15074-8^Glucose^LN||5.4|mmol/L\n", false},
		{"the day alone", head + who + "OBR|1|||15074-8^Glucose^LN|||20261103\nOBX|1|NM|15074-8^Glucose^LN||5.4|mmol/L\n", false},
		{"the order's time", head + who + obr + "OBX|1|NM|15074-8^Glucose^LN||5.4|mmol/L\n", true},
		{"the result's time", head + who + "OBR|1|||a\nOBX|1|NM|a||5.4|||||||||20261103073000\n", true},
		{"the event's time", head + "EVN|A08|20261103073000\n" + who, true},
		{"a person and no event", head + who, false},
		{"the day of a dose", head + who + "RXA|0|1|20261103||03^MMR^CVX|1\n", true},
	} {
		digest := func(text string) string {
			all, err := Parse([]byte(strings.ReplaceAll(text, "\n", "\r")), zone())
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			all[0].Digest(&b)
			return b.String()
		}
		if got := digest(c.text) == digest(later.Replace(c.text)); got != c.same {
			t.Errorf("%s: the same a week later is %v, want %v", c.name, got, c.same)
		}
	}
}

func TestADoseKeepsItsAmount(t *testing.T) {
	for amount, want := range map[string]string{
		"0.5|mL":  `"doseQuantity":{"value":0.5,"unit":"mL"}`,
		"0,5|mL":  `"note":[{"text":"0,5 mL"}]`,
		"999|":    `"occurrenceDateTime":"2026-11-03"}`,
		"2 giọt|": `"note":[{"text":"2 giọt"}]`,
	} {
		c := one(t, strings.Replace(head, "ORU^R01", "VXU^V04", 1)+who+"RXA|0|1|20261103||03^MMR^CVX|"+amount+"\n")
		if got := string(c.Items[0].Value.Bytes()); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", amount, got, want)
		}
	}
}

func TestPeople(t *testing.T) {
	c := one(t, head+"PID|1|55|079001^^^BYT^NI~A7^^^&1.2.3&ISO^MR~88^^^&2.16.1&ISO~99^^^Phòng khám 1|66^^^KHO&9&X|Nguyễn&&^Hoa^Thị^Jr^Bà^^L~Bé^^^^^^N||198002051130|F|||12 Lê Lợi^P. 3^Hà Nội^HN^10000^VN||0900000001^PRN^CP~^NET^Internet^a@b.c|^WPN^PH^^84^24^123|||||||||||||||20261101|Y\n"+obr+"OBX|1|NM|a||1\n")
	want := `{"resourceType":"Patient","identifier":[` +
		`{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NI"}]},"system":"urn:example:cccd","value":"079001"},` +
		`{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:example:oid","value":"A7"},` +
		`{"system":"urn:oid:2.16.1","value":"88"},{"system":"urn:tram:id:Ph%C3%B2ng%20kh%C3%A1m%201","value":"99"},` +
		`{"system":"urn:tram:id:BVH#PID-2","value":"55"},{"system":"urn:tram:id:KHO","value":"66"}],` +
		`"name":[{"use":"official","family":"Nguyễn","given":["Hoa","Thị"],"prefix":["Bà"],"suffix":["Jr"]},{"use":"nickname","family":"Bé"}],` +
		`"telecom":[{"system":"phone","value":"0900000001","use":"mobile"},{"system":"email","value":"a@b.c","use":"home"},{"system":"phone","value":"84 24 123","use":"work"}],` +
		`"gender":"female","birthDate":"1980-02-05","deceasedDateTime":"2026-11-01","address":[{"line":["12 Lê Lợi","P. 3"],"city":"Hà Nội","state":"HN","postalCode":"10000","country":"VN"}]}`
	if got := string(c.Patient.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNumbersWithoutAnAuthority(t *testing.T) {
	for _, c := range []struct{ name, pid, want string }{
		{"no type", "PID|1||55", "urn:tram:id:BVH 55"},
		{"a type", "PID|1||55^^^^MR", "urn:tram:id:BVH#MR 55"},
		{"another type", "PID|1||55^^^^PI", "urn:tram:id:BVH#PI 55"},
		{"another place", "PID|1|55|901|55", "urn:tram:id:BVH 901, urn:tram:id:BVH#PID-2 55, urn:tram:id:BVH#PID-4 55"},
		{"an account", "PID|1||900^^^^MR~55^^^^AN", "urn:tram:id:BVH#MR 900"},
		{"a visit of an authority", "PID|1||900~55^^^BVH^VN", "urn:tram:id:BVH 900"},
	} {
		var got []string
		for _, id := range one(t, head+c.pid+"\n"+obr+"OBX|1|NM|a||1\n").Patient.Get("identifier").Items {
			got = append(got, id.Str("system")+" "+id.Str("value"))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %s, want %s", c.name, s, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := head + who + obr + "OBX|1|NM|a^b||5\n"
	for _, c := range []struct {
		name, text, want string
	}{
		{"no message", "hello", "not-hl7 at line 1 "},
		{"a line that is no segment", strings.Replace(good, "OBR|", "obr|", 1), "not-hl7 at line 3 "},
		{"a control character", strings.Replace(good, "Hoa", "H\x00a", 1), "not-hl7 at line 2 "},
		{"one delimiter twice", strings.Replace(good, `^~\&`, `^~\\&`, 1), "delimiters at line 1 "},
		{"a letter for a delimiter", strings.Replace(good, `^~\&`, `^~\a`, 1), "delimiters at line 1 "},
		{"bytes that are no UTF-8", strings.Replace(good, "Hoa", "H\xf4a", 1), "charset at line 2 "},
		{"a character set that is not read", strings.Replace(good, "|2.5", "|2.5||||||ISO IR87", 1), "charset at line 1 MSH-18"},
		{"version 3", strings.Replace(good, "|2.5", "|3", 1), "hl7-version at line 1 MSH-12"},
		{"version 2.2", strings.Replace(good, "|2.5", "|2.2", 1), "hl7-version at line 1 MSH-12"},
		{"training", strings.Replace(good, "|P|", "|T|", 1), "trial-message at line 1 MSH-11"},
		{"an order", strings.Replace(good, "ORU^R01", "ORM^O01", 1), "other-message at line 1 MSH-9"},
		{"a move", strings.Replace(good, "ORU^R01", "ADT^A02", 1), "other-message at line 1 MSH-9"},
		{"no person", strings.Replace(good, who, "", 1), "no-person at line 1 PID"},
		{"a person without number", strings.Replace(good, "079001^^^BYT^NI", "", 1), "no-person at line 2 PID-3"},
		{"a person with an account alone", strings.Replace(good, "^NI", "^AN", 1), "no-person at line 2 PID-3"},
		{"two people", good + who, "two-people at line 5 PID"},
		{"no result", head + who, "nothing-in-it at line 1 OBX"},
		{"a wrong birth date", strings.Replace(good, "19800205", "19801305", 1), "bad-time at line 2 PID-7"},
		{"a birth date as ISO 8601 writes it", strings.Replace(good, "19800205", "1980-02-05", 1), "bad-time at line 2 PID-7"},
		{"a time as ISO 8601 writes it", strings.Replace(good, "||5", "||5||||||F|||2026-11-03T07:30:00", 1), "bad-time at line 4 OBX-14"},
		{"one value more than a list takes", strings.Replace(good, "||5", "||5"+strings.Repeat("~5", MaxRepeats), 1), "too-many-repeats at line 4 OBX-5"},
		{"one name more", strings.Replace(good, "Nguyễn^Hoa", "Nguyễn^Hoa"+strings.Repeat("~A^B", MaxRepeats), 1), "too-many-repeats at line 2 PID-5"},
		{"one number more", strings.Replace(good, "^NI|", "^NI"+strings.Repeat("~1", MaxRepeats)+"|", 1), "too-many-repeats at line 2 PID-3"},
		{"one mark more", good + "OBX|2|NM|a^b||5|||N" + strings.Repeat("~N", MaxRepeats) + "\n", "too-many-repeats at line 5 OBX-8"},
		{"a dose of nothing", strings.Replace(head, "ORU^R01", "VXU^V04", 1) + who + "RXA|0|1|20261103||03^MMR^CVX|1\nRXA|0|1|20261103|||1\n", "nothing-in-it at line 4 RXA-5"},
		{"a result of the wrong person", good + "OBX|2|NM|c^d||5||||||W\n", "undo at line 5 OBX-11"},
		{"a result that is taken back", good + "OBX|2|NM|c^d||5||||||D\n", "undo at line 5 OBX-11"},
		{"a text that is taken back", good + "OBX|2|TX|||x||||||D\n", "undo at line 5 OBX-11"},
		{"a batch with less than it says", "BHS|^~\\&\n" + good + "BTS|2\n", "cut at line 0 "},
		{"a batch without end", "FHS|^~\\&\n" + good, "cut at line 0 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := Parse([]byte(strings.ReplaceAll(c.text, "\n", "\r")), zone())
			if err == nil {
				_, err = all[0].Content(Rules{})
			}
			var bad *Error
			if !errors.As(err, &bad) || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestLineEndsAndCharacterSets(t *testing.T) {
	text := head + who + obr + "OBX|1|ST|a^b||H\u00f4\n"
	latin := strings.NewReplacer("|2.5", "|2.5||||||8859/1", "Nguyễn", "Nguyen", "ô", "\xf4").Replace(text)
	for name, raw := range map[string]string{
		"LF": text, "CR": strings.ReplaceAll(text, "\n", "\r"), "CR LF": strings.ReplaceAll(text, "\n", "\r\n"), "no last end": strings.TrimSpace(text),
		"BOM": "\xef\xbb\xbf" + text, "said to be UTF-8": strings.Replace(text, "|2.5", "|2.5||||||UNICODE UTF-8", 1), "ISO 8859-1": latin,
		"empty lines": strings.ReplaceAll(text, "\n", "\n\n"), "a frame": "\x0b" + text + "\x1c\r",
	} {
		all, err := Parse([]byte(raw), zone())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, err := all[0].Content(Rules{})
		if err != nil || c.Items[1].Value.Str("valueString") != "Hô" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExamplesAreValidFHIR(t *testing.T) {
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for name, data := range examples(t) {
		all, err := Parse(data, zone())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, m := range all {
			c, err := m.Content(Rules{})
			if err != nil {
				continue
			}
			taken++
			for i, it := range c.Items {
				for _, issue := range r4.Check(it.Value) {
					t.Errorf("%s, item %d: %s %s", name, i, issue.Key, issue.Path)
				}
			}
			for _, issue := range r4.Check(c.Patient) {
				t.Errorf("%s, patient: %s %s", name, issue.Key, issue.Path)
			}
		}
	}
	if taken < 6 {
		t.Errorf("%d messages are taken", taken)
	}
}

func TestAcknowledgements(t *testing.T) {
	raw := []byte(strings.ReplaceAll(head+who, "\n", "\r"))
	at := time.Date(2026, 11, 3, 8, 0, 0, 0, zone())
	want := "MSH|^~\\&|Tram|TYT|LIS|BVH|20261103080000+0700||ACK^R01|7|P|2.5||||||UNICODE UTF-8\rMSA|AA|1|\r"
	if got := string(Ack(raw, Answer{Code: Accept, ID: "7", At: at})); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(Ack(append([]byte("\xef\xbb\xbf"), raw...), Answer{Code: Accept, ID: "7", At: at})); got != want {
		t.Errorf("after a byte order mark: got %q, want %q", got, want)
	}
	got := Ack(raw, Answer{Fault, BadTime, "a|b\nc", "8", at})
	if !bytes.Contains(got, []byte("\rMSA|AE|1|a\\F\\b c\rERR|||102^^HL70357|E||||a\\F\\b c\r")) {
		t.Errorf("got %q", got)
	}
	for _, junk := range []string{"", "junk", "MSH", "MSH|aaaa|", "MSH|^~\\&", "MSH|^~\\&|\xff\x00|"} {
		all, err := Parse(Ack([]byte(junk), Answer{Reject, NotHL7, "x", "9", at}), zone())
		if err != nil || all[0].Segments[1].Text(1) != "AR" {
			t.Errorf("the answer to %q: %v", junk, err)
		}
	}
}

// What stands once in a message and is put in many places.
func TestNothingGrowsBeyondItsLimit(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	many := strings.Repeat(obr+"OBX|1|NM|a^b||5|||||||||||||||||||7\n", 200)
	for name, text := range map[string]string{
		"the sender":            strings.Replace(head, "BVH", long, 1) + who + many,
		"a code that repeats":   head + who + obr + "OBX|1|NM|a^" + long + "||" + strings.Repeat("1~", 49) + "1\n",
		"a unit that repeats":   head + who + obr + "OBX|1|NM|a||" + strings.Repeat("1~", 49) + "1|" + long + "\n",
		"the number of an ORC":  strings.Replace(head, "ORU^R01", "VXU^V04", 1) + who + "ORC|RE||" + long + "\n" + strings.Repeat("RXA|0|1|20261103||03^MMR^CVX|1\n", 100),
		"a time of many OBX":    head + who + obr + strings.Repeat("OBX|1|ST|a||"+strings.Repeat("y", 1000)+"\n", 5000),
		"numbers of the person": head + strings.Replace(who, "079001^^^BYT^NI", strings.Repeat("1^^^"+long[:50_000]+"~", MaxRepeats-1), 1) + obr + "OBX|1|NM|a||5\n",
	} {
		all, err := Parse([]byte(strings.ReplaceAll(text, "\n", "\r")), zone())
		if err != nil {
			continue
		}
		c, err := all[0].Content(Rules{})
		if err != nil {
			continue
		}
		size := len(c.Patient.Bytes())
		for _, it := range c.Items {
			size += len(it.Value.Bytes())
		}
		if size > 4*len(text) {
			t.Errorf("%s: %d bytes come of %d", name, size, len(text))
		}
	}
}

// FuzzHL7 holds that what comes of any file is JSON about the one subject, or an error,
// and no more than the limits allow.
func FuzzHL7(f *testing.F) {
	r4, err := fhir.Load()
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range examples(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := Parse(data, zone())
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("%T", err)
			}
		}
		for _, m := range all {
			c, err := m.Content(Rules{Trials: true})
			if err != nil {
				continue
			}
			size := 0
			for _, it := range append(c.Items, Item{Value: c.Patient}) {
				b := it.Value.Bytes()
				size += len(b)
				if _, err := fhir.Parse(b, fhir.DefaultLimits()); err != nil {
					t.Fatalf("no JSON comes of it: %v", err)
				}
				r4.Check(it.Value)
			}
			if size > 8*MaxText { // a character may take six bytes of JSON
				t.Fatalf("%d bytes come of %d", size, len(m.Raw))
			}
		}
		Ack(data, Answer{Fault, NotHL7, "x", "1", time.Unix(0, 0)})
	})
}
