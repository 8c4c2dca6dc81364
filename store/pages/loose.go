package pages

import "encoding/binary"

// loose is an element of a node of which nothing is taken for granted.
type loose struct {
	outside    bool // its bytes are not within the node
	flags      uint32
	key, value []byte
	next       []byte // the key behind it, in a branch; nil at the end
	child      uint64
}

// table is how many elements a node may have: what it says or, where the first
// one stands further behind, as many as are room for before it.
func (n node) table() int {
	count := n.count()
	if len(n) < header+element {
		return 0
	}
	pos := binary.LittleEndian.Uint32(n[header:])
	if n.flags() != branchFlag {
		pos = binary.LittleEndian.Uint32(n[header+4:])
	}
	if pos%element == 0 && int64(pos)+header <= int64(len(n)) {
		count = max(count, int(pos)/element)
	}
	return min(count, (len(n)-header)/element)
}

// at reads element i; it ends behind so many bytes of the node, which may be
// more than there are.
func (n node) at(i int) (e loose, end int64) {
	le, at := binary.LittleEndian, header+element*i
	b := n[at : at+element]
	var pos, keySize, valueSize uint32
	if n.flags() == branchFlag {
		pos, keySize, e.child = le.Uint32(b), le.Uint32(b[4:]), le.Uint64(b[8:])
	} else {
		e.flags, pos, keySize, valueSize = le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	}
	start := int64(at) + int64(pos)
	end = start + int64(keySize) + int64(valueSize)
	if e.outside = keySize == 0 || keySize > maxKey || end > int64(len(n)); !e.outside {
		e.key = n[start : start+int64(keySize)]
		e.value = n[start+int64(keySize) : end]
	}
	return e, end
}

// loose goes through all elements of a node. Elements may lie upon each other;
// together they are bounded.
func (n node) loose(each func(loose) error) error {
	budget := 2 * len(n)
	for i := range n.table() {
		e, _ := n.at(i)
		if budget -= len(e.key) + len(e.value); budget < 0 {
			return nil
		}
		if n.flags() == branchFlag && i+1 < n.table() {
			next, _ := n.at(i + 1)
			e.next = next.key
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// node reads a page and as many behind it as its elements reach into; nil where
// it cannot be read. Behind the first page, what cannot be read is zero.
func (s *salvager) node(id uint64) (node, uint64) {
	s.buf = append(s.buf[:0], make([]byte, s.pageSize)...)
	at := int64(id) * int64(s.pageSize)
	if s.read(s.buf, at) != nil {
		s.spoil(id)
		return nil, 0
	}
	n := node(s.buf)
	end, most := int64(0), min(int64(s.high-id)*int64(s.pageSize), maxNode)
	for i := range n.table() {
		if _, e := n.at(i); e <= most {
			end = max(end, e)
		}
	}
	count := max(1, (end+int64(s.pageSize)-1)/int64(s.pageSize))
	if count > 1 {
		s.buf = append(s.buf, make([]byte, (count-1)*int64(s.pageSize))...)
		if s.read(s.buf[s.pageSize:], at+int64(s.pageSize)) != nil {
			for i := int64(1); i < count; i++ {
				page := s.buf[i*int64(s.pageSize):][:s.pageSize]
				if s.read(page, at+i*int64(s.pageSize)) != nil {
					s.spoil(id + uint64(i))
					clear(page)
				}
			}
		}
	}
	return s.buf, uint64(count)
}

// guess stands in for the metas where none is valid: the size of a page is the
// one by which most pages bear their own number. There is no tree then.
func (f *File) guess() *meta {
	best := meta{pageSize: 4096, list: noFreelist}
	most := 0
	var head [header]byte
	for size := int64(minPage); size <= maxPage; size *= 2 {
		hits := 0
		for id := int64(2); id < min(f.Size/size, 4096); id++ {
			n := node(head[:])
			if f.read(n, id*size) == nil && n.id() == uint64(id) && (n.isLeaf() || n.flags() == branchFlag || n.flags() == freelistFlag) {
				hits++
			}
		}
		if hits > most {
			most, best.pageSize = hits, int(size)
		}
	}
	best.high = uint64(f.Size) / uint64(best.pageSize)
	return &best
}
