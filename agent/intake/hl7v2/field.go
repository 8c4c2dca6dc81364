package hl7v2

import (
	"encoding/hex"
	"iter"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Field is a field or a part of one, as sent.
type Field struct {
	raw string
	d   *delims
}

// Field is the n-th field, from 1; an empty one where there is none.
func (s Segment) Field(n int) Field {
	if n >= len(s.fields) {
		return Field{d: s.d}
	}
	return Field{s.fields[n], s.d}
}

// Text is the first repetition's first part of the n-th field, as people read it.
func (s Segment) Text(n int) string { return s.Field(n).Part(1) }

// Repeats are the repetitions that hold something. They may be millions.
func (f Field) Repeats() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for one := range strings.SplitSeq(f.raw, string(f.d.rep)) {
			if r := (Field{one, f.d}); !r.Empty() && !yield(r) {
				return
			}
		}
	}
}

// some are the first repetitions, n at most.
func (f Field) some(n int) []Field {
	var out []Field
	for r := range f.Repeats() {
		if len(out) == n {
			break
		}
		out = append(out, r)
	}
	return out
}

// repeats are the repetitions of the n-th field. More than MaxRepeats are refused: whoever
// reads a list would not see that it goes on.
func repeats(s Segment, n int) ([]Field, error) {
	all := s.Field(n).some(MaxRepeats + 1)
	if len(all) > MaxRepeats {
		return nil, &Error{Code: Repeated, Line: s.Line, Place: place(s, n)}
	}
	return all, nil
}

// First is the first repetition.
func (f Field) First() Field {
	one, _, _ := strings.Cut(f.raw, string(f.d.rep))
	return Field{one, f.d}
}

// Component is the n-th component, from 1, of what does not repeat.
func (f Field) Component(n int) Field { return f.part(f.d.comp, n) }

// Sub is the n-th subcomponent, from 1, of a component.
func (f Field) Sub(n int) Field { return f.part(f.d.sub, n) }

func (f Field) part(sep byte, n int) Field {
	rest, more := f.raw, true
	var one string
	for ; n > 0 && more; n-- {
		one, rest, more = strings.Cut(rest, string(sep))
	}
	if n > 0 {
		one = ""
	}
	return Field{one, f.d}
}

// Part is the text of the first repetition's n-th component, or of its first
// subcomponent where it has several.
func (f Field) Part(n int) string { return f.First().Component(n).Sub(1).Text() }

// whole is Part of a component that has no parts, as a code and its text (HL7 2.8.2, 2A.3.13):
// an ampersand there is one that was not escaped.
func (f Field) whole(n int) string { return f.First().Component(n).Text() }

// Empty reports whether nothing was sent, or the word that a value is to be deleted, ""
// (HL7 2.8.2, 2.5.3): what is here is deleted by people.
func (f Field) Empty() bool {
	return strings.Trim(f.raw, " \t"+string([]byte{f.d.comp, f.d.sub, f.d.rep})) == "" || f.raw == `""`
}

// Text is the value with its escapes resolved, without blanks around it.
func (f Field) Text() string {
	if f.raw == `""` {
		return ""
	}
	return strings.TrimSpace(f.unescape())
}

// unescape resolves escapes (HL7 2.8.2, 2.7). What has no meaning as plain text, such as
// highlighting, is left out; what is unknown or broken stays as it was written.
func (f Field) unescape() string {
	esc := string(f.d.esc)
	if !strings.Contains(f.raw, esc) {
		return f.raw
	}
	var b strings.Builder
	rest := f.raw
	for {
		before, after, found := strings.Cut(rest, esc)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		code, tail, closed := strings.Cut(after, esc)
		plain, known := f.d.escaped(code)
		if !closed || !known {
			b.WriteString(esc)
			rest = after
			continue
		}
		b.WriteString(plain)
		rest = tail
	}
}

// escaped is what stands for an escape.
func (d *delims) escaped(code string) (string, bool) {
	switch code {
	case "F":
		return string(d.field), true
	case "S":
		return string(d.comp), true
	case "T":
		return string(d.sub), true
	case "R":
		return string(d.rep), true
	case "E":
		return string(d.esc), true
	case "H", "N", ".fi", ".nf":
		return "", true
	case ".br", ".ce":
		return "\n", true
	}
	switch {
	case strings.HasPrefix(code, ".sp"):
		return "\n", true
	case strings.HasPrefix(code, ".in"), strings.HasPrefix(code, ".ti"), strings.HasPrefix(code, ".sk"):
		return " ", true
	case strings.HasPrefix(code, "X"):
		return bytesOf(code[1:])
	}
	return "", false
}

// bytesOf are the characters of hexadecimal digits, in UTF-8 where they are that and in
// ISO 8859-1 where not. FHIR takes no control characters but tab, return and newline.
func bytesOf(digits string) (string, bool) {
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) == 0 {
		return "", false
	}
	text := string(raw)
	if !utf8.ValidString(text) {
		text = latin1(raw)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\r' && r != '\n' {
			return utf8.RuneError
		}
		return r
	}, text), true
}

func latin1(raw []byte) string {
	text, _ := charmap.ISO8859_1.NewDecoder().Bytes(raw) // every byte is a character
	return string(text)
}

// decoder reads text in the character set of MSH-18 (HL7 table 0211). One that says
// nothing or ASCII is read as UTF-8, which ASCII is a part of, and never guessed at.
func decoder(head line, d *delims) (func([]byte) (string, bool), error) {
	fields := strings.Split(string(head.text), string(d.field))
	set := ""
	if len(fields) > 17 {
		set, _, _ = strings.Cut(fields[17], string(d.rep))
	}
	switch strings.ToUpper(strings.TrimSpace(set)) {
	case "", "ASCII", "UNICODE UTF-8", "UTF-8", "UNICODE":
		return func(b []byte) (string, bool) { return string(b), utf8.Valid(b) }, nil
	case "8859/1", "ISO 8859-1", "ISO-8859-1":
		return func(b []byte) (string, bool) { return latin1(b), true }, nil
	}
	return nil, &Error{Code: Charset, Line: head.n, Place: "MSH-18"}
}
