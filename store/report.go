package store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"

	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
)

// Entry is one own change and where it is. Verdict and Reason are upstream's answer
// as long as there is no receipt; empty before any.
type Entry struct {
	Key     record.Key
	Version record.Name
	Stamp   record.Stamp
	Author  string
	Place   record.Place
	Verdict record.Verdict
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
			ver, _, err := tx.ownVersion(u64(e.Number), r, e) // one that is lost has no writer to name
			key := r.Key
			if err == nil {
				key = ver.Key
			}
			out = append(out, entryOf(key, e, ver))
		}
		return nil
	})
	return out, err
}

// Made lists the entries made here from a moment on and before another (Unix
// milliseconds, offset applied), newest first, each with where it is. It goes back
// until an entry that is older for sure, over at most so many versions, and tells
// whether it broke off there. Each has the stamp that dated gives it.
func (s *Store) Made(from, to int64, most int, dated func(record.Name, record.Stamp) record.Stamp) (out []Entry, partial bool, err error) {
	err = s.view(func(tx *tx) error {
		mine, err := tx.mine()
		if err != nil {
			return err
		}
		c := tx.Table(layout.Order).Cursor()
		for k, n := c.Last(); k != nil; k, n = c.Prev() {
			if most--; most < 0 {
				partial = true
				return nil
			}
			r, err := tx.row(n)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(r.Past, func(p layout.Past) bool { return p.At == num(k) })
			if i < 0 || !mine[r.Past[i].Ref.Name.Lineage] {
				continue
			}
			v, err := tx.versionAt(n, num(k))
			if errors.Is(err, record.ErrNotFound) {
				continue // it left this replica's scope
			}
			if err != nil {
				return err
			}
			stamp := dated(v.Name, v.Stamp)
			at := stamp.Corrected()
			if at < from && !stamp.Doubt {
				return nil
			}
			if at < from || at >= to {
				continue
			}
			e := Entry{Key: r.Key, Version: v.Name, Stamp: stamp, Author: v.Author}
			if e.Place, err = tx.placeIn(r, r.Past[i]); err != nil {
				return err
			}
			own, _, err := tx.ownAt(num(k))
			if err != nil {
				return err
			}
			e.Verdict, e.Reason = own.Verdict, own.Reason
			if slices.Contains(r.Left, r.Past[i].Ref) {
				e.Verdict = record.Parked
			}
			out = append(out, e)
		}
		return nil
	})
	return out, partial, err
}

// Stamped tells of versions, newest first and without their place: of those that look
// wants, until it is done or so many were looked at.
func (s *Store) Stamped(look func(record.Name) (wants, done bool), most int, tell func(Entry)) error {
	return s.view(func(tx *tx) error {
		c := tx.Table(layout.Order).Cursor()
		for k, at := c.Last(); k != nil && most > 0; k, at = c.Prev() {
			most--
			r, err := tx.row(at)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(r.Past, func(p layout.Past) bool { return p.At == num(k) })
			if i < 0 {
				continue
			}
			wants, done := look(r.Past[i].Ref.Name)
			if done {
				return nil
			}
			if !wants {
				continue
			}
			v, err := tx.versionAt(at, num(k))
			if errors.Is(err, record.ErrNotFound) {
				continue // it left this replica's scope
			}
			if err != nil {
				return err
			}
			tell(Entry{Key: r.Key, Version: v.Name, Stamp: v.Stamp, Author: v.Author})
		}
		return nil
	})
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
		place, err = tx.placeIn(r, p)
		return err
	})
	return place, err
}

// placeIn tells where a version of a record is. What upstream did not take and was let go of
// stays here, and so does, at a point, what its station waits with.
func (t *tx) placeIn(r *layout.Row, p layout.Past) (record.Place, error) {
	if slices.Contains(r.Left, p.Ref) {
		return record.Here, nil
	}
	place, err := t.placeOf(p.At)
	if place == record.Centre && r.Waits { // and with it what it was made from
		place = record.Here
	}
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

// Since pages through the history of some kinds, or of all with none.
type Since struct {
	Kinds []string
	After int64 // Unix milliseconds; versions that came before are left out
	Limit int
	Page  string
}

// HistoryAll lists versions, those that came last first, and the next page.
func (s *Store) HistoryAll(q Since) ([]*record.Version, string, error) {
	var out []*record.Version
	var last []byte
	next := ""
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Order).Cursor()
		k, n := c.Last()
		if at, err := openPlace(q.Page); err != nil {
			return err
		} else if at != nil {
			if k, n = c.Seek(at); k == nil {
				k, n = c.Last()
			} else {
				k, n = c.Prev()
			}
		}
		for ; k != nil; k, n = c.Prev() {
			v, err := tx.ordered(n, num(k))
			if err != nil {
				return err
			}
			if v != nil && v.Came != 0 && v.Came < q.After {
				return nil // and so did all before it
			}
			if v == nil || !q.wants(v) {
				continue
			}
			if len(out) == q.Limit {
				next = sealPlace(last)
				return nil
			}
			out, last = append(out, v), bytes.Clone(k)
		}
		return nil
	})
	return out, next, err
}

// Changes lists versions in the order in which they came, those behind the place of an
// earlier answer; from "" on the first. The place that it answers is behind the last of
// them, also where more may follow: it is what to ask with next time. It fails with
// query.ParamError for the place of another life of this store, in which what came may have
// been another.
func (s *Store) Changes(q Since) (out []*record.Version, place string, more bool, err error) {
	place = q.Page
	err = s.view(func(tx *tx) error {
		at, err := tx.openChange(q.Page)
		if err != nil {
			return err
		}
		c := tx.Table(layout.Order).Cursor()
		k, n := c.Seek(at)
		if at != nil && string(k) == string(at) {
			k, n = c.Next()
		}
		for ; k != nil; k, n = c.Next() {
			v, err := tx.ordered(n, num(k))
			if err != nil {
				return err
			}
			if v == nil {
				continue
			}
			if q.wants(v) {
				if more = len(out) == q.Limit; more {
					return nil
				}
				out = append(out, v)
			}
			digest := v.Digest()
			place = sealPlace(append(bytes.Clone(k), digest[:8]...))
		}
		return nil
	})
	return out, place, more, err
}

// openChange is the order of a place that Changes gave, where that version came in it.
func (t *tx) openChange(place string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(place)
	if err != nil || len(b) != 0 && len(b) != 16 {
		return nil, &query.ParamError{Param: "page", Why: "value"}
	}
	if len(b) == 0 {
		return nil, nil
	}
	r, err := t.row(t.Table(layout.Order).Get(b[:8]))
	if err != nil {
		return nil, err
	}
	for _, p := range r.Past {
		if p.At == num(b[:8]) && string(p.Ref.Digest[:8]) == string(b[8:]) {
			return b[:8], nil
		}
	}
	return nil, &query.ParamError{Param: "page", Why: "value"}
}

// Came is when the last version came that is held here, in Unix milliseconds; 0 before any.
func (s *Store) Came() (at int64, err error) {
	err = s.view(func(tx *tx) error {
		if last := tx.Table(layout.Meta).Get([]byte(layout.Came)); len(last) == 8 {
			at = int64(num(last))
		}
		return nil
	})
	return at, err
}

func (q Since) wants(v *record.Version) bool {
	return (len(q.Kinds) == 0 || slices.Contains(q.Kinds, v.Key.Kind)) && v.Updated().UnixMilli() >= q.After
}

// A place among all versions is the order of one; it says nothing of anybody.
func sealPlace(order []byte) string { return base64.RawURLEncoding.EncodeToString(order) }

func openPlace(place string) ([]byte, error) {
	order, err := base64.RawURLEncoding.DecodeString(place)
	switch {
	case err != nil || len(order) != 0 && len(order) != 8:
		return nil, &query.ParamError{Param: "page", Why: "value"}
	case len(order) == 0:
		return nil, nil
	}
	return order, nil
}

// ordered reads the version of an order; nil where it is not held any more.
func (t *tx) ordered(n []byte, order uint64) (*record.Version, error) {
	r, err := t.row(n)
	if err != nil || r.Gone {
		return nil, err
	}
	i := slices.IndexFunc(r.Past, func(p layout.Past) bool { return p.At == order })
	if i < 0 {
		return nil, nil
	}
	v, err := t.pastVersion(n, r.Past[i])
	if err == record.ErrNotFound {
		return nil, nil
	}
	return v, err
}

// pastVersion reads a version with when it came here.
func (t *tx) pastVersion(n []byte, p layout.Past) (*record.Version, error) {
	v, err := t.versionAt(n, p.At)
	if err == nil {
		v.Came = p.Came
	}
	return v, err
}

// Pages cuts all that a search finds into parts of so many: the Page of each but the first,
// which is the Until of the one before. What is found later falls into the part where it belongs.
func (s *Store) Pages(q query.Query, size int) (marks []string, total int, err error) {
	if err := query.Check(s.opt.R4, q); err != nil {
		return nil, 0, err
	}
	err = s.view(func(tx *tx) error {
		hits, err := tx.hits(q)
		for at := size; at < len(hits); at += size {
			marks = append(marks, s.sealPage(hits[at-1].Order))
		}
		total = len(hits)
		return err
	})
	return marks, total, err
}

// Contest is an element of a kind about which people disagree; Path as in
// record.Mark.
type Contest struct{ Kind, Path string }

// Tally counts what people have to look at. Its maps must not be changed.
type Tally struct {
	// Contested are the open conflicts.
	Contested map[Contest]int
	// Untold are, by author, values that were made here and did not win, and that
	// their author has not seen yet.
	Untold map[string]int
}

// contest keeps which records have an open conflict.
func (t *tx) contest(n []byte, old, now *record.Version) error {
	contested := now != nil && now.Contested()
	if contested || old != nil && old.Contested() {
		t.retally()
	}
	if contested {
		return t.Table(layout.Contested).Put(n, nil)
	}
	if old == nil {
		return nil
	}
	return t.Table(layout.Contested).Delete(n)
}

// tallied is the last Tally, and the generation of conflicts and vault that it is of.
type tallied struct {
	now, of uint64
	Tally
}

// retally forgets the last Tally when the transaction is committed.
func (t *tx) retally() {
	t.after = append(t.after, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.s.tally.now++
	})
}

// Tally reads all open conflicts and the whole vault, but only when one of them
// changed since the last time.
func (s *Store) Tally() (Tally, error) {
	s.mu.Lock()
	have := s.tally
	s.mu.Unlock()
	if have.Contested != nil && have.of == have.now {
		return have.Tally, nil
	}
	out := Tally{Contested: map[Contest]int{}, Untold: map[string]int{}}
	err := s.view(func(tx *tx) error {
		mine, err := tx.mine()
		if err != nil {
			return err
		}
		err = tx.Table(layout.Contested).ForEach(func(n, _ []byte) error {
			r, err := tx.row(n)
			if err != nil {
				return err
			}
			v, err := tx.shown(n, r)
			if err != nil || v == nil {
				return err
			}
			for _, c := range v.Conflicts() {
				out.Contested[Contest{r.Key.Kind, c.Path}]++
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Table(layout.Vault).ForEach(func(k, v []byte) error {
			var item VaultItem
			if err := tx.open(layout.Vault, k, v, &item); err != nil {
				return err
			}
			for i, w := range item.Lost.By {
				again := slices.ContainsFunc(item.Lost.By[:i], func(o record.Writer) bool { return o.Author == w.Author })
				if mine[w.Name.Lineage] && !again && !slices.Contains(item.Told, w.Author) {
					out.Untold[w.Author]++
				}
			}
			return nil
		})
	})
	if err != nil {
		return out, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.of, s.tally.Tally = have.now, out
	return out, nil
}

// maxLinks bounds the chains that a replica names when it asks.
const maxLinks = 200

// recentProofs is how many lineages a replica names for their newest receipts: upstream
// may have lost what a receipt says, and what it covers has not come down yet.
const recentProofs = 16

const (
	recentLives = 16              // lineages that a replica names when it asks, the newest
	maxWanted   = 4 * recentLives // lineages that an exchange is about
	hour        = 3_600_000       // in milliseconds
)
