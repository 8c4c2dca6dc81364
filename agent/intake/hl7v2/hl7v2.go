// Package hl7v2 reads HL7 version 2 messages (2.3 to 2.8, in their delimited form)
// and says in FHIR R4 what they hold: results (ORU^R01), people and visits (ADT),
// doses of vaccines (VXU^V04). It writes the acknowledgement too.
//
// It owns delimiters, escapes, character sets and the mapping. It promises that a
// number keeps the digits that were sent, that a time keeps its precision, that
// a code keeps the system that the message gives it, and that what it does not
// understand is refused by a code and a place, never by content. It is pure, and
// does not know who is registered here nor how anything is kept.
package hl7v2

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The limits of one file of messages.
const (
	MaxBytes    = 16 << 20
	MaxSegments = 20_000
	MaxRepeats  = 50 // of one field that becomes a list
	MaxHeader   = 4 << 10
	// MaxText bounds what comes of one message: what it says once may stand in many places.
	MaxText = 2 * MaxBytes
)

// Code says why messages are not taken.
type Code string

// The codes of an Error.
const (
	NotHL7     Code = "not-hl7"     // no message begins here, or a line is no segment
	Delimiters Code = "delimiters"  // MSH-1 and MSH-2 do not tell the delimiters
	Charset    Code = "charset"     // not in a character set that is read here
	Version    Code = "hl7-version" // MSH-12
	Cut        Code = "cut"         // a batch holds fewer messages than it says
	TooMany    Code = "too-many-segments"
	Repeated   Code = "too-many-repeats" // a field that becomes a list has more than MaxRepeats
	Kind       Code = "other-message"    // a type or event that is not taken; What names it
	Trial      Code = "trial-message"    // MSH-11 says that it is no real one
	NoPerson   Code = "no-person"        // no PID, or one without any identifier
	TwoPeople  Code = "two-people"       // more than one PID
	Nothing    Code = "nothing-in-it"    // no result or dose
	BadTime    Code = "bad-time"
	Undo       Code = "undo" // asks to take back or change what was sent before
)

// Codes lists all codes.
func Codes() []Code {
	return []Code{NotHL7, Delimiters, Charset, Version, Cut, TooMany, Repeated, Kind, Trial, NoPerson, TwoPeople, Nothing, BadTime, Undo}
}

// Error says why a message is not taken, and where. It never holds content.
type Error struct {
	Code  Code
	Line  int    // from 1, in the file
	Place string // "OBX-14", or ""
	What  string // of Kind: which, from a closed list
}

func (e *Error) Error() string { return fmt.Sprintf("%s at line %d %s", e.Code, e.Line, e.Place) }

// delims are the characters of MSH-1 and MSH-2.
type delims struct{ field, comp, rep, esc, sub byte }

// Message is one message, read as far as its segments.
type Message struct {
	Segments []Segment
	// Raw is the message as it came, without what stood around it.
	Raw  []byte
	zone *time.Location
}

// Segment is one line of a message.
type Segment struct {
	Name   string
	Line   int // from 1, in the file
	fields []string
	d      *delims
}

// Parse reads a file of messages, be it one, many, or a batch (FHS, BHS, BTS, FTS).
// Frames of MLLP that a file was written with are left out. Times without a zone
// are those of zone. Every error is an *Error.
func Parse(data []byte, zone *time.Location) ([]*Message, error) {
	if len(data) > MaxBytes {
		return nil, &Error{Code: TooMany}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var out []*Message
	batch := batch{want: -1}
	lines := split(data)
	if len(lines) > MaxSegments {
		return nil, &Error{Code: TooMany, Line: lines[MaxSegments].n}
	}
	var begun []line // of the message that is being read
	end := func() error {
		if len(begun) == 0 {
			return nil
		}
		m, err := read(data, begun, zone)
		out, begun = append(out, m), nil
		return err
	}
	for _, l := range lines {
		switch name := string(l.text[:min(3, len(l.text))]); {
		case name == "MSH" || name == "FHS" || name == "BHS" || name == "BTS" || name == "FTS":
			if err := end(); err != nil {
				return nil, err
			}
			if name == "MSH" {
				begun = append(begun, l)
			} else if err := batch.see(name, l); err != nil {
				return nil, err
			}
		case len(begun) == 0:
			return nil, &Error{Code: NotHL7, Line: l.n}
		default:
			begun = append(begun, l)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, &Error{Code: NotHL7, Line: 1}
	}
	return out, batch.whole(len(out))
}

// batch is what the envelope says, by which a file that broke off shows.
type batch struct {
	open int // FHS and BHS that were not ended
	want int // messages by BTS-1; -1 where none says so
}

func (b *batch) see(name string, l line) error {
	switch name {
	case "FHS", "BHS":
		b.open++
		return nil
	}
	if b.open--; b.open < 0 {
		return &Error{Code: Cut, Line: l.n}
	}
	n := 0
	if name == "BTS" && len(l.text) > 4 {
		if _, err := fmt.Sscanf(string(l.text[4:]), "%d", &n); err == nil && n >= 0 {
			b.want = max(b.want, 0) + n
		}
	}
	return nil
}

func (b *batch) whole(have int) error {
	if b.open != 0 || b.want >= 0 && b.want != have {
		return &Error{Code: Cut}
	}
	return nil
}

// line is one line of a file, with where it stands in it.
type line struct {
	n        int
	text     []byte
	from, to int
}

// split finds the lines. A segment ends with CR (HL7 2.8.2, 2.5.3); many programs write
// LF or CR LF.
func split(data []byte) []line {
	var out []line
	n := 1
	for at := 0; at < len(data); n++ {
		end := bytes.IndexAny(data[at:], "\r\n")
		if end < 0 {
			end = len(data) - at
		}
		to := at + end
		from, till := at, to
		for from < till && framing(data[from]) {
			from++
		}
		for till > from && framing(data[till-1]) {
			till--
		}
		if from < till {
			out = append(out, line{n, data[from:till], from, till})
		}
		if at = to + 1; to+1 < len(data) && data[to] == '\r' && data[to+1] == '\n' {
			at++
		}
		if len(out) > MaxSegments {
			break
		}
	}
	return out
}

// framing reports bytes of an MLLP frame, and the end of file of old systems.
func framing(b byte) bool { return b == 0x0b || b == 0x1c || b == 0x1a }

// read makes a message of its lines.
func read(data []byte, lines []line, zone *time.Location) (*Message, error) {
	head := lines[0]
	d, err := delimiters(head)
	if err != nil {
		return nil, err
	}
	m := &Message{Raw: data[head.from:lines[len(lines)-1].to], zone: zone}
	decode, err := decoder(head, d)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		text, ok := decode(l.text)
		if !ok {
			return nil, &Error{Code: Charset, Line: l.n}
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' }) || !named(text, d) {
			return nil, &Error{Code: NotHL7, Line: l.n}
		}
		s := Segment{Name: text[:3], Line: l.n, d: d, fields: strings.Split(text, string(d.field))}
		if s.Name == "MSH" { // MSH-1 is the delimiter itself
			s.fields = append([]string{"MSH", string(d.field)}, s.fields[1:]...)
		}
		m.Segments = append(m.Segments, s)
	}
	return m, nil
}

// named reports whether a line begins with a segment's name.
func named(text string, d *delims) bool {
	if len(text) < 3 || len(text) > 3 && text[3] != d.field {
		return false
	}
	for i := range 3 {
		if c := text[i]; !(c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// delimiters reads MSH-1 and MSH-2 (HL7 2.8.2, 2.5.4). All must differ, and none may be
// a letter or a digit: a file in which they could be is read wrongly rather than refused.
func delimiters(head line) (*delims, error) {
	bad := &Error{Code: Delimiters, Line: head.n}
	t := head.text
	if len(t) < 6 || len(t) > MaxHeader {
		return nil, bad
	}
	d := &delims{t[3], '^', '~', '\\', '&'}
	end := bytes.IndexByte(t[4:], d.field)
	if end < 1 || end > 5 { // since 2.7 the fifth is that of truncation
		return nil, bad
	}
	given := t[4 : 4+end]
	for i, to := range []*byte{&d.comp, &d.rep, &d.esc, &d.sub} {
		if i < len(given) {
			*to = given[i]
		}
	}
	seen := append([]byte{d.field, d.comp, d.rep, d.esc, d.sub}, given[min(4, len(given)):]...)
	for i, c := range seen {
		letter := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if c <= ' ' || c > '~' || letter || bytes.IndexByte(seen[:i], c) >= 0 {
			return nil, bad
		}
	}
	return d, nil
}

// timed reports whether a clock says when something was observed or done: OBR-7, OBX-14 or
// EVN-2; of a dose (RXA-3) its day is enough.
func (m *Message) timed() bool {
	return slices.ContainsFunc(m.Segments, func(s Segment) bool {
		field, least := map[string]int{"OBR": 7, "OBX": 14, "EVN": 2, "RXA": 3}[s.Name], len("2006-01-02T15")
		if s.Name == "RXA" {
			least = len("2006-01-02")
		}
		at, ok := m.moment(s.Text(field))
		return field > 0 && ok && len(at) >= least
	})
}

// Digest writes all that the message says. When it was sent (MSH-7) is left out where the
// message says when what it tells of was, so that it may be sent again later; else that is
// all by which two equal measurements differ.
func (m *Message) Digest(w io.Writer) {
	timed := m.timed()
	for _, s := range m.Segments {
		for i, f := range s.fields {
			if s.Name != "MSH" || i != 7 || !timed {
				fmt.Fprintf(w, "%d:%s", len(f), f)
			}
		}
		fmt.Fprint(w, "\r")
	}
}
