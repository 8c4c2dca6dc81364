package pages_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"tram/store/pages"
)

// image is a file's bytes, to be changed by hand.
type image []byte

func (b image) num(at int) int       { return int(binary.LittleEndian.Uint64(b[at:])) }
func (b image) set(at int, n uint64) { binary.LittleEndian.PutUint64(b[at:], n) }

// meta is where the newest meta begins, behind its page's header.
func (b image) meta() int {
	if b.num(16+48) > b.num(1024+16+48) {
		return 16
	}
	return 1024 + 16
}

// sign gives a meta its checksum.
func (b image) sign(meta int) {
	sum := fnv.New64a()
	sum.Write(b[meta : meta+56])
	b.set(meta+56, sum.Sum64())
}

// bucket is where the header of a bucket is.
func (b image) bucket(name string) int {
	page := b.num(b.meta()+16) * 1024
	return page + bytes.LastIndex(b[page:page+1024], []byte(name)) + len(name)
}

// list gives the freelist these pages.
func (b image) list(change func(ids []uint64) []uint64) {
	at := b.num(b.meta()+32) * 1024
	ids := make([]uint64, binary.LittleEndian.Uint16(b[at+10:]))
	for i := range ids {
		ids[i] = uint64(b.num(at + 16 + 8*i))
	}
	ids = change(ids)
	binary.LittleEndian.PutUint16(b[at+10:], uint16(len(ids)))
	for i, id := range ids {
		b.set(at+16+8*i, id)
	}
}

// TestDamageByHand does what no single flipped bit does. No item is checked: all
// must show in the structure.
func TestDamageByHand(t *testing.T) {
	root := func(b image) int { return b.num(b.bucket("rows")) }
	for _, c := range []struct {
		name       string
		noFreelist bool
		change     func(b image)
		want       string
	}{
		{"nothing", false, func(image) {}, ""},
		{"two buckets share their pages", false, func(b image) { b.set(b.bucket("index"), uint64(root(b))) }, "used twice"},
		{"a branch leads to itself", true, func(b image) { b.set(root(b)*1024+16+8, uint64(root(b))) }, "used twice"},
		{"a branch leads to a meta", true, func(b image) { b.set(root(b)*1024+16+8, 1) }, "named by a branch"},
		{"a branch leads beyond the end", true, func(b image) { b.set(root(b)*1024+16+8, 1<<40) }, "named by a branch"},
		{"a small bucket in place of a large one", true, func(b image) { b.set(b.bucket("rows"), 0) }, "does not hold a small bucket"},
		{"a page in use is listed as free", false, func(b image) {
			b.list(func(ids []uint64) []uint64 {
				ids = append(ids, uint64(root(b)))
				slices.Sort(ids)
				return ids
			})
		}, "in use and free"},
		{"a free page is not listed", false, func(b image) { b.list(func(ids []uint64) []uint64 { return ids[1:] }) }, "neither in use nor free"},
		{"a free page is listed twice", false, func(b image) {
			b.list(func(ids []uint64) []uint64 { return append(ids[:1:1], ids...) })
		}, "lists page"},
		{"more free pages than there are", false, func(b image) {
			at := b.num(b.meta()+32) * 1024
			binary.LittleEndian.PutUint16(b[at+10:], 0xFFFF)
			b.set(at+16, 1<<60)
		}, "cannot list"},
		{"more pages than the file has", false, func(b image) { b.set(b.meta()+40, 1<<60); b.sign(b.meta()) }, "is missing"},
		{"the root is a meta", false, func(b image) { b.set(b.meta()+16, 1); b.sign(b.meta()) }, "as the root"},
		{"the page of buckets says that it is empty", true, func(b image) {
			binary.LittleEndian.PutUint16(b[b.num(b.meta()+16)*1024+10:], 0)
		}, "is empty"},
		{"a leaf has a key of the leaf behind it", false, func(b image) {
			leaf := b[b.num(root(b)*1024+16+8)*1024:]
			last := 16 + 16*(int(binary.LittleEndian.Uint16(leaf[10:]))-1)
			leaf[last+int(binary.LittleEndian.Uint32(leaf[last+4:]))] = 0xFF
		}, "keys of the page behind"},
		{"an absurd size of pages", false, func(b image) {
			for _, at := range []int{16, 1024 + 16} {
				binary.LittleEndian.PutUint32(b[at+8:], 1<<31)
				b.sign(at)
			}
		}, "no valid meta page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := image(made(t, 1024, 150, c.noFreelist))
			before := salvaged(t, b)
			c.change(b)
			f := file(b)
			f.Item = nil
			_, err := f.Verify(t.Context())
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, pages.ErrDamaged) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			after, missing := salvaged(t, b), 0
			for k, v := range before {
				if after[k] != v {
					missing++
				}
			}
			if missing > 1 {
				t.Errorf("%d items are missing of %d", missing, len(before))
			}
		})
	}
}

// TestRottenMetaIsTold: bbolt takes the state before, and so does Verify, which
// tells of it.
func TestRottenMetaIsTold(t *testing.T) {
	b := image(made(t, 1024, 150, false))
	before, err := file(b).Verify(t.Context())
	if err != nil || !before.Both() {
		t.Fatal(before, err)
	}
	b[b.meta()+20] ^= 1
	after, err := file(b).Verify(t.Context())
	if err != nil || after.Both() || after.Tx != before.Tx-1 {
		t.Errorf("got %+v, %v; want the state before transaction %d", after, err, before.Tx)
	}
}

// TestElementsUponEachOther: a page whose elements all reach over the whole of it
// is not checked as often as it has elements.
func TestElementsUponEachOther(t *testing.T) {
	b := image(made(t, 1024, 150, false))
	leaf := b[b.num(b.num(b.bucket("rows"))*1024+16+8)*1024:][:1024]
	binary.LittleEndian.PutUint16(leaf[10:], 30)
	for i := range 30 {
		e := leaf[16+16*i:]
		binary.LittleEndian.PutUint32(e, 0)
		binary.LittleEndian.PutUint32(e[4:], uint32(16*30-16*i))
		binary.LittleEndian.PutUint32(e[8:], 8)
		binary.LittleEndian.PutUint32(e[12:], 500)
	}
	f, offered := file(b), 0
	f.Item = func(_, key, value []byte) bool {
		offered += len(key) + len(value)
		return false
	}
	if _, err := f.Salvage(t.Context(), nil); err != nil || offered > 3*len(b) {
		t.Errorf("%d bytes were offered of a file of %d, %v", offered, len(b), err)
	}
	offered = 0
	f.Item = func(_, key, value []byte) bool {
		if len(value) == 500 {
			offered++
		}
		return true
	}
	if _, err := f.Salvage(t.Context(), func(_, _, _ []byte, _ bool) error { return nil }); err != nil || offered != 4 {
		t.Errorf("got %d elements of 508 bytes from 1,024, want the 4 that twice as much holds; %v", offered, err)
	}
}
