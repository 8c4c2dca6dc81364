// Package thin measures exchanges over an emulated thin link, the real programs on
// real files with HTTP and TLS, and sets them beside PouchDB on the same link, the
// same records as one gzip'd bundle, and what zpaq makes of them.
//
// It owns what is measured and how it is printed. It promises that what is set
// beside each other is of the same records in the same run, that bytes are those on
// the socket, and that time is real. It says which targets are met and which are
// not; only a wrong result is an error, never a slow or a large one.
package thin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/bench/storage"
	"tram/agent/rehearse/interop/house"
)

// Command is the benchmark as a command of kong; its caller binds a
// context.Context and an io.Writer.
type Command struct {
	Short    bool          `help:"Leave out what takes minutes: a run of less than two."`
	Dir      string        `help:"Where the files go; a new folder in it, removed afterwards." default:".build" type:"path"`
	Records  int           `help:"How many records the first push carries." default:"20000"`
	Patience time.Duration `help:"How long PouchDB is given for a day under cuts." default:"5m"`
	Only     []string      `help:"Measure these parts alone: ${enum}." enum:"day,live,cuts,weeks,examples,first"`
	Tram     string        `help:"The program tram; built when left out." type:"existingfile"`
	Central  string        `help:"The program tram-central; built when left out." type:"existingfile"`
	Couch    string        `help:"The script of testdata/peers/couch, installed; left out when not named." type:"existingfile"`
	Examples string        `help:"npm's package hl7.fhir.r4.examples 4.0.1; left out when not named." type:"existingfile"`
}

// The sizes of a short run.
const (
	shortRecords = 2000
	shortWeeks   = 2 // working days instead of 21
)

// bench is one run.
type bench struct {
	Command
	town  *town
	couch *couch // nil for none
	table table
	// nothing is an idle exchange on a new connection; whole is the day, uncut;
	// evened is PouchDB's after the day, for which it took so long; 0 where unknown.
	nothing, whole passage
	evened         *database
	theirs         time.Duration
	out            io.Writer
	began          time.Time
}

// Run measures and prints.
func (c *Command) Run(ctx context.Context, out io.Writer) (err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "bench-wire-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	storage.Environment(out, dir)
	b := &bench{Command: *c, out: out, began: time.Now()}
	if c.Short {
		b.Records = min(b.Records, shortRecords)
	}
	programs, err := house.Find(ctx, house.Programs{Tram: c.Tram, Central: c.Central}, dir)
	if err != nil {
		return err
	}
	if b.town, err = newTown(programs, dir); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	b.town.lay(ctx, g)
	g.Go(func() error {
		defer stop() // the links
		err := b.measure(ctx, dir)
		if b.couch != nil {
			err = errors.Join(err, b.couch.stop())
		}
		return errors.Join(err, b.town.end())
	})
	if err := g.Wait(); err != nil {
		return err
	}
	b.table.print(out)
	return nil
}

// measure runs the parts that are wanted, one after the other. What is left out is
// said in the table.
func (b *bench) measure(ctx context.Context, dir string) (err error) {
	b.say("a centre and two stations are enrolled, and know a few days")
	if err := b.town.settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	if b.Couch == "" {
		b.table.leave("PouchDB: no script was named")
	} else if b.couch, err = startCouch(ctx, b.Couch, dir); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"day", b.day}, {"live", b.live}, {"cuts", b.cuts}, {"weeks", b.weeks}, {"examples", b.examples}, {"first", b.first},
	} {
		if len(b.Only) > 0 && !slices.Contains(b.Only, part.name) {
			b.table.leave(part.name + ": not asked for")
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("measure %s: %w", part.name, err)
		}
	}
	return nil
}

// say prints what is being done, and since when the run lasts.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
