package simnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"tram/store/fhir"
	"tram/store/space"
	"tram/sync/carry"
	"tram/sync/merge"
)

// command is the command line of tram-sim.
type command struct {
	Run    runCmd    `cmd:"" default:"withargs" help:"Play worlds, each from its seed, and hold what comes of them against what people were told."`
	Matrix matrixCmd `cmd:"" help:"Put stations and centre back to earlier states, in every way, and hold what comes of it against what people typed."`
	Break  breakCmd  `cmd:"" help:"Build the product with one deliberate fault at a time, and tell which seed finds it."`
}

// Main is the program; it returns its exit code.
func Main(ctx context.Context, args []string, out, errs io.Writer) int {
	var c command
	parser, err := kong.New(&c, kong.Name("tram-sim"), kong.Writers(out, errs), kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(out, (*io.Writer)(nil)))
	if err == nil {
		var k *kong.Context
		if k, err = parser.Parse(args); err == nil {
			err = k.Run()
		}
	}
	if err != nil {
		fmt.Fprintf(errs, "tram-sim: %v\n", err)
		return 1
	}
	return 0
}

type runCmd struct {
	Seeds int    `default:"1000" help:"How many worlds."`
	From  uint64 `help:"The first seed; 0 draws one."`
	Steps int    `default:"48" help:"How many steps each world has."`
	Dir   string `help:"Where the folders of the replicas go; a disk in memory where there is one."`
	Show  int    `default:"3" help:"How many failing seeds are made shorter and drawn."`
	First bool   `help:"Stop at the first seed that is wrong."`
	Rare  bool   `help:"Fail where a kind of step or fault never happened." default:"true" negatable:""`
}

// memory is how much the program uses before it collects garbage often, in bytes.
const memory = 1 << 30

// errWrong ends a run in which something does not hold.
var errWrong = errors.New("not all worlds came to what people were told")

// Run plays the seeds on all cores.
func (c runCmd) Run(ctx context.Context, out io.Writer) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	if c.From == 0 {
		c.From = rand.Uint64N(1 << 40)
	}
	fmt.Fprintf(out, "seeds %d to %d, %d steps each\n", c.From, c.From+uint64(c.Seeds)-1, c.Steps)
	space.Memory(ctx, memory)
	began := time.Now()
	var sum tally
	stopped := c.play(ctx, o, out, &sum)
	took := time.Since(began)
	fmt.Fprintf(out, "%d worlds in %.1f s, %.1f a second: %d wrong\n", sum.worlds, took.Seconds(), float64(sum.worlds)/took.Seconds(), len(sum.bad))
	never := sum.print(out)
	slices.SortFunc(sum.bad, func(a, b Outcome) int { return int(int64(a.Seed - b.Seed)) })
	if len(sum.bad) > 0 {
		fmt.Fprintf(out, "first wrong: seed %d\n", sum.bad[0].Seed)
	}
	for _, bad := range sum.bad[:min(c.Show, len(sum.bad))] {
		short, err := Shrink(context.WithoutCancel(ctx), o, bad)
		if err != nil {
			return err
		}
		draw(out, short)
	}
	switch {
	case stopped != nil && !errors.Is(stopped, errWrong):
		return stopped
	case len(sum.bad) > 0:
		return errWrong
	case c.Rare && len(never) > 0:
		return fmt.Errorf("never happened: %v", never)
	}
	return nil
}

func (c runCmd) options() (Options, error) {
	o := Options{Dir: c.Dir, Steps: c.Steps, streams: &carry.Streams{}}
	if o.Dir == "" {
		o.Dir = memoryDisk()
	}
	var err error
	if o.R4, err = fhir.Load(); err != nil {
		return o, err
	}
	if o.keys, err = newKeys(names()...); err != nil {
		return o, err
	}
	classes, err := merge.DefaultClasses()
	if err != nil {
		return o, err
	}
	o.Merger = merge.New(o.R4, classes)
	return o, nil
}

// memoryDisk is a folder in memory, since no run here is about disks.
func memoryDisk() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		return shm
	}
	return os.TempDir()
}

// tally gathers what worlds came to.
type tally struct {
	mu       sync.Mutex
	worlds   int
	happened map[string]int
	bad      []Outcome
}

func (t *tally) add(o Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.happened == nil {
		t.happened = map[string]int{}
	}
	t.worlds++
	for name, n := range o.Happened {
		t.happened[name] += n
	}
	if len(o.Wrong) > 0 {
		t.bad = append(t.bad, o)
	}
}

// print lists how often each thing happened, and returns what never did.
func (t *tally) print(out io.Writer) (never []string) {
	for _, name := range Names() {
		fmt.Fprintf(out, "  %-22s %8d\n", name, t.happened[name])
		if t.happened[name] == 0 {
			never = append(never, name)
		}
	}
	return never
}

func (c runCmd) play(ctx context.Context, o Options, out io.Writer, sum *tally) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	seeds := make(chan uint64)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := range seeds {
				got, err := Run(ctx, o, seed, Steps(seed, o.Steps))
				if err != nil {
					if ctx.Err() == nil {
						stop(fmt.Errorf("seed %d: %w", seed, err))
					}
					return
				}
				if sum.add(got); len(got.Wrong) > 0 {
					fmt.Fprintf(out, "  seed %d is wrong\n", seed)
				}
				if c.First && len(got.Wrong) > 0 {
					stop(errWrong)
				}
			}
		})
	}
	shown := time.Now()
feed:
	for i := range c.Seeds {
		select {
		case seeds <- c.From + uint64(i):
		case <-ctx.Done():
			break feed
		}
		if time.Since(shown) > 30*time.Second {
			shown = time.Now()
			fmt.Fprintf(out, "  %d of %d\n", i, c.Seeds)
		}
	}
	close(seeds)
	all.Wait()
	return context.Cause(ctx)
}

// draw prints a failing history.
func draw(out io.Writer, bad Outcome) {
	fmt.Fprintf(out, "\nseed %d, %d steps:\n", bad.Seed, len(bad.Steps))
	for _, line := range bad.Story {
		fmt.Fprintf(out, "    %s\n", line)
	}
	for _, line := range bad.Wrong {
		fmt.Fprintf(out, "  wrong: %s\n", line)
	}
}
