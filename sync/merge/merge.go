// Package merge joins two versions of one record that were made apart.
//
// It owns the rules of reconciliation and the table of classes that says, for
// each kind and element, who decides where both sides set a value. It promises
// that every value that went in is in the result, in an open conflict or
// among the lost ones; that a clinical difference is never settled without a
// person; and that neither a clock nor the order of arrival decides about one.
// It is pure: the same versions give the same outcome on every machine.
//
// It does not know replicas, feeds or how versions are kept.
package merge

import (
	"fmt"
	"slices"
	"strings"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
)

// Author is the author of the versions that a merge makes.
const Author = "tram"

// Merger merges by R4's structure and one table of classes. It is immutable
// and safe for concurrent use.
type Merger struct {
	r4      *fhir.R4
	classes *Classes
}

// New makes a Merger.
func New(r4 *fhir.R4, classes *Classes) *Merger { return &Merger{r4, classes} }

// Outcome is what a merge came to.
type Outcome struct {
	// Version is above both sides; it has no name yet, nor a stamp.
	Version *record.Version
	// Contested says that a person must decide about an element.
	Contested bool
}

// Merge joins head, which is upstream's, and incoming. base is the version that
// incoming was made from; it tells what to show while a conflict is open. Nil
// says that the two have no common base: then every difference is a conflict.
//
// A value lives on where the other side has not seen its setter (the rule of an
// optimized multi-value register; Shapiro et al., 2011), so what was edited apart
// does not depend on the order in which it meets.
func (m *Merger) Merge(base, head, incoming *record.Version) (Outcome, error) {
	h, err := m.side(head)
	if err != nil {
		return Outcome{}, err
	}
	in, err := m.side(incoming)
	if err != nil {
		return Outcome{}, err
	}
	j := &joiner{m: m, kind: head.Key.Kind, writers: writers(base, head, incoming)}
	if base != nil {
		b, err := m.side(base)
		if err != nil {
			return Outcome{}, err
		}
		j.base = b.tree
	}
	if h.tree.Born != in.tree.Born {
		if j.base != nil && j.base.Born == h.tree.Born {
			h, in = in, h
		}
		m.align(h.tree.Root, in.tree.Root, j.base.Top(), in.tree.Born.String())
	}
	out := &record.Version{
		Key: head.Key, Base: head.Ref(), Includes: []record.Ref{incoming.Ref()},
		Seen: head.Seen.Union(incoming.Seen), Author: Author,
	}
	tree := &element.Tree{Key: head.Key, Born: h.tree.Born, Root: j.node("", h.node(), in.node())}
	tree.Gone = j.gone(h, in, tree)
	out.Deleted = len(tree.Gone) > 0
	out.Content = tree.Content().Bytes()
	out.Trace = tree.Trace(record.Name{}, base, head, incoming)
	slices.SortStableFunc(j.lost, func(p, q record.Lost) int { return strings.Compare(p.Path, q.Path) })
	out.Lost = j.lost
	return Outcome{out, out.Contested()}, nil
}

// side is one of the two versions: its tree, and what it has seen.
type side struct {
	v    *record.Version
	tree *element.Tree
}

func (m *Merger) side(v *record.Version) (side, error) {
	t, err := element.Read(m.r4, v)
	if err != nil {
		return side{}, fmt.Errorf("merge %s: %w", v.Key, err)
	}
	return side{v, t}, nil
}

// branch is a node of one side together with what that side has seen.
type branch struct {
	node *element.Node
	seen record.Seen
}

func (s side) node() branch { return branch{s.tree.Root, s.v.Seen} }

// fresh reports whether any of the setters is news to the branch.
func (b branch) fresh(by []record.Name) bool {
	return slices.ContainsFunc(by, func(n record.Name) bool { return !b.seen.Has(n) })
}

// news reports whether an element has a value that the branch did not see. A
// removal is none: it gives no reason to keep what it was in.
func (b branch) news(r *element.Register) bool {
	return slices.ContainsFunc(r.Alts, func(a element.Alt) bool { return !element.Absent(a.Value) && b.fresh(a.By) })
}

// gone are the versions that deleted the result; none where it lives. A value
// in it that the deletion did not see makes it live.
func (j *joiner) gone(h, in side, result *element.Tree) []record.Name {
	if h.v.Deleted && in.v.Deleted {
		return append(slices.Clone(h.tree.Gone), in.tree.Gone...)
	}
	dead, live := h, in
	if in.v.Deleted {
		dead, live = in, h
	}
	by := unseen(dead.tree.Gone, live.v.Seen)
	if len(by) == 0 {
		return nil // not deleted, or made alive again by someone who knew
	}
	news := false
	result.Each(func(_ string, r *element.Register) { news = news || dead.node().news(r) })
	if !news {
		return by
	}
	j.lose("", element.Alt{By: by}, nil, PolicyEditLives)
	return nil
}

func writers(vs ...*record.Version) map[record.Name]record.Writer {
	out := map[record.Name]record.Writer{}
	for _, v := range vs {
		if v == nil {
			continue
		}
		for _, w := range v.Trace.Writers {
			out[w.Name] = w
		}
	}
	for _, v := range vs {
		if v != nil {
			out[v.Name] = record.Writer{Name: v.Name, Author: v.Author, Stamp: v.Stamp}
		}
	}
	return out
}

// align gives the items of two separate births common identities where they
// are the same thing, and different ones elsewhere. What in made of an item of
// base is known by base's, which head may have met.
func (m *Merger) align(head, in, base *element.Node, born string) {
	for _, s := range in.Slots {
		h, b := head.Slot(s.Name), base.Slot(s.Name)
		if s.Node != nil && h != nil && h.Node != nil {
			var below *element.Node
			if b != nil {
				below = b.Node
			}
			m.align(h.Node, s.Node, below, born)
		}
		if s.List() {
			m.alignItems(h, s, b, born)
		}
	}
}

func (m *Merger) alignItems(h, s, b *element.Slot, born string) {
	known, bases := h.Index(), b.Index()
	met := map[*element.Item]*element.Item{} // of head, by in's
	taken := map[*element.Item]bool{}
	var open, as []*element.Item
	for _, it := range s.Items {
		if x := known[born+"."+it.ID]; x != nil {
			met[it], taken[x] = x, true
			continue
		}
		open, as = append(open, it), append(as, it)
		if was := bases[it.ID]; was != nil {
			as[len(as)-1] = was
		}
	}
	if len(open) > 0 && h != nil {
		have := slices.DeleteFunc(slices.Clone(h.Items), func(x *element.Item) bool { return taken[x] })
		for i, x := range element.Pair(m.r4, s.Type, have, as) {
			met[open[i]] = x
		}
	}
	for _, it := range s.Items {
		x, was := met[it], bases[it.ID]
		it.ID = born + "." + it.ID
		if x != nil {
			it.ID = x.ID
		}
		var below *element.Node
		if was != nil {
			was.ID, below = it.ID, was.Node
		}
		if x != nil && x.Node != nil && it.Node != nil {
			m.align(x.Node, it.Node, below, born)
		}
	}
}
