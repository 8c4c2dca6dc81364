package columns

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// place is where values stand, and what is known of them.
type place struct {
	at     string
	tail   *tail
	base   *place // at whom the model goes on from; nil for a new one
	values map[string]*value
	recent recency[*value]
	last   *value
	after  map[*value]*value // what stood here the last time, by what stood before it
	number number            // the last one here
	step   int64             // from the one before it
	day    int64
	dated  bool

	// Of the block at hand, as it is packed, and as it is unpacked.
	codes, numbers, texts []byte
	touched               bool
	count                 int
}

// tail is what places have in common whose paths end alike.
type tail struct {
	end  string
	last *value
}

// value is a value that was here before; nil for none.
func (p *place) value(text []byte) *value {
	v := p.values[string(text)]
	if v == nil && p.base != nil {
		v = p.base.values[string(text)]
	}
	return v
}

// followed is what stood here the last time after another value; nil for nothing.
func (p *place) followed(before *value) *value {
	v := p.after[before]
	if v == nil && p.base != nil {
		v = p.base.after[before]
	}
	return v
}

// value is one value of a place, and what it is besides a text.
type value struct {
	text   string
	number number
	moment moment
	day    int64
	dated  bool
}

// number is a text that ends in a decimal number: of "Encounter/x-12" the stem is
// "Encounter/x-", and of that "x-" the near one.
type number struct {
	is   bool
	stem string
	near string
	n    int64
}

// moment is a text that begins like an instant: its seconds as if at UTC, and what
// follows them.
type moment struct {
	is   bool
	at   int64
	zone string
}

// The codes of a value.
const (
	tellAfter  = iota // what stood here the last time after the value before it
	tellLast          // what stood here last
	tellTail          // what stood last in a place whose path ends alike
	tellStep          // the last number here, and as much more as the last time
	tellNumber        // the last number here, and so much more
	tellNear          // the last number of the stream, and so much more, with the stem from here
	tellMoment        // the last moment of the stream, and so many seconds more
	tellDay           // the last day here, and so many days more
	tellText          // its text
	tellRecent        // and above: what stood here so many values ago
)

// counts reports whether a number comes with a code.
func counts(code byte) bool { return tellNumber <= code && code <= tellDay }

const maxNumber int64 = 1e17

// tell adds to a place's codes what tells the value.
func (m *Model) tell(p *place, before *value, text []byte) {
	v := p.value(text)
	if v != nil {
		ago := -1
		switch {
		case p.followed(before) == v:
			ago = tellAfter
		case p.last == v:
			ago = tellLast
		}
		if ago >= 0 {
			p.codes = append(p.codes, byte(ago))
			return
		}
	}
	if last := p.tail.last; last != nil && last.text == string(text) {
		p.codes = append(p.codes, tellTail)
		return
	}
	if v == nil {
		v = read(string(text[:min(len(text), maxShort+1)]))
	}
	stems := v.number.is && p.number.is && v.number.stem == p.number.stem
	if stems && v.number.n == p.number.n+p.step {
		p.codes = append(p.codes, tellStep)
		return
	}
	if ago := p.recent.ago(v); ago >= 0 {
		p.codes = append(p.codes, byte(tellRecent+ago))
		return
	}
	code, delta := byte(tellText), int64(0)
	switch {
	case v.moment.is && m.moment.is && v.moment.zone == m.moment.zone:
		code, delta = tellMoment, v.moment.at-m.moment.at
	case v.dated:
		code, delta = tellDay, v.day-p.since(m)
	case stems:
		code, delta = tellNumber, v.number.n-p.number.n
		if m.number.is && m.number.near == p.number.near && size(v.number.n-m.number.n) < size(delta) {
			code, delta = tellNear, v.number.n-m.number.n
		}
	}
	p.codes = append(p.codes, code)
	if code == tellText {
		p.texts = append(append(p.texts, text...), '\n')
	} else {
		p.numbers = binary.AppendVarint(p.numbers, delta)
	}
}

func size(n int64) int64 { return max(n, -n) }

// since is the day from which days are counted.
func (p *place) since(m *Model) int64 {
	if p.dated {
		return p.day
	}
	return m.moment.at / secondsOfDay
}

// hear gives the next value of a place.
func (m *Model) hear(p *place, before *value) ([]byte, error) {
	code := p.codes[0]
	p.codes = p.codes[1:]
	var v *value
	switch {
	case code == tellText:
		r := reader{left: p.texts}
		text := r.line()
		p.texts = r.left
		return text, nil
	case code == tellAfter:
		v = p.followed(before)
	case code == tellLast:
		v = p.last
	case code == tellTail:
		v = p.tail.last
	case code >= tellRecent:
		v = p.recent.at(int(code - tellRecent))
	case code == tellStep:
		return p.number.plus(p.number.stem, p.step)
	default:
		r := reader{left: p.numbers}
		delta := r.varint()
		if p.numbers = r.left; r.bad {
			break
		}
		switch code {
		case tellNumber:
			return p.number.plus(p.number.stem, delta)
		case tellNear:
			return m.number.plus(p.number.stem, delta)
		case tellMoment:
			return m.moment.plus(delta)
		}
		return date(p.since(m), delta)
	}
	if v == nil {
		return nil, fmt.Errorf("%w: a value that never was", ErrForm)
	}
	return []byte(v.text), nil
}

func (n number) plus(stem string, delta int64) ([]byte, error) {
	if sum := n.n + delta; n.is && size(delta) < maxNumber && sum >= 0 {
		return strconv.AppendInt([]byte(stem), sum, 10), nil
	}
	return nil, fmt.Errorf("%w: a number", ErrForm)
}

func (t moment) plus(delta int64) ([]byte, error) {
	if at := t.at + delta; t.is && size(delta) < maxNumber && size(at) < maxNumber {
		return append(time.Unix(at, 0).UTC().AppendFormat(nil, second), t.zone...), nil
	}
	return nil, fmt.Errorf("%w: a moment", ErrForm)
}

func date(since, delta int64) ([]byte, error) {
	if size(delta) < maxNumber/secondsOfDay {
		return time.Unix((since+delta)*secondsOfDay, 0).UTC().AppendFormat(nil, time.DateOnly), nil
	}
	return nil, fmt.Errorf("%w: a day", ErrForm)
}

// learn notes that a value stood in a place, and gives it.
func (m *Model) learn(p *place, before *value, text []byte) *value {
	if len(text) > maxShort || m.known > maxKnown {
		return m.long
	}
	v := p.value(text)
	if v == nil {
		v = read(string(text))
		p.values[v.text] = v
		m.known++
	}
	if p.followed(before) == nil {
		m.known++
	}
	p.after[before], p.last, p.tail.last = v, v, v
	p.recent.use(v)
	if v.number.is {
		p.step = 0
		if v.number.stem == p.number.stem {
			p.step = v.number.n - p.number.n
		}
		p.number = v.number
		if v.number.near != "" {
			m.number = v.number
		}
	}
	if v.moment.is {
		m.moment = v.moment
	}
	if v.dated {
		p.day, p.dated = v.day, true
	}
	return v
}

const (
	second       = "2006-01-02T15:04:05"
	maxZone      = 16
	maxDigits    = 16
	secondsOfDay = 24 * 60 * 60
)

// read tells what a text is.
func read(text string) *value {
	v := &value{text: text}
	if len(text) > maxShort {
		return v
	}
	digits := len(text)
	for digits > 0 && len(text)-digits < maxDigits && '0' <= text[digits-1] && text[digits-1] <= '9' {
		digits--
	}
	for digits < len(text)-1 && text[digits] == '0' {
		digits++
	}
	if digits < len(text) {
		n, err := strconv.ParseInt(text[digits:], 10, 64)
		near := digits
		for near > 0 && text[near-1] != '/' {
			near--
		}
		v.number = number{err == nil, text[:digits], text[near:digits], n}
	}
	switch {
	case len(text) == len(time.DateOnly) && text[4] == '-':
		if t, err := time.Parse(time.DateOnly, text); err == nil {
			v.day, v.dated = t.Unix()/secondsOfDay, t.Format(time.DateOnly) == text
		}
	case len(text) >= len(second) && len(text) <= len(second)+maxZone && text[10] == 'T':
		if t, err := time.Parse(second, text[:len(second)]); err == nil {
			v.moment = moment{t.Format(second) == text[:len(second)], t.Unix(), text[len(second):]}
		}
	}
	return v
}

// recency is a list of things, the one used last first.
type recency[T comparable] struct{ list []T }

// ago is how many others were used since, or -1.
func (r *recency[T]) ago(one T) int { return slices.Index(r.list, one) }

// at is the thing that was used before so many others; the zero value for none.
func (r *recency[T]) at(ago int) (one T) {
	if ago < len(r.list) {
		one = r.list[ago]
	}
	return one
}

func (r *recency[T]) use(one T) {
	i := slices.Index(r.list, one)
	switch {
	case i < 0 && len(r.list) < maxRecent:
		r.list = append(r.list, one)
		i = len(r.list) - 1
	case i < 0:
		i = maxRecent - 1
	}
	copy(r.list[1:i+1], r.list[:i])
	r.list[0] = one
}
