// Package prior makes what both sides of a packed stream know before it: lines as they
// travel.
//
// It owns which made-up stations these are taken from, and which of their lines. It
// promises that no real record and none of the test set of the benchmarks goes in, and
// that the same program makes the same bytes. It does not know what a stream makes of them.
package prior

import (
	"bytes"
	"container/heap"
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

// Command makes them as a command of kong; its caller binds a context.Context and an
// io.Writer.
type Command struct {
	Lines    string `help:"Where the lines go." default:"sync/wire/known.ndjson" type:"path"`
	Stations int    `help:"From how many stations." default:"24"`
	Days     int    `help:"How many days of each." default:"4"`
}

const (
	firstSeed = 910_001 // of the stations; those of the test set are far from it
	edits     = 40      // on each day of a station
	room      = 200_000 // bytes of lines
	common    = 3       // stations that say the same, for it to be worth knowing
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
	var said [][][]byte // by each station and its centre
	for i := range c.Stations {
		s := station{seed: firstSeed + uint64(i), r4: r4, merger: merge.New(r4, classes), random: rand.New(rand.NewPCG(firstSeed, uint64(i)))}
		if err := s.live(ctx, c.Days); err != nil {
			return fmt.Errorf("station %d: %w", i, err)
		}
		said = append(said, s.lines)
	}
	lines := choose(said)
	if err := os.WriteFile(c.Lines, lines, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d bytes of lines\n", len(lines))
	return nil
}

// choose takes, while there is room, the line that says most for its length of what
// several stations say and the lines before it do not. What is said is counted in pieces
// of 8 bytes, of a line's form and of each of its values. The idea is that of dictionaries
// for zstd (Cover: Liao et al., Effective construction of relative Lempel-Ziv dictionaries,
// WWW 2016).
func choose(said [][][]byte) []byte {
	by := map[piece]int{} // how many stations say it
	for _, lines := range said {
		own := map[piece]bool{}
		for _, line := range lines {
			each(line, func(p piece) { own[p] = true })
		}
		for p := range own {
			by[p]++
		}
	}
	for p, n := range by {
		if n < min(common, len(said)) {
			delete(by, p)
		}
	}
	worth := func(line []byte) float64 {
		sum, own := 0, map[piece]bool{}
		each(line, func(p piece) {
			if !own[p] {
				own[p] = true
				sum += by[p]
			}
		})
		return float64(sum) / float64(len(line))
	}
	var offers offers
	for _, lines := range said {
		for _, line := range lines {
			offers = append(offers, offer{line, len(offers), worth(line)})
		}
	}
	heap.Init(&offers)
	var out bytes.Buffer
	for len(offers) > 0 {
		best := &offers[0]
		if now := worth(best.line); now < best.worth { // lines before it said some of it
			best.worth = now
			heap.Fix(&offers, 0)
			continue
		}
		line := heap.Pop(&offers).(offer)
		if line.worth > 0 && out.Len()+len(line.line) < room {
			out.Write(append(line.line, '\n'))
			each(line.line, func(p piece) { delete(by, p) })
		}
	}
	return out.Bytes()
}

// piece is 8 bytes of what a line says.
type piece [8]byte

// each goes through the pieces of a line.
func each(line []byte, do func(piece)) {
	form, values := columns.Split(line)
	for _, v := range append(values, []byte(form)) {
		v = slices.Concat([]byte{0}, v, []byte{'\n'})
		do(piece(append(slices.Clip(v), make([]byte, 8)...)[:8]))
		for i := 1; i+8 <= len(v); i++ {
			do(piece(v[i : i+8]))
		}
	}
}

// offer is a line that may be chosen.
type offer struct {
	line  []byte
	n     int // it is the nth
	worth float64
}

// offers is a heap of them, the best one first.
type offers []offer

func (o offers) Len() int { return len(o) }
func (o offers) Less(i, j int) bool {
	return o[i].worth > o[j].worth || o[i].worth == o[j].worth && o[i].n < o[j].n
}
func (o offers) Swap(i, j int) { o[i], o[j] = o[j], o[i] }
func (o *offers) Push(x any)   { *o = append(*o, x.(offer)) }
func (o *offers) Pop() any {
	last := len(*o) - 1
	x := (*o)[last]
	*o = (*o)[:last]
	return x
}

// station is a made-up one and its centre.
type station struct {
	seed   uint64
	r4     *fhir.R4
	merger *merge.Merger
	random *rand.Rand
	now    int64
	store  *store.Store
	centre *store.Store
	carry  engine.Carry
	lines  [][]byte // all that it and its centre said
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

// pass carries one direction, and keeps its lines.
func (s *station) pass(ctx context.Context, next func() (*wire.Frame, error), take func(context.Context, *wire.Frame) error) error {
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
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
			s.lines = append(s.lines, bytes.Clone(line))
		}
		if err := take(ctx, f); err != nil {
			return err
		}
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
