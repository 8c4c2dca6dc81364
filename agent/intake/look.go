package intake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"tram/store/record"
)

// file is what is known of one name in the folder.
type file struct {
	info  fs.FileInfo // as it looked at the last look
	since time.Time   // when it began to look so
	// settled is what became of it; set while it waits to be moved only.
	settled *Event
	missing record.Key // what it refers to and was not there
	tries   int        // failures for no known reason
}

// verdict is what a look makes of a file.
type verdict int

const (
	gone     verdict = iota // moved, or no longer there
	waits                   // looked at again later
	dangling                // it refers to what another file may bring
	held                    // the store takes nothing now
)

// look goes once through the folder, and returns when to look again at the
// latest; zero means whenever.
func (in *Intake) look(ctx context.Context) time.Time {
	now := in.o.Now()
	root, err := os.OpenRoot(in.o.Folder)
	if err != nil {
		in.folderState(true)
		return time.Time{}
	}
	defer root.Close()
	all, err := list(root)
	if err != nil {
		in.folderState(true)
		return time.Time{}
	}
	t := &tour{in: in, root: root, now: now}
	ready := t.sift(all)
	t.takeAll(ctx, ready)
	in.reconsider(ctx)
	in.tidy(root, now)
	if in.pause.until.After(now) {
		t.due(in.pause.until)
	} else if ctx.Err() == nil {
		in.resume() // also when the file that was held is no longer there
	}
	in.folderState(t.stuck)
	in.asideState(anyAside(root))
	return t.next
}

// tour is one look through the folder.
type tour struct {
	in      *Intake
	root    *os.Root
	now     time.Time
	next    time.Time // when something falls due
	growing bool      // a file is not whole yet
	stuck   bool      // a file cannot be moved
}

// due asks for a look at a moment; the earliest that was asked for counts.
func (t *tour) due(at time.Time) {
	if t.next.IsZero() || at.Before(t.next) {
		t.next = at
	}
}

// sift notes how every file looks, and returns those that have been left alone
// for long enough.
func (t *tour) sift(names []string) []string {
	// The map is made anew, so that names which are gone are forgotten.
	known := t.in.files
	t.in.files = map[string]*file{}
	var ready []string
	for _, name := range names {
		info, err := t.root.Lstat(name)
		if err != nil {
			continue
		}
		f := known[name]
		if f == nil || !same(f.info, info) {
			f = &file{info: info, since: t.now}
		}
		t.in.files[name] = f
		wait := settle
		if !ends(name, ".json") || info.Size() == 0 {
			wait = quiet
		}
		if at := f.since.Add(wait); at.After(t.now) {
			t.growing = true
			t.due(at)
			continue
		}
		ready = append(ready, name)
	}
	return ready
}

// takeAll takes files until no further one can be: a file that refers to what
// another one brings is tried again after it.
func (t *tour) takeAll(ctx context.Context, ready []string) {
	for progress := true; progress && len(ready) > 0; {
		progress = false
		var left []string
		for _, name := range ready {
			if ctx.Err() != nil {
				return
			}
			if t.in.pause.until.After(t.now) && t.in.files[name].settled == nil {
				t.due(t.in.pause.until)
				continue
			}
			switch t.take(ctx, name, false) {
			case gone:
				progress = true
			case dangling:
				left = append(left, name)
			}
		}
		ready = left
	}
	// What is left refers to records that no whole file has brought. One that is
	// still being written may; else there is nothing to wait for.
	for _, name := range ready {
		f := t.in.files[name]
		if at := f.since.Add(quiet); t.growing && at.After(t.now) {
			t.due(at)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		t.take(ctx, name, true)
	}
}

// take takes one file; last says that what it refers to is waited for no longer.
func (t *tour) take(ctx context.Context, name string, last bool) verdict {
	f := t.in.files[name]
	if f.settled != nil {
		return t.file(name, f)
	}
	// Reading a large file again only to miss the same record would cost the
	// square of the files.
	if !f.missing.IsZero() && !last {
		if ok, err := t.in.o.Exists(f.missing); err == nil && !ok {
			return dangling
		}
	}
	age := t.now.Sub(f.since)
	data, err := read(t.root, name, f.info)
	var e Event
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gone
	case errors.Is(err, errChanged):
		f.since = t.now
		t.growing = true
		t.due(t.now.Add(settle))
		return waits
	case errors.Is(err, errNotFile):
		e = refused(name, NotAFile)
	case errors.Is(err, errTooLong):
		e = refused(name, TooLarge)
	case err != nil && age < locked:
		t.due(f.since.Add(locked))
		return waits
	case err != nil:
		e = refused(name, Unreadable)
	default:
		if e, err = t.in.take(ctx, name, data); err != nil {
			return waits // ctx ended
		}
	}
	if e.Refusal != nil {
		// A failure that nobody knows may pass, as with a store that is being
		// closed; but one poor file must not hold up the others for ever.
		if e.Refusal.Code == Refused && f.tries < 2 {
			f.tries++
			e.Refusal = &Refusal{Code: StoreStopped}
		}
		switch c := e.Refusal.Code; {
		case e.Refusal.Later():
			t.in.hold(t.now, e)
			t.due(t.in.pause.until)
			return held
		case (c == NotJSON || c == Empty) && age < quiet:
			t.growing = true
			t.due(f.since.Add(quiet))
			return waits
		case c == RefersNowhere && !last:
			f.missing = e.Refusal.Key
			return dangling
		}
	} else {
		t.in.resume()
	}
	f.settled = &e
	t.in.finish(ctx, e)
	return t.file(name, f)
}

// refused is a file that was not even read.
func refused(name string, c Code) Event {
	return Event{What: Aside, File: name, Source: sourceOf(name), Refusal: &Refusal{Code: c}}
}

// file moves a file to where its event says that it belongs. One that cannot be
// moved, as while another program has it open on Windows, stays settled and is
// tried again.
func (t *tour) file(name string, f *file) verdict {
	e := f.settled
	dir, note, suffix := path.Join(doneFolder, t.now.Format(time.DateOnly)), assignedNote(e.Assigned), ".ids.txt"
	if e.What == Aside {
		dir, note, suffix = "aside", e.Refusal.Note(), noteSuffix
	}
	// The note first: a file that lies there without one is a riddle. A note
	// without its file is overwritten by the next of its name.
	to, err := place(t.root, dir, name)
	if err == nil && note != nil {
		err = write(t.root, to+suffix, note)
	}
	if err == nil {
		err = move(t.root, name, to, f.info)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		delete(t.in.files, name)
		return gone
	case errors.Is(err, errChanged): // another content came meanwhile: it is read anew
		t.root.Remove(to + suffix)
		delete(t.in.files, name)
		t.due(t.now.Add(settle))
		return waits
	}
	t.in.o.Log.Warn("file cannot be moved")
	t.stuck = true
	return waits
}

// assignedNote lists the ids that a file left to us, one a line: the number of
// the Bundle's entry or of the line, and the record. Nil for none.
func assignedNote(all []Assigned) []byte {
	var out []byte
	for _, a := range all {
		out = fmt.Appendf(out, "%d\t%s\r\n", max(a.Entry, a.Line), a.Key)
	}
	return out
}
