package csv

import (
	"strings"
	"time"

	"tram/store/fhir"
)

// convert makes of a text a value of one of FHIR's primitive types; nil says that it is
// none, and what it should be.
func (in *reader) convert(typ, text string) (*fhir.Value, string) {
	switch typ {
	case "decimal":
		return number(text, in.m.Decimal == ","), "number"
	case "integer", "positiveInt", "unsignedInt":
		if v := number(text, false); v != nil && !strings.ContainsAny(v.Text, ".eE") {
			return v, ""
		}
		return nil, "whole-number"
	case "boolean":
		if text == "true" || text == "false" {
			return fhir.NewBool(text == "true"), ""
		}
		return nil, "yes-no"
	case "date":
		if s := in.date(text); s != "" {
			return fhir.NewString(s), ""
		}
		return nil, "date"
	case "dateTime", "instant":
		if s := in.moment(text); s != "" && (typ == "dateTime" || len(s) > len("2006-01-02")) {
			return fhir.NewString(s), ""
		}
		return nil, "time"
	}
	return fhir.NewString(text), ""
}

// number keeps the digits as written. One with groups of thousands is none: nobody could
// tell 1,250 from 1.25.
func number(text string, comma bool) *fhir.Value {
	if comma {
		if strings.Contains(text, ".") {
			return nil
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	sign, digits := "", strings.TrimPrefix(text, "+")
	if rest, minus := strings.CutPrefix(text, "-"); minus {
		sign, digits = "-", rest
	}
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || point && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return nil
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point {
		whole += "." + fraction
	}
	return fhir.NewNumber(sign + whole)
}

// date reads a day, a month or a year in the order of the map; year first is always read,
// since then no other order can be meant. A year has four digits.
func (in *reader) date(text string) string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '/' || r == '-' || r == '.' })
	if len(parts) == 1 && len(text) == 8 {
		parts = []string{text[:4], text[4:6], text[6:]}
	}
	if len(parts) == 0 || len(parts) > 3 {
		return ""
	}
	if len(parts[0]) != 4 {
		last := len(parts) - 1
		switch {
		case last == 2 && in.m.Date == "day-first":
			parts[0], parts[2] = parts[2], parts[0]
		case last == 2 && in.m.Date == "month-first":
			parts = []string{parts[2], parts[0], parts[1]}
		case last == 1 && in.m.Date != "" && in.m.Date != "year-first":
			parts[0], parts[1] = parts[1], parts[0]
		default:
			return ""
		}
	}
	layout := [...]string{"2006", "2006-1", "2006-1-2"}[len(parts)-1]
	at, err := time.Parse(layout, strings.Join(parts, "-"))
	if err != nil {
		return ""
	}
	return at.Format([...]string{"2006", "2006-01", "2006-01-02"}[len(parts)-1])
}

// moment reads a date, or a date and a clock time, with or without a zone.
func (in *reader) moment(text string) string {
	if _, err := time.Parse(time.RFC3339, text); err == nil && len(text) >= len("2006-01-02T15:04:05Z") {
		return text
	}
	day, clock, has := strings.Cut(strings.Replace(text, "T", " ", 1), " ")
	date := in.date(day)
	if date == "" || !has {
		return date
	}
	for _, layout := range []string{"15:04:05", "15:04"} { // the first takes a fraction too
		at, err := time.ParseInLocation("2006-01-02 "+layout, date+" "+strings.TrimSpace(clock), in.zone)
		if err != nil {
			continue
		}
		_, fraction, point := strings.Cut(strings.TrimSpace(clock), ".")
		if point {
			fraction = "." + fraction
		}
		return at.Format("2006-01-02T15:04:05") + fraction + at.Format("-07:00")
	}
	return ""
}
