package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tram/store/audit"
	"tram/store/element"
	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
	"tram/store/space"
)

// Counts tell how a replica stands: Records = Agreed + those of which upstream
// has not said yet that it holds them.
type Counts struct {
	Records, People int
	Agreed          int // shown just as upstream has it
	Waiting         int // own changes without a receipt
	Parked          int // own changes that upstream did not take
	Held            int // changes from below that were not taken here
	Conflicts       int // records with an open conflict
	Vault           int // values that did not win
	OldestUnsent    int64
}

// Waiting counts from the books, in time proportional to what waits, is contested
// or in the vault, not to the records.
func (s *Store) Waiting() (Counts, error) {
	var c Counts
	err := s.view(func(tx *tx) error {
		c.Conflicts = tx.Table(layout.Contested).Len()
		c.Vault = tx.Table(layout.Vault).Len()
		c.Held = tx.Table(layout.Refused).Len()
		c.Records = int(tx.shownCount())
		unsettled := map[uint64]bool{}
		err := tx.Table(layout.Own).ForEach(func(k, v []byte) error {
			e, err := tx.openOwn(k, v)
			if err != nil {
				return err
			}
			r, err := tx.row(u64(e.Number))
			if err != nil {
				return err
			}
			if !r.Gone {
				unsettled[e.Number] = true
			}
			if e.Verdict == record.Parked {
				c.Parked++
				return nil
			}
			c.Waiting++
			if c.OldestUnsent == 0 {
				ver, err := tx.version(u64(e.Number), r, e.Ref)
				if err != nil {
					return err
				}
				c.OldestUnsent = ver.Stamp.Corrected()
			}
			return nil
		})
		c.Agreed = c.Records - len(unsettled)
		return err
	})
	c.People = s.people.Len()
	return c, err
}

// Entry is one own change and where it is.
type Entry struct {
	Key     record.Key
	Version record.Name
	Stamp   record.Stamp
	Author  string
	Place   record.Place
	Reason  record.Reason
}

// WaitingList lists the own changes without a receipt, oldest first.
func (s *Store) WaitingList(limit int) ([]Entry, error) {
	var out []Entry
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Own).Cursor()
		for k, v := c.First(); k != nil && len(out) < limit; k, v = c.Next() {
			e, err := tx.openOwn(k, v)
			if err != nil {
				return err
			}
			r, err := tx.row(u64(e.Number))
			if err != nil {
				return err
			}
			entry := Entry{Key: r.Key, Version: e.Ref.Name, Place: record.Here, Reason: e.Reason}
			if e.Verdict == record.Parked {
				entry.Place = record.NeedsUs
			}
			if v, err := tx.version(u64(e.Number), r, e.Ref); err == nil {
				entry.Stamp, entry.Author = v.Stamp, v.Author
			}
			out = append(out, entry)
		}
		return nil
	})
	return out, err
}

// PlaceOf tells where one version is: at the centre only by its receipt, or
// because it came from there.
func (s *Store) PlaceOf(key record.Key, name record.Name) (record.Place, error) {
	place := record.Nowhere
	err := s.view(func(tx *tx) error {
		r, err := tx.row(tx.number(key))
		if err != nil {
			return err
		}
		p, ok := r.Find(name)
		if !ok {
			return nil
		}
		place, err = tx.placeOf(p.At)
		return err
	})
	return place, err
}

func (t *tx) placeOf(order uint64) (record.Place, error) {
	e, waits, err := t.ownAt(order)
	if err != nil {
		return record.Nowhere, err
	}
	if !waits {
		return record.Centre, nil // receipted, or it came down
	}
	if e.Verdict == record.Parked {
		return record.NeedsUs, nil
	}
	return record.Here, nil
}

// Place tells where what a record shows is.
func (s *Store) Place(st *record.Stand) (record.Place, error) {
	switch {
	case st.Shown == nil:
		return record.Nowhere, nil
	case st.Shown.Contested() || st.Parked != "":
		return record.NeedsUs, nil
	case len(st.Pending) > 0:
		return s.PlaceOf(st.Key, st.Pending[len(st.Pending)-1].Name)
	}
	return s.PlaceOf(st.Key, st.Head.Name)
}

// Contested lists the records with an open conflict, at most limit.
func (s *Store) Contested(limit int) ([]*record.Stand, error) {
	var out []*record.Stand
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Contested).Cursor()
		for k, _ := c.First(); k != nil && len(out) < limit; k, _ = c.Next() {
			r, err := tx.row(k)
			if err != nil {
				return err
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
		return tx.put(layout.Vault, u64(id), item)
	})
	if err != nil {
		return nil, fmt.Errorf("reinstate: %w", err)
	}
	return out, nil
}

// Held lists the changes from below that were not taken here.
func (s *Store) Held() ([]Refused, error) {
	var out []Refused
	err := s.view(func(tx *tx) error {
		return tx.Table(layout.Refused).ForEach(func(k, v []byte) error {
			var r Refused
			if err := tx.open(layout.Refused, k, v, &r); err != nil {
				return err
			}
			out = append(out, r)
			return nil
		})
	})
	return out, err
}

// Audit adds entries about who looked or did something; At is filled in. They
// are durable when it returns.
func (s *Store) Audit(ctx context.Context, entries ...audit.Entry) error {
	at := s.opt.Clock().Corrected()
	return s.orBallast(func() error {
		return s.update(ctx, func(tx *tx) error {
			for _, e := range entries {
				e.At = at
				if err := tx.audit(e); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// AuditOf lists the entries about one record, newest first.
func (s *Store) AuditOf(key record.Key, limit int) ([]audit.Linked, error) {
	var out []audit.Linked
	err := s.view(func(tx *tx) error {
		n := tx.number(key)
		if n == nil {
			return nil
		}
		c := tx.Table(layout.AuditOf).Cursor()
		k, _ := c.Seek(join(n, u64(^uint64(0))))
		if k == nil {
			k, _ = c.Last()
		} else {
			k, _ = c.Prev()
		}
		for ; len(k) == 16 && string(k[:8]) == string(n) && len(out) < limit; k, _ = c.Prev() {
			plain, err := tx.getRaw(layout.Audit, k[8:])
			if err != nil {
				return err
			}
			l, err := tx.decodeAudit(plain)
			if err != nil {
				return err
			}
			out = append(out, l)
		}
		return nil
	})
	return out, err
}

// Since pages through the history of a kind, or of all with Kind "".
type Since struct {
	Kind  string
	After int64 // Unix milliseconds; versions stamped before are left out
	Limit int
	Page  string
}

// HistoryAll lists versions, those that came last first, and the next page.
func (s *Store) HistoryAll(q Since) ([]*record.Version, string, error) {
	var out []*record.Version
	var lastOrder []byte
	next := ""
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Order).Cursor()
		k, n := c.Last()
		if at, err := base64.RawURLEncoding.DecodeString(q.Page); err != nil || len(at) != 0 && len(at) != 8 {
			return &query.ParamError{Param: "page", Why: "value"}
		} else if len(at) == 8 {
			if k, n = c.Seek(at); k == nil {
				k, n = c.Last()
			} else {
				k, n = c.Prev()
			}
		}
		for ; k != nil; k, n = c.Prev() {
			if r, err := tx.row(n); err != nil || r.Gone {
				if err != nil {
					return err
				}
				continue
			}
			v, err := tx.versionAt(n, num(k))
			if err == record.ErrNotFound {
				continue
			}
			if err != nil {
				return err
			}
			if q.Kind != "" && v.Key.Kind != q.Kind || v.Stamp.Corrected() < q.After {
				continue
			}
			if len(out) == q.Limit {
				next = base64.RawURLEncoding.EncodeToString(lastOrder)
				return nil
			}
			out = append(out, v)
			lastOrder = append([]byte(nil), k...)
		}
		return nil
	})
	return out, next, err
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

// keepLost puts the values that a merge decided against into the vault.
func (t *tx) keepLost(n []byte, v *record.Version) error {
	for _, l := range v.Lost {
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
	var err error
	for _, at := range t.lostOf(n) {
		err = errors.Join(err, t.Table(layout.Vault).Delete(at), t.Table(layout.VaultOf).Delete(join(n, at)))
	}
	return err
}

// audit chains an entry behind the last one.
func (t *tx) audit(e audit.Entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	seq := u64(t.Table(layout.Audit).Next())
	t.keep(layout.Act, seq, b)
	return t.putAudit(seq, e)
}

// decodeAudit reads an entry; its record's key stands with the record.
func (t *tx) decodeAudit(plain []byte) (audit.Linked, error) {
	a, err := layout.DecodeAudit(plain)
	if err != nil || a.Number == 0 {
		return a.Linked, err
	}
	r, err := t.row(u64(a.Number))
	a.Key = r.Key
	return a.Linked, err
}

// auditTop is the digest of the audit's last entry.
func (t *tx) auditTop() record.Digest {
	var d record.Digest
	copy(d[:], t.Table(layout.Meta).Get([]byte(layout.Chain)))
	return d
}

func (t *tx) putAudit(seq []byte, e audit.Entry) error {
	l, err := audit.Link(t.auditTop(), e)
	if err != nil {
		return err
	}
	n := t.number(e.Key)
	act := layout.AuditEntry{Linked: l, Number: 0}
	if n != nil {
		act.Number = num(n)
	}
	if err := t.putRaw(layout.Audit, seq, act.Encode()); err != nil {
		return err
	}
	if n != nil {
		if err := t.Table(layout.AuditOf).Put(join(n, seq), nil); err != nil {
			return err
		}
	}
	return t.Table(layout.Meta).Put([]byte(layout.Chain), l.Chain[:])
}

// auditAgain puts an entry of the journal behind the others, once. Its place may be
// beyond the end where others before it are lost.
func (t *tx) auditAgain(e layout.Entry) error {
	if t.Table(layout.Audit).Get(e.Parts[0]) != nil {
		return nil
	}
	var act audit.Entry
	if err := json.Unmarshal(e.Parts[1], &act); err != nil {
		return err
	}
	t.Table(layout.Audit).Reach(num(e.Parts[0]))
	return t.putAudit(e.Parts[0], act)
}
