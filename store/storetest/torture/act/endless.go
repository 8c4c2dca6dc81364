package act

import (
	"context"
	"fmt"
)

// during lets several write until they are killed, and beside them one do an
// operation again and again.
func during(operation string) Script {
	return func(ctx context.Context, st *Stage) error {
		a := st.actor(false, 0)
		if err := a.open(); err != nil {
			return err
		}
		crowd := st.crowd()
		for _, o := range Operations() {
			if o.Name == operation {
				crowd = append(crowd, st.actor(false, 0))
			}
		}
		return together(crowd, a.s, func(c *actor) error {
			for ctx.Err() == nil {
				if err := c.work(ctx, operation); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// crowd are 4 to 8 who write, told apart from those of other lives.
func (st *Stage) crowd() []*actor {
	crowd := make([]*actor, 4+st.Seed%5)
	for i := range crowd {
		crowd[i] = st.actor(false, uint64(i+1))
		crowd[i].who = fmt.Sprintf("who%d.%d", i, st.Seed)
	}
	return crowd
}

// work is one step of a writer, or an operation of the one who has no number.
func (a *actor) work(ctx context.Context, operation string) error {
	if a.who != nobody {
		return a.step(ctx)
	}
	for _, o := range Operations() {
		if o.Name == operation {
			return a.perform(ctx, o)
		}
	}
	return nil
}

// nobody is who an actor with the number 0 is.
const nobody = "who0"

// liar lets several say that settings and attachments are saved before they are,
// until they are killed.
func liar(ctx context.Context, st *Stage) error {
	a := st.actor(false, 0)
	if err := a.open(); err != nil {
		return err
	}
	return together(st.crowd(), a.s, func(c *actor) error {
		c.early = true
		for ctx.Err() == nil {
			if err := c.setting(ctx); err != nil {
				return err
			}
			if err := c.blob(ctx, 2000); err != nil {
				return err
			}
		}
		return nil
	})
}
