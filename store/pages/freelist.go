package pages

import (
	"context"
	"encoding/binary"
	"sync/atomic"
)

// set is a set of page numbers below a bound; many goroutines may use it at once.
type set []atomic.Uint32

func newSet(bound uint64) set { return make(set, bound/32+1) }

func (s set) has(id uint64) bool { return s[id/32].Load()&(1<<(id%32)) != 0 }

// add reports whether id is new.
func (s set) add(id uint64) bool {
	bit := uint32(1) << (id % 32)
	return s[id/32].Or(bit)&bit == 0
}

// freelist reads which pages are free, and how many the list itself takes. The
// list is in order, as bbolt writes it; nil where the file keeps none.
func (f *File) freelist(ctx context.Context, m meta) (free set, count, own uint64, err error) {
	if m.list == noFreelist {
		return nil, 0, 0, nil
	}
	at := int64(m.list) * int64(m.pageSize)
	head := make(node, header+8)
	if err := f.read(head, at); err != nil {
		return nil, 0, 0, damage(m.list, "cannot be read: %w", err)
	}
	own = uint64(head.overflow()) + 1
	if head.id() != m.list || head.flags() != freelistFlag || own > m.high-m.list {
		return nil, 0, 0, damage(m.list, "is no freelist")
	}
	at += header
	if count = uint64(head.count()); count == 0xFFFF { // the count did not fit
		count = binary.LittleEndian.Uint64(head[header:])
		at += 8
	}
	end := int64(m.list+own) * int64(m.pageSize)
	if count > m.high || at+8*int64(count) > end {
		return nil, 0, 0, damage(m.list, "cannot list %d pages", count)
	}
	free = newSet(m.high)
	buf := make([]byte, min(count*8, 64<<10))
	last := uint64(1)
	for left := int64(count) * 8; left > 0; {
		if err := ctx.Err(); err != nil {
			return nil, 0, 0, err
		}
		part := buf[:min(left, int64(len(buf)))]
		if err := f.read(part, at); err != nil {
			return nil, 0, 0, damage(m.list, "cannot be read: %w", err)
		}
		at, left = at+int64(len(part)), left-int64(len(part))
		for ; len(part) > 0; part = part[8:] {
			id := binary.LittleEndian.Uint64(part)
			if id <= last || id >= m.high {
				return nil, 0, 0, damage(m.list, "lists page %d after page %d", id, last)
			}
			last = id
			free.add(id)
		}
	}
	return free, count, own, nil
}
