package element

import (
	"slices"
	"strconv"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// Content puts the resource together again from what the tree shows.
func (t *Tree) Content() *fhir.Value {
	fields := []fhir.Field{
		{Name: "resourceType", Value: fhir.NewString(t.Key.Kind)},
		{Name: "id", Value: fhir.NewString(t.Key.ID)},
	}
	return fhir.NewObject(append(fields, t.Root.fields()...)...)
}

func (n *Node) fields() []fhir.Field {
	var out []fhir.Field
	for _, s := range n.Slots {
		out = append(out, s.fields()...)
	}
	return out
}

// fields are the JSON fields that a slot shows; none when it is absent.
func (s *Slot) fields() []fhir.Field {
	switch {
	case s.Unit != nil:
		if s.Unit.Shown == nil {
			return nil
		}
		return s.Unit.Shown.Fields
	case s.Node != nil:
		if f := s.Node.fields(); len(f) > 0 {
			return []fhir.Field{{Name: s.Name, Value: fhir.NewObject(f...)}}
		}
		return nil
	}
	items := make([]*fhir.Value, 0, len(s.Items))
	for _, it := range s.Items {
		if v := it.value(); v != nil {
			items = append(items, v)
		}
	}
	if len(items) == 0 {
		return nil
	}
	return []fhir.Field{{Name: s.Name, Value: fhir.NewArray(items...)}}
}

// value is what the item shows; nil for one that shows nothing.
func (it *Item) value() *fhir.Value {
	if it.Unit != nil {
		if Absent(it.Unit.Shown) {
			return nil
		}
		return it.Unit.Shown.Fields[0].Value
	}
	if f := it.Node.fields(); len(f) > 0 {
		return fhir.NewObject(f...)
	}
	return nil
}

// Marks lists what the trace must say: every element that Born did not set,
// every conflict, every removal, and every list whose items are not the born
// ones in order. The mark without a path tells who deleted the record.
func (t *Tree) Marks() []record.Mark {
	var out []record.Mark
	if len(t.Gone) > 0 {
		out = append(out, record.Mark{By: t.Gone})
	}
	t.Root.marks("", t.Born, &out)
	slices.SortFunc(out, func(a, b record.Mark) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func (n *Node) marks(prefix string, born record.Name, out *[]record.Mark) {
	for _, s := range n.Slots {
		path := prefix + s.Name
		switch {
		case s.Unit != nil:
			s.Unit.mark(path, born, out)
		case s.Node != nil:
			s.Node.marks(path+"/", born, out)
		default:
			s.markItems(path, born, out)
		}
	}
}

func (s *Slot) markItems(path string, born record.Name, out *[]record.Mark) {
	var ids []string
	inOrder := true
	for _, it := range s.Items {
		if !it.Hidden() {
			inOrder = inOrder && it.ID == strconv.Itoa(len(ids))
			ids = append(ids, it.ID)
		}
		at := path + "{" + it.ID + "}"
		if it.Unit != nil {
			it.Unit.mark(at, born, out)
		} else {
			it.Node.marks(at+"/", born, out)
		}
	}
	if !inOrder {
		*out = append(*out, record.Mark{Path: path, Items: ids})
	}
}

func (r *Register) mark(path string, born record.Name, out *[]record.Mark) {
	m := record.Mark{Path: path, By: r.By()}
	if r.Contested() {
		for _, a := range r.Alts {
			v := a.Value
			if v == nil {
				v = fhir.NewObject()
			}
			m.Alts = append(m.Alts, record.Alt{Value: v.Bytes(), By: a.By})
		}
	} else if len(m.By) == 1 && m.By[0] == born {
		return
	}
	*out = append(*out, m)
}

// Trace is the tree's trace, telling of each setter what the given versions
// know of it. Self is left out: its version tells that itself.
func (t *Tree) Trace(self record.Name, from ...*record.Version) record.Trace {
	tr := record.Trace{Born: t.Born, Marks: t.Marks()}
	if t.Born == self {
		tr.Born = record.Name{}
	}
	known := map[record.Name]record.Writer{}
	for _, v := range from {
		if v == nil {
			continue
		}
		known[v.Name] = record.Writer{Name: v.Name, Author: v.Author, Stamp: v.Stamp}
		for _, w := range v.Trace.Writers {
			known[w.Name] = w
		}
	}
	names := []record.Name{t.Born}
	for _, m := range tr.Marks {
		names = append(names, m.By...)
	}
	for _, n := range sortNames(names) {
		if w, ok := known[n]; ok && n != self && !n.IsZero() {
			tr.Writers = append(tr.Writers, w)
		}
	}
	return tr
}
