package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tram/store/audit"
	"tram/store/element"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/space"
)

// Vault lists the values that did not win, newest first; of one record, or of
// all with the zero key.
func (s *Store) Vault(key record.Key, limit int) ([]VaultItem, error) {
	var out []VaultItem
	err := s.view(func(tx *tx) error {
		take := func(k, v []byte) error {
			var item VaultItem
			err := tx.open(layout.Vault, k, v, &item)
			out = append(out, item)
			return err
		}
		if key.IsZero() {
			c := tx.Table(layout.Vault).Cursor()
			for k, v := c.Last(); k != nil && len(out) < limit; k, v = c.Prev() {
				if err := take(k, v); err != nil {
					return err
				}
			}
			return nil
		}
		n := tx.number(key)
		if n == nil {
			return nil
		}
		for _, at := range slices.Backward(tx.lostOf(n)) {
			if len(out) == limit {
				break
			}
			if err := take(at, tx.Table(layout.Vault).Get(at)); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Told notes that somebody has seen a vault item.
func (s *Store) Told(ctx context.Context, id uint64, who string) error {
	return s.update(ctx, func(tx *tx) error {
		var item VaultItem
		if ok, err := tx.get(layout.Vault, u64(id), &item); err != nil || !ok || slices.Contains(item.Told, who) {
			return err
		}
		item.Told = append(item.Told, who)
		tx.retally()
		return tx.put(layout.Vault, u64(id), item)
	})
}

// ErrNoPlace says that a record has no place for a value any more: the element that
// it belonged to is gone, or its list is one whole now.
var ErrNoPlace = errors.New("the record has no place for this value any more")

// Reinstate makes a version in which a value of the vault holds in place of all values
// that its element has now; all else stays. Who wrote it counts as told. It returns
// the present version where the value is shown already, and fails with
// record.ErrNotFound, record.ErrDeleted or ErrNoPlace.
func (s *Store) Reinstate(ctx context.Context, id uint64, author string) (*record.Version, error) {
	if err := s.admit(space.NoRecords); err != nil {
		return nil, fmt.Errorf("reinstate: %w", err)
	}
	var out *record.Version
	err := s.update(ctx, func(tx *tx) error {
		var item VaultItem
		if ok, err := tx.get(layout.Vault, u64(id), &item); err != nil || !ok {
			return cmp.Or(err, record.ErrNotFound)
		}
		st, found, err := tx.stand(item.Key)
		switch {
		case err != nil:
			return err
		case !found || st.Gone:
			return record.ErrNotFound
		case st.Shown.Deleted:
			return record.ErrDeleted
		}
		tree, err := element.Read(s.opt.R4, st.Shown)
		if err != nil {
			return err
		}
		d, now := element.Again(tree, item.Lost)
		if now == nil {
			return ErrNoPlace
		}
		value, err := element.Parse(d.Value)
		if err != nil {
			return err
		}
		if out = st.Shown; now.Contested() || !element.Same(value, now.Shown) {
			if out, err = tx.write(Write{Key: item.Key, Base: st.Tag(), Decisions: []record.Decision{d}, Author: author}, &facts{}); err != nil {
				return err
			}
		}
		item.Told = append(item.Told, author)
		for _, w := range item.Lost.By {
			item.Told = append(item.Told, w.Author)
		}
		slices.Sort(item.Told)
		item.Told = slices.Compact(item.Told)
		tx.retally()
		return tx.put(layout.Vault, u64(id), item)
	})
	if err != nil {
		return nil, fmt.Errorf("reinstate: %w", err)
	}
	return out, nil
}

// VaultItem is a value that did not win, kept for whoever wants it back.
type VaultItem struct {
	ID    uint64      `json:"id"`
	Key   record.Key  `json:"key"`
	Merge record.Name `json:"merge"`
	Lost  record.Lost `json:"lost"`
	At    int64       `json:"at"`
	Told  []string    `json:"told,omitempty"` // who has seen it
}

// keepLost puts the values that a version was made against into the vault, each once: a
// version may come again, and one value lose in a preview and in the merge.
func (t *tx) keepLost(n []byte, v *record.Version) error {
	if len(v.Lost) == 0 {
		return nil
	}
	t.retally()
	kept, err := t.inVault(n)
	if err != nil {
		return err
	}
	for _, l := range v.Lost {
		if holdsLost(kept, l) {
			continue
		}
		seq := t.Table(layout.Vault).Next()
		item := VaultItem{ID: seq, Key: v.Key, Merge: v.Name, Lost: l, At: v.Stamp.Corrected()}
		if err := t.put(layout.Vault, u64(seq), item); err != nil {
			return err
		}
		if err := t.Table(layout.VaultOf).Put(join(n, u64(seq)), nil); err != nil {
			return err
		}
	}
	return nil
}

// keepTaken does so for a change that was taken in, and what it was merged to.
func (t *tx) keepTaken(n []byte, d record.Decided) error {
	if err := t.keepLost(n, d.Version); err != nil || d.Merge == nil {
		return err
	}
	return t.keepLost(n, d.Merge)
}

// inVault are the values of a record in the vault.
func (t *tx) inVault(n []byte) (out []record.Lost, err error) {
	for _, at := range t.lostOf(n) {
		var item VaultItem
		if _, err := t.get(layout.Vault, at, &item); err != nil {
			return nil, err
		}
		out = append(out, item.Lost)
	}
	return out, nil
}

// lostOf lists the places in the vault of a record's values, oldest first.
func (t *tx) lostOf(n []byte) (out [][]byte) {
	c := t.Table(layout.VaultOf).Cursor()
	for k, _ := c.Seek(n); len(k) == 16 && string(k[:8]) == string(n); k, _ = c.Next() {
		out = append(out, slices.Clone(k[8:]))
	}
	return out
}

// dropLost takes a record's values out of the vault.
func (t *tx) dropLost(n []byte) error {
	t.retally()
	var err error
	for _, at := range t.lostOf(n) {
		err = errors.Join(err, t.Table(layout.Vault).Delete(at), t.Table(layout.VaultOf).Delete(join(n, at)))
	}
	return err
}

// listVault lists the vault's values by record, which schema 2 did not, and leaves out
// those of which the journal made another again, for want of the list.
func (t *tx) listVault() error {
	var twice [][]byte
	err := t.Table(layout.Vault).ForEach(func(k, v []byte) error {
		var item VaultItem
		if err := t.open(layout.Vault, k, v, &item); err != nil {
			return err
		}
		n := t.number(item.Key)
		if n == nil || slices.ContainsFunc(t.lostOf(n), func(at []byte) bool { return string(at) == string(k) }) {
			return nil
		}
		kept, err := t.inVault(n)
		if err != nil || holdsLost(kept, item.Lost) {
			twice = append(twice, slices.Clone(k))
			return err
		}
		return t.Table(layout.VaultOf).Put(join(n, k), nil)
	})
	for _, k := range twice {
		err = errors.Join(err, t.Table(layout.Vault).Delete(k))
	}
	return err
}

// holdsLost reports whether what somebody wrote is among values that did not win.
func holdsLost(kept []record.Lost, l record.Lost) bool {
	return slices.ContainsFunc(kept, func(k record.Lost) bool {
		return k.Path == l.Path && string(k.Value) == string(l.Value) &&
			slices.EqualFunc(k.By, l.By, func(a, b record.Writer) bool { return a.Name == b.Name })
	})
}

// mendVault puts what a record's versions were made against into the vault again.
func (t *tx) mendVault(n []byte) error {
	r, err := t.row(n)
	if err != nil || r.Gone {
		return err
	}
	for _, p := range r.Past {
		v, err := t.versionAt(n, p.At)
		if err != nil {
			return err
		}
		if err := t.keepLost(n, v); err != nil {
			return err
		}
	}
	return nil
}

// Rescued is an own version of a record that left this replica's scope before upstream
// had proved to hold the version.
type Rescued struct {
	ID      uint64
	Version *record.Version
	// Place tells where the version is, and Reason why upstream did not take it.
	Place  record.Place
	Reason record.Reason
	// Here says that the record is held here again.
	Here bool
}

// Rescued lists what was kept of records that left, oldest first, at most limit.
func (s *Store) Rescued(limit int) ([]Rescued, error) {
	var out []Rescued
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Rescued).Cursor()
		for k, sealed := c.First(); k != nil && len(out) < limit; k, sealed = c.Next() {
			plain, err := tx.unseal(layout.Rescued, k, sealed)
			if err != nil {
				return err
			}
			item := Rescued{ID: num(k), Place: record.Centre}
			if item.Version, err = record.DecodeVersion(plain); err != nil {
				return err
			}
			e, r, err := tx.rescuedOwn(item.Version)
			if err != nil {
				return err
			}
			if item.Here = !r.Gone && len(r.Past) > 0; e != nil {
				entry := entryOf(r.Key, *e, item.Version)
				item.Place, item.Reason = entry.Place, entry.Reason
			}
			out = append(out, item)
		}
		return nil
	})
	return out, err
}

// rescuedOwn finds the own change that a rescued version still is; nil where upstream
// has it.
func (t *tx) rescuedOwn(v *record.Version) (*layout.OwnEntry, *layout.Row, error) {
	r, err := t.row(t.number(v.Key))
	if err != nil {
		return nil, nil, err
	}
	p, ok := r.Find(v.Name)
	if !ok {
		return nil, r, nil
	}
	e, waits, err := t.ownAt(p.At)
	if err != nil || !waits {
		return nil, r, err
	}
	return &e, r, nil
}

// RescuedCount is how many versions are kept of records that left.
func (s *Store) RescuedCount() (n int, err error) {
	err = s.view(func(tx *tx) error {
		n = tx.Table(layout.Rescued).Len()
		return nil
	})
	return n, err
}

// Dismiss lets go of what was kept of a record that left: a person saw it. What
// upstream has not answered yet is handed in all the same; what it did not take goes.
// It fails with record.ErrNotFound where there is no such item.
func (s *Store) Dismiss(ctx context.Context, id uint64, who string) error {
	return s.update(ctx, func(tx *tx) error {
		plain, err := tx.getRaw(layout.Rescued, u64(id))
		if err != nil || plain == nil {
			return cmp.Or(err, record.ErrNotFound)
		}
		v, err := record.DecodeVersion(plain)
		if err != nil {
			return err
		}
		e, r, err := tx.rescuedOwn(v)
		if err != nil {
			return err
		}
		if e != nil && e.Verdict == record.Parked && !slices.Contains(r.Pending, e.Ref) {
			p, _ := r.Find(v.Name)
			if err := tx.settled(p.At); err != nil {
				return err
			}
		}
		if err := tx.Table(layout.Rescued).Delete(u64(id)); err != nil {
			return err
		}
		return tx.audit(audit.Entry{At: s.opt.Clock().Corrected(), Who: who, Action: audit.Dismiss, Key: v.Key, Version: v.Name})
	})
}

// Contested lists the records of some kinds, or of all, with an open conflict, at most limit.
func (s *Store) Contested(limit int, kinds ...string) ([]*record.Stand, error) {
	var out []*record.Stand
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Contested).Cursor()
		for k, _ := c.First(); k != nil && len(out) < limit; k, _ = c.Next() {
			r, err := tx.row(k)
			if err != nil {
				return err
			}
			if len(kinds) > 0 && !slices.Contains(kinds, r.Key.Kind) {
				continue
			}
			st, _, err := tx.stand(r.Key)
			if err != nil {
				return err
			}
			out = append(out, st)
		}
		return nil
	})
	return out, err
}

// had reports whether a feed ever offered a record.
func (t *tx) had(feed string, n []byte) (bool, error) {
	id := t.feedID(feed)
	seq := t.Table(layout.FeedAt).Get(join(id, n))
	if seq == nil {
		return false, nil
	}
	var e feedEntry
	_, err := t.get(layout.Feeds, join(id, seq), &e)
	return !e.Never, err
}

// goneFrom tells a peer that a record which it handed in is not in its scope.
func (t *tx) goneFrom(feed string, n []byte, r *layout.Row) error {
	had, err := t.had(feed, n)
	if err != nil {
		return err
	}
	return t.offerTo(feed, n, feedEntry{Number: num(n), Key: r.Key, Ref: r.Head, Gone: true, Never: !had})
}

// goneHere tells a peer that a record which it has is not held here any more.
func (t *tx) goneHere(feed string, n []byte, r *layout.Row, ref record.Ref) error {
	if t.s.opt.Top {
		return nil
	}
	return t.offerTo(feed, n, feedEntry{Number: num(n), Key: r.Key, Ref: ref, Gone: true})
}

// Acts are the audit's entries behind a number, at most max, up to where one is missing.
func (s *Store) Acts(after uint64, max int) (audit.Segment, error) {
	seg := audit.Segment{From: after + 1}
	err := s.view(func(tx *tx) error {
		acts := tx.Table(layout.Audit)
		if plain, err := tx.getRaw(layout.Audit, u64(after)); err != nil {
			return err
		} else if plain != nil {
			before, err := tx.decodeAudit(plain)
			if err != nil {
				return err
			}
			seg.Before, seg.After = before.Chain, before.Chain
		}
		c := acts.Cursor()
		for k, v := c.Seek(u64(after + 1)); k != nil && len(seg.Acts) < max; k, v = c.Next() {
			if len(seg.Acts) == 0 {
				seg.From = num(k)
			} else if num(k) != seg.Last()+1 {
				return nil
			}
			plain, err := tx.unseal(layout.Audit, k, v)
			if err != nil {
				return err
			}
			l, err := tx.decodeAudit(plain)
			if err != nil {
				return err
			}
			text, err := json.Marshal(l.Entry)
			if err != nil {
				return err
			}
			seg.Acts, seg.After = append(seg.Acts, text), l.Chain
		}
		return nil
	})
	return seg, err
}

// ActsBefore lists the audit's entries whose number is below one, newest first: those
// about some records, or all where none is named. Number 0 stands behind the last.
func (s *Store) ActsBefore(n uint64, limit int, keys ...record.Key) ([]audit.Numbered, error) {
	var out []audit.Numbered
	err := s.view(func(tx *tx) error {
		for _, at := range tx.actsBefore(cmp.Or(n, ^uint64(0)), limit, keys) {
			plain, err := tx.getRaw(layout.Audit, u64(at))
			if err != nil {
				return err
			}
			l, err := tx.decodeAudit(plain)
			if err != nil {
				return err
			}
			out = append(out, audit.Numbered{Linked: l, N: at})
		}
		return nil
	})
	return out, err
}

func (t *tx) actsBefore(n uint64, limit int, keys []record.Key) (out []uint64) {
	scan := func(table string, of []byte) {
		c := t.Table(table).Cursor()
		k, _ := c.Seek(join(of, u64(n)))
		if k == nil {
			k, _ = c.Last()
		} else {
			k, _ = c.Prev()
		}
		for i := 0; i < limit && len(k) == len(of)+8 && string(k[:len(of)]) == string(of); i++ {
			out = append(out, num(k[len(of):]))
			k, _ = c.Prev()
		}
	}
	if len(keys) == 0 {
		scan(layout.Audit, nil)
	}
	for _, key := range keys {
		if of := t.number(key); of != nil {
			scan(layout.AuditOf, of)
		}
	}
	slices.SortFunc(out, func(a, b uint64) int { return cmp.Compare(b, a) })
	out = slices.Compact(out)
	return out[:min(len(out), limit)]
}
