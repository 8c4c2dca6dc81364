package hl7v2

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tram/store/fhir"
)

// observation maps an OBX. What is observed when is OBX-14, else that of the order.
func (m *Message) observation(res outcome, taken string) (*fhir.Value, error) {
	s := res.obx
	when, err := m.time(s, 14)
	if err != nil {
		return nil, err
	}
	if when == "" {
		when = taken
	}
	code := concept(s.Field(3).First())
	status := observationStatus(s.Text(11))
	pairs := []any{"resourceType", "Observation", "identifier", list(m.entity(s.Field(21), Rules{})), "status", status, "code", code,
		"subject", object("reference", Subject), "effectiveDateTime", when}
	values := s.Field(5).some(MaxRepeats + 1)
	apart := !prose(s.Text(2)) && len(s.Field(3).raw)+len(s.Field(6).raw) < 1000 // which stand in each part
	switch {
	case len(values) > MaxRepeats && apart:
		return nil, &Error{Code: Repeated, Line: s.Line, Place: place(s, 5)}
	case len(values) == 1:
		value, err := m.value(s, values[0])
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, value...)
	case len(values) > 1 && apart:
		var parts []*fhir.Value
		for _, v := range values {
			value, err := m.value(s, v)
			if err != nil {
				return nil, err
			}
			parts = append(parts, object(append([]any{"code", code}, value...)...))
		}
		pairs = append(pairs, "component", parts)
	case len(values) > 1:
		pairs = append(pairs, "valueString", measured(lines(s.Field(5)), s))
	case status == "final" || status == "corrected":
		pairs = append(pairs, "dataAbsentReason", absent("unknown"))
	}
	flags, err := repeats(s, 8)
	if err != nil {
		return nil, err
	}
	var marks, notes []*fhir.Value
	for _, f := range flags {
		marks = append(marks, interpretation(f))
	}
	for _, n := range res.notes {
		notes = append(notes, object("text", n))
	}
	return object(append(pairs, "interpretation", marks, "note", notes, "bodySite", concept(s.Field(20).First()),
		"method", concept(s.Field(17).First()), "referenceRange", span(s))...), nil
}

func prose(typ string) bool { return typ == "TX" || typ == "FT" || typ == "ST" || typ == "" }

// value is one repetition of OBX-5, by its type in OBX-2. What does not fit its type is
// kept as the text that it is.
func (m *Message) value(s Segment, f Field) ([]any, error) {
	text := f.Text()
	switch s.Text(2) {
	case "NM":
		if v := number(text); v != nil {
			return []any{"valueQuantity", quantity("", v, s.Field(6))}, nil
		}
		if mark, rest := comparator(text); mark != "" {
			if v := number(strings.TrimSpace(rest)); v != nil {
				return []any{"valueQuantity", quantity(mark, v, s.Field(6))}, nil
			}
		}
	case "SN":
		if v := structured(f, s.Field(6)); v != nil {
			return v, nil
		}
	case "CE", "CWE", "CNE", "CF", "IS", "ID":
		if v := concept(f); v != nil {
			return []any{"valueCodeableConcept", v}, nil
		}
	case "DT", "TS", "DTM":
		at, ok := m.moment(f.Part(1))
		if !ok {
			return nil, &Error{Code: BadTime, Line: s.Line, Place: "OBX-5"}
		}
		return []any{"valueDateTime", at}, nil
	case "ED", "RP":
		// The content stands in the message, which is kept.
		return []any{"dataAbsentReason", absent("unsupported")}, nil
	}
	if prose(s.Text(2)) || f.Component(2).Empty() {
		return []any{"valueString", measured(text, s)}, nil
	}
	var parts []string
	for part := range strings.SplitSeq(f.raw, string(f.d.comp)) {
		parts = append(parts, Field{part, f.d}.Text())
	}
	return []any{"valueString", measured(strings.TrimSpace(strings.Join(parts, " ")), s)}, nil
}

// measured is a value in words with its unit, where a digit stands in it: FHIR has no other
// place for that.
func measured(text string, s Segment) string {
	unit := said(s.Field(6).powers())
	if unit == "" || !strings.ContainsAny(text, "0123456789") || strings.HasSuffix(text, unit) {
		return text
	}
	return text + " " + unit
}

// comparator takes FHIR's comparison off the front of a number.
func comparator(text string) (mark, rest string) {
	for _, c := range []string{"<=", ">=", "<", ">"} {
		if rest, ok := strings.CutPrefix(text, c); ok {
			return c, rest
		}
	}
	return "", text
}

// structured is an SN (HL7 2.8.2, 2A.3.67): comparator, number, separator, number.
func structured(f, unit Field) []any {
	mark, sep := f.Part(1), f.Part(3)
	one, two := number(f.Part(2)), number(f.Part(4))
	if mark == "=" {
		mark = ""
	}
	if mark != "" && !slices.Contains([]string{"<", "<=", ">", ">="}, mark) {
		return nil
	}
	switch {
	case one != nil && two == nil && sep == "":
		return []any{"valueQuantity", quantity(mark, one, unit)}
	case one != nil && two != nil && sep == "-" && mark == "":
		return []any{"valueRange", object("low", quantity("", one, unit), "high", quantity("", two, unit))}
	case one != nil && two != nil && (sep == ":" || sep == "/"):
		return []any{"valueRatio", object("numerator", quantity(mark, one, unit), "denominator", object("value", two))}
	}
	return nil
}

// quantity is a number with its unit as said. Only a unit that is said to be of UCUM
// becomes a code.
func quantity(mark string, value *fhir.Value, unit Field) *fhir.Value {
	unit = unit.powers()
	code, sys := unit.whole(1), ""
	if unit.Part(3) == "UCUM" && code != "" {
		sys = system("UCUM")
	}
	text := said(unit)
	if sys == "" {
		code = ""
	}
	return object("value", value, "comparator", mark, "unit", text, "system", sys, "code", code)
}

// powers is a unit with the delimiter escaped where it was written as the caret of a power,
// as in 10^9/L and kg/m^2: else the power alone would be its text.
func (f Field) powers() Field {
	parts := strings.SplitN(f.First().raw, string(f.d.comp), 10) // of which a code, its text and system are read
	unit := parts[0]
	for i, next := range parts[1:] {
		sep := string(f.d.comp)
		if power(parts[i], next) {
			sep = string([]byte{f.d.esc, 'S', f.d.esc})
		}
		unit += sep + next
	}
	return Field{unit, f.d}
}

// power reports whether a unit's part goes on as the exponent of the one before: behind ten any
// number, behind a letter one digit. A text of its own, such as 10*9/L, does neither.
func power(base, next string) bool {
	const digits = "0123456789"
	next = strings.TrimPrefix(next, "-")
	rest := strings.TrimLeft(next, digits)
	n := len(next) - len(rest)
	if before, ten := strings.CutSuffix(base, "10"); ten && strings.TrimRight(before, digits) == before {
		return n > 0 && n < 3 && !strings.HasPrefix(rest, "*")
	}
	last, _ := utf8.DecodeLastRuneInString(base)
	return unicode.IsLetter(last) && n == 1 && (rest == "" || rest[0] == '/')
}

// interpretation is OBX-8 (HL7 table 0078).
func interpretation(f Field) *fhir.Value {
	code := strings.Join(strings.Fields(f.Part(1)), "")
	if code == "" {
		return concept(f)
	}
	sys := "http://terminology.hl7.org/CodeSystem/v2-0078"
	if slices.Contains([]string{"A", "AA", "H", "HH", "I", "IND", "L", "LL", "N", "NEG", "POS", "R", "S"}, code) {
		sys = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	}
	return object("coding", list(object("system", sys, "code", code, "display", f.Part(2))))
}

// span is the range in OBX-7: as said, and with its bounds where it says two numbers.
func span(s Segment) *fhir.Value {
	text := s.Field(7).Text()
	if text == "" {
		return nil
	}
	var low, high *fhir.Value
	if a, b, ok := strings.Cut(text, "-"); ok {
		one, two := number(strings.TrimSpace(a)), number(strings.TrimSpace(b))
		if one != nil && two != nil {
			low, high = quantity("", one, s.Field(6)), quantity("", two, s.Field(6))
		}
	}
	return list(object("low", low, "high", high, "text", text))
}

// observationStatus is OBX-11 (HL7 table 0085) in FHIR's words; what takes back a result
// does not come here.
func observationStatus(code string) string {
	switch code {
	case "F", "U":
		return "final"
	case "C":
		return "corrected"
	case "P", "R", "S", "B":
		return "preliminary"
	case "O", "I":
		return "registered"
	case "X", "N":
		return "cancelled"
	}
	return "unknown"
}

func absent(code string) *fhir.Value {
	return object("coding", list(object("system", "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code", code)))
}
