package columns

import (
	"bytes"
	"fmt"
)

// texts are those that were told so far, and where to look for one like the next.
type texts struct {
	told []byte         // a line feed behind each
	last [1 << 15]int32 // where what follows some bytes stood last; 0 for nowhere
	long long           // those of the block at hand that are not coded
}

const (
	maxTold  = 1 << 16 // bytes of a text that is coded
	maxTexts = 1 << 19 // bytes of all, after which a model begins anew
	maxCoded = 1 << 25 // bytes of texts, and values, that are coded: a microsecond each at the most
	sure     = 8       // bytes alike, after which all of a text may be foretold at once
	grounds  = 4       // bytes alike, after which the next one is
	longest  = 32      // bytes alike that are told apart
)

// from takes over what another one knows.
func (t *texts) from(other *texts) {
	t.told, t.last = append(t.told[:0], other.told...), other.last
}

// text codes a text of a place. Who unpacks is given it, until the next one, and fails with
// ErrForm.
func (m *Model) text(c *coder, place uint32, text []byte) ([]byte, error) {
	isLong := 0
	if len(text) > maxTold || m.coded > maxCoded {
		isLong = 1
	}
	if m.bits.bit(c, isLong, siteLong, 0, place) == 1 {
		return m.longText(c, text)
	}
	if m.coded > maxCoded {
		return nil, fmt.Errorf("%w: too many texts", ErrForm)
	}
	t := m.texts
	begun := len(t.told)
	var at match
	for i := 0; ; i++ {
		b := byte('\n')
		if i < len(text) {
			b = text[i]
		}
		s := t.spot(place, i)
		at.look(t, s.hash, i)
		t.last[s.hash] = int32(len(t.told))
		if at.length >= sure && !at.asked && at.from < begun {
			at.asked = true
			left := t.told[at.from : at.from+bytes.IndexByte(t.told[at.from:], '\n')]
			is := 0
			if i <= len(text) && bytes.Equal(left, text[i:]) {
				is = 1
			}
			if m.bits.bit(c, is, siteRest, 0, uint32(min(at.length, longest)), hash(place, s.at, 1), hash(place, uint32(min(len(left), longest)), 2), hash(s.two, 3)) == 1 {
				t.told = append(append(t.told, left...), '\n')
				break
			}
		}
		b = m.byte(c, place, s, &at, b)
		if t.told = append(t.told, b); b == '\n' {
			break
		}
		if c.short() || i >= maxTold {
			return nil, fmt.Errorf("%w: a text", ErrForm)
		}
	}
	m.coded += len(t.told) - begun
	return t.told[begun : len(t.told)-1], nil
}

// byte codes the next byte of a text: whether it is the one foretold, and if not, its bits.
func (m *Model) byte(c *coder, place uint32, s spotted, at *match, b byte) byte {
	missed, node := 0, uint32(1)
	if at.length > 0 {
		foretold := m.texts.told[at.from]
		is := 0
		if foretold == b {
			is = 1
		}
		alike := uint32(min(at.length, longest))
		next := uint32(foretold)
		if m.bits.bit(c, is, siteMatch+int(min(alike, 15)), 0, hash(place, s.at, alike>>2, 1), hash(s.two, next, 2)) == 1 {
			at.from, at.length = at.from+1, at.length+1
			return foretold
		}
		missed, at.length = int(next)+1, 0
	}
	site := siteByte
	if missed > 0 {
		site += 256
	}
	for i := 7; i >= 0; i-- {
		node = node<<1 | uint32(m.bits.bit(c, int(b>>i&1), site+int(node), node, hash(s.one, uint32(missed), 3), hash(s.three, 4), hash(place, s.at, 5)))
	}
	return byte(node)
}

// longText codes a text that is not looked into.
func (m *Model) longText(c *coder, text []byte) ([]byte, error) {
	if c.unpacks {
		return m.texts.long.next()
	}
	m.texts.long.add(text)
	return text, nil
}

// spotted is where in a text a byte stands, and what stands before it there: as many
// bytes as the names say.
type spotted struct{ at, one, two, three, hash uint32 }

func (t *texts) spot(place uint32, i int) spotted {
	s := spotted{at: uint32(min(i, 24))}
	before := func(k int) uint32 {
		if i < k {
			return 0
		}
		return uint32(t.told[len(t.told)-k]) + 1
	}
	s.one = before(1)
	s.two = s.one | before(2)<<9
	s.three = s.two | before(3)<<18
	s.hash = hash(s.three, before(4), before(5))
	if i < 5 {
		s.hash = hash(s.hash, place, s.at)
	}
	s.hash >>= 17
	return s
}

// match is where the text is held to go on as an earlier one did, how many bytes are alike
// so far, and whether it was asked if all that follow are.
type match struct {
	from, length int
	asked        bool
}

// look looks for an earlier text where none is followed.
func (m *match) look(t *texts, hash uint32, i int) {
	from := int(t.last[hash])
	if m.length > 0 || from == 0 {
		return
	}
	n := 0
	for n < longest && n < from && t.told[from-1-n] == t.told[len(t.told)-1-n] {
		n++
	}
	if n >= min(grounds, i) {
		*m = match{from: from, length: max(n, 1)}
	}
}
