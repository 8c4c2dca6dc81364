package agent

import (
	"context"
	"time"

	"tram/agent/health"
	"tram/sync/status"
)

// When upkeep is done: some time after the start, then whenever nothing more was
// written for a while, and once an hour at the latest.
const (
	upkeepFirst = time.Minute
	upkeepQuiet = 5 * time.Minute
	upkeepMost  = time.Hour
)

// tend keeps the records in order until ctx ends. What fails is a health value
// until it succeeds: the station works on.
func (a *Agent) tend(ctx context.Context) error {
	for first := upkeepFirst; idle(ctx, a.store.Changed, upkeepQuiet, first); first = upkeepMost {
		a.upkeep(ctx)
	}
	return nil
}

func (a *Agent) upkeep(ctx context.Context) {
	err := a.store.Upkeep(ctx)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.codes = without(a.codes, status.UpkeepFailed)
	if err != nil {
		a.codes = append(a.codes, status.UpkeepFailed)
		a.o.Log.Error("upkeep failed", "err", err)
	}
}

// idle waits until something was written and then nothing for a while, or for most at
// the latest. It reports false where ctx ended.
func idle(ctx context.Context, changed func() <-chan struct{}, quiet, most time.Duration) bool {
	latest := time.NewTimer(most)
	defer latest.Stop()
	var still <-chan time.Time // nothing was written yet
	for {
		select {
		case <-ctx.Done():
			return false
		case <-latest.C:
			return true
		case <-still:
			return true
		case <-changed():
			still = time.After(quiet)
		}
	}
}

// found are the health values of the store itself.
func (a *Agent) found() []status.Code {
	var out []status.Code
	if a.store.Stopped() != nil {
		out = append(out, status.StoreStopped)
	}
	if a.store.JournalLost() {
		out = append(out, status.JournalTrouble)
	}
	room, err := a.store.Room()
	if err != nil {
		a.o.Log.Debug("cannot read how much room there is", "err", err)
	}
	if c, low := health.Room(room); low {
		out = append(out, c)
	}
	mended, err := health.Mended(a.store)
	if err != nil {
		a.o.Log.Error("cannot read whether the database was rebuilt", "err", err)
	}
	if mended != nil {
		out = append(out, status.DatabaseRebuilt)
	}
	return out
}
