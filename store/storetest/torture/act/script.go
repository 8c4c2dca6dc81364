package act

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest/torture/story"
)

// second opens the store at the other side, which is not looked at.
func (a *actor) second(ctx context.Context) (*store.Store, error) {
	other, err := Open(filepath.Join(a.Aside, "other"), "", !a.top, a.R4, a.Log)
	if err != nil {
		return nil, err
	}
	above, below := other, a.s
	if a.top {
		above, below = a.s, other
	}
	return other, above.AddPeer(ctx, store.Peer{Name: below.Name(), Station: below.Name()})
}

// station is a new store's life at a station, with an upstream that takes and
// sends.
func station(ctx context.Context, st *Stage) (err error) {
	a := st.actor(false, 1)
	if err := a.open(); err != nil {
		return err
	}
	up, err := a.second(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, up.Close()) }()
	desk := st.actor(true, 2)
	for round := range 3 {
		for range 8 {
			if err := a.step(ctx); err != nil {
				return err
			}
		}
		if err := a.push(ctx, a.s, up); err != nil {
			return err
		}
		if err := desk.above(ctx, up, a.mine); err != nil {
			return err
		}
		if err := a.pull(ctx, up); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := a.operate(ctx, round); err != nil {
			return err
		}
		if err := a.reopen(); err != nil {
			return err
		}
	}
	return a.close()
}

// above writes at the upstream, without marks: one edit of what a station handed
// in, and one birth.
func (a *actor) above(ctx context.Context, up *store.Store, keys []record.Key) error {
	a.s = up
	k := keys[a.r.IntN(len(keys))]
	writes := []store.Write{a.newborn()}
	if st, err := up.Get(k); err == nil {
		writes = append(writes, store.Write{Key: k, Base: st.Tag(), Content: []byte(a.content(k)), Author: a.who})
	}
	_, err := up.Put(ctx, writes...)
	return err
}

// centre is a new store's life at the top, with a station below.
func centre(ctx context.Context, st *Stage) (err error) {
	a := st.actor(true, 1)
	if err := a.open(); err != nil {
		return err
	}
	below, err := a.second(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, below.Close()) }()
	desk := st.actor(false, 2)
	for round := range 3 {
		for range 8 {
			if err := a.step(ctx); err != nil {
				return err
			}
		}
		desk.s = below
		for range 3 {
			if _, err := below.Put(ctx, desk.newborn(), desk.newborn()); err != nil {
				return err
			}
		}
		if err := a.push(ctx, below, a.s); err != nil {
			return err
		}
		if err := a.operate(ctx, round); err != nil {
			return err
		}
		if err := a.reopen(); err != nil {
			return err
		}
	}
	return a.close()
}

// crowd lets several write at once to a new store, in two lives.
func crowd(ctx context.Context, st *Stage) error {
	a := st.actor(false, 0)
	crowd := make([]*actor, 6)
	for i := range crowd {
		crowd[i] = st.actor(false, uint64(i+1))
	}
	for range 2 {
		if err := a.open(); err != nil {
			return err
		}
		if err := together(crowd, a.s, func(c *actor) error {
			for range 6 {
				if err := c.step(ctx); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if err := a.close(); err != nil {
			return err
		}
	}
	return nil
}

func together(crowd []*actor, s *store.Store, do func(*actor) error) error {
	errs := make([]error, len(crowd))
	var all sync.WaitGroup
	for i, c := range crowd {
		c.s = s
		all.Go(func() { errs[i] = do(c) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// short is a little of everything, by one writer. A disk that fails ends it: it
// asserts that a store that stopped takes nothing more.
func short(ctx context.Context, st *Stage) error {
	a := st.actor(false, 1)
	a.calm = true
	for range 2 {
		if err := a.open(); err != nil {
			return a.Tell.Tell(story.Mark{Word: story.Note, Text: err.Error()})
		}
		for _, do := range []func(context.Context) error{
			func(ctx context.Context) error { return a.put(ctx, a.newborn()) },
			func(ctx context.Context) error { return a.put(ctx, a.edit()) },
			a.transaction, a.setting,
			func(ctx context.Context) error { return a.put(ctx, a.large()) },
			func(ctx context.Context) error { return a.blob(ctx, 9000) },
			a.audit, a.remove, a.stale, a.operateAll,
		} {
			if err := do(ctx); err != nil {
				return err
			}
		}
		if err := a.stopped(ctx); err != nil {
			return err
		}
		if err := a.close(); err != nil { // a disk that failed may say so here too
			return a.Tell.Tell(story.Mark{Word: story.Note, Text: err.Error()})
		}
	}
	return nil
}

// stopped asserts that a store that stopped takes nothing more.
func (a *actor) stopped(ctx context.Context) error {
	if a.s.Stopped() == nil {
		return nil
	}
	w := a.newborn()
	if _, err := a.s.Put(ctx, w); !errors.Is(err, store.ErrStopped) {
		return fmt.Errorf("a stopped store answered %v: %w", err, errLost)
	}
	return nil
}

// again opens what another process left, and writes a little.
func again(ctx context.Context, st *Stage) error {
	a := st.actor(false, 7)
	if err := a.open(); err != nil {
		return err
	}
	for _, do := range []func(context.Context) error{
		func(ctx context.Context) error { return a.put(ctx, a.newborn()) }, a.transaction, a.setting,
		func(ctx context.Context) error { return a.put(ctx, a.edit()) },
	} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return a.close()
}
