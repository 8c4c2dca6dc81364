package merge

import (
	"slices"
	"strings"

	"tram/store/element"
	"tram/store/record"
)

// Orphan is Merge where incoming's base is lost, and with it the word on what was settled
// on the way: what incoming saw of head, and has another value for, is among the lost values.
// A merge removes nothing, so that what is not there any more was removed by a person.
func (m *Merger) Orphan(head, incoming *record.Version) (Outcome, error) {
	out, err := m.Merge(nil, head, incoming)
	if err != nil {
		return Outcome{}, err
	}
	was, err := m.side(head)
	if err != nil {
		return Outcome{}, err
	}
	is, err := m.side(out.Version)
	if err != nil {
		return Outcome{}, err
	}
	now := map[string]*element.Register{}
	is.tree.Each(func(path string, r *element.Register) { now[path] = r })
	j := &joiner{writers: writers(head), lost: out.Version.Lost}
	was.tree.Each(func(path string, r *element.Register) {
		here := now[path]
		if here == nil || m.classes.Of(head.Key.Kind, path).Name == Derived {
			return
		}
		for _, a := range r.Alts {
			there := slices.ContainsFunc(here.Alts, func(o element.Alt) bool { return element.Same(o.Value, a.Value) })
			if !there && !element.Absent(a.Value) && len(unseen(a.By, incoming.Seen)) == 0 {
				j.lose(path, a, here.Shown, PolicyReplaced)
			}
		}
	})
	slices.SortStableFunc(j.lost, func(p, q record.Lost) int { return strings.Compare(p.Path, q.Path) })
	out.Version.Lost = j.lost
	return out, nil
}
