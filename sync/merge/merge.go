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
	j := &joiner{m: m, kind: head.Key.Kind, noBase: base == nil}
	if base != nil {
		if j.base, err = element.Read(m.r4, base); err != nil {
			return Outcome{}, fmt.Errorf("merge %s: %w", head.Key, err)
		}
	}
	j.writers = writers(base, head, incoming)
	if h.tree.Born != in.tree.Born {
		m.align(h.tree.Root, in.tree)
	}
	out := &record.Version{
		Key: head.Key, Base: head.Ref(), Includes: []record.Ref{incoming.Ref()},
		Seen: head.Seen.Union(incoming.Seen), Author: Author,
	}
	tree := &element.Tree{Key: head.Key, Born: h.tree.Born, Root: j.node("", h.node(), in.node())}
	out.Deleted = j.deleted(h, in)
	out.Content = tree.Content().Bytes()
	out.Trace = tree.Trace(record.Name{}, base, head, incoming)
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

// deleted lets an edit live against a deletion that did not see it.
func (j *joiner) deleted(h, in side) bool {
	if h.v.Deleted == in.v.Deleted {
		return h.v.Deleted
	}
	dead, live := h, in
	if in.v.Deleted {
		dead, live = in, h
	}
	news := false
	live.tree.Each(func(_ string, r *element.Register) { news = news || (branch{seen: dead.v.Seen}).fresh(r.By()) })
	if !news {
		return !live.v.Seen.Has(dead.v.Name) // made after the deletion: a revival
	}
	if !live.v.Seen.Has(dead.v.Name) {
		j.lost = append(j.lost, record.Lost{
			Path: "", Value: []byte(`{}`), Won: []byte(`{}`), Policy: PolicyEditLives,
			By: []record.Writer{{Name: dead.v.Name, Author: dead.v.Author, Stamp: dead.v.Stamp}},
		})
	}
	return false
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
// are the same thing, and different ones elsewhere.
func (m *Merger) align(head *element.Node, in *element.Tree) {
	m.alignNode(head, in.Root, in.Born.String())
}

func (m *Merger) alignNode(head, in *element.Node, born string) {
	for _, s := range in.Slots {
		h := head.Slot(s.Name)
		if s.Node != nil && h != nil && h.Node != nil {
			m.alignNode(h.Node, s.Node, born)
		}
		if !s.List() {
			continue
		}
		var have []*element.Item
		if h != nil && h.List() {
			have = h.Items
		}
		for i, p := range element.Pair(m.r4, s.Type, have, s.Items) {
			it := s.Items[i]
			if p == nil {
				it.ID = born + "." + it.ID
				continue
			}
			it.ID = p.ID
			if p.Node != nil && it.Node != nil {
				m.alignNode(p.Node, it.Node, born)
			}
		}
	}
}
