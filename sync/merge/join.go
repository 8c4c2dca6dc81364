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
	base    *element.Tree
	noBase  bool
	writers map[record.Name]record.Writer
	lost    []record.Lost
}

// node joins two nodes slot by slot, in the order of the first and then of the
// second.
func (j *joiner) node(path string, a, b branch) *element.Node {
	out := &element.Node{Type: a.node.Type}
	for _, s := range a.node.Slots {
		out.Slots = append(out.Slots, j.slot(path+s.Name, s, b.node.Slot(s.Name), a, b))
	}
	for _, s := range b.node.Slots {
		if a.node.Slot(s.Name) == nil {
			out.Slots = append(out.Slots, j.slot(path+s.Name, s, nil, b, a))
		}
	}
	return out
}

func (j *joiner) slot(path string, s, t *element.Slot, a, b branch) *element.Slot {
	if t == nil {
		if s.List() {
			t = &element.Slot{Name: s.Name, Type: s.Type}
		} else {
			return s // the other side never had it; had it removed it, it would say so
		}
	}
	out := &element.Slot{Name: s.Name, Type: s.Type}
	switch {
	case s.Unit != nil && t.Unit != nil:
		out.Unit = j.register(path, s.Unit, t.Unit, a.seen, b.seen)
	case s.Node != nil && t.Node != nil:
		out.Node = j.node(path+"/", branch{s.Node, a.seen}, branch{t.Node, b.seen})
	case s.List() && t.List():
		out.Items = j.items(path, s, t, a, b)
	default:
		out.Unit = j.register(path, s.Whole().Unit, t.Whole().Unit, a.seen, b.seen)
	}
	return out
}

// items joins two lists as sets: an item that one side lacks was deleted there
// if that side has seen all of it, and lives otherwise.
func (j *joiner) items(path string, s, t *element.Slot, a, b branch) []*element.Item {
	out := []*element.Item{}
	for _, it := range s.Items {
		other := t.Item(it.ID)
		switch {
		case other != nil:
			out = append(out, j.item(path, it, other, a, b))
		case j.lives(path, it, b):
			out = append(out, it)
		}
	}
	var added []*element.Item
	for _, it := range t.Items {
		if s.Item(it.ID) == nil && j.lives(path, it, a) {
			added = append(added, it)
		}
	}
	return j.union(path, s.Type, out, added, a, b)
}

// lives reports whether an item stays that the other side does not have.
// Security labels never vanish by a merge.
func (j *joiner) lives(path string, it *element.Item, other branch) bool {
	by := it.Setters()
	if !other.fresh(by) {
		return path == "meta/security"
	}
	if slices.ContainsFunc(by, other.seen.Has) { // it was known there, so it was deleted there
		j.lost = append(j.lost, record.Lost{Path: path + "{" + it.ID + "}", Value: []byte(`{}`), Won: []byte(`{}`), Policy: PolicyEditLives})
	}
	return true
}

func (j *joiner) item(path string, x, y *element.Item, a, b branch) *element.Item {
	at := path + "{" + x.ID + "}"
	switch {
	case x.Unit != nil && y.Unit != nil:
		return &element.Item{ID: x.ID, Unit: j.register(at, x.Unit, y.Unit, a.seen, b.seen)}
	case x.Node != nil && y.Node != nil:
		return &element.Item{ID: x.ID, Node: j.node(at+"/", branch{x.Node, a.seen}, branch{y.Node, b.seen})}
	case b.fresh(x.Setters()):
		return x
	}
	return y
}

// union adds items that the other side added. What both added as one and the
// same thing becomes one item.
func (j *joiner) union(path, typ string, have, added []*element.Item, a, b branch) []*element.Item {
	var mine []*element.Item
	for _, it := range have {
		if b.fresh(it.Setters()) {
			mine = append(mine, it)
		}
	}
	for i, twin := range element.Twins(j.m.r4, typ, mine, added) {
		if twin == nil {
			have = append(have, added[i])
			continue
		}
		at := slices.Index(have, twin)
		have[at] = j.item(path, twin, &element.Item{ID: twin.ID, Unit: added[i].Unit, Node: added[i].Node}, a, b)
	}
	return have
}

// register keeps of each side the values whose setters the other has not seen,
// and those that both still have; then the element's class decides.
func (j *joiner) register(path string, x, y *element.Register, xs, ys record.Seen) *element.Register {
	alts := element.Join(append(survivors(x, y, ys), survivors(y, x, xs)...)...)
	switch len(alts) {
	case 0:
		return x
	case 1:
		return &element.Register{Alts: alts, Shown: alts[0].Value}
	}
	sortAlts(alts)
	return j.settle(path, alts, x, y)
}

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

func sortAlts(alts []element.Alt) {
	slices.SortFunc(alts, func(p, q element.Alt) int { return p.By[0].Compare(q.By[0]) })
}

// shown is what a contested element shows: what it showed while it was already
// contested, else base's value, else the first side's.
func (j *joiner) shown(path string, x, y *element.Register) *fhir.Value {
	switch {
	case x.Contested():
		return x.Shown
	case y.Contested():
		return y.Shown
	}
	value := x.Shown
	if j.base != nil {
		value = fhir.NewObject()
		j.base.Each(func(p string, r *element.Register) {
			if p == path {
				value = r.Shown
			}
		})
	}
	return value
}
