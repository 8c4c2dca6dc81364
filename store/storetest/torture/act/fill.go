package act

import (
	"context"
	"errors"
	"fmt"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest/torture/story"
)

// How fill writes.
const (
	fillBy   = 20 << 10 // bytes of a record or attachment
	fillEnds = 6        // refusals after which it is content
	fillMost = 20_000   // writes after which a disk has no end
)

// fill writes until the disk is full, and some more: records, attachments or both,
// as the seed has it, and then what a store keeps room for, but where that is to be
// found by the next who opens it. All that was saved must stay readable.
func fill(ctx context.Context, st *Stage) error {
	a := st.actor(false, 1)
	a.calm = true
	if err := a.open(); err != nil {
		return a.Tell.Tell(story.Mark{Word: story.Note, Text: "not opened: " + err.Error()})
	}
	if !a.Bare {
		if err := a.s.Upkeep(ctx); err != nil {
			return err
		}
	}
	for n, refused := 0, 0; refused < fillEnds && a.s.Stopped() == nil; n++ {
		if n == fillMost {
			return fmt.Errorf("the disk does not fill: %w", errLost)
		}
		had := len(a.mine)
		blob := st.Seed%3 == 1 && refused < fillEnds/2 || st.Seed%3 == 2 && n%2 == 0
		if blob {
			ok, err := a.fillBlob(ctx)
			if err != nil {
				return err
			}
			if !ok {
				refused++
			}
			continue
		}
		w := a.large()
		if err := a.put(ctx, w); err != nil {
			return err
		}
		if len(a.mine) == had {
			refused++
			if err := a.readable(w.Key); err != nil {
				return err
			}
		}
	}
	for n := 0; n < 10 && (a.Bare || st.Seed%3 == 2); n++ {
		if err := errors.Join(a.setting(ctx), a.audit(ctx)); err != nil {
			return err
		}
	}
	if err := a.stopped(ctx); err != nil {
		return err
	}
	if err := a.Tell.Tell(story.Mark{Word: story.Note, Text: "full"}); err != nil {
		return err
	}
	return a.close()
}

// large is a birth whose content does not compress.
func (a *actor) large() store.Write {
	k := record.Key{Kind: "Patient", ID: a.s.NewID()}
	content := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"text":"%d"},{"text":%q}]}`, k.ID, a.next.Add(1), noise(a.r, fillBy))
	return store.Write{Key: k, Content: content, Author: a.who}
}

func (a *actor) fillBlob(ctx context.Context) (saved bool, err error) {
	before := a.saved
	err = a.blob(ctx, fillBy)
	return a.saved > before, err
}

// readable asserts that on a full disk the last record is there and a refused one
// is not.
func (a *actor) readable(refused record.Key) error {
	if len(a.mine) > 0 {
		if _, err := a.s.Get(a.mine[len(a.mine)-1]); err != nil {
			return fmt.Errorf("reading on a full disk: %w", err)
		}
	}
	if _, err := a.s.Get(refused); a.s.Stopped() == nil && !errors.Is(err, record.ErrNotFound) {
		return fmt.Errorf("a refused record shows (%v): %w", err, errLost)
	}
	return nil
}
