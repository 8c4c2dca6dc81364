package hl7v2

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"tram/store/fhir"
)

// object makes a JSON object of names and values in turn. A value is a text, a
// *fhir.Value or a list of them; what is empty is left out, and nothing is nil.
func object(pairs ...any) *fhir.Value {
	var fields []fhir.Field
	for i := 0; i+1 < len(pairs); i += 2 {
		var v *fhir.Value
		switch x := pairs[i+1].(type) {
		case string:
			if x != "" {
				v = fhir.NewString(x)
			}
		case *fhir.Value:
			v = x
		case []*fhir.Value:
			if v = fhir.NewArray(x...); len(v.Items) == 0 {
				v = nil
			}
		}
		if v != nil {
			fields = append(fields, fhir.Field{Name: pairs[i].(string), Value: v})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return fhir.NewObject(fields...)
}

// list is a list of what is not empty.
func list(items ...*fhir.Value) *fhir.Value {
	if v := fhir.NewArray(items...); len(v.Items) > 0 {
		return v
	}
	return nil
}

// number is a text as a JSON number with the digits that were sent, or nil. HL7 allows a
// plus and leading zeros (HL7 2.8.2, 2A.3.20 NM), JSON does not.
func number(text string) *fhir.Value {
	sign := ""
	switch text = strings.TrimPrefix(text, "+"); {
	case strings.HasPrefix(text, "-"):
		sign, text = "-", text[1:]
	}
	whole, fraction, point := strings.Cut(text, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return nil
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point && fraction != "" {
		whole += "." + fraction
	}
	return fhir.NewNumber(sign + whole)
}

// moment is a time as FHIR writes it: as precise as it was sent, but for hours and minutes,
// which FHIR fills up with zeros. "" and true is nothing; false is no time.
func (m *Message) moment(text string) (string, bool) {
	if text == "" || strings.Trim(text, "0") == "" {
		return "", true
	}
	stamp, zone := text, ""
	if i := strings.IndexAny(text, "+-"); i > 0 {
		stamp, zone = text[:i], text[i:]
	}
	stamp, fraction, _ := strings.Cut(stamp, ".")
	if n := len(stamp); n < 4 || n > 14 || n%2 != 0 || strings.Trim(stamp+fraction, "0123456789") != "" {
		return "", false
	}
	const whole = "20060102150405"
	if fraction != "" && len(stamp) < len(whole) || zone != "" && (len(stamp) < len("20060102") || !offset(zone)) {
		return "", false // as 1980-02-05 and 2026.11, which are no year
	}
	local := m.zone
	if zone != "" || len(stamp) <= len("20060102") {
		local = time.UTC // summer time skips no clock and no day there
	}
	at, err := time.ParseInLocation(whole[:len(stamp)], stamp, local)
	if err != nil {
		return "", false
	}
	switch len(stamp) {
	case 4:
		return at.Format("2006"), true
	case 6:
		return at.Format("2006-01"), true
	case 8:
		return at.Format("2006-01-02"), true
	}
	out := at.Format("2006-01-02T15:04:05")
	if fraction != "" {
		out += "." + fraction
	}
	if zone == "" {
		return out + at.Format("-07:00"), true
	}
	return out + zone[:3] + ":" + zone[3:], true
}

// offset reports whether a text with its sign is a zone, as +0700.
func offset(zone string) bool {
	return len(zone) == 5 && strings.Trim(zone[1:], "0123456789") == "" && zone[1:3] <= "13" && zone[3:] <= "59"
}

// time is the n-th field of a segment as a FHIR dateTime.
func (m *Message) time(s Segment, n int) (string, error) {
	text, ok := m.moment(s.Text(n))
	if !ok {
		return "", &Error{Code: BadTime, Line: s.Line, Place: place(s, n)}
	}
	return text, nil
}

func place(s Segment, n int) string { return s.Name + "-" + strconv.Itoa(n) }

// day is the date of a time.
func day(moment string) string { return moment[:min(len(moment), len("2006-01-02"))] }

// Systems of codes by their name in HL7 (table 0396). FHIR names them by address.
func system(name string) string {
	switch name {
	case "":
		return ""
	case "LN":
		return "http://loinc.org"
	case "SCT", "SNOMED", "SNM3", "SNOMED-CT":
		return "http://snomed.info/sct"
	case "UCUM":
		return "http://unitsofmeasure.org"
	case "I9", "I9C", "ICD9":
		return "http://hl7.org/fhir/sid/icd-9-cm"
	case "I10", "ICD10":
		return "http://hl7.org/fhir/sid/icd-10"
	case "CVX":
		return "http://hl7.org/fhir/sid/cvx"
	case "MVX":
		return "http://hl7.org/fhir/sid/mvx"
	case "NDC":
		return "http://hl7.org/fhir/sid/ndc"
	}
	if table, ok := strings.CutPrefix(name, "HL7"); ok && len(table) == 4 && strings.Trim(table, "0123456789") == "" {
		return "http://terminology.hl7.org/CodeSystem/v2-" + table
	}
	return "urn:tram:code:" + url.PathEscape(name)
}

// coding is a coded value's part that begins at component n: code, text, system.
func coding(f Field, n int) *fhir.Value {
	code, text, name := f.whole(n), f.whole(n+1), f.Part(n+2)
	if code = strings.Join(strings.Fields(code), " "); code == "" {
		return nil
	}
	return object("system", system(name), "code", code, "display", text)
}

// concept is a CE, CWE or CNE (HL7 2.8.2, 2A.3.13) as a CodeableConcept.
func concept(f Field) *fhir.Value {
	text := f.whole(9)
	first := coding(f, 1)
	if text == "" && first == nil {
		text = f.whole(2)
	}
	return object("coding", list(first, coding(f, 4)), "text", text)
}
