package intake

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// gather is how long changes are collected before the folder is looked at.
const gather = 100 * time.Millisecond

// Run takes files until ctx ends. It looks when the system tells of a change
// and every poll besides; where the system tells nothing, as for a network
// folder, the poll alone must do. A folder that cannot be read is told of, and
// tried again. It returns nil.
func (in *Intake) Run(ctx context.Context) error {
	if err := os.MkdirAll(in.o.Folder, 0o770); err != nil {
		in.o.Log.Warn("drop folder cannot be made") // look tells it as health
	}
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
			delay, _ := in.tuned()
			if !next.IsZero() {
				delay = min(delay, max(next.Sub(in.o.Now()), gather))
			}
			soon = false
			timer.Reset(delay)
		}
	}
}
