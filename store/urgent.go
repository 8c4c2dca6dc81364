package store

import (
	"bytes"
	"cmp"
	"slices"

	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
)

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
