// Package element takes a record apart into the elements that are merged, and
// keeps for each which versions set it.
//
// Every element is a multi-value register (Shapiro et al., 2011): the values
// that live side by side, each with the versions that set it. A list is a set of items
// whose identities never change, so that an index never decides. Which values are
// one element, and what identifies an item, comes from FHIR's structure.
//
// The package owns the reading of a version into a Tree, the writing of a Tree
// back into content and trace, and what a plain write or a decision does to a
// Tree. It promises that reading what it wrote yields the same Tree. It is
// pure, and does not know how two Trees are merged.
package element

import (
	"fmt"
	"slices"

	"tram/store/fhir"
	"tram/store/record"
)

// Alt is one value of an element with its setters, sorted. Value is an object
// that holds the element's JSON fields; an empty one means that it is absent.
type Alt struct {
	Value *fhir.Value
	By    []record.Name
}

// Register is one element. A single Alt is its value; several are contested,
// and Shown is what the record shows meanwhile.
type Register struct {
	Alts  []Alt
	Shown *fhir.Value
}

// Contested reports whether a person must decide about the element.
func (r *Register) Contested() bool { return len(r.Alts) > 1 }

// By are all setters of all values, sorted.
func (r *Register) By() []record.Name {
	var out []record.Name
	for _, a := range r.Alts {
		out = append(out, a.By...)
	}
	return sortNames(out)
}

// Set makes an uncontested register.
func Set(value *fhir.Value, by ...record.Name) *Register {
	return &Register{Alts: []Alt{{value, sortNames(by)}}, Shown: value}
}

// Absent is the value of an element that is not there.
func Absent(v *fhir.Value) bool { return v == nil || len(v.Fields) == 0 }

// Same reports whether two values of an element are equal.
func Same(a, b *fhir.Value) bool { return Absent(a) && Absent(b) || fhir.Equal(a, b) }

// Item is one item of a list: a Unit, or a Node where it has elements of its own.
// One that shows nothing says who removed it, or that it is contested.
type Item struct {
	ID   string
	Unit *Register
	Node *Node
}

// Slot is one field of a Node; exactly one of Unit, Node and Items is set,
// Items also when the list is empty.
type Slot struct {
	Name  string // the JSON field, or "value[x]" for a choice
	Type  string // the type path to look the field up in
	Unit  *Register
	Node  *Node
	Items []*Item
}

// List reports whether the slot is a list of items.
func (s *Slot) List() bool { return s.Unit == nil && s.Node == nil }

// Node is a resource or a backbone element: its slots in the order written.
type Node struct {
	Type  string
	Slots []*Slot
}

// Slot finds a field; nil when there is none.
func (n *Node) Slot(name string) *Slot {
	if n == nil {
		return nil
	}
	for _, s := range n.Slots {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Tree is a record taken apart. Gone are the versions that deleted it, of a
// tombstone.
type Tree struct {
	Key  record.Key
	Born record.Name
	Gone []record.Name
	Root *Node
}

// Top is the root, nil of no tree.
func (t *Tree) Top() *Node {
	if t == nil {
		return nil
	}
	return t.Root
}

// fixed are the fields that name the record; they are no elements.
func fixed(name string) bool { return name == "resourceType" || name == "id" }

// each calls f for every register below n with its path.
func (n *Node) each(prefix string, f func(path string, r *Register)) {
	for _, s := range n.Slots {
		path := prefix + s.Name
		switch {
		case s.Unit != nil:
			f(path, s.Unit)
		case s.Node != nil:
			s.Node.each(path+"/", f)
		default:
			for _, it := range s.Items {
				at := path + "{" + it.ID + "}"
				if it.Unit != nil {
					f(at, it.Unit)
				} else {
					it.Node.each(at+"/", f)
				}
			}
		}
	}
}

// Each calls f for every element with its path, in the order of the content.
func (t *Tree) Each(f func(path string, r *Register)) { t.Root.each("", f) }

// registers calls f for every register below n.
func (n *Node) registers(f func(r *Register)) {
	for _, s := range n.Slots {
		if s.List() {
			for _, it := range s.Items {
				it.Each(f)
			}
			continue
		}
		s.Single().Each(f)
	}
}

// Each calls f for every element of the item.
func (it *Item) Each(f func(r *Register)) {
	if it.Unit != nil {
		f(it.Unit)
		return
	}
	it.Node.registers(f)
}

// Setters are all versions that set anything in the item.
func (it *Item) Setters() []record.Name {
	var out []record.Name
	it.Each(func(r *Register) { out = append(out, r.By()...) })
	return sortNames(out)
}

// Contested reports whether anything in the item is.
func (it *Item) Contested() bool {
	open := false
	it.Each(func(r *Register) { open = open || r.Contested() })
	return open
}

// Removed reports whether the item only says who removed it.
func (it *Item) Removed() bool {
	return it.Unit != nil && !it.Unit.Contested() && Absent(it.Unit.Shown)
}

// Hidden reports whether the item shows nothing.
func (it *Item) Hidden() bool { return it.value() == nil }

// Whole is the slot as a single element that moves as one: what is left to do
// with lists whose items cannot be told apart on both sides.
func (s *Slot) Whole() *Register {
	if s.Unit != nil {
		return s.Unit
	}
	return whole(&Node{Slots: []*Slot{s}}, func() *fhir.Value { return fhir.NewObject(s.fields()...) })
}

// Whole is the item of the list name as a single element.
func (it *Item) Whole(name string) *Register {
	if it.Unit != nil {
		return it.Unit
	}
	return whole(it.Node, func() *fhir.Value { return fhir.NewObject(fhir.Field{Name: name, Value: it.value()}) })
}

// whole makes one register of all those in n. What is contested in n stays so:
// for each contested value there is a whole that shows it.
func whole(n *Node, shown func() *fhir.Value) *Register {
	var by []record.Name
	var open []*Register
	n.registers(func(r *Register) {
		if r.Contested() {
			open = append(open, r)
		} else {
			by = append(by, r.By()...)
		}
	})
	out := &Register{Shown: shown()}
	for _, r := range open {
		was := r.Shown
		for _, a := range r.Alts {
			r.Shown = a.Value
			out.Alts = join(out.Alts, Alt{shown(), sortNames(append(slices.Clone(by), a.By...))})
		}
		r.Shown = was
	}
	if len(open) == 0 {
		return Set(out.Shown, by...)
	}
	return out
}

func sortNames(in []record.Name) []record.Name {
	out := slices.Clone(in)
	slices.SortFunc(out, record.Name.Compare)
	return slices.Compact(out)
}

// Parse reads a resource's content by the limits that hold everywhere.
func Parse(content []byte) (*fhir.Value, error) {
	v, err := fhir.Parse(content, fhir.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("read content: %w", err)
	}
	return v, nil
}
