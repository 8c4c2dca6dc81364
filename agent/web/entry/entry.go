// Package entry makes FHIR R4 resources of what people type into the pages'
// forms, and the other way round.
//
// It owns the fields of each form, what may stand in them, and which elements
// they become. It promises that an element that a form does not show is left as
// it was. It is pure; it knows no HTTP and no texts: fields and faults are codes.
package entry

import (
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"tram/agent/web/show"
)

// Type says how a field is typed.
type Type string

// The types of fields.
const (
	Text   Type = "text"
	Long   Type = "long"
	Date   Type = "date"   // dd/mm/yyyy, mm/yyyy or yyyy
	Moment Type = "moment" // dd/mm/yyyy hh:mm
	Number Type = "number"
	Phone  Type = "phone"
	Choice Type = "choice"
)

// Field is one field of a form.
type Field struct {
	Name     string
	Type     Type
	Required bool
	Choices  []string // of a Choice; "" is always allowed where not Required
	Unit     string   // of a Number, shown behind it
	// Low and High are the values between which nobody needs to look twice;
	// others are asked back. Empty is no limit.
	Low, High string
	// Min and Max are the values beyond which nothing living is; they are refused.
	Min, Max string
}

// Faults: why a field cannot be saved as it is typed.
const (
	Missing   = "missing"
	TooLong   = "too-long"
	NoDate    = "no-date"
	NoMoment  = "no-moment"
	NoDay     = "no-day"  // a date that no calendar has, as 31/02
	NoYear    = "no-year" // a date of a year that is out of reach
	NoPhone   = "no-phone"
	Beyond    = "beyond" // a value outside of Min and Max
	NoNumber  = "no-number"
	NoChoice  = "no-choice"
	OneOfTwo  = "one-of-two" // a blood pressure has two values
	Nothing   = "nothing"    // a form in which nothing is typed
	NoMeaning = "no-meaning" // the text does not fit the element
)

// Doubts: why the form is asked back before it is saved.
const (
	Unusual = "unusual" // a value outside of Low and High
	Future  = "future"  // a day that has not come yet
	Old     = "old"     // a day longer ago than anybody lives
	Unborn  = "unborn"  // a visit before the person was born
	Swapped = "swapped" // a blood pressure whose lower value is not the lower one
)

// oldest is an age in years that nobody at a station has.
const oldest = 120

// Typed is what stands in a form's fields, by their names.
type Typed map[string]string

// Check returns the fault and the doubt of each field that has one.
func Check(fields []Field, t Typed, now time.Time) (faults, doubts map[string]string) {
	faults, doubts = map[string]string{}, map[string]string{}
	for _, f := range fields {
		text := t[f.Name]
		limit := 300
		if f.Type == Long {
			limit = 8000
		}
		switch {
		case text == "":
			if f.Required {
				faults[f.Name] = Missing
			}
			continue
		case utf8.RuneCountInString(text) > limit:
			faults[f.Name] = TooLong
			continue
		}
		fault, doubt := f.check(text, now)
		if fault != "" {
			faults[f.Name] = fault
		} else if doubt != "" {
			doubts[f.Name] = doubt
		}
	}
	return faults, doubts
}

func (f Field) check(text string, now time.Time) (fault, doubt string) {
	switch f.Type {
	case Date, Moment:
		iso, ok := show.ISODate(text)
		if f.Type == Moment {
			iso, ok = show.ISOTime(text, now.Location())
		}
		switch day := iso[:min(10, len(iso))]; {
		case !ok && show.NoSuchDay(text):
			return NoDay, ""
		case !ok && show.NoSuchYear(text):
			return NoYear, ""
		case !ok && f.Type == Moment:
			return NoMoment, ""
		case !ok:
			return NoDate, ""
		case day < now.AddDate(-oldest, 0, 0).Format(time.DateOnly)[:len(day)]:
			return "", Old
		case day <= now.Format(time.DateOnly)[:len(day)]:
		// The PC's clock may be wrong, so a day to come is asked back only.
		default:
			return "", Future
		}
	case Phone:
		if !strings.ContainsAny(text, "0123456789") {
			return NoPhone, ""
		}
	case Number:
		n, ok := number(text)
		if !ok {
			return NoNumber, ""
		}
		if outside(n, f.Min, f.Max) {
			return Beyond, ""
		}
		if outside(n, f.Low, f.High) {
			return "", Unusual
		}
	case Choice:
		for _, c := range f.Choices {
			if c == text {
				return "", ""
			}
		}
		return NoChoice, ""
	}
	return "", ""
}

// outside reports whether n lies beyond low or high; an empty limit is none.
func outside(n *big.Rat, low, high string) bool {
	least, hasLeast := number(low)
	most, hasMost := number(high)
	return hasLeast && n.Cmp(least) < 0 || hasMost && n.Cmp(most) > 0
}

// Decimal is a number as it was typed, with a point: no digit is added or lost.
func Decimal(typed string) string {
	return strings.TrimPrefix(strings.Replace(strings.TrimSpace(typed), ",", ".", 1), "+")
}

func number(text string) (*big.Rat, bool) {
	d := Decimal(text)
	if d == "" || len(d) > 12 || strings.Trim(d, "0123456789.") != "" || d[0] == '.' || d[len(d)-1] == '.' || len(d) > 1 && d[0] == '0' && d[1] != '.' {
		return nil, false
	}
	return new(big.Rat).SetString(d)
}
