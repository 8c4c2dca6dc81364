package central

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tram/store"
	"tram/store/backup"
	"tram/store/seal"
	"tram/sync/status"
)

// upkeepFirst and upkeepEvery are when the records are put in order.
const (
	upkeepFirst = time.Minute
	upkeepEvery = time.Hour
)

// tend keeps the records in order until ctx ends. What fails is logged and tried again.
func (c *Centre) tend(ctx context.Context) error {
	next := time.NewTimer(upkeepFirst)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		if err := c.store.Upkeep(ctx); err != nil && ctx.Err() == nil {
			c.o.Log.Error("upkeep failed", "err", err)
		}
		next.Reset(upkeepEvery)
	}
}

// backUp writes a backup and reads it back.
func (c *Centre) backUp(ctx context.Context, file string) error {
	return backup.Save(file, func(w io.Writer) error { return c.store.Backup(ctx, w) }, func(r io.Reader) error { return c.store.CheckBackup(ctx, r) })
}

// folder is the data folder of a command that works on records that are there.
type folder struct {
	Data string `required:"" help:"Data folder." type:"existingdir"`
}

type checkCmd struct{ folder }

func (c checkCmd) Run(ctx context.Context, t *tool) error {
	s, err := t.ask(ctx, c.Data, asked{Do: "check"})
	if err != nil {
		return err
	}
	return t.findings(s)
}

// findings prints what a check found, in words and for an engineer.
func (t *tool) findings(s said) error {
	for _, f := range s.Found {
		title, todo := status.FindingWords(t.lang, f.Code)
		fmt.Fprintf(t.out, "%s: %s (%s). %s\n", f.Key, title, f.Text, todo)
	}
	if s.N > 0 {
		return fmt.Errorf(t.words["unsound"], s.N)
	}
	fmt.Fprintln(t.out, t.words["sound"])
	return nil
}

// check holds every invariant against the records; the first findings are told.
func (c *Centre) check(ctx context.Context) (said, error) {
	found, err := c.store.Check(ctx)
	return said{N: len(found), Found: found[:min(len(found), 50)]}, err
}

type repairCmd struct{ folder }

// Run rebuilds the database, and checks what came of it.
func (r repairCmd) Run(ctx context.Context, t *tool) error {
	c, err := New(Options{Dir: r.Data, Rebuild: true})
	if err != nil {
		return err
	}
	m, err := c.store.Mended()
	if err == nil && m != nil {
		fmt.Fprintf(t.out, t.words["mended"]+"\n", m.Taken, m.Replayed, m.Missing, m.Aside)
		if m.Gaps > 0 {
			fmt.Fprintf(t.out, t.words["mended-gaps"]+"\n", m.Gaps)
		}
	}
	var s said
	if err == nil {
		s, err = c.check(ctx)
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	return t.findings(s)
}

type backupCmd struct {
	folder
	File string `arg:"" help:"Where to write it; no file may be there." type:"path"`
}

func (c backupCmd) Run(ctx context.Context, t *tool) error {
	if _, err := t.ask(ctx, c.Data, asked{Do: "backup", File: c.File}); err != nil {
		return err
	}
	fmt.Fprintf(t.out, t.words["backed-up"]+"\n", c.File, filepath.Join(c.Data, store.KeyFile), authorityDir(c.Data))
	return nil
}

type restoreCmd struct {
	Data string `required:"" help:"Data folder without records." type:"path"`
	File string `arg:"" help:"The backup." type:"existingfile"`
	Key  string `required:"" help:"The key file of the centre that was backed up." type:"existingfile"`
}

// Run puts a backup into a folder without records, with its key.
func (c restoreCmd) Run(ctx context.Context, t *tool) error {
	key, err := os.ReadFile(c.Key)
	if err == nil {
		err = os.MkdirAll(c.Data, 0o700)
	}
	if err != nil {
		return err
	}
	err = store.Alone(c.Data, func() error {
		in, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer in.Close()
		if err := backup.Restore(ctx, c.Data, in, seal.KeyFile(c.Key)); err != nil {
			return err
		}
		return seal.WriteFile(filepath.Join(c.Data, store.KeyFile), key)
	})
	if errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrWrongKey) {
		return errors.New(t.words["restore-key"])
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, t.words["restored"]+"\n", c.Data, authorityDir(c.Data))
	return nil
}

func authorityDir(dir string) string { return filepath.Join(dir, "authority") }

// careTrouble are the errors of this file with their words.
func careTrouble(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{fs.ErrExist, "backup-there"}, {backup.ErrNotEmpty, "backup-over"}, {backup.ErrCut, "backup-cut"}, {backup.ErrNotBackup, "backup-other"},
		{store.ErrFull, "full"}, {store.ErrRestoring, "restoring"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}
