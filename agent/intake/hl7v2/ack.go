package hl7v2

import (
	"strings"
	"time"
)

// The answers of MSA-1 (HL7 table 0008).
const (
	Accept = "AA"
	Fault  = "AE" // the message has to be mended
	Reject = "AR" // of no kind that is taken here, or not now
)

// Ack is the acknowledgement of a message (HL7 2.8.2, 2.9.2), which may be one that could
// not be read: then it is addressed to nobody. The id names the answer, the text says
// what to do and is "" for Accept.
func Ack(raw []byte, code, text, id string, now time.Time) []byte {
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
			now.Format("20060102150405-0700"), "", "ACK" + event, id, processing, version, "", "", "", "", "", "UNICODE UTF-8"}, sep),
		strings.Join([]string{"MSA", code, head.Field(10).raw, d.escape(text)}, sep),
	}
	if text != "" {
		err := strings.Join([]string{"207", "Application internal error", "HL70357"}, string(d.comp))
		lines = append(lines, strings.Join([]string{"ERR", "", "", err, "E", "", "", "", d.escape(text)}, sep))
	}
	return []byte(strings.Join(lines, "\r") + "\r")
}

// header is the MSH of what came, or an empty one.
func header(raw []byte) Segment {
	lines := split(raw[:min(len(raw), 4<<10)])
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
