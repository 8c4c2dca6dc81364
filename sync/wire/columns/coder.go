package columns

// coder turns bits into bytes, the fewer the likelier each bit was held, and back. One
// piece of code serves both ways: who packs gives the bit, and who unpacks is given it.
// It is the range coder of PAQ (Mahoney, Adaptive weighing of context models for lossless
// data compression, Florida Tech CS-2005-16).
type coder struct {
	low, high uint32
	unpacks   bool
	out       []byte // of who packs
	in        []byte // of who unpacks
	at        uint32
	over      int // bytes that were asked for behind the last
}

func packs() *coder { return &coder{high: ^uint32(0)} }

func unpacks(b []byte) *coder {
	c := &coder{high: ^uint32(0), unpacks: true, in: b}
	for range 4 {
		c.at = c.at<<8 | c.next()
	}
	return c
}

// even is how likely a bit is of which nothing is known.
const even = 1 << 15

// bit codes one bit; one is how likely a 1 is, of 65536, and not 0.
func (c *coder) bit(bit int, one uint32) int {
	mid := c.low + uint32(uint64(c.high-c.low)*uint64(one)>>16)
	if c.unpacks {
		bit = 0
		if c.at <= mid {
			bit = 1
		}
	}
	if bit == 1 {
		c.high = mid
	} else {
		c.low = mid + 1
	}
	for (c.low^c.high)>>24 == 0 {
		if c.unpacks {
			c.at = c.at<<8 | c.next()
		} else {
			c.out = append(c.out, byte(c.high>>24))
		}
		c.low, c.high = c.low<<8, c.high<<8|255
	}
	return bit
}

// next is the next byte. Behind the last there are zeros.
func (c *coder) next() uint32 {
	if len(c.in) == 0 {
		c.over++
		return 0
	}
	b := c.in[0]
	c.in = c.in[1:]
	return uint32(b)
}

// end gives all bits so far, with as few bytes at the end as tell them from all others.
func (c *coder) end() []byte {
	for n := range 5 {
		below := uint32(1<<(32-8*n) - 1)
		v := (c.low + below) &^ below
		if v < c.low || v > c.high {
			continue
		}
		for i := range n {
			c.out = append(c.out, byte(v>>(24-8*i)))
		}
		break
	}
	return c.out
}

// short reports whether more was asked for than there is.
func (c *coder) short() bool { return c.over > 4 }

// done reports whether all was asked for that there is, and no more.
func (c *coder) done() bool { return len(c.in) == 0 && !c.short() }
