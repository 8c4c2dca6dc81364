package agent

import (
	"time"

	"tram/agent/web"
	"tram/sync/engine"
)

// progress is how far long work with the centre is.
type progress struct {
	began time.Time
	bytes int64 // of the client when it began
	done  uint64
}

// linkUse is how the link to the centre is used, for a page.
func (a *Agent) linkUse() web.Link {
	use := a.allowance()
	a.mu.Lock()
	defer a.mu.Unlock()
	return web.Link{Allowance: use.Allowance, Used: use.Used, Progress: a.progress}
}

// went notes what an exchange brought forward. It is long work where more is left than
// another exchange would take.
func (a *Agent) went(res engine.Result) {
	left := res.Left
	if res.Waiting {
		counts, err := a.store.Waiting()
		if err == nil {
			left += uint64(counts.Waiting)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if left == 0 || res.Refused != "" {
		a.link.work, a.progress = progress{}, web.Progress{}
		return
	}
	up, down := a.link.client.Bytes()
	w := &a.link.work
	if w.began.IsZero() {
		w.began, w.bytes = time.Now(), up+down
	} else {
		w.done += uint64(res.Taken + res.Received)
	}
	a.progress = web.Progress{Done: w.done, Left: left, Carried: up + down - w.bytes}
	if w.done > 0 {
		a.progress.Time = time.Duration(float64(time.Since(w.began)) * float64(left) / float64(w.done))
	}
}
