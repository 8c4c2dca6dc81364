package fhir

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// primitiveShape is the JSON shape of a primitive type (FHIR R4 json.html).
func primitiveShape(typ string) Shape {
	switch typ {
	case "boolean":
		return Bool
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return Number
	}
	return String
}

// fits says whether a text is of the form of a primitive type (FHIR R4
// datatypes.html). The text is known to be of the type's JSON shape.
func fits(typ, s string) bool {
	switch typ {
	case "boolean", "decimal":
		return true
	case "integer":
		return inRange(s, math.MinInt32)
	case "unsignedInt":
		return inRange(s, 0)
	case "positiveInt":
		return inRange(s, 1)
	case "date", "dateTime", "instant":
		return isDate(typ, s)
	case "time":
		n, _ := scanTime(s)
		return n == len(s)
	case "id":
		return isID(s)
	case "code":
		return isCode(s)
	case "uri", "url", "canonical":
		return s != "" && !strings.ContainsAny(s, " \t\r\n") && noControls(s)
	case "oid":
		return isOID(s)
	case "uuid":
		return isUUID(s)
	case "base64Binary":
		return isBase64(s)
	case "xhtml":
		return strings.HasPrefix(strings.TrimSpace(s), "<")
	}
	return len(s) <= 1<<20 && noControls(s) // string, markdown: at most 1 MB
}

// inRange accepts whole numbers of 32 bits, written without fraction or exponent.
func inRange(s string, low int64) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && n >= low
}

// noControls: of the characters below 32 only tab, return and newline.
func noControls(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// isID: 1 to 64 ASCII letters, digits, '-' and '.'.
func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// isCode: no white space but single blanks inside.
func isCode(s string) bool {
	return s != "" && noControls(s) && !strings.ContainsAny(s, "\t\r\n") &&
		s[0] != ' ' && s[len(s)-1] != ' ' && !strings.Contains(s, "  ")
}

// isOID: a urn of arcs without leading zeros, the first of them 0, 1 or 2.
func isOID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:oid:")
	arcs := strings.Split(s, ".")
	if !ok || len(arcs) < 2 || len(arcs[0]) != 1 || arcs[0] > "2" {
		return false
	}
	for _, a := range arcs {
		if a == "" || len(a) > 1 && a[0] == '0' || strings.Trim(a, "0123456789") != "" {
			return false
		}
	}
	return true
}

// isUUID takes capitals too: RFC 4122 wants them read.
func isUUID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(s) != 36 {
		return false
	}
	for i := 0; i < 36; i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !strings.Contains("0123456789abcdefABCDEF", s[i:i+1]) {
			return false
		}
	}
	return true
}

// isBase64 allows white space between characters, as R4 does, and needs no copy.
func isBase64(s string) bool {
	n, pad := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		case c == '=':
			pad++
		case pad > 0:
			return false
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/':
		default:
			return false
		}
		n++
	}
	return n > 0 && n%4 == 0 && pad <= 2
}

// moment is a partial date as written.
type moment struct {
	year, month, day int // month and day 0 when not given
	clock            bool
	hour, min, sec   int
	nanos            int
	digits           int // of the fraction of a second
	zone             bool
	offset           int // seconds east of UTC
}

// scan reads YYYY[-MM[-DD[Thh:mm[:ss[.fff]][zone]]]]. Seconds may be absent
// only in searches; isDate demands what resources need.
func scan(s string) (m moment, seconds, ok bool) {
	var n int
	if m.year, ok = digits(s, 4); !ok || m.year == 0 {
		return m, false, false
	}
	if s = s[4:]; s == "" {
		return m, false, true
	}
	if m.month, ok = after('-', s); !ok || m.month < 1 || m.month > 12 {
		return m, false, false
	}
	if s = s[3:]; s == "" {
		return m, false, true
	}
	if m.day, ok = after('-', s); !ok || m.day < 1 || m.day > monthDays(m.year, m.month) {
		return m, false, false
	}
	if s = s[3:]; s == "" {
		return m, false, true
	}
	if s[0] != 'T' {
		return m, false, false
	}
	m.clock = true
	if n, seconds = scanClock(s[1:], &m); n == 0 {
		return m, false, false
	}
	s = s[1+n:]
	switch {
	case s == "":
		return m, seconds, true
	case s == "Z":
		m.zone = true
		return m, seconds, true
	case len(s) == 6 && (s[0] == '+' || s[0] == '-') && s[3] == ':':
		h, ok1 := digits(s[1:], 2)
		min, ok2 := digits(s[4:], 2)
		m.zone, m.offset = true, h*3600+min*60
		if s[0] == '-' {
			m.offset = -m.offset
		}
		return m, seconds, ok1 && ok2 && min < 60 && h*60+min <= 14*60
	}
	return m, false, false
}

// scanClock reads hh:mm[:ss[.fff]] and returns its length, 0 if there is none.
func scanClock(s string, m *moment) (n int, seconds bool) {
	var ok bool
	if m.hour, ok = digits(s, 2); !ok || m.hour > 23 {
		return 0, false
	}
	if m.min, ok = after(':', s[2:]); !ok || m.min > 59 {
		return 0, false
	}
	n = 5
	if m.sec, ok = after(':', s[n:]); !ok {
		return n, false
	}
	if m.sec > 60 { // 60 is a leap second
		return 0, false
	}
	if n = 8; n == len(s) || s[n] != '.' {
		return n, true
	}
	from := n + 1
	for n = from; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		if n-from < 9 {
			m.nanos = m.nanos*10 + int(s[n]-'0')
		}
	}
	m.digits = n - from
	for i := m.digits; i < 9; i++ {
		m.nanos *= 10
	}
	if m.digits == 0 {
		return 0, false
	}
	return n, true
}

// scanTime reads a FHIR time, whose seconds are mandatory.
func scanTime(s string) (int, moment) {
	var m moment
	n, seconds := scanClock(s, &m)
	if !seconds {
		return 0, m
	}
	return n, m
}

// digits reads exactly n of them from the start of s.
func digits(s string, n int) (v int, ok bool) {
	if len(s) < n {
		return 0, false
	}
	for i := 0; i < n; i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, true
}

// after reads a mark and two digits.
func after(mark byte, s string) (int, bool) {
	if s == "" || s[0] != mark {
		return 0, false
	}
	return digits(s[1:], 2)
}

func monthDays(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// isDate: a date has no clock; a dateTime with a clock has seconds and a zone;
// an instant has them always.
func isDate(typ, s string) bool {
	m, seconds, ok := scan(s)
	if !ok || m.clock && (!seconds || !m.zone) {
		return false
	}
	return m.clock && typ != "date" || !m.clock && typ != "instant"
}

// DateRange returns the first and last millisecond (Unix time) that a partial
// date, dateTime or instant covers: "2024" is the whole year, "10:30" the whole
// minute. What has no zone is local to loc, nil being UTC.
func DateRange(text string, loc *time.Location) (low, high int64, ok bool) {
	m, seconds, ok := scan(text)
	if !ok {
		return 0, 0, false
	}
	if loc == nil {
		loc = time.UTC
	}
	if m.zone {
		loc = time.FixedZone("", m.offset)
	}
	from := time.Date(m.year, time.Month(max(m.month, 1)), max(m.day, 1), m.hour, m.min, m.sec, m.nanos, loc)
	var to time.Time
	switch {
	case m.month == 0:
		to = from.AddDate(1, 0, 0)
	case m.day == 0:
		to = from.AddDate(0, 1, 0)
	case !m.clock:
		to = from.AddDate(0, 0, 1)
	case !seconds:
		to = from.Add(time.Minute)
	case m.digits == 0:
		to = from.Add(time.Second)
	default:
		step := time.Second
		for i := 0; i < m.digits && step > time.Millisecond; i++ {
			step /= 10
		}
		to = from.Add(step)
	}
	return from.UnixMilli(), to.UnixMilli() - 1, true
}
