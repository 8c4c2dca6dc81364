// Package bench measures the store and the sync on real files and real programs,
// and prints figures beside those of the bare means: bbolt alone, and the plain
// JSON.
//
// It owns what is measured and how it is printed. It promises that what is set
// beside each other was measured in the same run on the same disk, that bytes are
// those on the wire with TLS and all, and that memory is that of processes of
// their own. There are no thresholds: what is good enough is for people to say.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"tram/agent/rehearse/bench/storage"
	"tram/agent/rehearse/interop/house"
)

// Options say what is measured and where.
type Options struct {
	// Dir is where the files go: a new folder in it, removed afterwards. It should
	// be on the disk that is of interest.
	Dir string
	// Records is how many practice records the first sync carries; 0 is 20,000.
	Records int
	// Each is how long each write test lasts; 0 is 10 s.
	Each time.Duration
	// Programs are built where they are not named.
	Programs house.Programs
	// Profile is a file for a CPU profile of the store's write tests; "" for none.
	Profile string
	// Only is "write" or "sync" for that part alone.
	Only string
}

// The sizes of a short run.
const (
	shortRecords = 2000
	shortEach    = 2 * time.Second
)

// Run measures and prints.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	if o.Records == 0 {
		o.Records = 20000
	}
	if o.Each == 0 {
		o.Each = 10 * time.Second
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.Dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	storage.Environment(out, dir)
	if o.Only != "sync" {
		if err := storage.Writes(ctx, o.Each, o.Profile, dir, out); err != nil {
			return fmt.Errorf("measure writes: %w", err)
		}
	}
	if o.Only != "write" {
		if err := syncs(ctx, o, dir, out); err != nil {
			return fmt.Errorf("measure syncs: %w", err)
		}
	}
	return nil
}

// Command is Run as a command of kong; its caller binds a context.Context and an
// io.Writer.
type Command struct {
	Short   bool          `help:"A run of about a minute: 2,000 records, 2 s for each write test."`
	Dir     string        `help:"Where the files go; the disk that is measured." default:".build" type:"path"`
	Records int           `help:"How many records the first sync carries." default:"20000"`
	Each    time.Duration `help:"How long each write test lasts." default:"10s"`
	Tram    string        `help:"The program tram; built when left out." type:"existingfile"`
	Central string        `help:"The program tram-central; built when left out." type:"existingfile"`
	Profile string        `help:"A file for a CPU profile of the write tests." type:"path"`
	Only    string        `help:"Measure one part alone: write or sync." enum:"write,sync,all" default:"all"`
}

// Run runs it.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	o := Options{Dir: c.Dir, Records: c.Records, Each: c.Each, Programs: house.Programs{Tram: c.Tram, Central: c.Central}, Profile: c.Profile, Only: c.Only}
	if c.Short {
		o.Records, o.Each = shortRecords, shortEach
	}
	return Run(ctx, o, out)
}
