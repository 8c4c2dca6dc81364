// Package intake takes files from the drop folder: FHIR R4 resources and
// Bundles as JSON (.json), NDJSON (.ndjson), HL7 version 2 messages (.hl7, .er7),
// and tables (.csv) with a map that says what their columns are.
//
// It owns the folder: which file is whole, which one waits, and where each goes
// afterwards: done/<yyyy-mm>/ when it was taken, or aside/ with a note beside it
// that says in Vietnamese and in English what is wrong and what to do. It
// promises that a file is taken in whole or not at all, that the same bytes
// dropped again or a kill at any moment double nothing, that a file which
// cannot be taken now stays where it is, and that no note, log line or health
// value quotes a file. It follows no link and leaves the folder nowhere.
//
// It owns the waiting list too: what is about a person whom no number, or more than
// one, leads to waits there until somebody says whose it is. Nothing is attached by a
// guess.
//
// It does not know how records are kept: it is given the functions that do.
package intake

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"tram/agent/intake/hl7v2"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// The limits of one file.
const (
	MaxBytes  = 64 << 20
	MaxDepth  = 64
	MaxValues = 2 << 20 // JSON values; each costs about 80 bytes of memory while the file is read
	MaxLines  = 5000    // resources in one NDJSON file, which is one transaction
)

// How long a file is left alone before it counts as whole.
const (
	// settle is for JSON, which shows itself where it ends.
	settle = 500 * time.Millisecond
	// quiet is for what does not: all else, an empty file, and JSON that breaks off.
	quiet = 10 * time.Second
	// locked is how long a file that cannot be opened is waited for; on Windows
	// a program that writes it, or looks for viruses, holds it closed.
	locked = time.Minute
)

// Taken counts what became of a file's resources.
type Taken struct {
	New     int // records born
	Changed int // records with a new version
	Same    int // records that already stood so
}

// Options say where the files are and who takes what is in them. All functions
// are called from one goroutine at a time.
type Options struct {
	// Folder is the drop folder; Run makes it where it is missing.
	Folder string
	R4     *fhir.R4
	// Take keeps all resources in one transaction or none. Each has an id, no two
	// have the same, and all passed R4.Check. A meta.versionId names the version
	// that a change was made from. The same resources given again must change
	// nothing. An error that is or wraps a *Refusal, or one of the errors of package
	// record, sets the file aside; DiskFull, StoreStopped and every other error
	// leave it for later.
	Take func(ctx context.Context, resources []*fhir.Value, author string) (Taken, error)
	// Author is that of what files bring.
	Author string
	// Exists says whether a record is held here, deleted ones too.
	Exists func(key record.Key) (bool, error)
	// NewID makes the id of a record to be born.
	NewID func() string
	// Setting and SetSetting keep small values durably; nothing or
	// record.ErrNotFound is the answer for a name never set.
	Setting    func(name string) ([]byte, error)
	SetSetting func(ctx context.Context, name string, value []byte) error
	// Find lists all records of a kind that match every clause, each with its id and the
	// version that it shows as meta.versionId.
	Find func(kind string, by ...query.Clause) ([]*fhir.Value, error)
	// Past lists the versions that a record had here; nothing for one that is not here.
	Past func(key record.Key) ([]*fhir.Value, error)
	// Linked are the other records of the person with that Patient's id.
	Linked func(id string) []string
	// Share are the ids of Patients who have a number of that one, of whatever system.
	Share func(patient *fhir.Value) ([]string, error)
	// Keep keeps a text durably and names it by its SHA-256 in hex; Kept reads it.
	Keep func(text []byte) (string, error)
	Kept func(id string) ([]byte, error)
	// Rules say how HL7 messages are read; Zone is where times without a zone are local,
	// nil is UTC.
	Rules hl7v2.Rules
	Zone  *time.Location
	// Here are the addresses under which the records here are known now, such as
	// "http://127.0.0.1:8642/fhir"; nil tells none.
	Here func() []string
	// Poll is how often the folder is looked at, whatever the system tells of
	// changes: it tells nothing of network folders. 0 means 30 s.
	Poll time.Duration
	// Done is how long a file that was taken stays in done, counted from the end of its day:
	// it holds in the clear what the store seals. 0 means for ever.
	Done time.Duration
	// Lenient takes references to records that are not here.
	Lenient bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Events hears of everything that happens; nil means nobody does. It is
	// called from the goroutine that works, so it must be quick.
	Events func(Event)
	Log    *slog.Logger
}

// Intake is the drop folder at work. Its methods are safe for concurrent use.
type Intake struct {
	o       Options
	taken   sync.Mutex // one file is taken at a time
	files   map[string]*file
	pause   pause
	blind   bool      // polls only, as on a network folder
	thought time.Time // when the waiting list was last gone through
	tidied  time.Time // when done was

	mu      sync.Mutex // guards what follows
	tuning  tuning
	trouble trouble
}

// tuning is what can be changed while Run works; see Options.
type tuning struct {
	poll, done time.Duration
	lenient    bool
}

// New prepares an intake; it touches nothing.
func New(o Options) *Intake {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Here == nil {
		o.Here = func() []string { return nil }
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	in := &Intake{o: o, files: map[string]*file{}}
	in.Tune(o.Poll, o.Done, o.Lenient)
	return in
}

// Tune changes what can be changed while Run works; a new poll counts from the
// next look on.
func (in *Intake) Tune(poll, done time.Duration, lenient bool) {
	if poll <= 0 {
		poll = 30 * time.Second
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tuning = tuning{poll, done, lenient}
}

// tuned is what Tune set last.
func (in *Intake) tuned() tuning {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.tuning
}

// gather is how long changes are collected before the folder is looked at.
const gather = 100 * time.Millisecond

// MakeFolder makes the drop folder. Run does so too; a program that says that it is ready
// before Run got there has it made first.
func (in *Intake) MakeFolder() {
	if err := os.MkdirAll(in.o.Folder, 0o770); err != nil {
		in.o.Log.Warn("drop folder cannot be made") // look tells it as health
	}
}

// Run takes files until ctx ends. It looks when the system tells of a change
// and every poll besides; where the system tells nothing, as for a network
// folder, the poll alone must do. A folder that cannot be read is told of, and
// tried again. It returns nil.
func (in *Intake) Run(ctx context.Context) error {
	in.MakeFolder()
	var events <-chan fsnotify.Event
	var failures <-chan error
	w, err := fsnotify.NewWatcher()
	if err != nil || in.blind {
		in.o.Log.Warn("drop folder is polled only")
	}
	if err == nil {
		defer w.Close()
		if !in.blind {
			events, failures = w.Events, w.Errors
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	soon := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if soon || !candidate(filepath.Base(e.Name)) {
				continue
			}
			soon = true
			timer.Reset(gather)
		case <-failures: // events were lost
			if !soon {
				soon = true
				timer.Reset(gather)
			}
		case <-timer.C:
			if events != nil {
				w.Add(in.o.Folder) // again each time: the folder may have come back
			}
			next := in.look(ctx)
			delay := in.tuned().poll
			if !next.IsZero() {
				delay = min(delay, max(next.Sub(in.o.Now()), gather))
			}
			soon = false
			timer.Reset(delay)
		}
	}
}
