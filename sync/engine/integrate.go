package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
	"tram/sync/wire"
)

// integrate decides the changes of one stretch and applies them.
func (s *Serve) integrate(ctx context.Context, sum []byte) error {
	changes, err := s.whole(sum)
	if err != nil {
		return err
	}
	for try := 1; len(changes) > 0; try++ {
		n, answers, err := s.stretch(ctx, changes)
		if errors.Is(err, record.ErrMoved) && try < tries {
			continue
		}
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		s.answers = append(s.answers, answers...)
		changes, try = changes[n:], 0
	}
	return nil
}

// ErrWhole says that edits were sent of which the base is another one here, or is not
// here at all. What is asked for then is to send whole versions (Carry.Full).
var ErrWhole = errors.New("the other side cannot tell edits from what it holds")

// maxEdited bounds the contents that the edits of one stretch say, in bytes.
const maxEdited = 64 << 20

// whole makes the changes of a stretch whole, and holds them against their sum.
func (s *Serve) whole(sum []byte) ([]record.Change, error) {
	var out []record.Change
	told, edited := false, 0
	for _, f := range s.pending {
		if f.Edit == nil {
			out = append(out, *f.Change)
			continue
		}
		base, err := s.base(f.Edit, out)
		if err != nil {
			return nil, err
		}
		c, err := f.Edit.Change(base)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWhole, err)
		}
		told = true
		if edited += len(c.Version.Content); edited > maxEdited {
			return nil, fmt.Errorf("%w: a stretch that is too large", wire.ErrNonsense)
		}
		out = append(out, *c)
	}
	s.weight = 0
	if s.pending = nil; told && !bytes.Equal(sum, wire.Sum(out)) {
		return nil, ErrWhole
	}
	return out, nil
}

// base is what an edit was made from: of the same stretch, or held here.
func (s *Serve) base(e *wire.Edit, before []record.Change) (*record.Version, error) {
	for _, c := range slices.Backward(before) {
		if c.Key == e.Key && c.Version != nil && c.Version.Name == e.Base {
			return c.Version, nil
		}
	}
	st, err := s.o.Replica.Look(e.Key, record.Ref{}, record.Ref{Name: e.Base})
	if err == nil {
		st, err = s.o.Replica.Look(e.Key, record.Ref{Name: e.Base, Digest: st.Known[e.Base]})
	}
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if st.Base == nil {
		return nil, ErrWhole
	}
	return st.Base, nil
}

// stretch decides and applies as many changes as stand on different records, and refer to
// none that those before them may delete.
func (s *Serve) stretch(ctx context.Context, changes []record.Change) (int, []record.Answer, error) {
	st := record.Stretch{Peer: s.o.Peer}
	var answers []record.Answer
	seen, made := map[record.Key]bool{}, map[record.Key]*record.Version{}
	for _, c := range changes {
		if seen[c.Key] {
			break
		}
		if c.Version == nil || !sound(c.Version) {
			return 0, nil, fmt.Errorf("%w: a change without a version", wire.ErrNonsense)
		}
		content, err := fhir.Parse(c.Version.Content, fhir.DefaultLimits())
		if err != nil {
			content = nil // it will be refused
		}
		if buried, err := s.buried(content, made); err != nil {
			return 0, nil, err
		} else if buried {
			break
		}
		d, err := s.decide(c, content)
		if err != nil {
			return 0, nil, err
		}
		seen[c.Key], made[c.Key] = true, d.Version
		if d.Merge != nil {
			made[c.Key] = d.Merge
		}
		d.Foreign = c.Relayed || !s.hello.Owns(c.Version.Name.Lineage)
		st.Taken = append(st.Taken, d)
		answers = append(answers, answerOf(d))
		reopened, err := s.reopen(d, content, seen)
		if err != nil {
			return 0, nil, err
		}
		st.Taken = append(st.Taken, reopened...)
	}
	if err := s.o.Replica.Apply(ctx, st); err != nil {
		return 0, nil, err
	}
	for i, a := range answers {
		s.held[a.Ref] = len(s.answers) + i
	}
	return len(answers), answers, nil
}

// answerOf is what is said of a change. One that is known here, with a reason why our own
// upstream did not take it, is parked for who made it.
func answerOf(d record.Decided) record.Answer {
	a := record.Answer{Key: d.Key, Ref: d.Ref, Verdict: d.Verdict, Reason: d.Reason}
	if d.Verdict == record.Known && d.Reason != "" {
		a.Verdict = record.Parked
	}
	return a
}

// refs are the records that a change refers to.
func (s *Serve) refs(content *fhir.Value) (out []record.Key) {
	if content == nil {
		return nil
	}
	for _, ref := range s.o.R4.Refs(content) {
		if key := (record.Key{Kind: ref.Kind, ID: ref.ID}); !ref.Absolute && key.Valid() {
			out = append(out, key)
		}
	}
	return out
}

// buried reports whether a record that is referred to is deleted by what was made of it before
// in the stretch, or was before that: whether to take that back is known when it is applied.
// What is found alive stays so to the end of the stretch, and is taken out of made.
func (s *Serve) buried(content *fhir.Value, made map[record.Key]*record.Version) (bool, error) {
	for _, key := range s.refs(content) {
		v := made[key]
		if v == nil {
			continue
		}
		if v.Deleted {
			return true, nil
		}
		st, err := s.o.Replica.Look(key, record.Ref{})
		if err != nil {
			return false, err
		}
		line, err := s.line(st)
		if err != nil || line != nil && line.Deleted {
			return true, err
		}
		delete(made, key)
	}
	return false, nil
}

// reopen makes, for each deleted record that a change newly refers to, the
// version that takes its deletion back.
func (s *Serve) reopen(d record.Decided, content *fhir.Value, seen map[record.Key]bool) ([]record.Decided, error) {
	if !d.Verdict.Taken() || d.Verdict == record.Known || d.Version.Deleted {
		return nil, nil
	}
	var out []record.Decided
	for _, key := range s.refs(content) {
		if seen[key] {
			continue
		}
		seen[key] = true
		st, err := s.o.Replica.Look(key, record.Ref{})
		if err != nil {
			return nil, err
		}
		line, err := s.line(st)
		if err != nil {
			return nil, err
		}
		if line != nil && line.Deleted {
			out = append(out, record.Decided{Change: record.Change{Key: key}, On: line.Ref(), Verdict: record.Merged, Merge: merge.Reopen(line)})
		}
	}
	return out, nil
}

// decide answers for one change with its content, nil where that cannot be read
// (replication.md, rules 4 and 7).
func (s *Serve) decide(c record.Change, content *fhir.Value) (record.Decided, error) {
	v := c.Version
	d := record.Decided{Change: c}
	st, err := s.o.Replica.Look(c.Key, v.Base, append([]record.Ref{c.Ref}, v.Includes...)...)
	if err != nil {
		return d, err
	}
	line, err := s.line(st)
	if err != nil {
		return d, err
	}
	if line != nil {
		d.On = line.Ref()
	}
	if digest, known := st.Known[c.Ref.Name]; known {
		d.Verdict = record.Known
		if digest != c.Ref.Digest {
			s.forks[c.Ref.Name.Lineage] = true
			d.Verdict, d.Reason = record.Parked, record.Fork
		} else if s.o.Proved != nil {
			d.Reason = st.Refused[c.Ref.Name]
		}
		return d, nil
	}
	if forked, err := s.forked(c); err != nil || forked {
		d.Verdict, d.Reason = record.Parked, record.Fork
		return d, err
	}
	if d, err = s.judge(d, content, st, line); err != nil || s.o.Proved == nil {
		return d, err
	}
	if !d.Verdict.Taken() {
		d.Verdict = record.Waits
		if reason, refused := st.Refused[c.Ref.Name]; refused {
			d.Verdict, d.Reason = record.Parked, reason
		} else if st.Above[c.Ref.Name] {
			d.Verdict, d.Reason = record.Known, ""
		}
		return d, nil
	}
	return s.preview(d, st)
}

// forked reports whether the chain of the change's lineage passes over it, has another one
// in its place, or one that the change's maker passed over: two speak under that lineage,
// and what is said to be seen of it may be the other one's. An upstream between forgets
// what it has given up, and cannot tell.
func (s *Serve) forked(c record.Change) (bool, error) {
	name := c.Ref.Name
	own := s.hello.Life == name.Lineage || slices.Contains(s.hello.Continues, name.Lineage)
	if c.Relayed || s.o.Proved != nil || !own {
		return false, nil
	}
	top, _, err := s.o.Replica.Chain(name.Lineage, 0)
	if err != nil || top.N <= c.Prev {
		return s.forks[name.Lineage], err
	}
	before := record.Link{Lineage: name.Lineage}
	if c.Prev > 0 {
		if before, _, err = s.o.Replica.Chain(name.Lineage, c.Prev); err != nil {
			return false, err
		}
	}
	link, known, err := s.o.Replica.Chain(name.Lineage, name.N)
	if !known || before.Next(name.N, c.Ref.Digest) != link {
		s.forks[name.Lineage] = true
	}
	return s.forks[name.Lineage], err
}

// judge answers for a change that is new here.
func (s *Serve) judge(d record.Decided, content *fhir.Value, st *record.Stand, line *record.Version) (record.Decided, error) {
	if st.Gone {
		d.Verdict, d.Reason = record.Waits, record.NoBase
		return d, nil
	}
	if d.Reason = s.refusal(d.Version, content, st); d.Reason != "" {
		d.Verdict = record.Parked
		return d, nil
	}
	honest, err := s.honest(d, st)
	if err != nil || !honest {
		d.Verdict, d.Reason = record.Parked, record.NotAllowed
		return d, err
	}
	return s.place(d, st, line)
}

// line is the version at the end of what is handed to those below: what waits for
// upstream here, or upstream's (replication.md, rule 5). It is nil before any.
func (s *Serve) line(st *record.Stand) (*record.Version, error) {
	if len(st.Pending) == 0 {
		return st.Head, nil
	}
	last := st.Pending[len(st.Pending)-1]
	of, err := s.o.Replica.Look(st.Key, last)
	if err == nil && of.Base == nil {
		err = fmt.Errorf("%s: pending version: %w", st.Key, record.ErrMoved)
	}
	return of.Base, err
}

// preview lays what was taken in over upstream's version, where it does not include it.
func (s *Serve) preview(d record.Decided, st *record.Stand) (record.Decided, error) {
	top := d.Version
	if d.Merge != nil {
		top = d.Merge
	}
	if st.Head == nil || top.Seen.Has(st.Head.Name) {
		return d, nil
	}
	first := d.Version
	if len(st.Pending) > 0 {
		of, err := s.o.Replica.Look(st.Key, st.Pending[0])
		if err != nil {
			return d, err
		}
		first = of.Base
	}
	base, err := s.o.Replica.Look(st.Key, first.Base)
	if err != nil {
		return d, err
	}
	out, err := s.o.Merger.Merge(base.Base, st.Head, top)
	d.Preview = out.Version
	return d, err
}

// honest reports whether a version says to have seen no more than what it was made
// from: who claims more would overwrite what it never saw. Of what upstream does
// not hold any more it cannot be told.
func (s *Serve) honest(d record.Decided, st *record.Stand) (bool, error) {
	if d.Orphan || st.Base == nil && !d.Version.Base.IsZero() {
		return true, nil
	}
	seen := record.Seen{}.With(d.Version.Name)
	if st.Base != nil {
		seen = seen.Union(st.Base.Seen)
	}
	for _, ref := range d.Version.Includes {
		of, err := s.o.Replica.Look(d.Key, ref)
		if err != nil {
			return false, err
		}
		if of.Base == nil {
			return true, nil
		}
		seen = seen.Union(of.Base.Seen)
	}
	return seen.Covers(d.Version.Seen), nil
}

// refusal is why a change cannot be taken, whatever it was made from.
func (s *Serve) refusal(v *record.Version, content *fhir.Value, st *record.Stand) record.Reason {
	if len(v.Content) > s.o.MaxContent {
		return record.TooLarge
	}
	if content == nil || content.Str("resourceType") != v.Key.Kind || content.Str("id") != v.Key.ID || !s.o.R4.IsKind(v.Key.Kind) {
		return record.NotFHIR
	}
	for _, i := range s.o.R4.Check(content) {
		if i.Key != fhir.IssueTarget {
			return record.NotFHIR
		}
	}
	if standsOnRefused(v, st) {
		return record.BaseParked
	}
	return s.o.Admit(v, st)
}

// standsOnRefused reports whether a version was made from one that is parked here. It
// may take in a birth whose id was taken, and what waits with it, where its base is
// upstream's: a person said that both are one record (replication.md, rule 7).
func standsOnRefused(v *record.Version, st *record.Stand) bool {
	if _, refused := st.Refused[v.Base.Name]; refused && !v.Base.IsZero() {
		return true
	}
	birth := false
	for _, ref := range v.Includes {
		switch why, parked := st.Refused[ref.Name]; {
		case !parked:
		case why == record.IDTaken:
			birth = true
		case why != record.BaseParked || !birth:
			return true
		}
	}
	return birth && st.Base == nil
}

// place finds where in the record's line the change belongs.
func (s *Serve) place(d record.Decided, st *record.Stand, line *record.Version) (record.Decided, error) {
	v := d.Version
	switch {
	case st.Base == nil && !v.Base.IsZero() && !d.Orphan: // also of what the line has seen: its base may hold what lost
		d.Verdict, d.Reason = record.Waits, record.NoBase
		return d, nil
	case line != nil && line.Seen.Has(v.Name): // it went into the line, and was lost here, or its successor came before it
		d.Verdict = record.Accepted
		return d, nil
	case line == nil && v.Base.IsZero():
		d.Verdict = record.Accepted
		return d, nil
	case v.Base.IsZero():
		if !s.sameContent(line, v) {
			d.Verdict, d.Reason = record.Parked, record.IDTaken
			return d, nil
		}
	case line == nil:
		d.Verdict = record.Accepted
		return d, nil
	case st.Base == nil:
		out, err := s.o.Merger.Orphan(line, v)
		if err == nil && v.Seen.Covers(line.Seen) && len(out.Version.Lost) == 0 {
			d.Verdict = record.Accepted
			return d, nil
		}
		return merged(d, out), err
	case v.Seen.Covers(line.Seen):
		d.Verdict = record.Accepted
		return d, nil
	}
	out, err := s.o.Merger.Merge(st.Base, line, v)
	return merged(d, out), err
}

func merged(d record.Decided, out merge.Outcome) record.Decided {
	d.Verdict, d.Merge = record.Merged, out.Version
	if out.Contested {
		d.Verdict = record.Contest
	}
	return d
}

func (s *Serve) sameContent(a, b *record.Version) bool {
	x, errX := fhir.Parse(a.Content, fhir.DefaultLimits())
	y, errY := fhir.Parse(b.Content, fhir.DefaultLimits())
	return errX == nil && errY == nil && fhir.Equal(x, y) && a.Deleted == b.Deleted
}
