package disk

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Variant is a way in which a cut treats what was not synced.
type Variant int

// The variants.
const (
	Kept      Variant = iota // all of it is there
	Dropped                  // none of it
	Pages                    // some pages, some names
	Sectors                  // as Pages, and pages are torn at sectors
	Reordered                // each page, name and size as it was at some time of its own
	InOrder                  // all of it up to some moment
	NamesOnly                // names and sizes, no bytes
	BytesOnly                // bytes as far as the old size and the old names go
	variants
)

// String is the variant's name.
func (v Variant) String() string {
	return [...]string{"kept", "dropped", "pages", "sectors", "reordered", "in-order", "names-only", "bytes-only"}[v]
}

// Number is a prefix's n-th draw, from 0 on: neighbours begin with different
// variants.
func Number(prefix, n int) int {
	if n < int(variants) {
		return (prefix + n) % int(variants)
	}
	return n
}

// Draw is one image to make: its number decides the variant, its seed the dice.
func Draw(seed uint64, prefix, number int) (Variant, *rand.Rand) {
	v := Variant(number)
	if v >= variants { // the plain ones have no dice to throw again
		v = Pages + Variant(number-int(variants))%(NamesOnly-Pages)
	}
	return v, rand.New(rand.NewPCG(seed, uint64(prefix)<<16|uint64(number)))
}

// Image is what a cut left. It holds until the disk's next operation.
type Image struct {
	dirs  []string
	files map[string]content
	// Sum tells images apart: by names, sizes and bytes.
	Sum uint64
}

type content struct {
	file *file
	size int64
	over map[int64]*block // instead of the file's synced pages
}

// Image is what a cut leaves now.
func (d *Disk) Image(v Variant, r *rand.Rand) *Image {
	cut := d.clock
	if v == InOrder {
		first := d.clock
		if len(d.names) > 0 {
			first = d.names[0].at
		}
		for _, n := range slices.Sorted(maps.Keys(d.files)) {
			first = min(first, d.files[n].oldest(d.clock))
		}
		cut = first + r.IntN(d.clock-first+1)
	}
	dirs := map[int]map[string]int{}
	for n, names := range d.dirs {
		dirs[n] = maps.Clone(names)
	}
	for _, n := range d.names {
		if keepName(v, n.at, cut, r) {
			n.apply(dirs)
		}
	}
	img := &Image{files: map[string]content{}}
	d.walk(img, dirs, 0, "", func(f *file) content { return f.image(v, cut, r) })
	return img
}

func (d *Disk) walk(img *Image, dirs map[int]map[string]int, dir int, path string, read func(*file) content) {
	for _, name := range slices.Sorted(maps.Keys(dirs[dir])) {
		node, at := dirs[dir][name], filepath.Join(path, name)
		if f := d.files[node]; f != nil {
			c := read(f)
			img.files[at] = c
			img.Sum ^= mix(text(at), mix(c.sum(), uint64(c.size)))
			continue
		}
		img.dirs = append(img.dirs, at)
		img.Sum ^= text(at)
		d.walk(img, dirs, node, at, read)
	}
}

func text(s string) uint64 {
	var x uint64
	for i := range len(s) {
		x = mix(x, uint64(s[i]))
	}
	return x
}

func keepName(v Variant, at, cut int, r *rand.Rand) bool {
	switch v {
	case Kept, NamesOnly:
		return true
	case Dropped, BytesOnly:
		return false
	case InOrder:
		return at <= cut
	}
	return r.IntN(2) == 0
}

// oldest is when the first thing was done that is not synced.
func (f *file) oldest(now int) int {
	for _, v := range f.since {
		now = min(now, v[0].at)
	}
	if len(f.sizes) > 0 {
		now = min(now, f.sizes[0].at)
	}
	return now
}

func (f *file) image(v Variant, cut int, r *rand.Rand) content {
	c := content{file: f, size: f.keepSize(v, cut, r), over: map[int64]*block{}}
	if v == Dropped || v == NamesOnly {
		return c
	}
	likely := r.IntN(4) // of 4: some cuts lose little, some much
	for _, n := range f.unsynced() {
		c.over[n] = f.keepPage(v, n, cut, likely, r)
	}
	return c
}

func (f *file) keepSize(v Variant, cut int, r *rand.Rand) int64 {
	size := f.size
	switch v {
	case Kept, NamesOnly:
		return f.seen()
	case Dropped, BytesOnly:
		return size
	case InOrder:
		for _, s := range f.sizes {
			if s.at <= cut {
				size = s.size
			}
		}
		return size
	}
	if n := r.IntN(len(f.sizes) + 1); n > 0 {
		size = f.sizes[n-1].size
	}
	return size
}

func (f *file) keepPage(v Variant, page int64, cut, likely int, r *rand.Rand) *block {
	since := f.since[page]
	old, now := f.pages[page], since[len(since)-1].block
	switch v {
	case InOrder:
		for _, s := range since {
			if s.at <= cut {
				old = s.block
			}
		}
		return old
	case Pages:
		if r.IntN(4) > likely {
			return old
		}
	case Reordered:
		if n := r.IntN(len(since) + 1); n > 0 {
			return since[n-1].block
		}
		return old
	case Sectors:
		return tear(old, now, r)
	}
	return now
}

// tear takes some sectors from each of two blocks.
func tear(old, now *block, r *rand.Rand) *block {
	dice := r.IntN(1 << (pageSize / sectorSize))
	a, b := old.bytes(), now.bytes()
	for i := range pageSize / sectorSize {
		if dice>>i&1 == 1 {
			copy(a[i*sectorSize:(i+1)*sectorSize], b[i*sectorSize:])
		}
	}
	switch {
	case a == old.bytes():
		return old
	case a == b:
		return now
	}
	return newBlock(a)
}

func (c content) sum() uint64 {
	sum := c.file.sum
	for n, b := range c.over {
		sum ^= c.file.pages[n].mark(n) ^ b.mark(n)
	}
	return sum
}

// Lay writes the image into a folder, which it makes anew. Zeroes become holes.
func (img *Image) Lay(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range img.dirs {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	for name, c := range img.files {
		if err := c.lay(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (c content) lay(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	pages := maps.Clone(c.file.pages)
	maps.Copy(pages, c.over)
	for n, b := range pages {
		if b == nil || n*pageSize >= c.size {
			continue
		}
		if _, err := f.WriteAt(b.data[:min(pageSize, c.size-n*pageSize)], n*pageSize); err != nil {
			return err
		}
	}
	if err := f.Truncate(c.size); err != nil {
		return err
	}
	return f.Close()
}
