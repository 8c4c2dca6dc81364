package columns

import (
	"fmt"
	"math/bits"
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

	hash   uint32
	way    uint32 // how the last value was told
	digits uint32 // of the last number that came with a way
}

// tail is what places have in common whose paths end alike.
type tail struct {
	end  string
	last *value
}

// find is the value of a text, which is here if it stood here before; nil for one that is
// too long to be kept.
func (p *place) find(text []byte) (v *value, here bool) {
	if len(text) > maxShort {
		return nil, false
	}
	if v := p.values[string(text)]; v != nil {
		return v, true
	}
	if p.base != nil {
		if v := p.base.values[string(text)]; v != nil {
			return v, true
		}
	}
	return read(string(text)), false
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
	hash   uint32
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

// The ways in which a value is told, in the order in which they are asked for.
const (
	tellAfter  = iota // what stood here the last time after the value before it
	tellLast          // what stood here last
	tellText          // its text
	tellStep          // the last number here, and as much more as the last time
	tellNumber        // the last number here, and so much more
	tellMoment        // the last moment of the stream, and so many seconds more
	tellTail          // what stood last in a place whose path ends alike
	tellDay           // the last day here, and so many days more
	tellNear          // the last number of the stream, and so much more, with the stem from here
	tellRecent        // and above: what stood here so many values ago
)

const maxNumber int64 = 1e17

// value codes the next value of a place, and learns it. Who unpacks is given its text.
func (m *Model) value(c *coder, p *place, before *value, text []byte) ([]byte, *value, error) {
	var v *value
	way, here, delta := 0, false, int64(0)
	if !c.unpacks {
		v, here = p.find(text)
		way, delta = m.how(p, before, v, here)
	}
	way = m.wayOf(c, way, hash(p.hash, p.way, 1), hash(p.hash, m.way, 2), hash(p.hash, before.hash, 3))
	m.way, p.way = uint32(way), uint32(way)
	m.coded++
	var err error
	switch way {
	case tellText:
		text, err = m.text(c, p.hash, text)
	case tellNumber, tellMoment, tellDay, tellNear:
		delta = m.delta(c, p, way, delta)
	}
	if c.unpacks && err == nil {
		if way != tellText {
			text, err = m.earlier(p, before, way, delta)
		}
		v, here = p.find(text)
	}
	return text, m.learn(p, before, v, here), err
}

// wayOf codes in which way a value is told.
func (m *Model) wayOf(c *coder, way int, contexts ...uint32) int {
	for one := range tellRecent {
		is := 0
		if way == one {
			is = 1
		}
		if m.bits.bit(c, is, siteWay+one, uint32(128+one), contexts...) == 1 {
			return one
		}
	}
	return tellRecent + m.bits.number(c, way-tellRecent, 6, siteRecent, contexts...)
}

// delta codes the number that comes with a way: its sign and digits as one number, of
// which how many digits it has and the first ones can be foretold.
func (m *Model) delta(c *coder, p *place, way int, delta int64) int64 {
	u := uint64(delta<<1) ^ uint64(delta>>63)
	digits := m.bits.number(c, bits.Len64(u), 6, siteNumber, hash(p.hash, uint32(way), 1), hash(p.hash, p.digits, 2), hash(uint32(way), 3), hash(m.digits, 4))
	p.digits, m.digits = uint32(digits), uint32(digits)
	if digits == 0 {
		return 0
	}
	v := uint64(1)
	for i := digits - 2; i >= 0; i-- {
		digit := int(u >> i & 1)
		if digits-i < 6 {
			digit = m.bits.bit(c, digit, siteDigit, uint32(v), hash(p.hash, uint32(digits), 5), hash(uint32(digits), uint32(way), 6))
		} else {
			digit = c.bit(digit, even)
		}
		v = v<<1 | uint64(digit)
	}
	return int64(v>>1) ^ -int64(v&1)
}

// how is the way in which a value is told, which may have been here before, and the
// number that comes with it.
func (m *Model) how(p *place, before, v *value, here bool) (way int, delta int64) {
	switch {
	case v == nil:
		return tellText, 0
	case p.followed(before) == v:
		return tellAfter, 0
	case p.last == v:
		return tellLast, 0
	}
	if last := p.tail.last; last != nil && last.text == v.text {
		return tellTail, 0
	}
	stems := v.number.is && p.number.is && v.number.stem == p.number.stem
	if stems && v.number.n == p.number.n+p.step {
		return tellStep, 0
	}
	if here {
		if ago := p.recent.ago(v); ago >= 0 {
			return tellRecent + ago, 0
		}
	}
	switch {
	case v.moment.is && m.moment.is && v.moment.zone == m.moment.zone:
		return tellMoment, v.moment.at - m.moment.at
	case v.dated:
		return tellDay, v.day - p.since(m)
	case stems:
		delta = v.number.n - p.number.n
		if m.number.is && m.number.near == p.number.near && size(v.number.n-m.number.n) < size(delta) {
			return tellNear, v.number.n - m.number.n
		}
		return tellNumber, delta
	}
	return tellText, 0
}

func size(n int64) int64 { return max(n, -n) }

// since is the day from which days are counted.
func (p *place) since(m *Model) int64 {
	if p.dated {
		return p.day
	}
	return m.moment.at / secondsOfDay
}

// earlier gives a value that is told by earlier ones.
func (m *Model) earlier(p *place, before *value, way int, delta int64) ([]byte, error) {
	var v *value
	switch way {
	case tellAfter:
		v = p.followed(before)
	case tellLast:
		v = p.last
	case tellTail:
		v = p.tail.last
	case tellStep:
		return p.number.plus(p.number.stem, p.step)
	case tellNumber:
		return p.number.plus(p.number.stem, delta)
	case tellNear:
		return m.number.plus(p.number.stem, delta)
	case tellMoment:
		return m.moment.plus(delta)
	case tellDay:
		return date(p.since(m), delta)
	default:
		v = p.recent.at(way - tellRecent)
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

// learn notes that a value stood in a place, here for the first time or again, and gives
// it as one that the next value may follow.
func (m *Model) learn(p *place, before, v *value, here bool) *value {
	if v == nil || m.known > maxKnown {
		return m.long
	}
	if !here {
		p.values[v.text] = v
		m.known++
	}
	if then := p.followed(before); then != v {
		p.after[before] = v
		if then == nil {
			m.known++
		}
	}
	p.last, p.tail.last = v, v
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
	v := &value{text: text, hash: hashOf(text)}
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
