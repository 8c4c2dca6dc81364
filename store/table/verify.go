package table

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"tram/store/pages"
)

// ErrForeign says that the file is bbolt's, and its entries are not as this package
// writes them.
var ErrForeign = errors.New("this is another kind of database")

// Facts are what a file says of itself before it is opened.
type Facts struct {
	pages.Report
	// Small are the values of the first table of the layout, where they could be read.
	Small map[string][]byte
	// Count is the number of entries by table.
	Count map[string]uint64
	// Before are the facts of the state one transaction before a damaged one, where
	// that is whole.
	Before *Facts
}

// reading gathers what Verify sees of a file, from several goroutines.
type reading struct {
	layout  Layout
	mu      sync.Mutex
	small   map[string][]byte
	tallies []byte
	counts  [256]atomic.Uint64
	sums    [256]atomic.Uint64
	foreign atomic.Bool
}

func (r *reading) item(bucket, key, stored []byte) bool {
	value, sum, ok := split(key, stored)
	switch string(bucket) {
	case Small.bucket(), Rising.bucket(), Mixed.bucket():
	default:
		if !ok {
			r.foreign.Store(true)
		}
		return false
	}
	if !ok {
		return false
	}
	if string(key) == tallyKey {
		r.mu.Lock()
		r.tallies = append([]byte(nil), stored...)
		r.mu.Unlock()
		return true
	}
	letter, ok := letterOf(key)
	if !ok {
		return false
	}
	if letter == r.layout[0].Letter {
		r.mu.Lock()
		r.small[string(key[1:])] = append([]byte(nil), value...)
		r.mu.Unlock()
	}
	r.counts[letter].Add(1)
	r.sums[letter].Add(uint64(sum))
	return true
}

// compare holds what was read against the tallies.
func (r *reading) compare() error {
	ts, err := decodeTallies(r.tallies, len(r.layout))
	if err != nil {
		return err
	}
	for i, s := range r.layout {
		if n, sum := r.counts[s.Letter].Load(), r.sums[s.Letter].Load(); n != ts[i].Count || sum != ts[i].Sum {
			return fmt.Errorf("%w: %s has %d entries, and they are not the %d that were written", ErrDamaged, s.Name, n, ts[i].Count)
		}
	}
	return nil
}

// Verify reads a file from end to end, without mapping it, and holds it to all that
// was written: each page, each entry, and each table as a whole. It fails with
// ErrDamaged, ErrForeign, or what reading fails with. Facts hold what could be read
// also then, and of a damaged file whether it is whole without its last transaction:
// see StepBack. progress may be nil.
func Verify(ctx context.Context, path string, layout Layout, progress func(done, all int64)) (Facts, error) {
	f, err := os.Open(path)
	if err != nil {
		return Facts{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Facts{}, err
	}
	file := pages.File{Source: f, Size: info.Size(), Progress: progress}
	facts, err := verify(ctx, file, layout)
	if errors.Is(err, ErrDamaged) && facts.Both() {
		file.Older = true
		if before, err := verify(ctx, file, layout); err == nil && before.Tx+1 == facts.Tx {
			facts.Before = &before
		}
	}
	return facts, err
}

func verify(ctx context.Context, file pages.File, layout Layout) (Facts, error) {
	r := &reading{layout: layout, small: map[string][]byte{}}
	file.Item = r.item
	report, err := file.Verify(ctx)
	facts := Facts{Report: report, Small: r.small, Count: map[string]uint64{}}
	for _, s := range layout {
		facts.Count[s.Name] = r.counts[s.Letter].Load()
	}
	switch {
	case r.foreign.Load():
		return facts, ErrForeign
	case errors.Is(err, pages.ErrDamaged):
		return facts, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return facts, err
	}
	for _, b := range report.Buckets {
		if b.Name != Small.bucket() && b.Name != Rising.bucket() && b.Name != Mixed.bucket() {
			return facts, fmt.Errorf("%w: an area is named %q", ErrDamaged, b.Name)
		}
	}
	if len(report.Buckets) != 3 {
		return facts, fmt.Errorf("%w: %d areas", ErrDamaged, len(report.Buckets))
	}
	return facts, r.compare()
}
