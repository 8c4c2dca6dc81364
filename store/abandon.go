package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// Abandon lets what a peer handed in and is held aside for its base be taken without it,
// where the chains of the peer's former lives end before it: who made it lost it, and with
// it the base. It waits for upstream under no chain then, and so does what stands behind
// it. Where the lineage speaks after all, it was a twin that lacks it, and the chain waits
// to be proved again.
func (s *Store) Abandon(ctx context.Context, peer string, speaks record.Lineage, reach map[record.Lineage]uint64) error {
	if err := s.rechain(ctx, speaks); err != nil {
		return err
	}
	var lost []Refused
	err := s.view(func(tx *tx) error {
		all, err := tx.heldAll()
		lost = slices.DeleteFunc(all, func(h Refused) bool {
			end, former := reach[h.Ref.Name.Lineage]
			return h.Peer != peer || h.Order == 0 || h.Orphan || h.Abandoned || h.Reason != record.NoBase || !former || end >= h.Ref.Name.N
		})
		return err
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	return s.update(ctx, func(tx *tx) error {
		gaps := map[record.Lineage]uint64{} // the first change that goes up without its chain
		for _, h := range lost {
			e, waits, err := tx.ownAt(h.Order)
			if err != nil {
				return err
			}
			if !waits || e.Foreign || e.Verdict.Taken() {
				continue
			}
			name := h.Ref.Name
			if at, ok := gaps[name.Lineage]; !ok || name.N < at {
				gaps[name.Lineage] = name.N
			}
			h.Orphan, h.Abandoned, e.Foreign = true, true, true
			if err := errors.Join(tx.put(layout.Refused, tx.heldAt(h.Ref), h), tx.putOwn(h.Order, e)); err != nil {
				return err
			}
		}
		return tx.unchain(gaps)
	})
}

// unchain lets what stands in a chain behind a gap that nobody closes go up without it.
func (t *tx) unchain(gaps map[record.Lineage]uint64) error {
	behind := map[uint64]layout.OwnEntry{}
	c := t.Table(layout.Own).Cursor()
	for k, v := c.First(); k != nil && len(gaps) > 0; k, v = c.Next() {
		e, err := t.openOwn(k, v)
		if err != nil {
			return err
		}
		if at, ok := gaps[e.Ref.Name.Lineage]; ok && e.Ref.Name.N > at && !e.Foreign {
			behind[num(k)] = e
		}
	}
	if len(behind) == 0 {
		return nil
	}
	for order, e := range behind {
		e.Foreign, e.Verdict, e.Reason = true, "", ""
		if err := t.putOwn(order, e); err != nil {
			return err
		}
	}
	return t.changeUnchained(func(all map[uint64]layout.OwnEntry) { maps.Copy(all, behind) })
}

// unchainedSetting keeps what goes, or went, up without its chain, by order.
const unchainedSetting = "unchained"

func (t *tx) changeUnchained(f func(map[uint64]layout.OwnEntry)) error {
	return t.updateSetting(unchainedSetting, func(b []byte) ([]byte, error) {
		all := map[uint64]layout.OwnEntry{}
		if b != nil {
			if err := json.Unmarshal(b, &all); err != nil {
				return nil, err
			}
		}
		f(all)
		return json.Marshal(all)
	})
}

// rechain lets what went up without the chain of a lineage wait under it again.
func (s *Store) rechain(ctx context.Context, l record.Lineage) error {
	b, err := s.Setting(unchainedSetting)
	if err != nil || !bytes.Contains(b, []byte(l)) {
		return err
	}
	return s.update(ctx, func(tx *tx) error {
		back := map[uint64]layout.OwnEntry{}
		if err := tx.changeUnchained(func(all map[uint64]layout.OwnEntry) {
			maps.DeleteFunc(all, func(order uint64, e layout.OwnEntry) bool {
				if e.Ref.Name.Lineage != l {
					return false
				}
				back[order] = e
				return true
			})
		}); err != nil {
			return err
		}
		for order, e := range back {
			r, err := tx.row(u64(e.Number))
			if err != nil {
				return err
			}
			if p, ok := r.Find(e.Ref.Name); !ok || r.Gone || p.Ref != e.Ref {
				continue
			}
			e.Foreign, e.Verdict, e.Reason = false, "", ""
			if err := tx.putOwn(order, e); err != nil {
				return err
			}
		}
		return nil
	})
}
