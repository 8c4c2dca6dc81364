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
	return read(r4, v.Key, content, born, v.Trace.Marks)
}

func read(r4 *fhir.R4, key record.Key, content *fhir.Value, born record.Name, marks []record.Mark) (*Tree, error) {
	r := &reader{r4: r4, marks: make(map[string]record.Mark, len(marks)), used: map[string]bool{}, born: []record.Name{born}}
	for _, m := range marks {
		r.marks[m.Path] = m
	}
	t := &Tree{Key: key, Born: born, Root: r.node(key.Kind, "", content)}
	for _, m := range marks {
		if r.used[m.Path] || len(m.By) == 0 {
			continue
		}
		if err := r.absent(t.Root, m); err != nil {
			return nil, err
		}
	}
	return t, nil
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
		name := strings.TrimPrefix(f.Name, "_")
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

// opens reports whether a field is taken apart further: lists of complex items
// that can be told apart, single backbone elements, and meta. A list that has
// setters of its own was merged as one before, and stays one.
func (r *reader) opens(typ, prefix string, e fhir.Elem, f fhir.Field) bool {
	if e.Primitive || strings.HasPrefix(f.Name, "_") || len(r.marks[prefix+e.Base].By) > 0 {
		return false
	}
	if !e.List {
		return f.Value.Shape == fhir.Object && (e.Backbone || e.Type == "Meta")
	}
	if f.Value.Shape != fhir.Array {
		return false
	}
	for _, it := range f.Value.Items {
		if it.Shape != fhir.Object {
			return false
		}
		if e.Backbone && it.Str("id") == "" {
			if strong, slot := r.r4.ItemKey(typ, e, it); strong == "" && slot == "" {
				return false
			}
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
	reg := Set(shown, m.By...)
	if len(m.Alts) > 0 {
		reg.Alts = reg.Alts[:0]
		for _, a := range m.Alts {
			v, err := Parse(a.Value)
			if err != nil {
				continue
			}
			reg.Alts = append(reg.Alts, Alt{v, sortNames(a.By)})
		}
	}
	return reg
}

// absent adds the register of an element that a version removed, or that is
// contested and not shown. Its item may be gone, then so is the mark.
func (r *reader) absent(n *Node, m record.Mark) error {
	segs := strings.Split(m.Path, "/")
	for _, seg := range segs[:len(segs)-1] {
		name, id, isItem := strings.Cut(strings.TrimSuffix(seg, "}"), "{")
		s := n.Slot(name)
		switch {
		case isItem:
			it := s.item(id)
			if it == nil || it.Node == nil {
				return nil
			}
			n = it.Node
		case s == nil:
			e, _ := r.r4.Elem(n.Type, name)
			s = &Slot{Name: name, Type: n.Type, Node: &Node{Type: e.TypePath}}
			n.Slots = append(n.Slots, s)
			n = s.Node
		case s.Node != nil:
			n = s.Node
		default:
			return nil
		}
	}
	name := segs[len(segs)-1]
	if strings.Contains(name, "{") || n.Slot(name) != nil {
		return nil
	}
	n.Slots = append(n.Slots, &Slot{Name: name, Type: n.Type, Unit: r.register(m.Path, fhir.NewObject())})
	return nil
}

// item finds an item of a list by its identity; nil when there is none.
func (s *Slot) item(id string) *Item {
	if s == nil {
		return nil
	}
	for _, it := range s.Items {
		if it.ID == id {
			return it
		}
	}
	return nil
}

// Item finds an item of a list by its identity; nil when there is none.
func (s *Slot) Item(id string) *Item { return s.item(id) }
