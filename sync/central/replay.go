package central

import (
	"context"
	"os"
	"time"

	"tram/sync/merge"
	"tram/sync/merge/replay"
)

type mergeCmd struct {
	Replay replayCmd `cmd:"" help:"Say what another table of classes would have made of past merges."`
}

type replayCmd struct {
	folder
	Classes string    `required:"" help:"The table to try: on each line an element, its class and the order of its codes." type:"existingfile" placeholder:"FILE"`
	Since   time.Time `help:"Leave out merges before this day, as 2026-01-31." format:"2006-01-02" placeholder:"DATE"`
}

// Run replays through the running centre, or by itself where none runs.
func (c replayCmd) Run(ctx context.Context, t *tool) error {
	table, err := os.ReadFile(c.Classes)
	if err != nil {
		return err
	}
	if _, err := replay.Table(t.lang, string(table)); err != nil {
		return err
	}
	a := asked{Do: "replay", Classes: string(table)}
	if !c.Since.IsZero() { // a day begins where this PC stands
		a.Since = time.Date(c.Since.Year(), c.Since.Month(), c.Since.Day(), 0, 0, 0, 0, time.Local)
	}
	s, err := t.ask(ctx, c.Data, a)
	if err != nil {
		return err
	}
	return s.Replayed.Say(t.out, t.lang)
}

// replay merges again what the centre merged, beside the table that it merges by.
func (c *Centre) replay(ctx context.Context, a asked) (said, error) {
	now, err := merge.DefaultClasses()
	if err != nil {
		return said{}, err
	}
	then, err := replay.Table(a.Lang, a.Classes)
	if err != nil {
		return said{}, err
	}
	r, err := replay.Run(ctx, c.store, replay.Options{Now: now, Then: then, Since: a.Since})
	return said{Replayed: r}, err
}
