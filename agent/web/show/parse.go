package show

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ISODate reads a date as it is typed in Vietnam, "3/2/1961", "2/1961" or "1961",
// also with - or . or spaces between, or as ISO 8601, and returns FHIR's form.
func ISODate(typed string) (string, bool) {
	f := strings.FieldsFunc(typed, func(r rune) bool { return strings.ContainsRune("/-. ", r) })
	if len(f) == 1 && len(f[0]) == 8 { // 03021961
		f = []string{f[0][:2], f[0][2:4], f[0][4:]}
	}
	n := make([]int, len(f))
	for i, s := range f {
		v, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return "", false
		}
		n[i] = int(v)
	}
	// A year in front is ISO's order.
	if len(n) == 3 && len(f[0]) == 4 {
		n[0], n[2] = n[2], n[0]
	} else if len(n) == 2 && len(f[0]) == 4 {
		n[0], n[1] = n[1], n[0]
	}
	if len(n) == 0 || len(n) > 3 || n[len(n)-1] < firstYear || n[len(n)-1] > lastYear {
		return "", false
	}
	switch year := n[len(n)-1]; len(n) {
	case 1:
		return fmt.Sprintf("%04d", year), true
	case 2:
		return fmt.Sprintf("%04d-%02d", year, n[0]), n[0] >= 1 && n[0] <= 12
	default:
		iso := fmt.Sprintf("%04d-%02d-%02d", year, n[1], n[0])
		_, err := time.Parse(time.DateOnly, iso)
		return iso, err == nil
	}
}

// firstYear and lastYear are between which a year is taken for one.
const firstYear, lastYear = 1800, 2200

// NoSuchYear reports whether a date, with or without a time behind it, is typed as one of a
// year that is out of reach.
func NoSuchYear(typed string) bool {
	text, _, _ := strings.Cut(strings.TrimSpace(typed), " ")
	f := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/-.", r) })
	if len(f) == 0 || len(f) > 3 {
		return false
	}
	for _, i := range []int{0, len(f) - 1} {
		if y, err := strconv.ParseUint(f[i], 10, 16); err == nil && len(f[i]) == 4 && (y < firstYear || y > lastYear) {
			return true
		}
	}
	return false
}

// NoSuchDay reports whether a date, with or without a time behind it, is typed as
// one but no calendar has it, as 31/02/1990.
func NoSuchDay(typed string) bool {
	text, _, _ := strings.Cut(strings.TrimSpace(typed), " ")
	f := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/-.", r) })
	if len(f) == 1 && len(f[0]) == 8 {
		f = []string{f[0][:2], f[0][2:4], f[0][4:]}
	}
	if len(f) == 3 && len(f[0]) == 4 {
		f[0], f[2] = f[2], f[0]
	}
	if len(f) != 3 || len(f[0]) > 2 || len(f[1]) > 2 || strings.Trim(f[0]+f[1], "0123456789") != "" {
		return false
	}
	_, year := ISODate("1/1/" + f[2])
	_, day := ISODate(strings.Join(f, "/"))
	return year && !day
}

// ISOTime reads "dd/mm/yyyy hh:mm", or a date alone, in a zone.
func ISOTime(typed string, zone *time.Location) (string, bool) {
	date, clock, timed := strings.Cut(strings.TrimSpace(typed), " ")
	iso, ok := ISODate(date)
	if !ok || !timed || len(iso) != 10 {
		return iso, ok && !timed
	}
	for _, layout := range []string{"15:04", "15h04", "15:04:05"} {
		if t, err := time.ParseInLocation("2006-01-02 "+layout, iso+" "+strings.TrimSpace(clock), zone); err == nil {
			return t.Format(time.RFC3339), true
		}
	}
	return "", false
}
