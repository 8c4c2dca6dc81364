package space

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Memory lets the program collect garbage less often while it uses less than limit
// bytes, or than 3/8 of limit above what it keeps, where that is more; and more often
// above: a few megabytes of live data and a busy disk make Go's own rhythm cost as much
// as the work. What it keeps is looked at every second until ctx ends: it grows fast while
// much is opened, and who stays at a limit that is too low for that goes far above it. It
// is for a program's start; idle memory goes back to the system as before.
func Memory(ctx context.Context, limit int64) {
	debug.SetGCPercent(400)
	fit := func() { debug.SetMemoryLimit(max(limit, kept()+limit*3/8)) }
	fit()
	go func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				fit()
			}
		}
	}()
}

// kept is how many bytes the last collection found in use.
func kept() int64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// StationMemory is the limit for a station's PC, and CentreMemory for the centre's, in
// bytes.
const (
	StationMemory = 48 << 20
	CentreMemory  = 1 << 30
)
