package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"tram/store/journal"
	"tram/store/record"
)

// job is one transaction's work, waiting for its turn. Work checks before it
// writes, so that a refused one leaves nothing behind.
type job struct {
	run func(*tx) error
	err chan error
}

// maxGroup bounds how many writers share one pair of syncs.
const maxGroup = 256

// update runs work in the next commit and returns when it is durable. Once it
// was handed over, a cancelled context does not call it back.
func (s *Store) update(ctx context.Context, run func(*tx) error) error {
	j := &job{run, make(chan error, 1)}
	select {
	case s.jobs <- j:
		return <-j.err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return ErrStopped
	}
}

func (s *Store) view(f func(*tx) error) error {
	return s.db.View(func(b *bbolt.Tx) error { return f(&tx{Tx: b, s: s}) })
}

// loop is the one writer. It takes what waits and commits it together.
func (s *Store) loop() {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			return
		case j := <-s.jobs:
			group := []*job{j}
			for more := true; more && len(group) < maxGroup; {
				select {
				case j := <-s.jobs:
					group = append(group, j)
				default:
					more = false
				}
			}
			s.commit(group)
		}
	}
}

// commit runs a group in one transaction. Where one of several is refused, each
// runs alone.
func (s *Store) commit(group []*job) {
	err := s.try(group)
	if err != nil && len(group) > 1 && s.Stopped() == nil {
		for _, j := range group {
			j.err <- s.try([]*job{j})
		}
		return
	}
	for _, j := range group {
		j.err <- err
	}
}

// Stopped is the error after which nothing is acknowledged any more; nil while
// all is well.
func (s *Store) Stopped() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *Store) stop(err error) error {
	s.mu.Lock()
	s.stopped = fmt.Errorf("%w: %w", ErrStopped, err)
	s.mu.Unlock()
	s.opt.Log.Error("store stopped", "err", err)
	return s.stopped
}

func (s *Store) try(group []*job) error {
	if err := s.Stopped(); err != nil {
		return err
	}
	b, err := s.db.Begin(true)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{Tx: b, s: s}
	for _, j := range group {
		if err := j.run(t); err != nil {
			return errors.Join(err, b.Rollback())
		}
	}
	if err := s.log(t); err != nil {
		b.Rollback()
		if errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		return s.stop(err)
	}
	if err := b.Commit(); err != nil {
		return s.failed(t, err)
	}
	for _, f := range t.after {
		f()
	}
	s.mu.Lock()
	close(s.watch)
	s.watch = make(chan struct{})
	s.mu.Unlock()
	return nil
}

// entry is what the journal keeps of one change: enough to make it again.
type entry struct {
	// Put is a version made here.
	Put []byte `json:"put,omitempty"`
	// Taken is a change from below, Version and Merge its versions.
	Taken   *record.Decided `json:"taken,omitempty"`
	Peer    string          `json:"peer,omitempty"`
	Version []byte          `json:"version,omitempty"`
	Merge   []byte          `json:"merge,omitempty"`
	// Void takes back the entry that ends at this position: its commit failed.
	Void *journal.Position `json:"void,omitempty"`
}

// log puts a transaction's changes into the journal, and the journal's
// position into the transaction.
func (s *Store) log(t *tx) error {
	if len(t.entries) == 0 || t.replaying {
		return nil
	}
	b, err := json.Marshal(t.entries)
	if err != nil {
		return err
	}
	at, err := s.journal.Append(b)
	if err != nil {
		return err
	}
	t.entries[0].Void = &at // remembered for failed
	return t.put(bMeta, kJournal, at)
}

// failed answers for a commit that did not succeed: its outcome is unknown, so
// the journal takes it back; where even that fails, the store stops.
func (s *Store) failed(t *tx, cause error) error {
	if !errors.Is(cause, syscall.ENOSPC) && !errors.Is(cause, bolterrors.ErrMaxSizeReached) {
		return s.stop(cause)
	}
	if len(t.entries) > 0 && t.entries[0].Void != nil {
		b, err := json.Marshal([]entry{{Void: t.entries[0].Void}})
		if err == nil {
			_, err = s.journal.Append(b)
		}
		if err != nil {
			return s.stop(errors.Join(cause, err))
		}
	}
	return fmt.Errorf("%w: %w", ErrFull, cause)
}

// replay makes again what the journal has and the database has not.
func (s *Store) replay() error {
	var at journal.Position
	err := s.view(func(tx *tx) error {
		_, err := tx.get(bMeta, kJournal, &at)
		return err
	})
	if err != nil {
		return err
	}
	type batch struct {
		end     journal.Position
		entries []entry
	}
	var todo []batch
	void := map[journal.Position]bool{}
	err = s.journal.Replay(at, func(end journal.Position, b []byte) error {
		var es []entry
		if err := json.Unmarshal(b, &es); err != nil {
			return err
		}
		if len(es) == 1 && es[0].Void != nil {
			void[*es[0].Void] = true
		} else {
			todo = append(todo, batch{end, es})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range todo {
		if void[b.end] {
			continue
		}
		err := s.db.Update(func(bt *bbolt.Tx) error {
			t := &tx{Tx: bt, s: s, replaying: true}
			for _, e := range b.entries {
				if err := t.again(e); err != nil {
					return err
				}
			}
			return t.put(bMeta, kJournal, b.end)
		})
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	if len(todo) > 0 {
		s.opt.Log.Info("replayed journal", "entries", len(todo))
	}
	return nil
}

func (t *tx) again(e entry) error {
	if e.Put != nil {
		v, err := record.DecodeVersion(e.Put)
		if err != nil {
			return err
		}
		return t.accept(v)
	}
	if e.Taken == nil {
		return nil
	}
	d := *e.Taken
	var err error
	if d.Version, err = record.DecodeVersion(e.Version); err != nil {
		return err
	}
	if e.Merge != nil {
		if d.Merge, err = record.DecodeVersion(e.Merge); err != nil {
			return err
		}
	}
	return t.take(e.Peer, d)
}
