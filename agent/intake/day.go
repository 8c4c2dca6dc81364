package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tram/store/record"
)

// maxRows bounds a day's report: whoever sends makes up the types of messages.
const maxRows = 60

// Day is what came in on one day.
type Day struct {
	Date string `json:"date"` // YYYY-MM-DD, where the station is
	Rows []Row  `json:"rows"`
}

// Row counts what came in one way and of one type.
type Row struct {
	Source  Source       `json:"source"`
	Kind    string       `json:"kind,omitempty"` // of messages; "" elsewhere
	Taken   int          `json:"taken"`          // files or messages of the network
	Again   int          `json:"again"`          // known already
	Waiting int          `json:"waiting"`        // messages that are on the waiting list
	Aside   int          `json:"aside"`
	Why     map[Code]int `json:"why,omitempty"` // of those set aside
	New     int          `json:"new"`           // records
	Changed int          `json:"changed"`
}

// Today is the day that it is where the station is.
func (in *Intake) Today() string { return in.o.Now().In(in.o.Zone).Format("2006-01-02") }

// Day is the report of a day, "YYYY-MM-DD"; without rows where nothing came.
func (in *Intake) Day(date string) (Day, error) {
	d := Day{Date: date}
	b, err := in.o.Setting("intake/day/" + date)
	if errors.Is(err, record.ErrNotFound) || err == nil && len(b) == 0 {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &d.Rows)
	}
	if err != nil {
		return d, fmt.Errorf("read the report of a day: %w", err)
	}
	return d, nil
}

// count adds an event to its day's report. The lock is held.
func (in *Intake) count(ctx context.Context, e Event) error {
	d, err := in.Day(in.Today())
	if err != nil {
		return err
	}
	kind := e.Kind
	i := slices.IndexFunc(d.Rows, func(r Row) bool { return r.Source == e.Source && r.Kind == kind })
	if i < 0 && len(d.Rows) >= maxRows {
		kind = "?"
		i = slices.IndexFunc(d.Rows, func(r Row) bool { return r.Source == e.Source && r.Kind == kind })
	}
	if i < 0 {
		i = len(d.Rows)
		d.Rows = append(d.Rows, Row{Source: e.Source, Kind: kind})
	}
	d.Rows[i].add(e)
	slices.SortFunc(d.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Kind, b.Kind))
	})
	return in.keepDay(ctx, d)
}

func (in *Intake) keepDay(ctx context.Context, d Day) error {
	b, err := json.Marshal(d.Rows)
	if err == nil {
		err = in.o.SetSetting(ctx, "intake/day/"+d.Date, b)
	}
	if err != nil {
		return fmt.Errorf("keep the report of a day: %w", err)
	}
	return nil
}

// settled takes a message that left the waiting list off the report of the day on which it
// came, where it may stand among others of its file. A report that cannot be kept holds up
// nothing.
func (in *Intake) settled(ctx context.Context, w Waiting) {
	d, err := in.Day(time.UnixMilli(w.At).In(in.o.Zone).Format(time.DateOnly))
	for _, kind := range []string{w.Kind, "HL7", "?"} {
		i := slices.IndexFunc(d.Rows, func(r Row) bool { return r.Kind == kind && r.Waiting > 0 })
		if err == nil && i >= 0 {
			d.Rows[i].Waiting--
			err = in.keepDay(ctx, d)
			break
		}
	}
	if err != nil {
		in.o.Log.Debug("what left the list cannot be counted", "err", err)
	}
}

func (r *Row) add(e Event) {
	switch e.What {
	case Took:
		r.Taken++
	case Again:
		r.Again++
	case Aside:
		r.Aside++
		if r.Why == nil {
			r.Why = map[Code]int{}
		}
		r.Why[e.Refusal.Code]++
	}
	r.Waiting += e.Waits
	r.New += e.Taken.New
	r.Changed += e.Taken.Changed
}
