package engine

import (
	"context"
	"fmt"

	"tram/sync/wire"
)

// Bounds of a segment of the audit that is handed in.
const (
	// MaxActs is how many entries it has at the most.
	MaxActs = 4096
	maxAct  = 4 << 10 // bytes of one
)

// acts queues what of the audit is handed in: behind everything else.
func (a *Ask) acts() {
	seg := a.o.Acts
	if !a.hello.Acts || a.unanswered || a.o.Urgent || len(seg.Acts) == 0 {
		return
	}
	head := *seg
	head.Acts = nil
	a.out = append(a.out, &wire.Frame{Acts: &wire.Acts{N: len(seg.Acts), Segment: head}})
	for _, text := range seg.Acts {
		a.out = append(a.out, &wire.Frame{Act: text})
	}
	a.out = append(a.out, &wire.Frame{Mark: &wire.Mark{}})
}

// act takes a part of a segment of the audit, which is a stretch of its own.
func (s *Serve) act(f *wire.Frame) error {
	switch {
	case f.Acts != nil && s.acts == nil && len(s.pending) == 0 && f.Acts.N > 0 && f.Acts.N <= MaxActs && f.Acts.From > 0:
		s.acts = f.Acts
	case f.Act != nil && s.acts != nil && len(s.acts.Acts) < s.acts.N && len(f.Act) <= maxAct:
		s.acts.Acts = append(s.acts.Acts, f.Act)
	default:
		return fmt.Errorf("%w: entries of an audit that do not belong there", wire.ErrNonsense)
	}
	return nil
}

// keepActs keeps a segment that came whole.
func (s *Serve) keepActs(ctx context.Context) {
	seg := s.acts
	s.acts = nil
	if s.o.Acts != nil && len(seg.Acts) == seg.N && s.o.Acts(ctx, s.o.Peer, seg.Segment) == nil {
		s.kept = seg.Last()
	}
}
