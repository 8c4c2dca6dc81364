package hl7v2

import (
	"bytes"
	"strings"
	"time"
)

// The answers of MSA-1 (HL7 table 0008).
const (
	Accept = "AA"
	Fault  = "AE" // the message has to be mended
	Reject = "AR" // of no kind that is taken here, or not now
)

// Answer is what an acknowledgement says.
type Answer struct {
	Code string // Accept, Fault or Reject
	Why  Code   // of Fault and Reject
	Text string // what to do; "" with Accept
	ID   string // names the answer
	At   time.Time
}

// Ack is the acknowledgement of a message (HL7 2.8.2, 2.9.2), which may be one that could
// not be read: then it is addressed to nobody.
func Ack(raw []byte, a Answer) []byte {
	head := header(raw)
	d := head.d
	event := head.Field(9).Component(2).raw
	if event != "" {
		event = string(d.comp) + event
	}
	version := head.Field(12).First().raw
	if version == "" {
		version = "2.5"
	}
	processing := head.Field(11).First().raw
	if processing == "" {
		processing = "P"
	}
	sep := string(d.field)
	lines := []string{
		strings.Join([]string{"MSH", string([]byte{d.comp, d.rep, d.esc, d.sub}), head.Field(5).raw, head.Field(6).raw, head.Field(3).raw, head.Field(4).raw,
			a.At.Format("20060102150405-0700"), "", "ACK" + event, a.ID, processing, version, "", "", "", "", "", "UNICODE UTF-8"}, sep),
		strings.Join([]string{"MSA", a.Code, head.Field(10).raw, d.escape(a.Text)}, sep),
	}
	if a.Text != "" {
		err := strings.Join([]string{a.Why.condition(), "", "HL70357"}, string(d.comp))
		lines = append(lines, strings.Join([]string{"ERR", "", "", err, "E", "", "", "", d.escape(a.Text)}, sep))
	}
	return []byte(strings.Join(lines, "\r") + "\r")
}

// condition is the error in HL7 table 0357.
func (c Code) condition() string {
	switch c {
	case NotHL7, Delimiters, Cut:
		return "100" // segment sequence error
	case NoPerson, TwoPeople, Nothing:
		return "101" // required field missing
	case BadTime, Charset:
		return "102" // data type error
	case Kind:
		return "200" // unsupported message type
	case Trial:
		return "202" // unsupported processing id
	case Version:
		return "203" // unsupported version id
	}
	return "207" // application internal error
}

// header is the MSH of what came, or an empty one.
func header(raw []byte) Segment {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	lines := split(raw[:min(len(raw), MaxHeader)])
	empty := Segment{Name: "MSH", d: &delims{'|', '^', '~', '\\', '&'}}
	if len(lines) == 0 || !strings.HasPrefix(string(lines[0].text), "MSH") {
		return empty
	}
	d, err := delimiters(lines[0])
	if err != nil {
		return empty
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(lines[0].text), "?"))
	s := Segment{Name: "MSH", d: d, fields: strings.Split(text, string(d.field))}
	s.fields = append([]string{"MSH", string(d.field)}, s.fields[1:]...)
	return s
}

// escape writes a text so that it stays one field.
func (d *delims) escape(text string) string {
	e := string(d.esc)
	return strings.NewReplacer(e, e+"E"+e, string(d.field), e+"F"+e, string(d.comp), e+"S"+e, string(d.rep), e+"R"+e,
		string(d.sub), e+"T"+e, "\r", " ", "\n", " ").Replace(text)
}
