package rehearse

import (
	"context"
	"errors"
	"fmt"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// Evidence is what a replica's files hold of some records, read while its program
// stands still.
type Evidence struct {
	Name      string
	Conflicts map[record.Key][]record.Conflict
	Vault     map[record.Key][]record.Lost
	Past      map[record.Key][]*record.Version
	// Open is how many records there have a conflict, and Findings how many
	// invariants of the store are broken.
	Open, Findings int
}

// openStore opens a replica's files as its program does.
func openStore(r4 *fhir.R4, dir, name string, top bool) (*store.Store, error) {
	return store.Open(store.Options{Dir: dir, Name: name, Top: top, R4: r4})
}

// Gather reads the files of a replica. No program may run on them.
func Gather(ctx context.Context, r4 *fhir.R4, dir, name string, top bool, keys []record.Key) (e *Evidence, err error) {
	s, err := openStore(r4, dir, name, top)
	if err != nil {
		return nil, fmt.Errorf("gather from %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e = &Evidence{Name: name, Conflicts: map[record.Key][]record.Conflict{}, Vault: map[record.Key][]record.Lost{}, Past: map[record.Key][]*record.Version{}}
	for _, k := range keys {
		st, err := s.Get(k)
		if err != nil {
			return nil, fmt.Errorf("gather %s from %s: %w", k, name, err)
		}
		if st.Shown != nil {
			e.Conflicts[k] = st.Shown.Conflicts()
		}
		items, err := s.Vault(k, 100)
		if err != nil {
			return nil, fmt.Errorf("gather from %s: %w", name, err)
		}
		for _, it := range items {
			e.Vault[k] = append(e.Vault[k], it.Lost)
		}
		if e.Past[k], err = s.History(k); err != nil {
			return nil, fmt.Errorf("gather %s from %s: %w", k, name, err)
		}
	}
	contested, err := s.Contested(1 << 20)
	if err != nil {
		return nil, fmt.Errorf("gather from %s: %w", name, err)
	}
	e.Open = len(contested)
	found, err := s.Check(ctx)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", name, err)
	}
	e.Findings = len(found)
	return e, nil
}

// decision is what a person decided about one record.
type decision struct {
	key   record.Key
	value []byte // the fields that hold now
	want  string // the record's content with them
}

// Decide settles every conflict of a record at a replica whose program stands
// still: the value that the first writer wrote holds.
func Decide(ctx context.Context, r4 *fhir.R4, dir, name string, c Case, author string) (d decision, err error) {
	s, err := openStore(r4, dir, name, false)
	if err != nil {
		return d, fmt.Errorf("decide: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	st, err := s.Get(c.Key)
	if err != nil {
		return d, fmt.Errorf("decide: %w", err)
	}
	// Only the writers that are seen are named: what comes later stays open.
	var words []record.Decision
	for _, open := range st.Shown.Conflicts() {
		word := record.Decision{Path: open.Path}
		for _, v := range open.Values {
			for _, w := range v.Writers {
				word.Closes = append(word.Closes, w.Name)
			}
			for _, x := range clashes(c.Base, c.A, c.B) {
				if holds(v.Value, x.a) {
					word.Value = v.Value
				}
			}
		}
		if word.Value == nil {
			return d, fmt.Errorf("decide: %s does not hold what was written at %s", c.Key, open.Path)
		}
		words, d.value = append(words, word), word.Value
	}
	made, err := s.Put(ctx, store.Write{Key: c.Key, Base: st.Tag(), Decisions: words, Author: author})
	if err != nil {
		return d, fmt.Errorf("decide: %w", err)
	}
	d.key, d.want = c.Key, contentOf(made[0].Content)
	return d, nil
}
