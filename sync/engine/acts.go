package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"tram/store/audit"
	"tram/sync/wire"
)

// Bounds of a segment of the audit that is handed in.
const (
	// MaxActs is how many entries it has at the most.
	MaxActs = 4096
	maxAct  = 4 << 10 // bytes of one
)

// Acts keep what replicas hand in of their audit. They are called for several replicas at
// once.
type Acts interface {
	// Kept is the highest number that is kept of a peer's audit; 0 for none.
	Kept(peer string) uint64
	// Keep keeps a segment durably as it came, sound or not. Where it fails the peer hands
	// it in again.
	Keep(ctx context.Context, peer string, seg audit.Segment) error
}

// acts queues what of the audit is handed in: where nothing else waits.
func (a *Ask) acts() {
	seg := a.o.Acts
	if !a.hello.Acts || a.unanswered || a.o.Urgent || a.o.Carry.Cut || a.res.Waiting || len(seg.Acts) == 0 {
		return
	}
	head := *seg
	head.Acts = nil
	a.out = append(a.out, &wire.Frame{Acts: &wire.Acts{N: len(seg.Acts), Segment: head}})
	for _, text := range seg.Acts {
		a.out = append(a.out, &wire.Frame{Act: text})
	}
	a.out = append(a.out, &wire.Frame{Mark: &wire.Mark{}})
	a.res.Handed = true
}

// act takes a part of a segment of the audit, which is a stretch of its own.
func (s *Serve) act(f *wire.Frame) error {
	var e audit.Entry
	switch {
	case f.Acts != nil && !s.heard && len(s.pending) == 0 && f.Acts.N > 0 && f.Acts.N <= MaxActs && f.Acts.From > 0:
		s.acts, s.heard = f.Acts, true
	case f.Act != nil && s.acts != nil && len(s.acts.Acts) < s.acts.N && len(f.Act) <= maxAct &&
		!bytes.ContainsRune(f.Act, '\n') && json.Unmarshal(f.Act, &e) == nil:
		s.acts.Acts = append(s.acts.Acts, f.Act)
	default:
		return fmt.Errorf("%w: entries of an audit that do not belong there", wire.ErrNonsense)
	}
	return nil
}

// keepActs keeps a segment that came whole. Where others before it are not kept, it stays
// said that they are not.
func (s *Serve) keepActs(ctx context.Context) {
	seg := s.acts
	s.acts = nil
	if s.o.Acts != nil && len(seg.Acts) == seg.N && s.o.Acts.Keep(ctx, s.o.Peer, seg.Segment) == nil && s.kept+1 >= seg.From {
		s.kept = seg.Last()
	}
}
