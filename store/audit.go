package store

import (
	"context"
	"encoding/json"

	"tram/store/audit"
	"tram/store/layout"
	"tram/store/record"
)

// Audit adds entries about who looked or did something; At is filled in. They
// are durable when it returns.
func (s *Store) Audit(ctx context.Context, entries ...audit.Entry) error {
	at := s.opt.Clock().Corrected()
	return s.orBallast(func() error {
		return s.enter(ctx, func(tx *tx) error {
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

// audit chains an entry behind the last one.
func (t *tx) audit(e audit.Entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	seq := u64(t.Table(layout.Audit).Next())
	t.keep(layout.Act, seq, b)
	return t.putAudit(seq, e, b)
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

// putAudit chains an entry, whose JSON is text, at its place.
func (t *tx) putAudit(seq []byte, e audit.Entry, text []byte) error {
	l := audit.LinkText(t.auditTop(), e, text)
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
	return t.putAudit(e.Parts[0], act, e.Parts[1])
}

// mendAudit chains the audit's entries anew; where some are lost it says so in their
// place.
func (s *Store) mendAudit() error {
	var last uint64
	err := s.mend(func(t *tx) error {
		if k, _ := t.Table(layout.Audit).Cursor().Last(); k != nil {
			last = num(k)
		}
		return t.Table(layout.Meta).Delete([]byte(layout.Chain))
	})
	for seq := uint64(1); err == nil && seq <= last; seq += mendBatch {
		err = s.mend(func(t *tx) error {
			for n := seq; n < seq+mendBatch && n <= last; n++ {
				l := audit.Linked{Entry: audit.Entry{At: s.opt.Clock().Unix, Who: keeper, Action: audit.Lost}}
				plain, err := t.getRaw(layout.Audit, u64(n))
				if err == nil && plain != nil {
					l, err = t.decodeAudit(plain)
				}
				if err != nil {
					return err
				}
				text, err := json.Marshal(l.Entry)
				if err != nil {
					return err
				}
				if err := t.putAudit(u64(n), l.Entry, text); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}
