package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"tram/agent/web"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/wire"
)

// allowance is what the centre lets the link be used for, and what of it was used today.
type allowance struct {
	wire.Allowance
	Day  string `json:"day,omitempty"`  // of Used, by the PC's own clock
	Used int64  `json:"used,omitempty"` // bytes up and down
	// counted is how many bytes of the client are in Used, or of an earlier day.
	counted int64
}

const allowanceSetting = "allowance"

// recall reads what keep kept, and leaves v as it is where there is nothing.
func (a *Agent) recall(name string, v any) error {
	b, err := a.store.Setting(name)
	if err == nil && b != nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("read the setting %s: %w", name, err)
	}
	return nil
}

func (a *Agent) keep(ctx context.Context, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.store.SetSetting(ctx, name, b)
}

// keepAllowance keeps what the link may be used for, and what was used, where that is bounded.
func (a *Agent) keepAllowance(ctx context.Context) {
	use := a.allowance()
	if use.Bytes == 0 {
		return
	}
	a.saveAllowance(ctx, use)
}

func (a *Agent) saveAllowance(ctx context.Context, use allowance) {
	if err := a.keep(ctx, allowanceSetting, use); err != nil && ctx.Err() == nil {
		a.o.Log.Error("cannot note what the link was used for", "err", err)
	}
}

// allow takes over what the centre lets the link be used for from now on.
func (a *Agent) allow(ctx context.Context, now wire.Allowance) {
	a.mu.Lock()
	a.link.allowance.Allowance = now
	a.mu.Unlock()
	a.saveAllowance(ctx, a.allowance())
	a.o.Log.Info("the centre says what the link may be used for", "bytes a day", now.Bytes, "from", now.From, "until", now.Until)
}

// today is the day by the PC's own clock, as it is known to be off.
func (a *Agent) today() string { return a.now().In(time.Local).Format(time.DateOnly) }

// allowance is how the link may be used, and was used until now.
func (a *Agent) allowance() allowance {
	today := a.today()
	a.mu.Lock()
	defer a.mu.Unlock()
	use := &a.link.allowance
	if use.Day != today {
		use.Day, use.Used = today, 0
	}
	if a.link.client != nil {
		up, down := a.link.client.Bytes()
		use.Used += up + down - use.counted
		use.counted = up + down
	}
	return *use
}

// barred tells for how long, and why, the centre lets the link be used for nothing but what
// is urgent; "" where it may be used.
func (a *Agent) barred() (time.Duration, status.Code) {
	use, now := a.allowance(), a.now().In(time.Local)
	if closed := use.Opens(now); closed > 0 {
		return closed, status.LinkClosed
	}
	if use.Bytes > 0 && use.Used >= use.Bytes {
		y, m, d := now.Date()
		return time.Date(y, m, d+1, 0, 0, 0, 0, now.Location()).Sub(now), status.LinkSpent
	}
	return 0, ""
}

// hurried are the places of the urgent changes that wait, as many as one exchange takes.
func (a *Agent) hurried() map[uint64]bool {
	urgent, err := a.store.Urgent(a.link.pace.Up)
	if err != nil {
		a.o.Log.Error("what is urgent cannot be read", "err", err)
	}
	out := map[uint64]bool{}
	for _, c := range urgent {
		out[c.Seq] = true
	}
	return out
}

// presses reports whether something urgent waits that was not handed in yet.
func (a *Agent) presses() bool {
	for at := range a.hurried() {
		if !a.link.urged[at] {
			return true
		}
	}
	return false
}

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

// long is how many records are left where work takes long enough to be shown.
const long = 500

// went notes what an exchange brought forward.
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
	if left < long || res.Refused != "" {
		a.link.work, a.progress = progress{}, web.Progress{}
		return
	}
	up, down := a.link.client.Bytes()
	w := &a.link.work
	if w.began.IsZero() {
		w.began, w.bytes = time.Now(), up+down
	} else {
		w.done += uint64(res.Taken + max(0, res.Received-res.Echoed))
	}
	a.progress = web.Progress{Done: w.done, Left: left, Carried: up + down - w.bytes}
	if w.done > 0 {
		a.progress.Time = time.Duration(float64(time.Since(w.began)) * float64(left) / float64(w.done))
	}
}

// What is saved meanwhile, and urgent, waits for an exchange that is under way: one takes
// no longer than a few seconds where the link is thin.
const (
	quick = 5 * time.Second
	slow  = 15 * time.Second
)

// paced is the pace after an exchange that went through, took so long and moved so many.
func paced(p engine.Pace, took time.Duration, moved int) engine.Pace {
	switch {
	case took < quick && moved > p.Stretch:
		return p.Faster()
	case took > slow:
		return p.Slower()
	}
	return p
}
