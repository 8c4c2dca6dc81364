package disk

import (
	"hash/crc64"
	"slices"
)

// The sizes in which a disk keeps or loses, in bytes.
const (
	pageSize   = 4096
	sectorSize = 512
)

// block is one page's content, unchangeable. Nil is all zeroes.
type block struct {
	data [pageSize]byte
	sum  uint64
}

func newBlock(data [pageSize]byte) *block {
	return &block{data, crc64.Checksum(data[:], crc64.MakeTable(crc64.ECMA)) | 1}
}

func (b *block) bytes() (out [pageSize]byte) {
	if b != nil {
		out = b.data
	}
	return out
}

// mark is a block's part in the sum of its file.
func (b *block) mark(page int64) uint64 {
	if b == nil {
		return 0
	}
	return mix(b.sum, uint64(page))
}

// mix spreads two numbers over one (the finalizer of SplitMix64).
func mix(a, b uint64) uint64 {
	x := a ^ (b+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// file is what a disk may hold of one file.
type file struct {
	pages map[int64]*block // synced
	sum   uint64           // over pages
	size  int64            // synced
	// What came since the last sync: every state of every page and of the size, in
	// order.
	since map[int64][]version
	sizes []sizing
	// doubt holds the pages that a failed sync left clean in memory: they stay
	// unsynced until they are written again.
	doubt map[int64]bool
}

type version struct {
	at    int
	block *block
}

type sizing struct {
	at   int
	size int64
}

func newFile() *file {
	return &file{pages: map[int64]*block{}, since: map[int64][]version{}, doubt: map[int64]bool{}}
}

// seen is the size as the recorded process sees it.
func (f *file) seen() int64 {
	if n := len(f.sizes); n > 0 {
		return f.sizes[n-1].size
	}
	return f.size
}

func (f *file) page(n int64) *block {
	if v := f.since[n]; len(v) > 0 {
		return v[len(v)-1].block
	}
	return f.pages[n]
}

func (f *file) put(at int, page int64, b *block) {
	f.since[page] = append(f.since[page], version{at, b})
	delete(f.doubt, page)
}

func (f *file) write(at int, off int64, data []byte) {
	end := off + int64(len(data))
	for n := off / pageSize; n*pageSize < end; n++ {
		content := f.page(n).bytes()
		from, to := max(off, n*pageSize), min(end, (n+1)*pageSize)
		copy(content[from-n*pageSize:], data[from-off:to-off])
		if content == [pageSize]byte{} {
			f.put(at, n, nil)
		} else {
			f.put(at, n, newBlock(content))
		}
	}
	if end > f.seen() {
		f.sizes = append(f.sizes, sizing{at, end})
	}
}

func (f *file) truncate(at int, size int64) {
	for n := size / pageSize; n*pageSize < f.seen(); n++ {
		content := f.page(n).bytes()
		clear(content[max(0, size-n*pageSize):])
		if content == [pageSize]byte{} {
			f.put(at, n, nil)
		} else {
			f.put(at, n, newBlock(content))
		}
	}
	f.sizes = append(f.sizes, sizing{at, size})
}

func (f *file) sync() {
	for n, v := range f.since {
		if f.doubt[n] {
			continue
		}
		now := v[len(v)-1].block
		f.sum ^= f.pages[n].mark(n) ^ now.mark(n)
		if f.pages[n] = now; now == nil {
			delete(f.pages, n)
		}
		delete(f.since, n)
	}
	f.size, f.sizes = f.seen(), nil
}

func (f *file) syncFailed() {
	for n := range f.since {
		f.doubt[n] = true
	}
}

// unsynced lists the pages in order, so that a seed decides the same of each.
func (f *file) unsynced() []int64 {
	out := make([]int64, 0, len(f.since))
	for n := range f.since {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
