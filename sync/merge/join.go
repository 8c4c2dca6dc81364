package merge

import (
	"slices"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
)

// joiner walks two trees at once.
type joiner struct {
	m       *Merger
	kind    string
	base    *element.Tree // nil without base
	writers map[record.Name]record.Writer
	lost    []record.Lost
}

// place is where an element or an item stands.
type place struct {
	path string
	typ  string // the type path to look the field up in
	name string // the field
	item bool
}

// security reports whether the place holds security labels, which no merge removes.
func (p place) security() bool { return p.typ == "Meta" && p.name == "security" }

// node joins two nodes slot by slot, in the order of the first and then of the
// second.
func (j *joiner) node(path string, a, b branch) *element.Node {
	out := &element.Node{Type: a.node.Type}
	for _, s := range a.node.Slots {
		out.Slots = append(out.Slots, j.slot(path+s.Name, s, b.node.Slot(s.Name), a, b)...)
	}
	for _, s := range b.node.Slots {
		if a.node.Slot(s.Name) == nil {
			out.Slots = append(out.Slots, j.slot(path+s.Name, s, nil, b, a)...)
		}
	}
	return out
}

// slot joins two states of one field. A field that one side has and the other
// knew, but has no more, is gone.
func (j *joiner) slot(path string, s, t *element.Slot, a, b branch) []*element.Slot {
	at := place{path: path, typ: s.Type, name: s.Name}
	if t == nil {
		if !s.List() && b.fresh(s.Single().Setters()) {
			return []*element.Slot{s}
		}
		if !s.List() {
			return nil
		}
		t = &element.Slot{Name: s.Name, Type: s.Type}
	}
	out := &element.Slot{Name: s.Name, Type: s.Type}
	switch {
	case s.List() && t.List():
		out.Items = j.items(at, s, t, a, b)
		if j.required(at) && !slices.ContainsFunc(out.Items, shows) {
			// each side left what the other removed, and FHIR wants one
			out.Items, out.Unit = nil, j.register(at, s.Whole(), t.Whole(), a.seen, b.seen)
		}
	case s.List() || t.List():
		out.Unit = j.register(at, s.Whole(), t.Whole(), a.seen, b.seen)
	default:
		it := j.item(at, s.Single(), t.Single(), a, b)
		out.Unit, out.Node = it.Unit, it.Node
	}
	return []*element.Slot{out}
}

func shows(it *element.Item) bool { return !it.Hidden() }

// items joins two lists as sets. What both sides know by one identity is joined,
// then what both added as the same thing. Any other item stays if it is news to
// the side that lacks it; if not, that side has it no more.
func (j *joiner) items(list place, s, t *element.Slot, a, b branch) []*element.Item {
	var both, mine, added, out []*element.Item
	result := map[*element.Item]*element.Item{}
	known, others := s.Index(), t.Index()
	for _, it := range s.Items {
		if other := others[it.ID]; other != nil {
			result[it] = j.item(list.of(it.ID), it, other, a, b)
			both = append(both, result[it])
		} else {
			mine = append(mine, it)
		}
	}
	for _, it := range t.Items {
		if known[it.ID] == nil {
			added = append(added, it)
		}
	}
	folder := fold(both)
	alone := func(it *element.Item, own, other branch) *element.Item {
		if (it.Hidden() || other.fresh(it.Setters())) && !folder(it, own) {
			return it
		}
		return nil
	}
	for i, twin := range element.Twins(j.m.r4, list.typ, mine, added) {
		if twin == nil {
			result[added[i]] = alone(added[i], b, a)
			continue
		}
		id := min(twin.ID, added[i].ID)
		one := j.item(list.of(id), twin, added[i], a, b)
		result[twin] = &element.Item{ID: id, Unit: one.Unit, Node: one.Node}
	}
	for _, it := range mine {
		if result[it] == nil {
			result[it] = alone(it, a, b)
		}
	}
	for _, it := range append(slices.Clone(s.Items), added...) {
		if result[it] != nil {
			out = append(out, result[it])
		}
	}
	return out
}

func (p place) of(id string) place {
	return place{p.path + "{" + id + "}", p.typ, p.name, true}
}

// fold makes an item that one side added one with the equal one that the other
// side made of an item both had. It reports whether there is one.
func fold(both []*element.Item) func(it *element.Item, side branch) bool {
	var equal map[string]*element.Item
	single := func(it *element.Item) bool { return it.Unit != nil && !it.Hidden() && !it.Contested() }
	return func(it *element.Item, side branch) bool {
		if !single(it) {
			return false
		}
		if equal == nil {
			equal = map[string]*element.Item{}
			for _, have := range both {
				if single(have) {
					equal[string(fhir.Canonical(have.Unit.Shown))] = have
				}
			}
		}
		have := equal[string(fhir.Canonical(it.Unit.Shown))]
		if have == nil || !side.fresh(have.Unit.By()) {
			return false
		}
		have.Unit = element.Set(have.Unit.Shown, append(have.Unit.By(), it.Unit.By()...)...)
		return true
	}
}

// item joins two states of one thing. One that is removed on one side lives if
// the other side set anything in it that the remover had not seen.
func (j *joiner) item(at place, x, y *element.Item, a, b branch) *element.Item {
	switch {
	case x.Unit != nil && y.Unit != nil:
		return &element.Item{ID: x.ID, Unit: j.register(at, x.Unit, y.Unit, a.seen, b.seen)}
	case x.Node != nil && y.Node != nil:
		return &element.Item{ID: x.ID, Node: j.node(at.path+"/", branch{x.Node, a.seen}, branch{y.Node, b.seen})}
	case x.Removed():
		return j.alive(at, y, x, b, a)
	case y.Removed():
		return j.alive(at, x, y, a, b)
	}
	return &element.Item{ID: x.ID, Unit: j.register(at, x.Whole(at.name), y.Whole(at.name), a.seen, b.seen)}
}

func (j *joiner) alive(at place, live, dead *element.Item, l, d branch) *element.Item {
	news := false
	live.Each(func(r *element.Register) { news = news || d.news(r) })
	if !news {
		return dead
	}
	gone := element.Alt{Value: dead.Unit.Shown, By: unseen(dead.Unit.By(), l.seen)}
	if len(gone.By) > 0 {
		j.lose(at.path, gone, live.Whole(at.name).Shown, PolicyEditLives)
	}
	return live
}

// unseen are the setters that a side has not seen.
func unseen(by []record.Name, seen record.Seen) []record.Name {
	return slices.DeleteFunc(slices.Clone(by), seen.Has)
}

// register keeps of each side the values whose setters the other has not seen,
// and those that both still have; then the element's class decides. A side that has
// seen all of the other has the last word, also about a value that came back in it
// because each of the two that it was made of had settled the other's away.
func (j *joiner) register(at place, x, y *element.Register, xs, ys record.Seen) *element.Register {
	if at.security() && absent(x) != absent(y) {
		stays, gone, seen := x, y, xs
		if absent(x) {
			stays, gone, seen = y, x, ys
		}
		if by := unseen(gone.By(), seen); len(by) > 0 { // who removed it is told
			j.lose(at.path, element.Alt{Value: gone.Shown, By: by}, stays.Shown, PolicyEditLives)
		}
		return stays
	}
	switch {
	case xs.Covers(ys):
		return x
	case ys.Covers(xs):
		return y
	}
	alts := element.Join(append(survivors(x, y, ys), survivors(y, x, xs)...)...)
	if len(alts) == 0 { // each side settled the other's value away
		alts = element.Join(append(slices.Clone(x.Alts), y.Alts...)...)
	}
	if len(alts) == 1 {
		return &element.Register{Alts: alts, Shown: alts[0].Value}
	}
	slices.SortFunc(alts, func(p, q element.Alt) int { return p.By[0].Compare(q.By[0]) })
	return j.settle(at, alts, x, y)
}

// absent reports whether a register is an uncontested removal.
func absent(r *element.Register) bool { return !r.Contested() && element.Absent(r.Shown) }

func survivors(x, y *element.Register, seen record.Seen) []element.Alt {
	also := y.By()
	var out []element.Alt
	for _, a := range x.Alts {
		left := slices.DeleteFunc(slices.Clone(a.By), func(n record.Name) bool {
			return seen.Has(n) && !slices.Contains(also, n)
		})
		if len(left) > 0 {
			out = append(out, element.Alt{Value: a.Value, By: left})
		}
	}
	return out
}
