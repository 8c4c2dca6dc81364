// Package replay merges again what was merged, by another table of classes, and
// counts what would have come out otherwise.
//
// It owns the report and its words. It promises that a report holds kinds,
// elements and counts and nothing of a person, neither values nor ids nor names,
// and that it writes nothing. Each merge is looked at by itself, on the versions
// that it was made of: what a later merge would have made of another outcome is
// not followed.
//
// It does not know who asks, nor how tables are chosen.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tram/store"
	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
)

// Why a merge cannot be replayed. They are codes with words in the table.
const (
	NoHead     = "no-head"     // upstream's version that it was made of is not held
	NoIncoming = "no-incoming" // the version that was handed in is not held
	NoBase     = "no-base"     // the version that both began with is not held
	Unreadable = "unreadable"  // a version that is held cannot be read by this program
)

// Reasons lists them in the order in which they are told.
func Reasons() []string { return []string{NoHead, NoIncoming, NoBase, Unreadable} }

// Report is what another table would change. All figures are numbers of merges.
type Report struct {
	Merges    int            `json:"merges"`    // that are held and were asked for
	Replayed  int            `json:"replayed"`  // of Merges
	Otherwise int            `json:"otherwise"` // of Replayed, those that the other table makes otherwise
	Earlier   int            `json:"earlier"`   // of Replayed, those that were not made by the present table
	Missing   map[string]int `json:"missing,omitempty"`
	Lines     []Line         `json:"lines,omitempty"` // sorted by kind and element
}

// Line is one element of one kind that would come out otherwise.
type Line struct {
	Kind string `json:"kind"`
	// Element is its path, "contact.telecom"; "" is whether the record is deleted.
	Element string `json:"element"`
	// Now and Then are its classes by the present and by the other table.
	Now    string `json:"now"`
	Then   string `json:"then"`
	Merges int    `json:"merges"`
	// Of Merges: a person would have to decide, or would not; another value would
	// hold; it is contested either way, with other values or another one shown. One
	// merge may count in several, since a list has many items.
	ToPerson  int `json:"toPerson"`
	ByItself  int `json:"byItself"`
	Another   int `json:"another"`
	Contested int `json:"contested"`
}

// Options say what is replayed.
type Options struct {
	Now, Then *merge.Classes
	// Since leaves out merges that were stamped before; zero leaves out none.
	Since time.Time
}

// page is how many versions are read from the store at a time.
const page = 500

// Run replays the merges that a store holds. It may run while the store is used.
func Run(ctx context.Context, s *store.Store, o Options) (*Report, error) {
	r := &replay{s: s, r4: s.R4(), o: o, now: merge.New(s.R4(), o.Now), then: merge.New(s.R4(), o.Then),
		out: &Report{Missing: map[string]int{}}, lines: map[Line]*Line{}}
	q := store.Since{Limit: page}
	for {
		versions, next, err := s.HistoryAll(q)
		if err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
		for _, v := range versions {
			if err := cmp.Or(ctx.Err(), r.again(v)); err != nil {
				return nil, fmt.Errorf("replay: %w", err)
			}
		}
		if q.Page = next; next == "" {
			return r.report(), nil
		}
	}
}

type replay struct {
	s         *store.Store
	r4        *fhir.R4
	o         Options
	now, then *merge.Merger
	out       *Report
	lines     map[Line]*Line // by kind, element and classes
}

// again replays one version, where it is a merge.
func (r *replay) again(v *record.Version) error {
	if v.Author != merge.Author || v.Base.IsZero() || len(v.Includes) != 1 || v.Stamp.Time().Before(r.o.Since) {
		return nil
	}
	r.out.Merges++
	head, err := r.find(v.Key, v.Base)
	if err != nil {
		return err
	}
	in, err := r.find(v.Key, v.Includes[0])
	if err != nil {
		return err
	}
	switch {
	case head == nil:
		r.out.Missing[NoHead]++
		return nil
	case in == nil:
		r.out.Missing[NoIncoming]++
		return nil
	}
	base, err := r.find(v.Key, in.Base)
	if err != nil {
		return err
	}
	base, now, reason := r.made(v, base, head, in)
	if reason != "" {
		r.out.Missing[reason]++
		return nil
	}
	then, err := merging(r.then, base, head, in)
	if err != nil {
		r.out.Missing[Unreadable]++
		return nil
	}
	r.out.Replayed++
	if !same(v, now) {
		r.out.Earlier++
	}
	return r.compare(now, then.Version)
}

// find reads a version; nil where it is not held, or another one of that name is.
func (r *replay) find(key record.Key, ref record.Ref) (*record.Version, error) {
	if ref.IsZero() {
		return nil, nil
	}
	v, err := r.s.Version(key, ref.Name)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case v.Ref() != ref:
		return nil, nil
	}
	return v, nil
}

// made merges by the present table, on the base that the merge was made on. A
// base may have come after the merge, and then it was made without: what came of
// it tells.
func (r *replay) made(v, base, head, in *record.Version) (on, out *record.Version, reason string) {
	with, err := merging(r.now, base, head, in)
	if err != nil {
		return nil, nil, Unreadable
	}
	if in.Base.IsZero() || same(v, with.Version) {
		return base, with.Version, ""
	}
	if base == nil {
		return nil, nil, NoBase
	}
	without, err := r.now.Orphan(head, in)
	if err == nil && same(v, without.Version) {
		return nil, without.Version, ""
	}
	return base, with.Version, ""
}

// merging merges as upstream does: an orphan where the base is not there.
func merging(m *merge.Merger, base, head, in *record.Version) (merge.Outcome, error) {
	if base == nil && !in.Base.IsZero() {
		return m.Orphan(head, in)
	}
	return m.Merge(base, head, in)
}

// same reports whether a merge came out as one that has a name.
func same(made, out *record.Version) bool {
	m, o := *made, *out
	m.Name, m.Stamp, m.Seen, o.Seen = record.Name{}, record.Stamp{}, nil, nil
	return m.Digest() == o.Digest()
}

// compare counts the elements in which two outcomes of a merge differ.
func (r *replay) compare(now, then *record.Version) error {
	if now.Digest() == then.Digest() {
		return nil
	}
	a, err := element.Read(r.r4, now)
	if err != nil {
		return err
	}
	b, err := element.Read(r.r4, then)
	if err != nil {
		return err
	}
	found := map[Line]Line{} // each element once, however many items it has
	note := func(path string, add Line) {
		at := Line{Kind: now.Key.Kind, Element: merge.Plain(path)}
		if path != "" {
			at.Now, at.Then = r.o.Now.Of(at.Kind, path).Name, r.o.Then.Of(at.Kind, path).Name
		}
		have := found[at]
		found[at] = Line{ToPerson: have.ToPerson | add.ToPerson, ByItself: have.ByItself | add.ByItself,
			Another: have.Another | add.Another, Contested: have.Contested | add.Contested}
	}
	if now.Deleted != then.Deleted {
		note("", Line{Another: 1})
	}
	left := registers(b)
	a.Each(func(path string, x *element.Register) {
		y := left[path]
		delete(left, path)
		if add, differ := differ(x, y); differ {
			note(path, add)
		}
	})
	for path, y := range left {
		if add, differ := differ(nil, y); differ {
			note(path, add)
		}
	}
	if len(found) > 0 {
		r.out.Otherwise++
	}
	for at, add := range found {
		r.count(at, add)
	}
	return nil
}

func registers(t *element.Tree) map[string]*element.Register {
	out := map[string]*element.Register{}
	t.Each(func(path string, r *element.Register) { out[path] = r })
	return out
}

// differ says how two outcomes of an element differ for people; nil is absent. Who
// set a value that both have is no difference.
func differ(x, y *element.Register) (Line, bool) {
	none := element.Set(fhir.NewObject())
	x, y = cmp.Or(x, none), cmp.Or(y, none)
	switch {
	case !x.Contested() && y.Contested():
		return Line{ToPerson: 1}, true
	case x.Contested() && !y.Contested():
		return Line{ByItself: 1}, true
	case x.Contested():
		return Line{Contested: 1}, !element.Same(x.Shown, y.Shown) || !slices.EqualFunc(x.Alts, y.Alts, func(p, q element.Alt) bool { return element.Same(p.Value, q.Value) })
	}
	return Line{Another: 1}, !element.Same(x.Shown, y.Shown)
}

func (r *replay) count(at, add Line) {
	l := r.lines[at]
	if l == nil {
		line := at
		l = &line
		r.lines[at] = l
	}
	l.Merges++
	l.ToPerson += add.ToPerson
	l.ByItself += add.ByItself
	l.Another += add.Another
	l.Contested += add.Contested
}

func (r *replay) report() *Report {
	for _, l := range r.lines {
		r.out.Lines = append(r.out.Lines, *l)
	}
	slices.SortFunc(r.out.Lines, func(a, b Line) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Element, b.Element)) })
	return r.out
}
