package store

import (
	"encoding/base64"

	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
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
