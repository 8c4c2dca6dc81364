package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tram/store"
	"tram/store/backup"
	"tram/store/fhir"
	"tram/store/layout"
	"tram/sync/status"
)

// alone opens the records for f while no program has them open. A database that was
// damaged is rebuilt by it, and told of.
func (t *tool) alone(o store.Options, f func(*store.Store) error) error {
	c := t.conf
	if !t.kept() {
		return fmt.Errorf(words(t.lang(), "no-records"), c.Data.Folder)
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	began := time.Now()
	o.Dir, o.Journal, o.Name, o.R4, o.Progress = c.Data.Folder, c.Data.Journal, c.Station.Name, r4, t.progress(time.Now)
	o.Keys = append(openers(c), t.askPassphrase())
	s, err := store.Open(o)
	if err != nil {
		return err
	}
	m, err := s.Mended()
	if err == nil && m != nil && m.At >= began.UnixMilli() {
		t.sayMended(m)
	}
	if err == nil {
		err = f(s)
	}
	return errors.Join(err, s.Close())
}

// sayMended tells what a rebuild took over and what is awaited.
func (t *tool) sayMended(m *store.Mended) {
	fmt.Fprintf(t.out, words(t.lang(), "mended")+"\n", m.Taken, m.Replayed)
	if m.Missing > 0 {
		fmt.Fprintf(t.out, words(t.lang(), "mended-missing")+"\n", m.Missing)
	} else if m.Gaps == 0 {
		fmt.Fprintln(t.out, words(t.lang(), "mended-whole"))
	}
	if m.Gaps > 0 {
		fmt.Fprintf(t.out, words(t.lang(), "mended-gaps")+"\n", m.Gaps)
	}
	if m.Aside != "" {
		fmt.Fprintf(t.out, words(t.lang(), "mended-aside")+"\n", m.Aside)
	}
}

// progress prints how much of the database is read, once a second where that takes
// more than two.
func (t *tool) progress(now func() time.Time) func(done, all int64) {
	next := now().Add(2 * time.Second)
	return func(done, all int64) {
		if all > 0 && !now().Before(next) {
			next = now().Add(time.Second)
			fmt.Fprintf(t.out, words(t.lang(), "reading")+"\n", done*100/all)
		}
	}
}

type checkCmd struct{}

// Run checks through the running program, or by itself where none runs.
func (checkCmd) Run(ctx context.Context, t *tool) error {
	var found []store.Finding
	err := t.call("GET", "/local/check", "", nil, &found)
	if errors.Is(err, errNotRunning) {
		return t.alone(store.Options{}, func(s *store.Store) error { return t.check(ctx, s) })
	}
	if err != nil {
		return err
	}
	return t.findings(found)
}

func (t *tool) check(ctx context.Context, s *store.Store) error {
	found, err := s.Check(ctx)
	if err != nil {
		return err
	}
	return t.findings(found)
}

// maxFindings is how many findings are printed: the first ones say what is wrong.
const maxFindings = 50

// findings prints what a check found, in words and for an engineer.
func (t *tool) findings(found []store.Finding) error {
	for _, f := range found[:min(len(found), maxFindings)] {
		title, todo := status.FindingWords(t.lang(), f.Code)
		fmt.Fprintf(t.out, "%s: %s (%s). %s\n", f.Key, title, f.Text, todo)
	}
	if len(found) > 0 {
		return fmt.Errorf(words(t.lang(), "unsound"), len(found))
	}
	fmt.Fprintln(t.out, words(t.lang(), "sound"))
	return nil
}

type repairCmd struct{}

// Run rebuilds the database, and checks what came of it.
func (repairCmd) Run(ctx context.Context, t *tool) error {
	err := t.alone(store.Options{Rebuild: true}, func(s *store.Store) error { return t.check(ctx, s) })
	if errors.Is(err, store.ErrLocked) {
		return errors.New(words(t.lang(), "keys-running"))
	}
	return err
}

type compactCmd struct{}

// Run compacts through the running program, or by itself where none runs.
func (compactCmd) Run(ctx context.Context, t *tool) error {
	file := filepath.Join(t.conf.Data.Folder, layout.DatabaseFile)
	before := sizeOf(file)
	var none struct{}
	err := t.call("POST", "/local/compact", "", nil, &none)
	if errors.Is(err, errNotRunning) {
		err = t.alone(store.Options{}, func(s *store.Store) error { return s.Compact(ctx) })
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, words(t.lang(), "compacted")+"\n", before, sizeOf(file))
	return nil
}

// sizeOf is a file's size in MB, rounded up; 0 where there is none.
func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return (info.Size() + 1<<20 - 1) >> 20
}

// storeTrouble is the word for what is wrong with records or a backup of them; "" for
// other errors.
func storeTrouble(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{store.ErrFull, "full"}, {store.ErrForeign, "foreign"}, {store.ErrNewer, "newer"}, {store.ErrRestoring, "restoring"},
		{backup.ErrNotBackup, "backup-other"}, {backup.ErrCut, "backup-cut"}, {backup.ErrNewer, "backup-newer"}, {backup.ErrNotEmpty, "backup-over"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}
