package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
	"tram/sync/wire"
)

// ServeOptions are what a serving half works with.
type ServeOptions struct {
	Replica Replica
	Name    string // this upstream's name
	Peer    string // the asker, as its certificate names it
	Epoch   string
	Merger  *merge.Merger
	R4      *fhir.R4
	// Now is this upstream's clock in Unix milliseconds.
	Now int64
	// Sign signs a receipt; it is not called where Proved is set.
	Sign func(record.Receipt) record.Receipt
	// Proved is set where this replica has an upstream itself: the receipt that came down
	// for a lineage, zero where none did. What such a replica cannot take in it passes
	// on, and the asker waits for upstream's word.
	Proved func(record.Lineage) (record.Receipt, error)
	// Abandon is set with Proved. It is told of the asker's lives: what is held aside for it
	// beyond its former ones, its maker has lost, and nobody brings the base.
	Abandon func(ctx context.Context, peer string, lives record.Lives) error
	// Hear tells whether the asker may get anything; what it hands in is heard
	// anyway. It also keeps the status report.
	Hear func(wire.Hello) wire.Refusal
	// Compared, where set, is told whether the trees of both sides were equal when the
	// request came: only where the asker had got all that there was.
	Compared func(equal bool)
	// Admit refuses a change that the peer may not make; "" admits.
	Admit func(v *record.Version, st *record.Stand) record.Reason
	// Acts keep the peer's audit; nil keeps none.
	Acts Acts
	// Allowed is what the peer's link may be used for.
	Allowed wire.Allowance
	// MaxContent bounds a resource in bytes.
	MaxContent int
	Pace       Pace
}

// Serve is the serving half of one exchange: first Take of every frame of the
// request, then Next until io.EOF.
type Serve struct {
	o       ServeOptions
	hello   *wire.Hello
	refused wire.Refusal
	pending []*wire.Frame // since the last mark
	weight  int           // of them, in bytes
	resent  int           // bytes of what was wanted
	answers []record.Answer
	held    map[record.Ref]int // what the asker is known to hold
	forks   map[record.Lineage]bool
	out     []*wire.Frame
	steps   []func() error
	next    int
	gave    int
	more    bool
	unknown map[string]bool
	upTo    map[string]uint64 // how far each feed was given
	acts    *wire.Acts        // of the audit, as it comes
	heard   bool              // there was a segment
	kept    uint64            // up to which number it is kept
}

// NewServe begins the serving half.
func NewServe(o ServeOptions) *Serve {
	return &Serve{o: o, held: map[record.Ref]int{}, forks: map[record.Lineage]bool{}, unknown: map[string]bool{}, upTo: map[string]uint64{}}
}

// Take takes a frame of the request. It commits at each mark.
func (s *Serve) Take(ctx context.Context, f *wire.Frame) error {
	switch {
	case f.Hello != nil:
		return s.greet(ctx, f.Hello)
	case s.hello == nil:
		return fmt.Errorf("%w: no hello", wire.ErrNonsense)
	case f.Change != nil, f.Edit != nil:
		return s.hear(ctx, f)
	case f.Acts != nil, f.Act != nil:
		return s.act(f)
	case f.Mark != nil && s.acts != nil:
		s.keepActs(ctx)
	case f.Mark != nil:
		return s.integrate(ctx, f.Mark.Sum)
	case f.End != nil:
		if len(s.pending) > 0 {
			return fmt.Errorf("%w: an end without a mark", wire.ErrNonsense)
		}
		s.plan()
	}
	return nil
}

// maxStretch bounds the changes between two marks.
const maxStretch = 4096

func (s *Serve) greet(ctx context.Context, h *wire.Hello) error {
	if s.hello != nil || !h.Life.Valid() || len(h.Continues) > 256 || len(h.Cursors) > 4 || len(h.Links) > 256 || len(h.Compare) > 4 || len(h.Want) > 4 ||
		slices.ContainsFunc(h.Want, func(w wire.Want) bool { return len(w.Keys) > maxWant }) {
		return fmt.Errorf("%w: a hello that says too much", wire.ErrNonsense)
	}
	if s.hello = h; h.Protocol > wire.First {
		s.o.Pace = s.o.Pace.Given(h.Stretch)
	}
	switch {
	case h.Protocol < wire.First || h.Protocol > wire.Protocol:
		s.refused = wire.TooOld
	case h.Replica != s.o.Peer:
		s.refused = wire.OtherName
	default:
		s.refused = s.o.Hear(*h)
	}
	if s.refused != "" {
		return nil
	}
	if h.Acts && s.o.Acts != nil {
		s.kept = s.o.Acts.Kept(s.o.Peer)
	}
	if s.o.Abandon != nil {
		if err := s.o.Abandon(ctx, s.o.Peer, lives(h)); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	}
	if s.o.Compared == nil {
		return nil
	}
	return s.roots(h)
}

// lives are the asker's. Its present one may reach further than a late request says.
func lives(h *wire.Hello) record.Lives {
	reach := map[record.Lineage]uint64{}
	for _, l := range h.Continues {
		reach[l] = 0
	}
	for _, k := range h.Links {
		if _, former := reach[k.Lineage]; former {
			reach[k.Lineage] = k.N
		} else if k.Lineage != h.Life {
			reach[k.Lineage] = math.MaxUint64 // of those below it, or older: it may hand in more
		}
	}
	return record.Lives{Now: h.Life, Former: reach, Run: h.Run}
}

// roots holds the asker's roots against those here, where its cursors are at the end.
func (s *Serve) roots(h *wire.Hello) error {
	equal := true
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		have, err := s.o.Replica.Agreed(s.o.Peer, feed, record.Part{}, nil)
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		theirs, said := h.Roots[feed]
		if !said || !slices.ContainsFunc(h.Cursors, func(c record.Cursor) bool {
			return c.Feed == feed && c.Seq == have.End.Seq && c.Digest == have.End.Digest && (c.Seq == 0 || c.Epoch == have.End.Epoch)
		}) {
			return nil
		}
		equal = equal && theirs == have.Tree.Root()
	}
	s.o.Compared(equal)
	return nil
}

// plan lines up what the answer says, in order.
func (s *Serve) plan() {
	s.steps = []func() error{s.welcome, s.receipts}
	if s.refused != "" {
		s.steps = append(s.steps, s.end)
		return
	}
	if s.hello.Unanswered {
		s.steps = append(s.steps, func() error { s.say(&wire.Frame{End: &wire.End{More: true}}); return nil })
		return
	}
	for _, c := range s.hello.Compare {
		s.steps = append(s.steps, func() error { return s.compare(c) })
	}
	for _, w := range s.hello.Want {
		s.steps = append(s.steps, func() error { return s.wanted(w) })
	}
	for _, c := range s.hello.Cursors {
		s.steps = append(s.steps, func() error { return s.feed(c) })
	}
	s.steps = append(s.steps, s.end)
}

// Next is the next frame of the answer; io.EOF after the last.
func (s *Serve) Next() (*wire.Frame, error) {
	for len(s.out) == 0 {
		if s.next >= len(s.steps) {
			return nil, io.EOF
		}
		step := s.steps[s.next]
		s.next++
		if err := step(); err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
	}
	f := s.out[0]
	s.out = s.out[1:]
	return f, nil
}

// soon lines up steps before all others.
func (s *Serve) soon(steps ...func() error) { s.steps = slices.Insert(s.steps, s.next, steps...) }

func (s *Serve) say(f *wire.Frame) { s.out = append(s.out, f) }

func (s *Serve) welcome() error {
	w := &wire.Welcome{Protocol: min(s.hello.Protocol, wire.Protocol), Replica: s.o.Name, Time: s.o.Now, Refused: s.refused, Heard: s.hello.Unanswered}
	speaks := map[record.Lineage]record.Link{s.hello.Life: {Lineage: s.hello.Life}}
	for _, l := range s.hello.Links {
		speaks[l.Lineage] = l
	}
	if s.hello.Acts && s.o.Acts != nil {
		w.Acts = &s.kept
	}
	if s.o.Proved != nil {
		w.Proved = map[record.Lineage]uint64{}
	}
	for l, claim := range speaks {
		top, _, err := s.o.Replica.Chain(l, 0)
		if err != nil {
			return err
		}
		if top != claim || s.hello.Protocol == wire.First {
			w.Links = append(w.Links, top)
		}
		if s.o.Proved != nil {
			r, err := s.o.Proved(l)
			if err != nil {
				return err
			}
			w.Proved[l] = r.N
		}
	}
	if s.refused == "" {
		if s.o.Allowed != s.hello.Allowed {
			w.Allowed = &s.o.Allowed
		}
		var err error
		if w.Left, err = s.behind(); err != nil {
			return err
		}
		for _, c := range s.hello.Cursors {
			_, err := s.o.Replica.Offer(s.o.Peer, c, 1)
			if errors.Is(err, record.ErrCursor) {
				s.unknown[c.Feed] = true
				w.Unknown = append(w.Unknown, c.Feed)
			} else if err != nil {
				return err
			}
		}
	}
	s.say(&wire.Frame{Welcome: w})
	return nil
}

// behind is how far the asker's cursors are behind the ends of the feeds; 0 where this
// exchange brings them there.
func (s *Serve) behind() (left uint64, err error) {
	for _, c := range s.hello.Cursors {
		have, err := s.o.Replica.Agreed(s.o.Peer, c.Feed, record.Part{}, nil)
		if err != nil {
			return 0, err
		}
		if have.End.Seq > c.Seq {
			left += have.End.Seq - c.Seq
		}
	}
	if left <= uint64(s.o.Pace.Down) {
		return 0, nil
	}
	return left, nil
}

// receipts gives the answers, and a receipt for each chain as far as both sides
// compute the same one. What the asker's chain proves it holds is noted.
func (s *Serve) receipts() error {
	s.sayAnswers()
	if err := s.sayUntaken(); err != nil {
		return err
	}
	for i, claim := range s.hello.Links {
		link, ok, err := s.o.Replica.Chain(claim.Lineage, claim.N)
		if err == nil && (!ok || link.Chain != claim.Chain) {
			link, _, err = s.o.Replica.Chain(claim.Lineage, 0)
		}
		if err != nil {
			return err
		}
		if link.N == 0 || link.N > claim.N || i < s.hello.Proved && link == claim {
			continue
		}
		r, err := s.receipt(link)
		if err != nil {
			return err
		}
		if r.N == 0 || r.N > link.N {
			continue
		}
		if err := s.sayParked(r.Link); err != nil {
			return err
		}
		s.say(s.proof(i, r))
	}
	s.say(&wire.Frame{Mark: &wire.Mark{}})
	return nil
}

// proof is a receipt as it travels.
func (s *Serve) proof(i int, r record.Receipt) *wire.Frame {
	h := s.hello
	if h.Protocol == wire.First || r.Link != h.Links[i] || r.At != s.o.Now || len(h.Cursors) == 0 || r.Epoch != h.Cursors[0].Epoch {
		return &wire.Frame{Receipt: &r}
	}
	return &wire.Frame{Proof: &wire.Proof{Of: i, Sig: r.Sig}}
}

// sayAnswers answers every change of the request, in its order.
func (s *Serve) sayAnswers() {
	var run *wire.Answers
	for i := range s.answers {
		a := &s.answers[i]
		switch {
		case s.hello.Protocol == wire.First:
			s.say(&wire.Frame{Answer: a})
		case run != nil && run.Verdict == a.Verdict && run.Reason == a.Reason:
			run.N++
		default:
			run = &wire.Answers{N: 1, Verdict: a.Verdict, Reason: a.Reason}
			s.say(&wire.Frame{Answers: run})
		}
	}
}

// sayUntaken answers those changes of an exchange that was cut that were not taken.
func (s *Serve) sayUntaken() error {
	if !s.hello.Unanswered {
		return nil
	}
	untaken, err := s.o.Replica.Untaken(s.hello.Owns)
	for i := range untaken {
		s.say(&wire.Frame{Answer: &untaken[i]})
	}
	return err
}

// receipt is the word that the top replica holds a chain, as far as a link at most.
func (s *Serve) receipt(common record.Link) (record.Receipt, error) {
	if s.o.Proved != nil {
		return s.o.Proved(common.Lineage)
	}
	return s.o.Sign(record.Receipt{Link: common, Epoch: s.o.Epoch, At: s.o.Now}), nil
}

// holds reports whether the asker is proved to hold a version.
func (s *Serve) holds(ref record.Ref) (bool, error) {
	if s.hello.Full {
		return false, nil
	}
	if _, ok := s.held[ref]; ok {
		return true, nil
	}
	for _, claim := range s.hello.Links {
		if claim.Lineage == ref.Name.Lineage && ref.Name.N <= claim.N {
			link, ok, err := s.o.Replica.Chain(claim.Lineage, claim.N)
			return ok && link.Chain == claim.Chain, err
		}
	}
	return false, nil
}

// feed gives a feed's changes from the asker's cursor on.
func (s *Serve) feed(after record.Cursor) error {
	if s.unknown[after.Feed] {
		return nil
	}
	if s.gave >= s.o.Pace.Down {
		s.more = true
		return nil
	}
	page, err := s.o.Replica.Offer(s.o.Peer, after, min(s.o.Pace.Stretch, s.o.Pace.Down-s.gave))
	if err != nil {
		return err
	}
	for i := range page.Changes {
		if err := s.give(&page.Changes[i]); err != nil {
			return err
		}
	}
	s.gave += len(page.Changes)
	s.upTo[after.Feed] = page.Cursor.Seq
	if page.Cursor.Seq != after.Seq {
		s.say(&wire.Frame{Mark: &wire.Mark{Cursor: &page.Cursor}})
	}
	if page.More {
		s.soon(func() error { return s.feed(page.Cursor) })
	}
	return nil
}

// give sends a change, as a name where the asker holds its version.
func (s *Serve) give(c *record.Change) error {
	held, err := s.holds(c.Ref)
	if err != nil {
		return err
	}
	if held {
		c.Version = nil
	}
	if at, ok := s.held[c.Ref]; ok && held && s.hello.Protocol > wire.First && !c.Gone && !c.Waits {
		s.echo(c.Seq, at)
		return nil
	}
	s.say(&wire.Frame{Change: c})
	return nil
}

// echo says that a change of the request stands in the feed.
func (s *Serve) echo(seq uint64, at int) {
	if len(s.out) > 0 {
		if e := s.out[len(s.out)-1].Echo; e != nil && e.Seq+uint64(e.N) == seq && e.From+e.N == at {
			e.N++
			return
		}
	}
	s.say(&wire.Frame{Echo: &wire.Echo{Seq: seq, From: at, N: 1}})
}

func (s *Serve) end() error {
	e := &wire.End{More: s.more}
	if s.refused == "" && len(s.hello.Cursors) > 0 {
		e.Roots = map[string]record.Digest{}
		for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
			have, err := s.o.Replica.Agreed(s.o.Peer, feed, record.Part{}, nil)
			if err != nil {
				return err
			}
			if root, said := s.hello.Roots[feed]; said && root == have.Tree.Root() && s.hello.Protocol > wire.First {
				e.Same = true
			} else {
				e.Roots[feed] = have.Tree.Root()
			}
			if at, ok := s.upTo[feed]; ok && at != have.End.Seq {
				e.More = true // it went on meanwhile, and the root with it
			}
		}
	}
	s.say(&wire.Frame{End: e})
	return nil
}
