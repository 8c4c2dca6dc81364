package intake

import (
	"context"
	"time"

	"tram/sync/status"
)

// What says what happened.
type What string

// What can happen.
const (
	Took       What = "took"        // the file's resources are kept
	Waits      What = "waits"       // nothing is kept yet: it waits for somebody to say whose it is
	Again      What = "again"       // the same bytes were taken before: nothing to do
	Aside      What = "aside"       // not taken; Refusal says why
	Held       What = "held"        // nothing can be taken now; Refusal says why
	Resumed    What = "resumed"     // files are taken again
	FolderLost What = "folder-lost" // the folder cannot be read
	FolderBack What = "folder-back"
)

// Source says how something came.
type Source string

// The sources.
const (
	JSON    Source = "json"
	Lines   Source = "ndjson"
	HL7     Source = "hl7"
	Network Source = "mllp"
	Table   Source = "csv"
)

// sourceOf tells a file by its name's end.
func sourceOf(name string) Source {
	switch {
	case lines(name):
		return Lines
	case messages(name):
		return HL7
	case table(name):
		return Table
	}
	return JSON
}

// Event is one thing that happened.
type Event struct {
	What What
	// File is the name as it was dropped. People put names of patients there: it
	// is for the page of those who are signed in, never for a log.
	File     string
	Source   Source     // what kind of file it is
	Kind     string     // of messages: their type and event, as "ORU^R01"
	Refusal  *Refusal   // of Aside and Held
	Taken    Taken      // of Took
	Waits    int        // of Took and Waits: the messages that wait
	Assigned []Assigned // of Took: the ids that the file left to us, in its order
}

// trouble is what Health tells.
type trouble struct {
	held   Code // DiskFull, StoreStopped or none
	folder bool // it cannot be read, or files cannot be moved in it
	aside  bool // a file lies there
}

// Health lists the values that follow from the folder's state.
func (in *Intake) Health() []status.Code {
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []status.Code
	switch in.trouble.held {
	case DiskFull:
		out = append(out, status.DiskFull)
	case StoreStopped:
		out = append(out, status.StoreStopped)
	}
	if in.trouble.folder {
		out = append(out, status.DropUnreadable)
	}
	if in.trouble.aside {
		out = append(out, status.FileAside)
	}
	return out
}

// finish tells of what became of a file, and counts it in the day's report. A report that
// cannot be kept holds up nothing.
func (in *Intake) finish(ctx context.Context, e Event) {
	in.tell(e)
	if e.What == Held {
		return
	}
	in.taken.Lock()
	defer in.taken.Unlock()
	in.noted(ctx, e)
}

// noted counts an event in its day's report, for the holder of the lock.
func (in *Intake) noted(ctx context.Context, e Event) {
	if err := in.count(ctx, e); err != nil {
		in.o.Log.Debug("what came in cannot be counted", "err", err)
	}
}

// tell hands an event on and logs it without names.
func (in *Intake) tell(e Event) {
	switch e.What {
	case Took:
		in.o.Log.Info("file taken", "new", e.Taken.New, "changed", e.Taken.Changed, "same", e.Taken.Same, "waiting", e.Waits)
	case Aside:
		in.o.Log.Warn("file set aside", "code", string(e.Refusal.Code), "line", e.Refusal.Line)
	case Held:
		in.o.Log.Warn("files wait", "code", string(e.Refusal.Code))
	default:
		in.o.Log.Info("drop folder", "what", string(e.What))
	}
	in.o.Events(e)
}

// pause is how long nothing is tried after the store could not take a file.
type pause struct {
	until time.Time
	step  time.Duration
}

// The shortest and the longest pause.
const (
	firstPause = 10 * time.Second
	lastPause  = 5 * time.Minute
)

// hold notes that the store takes nothing; the pauses double up to the last.
func (in *Intake) hold(now time.Time, e Event) {
	in.pause.step = min(max(2*in.pause.step, firstPause), lastPause)
	in.pause.until = now.Add(in.pause.step)
	in.mu.Lock()
	changed := in.trouble.held != e.Refusal.Code
	in.trouble.held = e.Refusal.Code
	in.mu.Unlock()
	if changed {
		in.tell(e)
	}
}

// resume notes that the store takes files.
func (in *Intake) resume() {
	in.pause = pause{}
	in.mu.Lock()
	changed := in.trouble.held != ""
	in.trouble.held = ""
	in.mu.Unlock()
	if changed {
		in.tell(Event{What: Resumed})
	}
}

// folderState notes whether the folder can be worked in.
func (in *Intake) folderState(lost bool) {
	in.mu.Lock()
	changed := in.trouble.folder != lost
	in.trouble.folder = lost
	in.mu.Unlock()
	if changed && lost {
		in.tell(Event{What: FolderLost})
	} else if changed {
		in.tell(Event{What: FolderBack})
	}
}

// asideState notes whether a file lies in aside/.
func (in *Intake) asideState(any bool) {
	in.mu.Lock()
	in.trouble.aside = any
	in.mu.Unlock()
}
