package act

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
	"tram/store/storetest/torture/story"
)

// step does one thing, by the dice.
func (a *actor) step(ctx context.Context) error {
	switch n := a.r.IntN(100); {
	case n < 30:
		return a.put(ctx, a.newborn())
	case n < 55:
		return a.put(ctx, a.edit())
	case n < 62:
		return a.remove(ctx)
	case n < 74:
		return a.transaction(ctx)
	case n < 82:
		return a.stale(ctx)
	case n < 88:
		return a.blob(ctx, a.r.IntN(60<<10))
	case n < 94:
		return a.setting(ctx)
	default:
		return a.audit(ctx)
	}
}

func (a *actor) remove(ctx context.Context) error {
	w := a.edit()
	if w.Base == "" {
		return a.put(ctx, w)
	}
	if st, err := a.s.Get(w.Key); err == nil && st.Shown.Deleted {
		return a.put(ctx, w)
	}
	w.Content, w.Delete = nil, true
	return a.put(ctx, w)
}

// transaction writes several records, all or none.
func (a *actor) transaction(ctx context.Context) error {
	writes := []store.Write{a.newborn(), a.newborn()}
	if e := a.edit(); e.Base != "" {
		writes = append(writes, e)
	}
	return a.put(ctx, writes...)
}

// stale asks for what must be refused: alone, or as the last part of a
// transaction.
func (a *actor) stale(ctx context.Context) error {
	w := a.edit()
	if w.Base == "" {
		return a.put(ctx, w)
	}
	w.Base = a.s.NewID()
	writes := []store.Write{w}
	if a.r.IntN(2) == 0 {
		writes = []store.Write{a.newborn(), w}
	}
	had := len(a.mine)
	if err := a.put(ctx, writes...); err != nil {
		return err
	}
	if len(a.mine) != had {
		return fmt.Errorf("a stale write was taken: %w", errLost)
	}
	return nil
}

func (a *actor) blob(_ context.Context, size int) error {
	b := noise(a.r, size)
	sum := sha256.Sum256([]byte(b))
	return a.ask(story.Asked{Blob: hex.EncodeToString(sum[:])}, func() ([]string, error) {
		id, err := a.s.Blobs().Put(strings.NewReader(b), int64(len(b)))
		if err == nil && id != hex.EncodeToString(sum[:]) {
			err = fmt.Errorf("an attachment was given another id: %w", errLost)
		}
		return nil, err
	})
}

func (a *actor) setting(ctx context.Context) error {
	set := story.Setting{Name: fmt.Sprintf("%s/%d", a.who, a.r.IntN(3)), Value: fmt.Sprintf("value %d", a.next.Add(1))}
	return a.ask(story.Asked{Setting: &set}, func() ([]string, error) {
		if a.r.IntN(2) == 0 {
			return nil, a.s.SetSetting(ctx, set.Name, []byte(set.Value))
		}
		return nil, a.s.UpdateSetting(ctx, set.Name, func([]byte) ([]byte, error) { return []byte(set.Value), nil })
	})
}

func (a *actor) audit(ctx context.Context) error {
	if len(a.mine) == 0 {
		return a.put(ctx, a.newborn())
	}
	k := a.mine[a.r.IntN(len(a.mine))]
	e := story.Audit{Key: k.String(), Code: fmt.Sprintf("%s-%d", a.who, a.next.Add(1))}
	return a.ask(story.Asked{Audit: &e}, func() ([]string, error) {
		return nil, a.s.Audit(ctx, audit.Entry{Who: a.who, Action: audit.Read, Key: k, Purpose: e.Code})
	})
}

// noise is text that does not compress.
func noise(r *rand.Rand, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('0' + r.IntN(64))
	}
	return strings.ReplaceAll(string(b), `\`, "x")
}

// push hands what waits at a store to its upstream, which takes it in, and brings
// back answers and receipts. The store that is looked at is below or above.
func (a *actor) push(ctx context.Context, below, above *store.Store) error {
	page, err := below.Offer(store.Upstream, record.Cursor{}, 1000)
	if err != nil {
		return err
	}
	back := record.Stretch{Peer: above.Name()}
	var held []story.Held
	links := map[record.Lineage]bool{}
	for _, c := range page.Changes {
		d := record.Decided{Change: c, Verdict: record.Accepted}
		st, err := above.Look(c.Key, c.Version.Base, c.Ref)
		if err != nil {
			return err
		}
		if st.Head != nil {
			d.On = st.Head.Ref()
		}
		if _, known := st.Known[c.Ref.Name]; known {
			d.Verdict = record.Known
		}
		if err := a.take(ctx, above, record.Stretch{Peer: below.Name(), Taken: []record.Decided{d}}); err != nil {
			return err
		}
		back.Answers = append(back.Answers, record.Answer{Key: c.Key, Ref: c.Ref, Verdict: d.Verdict})
		held = append(held, story.Held{Key: c.Key.String(), Name: c.Ref.Name.String()})
		links[c.Ref.Name.Lineage] = true
	}
	for l := range links {
		link, _, err := above.Chain(l, 0)
		if err != nil {
			return err
		}
		back.Receipts = append(back.Receipts, record.Receipt{Link: link})
	}
	if back.Empty() {
		return nil
	}
	if below != a.s {
		return below.Apply(ctx, back)
	}
	return a.ask(story.Asked{Held: held}, func() ([]string, error) { return nil, below.Apply(ctx, back) })
}

// take lets the upper store take a change in, with marks where it is looked at.
func (a *actor) take(ctx context.Context, above *store.Store, st record.Stretch) error {
	d := st.Taken[0]
	if above != a.s || d.Verdict == record.Known {
		return above.Apply(ctx, st)
	}
	w := story.Write{Key: d.Key.String(), Name: d.Ref.Name.String(), Content: string(d.Version.Content), Delete: d.Version.Deleted, Far: true}
	return a.ask(story.Asked{Writes: []story.Write{w}}, func() ([]string, error) { return []string{w.Name}, above.Apply(ctx, st) })
}

// pull brings down what the upstream has for the store.
func (a *actor) pull(ctx context.Context, above *store.Store) error {
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		for more := true; more; {
			after, err := a.s.Cursor(feed)
			if err != nil {
				return err
			}
			page, err := above.Offer(a.s.Name(), after, 5)
			if err != nil {
				return err
			}
			if err := a.arrive(ctx, above, page); err != nil {
				return err
			}
			more = page.More
		}
	}
	return nil
}

func (a *actor) arrive(ctx context.Context, above *store.Store, page record.Page) error {
	st := record.Stretch{Peer: above.Name(), Cursor: &page.Cursor}
	asked := story.Asked{Cursor: &story.Cursor{Feed: page.Cursor.Feed, Seq: page.Cursor.Seq}}
	var names []string
	for _, c := range page.Changes {
		have, err := a.s.Look(c.Key, c.Ref)
		if err != nil {
			return err
		}
		arrival := record.Arrival{Change: c}
		if n := len(have.Pending); n > 0 {
			if arrival.On = have.Pending[n-1]; !c.Version.Seen.Has(arrival.On.Name) {
				return errors.New("a change came down that did not see what waits")
			}
		}
		if _, known := have.Known[c.Ref.Name]; known {
			arrival.Version = nil
		} else {
			w := story.Write{Key: c.Key.String(), Name: c.Ref.Name.String(), Content: string(c.Version.Content), Delete: c.Version.Deleted, Far: true, Down: true}
			asked.Writes, names = append(asked.Writes, w), append(names, w.Name)
		}
		st.Arrived = append(st.Arrived, arrival)
	}
	return a.ask(asked, func() ([]string, error) { return names, a.s.Apply(ctx, st) })
}
