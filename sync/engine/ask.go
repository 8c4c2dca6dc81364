package engine

import (
	"context"
	"fmt"
	"io"
	"slices"

	"tram/store/audit"
	"tram/store/record"
	"tram/sync/merge"
	"tram/sync/wire"
)

// AskOptions are what an asking half works with.
type AskOptions struct {
	Replica Asker
	Name    string
	Merger  *merge.Merger
	// Report is the status report, JSON without any patient's data.
	Report []byte
	// Verify proves a receipt's signature.
	Verify func(record.Receipt) error
	Pace   Pace
	// Carry is what the exchange before left to be done; nil at first.
	Carry *Carry
	// Allowed is what the link may be used for, as upstream said last.
	Allowed wire.Allowance
	// Urgent hands in what is urgent, and gets nothing but the answers to it; in the first
	// protocol it asks nothing else than usual.
	Urgent bool
	// Acts is of the audit what is to be handed in; one without entries asks whether
	// upstream keeps such. Nil does neither.
	Acts *audit.Segment
	// Protocol is what is spoken, of those of package wire; 0 is the newest.
	Protocol int
}

// Carry is what one exchange leaves for the next.
type Carry struct {
	// Full asks for whole versions, and sends them: a name or an edit was not enough.
	Full bool
	// Compare are feeds to be compared, Want what a comparison found missing.
	Compare []Narrow
	Want    []wire.Want
	// More says that there was more than one exchange carries.
	More bool
	// Told says that upstream was told lately of all that a replica says of itself.
	Told bool
	// Cut asks first what arrived of an exchange that was cut.
	Cut bool
	// Unequal counts the exchanges in a row that ended with trees that differ.
	Unequal int
}

// Whole is the same, and asks for whole versions both ways.
func (c *Carry) Whole() *Carry {
	out := Carry{}
	if c != nil {
		out = *c
	}
	out.Full = true
	return &out
}

// compares reports whether a feed is to be compared.
func (c *Carry) compares(feed string) bool {
	return slices.ContainsFunc(c.Compare, func(n Narrow) bool { return n.Feed == feed })
}

// heals reports whether a feed is to be compared, or records of it to be sent again.
func (c *Carry) heals(feed string) bool {
	return c.compares(feed) || slices.ContainsFunc(c.Want, func(w wire.Want) bool { return w.Feed == feed })
}

// Result is what an exchange came to.
type Result struct {
	Sent, Taken, Parked int // own changes, of these in upstream's history, of these parked
	Received            int // changes that came down
	Echoed              int // of these as what was sent
	More                bool
	// Left is how many places the feeds went on behind what came down, where another
	// exchange does not bring them all: at most as many records.
	Left uint64
	// Offered is how far the own changes were offered.
	Offered record.Cursor
	Waiting bool // own changes are left to be sent
	// Asked says that it asked only what arrived of one that was cut.
	Asked bool
	// Acts is up to which number upstream keeps the audit now; nil where it keeps none, or
	// was not asked. Handed says that some of it was handed in.
	Acts   *uint64
	Handed bool
	// Equal says that both sides' trees were equal, feed by feed.
	Equal bool
	// Proved says that the trees could be compared.
	Proved bool
	// Healed says that they were not equal before. Upstream hears that they are by the
	// next exchange.
	Healed  bool
	Refused wire.Refusal
	Later   int // seconds
	// Allowed is what the link may be used for from now on; nil where nothing else than before.
	Allowed *wire.Allowance
	// Time is upstream's clock in Unix milliseconds; 0 when it said none.
	Time  int64
	Next  Carry
	Ended bool
}

// Ask is the asking half of one exchange: first Next until io.EOF, then Take of
// every frame that comes back, then Result.
type Ask struct {
	o          AskOptions
	st         record.Standing
	hello      *wire.Hello
	hurried    bool // what is urgent was offered
	out        []*wire.Frame
	after      record.Cursor
	order      []record.Change     // sent in this exchange, without versions
	asked      map[record.Ref]bool // the same
	heard      int                 // how many of them were answered in their order
	echoed     int                 // how many came down again as echoes
	sent       map[record.Ref]bool // and not answered yet
	res        Result
	stretch    record.Stretch
	cursors    map[string]record.Cursor
	welcome    bool
	reoffer    []record.Key
	unanswered bool                       // it asks only what arrived of an exchange that was cut
	late       *Late                      // of a request made before; nil in an exchange that goes on
	since      map[record.Name]record.Key // own changes made after a late answer's request
	behind     bool                       // the late answer's feeds are older than what came down
	told       told
}

// NewAsk begins an exchange.
func NewAsk(o AskOptions) (*Ask, error) {
	st, err := o.Replica.Standing()
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if o.Protocol == 0 {
		o.Protocol = wire.Protocol
	}
	if o.Carry == nil {
		o.Carry = &Carry{}
	}
	o.Urgent = o.Urgent && o.Protocol != wire.First
	if o.Carry.Told && o.Protocol != wire.First {
		brief(&st)
	}
	a := &Ask{o: o, st: st, asked: map[record.Ref]bool{}, sent: map[record.Ref]bool{}, cursors: map[string]record.Cursor{}}
	h := &wire.Hello{Protocol: o.Protocol, Replica: o.Name, Links: st.Links, Proved: st.Proved, Run: !o.Carry.Told, Allowed: o.Allowed, Report: o.Report,
		Acts: o.Acts != nil && o.Protocol != wire.First}
	if len(st.Lives) > 0 {
		h.Life, h.Continues = st.Lives[0], st.Lives[1:]
	}
	a.hello, a.out = h, []*wire.Frame{{Hello: h}}
	if err := a.askFirst(h); err != nil || a.unanswered || o.Urgent {
		return a, err
	}
	h.Cursors, h.Roots = st.Cursors, map[string]record.Digest{}
	for _, c := range st.Cursors {
		have, err := o.Replica.Agreed(Upstream, c.Feed, record.Part{}, nil)
		if err != nil {
			return nil, fmt.Errorf("ask: %w", err)
		}
		a.cursors[c.Feed], h.Roots[c.Feed] = c, have.Tree.Root()
	}
	h.Full, h.Want = o.Carry.Full, o.Carry.Want
	if o.Carry.More && o.Protocol != wire.First {
		h.Stretch = o.Pace.Stretch
	}
	for _, n := range o.Carry.Compare {
		c, err := a.compare(n)
		if err != nil {
			return nil, fmt.Errorf("ask: %w", err)
		}
		h.Compare = append(h.Compare, c)
	}
	return a, nil
}

// lately is how many former lives, and links that are proved, are named to an upstream that
// was told of all of them lately: those that it would forget first.
const lately = 2

// brief leaves out of what a replica says of itself what the exchange before said. Those
// below it may hand in more at any moment: their links stay.
func brief(st *record.Standing) {
	var links []record.Link
	former, proved := 0, 0
	for i, k := range st.Links {
		if i < st.Proved && slices.Contains(st.Lives, k.Lineage) {
			if former++; former > lately {
				continue
			}
		}
		if links = append(links, k); i < st.Proved {
			proved++
		}
	}
	st.Links, st.Proved = links, proved
	n := 0
	st.Lives = slices.DeleteFunc(st.Lives, func(l record.Lineage) bool {
		n++
		return n > 1+lately && !slices.ContainsFunc(st.Links, func(k record.Link) bool { return k.Lineage == l })
	})
}

// Protocol is what the exchange speaks.
func (a *Ask) Protocol() int { return a.o.Protocol }

// Next is the next frame to send; io.EOF after the last.
func (a *Ask) Next() (*wire.Frame, error) {
	if len(a.out) == 0 && !a.res.Ended {
		if err := a.fill(); err != nil {
			return nil, err
		}
	}
	if len(a.out) == 0 {
		return nil, io.EOF
	}
	f := a.out[0]
	a.out = a.out[1:]
	return f, nil
}

// fill queues the next stretch of own changes, or the end.
func (a *Ask) fill() error {
	changes, err := a.offer()
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if len(changes) > 0 {
		return a.send(changes)
	}
	a.acts()
	a.res.Ended = true
	a.out = append(a.out, &wire.Frame{End: &wire.End{More: a.res.Waiting}})
	return nil
}

// offer is the next stretch of own changes: what is urgent first; none at the end.
func (a *Ask) offer() ([]record.Change, error) {
	if a.unanswered {
		a.res.Waiting = true
		return nil, nil
	}
	if !a.hurried && a.o.Protocol != wire.First {
		a.hurried = true
		most := a.o.Pace.Stretch
		if a.o.Urgent {
			most = a.o.Pace.Up
		}
		if changes, err := a.o.Replica.Urgent(most); err != nil || len(changes) > 0 {
			return changes, err
		}
	}
	if a.o.Urgent {
		return nil, nil
	}
	for left := a.o.Pace.Up - a.res.Sent; left > 0; {
		page, err := a.o.Replica.Offer(Upstream, a.after, min(left, a.o.Pace.Stretch))
		if err != nil {
			return nil, err
		}
		a.after, a.res.Waiting = page.Cursor, page.More
		a.res.Offered = page.Cursor
		changes := slices.DeleteFunc(page.Changes, func(c record.Change) bool { return a.asked[c.Ref] })
		if len(changes) > 0 || !page.More {
			return changes, nil
		}
	}
	return nil, nil
}

// send queues a stretch.
func (a *Ask) send(changes []record.Change) error {
	mark, edited := &wire.Mark{}, false
	for i := range changes {
		c := &changes[i]
		edit, err := a.edit(c)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		if edited = edited || edit != nil; edit != nil {
			a.out = append(a.out, &wire.Frame{Edit: edit})
		} else {
			a.out = append(a.out, &wire.Frame{Change: c})
		}
		a.asked[c.Ref], a.sent[c.Ref] = true, true
		a.order = append(a.order, record.Change{Key: c.Key, Ref: c.Ref})
	}
	if edited {
		mark.Sum = wire.Sum(changes)
	}
	a.res.Sent += len(changes)
	a.out = append(a.out, &wire.Frame{Mark: mark})
	return nil
}

// edit says a change by its base, where upstream is known to hold that; else it is nil.
func (a *Ask) edit(c *record.Change) (*wire.Edit, error) {
	if a.o.Protocol == wire.First || a.o.Carry.Full || c.Version == nil || c.Version.Base.IsZero() {
		return nil, nil
	}
	st, err := a.o.Replica.Look(c.Key, c.Version.Base)
	if err != nil || st.Base == nil || !a.asked[c.Version.Base] && st.Head.Ref() != c.Version.Base {
		return nil, err
	}
	return wire.Shorten(c, st.Base), nil
}

// Take takes a frame of the answer. It commits at each mark. Its error ends
// the exchange; what was committed until then stays.
func (a *Ask) Take(ctx context.Context, f *wire.Frame) error {
	switch {
	case f.Welcome != nil:
		return a.greeted(ctx, f.Welcome)
	case !a.welcome:
		return fmt.Errorf("%w: no welcome", wire.ErrNonsense)
	case f.Answer != nil:
		return a.answer(*f.Answer)
	case f.Answers != nil:
		return a.answers(*f.Answers)
	case f.Echo != nil:
		return a.echo(*f.Echo)
	case f.Parked != nil:
		a.parked(*f.Parked)
	case f.Receipt != nil:
		return a.receipt(*f.Receipt)
	case f.Proof != nil:
		return a.proof(*f.Proof)
	case f.Change != nil:
		return a.arrival(*f.Change)
	case f.Leaves != nil:
		return a.leaves(*f.Leaves)
	case f.Mark != nil:
		return a.commit(ctx, f.Mark.Cursor)
	case f.End != nil:
		return a.ended(ctx, f.End)
	}
	return nil
}

// answer takes upstream's word on one change that was sent. A verdict unknown
// here counts as parked.
func (a *Ask) answer(ans record.Answer) error {
	if a.late != nil && (a.late.Voided || !a.sent[ans.Ref]) {
		return nil // it says nothing any more, or it waits no longer
	}
	if !a.sent[ans.Ref] && a.unanswered {
		return nil // it stands above where both chains are the same, and is handed in again
	}
	if !a.sent[ans.Ref] {
		return fmt.Errorf("%w: an answer to what was not asked", wire.ErrNonsense)
	}
	delete(a.sent, ans.Ref)
	switch {
	case ans.Verdict.Taken():
		a.res.Taken++
	case ans.Verdict != record.Waits:
		ans.Verdict = record.Parked
		a.res.Parked++
	}
	a.stretch.Answers = append(a.stretch.Answers, ans)
	return nil
}

// parked takes the word that what upstream took in was not taken above it.
func (a *Ask) parked(ans record.Answer) {
	if a.late == nil || !a.late.Voided {
		ans.Verdict = record.Parked
		a.stretch.Answers = append(a.stretch.Answers, ans)
	}
}

// answers takes upstream's word on the next changes in the order of the request.
func (a *Ask) answers(of wire.Answers) error {
	if of.N < 1 || of.N > len(a.order)-a.heard {
		return fmt.Errorf("%w: answers to what was not asked", wire.ErrNonsense)
	}
	for _, c := range a.order[a.heard : a.heard+of.N] {
		if err := a.answer(record.Answer{Key: c.Key, Ref: c.Ref, Verdict: of.Verdict, Reason: of.Reason}); err != nil {
			return err
		}
	}
	a.heard += of.N
	return nil
}

// echo takes changes of the request as they come down again.
func (a *Ask) echo(of wire.Echo) error {
	if of.N < 1 || of.From < 0 || of.From > len(a.order) || of.N > len(a.order)-of.From {
		return fmt.Errorf("%w: an echo of what was not sent", wire.ErrNonsense)
	}
	if a.echoed += of.N; a.echoed > 4*len(a.order) { // a record may stand in two feeds, and in both twice
		return fmt.Errorf("%w: echoes without end", wire.ErrNonsense)
	}
	for i, c := range a.order[of.From : of.From+of.N] {
		c.Seq = of.Seq + uint64(i)
		if err := a.arrival(c); err != nil {
			return err
		}
	}
	a.res.Echoed = a.echoed
	return nil
}

func (a *Ask) greeted(ctx context.Context, w *wire.Welcome) error {
	a.welcome = true
	a.res.Refused, a.res.Later, a.res.Time = w.Refused, w.Later, w.Time
	a.res.Left, a.res.Acts = w.Left, w.Acts
	if w.Allowed != nil && w.Allowed.Valid() {
		a.res.Allowed = w.Allowed
	}
	var rec record.Recovery
	links := a.links(w.Links)
	for _, l := range links {
		rec.Highest = append(rec.Highest, record.Name{Lineage: l.Lineage, N: l.N})
		known, forked, err := a.common(l)
		if err != nil {
			return err
		}
		switch {
		case a.late != nil && !a.late.Unheard(l.Lineage):
		case forked:
			rec.Forked = append(rec.Forked, l)
		default:
			rec.Void = append(rec.Void, known)
		}
	}
	rec.Proved = w.Proved
	if err := a.o.Replica.Recover(ctx, rec); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if err := a.heardBefore(w.Heard, links); err != nil {
		return err
	}
	for _, feed := range w.Unknown {
		if !a.behind && !a.o.Carry.heals(feed) {
			a.res.Next.Compare = append(a.res.Next.Compare, Narrow{Feed: feed})
		}
	}
	return nil
}

// arrival decides how a record looks with a change that came down.
func (a *Ask) arrival(c record.Change) error {
	if c.Version == nil && c.Ref.IsZero() || c.Version != nil && !sound(c.Version) {
		return fmt.Errorf("%w: a change without a version", wire.ErrNonsense)
	}
	if a.behind = a.behind || a.foresees(c.Version); a.behind {
		return nil
	}
	a.stretch.Arrived = append(a.stretch.Arrived, record.Arrival{Change: c})
	a.res.Received++
	return nil
}

// decide lays what is pending here over what came down.
func (a *Ask) decide(in record.Arrival) (record.Arrival, error) {
	if in.Gone {
		return in, nil
	}
	st, err := a.o.Replica.Look(in.Key, in.Ref)
	if err != nil {
		return in, err
	}
	in.On, in.Preview = record.Ref{}, nil
	if len(st.Pending) == 0 {
		return in, nil
	}
	in.On = st.Pending[len(st.Pending)-1]
	v := in.Version
	if v == nil {
		v = st.Base
	}
	if v == nil {
		return in, fmt.Errorf("%s: %w", in.Key, record.ErrNotFound)
	}
	if v.Seen.Has(in.On.Name) {
		return in, nil
	}
	mine, err := a.o.Replica.Look(in.Key, in.On)
	if err != nil || mine.Base == nil {
		return in, fmt.Errorf("%s: pending version: %w", in.Key, record.ErrNotFound)
	}
	if mine.Base.Seen.Has(v.Name) {
		return in, nil
	}
	out, err := a.o.Merger.Merge(st.Head, v, mine.Base)
	if err != nil {
		return in, err
	}
	in.Preview = out.Version
	return in, nil
}
