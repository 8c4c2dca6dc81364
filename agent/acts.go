package agent

import (
	"context"

	"tram/store/audit"
	"tram/sync/engine"
)

// acts is how far the audit was handed in.
type acts struct {
	Told uint64 `json:"told"` // the number up to which the centre keeps it
	// Day is when it last took all that there was, or could not, by the PC's own clock;
	// Takes says that it takes any.
	Day   string `json:"day,omitempty"`
	Takes bool   `json:"takes,omitempty"`
}

const actsSetting = "acts"

// actsDue is what of the audit is handed in, once a day, in as many exchanges as the pace
// wants. A centre that is not known to take it is asked first.
func (a *Agent) actsDue() (seg *audit.Segment, all bool) {
	if a.link.acts.Day == a.today() {
		return nil, false
	}
	most := min(a.link.pace.Up, engine.MaxActs)
	some, err := a.store.Acts(a.link.acts.Told, most)
	if err != nil {
		a.o.Log.Error("the audit cannot be read", "err", err)
		return nil, false
	}
	if !a.link.acts.Takes {
		return &audit.Segment{}, false
	}
	return &some, len(some.Acts) < most
}

// acted notes how far the centre keeps the audit after an exchange that handed some of it
// in, or asked. A centre that keeps less than before gets it again.
func (a *Agent) acted(ctx context.Context, due *audit.Segment, all bool, res engine.Result) {
	if due == nil || res.Refused != "" {
		return
	}
	now := a.link.acts
	now.Takes = res.Acts != nil
	switch {
	case !now.Takes: // it is asked again tomorrow
		now.Day = a.today()
	case *res.Acts < now.Told:
		now.Told = *res.Acts
	case res.Handed:
		if now.Told = *res.Acts; all || now.Told != due.Last() { // there is no more, or it could not keep it
			now.Day = a.today()
		}
	}
	if now == a.link.acts {
		return
	}
	if err := a.keep(ctx, actsSetting, now); err != nil {
		a.o.Log.Error("cannot note how far the audit was handed in", "err", err)
		return
	}
	a.link.acts = now
}
