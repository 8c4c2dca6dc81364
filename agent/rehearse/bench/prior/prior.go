// Package prior makes what both sides of a packed stream know before it: lines as they
// travel, and blocks from which a dictionary is trained.
//
// It owns which made-up stations these are taken from. It promises that no real record
// and none of the test set of the benchmarks goes in, and that the same program makes
// the same bytes. It does not know how the dictionary is trained: zstd does that.
package prior

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tram/agent/rehearse/bench/storage"
	"tram/store"
	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/status"
	"tram/sync/wire"
	"tram/sync/wire/columns"
)

// Command makes both as a command of kong; its caller binds a context.Context and an
// io.Writer.
type Command struct {
	Lines    string `help:"Where the lines go." default:"sync/wire/known.ndjson" type:"path"`
	Blocks   string `help:"The folder that the blocks go to, a file each; it is emptied first." default:".build/known" type:"path"`
	Stations int    `help:"From how many stations." default:"24"`
	Days     int    `help:"How many days of each." default:"4"`
}

const (
	firstSeed = 910_001  // of the stations; those of the test set are far from it
	edits     = 40       // on each day of a station
	room      = 60 << 10 // bytes of lines
	batch     = 16       // lines of a block: as few as an exchange in the middle of a day has
	began     = 1_780_000_000_000
)

// Run makes them.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	classes, err := merge.DefaultClasses()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(c.Blocks), os.MkdirAll(c.Blocks, 0o700)); err != nil {
		return err
	}
	var stretches [][][][]byte // of each station
	for i := range c.Stations {
		s := station{seed: firstSeed + uint64(i), r4: r4, merger: merge.New(r4, classes), random: rand.New(rand.NewPCG(firstSeed, uint64(i)))}
		if err := s.live(ctx, c.Days); err != nil {
			return fmt.Errorf("station %d: %w", i, err)
		}
		stretches = append(stretches, s.stretches)
	}
	lines := choose(stretches[:min(3, len(stretches))])
	if err := os.WriteFile(c.Lines, lines, 0o644); err != nil {
		return err
	}
	n := 0
	for _, of := range stretches {
		m := columns.NewModel(lines)
		for _, stretch := range of {
			if err := os.WriteFile(filepath.Join(c.Blocks, fmt.Sprintf("%06d", n)), m.Pack(nil, stretch), 0o600); err != nil {
				return err
			}
			n++
		}
	}
	fmt.Fprintf(out, "%d bytes of lines, %d blocks\n", len(lines), n)
	return nil
}

// choose takes one line of each form, of those that come most often first, and then whole
// stretches while there is room.
func choose(of [][][][]byte) []byte {
	var out bytes.Buffer
	add := func(line []byte) {
		if out.Len()+len(line) < room {
			out.Write(append(line[:len(line):len(line)], '\n'))
		}
	}
	often := map[string]int{}
	var forms []string // in the order in which they came
	first := map[string][]byte{}
	each(of, func(line []byte) {
		f := columns.Form(line)
		if often[f]++; often[f] == 1 {
			forms, first[f] = append(forms, f), line
		}
	})
	slices.SortStableFunc(forms, func(a, b string) int { return cmp.Compare(often[b], often[a]) })
	for _, f := range forms {
		add(first[f])
	}
	each(of[len(of)-1:], add)
	return out.Bytes()
}

func each(of [][][][]byte, do func([]byte)) {
	for _, stretches := range of {
		for _, stretch := range stretches {
			for _, line := range stretch {
				do(line)
			}
		}
	}
}

// station is a made-up one and its centre.
type station struct {
	seed      uint64
	r4        *fhir.R4
	merger    *merge.Merger
	random    *rand.Rand
	now       int64
	store     *store.Store
	centre    *store.Store
	carry     engine.Carry
	block     [][]byte
	stretches [][][]byte
}

// Read draws what the stores need of chance, the same each time.
func (s *station) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	return len(b), nil
}

// clock goes on as people work.
func (s *station) clock() record.Stamp {
	s.now += 1000 + s.random.Int64N(60_000)
	return record.Stamp{Unix: s.now}
}

// live works through its first days.
func (s *station) live(ctx context.Context, days int) (err error) {
	dir, err := os.MkdirTemp("", "prior")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s.now = began + s.random.Int64N(1_000_000_000)
	open := func(name string, top bool) (*store.Store, error) {
		return store.Open(store.Options{Name: name, Dir: filepath.Join(dir, name), Top: top, R4: s.r4, Clock: s.clock, Random: s})
	}
	if s.centre, err = open("centre", true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.centre.Close()) }()
	name := fmt.Sprintf("tram-%03d", s.random.IntN(1000))
	if s.store, err = open(name, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	if err := s.centre.AddPeer(ctx, store.Peer{Name: name, Station: name}); err != nil {
		return err
	}
	made := practice.New(s.seed, practice.Options{NewID: s.store.NewID})
	if err := s.put(ctx, storage.Births(made.Shared())); err != nil {
		return err
	}
	for day := range days {
		if err := errors.Join(s.put(ctx, storage.Births(made.Day(day))), s.edit(ctx, made.Edits(day, edits)), s.exchange(ctx)); err != nil {
			return err
		}
		for range 3 { // nothing to do
			if err := s.exchange(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// put saves one by one, as people do.
func (s *station) put(ctx context.Context, writes []store.Write) error {
	for _, w := range writes {
		if _, err := s.store.Put(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (s *station) edit(ctx context.Context, edits []practice.Edit) error {
	for _, e := range edits {
		st, err := s.store.Get(record.Key{Kind: e.Kind, ID: e.ID})
		if err != nil {
			return err
		}
		if err := s.put(ctx, []store.Write{{Key: st.Key, Base: st.Tag(), Content: e.New, Author: e.Author}}); err != nil {
			return err
		}
	}
	return nil
}

// exchange runs exchanges until nothing is left to do, and keeps the lines.
func (s *station) exchange(ctx context.Context) error {
	for {
		epoch, err := s.centre.Epoch()
		if err != nil {
			return err
		}
		ask, err := engine.NewAsk(engine.AskOptions{Replica: s.store, Name: s.store.Name(), Merger: s.merger, Pace: engine.DefaultPace(), Carry: &s.carry,
			Report: s.report(), Verify: func(record.Receipt) error { return nil }})
		if err != nil {
			return err
		}
		serve := engine.NewServe(engine.ServeOptions{Replica: s.centre, Name: "centre", Peer: s.store.Name(), Epoch: epoch, Merger: s.merger, R4: s.r4,
			Now: s.now, Pace: engine.DefaultPace(), MaxContent: fhir.DefaultLimits().Bytes,
			Sign: func(r record.Receipt) record.Receipt {
				for range 64 {
					r.Sig = append(r.Sig, byte(s.random.Uint32()))
				}
				return r
			},
			Hear:  func(wire.Hello) wire.Refusal { return "" },
			Admit: func(*record.Version, *record.Stand) record.Reason { return "" },
		})
		if err := errors.Join(s.pass(ctx, ask.Next, serve.Take), s.pass(ctx, serve.Next, ask.Take)); err != nil {
			return err
		}
		res := ask.Result()
		if s.carry = res.Next; !res.More && !res.Waiting {
			return nil
		}
	}
}

// pass carries one direction, and keeps its lines in blocks.
func (s *station) pass(ctx context.Context, next func() (*wire.Frame, error), take func(context.Context, *wire.Frame) error) error {
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			s.end()
			return nil
		}
		if err != nil {
			return err
		}
		lines, err := wire.Lines(f, wire.Packed)
		if err != nil {
			return err
		}
		for _, line := range lines {
			s.block = append(s.block, bytes.Clone(line))
		}
		if len(s.block) >= batch {
			s.end()
		}
		if err := take(ctx, f); err != nil {
			return err
		}
	}
}

func (s *station) end() {
	if len(s.block) > 0 {
		s.stretches, s.block = append(s.stretches, s.block), nil
	}
}

// report is what a station says of itself, without anything that is true of one.
func (s *station) report() []byte {
	const gib = 1 << 30
	total := (60 + s.random.Int64N(400)) * gib
	return status.Report{Station: s.store.Name(), Version: "0.1.0", Made: s.now, Offset: s.random.Int64N(900) - 450, OS: "windows", Arch: "amd64",
		DiskFree: total/8 + s.random.Int64N(total/2), DiskTotal: total, Database: (10 + s.random.Int64N(900)) << 20,
		People: 1000 + s.random.Int64N(9000), Records: 10_000 + s.random.Int64N(400_000), Tried: s.now - s.random.Int64N(900_000), Synced: s.now - s.random.Int64N(900_000),
		Lineage: s.store.Lineage(), Receipt: status.Position{Lineage: s.store.Lineage(), N: uint64(s.random.Int64N(90_000)), At: s.now - s.random.Int64N(900_000)},
		Up: s.random.Int64N(int64(30 * 24 * time.Hour / time.Second)), Slot: "tpm"}.Encode()
}
