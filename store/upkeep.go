package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tram/store/journal"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/space"
)

// alone runs f while nobody writes. What writes meanwhile waits.
func (s *Store) alone(ctx context.Context, f func() error) error {
	return s.queue(ctx, &job{alone: f, err: make(chan error, 1)})
}

// Compact makes the database as small as what it holds, while others read and
// write. It needs room for a second copy. After an error all is as it was.
func (s *Store) Compact(ctx context.Context) error {
	var swapped error
	err := s.db.Compact(ctx, func(last func() error) error {
		return s.alone(ctx, func() error {
			if err := s.Stopped(); err != nil {
				return err
			}
			swapped = last()
			return swapped
		})
	})
	if swapped != nil && !s.db.Usable() {
		return s.stop(swapped)
	}
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// wasteful reports whether compacting is worth it: a third of a database of some
// size holds nothing.
func (s *Store) wasteful() bool {
	used, size := s.db.Use()
	if size < 64<<20 || used > size*2/3 {
		return false
	}
	free, _, err := space.Free(s.opt.Dir)
	return err == nil && free > 2*used+(64<<20)
}

// Upkeep does what can wait for an idle moment: it lets go of what the journal need
// not keep, ends a rotation of keys that was cut short, holds the ballast, and
// compacts the database where that is worth it. It may be cut at any point.
func (s *Store) Upkeep(ctx context.Context) error {
	steps := []func(context.Context) error{s.trim, s.reseal, func(context.Context) error { return s.room.Hold() }}
	if s.wasteful() {
		steps = append(steps, s.Compact)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("upkeep: %w", err)
		}
	}
	return nil
}

// Rotate seals under a new data key from now on, and then everything that is there,
// while others read and write; in the end the old keys are gone. One cut short goes
// on with Upkeep, or by being called again.
func (s *Store) Rotate(ctx context.Context) error {
	if err := s.keys.Rotate(); err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	if err := s.reseal(ctx); err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	return nil
}

// reseal seals what is under an older key under the newest, and retires the older.
func (s *Store) reseal(ctx context.Context) error {
	ring := s.keys.Ring()
	if len(ring) < 2 {
		return nil
	}
	for _, name := range layout.Sealed() {
		if err := s.resealTable(ctx, name); err != nil {
			return err
		}
	}
	if err := s.blobs.Reseal(ctx); err != nil {
		return err
	}
	if err := s.alone(ctx, s.journal.Next); err != nil {
		return err
	}
	if err := s.journal.Reseal(ctx); err != nil {
		return err
	}
	for _, n := range ring[:len(ring)-1] {
		if err := s.keys.Retire(n); err != nil {
			return err
		}
	}
	return nil
}

// resealBatch is how many values are sealed anew in one transaction.
const resealBatch = 500

func (s *Store) resealTable(ctx context.Context, name string) error {
	var from []byte
	for more := true; more; {
		var old [][]byte
		err := s.view(func(t *tx) error {
			more = false
			c := t.Table(name).Cursor()
			for k, v := c.Seek(from); k != nil; k, v = c.Next() {
				if len(old) == resealBatch {
					from, more = slices.Clone(k), true
					return nil
				}
				if layout.IsSealed(name, k) && !s.keys.Newest(v) {
					old = append(old, slices.Clone(k))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(old) == 0 {
			continue
		}
		err = s.update(ctx, func(t *tx) error {
			for _, k := range old {
				plain, err := t.getRaw(name, k)
				if err != nil || plain == nil {
					return err
				}
				if err := t.putRaw(name, k, plain); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepJournal is how long the journal keeps what the centre has, by the centre's
// signed time.
const keepJournal = 30 * 24 * time.Hour

// kSettled is where the centre's time is kept at which a segment of the journal was
// first found to hold nothing that the centre has not.
func kSettled(segment uint32) []byte { return fmt.Appendf(nil, "settled-%d", segment) }

// trim lets go of the oldest segments of the journal that hold nothing that the
// centre has not had for long. What the centre never gets, settings and who looked,
// is written again at the end first.
func (s *Store) trim(ctx context.Context) error {
	if s.opt.Top {
		return nil // nobody else has what its journal holds
	}
	segments, err := s.journal.Segments()
	if err != nil {
		return err
	}
	for _, seg := range segments[:max(len(segments)-1, 0)] {
		done, err := s.settledFor(ctx, seg)
		if err != nil || !done {
			return err
		}
		if err := s.carryOn(ctx, seg); err != nil {
			return err
		}
		keep := journal.Position{Segment: seg + 1}
		if err := s.alone(ctx, func() error { return s.journal.Trim(keep) }); err != nil {
			return err
		}
	}
	return nil
}

// settledFor reports whether a segment has long held nothing that the centre has not.
func (s *Store) settledFor(ctx context.Context, seg uint32) (bool, error) {
	settled := true
	var now, since int64
	err := s.view(func(t *tx) error {
		err := t.Table(layout.Receipts).ForEach(func(k, v []byte) error {
			var r record.Receipt
			err := t.open(layout.Receipts, k, v, &r)
			now = max(now, r.At)
			return err
		})
		if err != nil {
			return err
		}
		if b := t.Table(layout.Meta).Get(kSettled(seg)); len(b) == 8 {
			since = int64(num(b))
			return nil
		}
		return s.journal.Read(seg, func(_ journal.Position, b []byte) error {
			es, err := layout.DecodeEntries(b)
			if err != nil {
				return err
			}
			for _, e := range es {
				waits, err := t.waitsStill(e)
				if err != nil {
					return err
				}
				settled = settled && !waits
			}
			return nil
		})
	})
	if err != nil || !settled {
		return false, err
	}
	if since == 0 {
		return false, s.update(ctx, func(t *tx) error { return t.Table(layout.Meta).Put(kSettled(seg), u64(uint64(now))) })
	}
	return now-since >= keepJournal.Milliseconds(), nil
}

// waitsStill reports whether the centre has not an entry's version yet.
func (t *tx) waitsStill(e layout.Entry) (bool, error) {
	if e.Kind != layout.Put {
		return false, nil
	}
	v, err := record.DecodeVersion(e.Parts[0])
	if err != nil {
		return false, err
	}
	r, err := t.row(t.number(v.Key))
	if err != nil {
		return false, err
	}
	p, ok := r.Find(v.Name)
	if !ok {
		return false, nil // its record went out of scope, and what waited of it is handed in
	}
	_, waits, err := t.ownAt(p.At)
	return waits, err
}

// carryOn writes again, at the end, what a segment holds that the centre never gets.
func (s *Store) carryOn(ctx context.Context, seg uint32) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.Table(layout.Meta).Delete(kSettled(seg)); err != nil {
			return err
		}
		settings := false
		err := s.journal.Read(seg, func(_ journal.Position, b []byte) error {
			es, err := layout.DecodeEntries(b)
			if err != nil {
				return err
			}
			for _, e := range es {
				switch e.Kind {
				case layout.Act:
					t.keep(layout.Act, slices.Clone(e.Parts[0]), slices.Clone(e.Parts[1]))
				case layout.Setting, layout.Peer:
					settings = true
				}
			}
			return nil
		})
		if err != nil || !settings {
			return err
		}
		return t.carrySettings()
	})
}

func (t *tx) carrySettings() error {
	err := t.Table(layout.Settings).ForEach(func(k, v []byte) error {
		plain, err := t.unseal(layout.Settings, k, v)
		t.keep(layout.Setting, slices.Clone(k), plain)
		return err
	})
	if err != nil {
		return err
	}
	peers, err := t.readPeers()
	for _, p := range peers {
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		t.keep(layout.Peer, b)
	}
	return err
}

// ErrLow says that the disk is nearly full: what is new is refused, so that what is
// there can still be sent and read.
var ErrLow = fmt.Errorf("%w: room is kept for sending what is there", ErrFull)

// admit refuses new records where the disk is nearly full.
func (s *Store) admit(least space.State) error {
	if state, err := s.Room(); err != nil || state < least {
		return err
	}
	return ErrLow
}

// roomFor is how long a look at the disk's room counts.
const roomFor = time.Second

// Room is how much room there is on the disks of records and journal.
func (s *Store) Room() (space.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < roomFor {
		return s.state, nil
	}
	state, err := s.room.State()
	if err != nil {
		return space.Enough, err
	}
	s.looked, s.state = time.Now(), state
	return state, nil
}

// orBallast runs a write that must succeed also on a full disk, once more without
// the ballast where there was no room.
func (s *Store) orBallast(write func() error) error {
	err := write()
	if errors.Is(err, ErrFull) && s.room.Release() {
		s.opt.Log.Warn("the disk is full; the ballast is given up")
		return write()
	}
	return err
}
