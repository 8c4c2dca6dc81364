package element

import (
	"tram/store/fhir"
)

// Pair finds for each item of fresh the base item that it is a later state of;
// nil for a new one. In this order: equal value, Element.id, strong key, slot.
// Equal items are as good as each other; any other key that stands twice on one
// side identifies nothing, and an index never does. Hidden items have no pair.
func Pair(r4 *fhir.R4, typ string, base, fresh []*Item) []*Item {
	out := make([]*Item, len(fresh))
	taken := map[*Item]bool{}
	equal := map[string][]*Item{}
	for _, b := range base {
		k := string(fhir.Canonical(b.shown()))
		equal[k] = append(equal[k], b)
	}
	for i, f := range fresh {
		k := string(fhir.Canonical(f.shown()))
		if have := equal[k]; len(have) > 0 && !f.Hidden() {
			out[i], equal[k] = have[0], have[1:]
			taken[out[i]] = true
		}
	}
	for _, key := range []func(*Item) string{
		func(it *Item) string { return it.shown().Str("id") },
		func(it *Item) string { strong, _ := it.keys(r4, typ); return strong },
		func(it *Item) string { _, slot := it.keys(r4, typ); return slot },
	} {
		b := unique(base, func(i int) bool { return taken[base[i]] }, key)
		f := unique(fresh, func(i int) bool { return out[i] != nil }, key)
		for k, i := range f {
			if j, ok := b[k]; ok && j >= 0 && i >= 0 {
				out[i] = base[j]
				taken[base[j]] = true
			}
		}
	}
	return out
}

// unique maps each key to the index of the item that has it; -1 where several do.
func unique(items []*Item, skip func(int) bool, key func(*Item) string) map[string]int {
	out := map[string]int{}
	for i, it := range items {
		if skip(i) {
			continue
		}
		k := key(it)
		if k == "" {
			continue
		}
		if _, twice := out[k]; twice {
			out[k] = -1
		} else {
			out[k] = i
		}
	}
	return out
}

// ambiguous reports whether a strong key is common to items on both sides that
// found no pair: any pair among them would be a guess.
func ambiguous(r4 *fhir.R4, typ string, base, fresh, pairs []*Item) bool {
	paired, lone := map[*Item]bool{}, map[string]bool{}
	for _, p := range pairs {
		paired[p] = true
	}
	for _, b := range base {
		if !paired[b] {
			strong, _ := b.keys(r4, typ)
			lone[strong] = strong != ""
		}
	}
	for i, f := range fresh {
		if strong, _ := f.keys(r4, typ); pairs[i] == nil && lone[strong] {
			return true
		}
	}
	return false
}

// shown is the item's value, never nil.
func (it *Item) shown() *fhir.Value {
	if v := it.value(); v != nil {
		return v
	}
	return fhir.NewObject()
}

func (it *Item) keys(r4 *fhir.R4, typ string) (strong, slot string) {
	e, ok := it.elem(r4, typ)
	if !ok {
		return "", ""
	}
	return r4.ItemKey(typ, e, it.shown())
}

// elem finds the definition of the list that the item stands in.
func (it *Item) elem(r4 *fhir.R4, typ string) (fhir.Elem, bool) {
	if it.Unit != nil && len(it.Unit.Shown.Fields) > 0 {
		return r4.Elem(typ, it.Unit.Shown.Fields[0].Name)
	}
	if it.Node != nil {
		for _, e := range r4.Elems(typ) {
			if e.TypePath == it.Node.Type {
				return e, true
			}
		}
	}
	return fhir.Elem{}, false
}

// Twins finds for each added item the one of mine that is the same thing, by
// equal value, Element.id or strong key; nil where there is none. A common slot
// is not enough: two mobile phones added apart are two.
func Twins(r4 *fhir.R4, typ string, mine, added []*Item) []*Item {
	out := Pair(r4, typ, mine, added)
	for i, twin := range out {
		if twin == nil || fhir.Equal(twin.shown(), added[i].shown()) {
			continue
		}
		a, _ := twin.keys(r4, typ)
		b, _ := added[i].keys(r4, typ)
		id := twin.shown().Str("id")
		if (id == "" || id != added[i].shown().Str("id")) && (a == "" || a != b) {
			out[i] = nil
		}
	}
	return out
}
