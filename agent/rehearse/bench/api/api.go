// Package api measures how fast the FHIR face of a station's real program answers,
// beside Medplum's router over its memory, on the same requests of the same client
// over the same records in the same run, and beside what HTTP and bbolt alone allow.
//
// It owns what is asked, how it is measured and how it is printed. It promises that
// each answer is held against what is right, that every server is a process of its
// own behind loopback HTTP with connections that last, and that the servers take
// turns cell by cell. A wrong answer is an error, a slow one never: there are no
// thresholds.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tram/agent/rehearse/bench/storage"
	"tram/agent/rehearse/interop/house"
)

// Command is the benchmark as a command of kong; its caller binds a
// context.Context and an io.Writer.
type Command struct {
	Short    bool          `help:"A run of about a minute: 1,000 people, 5,000 records, half a second for each figure."`
	Dir      string        `help:"Where the files go; a new folder in it, removed afterwards." default:".build" type:"path"`
	People   int           `help:"How many people the records are about." default:"50000"`
	Records  int           `help:"How many records the servers hold." default:"200000"`
	Each     time.Duration `help:"How long each figure is measured." default:"5s"`
	Tram     string        `help:"The program tram; built when left out." type:"existingfile"`
	Central  string        `help:"The program tram-central; built when left out, and not used." type:"existingfile"`
	Medplum  string        `help:"The script of testdata/peers/medplum, installed; left out when not named." type:"existingfile"`
	Patience time.Duration `help:"How long Medplum may load records." default:"5m"`
	Longest  time.Duration `help:"How long all clients together may wait for their first answers; where it would be longer, so many do not ask." default:"2m"`
	Memory   int           `help:"How many megabytes Medplum's heap may have." default:"8192"`

	Nothing bool `hidden:"" help:"Serve empty answers; what a run starts itself."`
}

// The sizes of a short run.
const (
	shortPeople  = 1000
	shortRecords = 5000
	shortEach    = 500 * time.Millisecond
	shortLongest = 10 * time.Second
)

// bench is one run.
type bench struct {
	Command
	dir   string
	table table
	out   io.Writer
	began time.Time
}

// Run measures and prints.
func (c *Command) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Nothing {
		return serveNothing(ctx, out)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	b := &bench{Command: *c, out: out, began: time.Now()}
	if b.dir, err = os.MkdirTemp(c.Dir, "bench-api-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if c.Short {
		b.People, b.Records = min(c.People, shortPeople), min(c.Records, shortRecords)
		b.Each, b.Longest = min(c.Each, shortEach), min(c.Longest, shortLongest)
	}
	storage.Environment(out, b.dir)
	if err := b.run(ctx); err != nil {
		return err
	}
	b.table.print(out)
	return nil
}

// run makes the records, starts the servers and measures them.
func (b *bench) run(ctx context.Context) (err error) {
	b.say("%d records of %d people are made up", b.Records, b.People)
	corpus, err := storage.MakeRecords(filepath.Join(b.dir, "records.ndjson"), b.Records, b.People, 0)
	if err != nil {
		return err
	}
	tram, stop, err := b.station(ctx, corpus)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	nothing, err := startNothing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nothing.stop()) }()
	medplum, err := b.peer(ctx, corpus)
	if err != nil {
		return err
	}
	if medplum != nil {
		defer func() { err = errors.Join(err, medplum.stop()) }()
	}
	all, err := draw(corpus.File, corpus.Records)
	if err != nil {
		return err
	}
	theirs := all
	if medplum != nil && medplum.Records < corpus.Records {
		if theirs, err = draw(corpus.File, medplum.Records); err != nil {
			return err
		}
	}
	b.table.people, b.table.records = corpus.People, corpus.Records
	b.table.memory("loaded", tram, medplum)
	if err := b.limits(ctx, nothing); err != nil {
		return err
	}
	sides := []side{{tram, all.ops()}}
	if medplum != nil {
		sides = append(sides, side{medplum, theirs.ops()})
	}
	if err := b.measure(ctx, sides); err != nil {
		return err
	}
	b.table.memory("in the end", tram, medplum)
	b.table.say("\"-\" is not measured: so many clients would have waited longer than %s for their first answers.", b.Longest)
	return nil
}

// station fills the store of a station and starts its program. stop is never nil.
func (b *bench) station(ctx context.Context, corpus storage.Corpus) (s *server, stop func() error, err error) {
	stop = func() error { return nil }
	programs, err := house.Find(ctx, house.Programs{Tram: b.Tram, Central: b.Central}, b.dir)
	if err != nil {
		return nil, stop, err
	}
	station, err := house.NewStation(programs, filepath.Join(b.dir, "station"), "bench", house.Settings{References: "strict"})
	if err != nil {
		return nil, stop, err
	}
	if err := station.Admit(ctx); err != nil {
		return nil, stop, err
	}
	began := time.Now()
	err = storage.Fill(ctx, station.Dir(), corpus, func(n int) { b.say("the station holds %d records", n) })
	if err != nil {
		return nil, stop, fmt.Errorf("fill the station: %w", err)
	}
	b.table.say("tram's store was filled with %d records in %.0f s.", corpus.Records, time.Since(began).Seconds())
	if err := station.Start(ctx); err != nil {
		return nil, stop, err
	}
	s, err = ofStation(station)
	return s, station.Stop, err
}

// peer starts Medplum with the same records; nil where it was not named.
func (b *bench) peer(ctx context.Context, corpus storage.Corpus) (*server, error) {
	if b.Medplum == "" {
		b.table.say("Medplum was left out: no script was named.")
		return nil, nil
	}
	b.say("Medplum loads them, for %s at most", b.Patience)
	s, err := startMedplum(ctx, b.Medplum, b.Memory, corpus.File, b.Patience)
	if err != nil {
		return nil, err
	}
	b.table.say("Medplum took %d of %d records in %.0f s%s.", s.Records, corpus.Records, s.Seconds, partly(s.Records < corpus.Records))
	return s, nil
}

// partly says why a peer holds fewer records than there are.
func partly(less bool) string {
	if less {
		return ": its time or its memory was over, and it is asked about these alone"
	}
	return ""
}

// say prints what is being done, and since when the run lasts.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
