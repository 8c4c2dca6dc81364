// Package health collects how this PC and its program are, for the status
// report, and keeps the clock that versions are stamped with.
//
// It owns the reading of disks, memory and build, the count of tried exchanges,
// and every doubt about the PC's clock. It promises that a report is a pure
// function of what was collected, that a failed exchange never moves the time of
// the last good one, and that a stamp says so when its time cannot be trusted.
// It does not judge: what a figure means is said by package status.
package health

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/store/space"
	"tram/sync/status"
)

// PC is what Look found. Sizes are bytes, 0 where unknown.
type PC struct {
	OS, Arch string
	// DiskFree and DiskTotal are those of the disk with the least room; free is
	// what this account may use.
	DiskFree, DiskTotal int64
	Database            int64 // the database file
	Memory              int64 // what this program has taken from the system
}

// Look reads how the PC is: the disks that the folders are on, and the size of
// the database file. What cannot be read is left 0 and named in the error.
func Look(database string, folders ...string) (PC, error) {
	pc := PC{OS: runtime.GOOS, Arch: runtime.GOARCH, Memory: memory()}
	var failed []error
	for _, folder := range folders {
		free, total, err := space.Free(folder)
		if err != nil {
			failed = append(failed, fmt.Errorf("look at disk: %w", err))
			continue
		}
		if pc.DiskTotal == 0 || free < pc.DiskFree {
			pc.DiskFree, pc.DiskTotal = free, total
		}
	}
	info, err := os.Stat(database)
	if err == nil {
		pc.Database = info.Size()
	} else {
		failed = append(failed, fmt.Errorf("look at database: %w", err))
	}
	return pc, errors.Join(failed...)
}

func memory() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}

// Built is when the program's sources were committed; zero where the build does
// not say.
func Built() time.Time {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			at, _ := time.Parse(time.RFC3339, s.Value)
			return at
		}
	}
	return time.Time{}
}

// Program is what does not change while the program runs, and how long it has.
type Program struct {
	Station, Version string
	Slot             string // the kind of slot that opened the key
	Up               time.Duration
}

// Sync is how exchanges went. Times are Unix milliseconds by this PC's clock. It
// is immutable.
type Sync struct {
	Tried, Synced int64
	Failures      int64 // in a row
	Failure       status.Failure
	Lineage       record.Lineage
	Receipt       status.Position
	// Unequal is since when records differ from the centre's, Healed when they last
	// ceased to.
	Unequal, Healed int64
}

// healedFor is how long it is said that records were brought together.
const healedFor = 24 * time.Hour

// Compared is s after the trees of both sides were compared.
func (s Sync) Compared(at int64, equal bool) Sync {
	switch {
	case !equal && s.Unequal == 0:
		s.Unequal = at
	case equal && s.Unequal != 0:
		s.Unequal, s.Healed = 0, at
	}
	return s
}

// trees is what is to be said of the comparison with the centre at a moment.
func (s Sync) trees(now int64) []status.Code {
	switch {
	case s.Unequal != 0:
		return []status.Code{status.Unequal}
	case s.Healed != 0 && now-s.Healed < healedFor.Milliseconds():
		return []status.Code{status.Healed}
	}
	return nil
}

// After is s after one more exchange was tried; an empty failure means that it
// succeeded.
func (s Sync) After(at int64, failure status.Failure) Sync {
	s.Tried, s.Failure = at, failure
	if failure == "" {
		s.Synced, s.Failures = at, 0
		return s
	}
	s.Failures++
	return s
}

// Report makes the status report of the moment that now stamps. Codes are what
// the parts of the program found by themselves; each is named once.
func Report(now record.Stamp, p Program, pc PC, c store.Counts, s Sync, codes ...status.Code) status.Report {
	r := status.Report{
		Station: p.Station, Version: p.Version, Made: now.Unix, Offset: now.Offset, Doubt: now.Doubt,
		OS: pc.OS, Arch: pc.Arch, DiskFree: pc.DiskFree, DiskTotal: pc.DiskTotal, Database: pc.Database,
		People: int64(c.People), Records: int64(c.Records), Waiting: int64(c.Waiting), Parked: int64(c.Parked),
		Conflicts: int64(c.Conflicts), Attachments: int64(c.Attachments),
		Tried: s.Tried, Synced: s.Synced, Failures: s.Failures, Failure: s.Failure,
		Lineage: s.Lineage, Receipt: s.Receipt, Up: int64(p.Up / time.Second), Slot: p.Slot,
	}
	if c.OldestUnsent != 0 {
		r.Oldest = c.OldestUnsent - now.Offset // the store corrects it; a report is by the PC's own clock
	}
	for _, code := range append(s.trees(now.Unix), codes...) {
		if !slices.Contains(r.Codes, code) {
			r.Codes = append(r.Codes, code)
		}
	}
	return r
}
