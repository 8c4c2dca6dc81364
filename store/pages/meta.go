package pages

import (
	"encoding/binary"
	"hash/fnv"
	"io"
)

const (
	magic      = 0xED0CDAED
	version    = 2
	metaSize   = 64 // magic, version, page size, flags: 4 each; root, sequence, freelist, high, tx, checksum: 8 each
	noFreelist = ^uint64(0)
	minPage    = 1 << 10
	maxPage    = 1 << 16
)

// meta is what one meta page says.
type meta struct {
	place    uint64 // the page it stands in
	named    bool   // the page's header is right too; bbolt does not look at it
	pageSize int
	root     uint64
	list     uint64 // the freelist; noFreelist where none is kept
	high     uint64 // the high water mark: pages from here on are not in use
	tx       uint64
}

// metas finds the metas that bbolt would take, as it does: page 0, and page 1
// behind it, or where page 0 is not valid, at each place where it may begin.
func (f *File) metas() (found [2]*meta) {
	found = f.both()
	if m := newest(found); f.Older && m != nil {
		found[m.place] = nil
	}
	return found
}

func (f *File) both() (found [2]*meta) {
	if found[0] = f.meta(0, 0); found[0] != nil {
		if found[1] = f.meta(1, int64(found[0].pageSize)); found[1] != nil && found[1].pageSize != found[0].pageSize {
			found[1] = nil
		}
		return found
	}
	for size := minPage; size <= maxPage && found[1] == nil; size *= 2 {
		if m := f.meta(1, int64(size)); m != nil && m.pageSize == size {
			found[1] = m
		}
	}
	return found
}

// Metas reads the two meta pages alone, also of a file that somebody writes.
func Metas(source io.ReaderAt, size int64) (out [2]Meta) {
	f := File{Source: source, Size: size}
	for i, m := range f.metas() {
		if m != nil {
			out[i] = Meta{Valid: true, Tx: m.tx}
		}
	}
	return out
}

// meta reads the meta page at off; nil where it is not valid.
func (f *File) meta(place uint64, off int64) *meta {
	var b [header + metaSize]byte
	if f.read(b[:], off) != nil {
		return nil
	}
	le, v := binary.LittleEndian, b[header:]
	sum := fnv.New64a()
	sum.Write(v[:metaSize-8])
	if le.Uint32(v) != magic || le.Uint32(v[4:]) != version || le.Uint64(v[56:]) != sum.Sum64() {
		return nil
	}
	size := le.Uint32(v[8:])
	if size < minPage || size > maxPage || size&(size-1) != 0 {
		return nil
	}
	n := node(b[:])
	return &meta{
		place: place, named: n.id() == place && n.flags() == metaFlag,
		pageSize: int(size), root: le.Uint64(v[16:]),
		list: le.Uint64(v[32:]), high: le.Uint64(v[40:]), tx: le.Uint64(v[48:]),
	}
}

// newest is the meta that bbolt begins from; nil where none is valid.
func newest(metas [2]*meta) *meta {
	if metas[0] == nil || metas[1] != nil && metas[1].tx > metas[0].tx {
		return metas[1]
	}
	return metas[0]
}

// check holds what a meta says against the file's size.
func (m *meta) check(size int64) error {
	switch all := uint64(size) / uint64(m.pageSize); {
	case !m.named:
		return damage(m.place, "does not say that it is a meta page")
	case size%int64(m.pageSize) != 0:
		return damage(all, "is cut off")
	case m.high > all:
		return damage(all, "is missing, and the file should have %d", m.high)
	case m.high < 3 || m.root < 2 || m.root >= m.high:
		return damage(m.place, "names page %d of %d as the root", m.root, m.high)
	case m.list != noFreelist && (m.list < 2 || m.list >= m.high):
		return damage(m.place, "names page %d of %d as the freelist", m.list, m.high)
	}
	return nil
}

// begin starts a report.
func begin(metas [2]*meta) (r Report) {
	for i, m := range metas {
		if m != nil {
			r.Metas[i] = Meta{true, m.tx}
		}
	}
	return r
}
