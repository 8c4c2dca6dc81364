package store

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// reissue gives what was made here under a lineage, and no receipt proves, and what was made
// from that, names of a new one: another image of this database spoke under that lineage
// too, and one name for two contents is no name (replication.md, rule 3). So does what
// stands in a chain behind something that got one: nobody closes that gap.
func (t *tx) reissue(l record.Lineage) error {
	var proved record.Receipt
	if _, err := t.get(layout.Receipts, []byte(l), &proved); err != nil {
		return err
	}
	var orders []uint64
	in := map[uint64]bool{}           // records
	gaps := map[record.Lineage]bool{} // chains
	c := t.Table(layout.Own).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		forked := e.Ref.Name.Lineage == l && e.Ref.Name.N > proved.N
		if !e.Foreign && !e.Held && (forked || in[e.Number] || gaps[e.Ref.Name.Lineage]) {
			orders = append(orders, num(k))
			in[e.Number], gaps[e.Ref.Name.Lineage] = true, true
		}
	}
	if len(orders) == 0 && t.s.Lineage() != l {
		return nil
	}
	if err := t.s.startLineage(t); err != nil {
		return err
	}
	names := renaming{}
	for _, order := range orders {
		if err := t.reissueOne(order, names); err != nil {
			return err
		}
	}
	return nil
}

// passOver gives no id that another image of this database gave under the present lineage.
func (s *Store) passOver(id string) {
	name, err := record.ParseName(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && name.Lineage == s.lineage {
		s.counter = max(s.counter, name.N)
	}
}

func (t *tx) reissueOne(order uint64, names renaming) error {
	e, _, err := t.ownAt(order)
	if err != nil {
		return err
	}
	n := u64(e.Number)
	r, err := t.row(n)
	if err != nil {
		return err
	}
	p, ok := r.Find(e.Ref.Name)
	i := slices.Index(r.Pending, e.Ref)
	if err := t.Table(layout.Own).Delete(u64(order)); err != nil || !ok || i < 0 && !r.Gone {
		return err // what is not pending went into upstream's version
	}
	old, err := t.shown(n, r)
	if err != nil {
		return err
	}
	v, err := t.versionAt(n, p.At)
	if err != nil {
		return err
	}
	again, err := names.version(v, t.s.draw())
	if err != nil {
		return err
	}
	if err := t.sees(n, r, again, append([]record.Ref{again.Base}, again.Includes...)...); err != nil {
		return err
	}
	_, b, err := t.bytes(again)
	if err != nil {
		return err
	}
	t.keep(layout.Put, b)
	r.Past = slices.DeleteFunc(r.Past, func(o layout.Past) bool { return o == p })
	if err := errors.Join(t.dropVersion(join(n, u64(p.At))), t.remember(n, r, again)); err != nil {
		return err
	}
	q := r.Past[len(r.Past)-1]
	names[v.Name] = q.Ref
	if err := t.own(n, q); err != nil || r.Gone {
		return errors.Join(err, t.putRow(n, r))
	}
	r.Pending[i], r.Parked = q.Ref, ""
	if err := t.renamePreview(n, r, names); err != nil {
		return err
	}
	shown, err := t.shown(n, r)
	if err != nil {
		return err
	}
	if err := errors.Join(t.show(n, r, old, shown), t.handDown(n, r)); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// sees adds to what a version has seen what others of its record have that are there.
func (t *tx) sees(n []byte, r *layout.Row, v *record.Version, others ...record.Ref) error {
	for _, ref := range others {
		o, err := t.version(n, r, ref)
		if errors.Is(err, record.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		v.Seen = v.Seen.Union(o.Seen)
	}
	return nil
}

func (t *tx) renamePreview(n []byte, r *layout.Row, names renaming) error {
	if !r.Preview {
		return nil
	}
	v, err := t.shown(n, r)
	if err != nil {
		return err
	}
	if v, err = names.version(v, v.Name); err != nil {
		return err
	}
	if err := t.sees(n, r, v, r.Head, lastOf(r.Pending)); err != nil {
		return err
	}
	b, err := v.Encode()
	if err != nil {
		return err
	}
	return t.putRaw(layout.Previews, n, b)
}

// renaming is what versions are called now.
type renaming map[record.Name]record.Ref

// version is a version with its own name and those of what it was made from changed. What it
// has seen of their lineages is left out: those from which it was made know.
func (n renaming) version(v *record.Version, name record.Name) (*record.Version, error) {
	out := *v
	out.Name, out.Base, out.Includes, out.Seen = name, n.ref(v.Base), nil, maps.Clone(v.Seen)
	for _, ref := range v.Includes {
		out.Includes = append(out.Includes, n.ref(ref))
	}
	delete(out.Seen, v.Name.Lineage)
	for old := range n {
		delete(out.Seen, old.Lineage)
	}
	out.Seen = out.Seen.With(name)
	out.Trace, out.Lost = record.Trace{}, nil
	return &out, errors.Join(n.text(v.Trace, &out.Trace, v.Name, name), n.text(v.Lost, &out.Lost, v.Name, name))
}

func (n renaming) ref(ref record.Ref) record.Ref {
	if to, ok := n[ref.Name]; ok {
		return to
	}
	return ref
}

// text carries names over wherever they stand, in paths and in identities of items too.
func (n renaming) text(from, to any, own, name record.Name) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	b = regexp.MustCompile(`[a-z2-7]{16}-[1-9]\d*`).ReplaceAllFunc(b, func(text []byte) []byte {
		old, err := record.ParseName(string(text))
		if err != nil {
			return text
		}
		if old == own {
			return []byte(name.String())
		}
		return []byte(n.ref(record.Ref{Name: old}).Name.String())
	})
	return json.Unmarshal(b, to)
}

// links names the chains of lineages, those that are proved to their end first. What waits
// is to be proved once more.
func (t *tx) links(out *record.Standing, of []record.Lineage, waits map[record.Lineage]bool) error {
	for _, l := range of {
		top := t.chainTop(l)
		var r record.Receipt
		if _, err := t.get(layout.Receipts, []byte(l), &r); err != nil {
			return err
		}
		age := t.s.opt.Clock().Corrected() - r.At
		lately := l != out.Lives[0] || -hour < age && age < hour
		switch {
		case top.N == 0:
		case r.N == top.N && lately && !waits[l] && len(of) < maxWanted:
			out.Links = slices.Insert(out.Links, out.Proved, top)
			out.Proved++
		default:
			out.Links = append(out.Links, top)
		}
	}
	return nil
}
