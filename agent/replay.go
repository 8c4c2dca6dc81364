package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"tram/store"
	"tram/sync/merge"
	"tram/sync/merge/replay"
)

type mergeCmd struct {
	Replay replayCmd `cmd:"" help:"Say what another table of classes would have made of the merges that are held here."`
}

type replayCmd struct {
	Classes string    `required:"" help:"The table to try: on each line an element, its class and the order of its codes." type:"path" placeholder:"FILE"`
	Since   time.Time `help:"Leave out merges before this day, as 2026-01-31." format:"2006-01-02" placeholder:"DATE"`
}

// tried is what a replay asks of the running program: the text of a table, and the
// moment from which on, in milliseconds; 0 is from the beginning.
type tried struct {
	Classes string `json:"classes"`
	Since   int64  `json:"since"`
}

// Run replays through the running program, or by itself where none runs.
func (c replayCmd) Run(ctx context.Context, t *tool) error {
	table, err := os.ReadFile(c.Classes)
	if err != nil {
		return err
	}
	if _, err := replay.Table(t.lang(), string(table)); err != nil {
		return err
	}
	asked := tried{Classes: string(table)}
	if !c.Since.IsZero() { // a day begins where this PC stands
		asked.Since = time.Date(c.Since.Year(), c.Since.Month(), c.Since.Day(), 0, 0, 0, 0, time.Local).UnixMilli()
	}
	b, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	var report *replay.Report
	err = t.call("POST", "/local/replay", "", bytes.NewReader(b), &report)
	if errors.Is(err, errNotRunning) {
		err = t.alone(store.Options{}, func(s *store.Store) error {
			report, err = asked.replay(ctx, s)
			return err
		})
	}
	if err != nil {
		return err
	}
	return report.Say(t.out, t.lang())
}

// replay merges again what a store holds, beside the table that this program carries.
func (a tried) replay(ctx context.Context, s *store.Store) (*replay.Report, error) {
	now, err := merge.DefaultClasses()
	if err != nil {
		return nil, err
	}
	o := replay.Options{Now: now}
	if o.Then, err = merge.ParseClasses(a.Classes); err != nil {
		return nil, err
	}
	if a.Since != 0 {
		o.Since = time.UnixMilli(a.Since)
	}
	return replay.Run(ctx, s, o)
}

// maxTable is how large a table of classes may be, in bytes.
const maxTable = 1 << 20

func (a *Agent) replay(w http.ResponseWriter, r *http.Request) {
	var asked tried
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTable)).Decode(&asked); err != nil {
		http.Error(w, "cannot read what is asked", http.StatusBadRequest)
		return
	}
	report, err := asked.replay(r.Context(), a.store)
	answer(w, report, err)
}
