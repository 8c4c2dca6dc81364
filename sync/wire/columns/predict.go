package columns

import "slices"

// predictor holds how likely each bit is: what was seen in each of some contexts before,
// mixed by how well each did so far (logistic mixing, as in PAQ).
//
// All of it is integers, so that it is the same on every machine.
type predictor struct {
	curve   *curve
	slots   []uint32 // of a context: how likely a 1 is (16 bits), which context (10), how often it was seen (6)
	weights []int32  // some for each site
	seen    [most]*uint32
	said    [most]int32
}

const (
	slotBits = 18
	most     = 4  // contexts of a bit
	often    = 60 // times that a context was seen, after which it learns no slower
)

// The sites at which bits are coded, each with weights of its own.
const (
	siteForm   = 0
	siteWay    = siteForm + 1
	siteRecent = siteWay + tellRecent
	siteNumber = siteRecent + 1
	siteDigit  = siteNumber + 1
	siteLong   = siteDigit + 1
	siteRest   = siteLong + 1
	siteMatch  = siteRest + 1
	siteByte   = siteMatch + 16
	sites      = siteByte + 2*256
)

func newPredictor() *predictor {
	p := &predictor{curve: newCurve(), slots: make([]uint32, 1<<slotBits), weights: make([]int32, sites*most)}
	for i := range p.slots {
		p.slots[i] = even << 16
	}
	for i := range p.weights {
		p.weights[i] = 3 << 13 // of 1 << 16
	}
	return p
}

// from takes over what another one learnt.
func (p *predictor) from(other *predictor) {
	p.curve = other.curve
	p.slots, p.weights = append(p.slots[:0], other.slots...), append(p.weights[:0], other.weights...)
}

// hash makes a context of what it is made of.
func hash(of ...uint32) uint32 {
	h := uint32(0)
	for _, v := range of {
		h = (h ^ v) * 0x2c1b3c6d
		h ^= h >> 15
	}
	return h
}

// bit codes a bit that is one of several at a site, told apart by node.
func (p *predictor) bit(c *coder, bit, site int, node uint32, contexts ...uint32) int {
	w := (*[most]int32)(p.weights[site*most:])
	sum := int64(0)
	for i, context := range contexts {
		s := p.slot(hash(context ^ node))
		p.seen[i], p.said[i] = s, 0
		if *s&63 > 0 {
			p.said[i] = p.curve.stretched[*s>>20]
			sum += int64(p.said[i]) * int64(w[i])
		}
	}
	one := p.curve.squashed[2048+min(max(sum>>16, -2047), 2047)]
	bit = c.bit(bit, uint32(one))
	wrong := (int32(bit)<<16 - one) * 6 >> 4
	for i, s := range p.seen[:len(contexts)] {
		w[i] += (p.said[i]*wrong + 1<<13) >> 14
		p.learn(s, bit)
	}
	return bit
}

// learn moves a slot towards a bit, the less the more often it was seen.
func (p *predictor) learn(s *uint32, bit int) {
	n, one := *s&63, int32(*s>>16)
	one += (int32(-bit)&65535 - one) * p.curve.rates[n] >> 15
	*s = uint32(one)<<16 | *s&0xffc0 | min(n+1, often)
}

// slot is where a context keeps what it saw: one of two places, of which the one that saw
// less makes room for a context that has none.
func (p *predictor) slot(context uint32) *uint32 {
	which := context >> 16 & 0xffc0
	i := context & (1<<slotBits - 1)
	a, b := &p.slots[i], &p.slots[i^1]
	switch {
	case *a&0xffc0 == which:
		return a
	case *b&0xffc0 == which:
		return b
	case *a&63 > *b&63:
		a = b
	}
	*a = even<<16 | which
	return a
}

// number codes a number of so many bits, the highest first.
func (p *predictor) number(c *coder, v, bits, site int, contexts ...uint32) int {
	node := 1
	for i := bits - 1; i >= 0; i-- {
		node = node<<1 | p.bit(c, v>>i&1, site, uint32(node), contexts...)
	}
	return node - 1<<bits
}

// curve is the logistic function, 65536 / (1 + exp(-x/256)) for x from -2048 to 2047, and
// its inverse by the upper 12 bits; and how fast a slot learns that was seen n times.
type curve struct {
	squashed, stretched [4096]int32
	rates               [often + 1]int32
}

func newCurve() *curve {
	every128 := [...]int32{22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768,
		40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514}
	var c curve
	for x := range c.squashed {
		i, w := x>>7, int32(x&127)
		c.squashed[x] = (every128[i]*(128-w) + every128[i+1]*w) >> 7
	}
	for y := range c.stretched {
		x, _ := slices.BinarySearch(c.squashed[:4095], int32(y<<4|8))
		c.stretched[y] = int32(x - 2048)
	}
	for n := range c.rates {
		c.rates[n] = int32(65536 / (2*n + 3))
	}
	return &c
}

// hashOf is the FNV-1a of a text.
func hashOf(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
