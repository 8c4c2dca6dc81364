package pages

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Yield takes an item that holds; the bytes are valid during the call only.
type Yield func(bucket, key, value []byte, orphan bool) error

// Salvage yields every item that holds, whatever is wrong around it; an error is
// of the context, of yield, or says that nothing at all could be read. It goes
// from the newest valid meta. First come the items to which the buckets lead, in
// no promised order. Then, as orphans, those of leaf pages that nothing leads to
// and that are not free; their bucket is mostly not known, and some may be older
// than what was yielded for their key. A page that cannot be read counts as damaged.
func (f File) Salvage(ctx context.Context, yield Yield) (Report, error) {
	metas := f.metas()
	m := newest(metas)
	s := &salvager{File: f, Report: begin(metas), yield: yield, buckets: map[string]*Bucket{}}
	if m == nil {
		m = f.guess()
	}
	s.meta, s.Tx, s.PageSize = *m, m.tx, m.pageSize
	for _, m := range metas {
		if m == nil {
			s.Damaged++
		}
	}
	if all := uint64(f.Size) / uint64(m.pageSize); s.high > all {
		s.Damaged += int(min(s.high-all, 1<<30))
		s.high = all
	}
	s.done, s.bad, s.later, s.tried = newSet(s.high), newSet(s.high), newSet(s.high), newSet(s.high)
	s.progress = f.progress(s.meta)
	err := s.run(ctx, metas)
	for _, b := range s.buckets {
		s.Buckets = append(s.Buckets, *b)
	}
	slices.SortFunc(s.Buckets, func(a, b Bucket) int { return strings.Compare(a.Name, b.Name) })
	return s.Report, err
}

// salvager is one run of Salvage.
type salvager struct {
	File
	Report
	meta
	yield    Yield
	progress func(int64)
	buckets  map[string]*Bucket
	buf      []byte

	free  set  // nil where it is not known or not to be believed
	done  set  // pages that need no second look
	bad   set  // pages that are counted as damaged
	later set  // pages that are not what leads to them says
	tried set  // leaves of which no item held, perhaps for a wrong bucket
	doubt bool // a bucket or a leaf is not what it should be
	old   bool // the walk is through the tree before
	aside []link
}

// link leads from a bucket, nil for the tree of buckets, to a page.
type link struct {
	bucket *Bucket
	id     uint64
	span   span
	depth  int
}

func (s *salvager) run(ctx context.Context, metas [2]*meta) error {
	lost := uint64(0)
	if err := s.sweep(ctx, s.meta, s.progress, func(id uint64, err error) error {
		s.spoil(id)
		if lost++; lost == s.high {
			return fmt.Errorf("read the database: %w", err)
		}
		return nil
	}); err != nil {
		return err
	}
	s.finish(0, min(2, s.high))
	if err := s.believe(ctx); err != nil {
		return err
	}
	if err := s.walk(ctx, s.root); err != nil {
		return err
	}
	// Where a branch is lost, the tree before may still lead to what is below it.
	if older := metas[0]; (s.Damaged > 0 || s.doubt) && s.free != nil && s.Both() {
		if older.tx == s.tx {
			older = metas[1]
		}
		s.old = true
		if err := s.walk(ctx, older.root); err != nil {
			return err
		}
	}
	return s.orphans(ctx)
}

// believe takes the freelist if it is whole.
func (s *salvager) believe(ctx context.Context) error {
	if s.list == noFreelist || s.list >= s.high {
		return nil
	}
	free, count, own, err := s.freelist(ctx, s.meta)
	if err != nil {
		s.spoil(s.list)
		return ctx.Err()
	}
	s.free, s.Free, s.Freelist = free, int(count), int(own)
	s.finish(s.list, own)
	return nil
}

// spoil counts a page as damaged, once.
func (s *salvager) spoil(id uint64) {
	if id < s.high && s.bad.add(id) {
		s.Damaged++
	}
}

// finish says that pages need no second look.
func (s *salvager) finish(id, count uint64) {
	for ; count > 0; id, count = id+1, count-1 {
		if s.done.add(id) {
			s.progress(int64(s.pageSize))
		}
	}
}

// walk goes through a tree: first along all that is whole, so that a wrong
// number leads no page into a wrong bucket, then through what was set aside.
func (s *salvager) walk(ctx context.Context, root uint64) error {
	if err := s.follow(ctx, link{id: root}, true); err != nil {
		return err
	}
	for len(s.aside) > 0 {
		l := s.aside[len(s.aside)-1]
		s.aside = s.aside[:len(s.aside)-1]
		if err := s.follow(ctx, l, false); err != nil {
			return err
		}
	}
	return nil
}

// follow yields what is below a link. Only a page that is as its parent says is
// taken where whole is asked for; others are set aside.
func (s *salvager) follow(ctx context.Context, l link, whole bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.id < 2 || l.id >= s.high || l.depth > maxDepth || s.done.has(l.id) {
		return nil
	}
	n, count := s.node(l.id)
	fits := n != nil && n.id() == l.id && uint64(n.overflow())+1 == count && (n.isLeaf() || n.flags() == branchFlag) &&
		n.check(s.pageSize, l.span) == nil && (n.count() > 0 || l.bucket == nil)
	if !fits && !s.old {
		s.spoil(l.id)
	}
	switch {
	case n == nil:
		return nil
	case !fits && whole:
		if s.later.add(l.id) {
			s.aside = append(s.aside, link{bucket: l.bucket, id: l.id})
		}
		return nil
	case n.flags() != branchFlag:
		return s.leaf(ctx, l, n, count, fits, whole)
	}
	s.buf = nil // it is kept while its children are read
	s.take(l.id, count, fits)
	return n.loose(func(e loose) error {
		child := link{bucket: l.bucket, id: e.child, depth: l.depth + 1}
		if fits {
			child.span = span{low: e.key, high: e.next}
			if e.next == nil {
				child.span.high = l.span.high
			}
		}
		return s.follow(ctx, child, whole)
	})
}

// take says that a page of a tree is done, with its overflow where that is sure.
func (s *salvager) take(id, count uint64, fits bool) {
	if !fits {
		count = 1
	}
	if !s.old || !s.free.has(id) {
		s.Pages += int(count)
	}
	s.finish(id, count)
}

func (s *salvager) leaf(ctx context.Context, l link, n node, count uint64, fits, whole bool) error {
	if l.bucket == nil {
		s.buf = nil
		s.take(l.id, count, fits)
		return n.loose(func(e loose) error {
			if e.outside || e.flags != bucketFlag {
				s.spoil(l.id)
			}
			if e.outside {
				return nil
			}
			return s.bucket(ctx, l, e.key, e.value, whole)
		})
	}
	if s.old && s.free.has(l.id) {
		return nil // it has been written anew elsewhere
	}
	held, refused, err := s.items(n, l.bucket.Name, l.bucket)
	if err != nil {
		return err
	}
	// A wrong number may have led here from another bucket: its own comes yet.
	if held == 0 && n.count() > 0 && s.tried.add(l.id) {
		s.doubt = true
		return nil
	}
	s.Items, s.Refused = s.Items+held, s.Refused+refused
	s.take(l.id, count, fits)
	return nil
}

// bucket yields what is below a bucket's header.
func (s *salvager) bucket(ctx context.Context, l link, name, value []byte, whole bool) error {
	root, sequence, in, err := inline(value)
	if err != nil {
		s.spoil(l.id)
	}
	b := s.buckets[string(name)]
	if b == nil {
		b = &Bucket{Name: string(name), Sequence: sequence}
		s.buckets[b.Name] = b
	} else if root == 0 {
		return nil // an older tree adds nothing to what was whole
	}
	if root != 0 {
		return s.follow(ctx, link{bucket: b, id: root}, whole)
	}
	if len(in) < header {
		return nil
	}
	held, refused, err := s.items(in, b.Name, b)
	s.Items, s.Refused, s.doubt = s.Items+held, s.Refused+refused, s.doubt || refused > 0
	return err
}

// items yields the items of a leaf that hold; b is nil for orphans, of which only
// those of a small bucket bear a name.
func (s *salvager) items(n node, bucket string, b *Bucket) (held, refused int, err error) {
	name := []byte(bucket)
	err = n.loose(func(e loose) error {
		if b == nil && e.flags == bucketFlag && bucket == "" {
			if _, _, in, _ := inline(e.value); len(in) >= header {
				h, r, err := s.items(in, string(e.key), nil)
				held, refused = held+h, refused+r
				return err
			}
			return nil
		}
		if e.outside || e.flags != 0 || s.Item != nil && !s.Item(name, e.key, e.value) {
			refused++
			return nil
		}
		held++
		if b != nil {
			b.Items++
			if bytes.Compare(b.Last, e.key) < 0 {
				b.Last = append(b.Last[:0], e.key...)
			}
		}
		return s.yield(name, e.key, e.value, b == nil)
	})
	return held, refused, err
}

// orphans looks at all pages that no tree took.
func (s *salvager) orphans(ctx context.Context) error {
	for id := uint64(2); id < s.high; id++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.done.has(id) || s.free != nil && s.free.has(id) {
			s.finish(id, 1)
			continue
		}
		n, count := s.node(id)
		if n == nil || n.id() != id || !n.isLeaf() {
			s.finish(id, 1)
			continue
		}
		held, refused, err := s.items(n, "", nil)
		if err != nil {
			return err
		}
		s.Orphans, s.Refused = s.Orphans+held, s.Refused+refused
		if n.check(s.pageSize, span{}) != nil {
			count = 1
		}
		s.finish(id, count)
	}
	return nil
}
