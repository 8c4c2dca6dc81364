package engine

import (
	"context"
	"fmt"
	"slices"

	"tram/store/record"
	"tram/sync/wire"
)

// How much is held at once, in bytes. Who asks is not trusted to ask for little.
const (
	// maxPage is after how much a stretch of what is wanted ends, as one of a feed does.
	maxPage = 8 << 20
	// maxAgain is how much of what is wanted one answer gives; what is left out is found by
	// the next comparison.
	maxAgain = 32 << 20
	// maxPending is behind how much the changes of a request do not wait for their mark.
	maxPending = 32 << 20
)

// wanted sends records again, whole, each once.
func (s *Serve) wanted(w wire.Want) error {
	var keys []record.Key
	seen := map[record.Key]bool{}
	for _, k := range w.Keys {
		if !seen[k] {
			keys = append(keys, k)
		}
		seen[k] = true
	}
	var heads []record.Change
	_, err := s.o.Replica.Agreed(s.o.Peer, w.Feed, record.Part{Keys: keys}, func(c record.Change) error {
		heads = append(heads, c)
		return nil
	})
	if err != nil {
		return err
	}
	s.soon(func() error { return s.again(w, heads) })
	return nil
}

// again gives the next stretch of what is wanted. Only the last one moves the asker's
// cursor: an answer that is cut before leaves it where it was.
func (s *Serve) again(w wire.Want, heads []record.Change) error {
	stays := w.End
	if i := slices.IndexFunc(s.hello.Cursors, func(c record.Cursor) bool { return c.Feed == w.Feed }); i >= 0 {
		stays = s.hello.Cursors[i]
	}
	size := 0
	for i, c := range heads {
		if s.resent >= maxAgain {
			s.more = true
			break
		}
		if size >= maxPage {
			s.say(&wire.Frame{Mark: &wire.Mark{Cursor: &stays}})
			s.soon(func() error { return s.again(w, heads[i:]) })
			return nil
		}
		st, err := s.o.Replica.Look(c.Key, c.Ref)
		if err != nil {
			return err
		}
		c.Version = st.Base
		n := weight(c.Version)
		size, s.resent = size+n, s.resent+n
		s.say(&wire.Frame{Change: &c})
	}
	s.say(&wire.Frame{Mark: &wire.Mark{Cursor: &w.End}})
	return nil
}

// hear keeps a change until its mark. Of a stretch that is too large to be kept, what came is
// taken in before the mark, as it could be after a cut; edits cannot be held against their
// sum then, and are asked for as whole versions.
func (s *Serve) hear(ctx context.Context, f *wire.Frame) error {
	if s.weight > maxPending {
		if slices.ContainsFunc(s.pending, func(f *wire.Frame) bool { return f.Edit != nil }) {
			return ErrWhole
		}
		if err := s.integrate(ctx, nil); err != nil {
			return err
		}
	}
	if s.pending = append(s.pending, f); len(s.pending) > maxStretch {
		return fmt.Errorf("%w: a stretch without end", wire.ErrNonsense)
	}
	if f.Edit != nil {
		s.weight += len(f.Edit.Middle) + weightOf(f.Edit.Marks)
	} else {
		s.weight += weight(f.Change.Version)
	}
	return nil
}

// weight is about how many bytes a version takes up, 64 for each name in it.
func weight(v *record.Version) int {
	if v == nil {
		return 0
	}
	n := len(v.Content) + 64*(len(v.Seen)+len(v.Includes)+len(v.Trace.Writers)) + weightOf(v.Trace.Marks)
	for _, w := range v.Trace.Writers {
		n += len(w.Author)
	}
	for _, l := range v.Lost {
		n += len(l.Path) + len(l.Value) + len(l.Won) + 64*(1+len(l.By))
		for _, w := range l.By {
			n += len(w.Author)
		}
	}
	return n
}

func weightOf(marks []record.Mark) (n int) {
	for _, m := range marks {
		n += len(m.Path) + 64*(1+len(m.By)+len(m.Alts))
		for _, i := range m.Items {
			n += 16 + len(i)
		}
		for _, a := range m.Alts {
			n += len(a.Value) + 64*len(a.By)
		}
	}
	return n
}
