package element

import (
	"strconv"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// reader builds a Tree from content and trace.
type reader struct {
	r4    *fhir.R4
	marks map[string]record.Mark
	used  map[string]bool
	items map[*Slot]map[string]*Item // of lists that hidden added to
	born  []record.Name
}

// Read takes a version apart.
func Read(r4 *fhir.R4, v *record.Version) (*Tree, error) {
	content, err := Parse(v.Content)
	if err != nil {
		return nil, err
	}
	born := v.Trace.Born
	if born.IsZero() {
		born = v.Name
	}
	t := read(r4, v.Key, content, born, v.Trace.Marks)
	if v.Deleted {
		t.Gone = []record.Name{v.Name}
		if len(v.Trace.Marks) > 0 && v.Trace.Marks[0].Path == "" {
			t.Gone = sortNames(v.Trace.Marks[0].By)
		}
	}
	return t, nil
}

func read(r4 *fhir.R4, key record.Key, content *fhir.Value, born record.Name, marks []record.Mark) *Tree {
	r := &reader{r4: r4, marks: make(map[string]record.Mark, len(marks)), used: map[string]bool{}, items: map[*Slot]map[string]*Item{}, born: []record.Name{born}}
	for _, m := range marks {
		r.marks[m.Path] = m
	}
	t := &Tree{Key: key, Born: born, Root: r.node(key.Kind, "", content)}
	for _, m := range marks {
		if m.Path != "" && !r.used[m.Path] && len(m.By) > 0 {
			r.hidden(t.Root, m)
		}
	}
	return t
}

// node reads an object. Fields that are one element are gathered under its name.
func (r *reader) node(typ, prefix string, v *fhir.Value) *Node {
	n := &Node{Type: typ}
	units := map[string]*fhir.Value{}
	for _, f := range v.Fields {
		if prefix == "" && fixed(f.Name) {
			continue
		}
		e, known := r.r4.Elem(typ, f.Name)
		name := f.Name
		if known {
			name = e.Base
		}
		if known && r.opens(typ, prefix, e, f) {
			n.Slots = append(n.Slots, r.open(typ, prefix, e, f.Value))
			continue
		}
		if units[name] == nil {
			n.Slots = append(n.Slots, &Slot{Name: name, Type: typ, Unit: &Register{}})
		}
		units[name] = units[name].With(f.Name, f.Value)
	}
	for _, s := range n.Slots {
		if s.Unit != nil && s.Unit.Alts == nil {
			s.Unit = r.register(prefix+s.Name, units[s.Name])
		}
	}
	return n
}

// opens reports whether a field is taken apart further: lists of objects that
// can be told apart, single backbone elements, and meta (a choice of its type moves
// as one like any other). A list that has setters of its own was merged as one
// before, and stays one.
func (r *reader) opens(typ, prefix string, e fhir.Elem, f fhir.Field) bool {
	if e.Primitive || strings.HasPrefix(f.Name, "_") || len(r.marks[prefix+e.Base].By) > 0 {
		return false
	}
	if !e.List {
		return f.Value.Shape == fhir.Object && (e.Backbone || e.Type == "Meta" && e.Base == e.Name)
	}
	if f.Value.Shape != fhir.Array {
		return false
	}
	for _, it := range f.Value.Items {
		if it.Shape != fhir.Object {
			return false
		}
		if strong, slot := r.r4.ItemKey(typ, e, it); strong == "" && slot == "" && it.Str("id") == "" {
			return false
		}
	}
	return true
}

func (r *reader) open(typ, prefix string, e fhir.Elem, v *fhir.Value) *Slot {
	s := &Slot{Name: e.Base, Type: typ}
	path := prefix + e.Base
	if !e.List {
		s.Node = r.node(e.TypePath, path+"/", v)
		return s
	}
	ids := r.marks[path].Items
	r.used[path] = true
	s.Items = make([]*Item, 0, len(v.Items))
	for i, iv := range v.Items {
		it := &Item{ID: strconv.Itoa(i)}
		if len(ids) == len(v.Items) {
			it.ID = ids[i]
		}
		at := path + "{" + it.ID + "}"
		if !e.Backbone {
			it.Unit = r.register(at, fhir.NewObject(fhir.Field{Name: e.Name, Value: iv}))
		} else {
			it.Node = r.node(e.TypePath, at+"/", iv)
		}
		s.Items = append(s.Items, it)
	}
	return s
}

func (r *reader) register(path string, shown *fhir.Value) *Register {
	m, marked := r.marks[path]
	r.used[path] = true
	if !marked || len(m.By) == 0 {
		return Set(shown, r.born...)
	}
	out := &Register{Shown: shown}
	for _, a := range m.Alts {
		if v, err := Parse(a.Value); err == nil && len(a.By) > 0 {
			out.Alts = join(out.Alts, Alt{v, sortNames(a.By)})
		}
	}
	if !out.Contested() {
		return Set(shown, m.By...)
	}
	return out
}

// hidden adds the register of an element or item that the content does not
// show: one that a version removed, or a contested one.
func (r *reader) hidden(n *Node, m record.Mark) {
	segs := strings.Split(m.Path, "/")
	for i, seg := range segs {
		last := i == len(segs)-1
		name, id, isItem := strings.Cut(strings.TrimSuffix(seg, "}"), "{")
		s := n.Slot(name)
		if s == nil {
			s = &Slot{Name: name, Type: n.Type}
			switch {
			case isItem:
				s.Items = []*Item{}
			case last:
				s.Unit = r.register(m.Path, fhir.NewObject())
			default:
				s.Node = r.empty(n.Type, name)
			}
			n.Slots = append(n.Slots, s)
		}
		if !isItem {
			if n = s.Node; n == nil {
				return
			}
			continue
		}
		if !s.List() {
			return
		}
		if r.items[s] == nil {
			r.items[s] = s.Index()
		}
		it := r.items[s][id]
		if it == nil {
			if it = (&Item{ID: id}); last {
				it.Unit = r.register(m.Path, fhir.NewObject())
			} else {
				it.Node = r.empty(n.Type, name)
			}
			s.Items, r.items[s][id] = append(s.Items, it), it
		}
		if n = it.Node; n == nil {
			return
		}
	}
}

// empty is a Node of the type of a field.
func (r *reader) empty(typ, field string) *Node {
	e, _ := r.r4.Elem(typ, field)
	return &Node{Type: e.TypePath}
}

// Single is a slot that is no list, seen as an item.
func (s *Slot) Single() *Item { return &Item{Unit: s.Unit, Node: s.Node} }

// Item finds an item of a list by its identity; nil when there is none.
func (s *Slot) Item(id string) *Item {
	for _, it := range s.Items {
		if it.ID == id {
			return it
		}
	}
	return nil
}

// Index finds the items of a list by their identities; empty for no slot.
func (s *Slot) Index() map[string]*Item {
	if s == nil {
		return nil
	}
	out := make(map[string]*Item, len(s.Items))
	for _, it := range s.Items {
		out[it.ID] = it
	}
	return out
}

// Shown is what an element, an item or a list shows; absent where the tree has
// none of that path, or is nil.
func (t *Tree) Shown(path string) *fhir.Value {
	n := t.Top()
	for more := true; more && n != nil; {
		var seg string
		seg, path, more = strings.Cut(path, "/")
		name, id, isItem := strings.Cut(strings.TrimSuffix(seg, "}"), "{")
		s := n.Slot(name)
		if s == nil {
			break
		}
		it := s.Single()
		if isItem {
			it = s.Item(id)
		}
		switch {
		case it == nil:
			return fhir.NewObject()
		case more:
			n = it.Node
		case isItem:
			return it.Whole(name).Shown
		default:
			return s.Whole().Shown
		}
	}
	return fhir.NewObject()
}
