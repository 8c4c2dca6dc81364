package fhir

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bounds what Parse takes in. A field that is zero or less means its default.
type Limits struct {
	Bytes  int // length of the text in bytes
	Depth  int // how deep arrays and objects nest
	Values int // how many values in all: one costs about 80 bytes of memory
}

// DefaultLimits is 16 MiB, 64 levels and 2^20 values.
func DefaultLimits() Limits { return Limits{Bytes: 16 << 20, Depth: 64, Values: 1 << 20} }

// SyntaxError says where and why a text is not acceptable JSON. It never
// holds any of the text.
type SyntaxError struct {
	Offset int    // bytes from the start
	Code   string // one of the Syntax constants
}

// The closed list of SyntaxError codes.
const (
	SyntaxEmpty     = "empty"          // nothing but white space
	SyntaxTooLarge  = "too-large"      // more than Limits.Bytes
	SyntaxTooDeep   = "too-deep"       // more than Limits.Depth
	SyntaxTooMany   = "too-many"       // more than Limits.Values
	SyntaxTruncated = "truncated"      // ends in the middle
	SyntaxTrailing  = "trailing-data"  // something follows the value
	SyntaxDuplicate = "duplicate-key"  // one name twice in an object
	SyntaxUTF8      = "invalid-utf8"   // bytes that are not UTF-8
	SyntaxBOM       = "byte-order"     // starts with a byte order mark
	SyntaxEscape    = "bad-escape"     // an unknown escape in a string
	SyntaxSurrogate = "lone-surrogate" // half of a UTF-16 pair
	SyntaxControl   = "control"        // a raw control character in a string
	SyntaxNumber    = "bad-number"     // not a number of RFC 8259
	SyntaxToken     = "unexpected"     // another character than the grammar allows
)

func (e *SyntaxError) Error() string {
	return "not valid JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.Code
}

// Parse reads one JSON value by the strict grammar of RFC 8259. It refuses
// what readers disagree about: a name twice in an object, invalid UTF-8, lone
// surrogates, a byte order mark, anything after the value. Every error is a
// *SyntaxError. The result shares no memory with b; its texts share one copy
// of b, which lives as long as any of them.
func Parse(b []byte, l Limits) (*Value, error) {
	def := DefaultLimits()
	if l.Bytes <= 0 {
		l.Bytes = def.Bytes
	}
	if l.Depth <= 0 {
		l.Depth = def.Depth
	}
	if l.Values <= 0 {
		l.Values = def.Values
	}
	if len(b) > l.Bytes {
		return nil, &SyntaxError{l.Bytes, SyntaxTooLarge}
	}
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		return nil, &SyntaxError{0, SyntaxBOM}
	}
	p := parser{s: string(b), depth: l.Depth, left: l.Values}
	p.space()
	if p.i == len(p.s) {
		return nil, &SyntaxError{p.i, SyntaxEmpty}
	}
	v := p.value()
	if p.err == nil {
		if p.space(); p.i < len(p.s) {
			p.fail(p.i, SyntaxTrailing)
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	return v, nil
}

// parser is one reading. Its functions return nil (or false) after fail; the
// first failure is the one reported.
type parser struct {
	s     string
	i     int
	depth int // levels left
	left  int // values left
	slab  []Value
	field []Field  // fields of the objects that are still open
	item  []*Value // items of the arrays that are still open
	err   *SyntaxError
}

// fail notes the first thing wrong and where.
func (p *parser) fail(at int, code string) *Value {
	if p.err == nil {
		p.err = &SyntaxError{at, code}
	}
	return nil
}

// unexpected fails at the place read last: the text ends there, or is wrong there.
func (p *parser) unexpected() *Value {
	if p.i >= len(p.s) {
		return p.fail(len(p.s), SyntaxTruncated)
	}
	return p.fail(p.i, SyntaxToken)
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// fresh hands out values from small slabs: fewer, larger allocations, and a
// value that is kept holds little else in memory.
func (p *parser) fresh(s Shape, text string) *Value {
	if p.left--; p.left < 0 {
		return p.fail(p.i, SyntaxTooMany)
	}
	if len(p.slab) == 0 {
		p.slab = make([]Value, 32)
	}
	v := &p.slab[0]
	p.slab = p.slab[1:]
	v.Shape, v.Text = s, text
	return v
}

// value reads any value, at whose first character it stands.
func (p *parser) value() *Value {
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if p.depth == 0 {
			return p.fail(p.i, SyntaxTooDeep)
		}
		p.depth--
		p.i++
		var v *Value
		if c == '{' {
			v = p.object()
		} else {
			v = p.array()
		}
		p.depth++
		return v
	case c == '"':
		s, ok := p.str()
		if !ok {
			return nil
		}
		return p.fresh(String, s)
	case c == '-' || c >= '0' && c <= '9':
		n := numberLen(p.s[p.i:])
		if n == 0 {
			return p.fail(p.i, SyntaxNumber)
		}
		p.i += n
		return p.fresh(Number, p.s[p.i-n:p.i])
	case c == 't':
		return p.word("true", Bool)
	case c == 'f':
		return p.word("false", Bool)
	case c == 'n':
		return p.word("null", Null)
	}
	return p.unexpected()
}

func (p *parser) word(w string, s Shape) *Value {
	for k := 0; k < len(w); k++ {
		if p.peek() != w[k] {
			return p.unexpected()
		}
		p.i++
	}
	if s == Null {
		w = ""
	}
	return p.fresh(s, w)
}

// array reads on after '['. Items gather on one stack that all open arrays
// share, so that each array is allocated once, at its final length.
func (p *parser) array() *Value {
	from := len(p.item)
	if p.space(); p.peek() == ']' {
		p.i++
		return p.fresh(Array, "")
	}
	for {
		p.space()
		x := p.value()
		if x == nil {
			return nil
		}
		p.item = append(p.item, x)
		p.space()
		c := p.peek()
		if c != ',' && c != ']' {
			return p.unexpected()
		}
		if p.i++; c == ']' {
			break
		}
	}
	v := p.fresh(Array, "")
	if v != nil {
		v.Items = append([]*Value(nil), p.item[from:]...)
		p.item = p.item[:from]
	}
	return v
}

// object reads on after '{', gathering fields as array gathers items.
func (p *parser) object() *Value {
	from := len(p.field)
	if p.space(); p.peek() == '}' {
		p.i++
		return p.fresh(Object, "")
	}
	var seen map[string]bool
	for {
		p.space()
		at := p.i
		if p.peek() != '"' {
			return p.unexpected()
		}
		name, ok := p.str()
		if !ok {
			return nil
		}
		if seen = p.noted(seen, from, name); seen[name] {
			return p.fail(at, SyntaxDuplicate)
		}
		if p.space(); p.peek() != ':' {
			return p.unexpected()
		}
		p.i++
		p.space()
		x := p.value()
		if x == nil {
			return nil
		}
		if p.field = append(p.field, Field{name, x}); seen != nil {
			seen[name] = true
		}
		p.space()
		c := p.peek()
		if c != ',' && c != '}' {
			return p.unexpected()
		}
		if p.i++; c == '}' {
			break
		}
	}
	v := p.fresh(Object, "")
	if v != nil {
		v.Fields = append([]Field(nil), p.field[from:]...)
		p.field = p.field[:from]
	}
	return v
}

// noted finds a name that the open object already has. Small objects are
// searched; from 24 fields on a set keeps hostile ones from costing the square.
func (p *parser) noted(seen map[string]bool, from int, name string) map[string]bool {
	open := p.field[from:]
	if seen == nil && len(open) < 24 {
		for i := range open {
			if open[i].Name == name {
				return map[string]bool{name: true}
			}
		}
		return nil
	}
	if seen == nil {
		seen = make(map[string]bool, 64)
		for i := range open {
			seen[open[i].Name] = true
		}
	}
	return seen
}

// str reads a string whose opening quote is next. Without an escape it is a
// slice of the text.
func (p *parser) str() (string, bool) {
	p.i++
	from := p.i
	ascii := true
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"' || c == '\\':
			if !ascii && !utf8.ValidString(p.s[from:p.i]) {
				p.fail(from, SyntaxUTF8)
				return "", false
			}
			if c == '\\' {
				return p.escaped(from)
			}
			p.i++
			return p.s[from : p.i-1], true
		case c < 0x20:
			p.fail(p.i, SyntaxControl)
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
		p.i++
	}
	p.fail(len(p.s), SyntaxTruncated)
	return "", false
}

// escaped reads the rest of a string from its first backslash on.
func (p *parser) escaped(from int) (string, bool) {
	out := append(make([]byte, 0, p.i-from+64), p.s[from:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			return string(out), true
		case c < 0x20:
			p.fail(p.i, SyntaxControl)
			return "", false
		case c == '\\':
			var ok bool
			if out, ok = p.escape(out); !ok {
				return "", false
			}
		case c < utf8.RuneSelf:
			out = append(out, c)
			p.i++
		default:
			r, n := utf8.DecodeRuneInString(p.s[p.i:])
			if r == utf8.RuneError && n == 1 {
				p.fail(p.i, SyntaxUTF8)
				return "", false
			}
			out = append(out, p.s[p.i:p.i+n]...)
			p.i += n
		}
	}
	p.fail(len(p.s), SyntaxTruncated)
	return "", false
}

// escape appends what the escape at p.i stands for. A pair of surrogates is one
// character; half of one is refused, since UTF-8 has no bytes for it.
func (p *parser) escape(out []byte) ([]byte, bool) {
	at := p.i
	p.i += 2
	if p.i > len(p.s) {
		p.fail(len(p.s), SyntaxTruncated)
		return out, false
	}
	switch c := p.s[at+1]; c {
	case '"', '\\', '/':
		return append(out, c), true
	case 'b':
		return append(out, '\b'), true
	case 'f':
		return append(out, '\f'), true
	case 'n':
		return append(out, '\n'), true
	case 'r':
		return append(out, '\r'), true
	case 't':
		return append(out, '\t'), true
	case 'u':
		r, ok := p.hex4()
		if !ok {
			p.fail(at, SyntaxEscape)
			return out, false
		}
		if !utf16.IsSurrogate(r) {
			return utf8.AppendRune(out, r), true
		}
		if p.i+1 < len(p.s) && p.s[p.i] == '\\' && p.s[p.i+1] == 'u' {
			p.i += 2
			if low, ok := p.hex4(); ok {
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					return utf8.AppendRune(out, r), true
				}
			}
		}
		p.fail(at, SyntaxSurrogate)
		return out, false
	}
	p.fail(at, SyntaxEscape)
	return out, false
}

// hex4 reads the four hexadecimal digits of a \u escape.
func (p *parser) hex4() (rune, bool) {
	if p.i+4 > len(p.s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.s[p.i : p.i+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.i += 4
	return r, true
}

// numberLen is the length of the RFC 8259 number that s starts with, 0 if it
// starts with none. A number that breaks off ("1.", "2e") counts as none.
func numberLen(s string) int {
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return 0
	}
	if i < len(s) && s[i] == '.' {
		if i++; !digits() {
			return 0
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return 0
		}
	}
	return i
}
