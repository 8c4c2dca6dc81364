package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"tram/store/journal"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/table"
)

// job is one transaction's work, waiting for its turn. Work checks before it
// writes, so that a refused one leaves nothing behind.
type job struct {
	run func(*tx) error
	// again says that what run writes is all of it made again from the journal, by replay.
	again bool
	// alone is work that is no transaction, and must have none beside it.
	alone func() error
	err   chan error
}

// tx is a transaction with the seal over it.
type tx struct {
	*table.Tx
	s *Store
	// entries are what the journal must hold before this commits.
	entries []layout.Entry
	// logged is where the journal holds them.
	logged journal.Position
	// read are versions of which more was worked out already.
	read map[*record.Version]*facts
	// lives are the lineages of this database, where they were asked for.
	lives map[record.Lineage]bool
	// known are numbers of keys that were looked up already.
	known map[record.Key][]byte
	// sealing are versions that another goroutine seals, by their keys; order is that in
	// which they came.
	sealing map[string]sealing
	order   []string
	// after runs once it committed, undo where it did not.
	after, undo []func()
	// newPeer says that a peer was added and is not committed yet.
	newPeer bool
	// at is when it takes in what it does; zero before it was asked for.
	at int64
	// replaying says that the journal holds it already.
	replaying bool
}

// sealing is a version on its way into the table.
type sealing struct {
	plain  []byte
	sealed chan []byte
}

// addVersion puts a new version in; catchUp ends it.
func (t *tx) addVersion(key, plain []byte) error {
	if t.replaying {
		return t.addRaw(layout.Versions, key, plain)
	}
	sealed := make(chan []byte, 1)
	go func() { sealed <- t.s.keys.Seal(layout.Place(layout.Versions, key), plain) }()
	if t.sealing == nil {
		t.sealing = map[string]sealing{}
	}
	t.sealing[string(key)] = sealing{plain, sealed}
	t.order = append(t.order, string(key))
	return nil
}

func (t *tx) dropVersion(key []byte) error {
	delete(t.sealing, string(key))
	return t.Table(layout.Versions).Delete(key)
}

// catchUp waits for the versions that are being sealed.
func (t *tx) catchUp() error {
	for _, key := range t.order {
		v, ok := t.sealing[key]
		if !ok {
			continue // it was dropped again
		}
		if err := t.Table(layout.Versions).Add([]byte(key), <-v.sealed); err != nil {
			return err
		}
	}
	t.sealing, t.order = nil, nil
	return nil
}

// maxGroup bounds how many writers share the syncs of one commit.
const maxGroup = 256

// update runs work in the next commit and returns when it is durable. Once it
// was handed over, a cancelled context does not call it back.
func (s *Store) update(ctx context.Context, run func(*tx) error) error {
	return s.queue(ctx, &job{run: run, err: make(chan error, 1)})
}

// enter is update for work of which all is made again from the journal: it returns as
// soon as that is durable.
func (s *Store) enter(ctx context.Context, run func(*tx) error) error {
	return s.queue(ctx, &job{run: run, again: true, err: make(chan error, 1)})
}

func (s *Store) queue(ctx context.Context, j *job) error {
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
	return s.db.View(func(b *table.Tx) error { return f(&tx{Tx: b, s: s}) })
}

// loop is the one writer. It takes what waits and commits it together.
func (s *Store) loop() {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			return
		case j := <-s.jobs:
			s.work(j)
		}
	}
}

// work commits a job and those that wait behind it together.
func (s *Store) work(j *job) {
	var group []*job
	for j != nil && j.alone == nil {
		group = append(group, j)
		if j = nil; len(group) < maxGroup {
			select {
			case j = <-s.jobs:
			default:
			}
		}
	}
	s.commit(group)
	if j != nil {
		j.err <- j.alone()
	}
}

// commit runs a group in one transaction. A job that is refused leaves the group
// and the others run again without it; its answer waits for theirs, on which it
// was made. Where the commit itself fails, each runs alone.
func (s *Store) commit(group []*job) {
	refused := map[*job]error{}
	err := error(nil)
	for len(group) > 0 {
		var bad int
		if bad, err = s.try(group); bad < 0 {
			break
		}
		refused[group[bad]] = err
		group = slices.Delete(group, bad, bad+1)
		err = nil
	}
	alone := err != nil && len(group) > 1 && s.Stopped() == nil
	for _, j := range group {
		if alone {
			_, err = s.try([]*job{j})
		}
		j.err <- err
	}
	for j, err := range refused {
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
	// Whether the disk holds what was written nobody knows now: the next start copies.
	mark := seal.WriteFile(s.marker(), []byte(err.Error()+"\n"))
	s.opt.Log.Error("store stopped", "err", err, "marked", mark == nil)
	return s.stopped
}

// try commits a group, all of it or nothing. Where one of its jobs refused to
// run, it tells which; -1 otherwise.
func (s *Store) try(group []*job) (refused int, err error) {
	if err := s.Stopped(); err != nil {
		return -1, err
	}
	b, err := s.db.Begin()
	if err != nil {
		return -1, err
	}
	t := &tx{Tx: b, s: s}
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(t.undo) {
				f()
			}
		}
	}()
	again := true
	for i, j := range group {
		if err := j.run(t); err != nil {
			return i, errors.Join(err, b.Rollback())
		}
		again = again && j.again
	}
	if again = again && len(t.entries) > 0; again {
		t.entries = slices.Insert(t.entries, 0, layout.Entry{Kind: layout.Whole, Parts: [][]byte{u64(b.ID())}})
	}
	if err := s.log(t); err != nil {
		err = errors.Join(err, b.Rollback())
		switch {
		case seal.Full(err):
			return -1, fmt.Errorf("%w: %w", ErrFull, err)
		case errors.Is(err, journal.ErrTooLarge):
			return -1, ErrTooMuch
		}
		return -1, s.stop(err)
	}
	if again {
		err = b.CommitSoon(s.settled)
	} else {
		err = b.Commit()
	}
	if err != nil {
		return -1, s.failed(t, err)
	}
	for _, f := range t.after {
		f()
	}
	s.mu.Lock()
	close(s.watch)
	s.watch = make(chan struct{})
	s.mu.Unlock()
	return -1, nil
}

// settled is told when a transaction that the journal has is in the database for
// certain.
func (s *Store) settled(err error) {
	if err != nil {
		_ = s.stop(err) // nobody waits for it: each write from now on says it
	}
}

// log puts a transaction's changes into the journal, and the journal's
// position into the transaction, while its versions are sealed.
func (s *Store) log(t *tx) error {
	if len(t.entries) == 0 || t.replaying {
		return t.catchUp()
	}
	written := make(chan error, 1)
	go func() {
		var err error
		t.logged, err = s.journal.Append(layout.EncodeEntries(t.entries))
		written <- err
	}()
	sealed := t.catchUp()
	if err := errors.Join(<-written, sealed); err != nil {
		return err
	}
	return t.Table(layout.Meta).Put([]byte(layout.Journal), t.logged.Bytes())
}

// keep notes what the journal must hold of this transaction.
func (t *tx) keep(kind byte, parts ...[]byte) {
	if !t.replaying {
		t.entries = append(t.entries, layout.Entry{Kind: kind, Parts: parts})
	}
}

// failed answers for a commit that did not succeed: its outcome is unknown, so
// the journal takes it back; where even that fails, the store stops.
func (s *Store) failed(t *tx, cause error) error {
	if !noRoom(cause) {
		return s.stop(cause)
	}
	if t.logged != (journal.Position{}) {
		void := layout.Entry{Kind: layout.Void, Parts: [][]byte{t.logged.Bytes()}}
		if _, err := s.journal.Append(layout.EncodeEntries([]layout.Entry{void})); err != nil {
			return s.stop(errors.Join(cause, err))
		}
	}
	return fmt.Errorf("%w: %w", ErrFull, cause)
}

// noRoom reports whether a commit failed for want of room before it could be valid.
// bbolt tells only by its text that the file could not grow.
func noRoom(err error) bool {
	return !errors.Is(err, table.ErrUnknown) && (seal.Full(err) || errors.Is(err, bolterrors.ErrMaxSizeReached) || strings.Contains(err.Error(), "file resize error"))
}

// keepJournal is how long the journal keeps what the centre has, by the centre's
// signed time.
const keepJournal = 30 * 24 * time.Hour

// kSettled is where the centre's time is kept at which a segment of the journal was
// first found to hold nothing that the centre has not.
func kSettled(segment uint32) []byte { return fmt.Appendf(nil, layout.Settled+"%d", segment) }

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
			if since = int64(num(b)); now-since < keepJournal.Milliseconds() {
				return errWaits
			}
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
				if waits {
					return errWaits
				}
			}
			t.known = nil // of a whole segment it would be megabytes
			return nil
		})
	})
	if errors.Is(err, errWaits) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if since == 0 {
		return false, s.update(ctx, func(t *tx) error { return t.Table(layout.Meta).Put(kSettled(seg), u64(uint64(now))) })
	}
	return true, nil
}

// errWaits says that a segment stays.
var errWaits = errors.New("the centre has not all of it, or not for long")

// waitsStill reports whether the centre has not an entry's version yet.
func (t *tx) waitsStill(e layout.Entry) (bool, error) {
	var b []byte
	switch e.Kind {
	case layout.Put:
		b = e.Parts[0]
	case layout.Taken:
		b = e.Parts[2]
	default:
		return false, nil
	}
	v, err := record.DecodeVersion(b)
	if err != nil {
		return false, err
	}
	r, err := t.row(t.number(v.Key))
	if err != nil {
		return false, err
	}
	p, ok := r.Find(v.Name)
	at := p.At
	if !ok { // held aside, or its record went out of scope, and what waited of it is handed in
		held, _, err := t.heldAs(v.Ref())
		if at = held.Order; err != nil {
			return false, err
		}
	}
	_, waits, err := t.ownAt(at)
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

// Voided is how often receipts were taken back: what upstream said before the last time
// proves nothing.
func (s *Store) Voided() (n uint64, err error) {
	err = s.view(func(tx *tx) error {
		n = tx.voided()
		return nil
	})
	return n, err
}

func (t *tx) voided() uint64 {
	if b := t.Table(layout.Meta).Get([]byte(layout.Voided)); len(b) == 8 {
		return num(b)
	}
	return 0
}
