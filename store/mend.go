package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"tram/store/layout"
	"tram/store/record"
	"tram/store/table"
)

// Mended tells of a database that was rebuilt.
type Mended struct {
	At int64 `json:"at"` // Unix milliseconds, by this PC's clock
	// Why is what was wrong, for an engineer; no patient's data.
	Why string `json:"why"`
	// Aside is the file's name under which the damaged database is kept.
	Aside string `json:"aside,omitempty"`
	// Taken are the entries taken over from it, Refused those that did not hold.
	Taken   int `json:"taken"`
	Refused int `json:"refused"`
	// Replayed are the entries of the journal that were made again.
	Replayed int `json:"replayed"`
	// Missing are versions that neither had; the centre brings what it has of them.
	Missing int `json:"missing"`
	// Gaps are the stretches that the journal had lost before: what the damaged file did not
	// have of them is missing, and nobody can count it.
	Gaps int `json:"gaps,omitempty"`

	lost []lostVersion // from the damaged file; the journal may have them
}

// lostVersion is a version that a row names and the damaged file has not.
type lostVersion struct {
	key  record.Key
	name record.Name
}

// rebuildFile, when it is there, asks for a rebuild by copy at the next start: after
// an I/O error nobody knows what the disk holds of what was written.
const rebuildFile = "rebuild"

// rebuild makes the database anew from the good entries of a damaged file and from
// the journal, beside it. Only when it is whole and durable does it take the place of
// the damaged one, which stays under another name.
func (s *Store) rebuild(from string, why error) error {
	s.opt.Log.Error("rebuilding the database", "why", why)
	now := time.Now()
	m := Mended{At: s.opt.Clock().Unix, Why: why.Error()}
	if from != "" {
		m.Aside = table.AsideName(from, now)
	}
	fresh, err := table.Make(s.file(), layout.Tables())
	if err != nil {
		return err
	}
	s.db = fresh
	if err := s.refill(from, &m); err != nil {
		return errors.Join(fmt.Errorf("rebuild: %w", err), fresh.Drop())
	}
	if err := fresh.Finish(); err != nil {
		return err
	}
	if from != "" {
		if _, err := table.SetAside(from, now); err != nil {
			return err
		}
	}
	if err := table.Place(s.file()); err != nil {
		return err
	}
	if err := os.Remove(s.marker()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.opt.Log.Warn("database rebuilt", "taken", m.Taken, "refused", m.Refused, "replayed", m.Replayed, "missing", m.Missing, "gaps", m.Gaps)
	return nil
}

// refill fills the new database.
func (s *Store) refill(from string, m *Mended) error {
	if from != "" {
		var err error
		if m.Taken, m.Refused, err = s.db.Salvage(context.Background(), from, s.opt.Progress, s.holds); err != nil {
			return err
		}
	}
	err := s.mend(func(t *tx) error { return putSchema(t.Tx) }, (*tx).mendSequences, (*tx).mendChains)
	if err != nil {
		return err
	}
	if _, err := s.pass(); err != nil { // before it is forgotten how far the journal reached
		return err
	}
	if err := s.mendRows(m); err != nil {
		return err
	}
	if err := s.mend((*tx).listVault); err != nil {
		return err
	}
	if m.Replayed, err = s.replay(); err != nil {
		return err
	}
	gaps, err := s.journal.Gaps()
	if err != nil {
		return err
	}
	m.Gaps = len(gaps)
	if err := s.mendWaiting(); err != nil {
		return err
	}
	if err := errors.Join(s.mend((*tx).listVault, (*tx).listAttached), s.mendEach((*tx).mendVault)); err != nil {
		return err
	}
	if err := s.mendAudit(); err != nil {
		return err
	}
	return s.mend(func(t *tx) error {
		for _, l := range m.lost {
			r, err := t.row(t.number(l.key))
			if err != nil {
				return err
			}
			if _, ok := r.Find(l.name); !ok {
				m.Missing++
			}
		}
		// Up to its end, which may be that of a segment without entries behind a gap.
		if err := t.Table(layout.Meta).Put([]byte(layout.Journal), s.journal.End().Bytes()); err != nil {
			return err
		}
		return t.put(layout.Meta, []byte(layout.Mended), m)
	})
}

// holds reports whether an entry of a damaged file is worth taking over. What stood on a
// page that was in use no more may be sealed under a key that was retired since.
func (s *Store) holds(in string, key, value []byte) bool {
	if slices.Contains(s.derived(), in) {
		return false
	}
	if !slices.Contains(layout.Sealed(), in) || !layout.IsSealed(in, key) {
		return true
	}
	_, err := s.keys.Open(layout.Place(in, key), value)
	return err == nil
}

// mend runs steps, each in a transaction of its own.
func (s *Store) mend(steps ...func(*tx) error) error {
	for _, step := range steps {
		if err := s.db.Update(func(b *table.Tx) error { return step(&tx{Tx: b, s: s, replaying: true}) }); err != nil {
			return err
		}
	}
	return nil
}

// mendBatch is how many records are mended in one transaction.
const mendBatch = 1000

// mendEach runs f for every record that has a row or a version.
func (s *Store) mendEach(f func(t *tx, n []byte) error) error {
	for next := []byte(nil); ; {
		var batch [][]byte
		err := s.view(func(t *tx) error {
			batch, next = t.numbersFrom(next, mendBatch)
			return nil
		})
		if err != nil || len(batch) == 0 {
			return err
		}
		err = s.mend(func(t *tx) error {
			for _, n := range batch {
				if err := f(t, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || next == nil {
			return err
		}
	}
}

// numbersFrom lists the numbers of records from one on, and the one behind them.
func (t *tx) numbersFrom(from []byte, max int) (out [][]byte, next []byte) {
	if from == nil {
		from = u64(0)
	}
	rows, versions := t.Table(layout.Stands).Cursor(), t.Table(layout.Versions).Cursor()
	for len(out) < max {
		a, _ := rows.Seek(from)
		b, _ := versions.Seek(from)
		switch {
		case a == nil && b == nil:
			return out, nil
		case a == nil || b != nil && string(b[:8]) < string(a[:8]):
			a = b
		}
		out = append(out, slices.Clone(a[:8]))
		from = u64(num(a[:8]) + 1)
	}
	return out, from
}

// derived are the tables that follow from others, and are made again.
func (s *Store) derived() []string {
	return []string{layout.Index, layout.Contested, layout.Order, layout.AuditOf, layout.VaultOf, layout.Trees, layout.FeedAt, layout.Cursors, layout.Feeds, layout.Attached}
}

// mendSequences lets no number be drawn twice.
func (t *tx) mendSequences() error {
	for name, in := range map[string]string{layout.Order: layout.Order, layout.Audit: layout.Audit, layout.Vault: layout.Vault, layout.Lives: layout.Lives,
		layout.Rescued: layout.Rescued, layout.Own: layout.Order} { // what is held aside has an order and no version
		if k, _ := t.Table(name).Cursor().Last(); len(k) == 8 {
			t.Table(in).Reach(num(k))
		}
	}
	keys := t.Table(layout.Keys)
	err := keys.ForEach(func(_, v []byte) error {
		if len(v) == 8 {
			keys.Reach(num(v))
		}
		return nil
	})
	for _, name := range []string{layout.Versions, layout.Stands} {
		if k, _ := t.Table(name).Cursor().Last(); len(k) >= 8 {
			keys.Reach(num(k[:8]))
		}
	}
	versions := t.Table(layout.Versions)
	err = errors.Join(err, versions.ForEach(func(k, _ []byte) error {
		t.Table(layout.Order).Reach(num(k[8:]))
		return nil
	}))
	return errors.Join(err, t.Table(layout.Audit).ForEach(func(k, v []byte) error {
		plain, err := t.unseal(layout.Audit, k, v)
		if err != nil {
			return err
		}
		a, err := layout.DecodeAudit(plain)
		keys.Reach(a.Number) // of a record that may be lost: no other becomes who was looked at
		return err
	}))
}

// mendChains begins the chains again where receipts prove them.
func (t *tx) mendChains() error {
	return t.Table(layout.Receipts).ForEach(func(k, v []byte) error {
		var r record.Receipt
		if err := t.open(layout.Receipts, k, v, &r); err != nil {
			return err
		}
		if r.N == 0 || t.Table(layout.Links).Get(linkKey(r.Lineage, r.N)) != nil {
			return nil
		}
		return t.link(r.Link)
	})
}

// mendRows brings rows and versions together, and makes again whatever follows from
// them.
func (s *Store) mendRows(m *Mended) error {
	err := s.mend(func(t *tx) error {
		for _, k := range []string{layout.Shown, layout.Journal} {
			if err := t.Table(layout.Meta).Delete([]byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.mendEach(func(t *tx, n []byte) error { return t.mendRecord(n, m) }); err != nil {
		return err
	}
	err = s.mend(func(t *tx) error { // what others were told of the feeds is not in them any more
		if t.Table(layout.Meta).Get([]byte(layout.Epoch)) == nil && t.Table(layout.Peers).Len() == 0 {
			return nil
		}
		return t.put(layout.Meta, []byte(layout.Epoch), "")
	})
	if err != nil {
		return err
	}
	return s.mendEach((*tx).mendFeeds)
}

// mendRecord brings a record's row and its versions together: what the row names and
// is not there is left out; where there is no row, it is made from the versions.
func (t *tx) mendRecord(n []byte, m *Mended) error {
	have, err := t.versionsOf(n)
	if err != nil {
		return err
	}
	r, err := t.row(n)
	if err != nil {
		return err
	}
	if r.Key.IsZero() {
		if r, err = t.rowOf(n, have); err != nil {
			return err
		}
	}
	for _, p := range have {
		if !slices.ContainsFunc(r.Past, p.Same) { // let go of, but for the page it stood on
			if err := t.Table(layout.Versions).Delete(join(n, u64(p.At))); err != nil {
				return err
			}
		}
	}
	kept, err := t.mendRow(n, r, have, m)
	if err != nil || !kept {
		return err
	}
	return t.derive(n)
}

// versionsOf lists the versions of a record that can be read.
func (t *tx) versionsOf(n []byte) ([]layout.Past, error) {
	var out []layout.Past
	c := t.Table(layout.Versions).Cursor()
	for k, v := c.Seek(n); len(k) == 16 && string(k[:8]) == string(n); k, v = c.Next() {
		plain, err := t.unseal(layout.Versions, k, v)
		if err != nil {
			return nil, err
		}
		ver, err := record.DecodeVersion(plain)
		if err != nil {
			return nil, err
		}
		out = append(out, layout.Past{Ref: ver.Ref(), At: num(k[8:])})
	}
	return out, nil
}

// rowOf makes a row from the versions of a record.
func (t *tx) rowOf(n []byte, past []layout.Past) (*layout.Row, error) {
	v, err := t.versionAt(n, past[0].At)
	if err != nil {
		return nil, err
	}
	r := &layout.Row{Key: v.Key, Past: past}
	for _, p := range past {
		if _, waits, err := t.ownAt(p.At); err != nil {
			return nil, err
		} else if waits && !t.s.opt.Top {
			r.Pending = append(r.Pending, p.Ref)
			continue
		}
		r.Head = p.Ref
	}
	head, err := t.headOf(n, r)
	if err != nil || head == nil {
		return r, err
	}
	r.Pending = slices.DeleteFunc(r.Pending, func(p record.Ref) bool { return head.Seen.Has(p.Name) })
	return r, nil
}

// mendRow keeps of a row what is there, and reports whether anything is.
func (t *tx) mendRow(n []byte, r *layout.Row, have []layout.Past, m *Mended) (bool, error) {
	lost := func(ref record.Ref) bool {
		return !slices.ContainsFunc(have, func(p layout.Past) bool { return p.Ref == ref })
	}
	r.Past = slices.DeleteFunc(r.Past, func(p layout.Past) bool {
		if lost(p.Ref) {
			m.lost = append(m.lost, lostVersion{r.Key, p.Ref.Name})
		}
		return lost(p.Ref)
	})
	r.Pending = slices.DeleteFunc(r.Pending, lost)
	if lost(r.Head) && !r.Gone {
		r.Head, r.Grown, r.Seq = record.Ref{}, false, 0
		if t.s.opt.Top && len(r.Past) > 0 {
			r.Head = r.Past[len(r.Past)-1].Ref
		}
	}
	if r.Preview && (t.Table(layout.Previews).Get(n) == nil || r.Head.IsZero() || len(r.Pending) == 0) {
		r.Preview = false
	}
	r.Patients, r.Readers = nil, nil
	if len(r.Past) == 0 && !r.Gone {
		return false, t.Table(layout.Stands).Delete(n)
	}
	if err := t.Table(layout.Keys).Put(t.s.keyAt(r.Key), n); err != nil {
		return false, err
	}
	return true, t.putRow(n, r)
}

// derive makes a record's entries in index, order and tree.
func (t *tx) derive(n []byte) error {
	r, err := t.row(n)
	if err != nil {
		return err
	}
	for _, p := range r.Past {
		if err := t.Table(layout.Order).Put(u64(p.At), n); err != nil {
			return err
		}
	}
	if r.Gone {
		return nil
	}
	shown, err := t.shown(n, r)
	if err != nil {
		return err
	}
	since := r.Came
	if err := t.show(n, r, nil, shown); err != nil {
		return err
	}
	r.Came = since
	if err := t.leaf("up/"+r.Feed, grown(r), r.Key); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// mendFeeds brings a record into the feeds of those below who may have it.
func (t *tx) mendFeeds(n []byte) error {
	r, err := t.row(n)
	if err != nil || r.Line().IsZero() {
		return err
	}
	if err := t.handDown(n, r); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// mendWaiting lets wait for upstream again what was made here and has no receipt.
func (s *Store) mendWaiting() error {
	if s.opt.Top {
		return nil
	}
	receipts := map[record.Lineage]uint64{}
	err := s.mend(func(t *tx) error {
		err := t.Table(layout.Receipts).ForEach(func(k, v []byte) error {
			var r record.Receipt
			err := t.open(layout.Receipts, k, v, &r)
			receipts[r.Lineage] = r.N
			return err
		})
		return errors.Join(err, t.dropStray(), t.mendLinks())
	})
	if err != nil {
		return err
	}
	return s.mendEach(func(t *tx, n []byte) error {
		r, err := t.row(n)
		if err != nil {
			return err
		}
		for _, p := range r.Past {
			name := p.Ref.Name
			made := t.Table(layout.Links).Get(linkKey(name.Lineage, name.N)) != nil
			if made && name.N > receipts[name.Lineage] || slices.Contains(r.Pending, p.Ref) {
				if err := t.reoffer(n, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// dropStray lets go of own changes whose version is not there.
func (t *tx) dropStray() error {
	var stray [][]byte
	err := t.Table(layout.Own).ForEach(func(k, v []byte) error {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		if e.Held {
			if _, ok, err := t.heldAs(e.Ref); err != nil || !ok {
				stray = append(stray, slices.Clone(k))
			}
			return nil
		}
		r, err := t.row(u64(e.Number))
		if p, ok := r.Find(e.Ref.Name); err == nil && (!ok || p.Ref != e.Ref || p.At != num(k)) {
			stray = append(stray, slices.Clone(k))
		}
		return err
	})
	for _, k := range stray {
		err = errors.Join(err, t.Table(layout.Own).Delete(k))
	}
	return err
}
