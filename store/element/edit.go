package element

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// Birth is the tree of a record that begins with content.
func Birth(r4 *fhir.R4, key record.Key, content *fhir.Value, self record.Name) (*Tree, error) {
	return read(r4, key, content, self, nil), nil
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
	case base == nil || base.Unit != nil && base.Single().Removed():
		e.name(fresh)
		return fresh
	case base.Unit != nil && fresh.Unit != nil:
		fresh.Unit = e.register(base.Unit, fresh.Unit)
		return fresh
	case base.Node != nil && fresh.Node != nil:
		fresh.Node = e.node(base.Node, fresh.Node)
		return fresh
	case base.List() && fresh.List():
		if items, ok := e.items(base.Items, fresh); ok {
			fresh.Items = items
			return fresh
		}
	}
	return &Slot{Name: fresh.Name, Type: fresh.Type, Unit: e.register(base.Whole(), fresh.Whole())}
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

// register keeps base where the value did not change. In a conflict the value
// takes the place of the one that base showed, unless that would close it.
func (e editor) register(base, fresh *Register) *Register {
	if Same(base.Shown, fresh.Shown) {
		return base
	}
	if !base.Contested() {
		return Set(fresh.Shown, e.self)
	}
	mine := Alt{fresh.Shown, []record.Name{e.self}}
	others := slices.DeleteFunc(slices.Clone(base.Alts), func(a Alt) bool { return Same(a.Value, base.Shown) })
	if alts := join(others, mine); len(alts) > 1 {
		return &Register{Alts: alts, Shown: fresh.Shown}
	}
	return &Register{Alts: join(base.Alts, mine), Shown: fresh.Shown}
}

// join adds a value to a set, or its setters to the equal value that is there.
func join(alts []Alt, a Alt) []Alt {
	out := slices.Clone(alts)
	for i, have := range out {
		if Same(have.Value, a.Value) {
			out[i].By = sortNames(append(slices.Clone(have.By), a.By...))
			return out
		}
	}
	return append(out, a)
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
	out := &Slot{Name: b.Name, Type: b.Type}
	if b.List() {
		out.Items = make([]*Item, len(b.Items))
		for i, it := range b.Items {
			out.Items[i] = e.remove(it)
		}
		return out
	}
	left := e.remove(b.Single())
	out.Unit, out.Node = left.Unit, left.Node
	return out
}

// remove is what is left of an item. What holds a conflict is emptied element
// by element; so is meta, whose security labels are merged one by one.
func (e editor) remove(b *Item) *Item {
	switch {
	case b.Unit != nil:
		return &Item{ID: b.ID, Unit: e.register(b.Unit, &Register{Shown: fhir.NewObject()})}
	case b.Hidden():
		return b
	case b.Node.Type == "Meta" || b.Contested():
		return &Item{ID: b.ID, Node: e.node(b.Node, &Node{Type: b.Node.Type})}
	}
	return &Item{ID: b.ID, Unit: Set(fhir.NewObject(), e.self)}
}

// items gives the items of a list the identities of the base items they are. It
// fails where a key that should tell them apart stands for several.
func (e editor) items(base []*Item, fresh *Slot) ([]*Item, bool) {
	pairs := Pair(e.r4, fresh.Type, base, fresh.Items)
	if ambiguous(e.r4, fresh.Type, base, fresh.Items, pairs) {
		return nil, false
	}
	out := make([]*Item, 0, len(fresh.Items)+len(base))
	kept := map[*Item]bool{}
	for i, f := range fresh.Items {
		b := pairs[i]
		kept[b] = true
		switch {
		case b == nil:
			f.ID = e.newID(i)
		case b.Unit != nil && f.Unit != nil:
			f = &Item{ID: b.ID, Unit: e.register(b.Unit, f.Unit)}
		case b.Node != nil && f.Node != nil:
			f = &Item{ID: b.ID, Node: e.node(b.Node, f.Node)}
		default:
			f = &Item{ID: b.ID, Unit: e.register(b.Whole(fresh.Name), f.Whole(fresh.Name))}
		}
		out = append(out, f)
	}
	for _, b := range base {
		if !kept[b] {
			out = append(out, e.remove(b))
		}
	}
	return out, true
}

// ErrDecision says that a decision is about nothing, or its value is not of the element.
var ErrDecision = errors.New("a decision does not fit the record")

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
		if err != nil || !isOf(path, value) {
			bad = fmt.Errorf("%w: the value is not the element's JSON", ErrDecision)
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
		bad = fmt.Errorf("%w: no such element", ErrDecision)
	}
	return base, bad
}

// Again is the decision that puts a lost value back in place of all values that its
// element has now, and what the element has now; nil where the tree has no such
// element any more.
func Again(t *Tree, lost record.Lost) (d record.Decision, now *Register) {
	t.Each(func(path string, r *Register) {
		if path == lost.Path {
			now = r
		}
	})
	if now != nil {
		d = record.Decision{Path: lost.Path, Value: lost.Value, Closes: now.By()}
	}
	return d, now
}

// isOf reports whether a value has no fields but those of the element at path.
func isOf(path string, value *fhir.Value) bool {
	name, _, item := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], "{")
	if value.Shape != fhir.Object || item && len(value.Fields) > 1 {
		return false
	}
	stem, choice := strings.CutSuffix(name, "[x]")
	for _, f := range value.Fields {
		field := strings.TrimPrefix(f.Name, "_")
		if field != name && !(choice && strings.HasPrefix(field, stem)) || item && f.Value.Shape != fhir.Object {
			return false
		}
	}
	return true
}
