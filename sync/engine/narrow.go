package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

	"tram/store/record"
	"tram/sync/wire"
)

// How two trees are narrowed to what differs, two digits in each comparison. With a
// million records a bucket holds 4,000 heads, a node two digits below it 15: they are
// named in the second comparison, in a third up to 600 million.
const (
	// named is how many heads in a node are named rather than told apart further:
	// naming one costs about 30 bytes, the digests below it 130.
	named = 48
	// few is how many heads in a node are not worth being told apart.
	few = 4
	// maxParts is how many nodes one comparison narrows. Where more differ, all heads
	// in the nodes above them are named.
	maxParts = 4096
	// gathered bounds how many named heads are held at once.
	gathered = 1 << 16
	// maxWant is how many records are asked for at once; what is left out is found
	// by the next comparison.
	maxWant = 1 << 16
)

// leaf is what one head adds to the digests of the nodes above it.
type leaf struct{ place, sum uint64 }

// survey is what stands in some nodes of a tree.
type survey map[record.Node][]leaf

// look surveys nodes of which none lies in another.
func look(r Replica, peer, feed string, nodes []record.Node) (survey, error) {
	out := survey{}
	if len(nodes) == 0 {
		return out, nil
	}
	in := record.NewNodes(nodes...)
	_, err := r.Agreed(peer, feed, record.Part{Nodes: nodes}, func(c record.Change) error {
		out.add(in, c)
		return nil
	})
	return out, err
}

// add plants a head in the node where it stands, if it is one that is surveyed.
func (s survey) add(in record.Nodes, c record.Change) {
	place := record.LeafAt(c.Key)
	if n, ok := in.Of(place); ok && !c.Ref.IsZero() {
		d := record.Leaf(c.Key, c.Ref)
		s[n] = append(s[n], leaf{place, binary.BigEndian.Uint64(d[:wire.SumLen])})
	}
}

// below is the number of the node, so many digits below one of above digits, in which
// a place is.
func below(place uint64, above, digits int) int {
	return int(place << (4 * above) >> (64 - 4*digits))
}

// sums are the digests of the nodes so many digits below the one that the leaves
// are in.
func sums(leaves []leaf, at record.Node, digits int) []byte {
	all := make([]uint64, 1<<(4*digits))
	for _, l := range leaves {
		all[below(l.place, len(at), digits)] ^= l.sum
	}
	out := make([]byte, 0, len(all)*wire.SumLen)
	for _, s := range all {
		out = binary.BigEndian.AppendUint64(out, s)
	}
	return out
}

// topSums are the digests of a tree's buckets.
func topSums(t *record.Tree) []byte {
	out := make([]byte, 0, len(t)*wire.SumLen)
	for _, d := range t {
		out = append(out, d[:wire.SumLen]...)
	}
	return out
}

// apart lists the nodes so many digits below one whose digests differ.
func apart(at record.Node, digits int, mine, theirs []byte) (out []record.Node) {
	for i := range len(mine) / wire.SumLen {
		a, b := i*wire.SumLen, (i+1)*wire.SumLen
		if string(mine[a:b]) != string(theirs[a:b]) {
			out = append(out, at.Below(i, digits))
		}
	}
	return out
}

// depth is how many digits below its node a part's digests are.
func depth(p wire.Part) (int, error) {
	for digits := range 3 {
		if len(p.Sums) == wire.SumLen<<(4*digits) && p.At.Valid() && len(p.At)+digits <= record.NodeDigits {
			return digits, nil
		}
	}
	if len(p.Sums) == 0 && p.At.Valid() && len(p.At) >= 2 {
		return 0, nil
	}
	return 0, fmt.Errorf("%w: no part of a tree", wire.ErrNonsense)
}

// compare tells what stands in the nodes that differ, and where the feed ends.
func (s *Serve) compare(c wire.Compare) error {
	if len(c.Parts) > maxParts {
		return fmt.Errorf("%w: a comparison of too much", wire.ErrNonsense)
	}
	top, err := s.o.Replica.Agreed(s.o.Peer, c.Feed, record.Part{}, nil)
	if err != nil {
		return err
	}
	parts, err := split(c.Parts, &top.Tree)
	if err != nil {
		return err
	}
	var nodes []record.Node
	for _, p := range parts {
		nodes = append(nodes, p.at)
	}
	have, err := look(s.o.Replica, s.o.Peer, c.Feed, nodes)
	if err != nil {
		return err
	}
	n := naming{feed: c.Feed}
	for _, p := range parts {
		s.tell(&n, p, have[p.at])
	}
	n.cut()
	steps := make([]func() error, 0, len(n.parts)+1)
	for _, nodes := range n.parts {
		steps = append(steps, func() error { return s.name(c.Feed, nodes) })
	}
	s.soon(append(steps, func() error {
		s.say(&wire.Frame{Leaves: &wire.Leaves{Feed: c.Feed, End: &top.End}})
		return nil
	})...)
	return nil
}

// part is a part of a comparison as upstream sees it.
type part struct {
	at     record.Node
	digits int
	theirs []byte // none: the node is known to differ
	all    bool   // its heads are named, however many
}

// split reads the parts of a comparison. Of all buckets, those that differ from the
// kept ones are left.
func split(parts []wire.Part, kept *record.Tree) ([]part, error) {
	var out []part
	for _, p := range parts {
		digits, err := depth(p)
		switch {
		case err != nil:
			return nil, err
		case p.At == "" && digits == 2:
			for _, n := range apart("", 2, topSums(kept), p.Sums) {
				out = append(out, part{at: n})
			}
		default:
			out = append(out, part{p.At, digits, p.Sums, len(p.Sums) == 0})
		}
	}
	return out, nil
}

// tell says the digests below the nodes of a part that differ, or has their heads
// named.
func (s *Serve) tell(n *naming, p part, have []leaf) {
	differ, in := []record.Node{p.at}, survey{p.at: have}
	if len(p.theirs) > 0 {
		differ, in = apart(p.at, p.digits, sums(have, p.at, p.digits), p.theirs), survey{}
		for _, l := range have {
			at := p.at.Below(below(l.place, len(p.at), p.digits), p.digits)
			in[at] = append(in[at], l)
		}
	}
	for _, at := range differ {
		if p.all || len(in[at]) <= named || len(at) == record.NodeDigits {
			n.add(at, len(in[at]))
			continue
		}
		s.say(&wire.Frame{Leaves: &wire.Leaves{Feed: n.feed, At: at, Sums: sums(in[at], at, 1)}})
	}
}

// naming gathers the nodes whose heads are named, so many at once as are to be held.
type naming struct {
	feed  string
	parts [][]record.Node
	open  []record.Node
	heads int
}

func (n *naming) add(at record.Node, heads int) {
	n.open, n.heads = append(n.open, at), n.heads+heads
	if n.heads >= gathered {
		n.cut()
	}
}

func (n *naming) cut() {
	if len(n.open) > 0 {
		n.parts, n.open, n.heads = append(n.parts, n.open), nil, 0
	}
}

// name names the heads in nodes, also where there are none.
func (s *Serve) name(feed string, nodes []record.Node) error {
	in, heads := record.NewNodes(nodes...), map[record.Node][]record.Change{}
	_, err := s.o.Replica.Agreed(s.o.Peer, feed, record.Part{Nodes: nodes}, func(c record.Change) error {
		if n, ok := in.Of(record.LeafAt(c.Key)); ok {
			heads[n] = append(heads[n], record.Change{Key: c.Key, Ref: c.Ref})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range nodes {
		s.say(&wire.Frame{Leaves: &wire.Leaves{Feed: feed, At: n, Heads: heads[n]}})
	}
	return nil
}

// Narrow is a feed to be compared: all of it, or nodes that are known to differ.
type Narrow struct {
	Feed  string
	Nodes []record.Node
}

// compare is what to ask about a feed.
func (a *Ask) compare(n Narrow) (wire.Compare, error) {
	out := wire.Compare{Feed: n.Feed}
	if len(n.Nodes) == 0 {
		top, err := a.o.Replica.Agreed(Upstream, n.Feed, record.Part{}, nil)
		out.Parts = []wire.Part{{Sums: topSums(&top.Tree)}}
		return out, err
	}
	nodes := n.Nodes
	if len(nodes) > maxParts {
		for len(nodes) > maxParts {
			nodes = parents(nodes)
		}
		for _, at := range nodes {
			out.Parts = append(out.Parts, wire.Part{At: at})
		}
		return out, nil
	}
	have, err := look(a.o.Replica, Upstream, n.Feed, nodes)
	for _, at := range nodes {
		digits := 1
		if len(have[at]) <= few || len(at) == record.NodeDigits {
			digits = 0
		}
		out.Parts = append(out.Parts, wire.Part{At: at, Sums: sums(have[at], at, digits)})
	}
	return out, err
}

// parents are the nodes above, each once.
func parents(nodes []record.Node) []record.Node {
	out := make([]record.Node, len(nodes))
	for i, n := range nodes {
		out[i] = n[:len(n)-1]
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// told is what upstream said of a feed's tree and was not held against ours yet, and
// what came of that so far.
type told struct {
	leaves []wire.Leaves
	heads  int
	lacks  []record.Key  // here, or otherwise
	nodes  []record.Node // that differ, to be narrowed
}

// leaves takes what upstream has in one node.
func (a *Ask) leaves(l wire.Leaves) error {
	if a.behind {
		return nil
	}
	switch t := a.told; {
	case !l.At.Valid() || len(l.Sums) != 0 && len(l.Sums) != 16*wire.SumLen || len(l.Sums) != 0 && len(l.At) == record.NodeDigits,
		len(t.leaves) > 0 && t.leaves[0].Feed != l.Feed:
		return fmt.Errorf("%w: no such part of a tree", wire.ErrNonsense)
	}
	if l.End == nil {
		a.told.leaves, a.told.heads = append(a.told.leaves, l), a.told.heads+len(l.Heads)
		if a.told.heads < gathered {
			return nil
		}
		return a.weigh(l.Feed)
	}
	if err := a.weigh(l.Feed); err != nil {
		return err
	}
	t := a.told
	a.told = told{}
	if len(t.nodes) > 0 {
		a.res.Next.Compare = append(a.res.Next.Compare, Narrow{l.Feed, t.nodes})
	}
	if len(t.nodes) == 0 || len(t.lacks) > 0 {
		a.res.Next.Want = append(a.res.Next.Want, wire.Want{Feed: l.Feed, Keys: t.lacks[:min(len(t.lacks), maxWant)], End: *l.End})
	}
	return nil
}

// weigh holds what upstream said of nodes against what is here: it finds what either
// side lacks, and the nodes to be narrowed.
func (a *Ask) weigh(feed string) error {
	t := &a.told
	if len(t.leaves) == 0 {
		return nil
	}
	nodes, further := make([]record.Node, len(t.leaves)), map[record.Node]bool{}
	for i, l := range t.leaves {
		nodes[i], further[l.At] = l.At, len(l.Sums) > 0
	}
	in, have, mine := record.NewNodes(nodes...), map[record.Key]record.Ref{}, survey{}
	_, err := a.o.Replica.Agreed(Upstream, feed, record.Part{Nodes: nodes}, func(c record.Change) error {
		if n, _ := in.Of(record.LeafAt(c.Key)); further[n] {
			mine.add(in, c)
		} else {
			have[c.Key] = c.Ref
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	for _, l := range t.leaves {
		if further[l.At] {
			t.nodes = append(t.nodes, apart(l.At, 1, sums(mine[l.At], l.At, 1), l.Sums)...)
			continue
		}
		for _, c := range l.Heads {
			known, ok := have[c.Key]
			delete(have, c.Key)
			if known == c.Ref {
				continue
			}
			t.lacks = append(t.lacks, c.Key)
			if ok && !known.IsZero() {
				a.reoffer = append(a.reoffer, c.Key) // ours may be what upstream forgot
			}
		}
	}
	for k := range have {
		a.reoffer = append(a.reoffer, k)
	}
	t.leaves, t.heads = nil, 0
	return nil
}
