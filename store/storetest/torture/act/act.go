// Package act writes to a store as a station's programs do, and tells a story of
// it.
//
// It owns the scripts: what is done, in which order, by how many at once. It
// promises a mark before each thing that it asks of a store and one after each
// answer. It does not judge.
package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/space"
	"tram/store/storetest/torture/story"
)

// Stage is where a script plays.
type Stage struct {
	Dir     string // data folder of the store
	Journal string // folder of its journal; "" for the usual one
	Aside   string // folder for what is not looked at, such as a second store
	Seed    uint64
	// Bare lets the store keep no room back, so that it meets the end of the disk.
	Bare bool
	R4   *fhir.R4
	Tell *story.Teller
	Log  *slog.Logger
}

// Script is one play. It ends early with the first error that is no answer of a
// store that works as it should.
type Script func(context.Context, *Stage) error

// Named is the play of a name. "endless:" and the name of an operation is one in
// which it goes on beside the writes; nil where there is none.
func Named(name string) Script {
	if name, operation, ok := strings.Cut(name, ":"); ok && name == "endless" {
		return during(operation)
	}
	return map[string]Script{"station": station, "centre": centre, "crowd": crowd, "short": short, "again": again,
		"endless": during(""), "liar": liar, "fill": fill}[name]
}

// errLost says that a store that was told to stop went on, or the like.
var errLost = errors.New("the store does not do as it says")

// Open opens a store as scripts and judges do.
func Open(dir, journal string, top bool, r4 *fhir.R4, log *slog.Logger) (*store.Store, error) {
	return open(store.Options{Dir: dir, Journal: journal, Top: top, R4: r4, Log: log})
}

func open(o store.Options) (*store.Store, error) {
	o.Name = "a"
	if o.Top {
		o.Name = "centre"
	}
	return store.Open(o)
}

// actor is one who writes to a store.
type actor struct {
	*Stage
	s    *store.Store
	top  bool
	r    *rand.Rand
	mine []record.Key // that nobody else writes
	next *atomic.Int64
	who  string
	// calm says that a full disk and a stopped store are answers, not errors.
	calm  bool
	saved int
	// early tells that something is saved before it is.
	early bool
}

func (st *Stage) actor(top bool, number uint64) *actor {
	return &actor{Stage: st, top: top, r: rand.New(rand.NewPCG(st.Seed, number)), next: new(atomic.Int64), who: fmt.Sprintf("who%d", number)}
}

func (a *actor) open() error {
	o := store.Options{Dir: a.Dir, Journal: a.Journal, Top: a.top, R4: a.R4, Log: a.Log}
	if a.Bare {
		o.Limits = space.Limits{Low: 1}
	}
	s, err := open(o)
	if err != nil {
		return err
	}
	a.s = s
	return a.Tell.Tell(story.Mark{Word: story.Opened, Lineage: string(s.Lineage())})
}

func (a *actor) close() error {
	return errors.Join(a.s.Close(), a.Tell.Tell(story.Mark{Word: story.Closed}))
}

// reopen ends one life of the store and begins another.
func (a *actor) reopen() error {
	if err := a.close(); err != nil {
		return err
	}
	return a.open()
}

// ask tells that something is asked for, asks, and tells the answer. What should
// be refused and is not, or the other way round, is an error.
func (a *actor) ask(asked story.Asked, do func() ([]string, error)) error {
	id, err := a.Tell.Begin(asked)
	if err != nil {
		return err
	}
	if a.early {
		if err := a.Tell.Tell(story.Mark{Word: story.Saved, ID: id}); err != nil {
			return err
		}
		_, err := do()
		return err
	}
	names, err := do()
	switch {
	case err == nil:
		a.saved++
		return a.Tell.Tell(story.Mark{Word: story.Saved, ID: id, Names: names})
	case errors.Is(err, store.ErrFull), refusal(err):
		return errors.Join(a.Tell.Tell(story.Mark{Word: story.Refused, ID: id, Text: err.Error()}), a.unless(refusal(err), err))
	default:
		return errors.Join(a.Tell.Tell(story.Mark{Word: story.Unknown, ID: id, Text: err.Error()}), a.unless(false, err))
	}
}

func refusal(err error) bool {
	return errors.Is(err, record.ErrStale) || errors.Is(err, record.ErrExists) || errors.Is(err, record.ErrMoved) || errors.Is(err, record.ErrNotFound)
}

func (a *actor) unless(ok bool, err error) error {
	if ok || a.calm {
		return nil
	}
	return err
}

// content is a resource that no other write has.
func (a *actor) content(k record.Key) string {
	n := a.next.Add(1)
	if k.Kind == "Patient" {
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"text":"Hoà %d %s"}],"gender":"unknown","birthDate":"19%02d-03-04"}`, k.ID, n, a.who, a.r.IntN(90)+10)
	}
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"Mạch %s"},"valueInteger":%d}`, k.ID, a.who, n)
}

func (a *actor) newborn() store.Write {
	k := record.Key{Kind: [...]string{"Patient", "Observation"}[a.r.IntN(2)], ID: a.s.NewID()}
	return store.Write{Key: k, Content: []byte(a.content(k)), Author: a.who}
}

// edit is a write over what a record shows; a birth where it has none to edit.
func (a *actor) edit() store.Write {
	if len(a.mine) == 0 {
		return a.newborn()
	}
	k := a.mine[a.r.IntN(len(a.mine))]
	st, err := a.s.Get(k)
	if err != nil {
		return a.newborn()
	}
	return store.Write{Key: k, Base: st.Tag(), Content: []byte(a.content(k)), Author: a.who}
}

// put asks for writes and, where they came about, remembers births.
func (a *actor) put(ctx context.Context, writes ...store.Write) error {
	var asked story.Asked
	for _, w := range writes {
		asked.Writes = append(asked.Writes, story.Write{Key: w.Key.String(), Content: string(w.Content), Delete: w.Delete})
	}
	return a.ask(asked, func() ([]string, error) {
		vs, err := a.s.Put(ctx, writes...)
		if err != nil {
			return nil, err
		}
		var names []string
		for i, v := range vs {
			names = append(names, v.Name.String())
			if writes[i].Base == "" {
				a.mine = append(a.mine, v.Key)
			}
		}
		return names, nil
	})
}
