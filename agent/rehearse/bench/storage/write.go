package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tram/store/fhir"
)

// writers is how many write at once in the second kind of test.
const writers = 64

// turn is how long a maker writes before it is the next one's turn, so that a disk
// that grows slower, or is busy for a while, is so for all.
const turn = 500 * time.Millisecond

// maker is one way to make a resource durable.
type maker struct {
	name string
	// syncs is how many syncs one of its transactions needs.
	syncs int
	// write lets a number of writers write for a while.
	write func(ctx context.Context, writers int, d time.Duration) (score, error)
}

// opening gets a maker of this process ready. save returns when the n-th resource
// is on the disk; close tells how many transactions it was.
type opening func(ctx context.Context) (save func(n int) error, close func() (commits int, err error), err error)

// score is what a maker did.
type score struct {
	n, commits int
	syncs      int // of all commits together
	took       time.Duration
	waits      []time.Duration // of each write
	turns      []float64       // writes a second in each turn
}

func (s score) rate() float64 { return float64(s.n) / s.took.Seconds() }

// syncsEach is how many syncs a write cost.
func (s score) syncsEach() float64 { return float64(s.syncs) / float64(max(s.n, 1)) }

// at is how long the fastest part of the writes took at most.
func (s score) at(part float64) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	return s.waits[min(int(part*float64(len(s.waits))), len(s.waits)-1)]
}

// add takes in another turn of the same maker.
func (s *score) add(m maker, o score) {
	s.n, s.commits, s.took, s.waits = s.n+o.n, s.commits+o.commits, s.took+o.took, append(s.waits, o.waits...)
	s.syncs += m.syncs * o.commits
	s.turns = append(s.turns, o.rate())
}

// of is how many times as fast as another a maker is: the median of their turns.
func (s score) of(o score) float64 {
	ratios := make([]float64, len(s.turns))
	for i := range ratios {
		ratios[i] = s.turns[i] / o.turns[i]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// rates are what the makers did, by name, for one number of writers.
type rates map[string]score

// Writes measures how many practice observations a second become durable, each
// test lasting for a while, and prints it. A profile goes to a file where one is
// named.
func Writes(ctx context.Context, each time.Duration, profile, dir string, out io.Writer) error {
	obs, err := makeObservations(days)
	if err != nil {
		return err
	}
	_, err = writes(ctx, each, profile, dir, obs, nil, out)
	return err
}

// days are how many of a practice station give the observations.
const days = 10

// writes measures the makers of this process and others in turn, by one writer and
// by many.
func writes(ctx context.Context, each time.Duration, profile, dir string, obs observations, others []maker, out io.Writer) (map[int]rates, error) {
	r4, err := fhir.Load()
	if err != nil {
		return nil, err
	}
	stop, err := profiled(profile)
	if err != nil {
		return nil, err
	}
	defer stop()
	makers, err := allMakers(ctx, dir, obs, r4)
	if err != nil {
		return nil, err
	}
	makers = append(others, makers...)
	all := map[int]rates{}
	for _, n := range []int{1, writers} {
		scores := make([]score, len(makers))
		turns := max(2, each/turn)
		for range turns {
			for i, m := range makers {
				s, err := m.write(ctx, n, each/turns)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", m.name, err)
				}
				scores[i].add(m, s)
			}
		}
		printScores(out, n, obs.size(), makers, scores)
		all[n] = rates{}
		for i, m := range makers {
			all[n][m.name] = scores[i]
		}
	}
	return all, nil
}

// profiled begins a CPU profile in a file, where one is named.
func profiled(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// saving lets writers of this process write; what they write goes on from turn to turn.
func saving(open opening) func(context.Context, int, time.Duration) (score, error) {
	var next atomic.Int64
	return func(ctx context.Context, writers int, d time.Duration) (total score, err error) {
		save, done, err := open(ctx)
		if err != nil {
			return total, err
		}
		var mu sync.Mutex
		var failed error
		start := time.Now()
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				var waits []time.Duration
				err := error(nil)
				for err == nil && ctx.Err() == nil && time.Since(start) < d {
					began := time.Now()
					if err = save(int(next.Add(1))); err == nil {
						waits = append(waits, time.Since(began))
					}
				}
				mu.Lock()
				defer mu.Unlock()
				total.waits = append(total.waits, waits...)
				failed = cmp.Or(failed, err)
			})
		}
		all.Wait()
		total.n, total.took = len(total.waits), time.Since(start)
		total.commits, err = done()
		return total, cmp.Or(failed, err, ctx.Err())
	}
}

// printScores prints a line for each maker. The last one is the store, which the
// others are set beside, turn by turn.
func printScores(out io.Writer, writers, size int, makers []maker, scores []score) {
	fmt.Fprintf(out, "\ndurable writes, %d at once, practice Observations of %d bytes:\n", writers, size)
	fmt.Fprintf(out, "  %-28s %10s %10s %10s %12s %12s %8s\n", "", "writes/s", "p50 ms", "p99 ms", "per commit", "syncs/write", "store is")
	store := scores[len(scores)-1]
	for i, m := range makers {
		s := scores[i]
		slices.Sort(s.waits)
		fmt.Fprintf(out, "  %-28s %10.0f %10.2f %10.2f %12.1f %12.2f %7.2fx\n", m.name, s.rate(), milli(s.at(0.5)), milli(s.at(0.99)),
			float64(s.n)/float64(max(s.commits, 1)), s.syncsEach(), store.of(s))
	}
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
