package act

import (
	"context"
	"fmt"
	"io"

	"tram/store"
	"tram/store/storetest/torture/story"
)

// Operation is something that a store does beside the writes, in one of which a
// cut may come.
type Operation struct {
	Name string
	// Of is the operation of a store; nil where this store has none of that name.
	Of func(*store.Store) func(context.Context) error
}

// Operations are all that a store may have.
func Operations() []Operation {
	return []Operation{
		{"compaction", func(s *store.Store) func(context.Context) error {
			if c, ok := any(s).(interface{ Compact(context.Context) error }); ok {
				return c.Compact
			}
			return nil
		}},
		{"backup", func(s *store.Store) func(context.Context) error {
			if b, ok := any(s).(interface {
				Backup(context.Context, io.Writer) error
			}); ok {
				return func(ctx context.Context) error { return b.Backup(ctx, io.Discard) }
			}
			return nil
		}},
		{"rotation", func(s *store.Store) func(context.Context) error {
			if r, ok := any(s).(interface{ Rotate(context.Context) error }); ok {
				return r.Rotate
			}
			return nil
		}},
	}
}

// operate does one of the operations that the store has, each in its turn.
func (a *actor) operate(ctx context.Context, turn int) error {
	var have []Operation
	for _, o := range Operations() {
		if o.Of(a.s) != nil {
			have = append(have, o)
		}
	}
	if len(have) == 0 {
		return nil
	}
	return a.perform(ctx, have[turn%len(have)])
}

// perform does an operation between two notes.
func (a *actor) perform(ctx context.Context, o Operation) error {
	if err := a.Tell.Tell(story.Mark{Word: story.Note, Text: o.Name}); err != nil {
		return err
	}
	if err := o.Of(a.s)(ctx); err != nil {
		return a.unless(false, fmt.Errorf("%s: %w", o.Name, err))
	}
	return a.Tell.Tell(story.Mark{Word: story.Note, Text: o.Name + " ended"})
}
