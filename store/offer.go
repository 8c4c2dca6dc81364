package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
)

// ownVersion reads the version that waits for upstream, and reports whether its base is
// to be had from nobody below.
func (t *tx) ownVersion(n []byte, r *layout.Row, e layout.OwnEntry) (v *record.Version, orphan bool, err error) {
	if e.Held {
		held, _, err := t.heldAs(e.Ref)
		if err != nil {
			return nil, false, err
		}
		v, err = record.DecodeVersion(held.Version)
		return v, held.Orphan, err
	}
	if v, err = t.version(n, r, e.Ref); err != nil {
		return nil, false, err
	}
	_, holds := r.Find(v.Base.Name)
	return v, !holds && !v.Base.IsZero(), nil
}

// maxPage is after how many bytes of content a page ends: both sides hold it in memory.
const maxPage = 8 << 20

// offerOwn pages through the own changes that upstream has not answered, or
// that it waits for.
func (t *tx) offerOwn(after uint64, max int) (record.Page, error) {
	page, size := record.Page{Cursor: record.Cursor{Seq: after}}, 0
	c := t.Table(layout.Own).Cursor()
	for k, v := c.Seek(u64(after + 1)); k != nil; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return page, err
		}
		if e.Verdict == record.Parked || e.Verdict.Taken() {
			continue
		}
		if len(page.Changes) == max || size >= maxPage {
			page.More = true
			return page, nil
		}
		page.Cursor.Seq = num(k)
		c, err := t.offered(num(k), e)
		if err != nil {
			return page, err
		}
		if c.Version != nil {
			page.Changes, size = append(page.Changes, c), size+len(c.Version.Content)
		}
	}
	return page, nil
}

// offered is an own change as it goes up; without a version where the record is gone.
func (t *tx) offered(order uint64, e layout.OwnEntry) (record.Change, error) {
	n := u64(e.Number)
	r, err := t.row(n)
	if err != nil {
		return record.Change{}, err
	}
	ver, orphan, err := t.ownVersion(n, r, e)
	if err != nil && r.Gone {
		return record.Change{}, nil
	}
	if err != nil {
		return record.Change{}, fmt.Errorf("offer %s: %w", r.Key, err)
	}
	return record.Change{Seq: order, Key: ver.Key, Ref: e.Ref, Prev: e.Prev, Orphan: orphan, Relayed: e.Foreign, Version: ver}, nil
}

// urgent reports whether a resource is a request that does not wait (FHIR R4, value set
// request-priority).
func urgent(content []byte) bool {
	if !bytes.Contains(content, []byte(`"priority"`)) {
		return false
	}
	v, err := fhir.Parse(content, fhir.DefaultLimits())
	if err != nil {
		return false
	}
	priority := v.Str("priority")
	return priority == "urgent" || priority == "asap" || priority == "stat"
}

// maxLooked is how many of the newest own changes are looked at for what is urgent.
const maxLooked = 1 << 14

// Urgent are the own changes that go before others, at most max, in their order: those
// that are urgent and were not offered with success, with what waits of their records
// and of the records that they refer to.
func (s *Store) Urgent(max int) ([]record.Change, error) {
	h := hurry{left: max, seen: map[uint64]bool{}}
	err := s.view(func(tx *tx) error {
		h.tx = tx
		c := tx.Table(layout.Own).Cursor()
		k, v := c.Last()
		for range maxLooked {
			if k == nil {
				return nil
			}
			e, err := tx.openOwn(k, v)
			if err != nil {
				return err
			}
			if e.Urgent {
				if err := h.add(num(k), e); err != nil {
					return err
				}
			}
			k, v = c.Prev()
		}
		return nil
	})
	slices.SortFunc(h.out, func(a, b record.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	return h.out, err
}

// hurry gathers what goes before others.
type hurry struct {
	tx   *tx
	left int
	seen map[uint64]bool // by order
	out  []record.Change
}

func (h *hurry) add(order uint64, e layout.OwnEntry) error {
	if h.left == 0 || h.seen[order] || e.Verdict == record.Parked || e.Verdict.Taken() {
		return nil
	}
	h.seen[order] = true
	c, err := h.tx.offered(order, e)
	if err != nil || c.Version == nil {
		return err
	}
	h.left--
	h.out = append(h.out, c)
	if err := h.record(u64(e.Number)); err != nil {
		return err
	}
	content, err := fhir.Parse(c.Version.Content, fhir.DefaultLimits())
	if err != nil {
		return nil // upstream says what it makes of it
	}
	for _, ref := range h.tx.s.opt.R4.Refs(content) {
		if ref.Kind != "" {
			if err := h.record(h.tx.number(record.Key{Kind: ref.Kind, ID: ref.ID})); err != nil {
				return err
			}
		}
	}
	return nil
}

// record adds what waits of a record.
func (h *hurry) record(n []byte) error {
	if n == nil {
		return nil
	}
	r, err := h.tx.row(n)
	if err != nil {
		return err
	}
	for _, ref := range r.Pending {
		p, _ := r.Find(ref.Name)
		e, waits, err := h.tx.ownAt(p.At)
		if err == nil && waits {
			err = h.add(p.At, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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
	if err := t.dropOwn(order); err != nil || !ok || i < 0 && !r.Gone {
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
	if err := errors.Join(t.dropPast(n, p), t.remember(n, r, again)); err != nil {
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
func (t *tx) links(out *record.Standing, of []record.Lineage, waits map[record.Lineage]int) error {
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
		case r.N == top.N && lately && waits[l] == 0:
			out.Links = slices.Insert(out.Links, out.Proved, top)
			out.Proved++
		default:
			out.Links = append(out.Links, top)
		}
	}
	return nil
}

// Counts tell how a replica stands.
type Counts struct {
	Records, People int
	Waiting         int // own changes without a receipt
	Parked          int // own changes that upstream did not take
	Held            int // changes from below that were not taken here
	Conflicts       int // records with an open conflict
	Vault           int // values that did not win
	Attachments     int // not known to be both here and upstream
	OldestUnsent    int64
}

// Waiting counts from the books, in time proportional to what is parked or held, not to
// the records.
func (s *Store) Waiting() (Counts, error) {
	var c Counts
	s.mu.Lock()
	parked := slices.Collect(maps.Keys(s.parked))
	s.mu.Unlock()
	err := s.view(func(tx *tx) error {
		c.Conflicts = tx.Table(layout.Contested).Len()
		c.Vault, c.Attachments = tx.Table(layout.Vault).Len(), tx.Table(layout.Unsettled).Len()
		held, err := tx.heldAll()
		if err != nil {
			return err
		}
		c.Held = len(slices.DeleteFunc(held, func(r Refused) bool { return r.Version == nil }))
		c.Records = int(tx.shownCount())
		for _, order := range parked {
			e, waits, err := tx.ownAt(order)
			if err != nil {
				return err
			}
			if waits && e.Verdict == record.Parked {
				c.Parked++
			}
		}
		c.Waiting = tx.Table(layout.Own).Len() - c.Parked
		c.OldestUnsent, err = tx.oldestUnsent()
		return err
	})
	c.People = s.people.Len()
	return c, err
}

// oldestUnsent is when the oldest own change was made that waits for an answer; 0 for none.
func (t *tx) oldestUnsent() (int64, error) {
	c := t.Table(layout.Own).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return 0, err
		}
		if e.Verdict == record.Parked {
			continue
		}
		n := u64(e.Number)
		r, err := t.row(n)
		if err != nil {
			return 0, err
		}
		made, _, err := t.ownVersion(n, r, e)
		if err != nil {
			return 0, err
		}
		return made.Stamp.Corrected(), nil
	}
	return 0, nil
}

// Alike counts the records that are shown just as upstream has them, in time proportional
// to the own changes that wait.
func (s *Store) Alike() (int, error) {
	var alike int
	err := s.view(func(tx *tx) error {
		unsettled := map[uint64]bool{}
		err := tx.Table(layout.Own).ForEach(func(k, v []byte) error {
			e, err := tx.openOwn(k, v)
			if err != nil || e.Held || unsettled[e.Number] {
				return err
			}
			r, err := tx.row(u64(e.Number))
			if err == nil && !r.Gone {
				unsettled[e.Number] = true
			}
			return err
		})
		alike = int(tx.shownCount()) - len(unsettled)
		return err
	})
	return alike, err
}
