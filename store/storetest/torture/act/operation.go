package act

import (
	"context"
	"fmt"
	"io"

	"tram/store"
	"tram/store/storetest/torture/story"
)

// Operation is something that a store does beside the writes, in the midst of which
// a cut may come.
type Operation struct {
	Name string
	do   func(context.Context, *store.Store) error
}

// Operations are all that a store has.
func Operations() []Operation {
	return []Operation{
		{"compaction", func(ctx context.Context, s *store.Store) error { return s.Compact(ctx) }},
		{"backup", func(ctx context.Context, s *store.Store) error { return s.Backup(ctx, io.Discard) }},
		{"rotation", func(ctx context.Context, s *store.Store) error { return s.Rotate(ctx) }},
		{"upkeep", func(ctx context.Context, s *store.Store) error { return s.Upkeep(ctx) }},
	}
}

// operate does one of the operations, each in its turn.
func (a *actor) operate(ctx context.Context, turn int) error {
	all := Operations()
	return a.perform(ctx, all[turn%len(all)])
}

// operateAll does all of them.
func (a *actor) operateAll(ctx context.Context) error {
	for turn := range Operations() {
		if err := a.operate(ctx, turn); err != nil {
			return err
		}
	}
	return nil
}

// perform does an operation between two notes.
func (a *actor) perform(ctx context.Context, o Operation) error {
	if err := a.Tell.Tell(story.Mark{Word: story.Note, Text: o.Name}); err != nil {
		return err
	}
	if err := o.do(ctx, a.s); err != nil {
		return a.unless(false, fmt.Errorf("%s: %w", o.Name, err))
	}
	return a.Tell.Tell(story.Mark{Word: story.Note, Text: o.Name + " ended"})
}
