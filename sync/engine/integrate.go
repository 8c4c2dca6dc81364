package engine

import (
	"context"
	"errors"
	"fmt"

	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
	"tram/sync/wire"
)

// integrate decides the changes of one stretch and applies them.
func (s *Serve) integrate(ctx context.Context) error {
	changes := s.pending
	s.pending = nil
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

// stretch decides and applies as many changes as stand on different records.
func (s *Serve) stretch(ctx context.Context, changes []record.Change) (int, []record.Answer, error) {
	st := record.Stretch{Peer: s.o.Peer}
	var answers []record.Answer
	seen := map[record.Key]bool{}
	for _, c := range changes {
		if seen[c.Key] {
			break
		}
		seen[c.Key] = true
		if c.Version == nil || !sound(c.Version) {
			return 0, nil, fmt.Errorf("%w: a change without a version", wire.ErrNonsense)
		}
		d, err := s.decide(c)
		if err != nil {
			return 0, nil, err
		}
		d.Foreign = c.Relayed || !s.hello.Owns(c.Version.Name.Lineage)
		st.Taken = append(st.Taken, d)
		answers = append(answers, record.Answer{Key: c.Key, Ref: c.Ref, Verdict: d.Verdict, Reason: d.Reason})
		reopened, err := s.reopen(d, seen)
		if err != nil {
			return 0, nil, err
		}
		st.Taken = append(st.Taken, reopened...)
	}
	if err := s.o.Replica.Apply(ctx, st); err != nil {
		return 0, nil, err
	}
	for _, a := range answers {
		s.held[a.Ref] = true
	}
	return len(answers), answers, nil
}

// reopen makes, for each deleted record that a change newly refers to, the
// version that takes its deletion back.
func (s *Serve) reopen(d record.Decided, seen map[record.Key]bool) ([]record.Decided, error) {
	if !d.Verdict.Taken() || d.Verdict == record.Known || d.Version.Deleted {
		return nil, nil
	}
	content, err := fhir.Parse(d.Version.Content, fhir.DefaultLimits())
	if err != nil {
		return nil, err
	}
	var out []record.Decided
	for _, ref := range s.o.R4.Refs(content) {
		key := record.Key{Kind: ref.Kind, ID: ref.ID}
		if ref.Absolute || !key.Valid() || seen[key] {
			continue
		}
		seen[key] = true
		st, err := s.o.Replica.Look(key, record.Ref{})
		if err != nil {
			return nil, err
		}
		if st.Head != nil && st.Head.Deleted {
			out = append(out, record.Decided{Change: record.Change{Key: key}, On: st.Head.Ref(), Verdict: record.Merged, Merge: merge.Reopen(st.Head)})
		}
	}
	return out, nil
}

// decide answers for one change (replication.md, rules 4 and 7).
func (s *Serve) decide(c record.Change) (record.Decided, error) {
	v := c.Version
	d := record.Decided{Change: c}
	st, err := s.o.Replica.Look(c.Key, v.Base, append([]record.Ref{c.Ref}, v.Includes...)...)
	if err != nil {
		return d, err
	}
	if st.Head != nil {
		d.On = st.Head.Ref()
	}
	if digest, known := st.Known[c.Ref.Name]; known {
		d.Verdict = record.Known
		if digest != c.Ref.Digest {
			d.Verdict, d.Reason = record.Parked, record.Fork
		}
		return d, nil
	}
	if d.Reason = s.refusal(v, st); d.Reason != "" {
		d.Verdict = record.Parked
		return d, nil
	}
	honest, err := s.honest(d, st)
	if err != nil || !honest {
		d.Verdict, d.Reason = record.Parked, record.NotAllowed
		return d, err
	}
	return s.place(d, st)
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
func (s *Serve) refusal(v *record.Version, st *record.Stand) record.Reason {
	if len(v.Content) > s.o.MaxContent {
		return record.TooLarge
	}
	content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
	if err != nil || content.Str("resourceType") != v.Key.Kind || content.Str("id") != v.Key.ID || !s.o.R4.IsKind(v.Key.Kind) {
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
func (s *Serve) place(d record.Decided, st *record.Stand) (record.Decided, error) {
	v := d.Version
	switch {
	case st.Head == nil && v.Base.IsZero():
		d.Verdict = record.Accepted
		return d, nil
	case v.Base.IsZero() && st.Head.Seen.Has(v.Name): // its successor was handed in before it
		d.Verdict = record.Accepted
		return d, nil
	case v.Base.IsZero():
		if !s.sameContent(st.Head, v) {
			d.Verdict, d.Reason = record.Parked, record.IDTaken
			return d, nil
		}
		return s.merge(d, nil, st.Head)
	case st.Base == nil && !d.Orphan:
		d.Verdict, d.Reason = record.Waits, record.NoBase
		return d, nil
	case st.Head == nil, v.Seen.Covers(st.Head.Seen):
		d.Verdict = record.Accepted
		return d, nil
	}
	return s.merge(d, st.Base, st.Head)
}

func (s *Serve) merge(d record.Decided, base, head *record.Version) (record.Decided, error) {
	out, err := s.o.Merger.Merge(base, head, d.Version)
	if err != nil {
		return d, err
	}
	d.Verdict, d.Merge = record.Merged, out.Version
	if out.Contested {
		d.Verdict = record.Contest
	}
	return d, nil
}

func (s *Serve) sameContent(a, b *record.Version) bool {
	x, errX := fhir.Parse(a.Content, fhir.DefaultLimits())
	y, errY := fhir.Parse(b.Content, fhir.DefaultLimits())
	return errX == nil && errY == nil && fhir.Equal(x, y) && a.Deleted == b.Deleted
}
