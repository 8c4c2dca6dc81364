package element

import (
	"fmt"
	"slices"
	"strconv"

	"tram/store/fhir"
	"tram/store/record"
)

// Birth is the tree of a record that begins with content.
func Birth(r4 *fhir.R4, key record.Key, content *fhir.Value, self record.Name) (*Tree, error) {
	return read(r4, key, content, self, nil)
}

// Edit is base with content written over it by self. Elements that keep their
// value keep their setters; an open conflict stays open, and a plain write to it
// only adds its value, in place of the one that base showed.
func Edit(r4 *fhir.R4, base *Tree, content *fhir.Value, self record.Name) (*Tree, error) {
	fresh, err := Birth(r4, base.Key, content, self)
	if err != nil {
		return nil, err
	}
	e := editor{r4, self}
	return &Tree{Key: base.Key, Born: base.Born, Root: e.node(base.Root, fresh.Root)}, nil
}

type editor struct {
	r4   *fhir.R4
	self record.Name
}

func (e editor) node(base, fresh *Node) *Node {
	out := &Node{Type: fresh.Type}
	for _, f := range fresh.Slots {
		out.Slots = append(out.Slots, e.slot(base.Slot(f.Name), f))
	}
	if base == nil {
		return out
	}
	for _, b := range base.Slots {
		if fresh.Slot(b.Name) == nil {
			out.Slots = append(out.Slots, e.removed(b))
		}
	}
	return out
}

func (e editor) slot(base, fresh *Slot) *Slot {
	switch {
	case base == nil:
		e.name(fresh)
		return fresh
	case base.Unit != nil && fresh.Unit != nil:
		fresh.Unit = e.register(base.Unit, fresh.Unit)
	case base.Node != nil && fresh.Node != nil:
		fresh.Node = e.node(base.Node, fresh.Node)
	case base.List() && fresh.List():
		fresh.Items = e.items(base.Items, fresh)
	default:
		b, f := base.Whole(), fresh.Whole()
		f.Unit = e.register(b.Unit, f.Unit)
		return f
	}
	return fresh
}

// name gives the items of a slot that base does not have identities of their
// own: the born ones' plain indexes belong to the birth.
func (e editor) name(s *Slot) {
	if s.Node != nil {
		for _, below := range s.Node.Slots {
			e.name(below)
		}
	}
	for i, it := range s.Items {
		it.ID = e.newID(i)
	}
}

func (e editor) newID(i int) string { return e.self.String() + "." + strconv.Itoa(i) }

func (e editor) register(base, fresh *Register) *Register {
	if fhir.Equal(base.Shown, fresh.Shown) {
		return base
	}
	if !base.Contested() {
		return Set(fresh.Shown, e.self)
	}
	out := &Register{Shown: fresh.Shown}
	for _, a := range base.Alts {
		if !fhir.Equal(a.Value, base.Shown) {
			out.Alts = append(out.Alts, a)
		}
	}
	out.Alts = join(out.Alts, Alt{fresh.Shown, []record.Name{e.self}})
	return out
}

// join adds a value to a set, or its setters to the equal value that is there.
func join(alts []Alt, a Alt) []Alt {
	for i, have := range alts {
		if fhir.Equal(have.Value, a.Value) || Absent(have.Value) && Absent(a.Value) {
			out := slices.Clone(alts)
			out[i].By = sortNames(append(slices.Clone(have.By), a.By...))
			return out
		}
	}
	return append(slices.Clone(alts), a)
}

// Join builds a set of values in which each stands once with all its setters.
func Join(alts ...Alt) []Alt {
	var out []Alt
	for _, a := range alts {
		out = join(out, a)
	}
	return out
}

// removed is what is left of a slot that a write left out: the word that it
// was removed, and conflicts, which stay open.
func (e editor) removed(b *Slot) *Slot {
	empty := fhir.NewObject()
	switch {
	case b.Unit != nil:
		return &Slot{Name: b.Name, Type: b.Type, Unit: e.register(b.Unit, &Register{Shown: empty})}
	case b.Node != nil:
		return &Slot{Name: b.Name, Type: b.Type, Node: e.node(b.Node, &Node{Type: b.Node.Type})}
	}
	return &Slot{Name: b.Name, Type: b.Type, Items: []*Item{}}
}

// items gives the items of a list the identities of the base items they are.
func (e editor) items(base []*Item, fresh *Slot) []*Item {
	pairs := Pair(e.r4, fresh.Type, base, fresh.Items)
	out := make([]*Item, len(fresh.Items))
	for i, f := range fresh.Items {
		b := pairs[i]
		switch {
		case b == nil:
			f.ID = e.newID(i)
		case b.Unit != nil && f.Unit != nil:
			f = &Item{ID: b.ID, Unit: e.register(b.Unit, f.Unit)}
		case b.Node != nil && f.Node != nil:
			f = &Item{ID: b.ID, Node: e.node(b.Node, f.Node)}
		default:
			f.ID = b.ID
		}
		out[i] = f
	}
	return out
}

// Decide closes conflicts on top of base in self's name. A decision always
// sets, and closes only the setters it names.
func Decide(base *Tree, decisions []record.Decision, self record.Name) (*Tree, error) {
	todo := map[string]record.Decision{}
	for _, d := range decisions {
		todo[d.Path] = d
	}
	var bad error
	base.Each(func(path string, r *Register) {
		d, ok := todo[path]
		if !ok {
			return
		}
		delete(todo, path)
		value, err := Parse(d.Value)
		if err != nil || value.Shape != fhir.Object {
			bad = fmt.Errorf("the decided value is not the element's JSON")
			return
		}
		alts := []Alt{{value, []record.Name{self}}}
		for _, a := range r.Alts {
			left := slices.DeleteFunc(slices.Clone(a.By), func(n record.Name) bool { return slices.Contains(d.Closes, n) })
			if len(left) > 0 {
				alts = join(alts, Alt{a.Value, left})
			}
		}
		*r = Register{Alts: alts, Shown: value}
	})
	if bad == nil && len(todo) > 0 {
		bad = fmt.Errorf("no such element to decide about")
	}
	return base, bad
}
