// Package storage measures what the store keeps, how fast and in how much room, on
// real files beside bare means and other ways to keep records: a plain file, bbolt
// alone, SQLite, PouchDB.
//
// It owns what is measured and how it is printed. It promises that what is set
// beside each other was measured in the same run, on the same disk, of the same
// records, and that what opens and answers is a process of its own. It says which
// targets are met and which are not; only a wrong result is an error, never a slow
// one.
package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"tram/store/fhir"
	"tram/store/space"
)

// Options say what is measured and where.
type Options struct {
	// Dir is where the files go: a new folder in it, removed afterwards. It should
	// be on the disk that is of interest.
	Dir string
	// Records and People are how large the store is made, Questions how many people
	// are looked for.
	Records, People, Questions int
	// Each is how long each write test lasts.
	Each time.Duration
	// SQLite is a program and PouchDB a script that keep the same records; "" leaves
	// them out. PouchRecords is how many records PouchDB is given beside all people.
	SQLite, PouchDB string
	PouchRecords    int
	// Profile is a file for a CPU profile of the filling. What opens and answers
	// writes two more beside it, named .look and .look.heap. "" is for none.
	Profile string
}

// Run measures and prints.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.Dir, "bench-store-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	Environment(out, dir)
	var f figures
	if err := f.writes(ctx, o, dir, out); err != nil {
		return fmt.Errorf("measure writes: %w", err)
	}
	if err := f.volume(ctx, o, dir, out); err != nil {
		return fmt.Errorf("measure a large store: %w", err)
	}
	f.print(out)
	return nil
}

// figures are what the verdict is about.
type figures struct {
	written map[int]rates
	corpus  Corpus
	filled  filling
	size    size
	looked  told
	peers   map[string]told // as they answered
}

// writes measures durable writes, the peers among them.
func (f *figures) writes(ctx context.Context, o Options, dir string, out io.Writer) error {
	obs, err := makeObservations(days)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "observations.ndjson")
	if err := os.WriteFile(file, obs.lines(), 0o600); err != nil {
		return err
	}
	var others []maker
	for _, p := range peers(o) {
		others = append(others, p.maker(file, filepath.Join(dir, "written-"+p.name)))
	}
	f.written, err = writes(ctx, o.Each, "", dir, obs, others, out)
	return err
}

// volume fills a store and the peers with the same records, and asks them the same.
func (f *figures) volume(ctx context.Context, o Options, dir string, out io.Writer) (err error) {
	if f.corpus, err = MakeRecords(filepath.Join(dir, "records.ndjson"), o.Records, o.People, o.Questions); err != nil {
		return err
	}
	questions := filepath.Join(dir, "questions.json")
	b, err := json.Marshal(f.corpus.ask)
	if err == nil {
		err = os.WriteFile(questions, b, 0o600)
	}
	if err != nil {
		return err
	}
	if err := f.fill(ctx, o, filepath.Join(dir, "store"), out); err != nil {
		return err
	}
	if err := f.look(ctx, o, filepath.Join(dir, "store"), questions, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nthe same of others:\n")
	f.peers = map[string]told{}
	for _, p := range peers(o) {
		loaded, answered, err := p.keep(ctx, f.corpus, questions, filepath.Join(dir, "kept-"+p.name))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-8s %9d records in %.1f s, %.0f a second, %.1f MB on the disk; opened in %.2f s; %.0f MB of memory when open, %.0f in the end\n", p.name,
			loaded.Records, loaded.Seconds, float64(loaded.Records)/loaded.Seconds, mega(loaded.Bytes), answered.Seconds, mega(answered.Memory[1]), mega(answered.Memory[3]))
		if err := agree(p.name, f.looked.Asked, answered.Asked); err != nil {
			return err
		}
		f.peers[p.name] = answered
	}
	f.printAsked(out)
	return nil
}

func (f *figures) fill(ctx context.Context, o Options, dir string, out io.Writer) error {
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	stop, err := profiled(o.Profile)
	if err != nil {
		return err
	}
	f.filled, err = fill(ctx, dir, f.corpus, r4, func(int) {})
	stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\na station's store of %d records (%d people, %d bytes each), %d in a transaction:\n", f.corpus.Records, f.corpus.People, f.corpus.json/int64(f.corpus.Records), batch)
	fmt.Fprintf(out, "  written there:         %9d in %7.1f s, %6.0f a second\n", f.filled.records, f.filled.put.Seconds(), float64(f.filled.records)/f.filled.put.Seconds())
	done := f.filled.records - f.filled.waiting
	fmt.Fprintf(out, "  receipts and names down: %7d in %7.1f s, %6.0f a second; the last %d wait\n", done, f.filled.told.Seconds(), float64(done)/f.filled.told.Seconds(), f.filled.waiting)
	if f.size, err = sizeOf(dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "  compacted, as when idle: %.1f MB to %.1f MB in %.1f s\n", mega(f.filled.grown), mega(f.size.database), f.filled.compacted.Seconds())
	f.size.print(out, f.corpus.json)
	return nil
}

// look lets a process of its own open the store, its files in the system's cache.
func (f *figures) look(ctx context.Context, o Options, dir, questions string, out io.Writer) error {
	if err := warm(filepath.Join(dir, "tram.db")); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"bench-store", "--look", dir, "--ask", questions}
	if o.Profile != "" {
		args = append(args, "--profile", o.Profile+".look")
	}
	if err := tell(exec.CommandContext(ctx, self, args...), "the store", &f.looked); err != nil {
		return err
	}
	if f.looked.Records != f.corpus.Records {
		return fmt.Errorf("opened anew the store holds %d records, it was given %d", f.looked.Records, f.corpus.Records)
	}
	m := f.looked.Memory
	fmt.Fprintf(out, "\nopened by a process of its own, files in the cache: %.2f s\n%s", f.looked.Seconds, f.looked.Log)
	fmt.Fprintf(out, "memory without pages of files: %.0f MB before it, %.0f MB after it, %.0f MB without garbage, %.0f MB after all questions\n",
		mega(m[0]), mega(m[1]), mega(m[2]), mega(m[3]))
	return nil
}

// Command is Run as a command of kong; its caller binds a context.Context and an
// io.Writer.
type Command struct {
	Dir          string        `help:"Where the files go; the disk that is measured." default:".build" type:"path"`
	Records      int           `help:"How many records the store is made to hold." default:"1000000"`
	People       int           `help:"How many people they are about." default:"50000"`
	Questions    int           `help:"How many people are looked for." default:"2000"`
	Each         time.Duration `help:"How long each write test lasts." default:"10s"`
	SQLite       string        `name:"sqlite" help:"The program of testdata/peers/sqlite; left out when not named." type:"existingfile"`
	PouchDB      string        `name:"pouchdb" help:"The script of testdata/peers/pouchdb, installed; left out when not named." type:"existingfile"`
	PouchRecords int           `name:"pouch-records" help:"How many records PouchDB is given beside all people." default:"50000"`
	Profile      string        `help:"A file for a CPU profile of the filling; of opening and searching beside it." type:"path"`

	Look string `hidden:"" help:"Open this store and answer; what a run starts itself." type:"existingdir"`
	Ask  string `hidden:"" help:"The questions to answer." type:"existingfile"`
}

// Run runs it.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	space.Memory(ctx, space.StationMemory) // as a station's program does
	if c.Look != "" {
		return look(ctx, c.Look, c.Ask, c.Profile, out)
	}
	return Run(ctx, Options{Dir: c.Dir, Records: c.Records, People: c.People, Questions: c.Questions, Each: c.Each,
		SQLite: c.SQLite, PouchDB: c.PouchDB, PouchRecords: c.PouchRecords, Profile: c.Profile}, out)
}
