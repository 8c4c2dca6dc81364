package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"tram/store/blob"
	"tram/store/journal"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/space"
	"tram/store/table"
)

// lockFile keeps other processes out of a folder.
func lockFile(dir string) *flock.Flock {
	return flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
}

func hold(lock *flock.Flock) error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, 50*time.Millisecond); !ok && (err == nil || errors.Is(err, context.DeadlineExceeded)) {
		return ErrLocked
	} else if err != nil {
		return err
	}
	return nil
}

// Alone runs f while nobody has the store in the folder open, or says ErrLocked.
func Alone(dir string, f func() error) error {
	lock := lockFile(dir)
	if err := hold(lock); err != nil {
		return err
	}
	return errors.Join(f(), lock.Unlock())
}

// begin opens the database, rebuilt where it is damaged, brings it up to its
// journal and starts a lineage.
func (s *Store) begin() error {
	if _, err := os.Stat(filepath.Join(s.opt.Dir, layout.RestoringFile)); err == nil {
		return ErrRestoring
	}
	for _, dir := range []string{s.opt.Dir, s.opt.Journal, filepath.Join(s.opt.Dir, layout.BlobFolder)} {
		// What an earlier run renamed and could not sync must not be built upon.
		if err := seal.SyncDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	state, err := s.inspect()
	if err != nil {
		return err
	}
	if err := s.unlock(state); err != nil {
		return err
	}
	if err := s.openDatabase(state); err != nil {
		return errors.Join(err, s.journal.Close())
	}
	if err = s.resume(); err == nil {
		err = s.copySlots() // not before all is open: the copy may be the only key to it
	}
	if err != nil {
		return errors.Join(err, s.db.Close(), s.journal.Close())
	}
	return nil
}

// fileState is what the database file is found to be before anything opens it.
type fileState struct {
	missing bool
	schema  uint64
	used    bool  // a lineage was begun in it
	damage  error // why it must be rebuilt; nil where it is whole
	// facts are what was read of a damaged one.
	facts table.Facts
}

// inspect reads the database file without opening it.
func (s *Store) inspect() (fileState, error) {
	if _, err := os.Stat(s.file()); errors.Is(err, os.ErrNotExist) {
		return fileState{missing: true}, nil
	}
	facts, err := table.Verify(context.Background(), s.file(), layout.Tables(), s.opt.Progress)
	state := fileState{used: facts.Count[layout.Lives] > 0, schema: layout.Schema}
	if len(facts.Small[layout.Number]) == 8 {
		state.schema = num(facts.Small[layout.Number])
	}
	switch {
	case state.schema > layout.Schema:
		return state, fmt.Errorf("%w: schema %d, this program reads %d", ErrNewer, state.schema, layout.Schema)
	case errors.Is(err, table.ErrForeign):
		return state, fmt.Errorf("%w: %s", ErrForeign, s.file())
	case errors.Is(err, table.ErrDamaged):
		state.damage, state.used, state.facts = err, true, facts
	case err != nil:
		return state, err
	case s.opt.Rebuild:
		state.damage = errors.New("a rebuild was asked for")
	case s.marked():
		state.damage = errors.New("the disk failed while the program ran")
	case !facts.Both():
		s.opt.Log.Warn("one of the two first pages of the database is torn; the other one is used")
	}
	return state, nil
}

func (s *Store) marker() string { return s.file() + "." + rebuildFile }

func (s *Store) marked() bool {
	_, err := os.Stat(s.marker())
	return err == nil
}

// openDatabase opens the database: made where there is none, rebuilt where damaged.
func (s *Store) openDatabase(state fileState) error {
	back, err := s.stepBack(state)
	switch {
	case back || err != nil:
	case state.missing && s.journal.Any():
		err = s.rebuild("", errors.New("the database is missing"))
	case state.missing:
		err = table.Create(s.file(), layout.Tables(), putSchema)
	case state.damage != nil:
		err = s.rebuild(s.file(), state.damage)
	case state.schema < layout.Schema:
		err = s.migrate(state.schema)
	}
	if err != nil {
		return err
	}
	s.db, err = table.Open(s.file(), layout.Tables())
	return err
}

// stepBack takes away a last transaction that the disk holds by half, where the rest is
// whole and the journal makes all of it again.
func (s *Store) stepBack(state fileState) (bool, error) {
	before := state.facts.Before
	if before == nil || s.marked() || s.opt.Rebuild {
		return false, nil
	}
	at := journal.PositionOf(before.Small[layout.Journal])
	if at == (journal.Position{}) {
		return false, nil // a copy's first transaction: what is before it is empty, not older
	}
	whole, err := s.remakes(at, state.facts.Tx)
	if err != nil || !whole {
		return false, nil // a rebuild will meet the same error, and say it
	}
	s.opt.Log.Warn("the last transaction was cut short; the journal makes it again", "found", state.damage)
	return true, table.StepBack(s.file(), state.facts)
}

func putSchema(t *table.Tx) error {
	return t.Table(layout.Meta).Put([]byte(layout.Number), u64(layout.Schema))
}

// migrate brings a database of an older schema up to this one: a copy, changed step by
// step, takes its place when it is whole. Cut anywhere, the old one is there.
func (s *Store) migrate(from uint64) error {
	s.opt.Log.Info("bringing the database up to date", "from", from, "to", layout.Schema)
	steps, known := map[uint64][]func(*tx) error{
		2: {(*tx).countKeys, (*tx).listVault, (*tx).listAttached, (*tx).setApart},
		3: {(*tx).countKeys, (*tx).listAttached, (*tx).setApart},
		4: {(*tx).listAttached, (*tx).setApart},
		5: {(*tx).setApart}, // its rows are read as they are
		6: {(*tx).setApart},
	}[from]
	if !known {
		return fmt.Errorf("%w: schema %d", ErrForeign, from)
	}
	old, err := table.Open(s.file(), layout.Tables())
	if err != nil {
		return err
	}
	f, err := table.NewFile(s.file(), layout.Tables())
	if err != nil {
		return errors.Join(err, old.Close())
	}
	err = errors.Join(old.Copy(context.Background(), f, func(last func() error) error { return last() }), old.Close())
	for _, step := range steps {
		if err == nil {
			err = f.Update(func(b *table.Tx) error { return step(&tx{Tx: b, s: s, replaying: true}) })
		}
	}
	if err == nil {
		err = f.Update(putSchema)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("bring up to schema %d: %w", layout.Schema, err), f.Drop())
	}
	return errors.Join(f.Finish(), table.Place(s.file()))
}

// countKeys moves the numbers of records with counted ids to where schema 4 has them:
// of those that stand here, and of the people they name. Nothing else is found by its key.
func (t *tx) countKeys() error {
	move := func(key record.Key) error {
		old, keys := t.s.blind("key", key.String()), t.Table(layout.Keys)
		n, at := keys.Get(old), t.s.keyAt(key)
		if n == nil || string(at) == string(old) {
			return nil
		}
		return errors.Join(keys.Put(at, slices.Clone(n)), keys.Delete(old))
	}
	return t.Table(layout.Stands).ForEach(func(n, _ []byte) error {
		r, err := t.row(n)
		if err != nil {
			return err
		}
		if err := move(r.Key); err != nil {
			return err
		}
		v, err := t.shown(n, r)
		if err != nil || v == nil {
			return err
		}
		f, err := t.found(v)
		if err != nil {
			return err
		}
		clear(t.read) // or everything that was ever read would stay in memory
		for _, id := range f.people {
			if err := move(record.Key{Kind: "Patient", ID: id}); err != nil {
				return err
			}
		}
		return nil
	})
}

// unlock opens the key and what is kept beside the database. Records without
// their key are never given a new one, nor is a journal.
func (s *Store) unlock(state fileState) error {
	slots := filepath.Join(s.opt.Dir, SlotsFile)
	if _, err := os.Stat(slots); errors.Is(err, os.ErrNotExist) {
		err := seal.Revive(slots, s.secondSlots(), s.opt.Keys...)
		if err != nil && (state.used || journal.Kept(s.opt.Journal) || !errors.Is(err, seal.ErrNoSlots)) {
			return err
		}
	}
	if err := seal.Join(slots, s.secondSlots(), s.opt.Keys...); err != nil {
		s.opt.Log.Warn("the two files of key slots are not alike", "err", err)
	}
	var err error
	s.keys, err = seal.Unlock(slots, s.opt.Keys...)
	if err != nil && seal.Revive(slots, s.secondSlots(), s.opt.Keys...) == nil {
		s.opt.Log.Warn("the file of key slots was put back from its second copy")
		s.keys, err = seal.Unlock(slots, s.opt.Keys...)
	}
	if err != nil {
		return err
	}
	admit := func() error { return s.admit(space.NoBlobs) }
	if s.blobs, err = blob.New(filepath.Join(s.opt.Dir, layout.BlobFolder), s.keys, admit, s.comeAgain); err != nil {
		return err
	}
	if s.journal, err = journal.Open(s.opt.Journal, s.keys); err == nil && s.marked() {
		err = s.journal.Renew() // as the database: nobody knows what of it the disk holds
	}
	return err
}

// pass returns up to where the database has the journal. Where the journal does not reach
// so far, being lost or an older copy, it begins anew behind.
func (s *Store) pass() (at journal.Position, err error) {
	err = s.view(func(tx *tx) error {
		at = journal.PositionOf(tx.Table(layout.Meta).Get([]byte(layout.Journal)))
		return nil
	})
	if err != nil || !s.journal.End().Before(at) {
		return at, err
	}
	s.opt.Log.Warn("journal is older than the records; it begins anew")
	return at, s.journal.Pass(at)
}

// JournalLost reports whether the journal was found lost, or older than the database, and
// what it lacks since is not known to exist a second time. It ends with a backup that was
// read back, for that holds all of it; where there is none, when the journal lets go of the
// segments of that time, which it does long after the centre has what is in them.
func (s *Store) JournalLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gap > 0
}

// loadGap looks whether the journal lacks something that no backup holds.
func (s *Store) loadGap() error {
	gaps, err := s.journal.Gaps()
	if err != nil || len(gaps) == 0 {
		return err
	}
	last := gaps[len(gaps)-1]
	return s.view(func(t *tx) error {
		if journal.PositionOf(t.Table(layout.Meta).Get([]byte(layout.Backed))).Segment < last {
			s.gap = last
			s.opt.Log.Warn("the journal lacks what was lost of it; a backup makes that good")
		}
		return nil
	})
}

// backed notes that what the journal lacked when the last backup was made stands in that.
func (s *Store) backed(ctx context.Context) error {
	s.mu.Lock()
	gap, at := s.gap, s.copied
	s.mu.Unlock()
	if gap == 0 || at.Segment < gap {
		return nil
	}
	return s.update(ctx, func(t *tx) error {
		t.after = append(t.after, func() {
			s.mu.Lock()
			s.gap = 0
			s.mu.Unlock()
		})
		return t.Table(layout.Meta).Put([]byte(layout.Backed), at.Bytes())
	})
}

// replay makes again what the journal has and the database has not, and returns
// how many commits that were.
func (s *Store) replay() (commits int, err error) {
	at, err := s.pass()
	if err != nil {
		return 0, err
	}
	void, err := s.voided(at)
	if err != nil {
		return 0, err
	}
	var r replayer
	err = s.journal.Replay(at, func(end journal.Position, b []byte) error {
		if void[end] {
			return nil
		}
		es, err := layout.DecodeEntries(b)
		if err != nil {
			return err
		}
		if isVoid(es) {
			return nil
		}
		commits++
		if r.entries, r.end = append(r.entries, es...), end; len(r.entries) < maxGroup {
			return nil
		}
		return r.flush(s)
	})
	if err = errors.Join(err, r.flush(s)); err != nil {
		return commits, fmt.Errorf("replay: %w", err)
	}
	if commits > 0 {
		s.opt.Log.Info("replayed journal", "commits", commits)
	}
	return commits, nil
}

// voided are the ends of the journal's entries behind a position that were taken
// back.
func (s *Store) voided(after journal.Position) (map[journal.Position]bool, error) {
	void := map[journal.Position]bool{}
	err := s.journal.Replay(after, func(_ journal.Position, b []byte) error {
		es, err := layout.DecodeEntries(b)
		if err != nil {
			return err
		}
		if isVoid(es) {
			void[journal.PositionOf(es[0].Parts[0])] = true
		}
		return nil
	})
	return void, err
}

// remakes reports whether the journal makes again, right behind a position, all of the
// transaction with the number named.
func (s *Store) remakes(after journal.Position, id uint64) (bool, error) {
	void, err := s.voided(after)
	if err != nil {
		return false, err
	}
	whole, found := false, errors.New("found")
	err = s.journal.Replay(after, func(end journal.Position, b []byte) error {
		es, err := layout.DecodeEntries(b)
		if err != nil {
			return err
		}
		if void[end] || isVoid(es) {
			return nil
		}
		whole = len(es) > 0 && es[0].Kind == layout.Whole && string(es[0].Parts[0]) == string(u64(id))
		return found
	})
	if errors.Is(err, found) {
		err = nil
	}
	return whole, err
}

func isVoid(es []layout.Entry) bool { return len(es) == 1 && es[0].Kind == layout.Void }

// replayer gathers what is replayed in one transaction.
type replayer struct {
	entries []layout.Entry
	end     journal.Position
}

func (r *replayer) flush(s *Store) error {
	if len(r.entries) == 0 {
		return nil
	}
	err := s.db.Update(func(b *table.Tx) error {
		t := &tx{Tx: b, s: s, replaying: true}
		for _, e := range r.entries {
			if err := t.again(e); err != nil {
				return err
			}
		}
		return t.Table(layout.Meta).Put([]byte(layout.Journal), r.end.Bytes())
	})
	r.entries = nil
	return err
}

// again makes an entry again; one that is there already changes nothing.
func (t *tx) again(e layout.Entry) error {
	switch e.Kind {
	case layout.Put:
		v, err := record.DecodeVersion(e.Parts[0])
		if err != nil {
			return err
		}
		return errors.Join(t.lived(v), t.accept(v))
	case layout.Taken:
		return t.takeAgain(e)
	case layout.Setting:
		return t.putSetting(e.Parts[0], e.Parts[1])
	case layout.Act:
		return t.auditAgain(e)
	case layout.Peer:
		var p Peer
		if err := json.Unmarshal(e.Parts[0], &p); err != nil {
			return err
		}
		return t.addPeer(p)
	}
	return nil
}

// lived notes the lineage of a version that was made here, where that is lost.
func (t *tx) lived(v *record.Version) error {
	if t.lives == nil {
		var err error
		if t.lives, err = t.mine(); err != nil {
			return err
		}
	}
	if t.lives[v.Name.Lineage] {
		return nil
	}
	t.lives[v.Name.Lineage] = true
	return t.live(Life{Lineage: v.Name.Lineage, At: v.Stamp.Unix})
}

func (t *tx) takeAgain(e layout.Entry) error {
	var d record.Decided
	err := json.Unmarshal(e.Parts[1], &d)
	if err != nil {
		return err
	}
	if d.Version, err = record.DecodeVersion(e.Parts[2]); err != nil {
		return err
	}
	if len(e.Parts[3]) > 0 {
		if d.Merge, err = record.DecodeVersion(e.Parts[3]); err != nil {
			return err
		}
	}
	if err := t.take(string(e.Parts[0]), d); err != nil || d.Merge == nil {
		return err
	}
	return t.accept(d.Merge) // lost, while what went into it was not
}
