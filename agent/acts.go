package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"tram/store/audit"
	"tram/sync/engine"
)

// acts is how far the audit was handed in.
type acts struct {
	Told uint64 `json:"told"` // the number up to which the centre keeps it
	// Day is when it last took all that there was, by the PC's own clock; Takes says
	// that it takes any.
	Day   string `json:"day,omitempty"`
	Takes bool   `json:"takes,omitempty"`
}

const actsSetting = "acts"

func (a *Agent) loadActs() error {
	b, err := a.store.Setting(actsSetting)
	if err != nil || b == nil {
		return err
	}
	if err := json.Unmarshal(b, &a.link.acts); err != nil {
		return fmt.Errorf("read how far the audit was handed in: %w", err)
	}
	return nil
}

func (a *Agent) today() string { return a.now().In(time.Local).Format(time.DateOnly) }

// actsDue is what of the audit is handed in, once a day. A centre that is not known to take
// it is asked first.
func (a *Agent) actsDue() *audit.Segment {
	if a.link.acts.Day == a.today() {
		return nil
	}
	seg, err := a.store.Acts(a.link.acts.Told, engine.MaxActs)
	if err != nil {
		a.o.Log.Error("the audit cannot be read", "err", err)
		return nil
	}
	if len(seg.Acts) == 0 {
		return nil
	}
	if !a.link.acts.Takes {
		return &audit.Segment{}
	}
	return &seg
}

// acted notes how far the centre keeps the audit after an exchange that handed some of it
// in, or asked.
func (a *Agent) acted(ctx context.Context, handed *audit.Segment, res engine.Result) {
	if handed == nil {
		return
	}
	now := a.link.acts
	now.Takes = res.Acts != nil
	switch {
	case !now.Takes:
		now.Day = a.today() // it is asked again tomorrow
	case *res.Acts > now.Told:
		if now.Told = *res.Acts; len(handed.Acts) < engine.MaxActs {
			now.Day = a.today()
		}
	}
	b, err := json.Marshal(now)
	if err == nil && now != a.link.acts {
		err = a.store.SetSetting(ctx, actsSetting, b)
	}
	if err != nil {
		a.o.Log.Error("cannot note how far the audit was handed in", "err", err)
		return
	}
	a.link.acts = now
}
