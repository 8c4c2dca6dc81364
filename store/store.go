// Package store is a replica's memory: records, their versions and the feeds
// for other replicas, sealed in one bbolt file with a journal beside it.
//
// It owns what is on the disk. It promises that an acknowledged write is there
// after any crash, that a write is there whole or not at all, that a stale
// write is refused, that no number is used twice, and that nothing on the disk
// names or describes a known person. It does not know how versions are merged
// nor how they travel: what a sync decided is applied as it is told.
package store

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"tram/store/audit"
	"tram/store/blob"
	"tram/store/fhir"
	"tram/store/journal"
	"tram/store/layout"
	"tram/store/people"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/space"
	"tram/store/table"
)

// Errors of a store as a whole.
var (
	// ErrLocked says that another process has the store open.
	ErrLocked = errors.New("another process has these records open")
	// ErrNewer says that a newer program wrote the store; it is left untouched.
	ErrNewer = errors.New("a newer program wrote these records")
	// ErrStopped says that the disk failed and nothing is acknowledged any more.
	ErrStopped = errors.New("the disk failed; nothing more is saved until the program starts again")
	// ErrFull says that the disk has no room; nothing was saved.
	ErrFull = errors.New("the disk is full")
	// ErrForeign says that the file is a database of something else, or of a program from
	// before the first release; it is left untouched.
	ErrForeign = errors.New("this database is not one that this program can read")
	// ErrRestoring says that putting back a backup was cut short.
	ErrRestoring = errors.New("putting back a backup was cut short: put it back again")
	// ErrTooMuch says that one transaction holds more than the journal takes as
	// one; nothing was saved. In parts it can be.
	ErrTooMuch = errors.New("too much for one transaction")
)

// Options say where a store lives. Clock comes from outside.
type Options struct {
	Dir     string              // data folder
	Journal string              // folder of the journal; "" is Dir/journal
	Keys    []seal.Opener       // ways to the key, the first for a new store; nil is the file Dir/key
	Name    string              // this replica's name
	Top     bool                // no upstream: its own line decides
	R4      *fhir.R4            // required
	Zone    *time.Location      // whose days a search for dates means; nil is UTC
	Clock   func() record.Stamp // nil is the PC's clock
	Random  io.Reader           // of which lineages are drawn; nil is the system's
	Log     *slog.Logger        // nil is silence
	// Progress is told how much of the database is read before it is opened, in bytes;
	// nil for nobody.
	Progress func(done, all int64)
	// Limits are those below which room on the disk is kept; the zero value is
	// space.Defaults.
	Limits space.Limits
	// Rebuild makes the database anew even where nothing is wrong with it.
	Rebuild bool
}

// Names in the data folder.
const (
	KeyFile   = "key"            // what opens the keys where nothing else is said
	SlotsFile = layout.SlotsFile // what the keys are kept in
)

// Store is an open store. It is safe for concurrent use.
type Store struct {
	opt     Options
	db      *table.DB
	lock    *flock.Flock
	keys    *seal.Keys
	room    *space.Room
	journal *journal.Journal
	blobs   *blob.Blobs
	people  *people.Index
	blinds  sync.Map // what often worked out
	blinded atomic.Int64

	jobs chan *job
	quit chan struct{}
	done chan struct{}

	long sync.Mutex // one copy or rotation at a time

	mu      sync.Mutex // guards what follows
	lineage record.Lineage
	counter uint64
	stopped error
	looked  time.Time     // when state was read
	state   space.State   // of the disks
	peers   []Peer        // as the last transaction left them; nil is not known
	watch   chan struct{} // closed and renewed at each commit
	tally   tallied
	boxed   []func() error         // seal anew what is in boxes
	gap     uint32                 // the last segment in front of which the journal lacks what no backup holds; 0 for none
	copied  journal.Position       // its end when the last backup was made
	parked  map[uint64]bool        // own changes that upstream did not take, by their order
	waits   map[record.Lineage]int // how many own changes of each wait
}

// Open opens the store in a folder, making it when it is missing, and replays
// what the journal has and the database has not.
func Open(o Options) (*Store, error) {
	if o.Journal == "" {
		o.Journal = filepath.Join(o.Dir, "journal")
	}
	o.Keys = openers(o)
	if o.Clock == nil {
		o.Clock = func() record.Stamp { return record.Stamp{Unix: time.Now().UnixMilli()} }
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Limits == (space.Limits{}) {
		o.Limits = space.Defaults()
	}
	s, err := open(o)
	if seal.Full(err) && space.New(o.Limits, o.Dir).Release() {
		s, err = open(o)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func open(o Options) (*Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{opt: o, jobs: make(chan *job), quit: make(chan struct{}), done: make(chan struct{}), watch: make(chan struct{}),
		room: space.New(o.Limits, o.Dir, o.Journal), lock: lockFile(o.Dir)}
	if err := hold(s.lock); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	go s.loop()
	return s, nil
}

func (s *Store) file() string { return filepath.Join(s.opt.Dir, layout.DatabaseFile) }

// openers are the ways to the key.
func openers(o Options) []seal.Opener {
	if o.Keys == nil {
		return []seal.Opener{seal.KeyFile(filepath.Join(o.Dir, KeyFile))}
	}
	return o.Keys
}

// resume replays the journal and starts a lineage. More than the one commit that
// a crash cuts short means that the database is an older one: what it told others
// of its feeds since is not in them, so they begin a new epoch.
func (s *Store) resume() error {
	s.people = people.New(s.opt.R4)
	commits, err := s.replay()
	if err != nil {
		return err
	}
	err = s.db.Update(func(b *table.Tx) error {
		t := &tx{Tx: b, s: s}
		if err := s.startLineage(t); err != nil {
			return err
		}
		e, err := t.epoch()
		if err != nil || t.Table(layout.Meta).Get([]byte(layout.Epoch)) == nil || e != "" && commits < 2 {
			return err // a replay alone may leave it empty
		}
		return t.put(layout.Meta, []byte(layout.Epoch), string(s.lineage))
	})
	if err != nil {
		return err
	}
	return errors.Join(s.loadOwn(), s.loadPeople(), s.loadGap())
}

// Close ends the store after the writes under way.
func (s *Store) Close() error {
	close(s.quit)
	<-s.done
	return errors.Join(s.db.Close(), s.journal.Close(), s.lock.Unlock())
}

// Name is the replica's name.
func (s *Store) Name() string { return s.opt.Name }

// R4 is the structure by which the store reads resources.
func (s *Store) R4() *fhir.R4 { return s.opt.R4 }

// Blobs are the store's attachments.
func (s *Store) Blobs() *blob.Blobs { return s.blobs }

// Lineage is the lineage under which the store writes now.
func (s *Store) Lineage() record.Lineage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lineage
}

// NewID draws an id that no replica ever used or will use.
func (s *Store) NewID() string { return s.draw().String() }

// draw takes the next number of the lineage.
func (s *Store) draw() record.Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter++
	return record.Name{Lineage: s.lineage, N: s.counter}
}

// Changed is closed at the next commit.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watch
}

// Relineage begins a new lineage if name was never drawn here though it bears
// the present lineage: then another copy of this store is at work.
func (s *Store) Relineage(ctx context.Context, seen record.Name) (bool, error) {
	s.mu.Lock()
	ours := seen.Lineage == s.lineage && seen.N > s.counter
	s.mu.Unlock()
	if !ours {
		return false, nil
	}
	return true, s.update(ctx, func(tx *tx) error { return tx.reissue(seen.Lineage) })
}

// Life is one lineage of this database, and the one it continues.
type Life struct {
	Lineage   record.Lineage `json:"lineage"`
	Continues record.Lineage `json:"continues,omitempty"`
	At        int64          `json:"at"`
}

func (s *Store) startLineage(tx *tx) error {
	var raw [10]byte
	if _, err := io.ReadFull(s.opt.Random, raw[:]); err != nil {
		return fmt.Errorf("draw a lineage: %w", err)
	}
	l := record.Lineage(strings.ToLower(base32.StdEncoding.EncodeToString(raw[:])))
	if err := tx.live(Life{Lineage: l, At: s.opt.Clock().Unix}); err != nil {
		return err
	}
	s.mu.Lock()
	before, counter := s.lineage, s.counter
	s.lineage, s.counter = l, 0
	s.mu.Unlock()
	tx.undo = append(tx.undo, func() {
		s.mu.Lock()
		s.lineage, s.counter = before, counter
		s.mu.Unlock()
	})
	return nil
}

// live puts a lineage behind the last one.
func (t *tx) live(l Life) error {
	b := t.Table(layout.Lives)
	if k, v := b.Cursor().Last(); k != nil {
		var last Life
		if err := t.open(layout.Lives, k, v, &last); err != nil {
			return err
		}
		l.Continues = last.Lineage
	}
	return t.put(layout.Lives, u64(b.Next()), l)
}

// Lives lists the newest lineages of this database, newest first.
func (s *Store) Lives(limit int) ([]Life, error) {
	var out []Life
	err := s.view(func(tx *tx) error {
		c := tx.Table(layout.Lives).Cursor()
		for k, v := c.Last(); k != nil && len(out) < limit; k, v = c.Prev() {
			var l Life
			if err := tx.open(layout.Lives, k, v, &l); err != nil {
				return err
			}
			out = append(out, l)
		}
		return nil
	})
	return out, err
}

// mine are all lineages of this database.
func (t *tx) mine() (map[record.Lineage]bool, error) {
	out := map[record.Lineage]bool{}
	err := t.Table(layout.Lives).ForEach(func(k, v []byte) error {
		var l Life
		err := t.open(layout.Lives, k, v, &l)
		out[l.Lineage] = true
		return err
	})
	return out, err
}

// Dir is the data folder.
func (s *Store) Dir() string { return s.opt.Dir }

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
	list, err := s.ActsBefore(0, limit, key)
	var out []audit.Linked
	for _, l := range list {
		out = append(out, l.Linked)
	}
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
// beyond the end where others before it are lost; what was found there of a damaged
// file, about a record whose number is lost, makes room.
func (t *tx) auditAgain(e layout.Entry) error {
	plain, err := t.getRaw(layout.Audit, e.Parts[0])
	if err != nil {
		return err
	}
	if plain != nil {
		l, err := t.decodeAudit(plain)
		if err != nil {
			return err
		}
		if text, err := json.Marshal(l.Entry); err != nil || string(text) == string(e.Parts[1]) {
			return err
		}
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

// countShown counts a record that begins or ceases to show something, so that
// nobody has to go through all of them for their number.
func (t *tx) countShown(begins bool) error {
	n := t.shownCount()
	if begins {
		n++
	} else {
		n--
	}
	return t.Table(layout.Meta).Put([]byte(layout.Shown), u64(n))
}

func (t *tx) shownCount() uint64 {
	if v := t.Table(layout.Meta).Get([]byte(layout.Shown)); len(v) == 8 {
		return num(v)
	}
	return 0
}

// Mended is what was mended last; nil for a database that never was.
func (s *Store) Mended() (*Mended, error) {
	var m *Mended
	err := s.view(func(tx *tx) error {
		b, err := tx.getRaw(layout.Meta, []byte(layout.Mended))
		if err != nil || b == nil {
			return err
		}
		m = &Mended{}
		return json.Unmarshal(b, m)
	})
	return m, err
}
