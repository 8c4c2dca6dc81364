package store

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// reissue gives what was made here under a lineage, and no receipt proves, names of a new
// one: another image of this database spoke under that lineage too, and one name for two
// contents is no name (replication.md, rule 3).
func (t *tx) reissue(l record.Lineage) error {
	var proved record.Receipt
	if _, err := t.get(layout.Receipts, []byte(l), &proved); err != nil {
		return err
	}
	var orders []uint64
	c := t.Table(layout.Own).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		if e.Ref.Name.Lineage == l && e.Ref.Name.N > proved.N && !e.Foreign && !e.Held {
			orders = append(orders, num(k))
		}
	}
	if len(orders) == 0 && t.s.Lineage() != l {
		return nil
	}
	if err := t.s.startLineage(t); err != nil {
		return err
	}
	names := renaming{of: l, proved: proved.N, to: map[record.Name]record.Ref{}}
	for _, order := range orders {
		if err := t.reissueOne(order, names); err != nil {
			return err
		}
	}
	return nil
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
	for _, ref := range append([]record.Ref{again.Base}, again.Includes...) {
		if in, err := t.version(n, r, ref); err == nil {
			again.Seen = again.Seen.Union(in.Seen)
		} else if !errors.Is(err, record.ErrNotFound) {
			return err
		}
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
	names.to[v.Name] = q.Ref
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
	v.Seen = v.Seen.With(lastOf(r.Pending).Name)
	b, err := v.Encode()
	if err != nil {
		return err
	}
	return t.putRaw(layout.Previews, n, b)
}

// renaming is which versions of a lineage beyond the proved ones are called what now.
type renaming struct {
	of     record.Lineage
	proved uint64
	to     map[record.Name]record.Ref
}

// version is a version with its own name and those of what it was made from changed. Of the
// old lineage it has seen no more than is proved.
func (n renaming) version(v *record.Version, name record.Name) (*record.Version, error) {
	out := *v
	out.Name, out.Base, out.Seen = name, n.ref(v.Base), record.Seen{}
	for l, upTo := range v.Seen {
		if l == n.of {
			upTo = min(upTo, n.proved)
		}
		if upTo > 0 {
			out.Seen = out.Seen.With(record.Name{Lineage: l, N: upTo})
		}
	}
	if out.Includes = nil; !name.IsZero() {
		out.Seen = out.Seen.With(name)
	}
	for _, ref := range v.Includes {
		out.Includes = append(out.Includes, n.ref(ref))
	}
	out.Trace, out.Lost = record.Trace{}, nil
	own := map[record.Name]record.Ref{v.Name: {Name: name}}
	return &out, errors.Join(n.text(v.Trace, &out.Trace, own), n.text(v.Lost, &out.Lost, own))
}

func (n renaming) ref(ref record.Ref) record.Ref {
	if to, ok := n.to[ref.Name]; ok {
		return to
	}
	return ref
}

// text carries names over wherever they stand, in paths and in identities of items too.
func (n renaming) text(from, to any, own map[record.Name]record.Ref) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	b = regexp.MustCompile(string(n.of)+`-\d+`).ReplaceAllFunc(b, func(text []byte) []byte {
		name, err := record.ParseName(string(text))
		if err != nil {
			return text
		}
		for _, names := range []map[record.Name]record.Ref{own, n.to} {
			if ref, ok := names[name]; ok && !ref.Name.IsZero() {
				return []byte(ref.Name.String())
			}
		}
		return text
	})
	return json.Unmarshal(b, to)
}
