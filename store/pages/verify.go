package pages

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Verify reads the whole file and holds it to what bbolt wrote: the meta that
// bbolt would take, the freelist, and every page that a bucket leads to; that
// each page below the high water mark is used once or free; and that each item
// holds. It ends with ErrDamaged at the first thing that is wrong. One invalid
// meta is not an error, for a power cut may leave it: see Report.Both. A file
// that keeps no freelist is taken, and less is known of it: a page that should be
// in use and is not counts as free.
func (f File) Verify(ctx context.Context) (Report, error) {
	metas := f.metas()
	report, m := begin(metas), newest(metas)
	if m == nil {
		return report, damage(0, "is no valid meta page, and neither is page 1")
	}
	report.Tx, report.PageSize = m.tx, m.pageSize
	for _, m := range metas {
		if m != nil {
			if err := m.check(f.Size); err != nil {
				return report, err
			}
		}
	}
	v := &verifier{File: f, meta: *m, used: newSet(m.high), progress: f.progress(*m)}
	err := v.run(ctx)
	report.Pages, report.Items, report.Buckets = int(v.pages.Load()), int(v.items.Load()), v.listed()
	report.Free, report.Freelist = int(v.free), int(v.own)
	return report, err
}

// verifier is one run of Verify.
type verifier struct {
	File
	meta
	progress func(int64)
	isFree   set // nil where the file does not keep it
	free     uint64
	own      uint64 // pages of the freelist
	used     set
	pages    atomic.Int64
	items    atomic.Int64
	group    *errgroup.Group

	mu      sync.Mutex
	buckets []*bucket
}

// bucket gathers what is seen of one bucket, from several goroutines.
type bucket struct {
	name     []byte
	sequence uint64
	items    atomic.Int64
	last     []byte // set by the one leaf that has no neighbour behind it
}

func (v *verifier) run(ctx context.Context) error {
	unreadable := func(id uint64, err error) error { return damage(id, "cannot be read: %w", err) }
	if err := v.sweep(ctx, v.meta, v.progress, unreadable); err != nil {
		return err
	}
	free, count, own, err := v.freelist(ctx, v.meta)
	if err != nil {
		return err
	}
	v.isFree, v.free, v.own = free, count, own
	if err := v.use(0, 2); err != nil {
		return err
	}
	if own > 0 {
		if err := v.use(v.list, own); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	v.group = group
	group.Go(func() error { return v.tree(ctx, &reader{verifier: v}, nil, v.root, span{}, 0) })
	if err := group.Wait(); err != nil {
		return err
	}
	if free == nil {
		v.free = v.high - 2 - uint64(v.pages.Load())
	}
	v.progress(int64(v.free) * int64(v.pageSize))
	v.progress(int64(2+own) * int64(v.pageSize))
	return v.whole()
}

// use takes pages that must neither be free nor in use already.
func (v *verifier) use(id, count uint64) error {
	for ; count > 0; id, count = id+1, count-1 {
		if v.isFree != nil && v.isFree.has(id) {
			return damage(id, "is in use and free")
		}
		if !v.used.add(id) {
			return damage(id, "is used twice")
		}
	}
	return nil
}

// whole holds that no page is forgotten.
func (v *verifier) whole() error {
	if v.isFree == nil {
		return nil
	}
	for id := range v.high {
		if !v.used.has(id) && !v.isFree.has(id) {
			return damage(id, "is neither in use nor free")
		}
	}
	return nil
}

// reader is one goroutine's place to read a node into.
type reader struct {
	*verifier
	buf []byte
}

// node reads a node; it is valid until the next is read, unless it is kept.
func (r *reader) node(id uint64) (node, error) {
	if id < 2 || id >= r.high {
		return nil, damage(id, "is named by a branch, and there are %d", r.high)
	}
	r.buf = slices.Grow(r.buf[:0], r.pageSize)[:r.pageSize]
	at := int64(id) * int64(r.pageSize)
	if err := r.read(r.buf, at); err != nil {
		return nil, damage(id, "cannot be read: %w", err)
	}
	n := node(r.buf)
	count := uint64(n.overflow()) + 1
	switch {
	case n.id() != id:
		return nil, damage(id, "says that it is page %d", n.id())
	case n.flags() != leafFlag && n.flags() != branchFlag:
		return nil, damage(id, "is neither branch nor leaf")
	case count > r.high-id || count*uint64(r.pageSize) > maxNode:
		return nil, damage(id, "reaches beyond the end")
	case n.length() > int64(count)*int64(r.pageSize) || n.length() <= int64(count-1)*int64(r.pageSize):
		return nil, damage(id, "is not as long as its elements")
	}
	if err := r.use(id, count); err != nil {
		return nil, err
	}
	if count > 1 {
		more := int(count-1) * r.pageSize
		r.buf = slices.Grow(r.buf, more)[:r.pageSize+more]
		if err := r.read(r.buf[r.pageSize:], at+int64(r.pageSize)); err != nil {
			return nil, damage(id, "cannot be read: %w", err)
		}
	}
	r.pages.Add(int64(count))
	r.progress(int64(count) * int64(r.pageSize))
	return r.buf, nil
}

// keep leaves what was read to its user.
func (r *reader) keep() { r.buf = nil }

// tree checks a page and all below it. Bucket b is nil in the tree of buckets.
func (v *verifier) tree(ctx context.Context, r *reader, b *bucket, id uint64, s span, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := r.node(id)
	if err != nil {
		return err
	}
	if n.isLeaf() {
		return v.leaf(ctx, r, b, id, n, s)
	}
	if depth > maxDepth {
		return damage(id, "is deeper than any tree")
	}
	if err := n.check(v.pageSize, s); err != nil {
		return damage(id, "%w", err)
	}
	r.keep()
	return v.fork(r, func(r *reader) error {
		return n.children(s, func(id uint64, s span) error { return v.tree(ctx, r, b, id, s, depth+1) })
	})
}

// fork runs f elsewhere if there is somebody idle, and here if not.
func (v *verifier) fork(r *reader, f func(*reader) error) error {
	if v.group.TryGo(func() error { return f(&reader{verifier: v}) }) {
		return nil
	}
	return f(r)
}

func (v *verifier) leaf(ctx context.Context, r *reader, b *bucket, id uint64, n node, s span) error {
	if err := n.check(v.pageSize, s); err != nil {
		return damage(id, "%w", err)
	}
	if b != nil {
		if n.count() == 0 {
			return damage(id, "is empty")
		}
		return v.itemsOf(b, id, n, s.high == nil)
	}
	r.keep()
	for c := n.elements(); c.next(); {
		if c.flags != bucketFlag {
			return damage(id, "has an element %d that is no bucket", c.i)
		}
		if err := v.bucket(ctx, r, id, c.key, c.value); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket, whose header is an element of the page id.
func (v *verifier) bucket(ctx context.Context, r *reader, id uint64, name, value []byte) error {
	root, sequence, in, err := inline(value)
	if err != nil {
		return damage(id, "has an element that %w", err)
	}
	b := &bucket{name: name, sequence: sequence}
	v.mu.Lock()
	v.buckets = append(v.buckets, b)
	v.mu.Unlock()
	if in == nil {
		return v.fork(r, func(r *reader) error { return v.tree(ctx, r, b, root, span{}, 0) })
	}
	if err := in.check(1, span{}); err != nil {
		return damage(id, "has a small bucket that %w", err)
	}
	return v.itemsOf(b, id, in, true)
}

// itemsOf checks the items of a checked leaf, the last one of its bucket or not.
func (v *verifier) itemsOf(b *bucket, id uint64, n node, last bool) error {
	c := n.elements()
	for c.next() {
		if c.flags != 0 {
			return damage(id, "has an element %d that is no item", c.i)
		}
		if v.Item != nil && !v.Item(b.name, c.key, c.value) {
			return damage(id, "has an item %d that does not hold", c.i)
		}
	}
	if last {
		b.last = bytes.Clone(c.key)
	}
	b.items.Add(int64(n.count()))
	v.items.Add(int64(n.count()))
	return nil
}

// listed are the buckets by name.
func (v *verifier) listed() (out []Bucket) {
	for _, b := range v.buckets {
		out = append(out, Bucket{string(b.name), int(b.items.Load()), b.sequence, b.last})
	}
	slices.SortFunc(out, func(a, b Bucket) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// progress counts bytes and tells of each 1 %.
func (f *File) progress(m meta) func(int64) {
	if f.Progress == nil {
		return func(int64) {}
	}
	var mu sync.Mutex
	var done, told int64
	all := 2 * int64(m.high) * int64(m.pageSize)
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		if done += n; done-told >= all/100 || done == all {
			told = done
			f.Progress(done, all)
		}
	}
}
