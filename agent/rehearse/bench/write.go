package bench

import (
	"cmp"
	"context"
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

// rounds is in how many parts each test's time is cut; the tests take turns, so
// that a disk that grows slower is so for all.
const rounds = 2

// maker is one way to make a resource durable.
type maker struct {
	name string
	// syncs is how many syncs one of its transactions needs.
	syncs int
	// open gets it ready. save returns when the n-th resource is on the disk; close
	// tells how many transactions it was.
	open func(ctx context.Context) (save func(n int) error, close func() (commits int, err error), err error)
}

// score is what a maker did.
type score struct {
	n, commits int
	took       time.Duration
	waits      []time.Duration // of each write
}

func (s score) rate() float64 { return float64(s.n) / s.took.Seconds() }

// at is how long the fastest part of the writes took at most.
func (s score) at(part float64) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	return s.waits[min(int(part*float64(len(s.waits))), len(s.waits)-1)]
}

// writes measures how many practice observations a second become durable.
func writes(ctx context.Context, o Options, dir string, out io.Writer) error {
	obs, err := makeObservations(10)
	if err != nil {
		return err
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	makers, err := allMakers(ctx, dir, obs, r4)
	if err != nil {
		return err
	}
	for _, n := range []int{1, writers} {
		scores := make([]score, len(makers))
		for range rounds {
			for i, m := range makers {
				if err := m.measure(ctx, n, o.Each/rounds, &scores[i]); err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
			}
		}
		printScores(out, n, obs.size(), makers, scores)
	}
	return nil
}

// measure lets a number of writers write for a while.
func (m maker) measure(ctx context.Context, writers int, d time.Duration, total *score) error {
	save, done, err := m.open(ctx)
	if err != nil {
		return err
	}
	var next atomic.Int64
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
			total.n += len(waits)
			failed = cmp.Or(failed, err)
		})
	}
	all.Wait()
	total.took += time.Since(start)
	commits, err := done()
	total.commits += commits
	return cmp.Or(failed, err, ctx.Err())
}

// printScores prints a line for each maker. The last one is the store, which the
// others are set beside.
func printScores(out io.Writer, writers, size int, makers []maker, scores []score) {
	fmt.Fprintf(out, "\ndurable writes, %d at once, practice Observations of %d bytes:\n", writers, size)
	fmt.Fprintf(out, "  %-28s %10s %10s %10s %12s %12s %8s\n", "", "writes/s", "p50 ms", "p99 ms", "per commit", "syncs/write", "store is")
	store := scores[len(scores)-1].rate()
	for i, m := range makers {
		s := scores[i]
		slices.Sort(s.waits)
		fmt.Fprintf(out, "  %-28s %10.0f %10.2f %10.2f %12.1f %12.2f %7.2fx\n", m.name, s.rate(), milli(s.at(0.5)), milli(s.at(0.99)),
			float64(s.n)/float64(max(s.commits, 1)), float64(m.syncs*s.commits)/float64(max(s.n, 1)), store/s.rate())
	}
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
