package installer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tram/installer/place"
)

// waitLimit is how long an agent may take until it answers for the first time.
// An old disk replays a journal for minutes.
const waitLimit = 10 * time.Minute

// StepError is a step that failed. Undone says that the steps before it were
// taken back; where that failed too, Undo holds the reason.
type StepError struct {
	Step   Step
	Err    error
	Undone bool
	Undo   error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step.Do, e.Err) }

func (e *StepError) Unwrap() error { return e.Err }

// Run carries a plan out on a target, one step after the other, and tells each
// one to progress before it begins. When a step of an install fails, the ones
// before it are undone in reverse, so that a failed upgrade leaves the earlier
// agent running; records, and the folder they lie in, are left alone by that. A
// removal is not undone: carrying it out again completes it. Run blocks until
// all is done and starts nothing that outlives it but the service itself. ctx
// ends the waiting; a step that has begun is finished first. The error is a
// *StepError.
func Run(ctx context.Context, plan Plan, on Target, progress func(Step)) error {
	var undo []func() error
	for _, step := range plan.Steps {
		progress(step)
		back, err := carryOut(ctx, step, on)
		if back != nil {
			undo = append(undo, back)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			continue
		}
		failed := &StepError{Step: step, Err: err}
		if plan.Kind != Removal {
			failed.Undone = true
			for i := len(undo) - 1; i >= 0; i-- {
				failed.Undo = errors.Join(failed.Undo, undo[i]())
			}
		}
		return failed
	}
	return nil
}

// carryOut does one step. What it returns beside the error takes the step back,
// also one that failed half-way.
func carryOut(ctx context.Context, s Step, on Target) (undo func() error, err error) {
	to := on.at(s.To)
	switch s.Do {
	// Undoing a stop is a start: a failed upgrade ends with the earlier agent at work.
	case StopService:
		return on.Services.Start, on.Services.Stop()
	case KeepPrevious:
		return nil, copyFile(on.at(s.From), to, "")
	case CopyProgram, CopySetup:
		return replaceProgram(s, on)
	case MakeAccount:
		return nil, makeAccount(to, s.Text, on)
	case WriteSettings:
		return func() error { return place.Remove(to) }, place.Write(to, []byte(s.Text), 0o644)
	case MakeData:
		return nil, makeData(to, on)
	case PlaceEnrol:
		content, err := s.Enrol.Bytes()
		if err != nil {
			return nil, fmt.Errorf("write enrolment: %w", err)
		}
		if err := place.Write(to, content, 0o600); err != nil {
			return nil, err
		}
		return func() error { return place.Remove(to) }, giveToService(to, on)
	case WriteNote:
		content, err := json.Marshal(s.Note)
		if err != nil {
			return nil, fmt.Errorf("write note: %w", err)
		}
		// The earlier note belongs to the earlier program, which an undo puts back.
		before, gone := place.Read(to, maxText)
		back := func() error { return place.Write(to, before, 0o644) }
		if gone != nil {
			back = func() error { return place.Remove(to) }
		}
		return back, place.Write(to, content, 0o644)
	case Register:
		return registerStep(s, on)
	case StartService:
		return on.Services.Stop, on.Services.Start()
	case WaitHealthy:
		return nil, waitHealthy(ctx, s)
	case Unregister:
		return nil, on.Services.Unregister()
	case RemoveFile:
		return nil, removeProgram(to)
	case DeleteRecords:
		return nil, deleteRecords(to, on.at(s.From))
	}
	return nil, fmt.Errorf("no such step: %s", s.Do)
}

// registerStep registers the service; its undo registers what was there before, or
// nothing.
func registerStep(s Step, on Target) (undo func() error, err error) {
	def := Definition{Program: s.From, Arguments: []string{"run", "--config", s.To}, Unit: s.Text}
	undo = on.Services.Unregister
	if !s.Fresh {
		before := def
		if s.Before != "" {
			before.Unit = s.Before
		}
		undo = func() error { return on.Services.Register(before) }
	}
	return undo, on.Services.Register(def)
}

// replaceProgram copies a program from the kit. Its undo puts the kept one
// back, or removes what was not there before; a setup program that was replaced
// stays, since it can do no less than the one before it.
func replaceProgram(s Step, on Target) (undo func() error, err error) {
	to := on.at(s.To)
	switch {
	case s.Previous != "":
		undo = func() error { return copyFile(on.at(s.Previous), to, "") }
	case s.Fresh:
		undo = func() error { return place.Remove(to) }
	}
	root, err := os.OpenRoot(s.Kit)
	if err != nil {
		return undo, fmt.Errorf("open kit: %w", err)
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(s.From))
	if err != nil {
		return undo, fmt.Errorf("open kit: %w", err)
	}
	defer f.Close()
	return undo, place.Copy(to, f, s.SHA256, 0o755)
}

// copyFile copies a program that is on the PC already.
func copyFile(from, to, digest string) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("open program: %w", err)
	}
	defer f.Close()
	return place.Copy(to, f, digest, 0o755)
}

// waitHealthy asks five times a second until the agent answers with the version
// that was installed. What the agent complains of is no failure of the install:
// a station without a network is set up all the same.
func waitHealthy(ctx context.Context, s Step) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for {
		h, err := askHealth(ctx, s.Listen)
		if err == nil && (h.Version == s.Note.Version || s.Note.Version == "") {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("version %q answers", h.Version)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("agent does not answer: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// deleteRecords deletes what the agent made inside the data folder, the
// journal's segments where they lie elsewhere, and either folder if nothing
// else is in it. Links are removed, not followed.
func deleteRecords(folder, journal string) error {
	var errs []error
	for _, name := range recordNames() {
		errs = append(errs, os.RemoveAll(filepath.Join(folder, name)))
	}
	if journal != "" {
		segments, err := filepath.Glob(filepath.Join(journal, "[0-9]*.journal"))
		errs = append(errs, err, place.Remove(segments...), removeEmpty(journal))
	}
	errs = append(errs, removeEmpty(folder))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	return nil
}

// removeEmpty removes a folder only if nothing is in it.
func removeEmpty(folder string) error {
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		return nil
	}
	return os.Remove(folder)
}
