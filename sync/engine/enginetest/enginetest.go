// Package enginetest is the exam that every replica passes: the contract of
// engine.Replica and engine.Asker, said as tests. Only tests use it.
//
// It owns what is asked and knows of a replica no more than these interfaces: it
// hands in versions of its own making and compares what comes back. It promises
// that two replicas which pass may stand at the two ends of an exchange.
package enginetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tram/store/record"
	"tram/sync/engine"
)

// pen writes versions as one opening of some station's database would.
type pen struct {
	top record.Link // of its chain
	n   uint64
}

func newPen(c byte) *pen {
	l := []byte("examexamexamexam")
	l[0] = c
	return &pen{top: record.Link{Lineage: record.Lineage(l)}}
}

// birth writes a new record: a Patient is its station's, an Organization everybody's.
func (p *pen) birth(kind string) record.Change {
	p.n++
	key := record.Key{Kind: kind, ID: record.Name{Lineage: p.top.Lineage, N: p.n}.String()}
	return p.version(&record.Version{Key: key, Content: content(key, "")})
}

// edit writes the next version of a record.
func (p *pen) edit(on *record.Version, rest string) record.Change {
	return p.version(&record.Version{Key: on.Key, Base: on.Ref(), Seen: on.Seen, Content: content(on.Key, rest), Trace: on.Trace})
}

func (p *pen) version(v *record.Version) record.Change {
	p.n++
	v.Name = record.Name{Lineage: p.top.Lineage, N: p.n}
	v.Seen = v.Seen.With(v.Name)
	v.Author, v.Stamp = "examiner", record.Stamp{Unix: 1_790_000_000_000 + int64(p.n)}
	if v.Trace.Born.IsZero() {
		v.Trace.Born = v.Name
	}
	c := record.Change{Key: v.Key, Ref: v.Ref(), Prev: p.top.N, Version: v}
	p.top = p.top.Next(p.n, c.Ref.Digest)
	return c
}

func content(k record.Key, rest string) []byte {
	return []byte(`{"resourceType":"` + k.Kind + `","id":"` + k.ID + `","active":true` + rest + `}`)
}

// accepted is a change decided to become the head on top of on.
func accepted(c record.Change, on record.Ref) record.Decided {
	return record.Decided{Change: c, On: on, Verdict: record.Accepted}
}

func parked(c record.Change, on record.Ref) record.Decided {
	return record.Decided{Change: c, On: on, Verdict: record.Parked, Reason: record.NotAllowed}
}

func handIn(t *testing.T, r engine.Replica, peer string, ds ...record.Decided) {
	t.Helper()
	if err := r.Apply(context.Background(), record.Stretch{Peer: peer, Taken: ds}); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func look(t *testing.T, r engine.Replica, k record.Key, base record.Ref, names ...record.Ref) *record.Stand {
	t.Helper()
	st, err := r.Look(k, base, names...)
	if err != nil {
		t.Fatalf("look at %s: %v", k, err)
	}
	return st
}

func chain(t *testing.T, r engine.Replica, l record.Lineage, n uint64) (record.Link, bool) {
	t.Helper()
	link, ok, err := r.Chain(l, n)
	if err != nil {
		t.Fatalf("chain of %s at %d: %v", l, n, err)
	}
	return link, ok
}

// all pages through everything offered from a cursor on, max at a time.
func all(t *testing.T, r engine.Replica, to string, after record.Cursor, max int) ([]record.Change, record.Cursor) {
	t.Helper()
	var out []record.Change
	for range 1000 {
		page, err := r.Offer(to, after, max)
		if err != nil {
			t.Fatalf("offer to %s after %d: %v", to, after.Seq, err)
		}
		if len(page.Changes) > max {
			t.Fatalf("offer to %s: %d changes, at most %d were asked for", to, len(page.Changes), max)
		}
		out, after = append(out, page.Changes...), page.Cursor
		if !page.More {
			return out, after
		}
	}
	t.Fatalf("the offer to %s does not end", to)
	return nil, after
}

func own(seq uint64) record.Cursor { return record.Cursor{Feed: record.OwnFeed, Seq: seq} }

func keys(cs []record.Change) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Key.String()
	}
	return out
}

// tree holds an agreed tree against the heads it is said to be over. The leaves
// are part of the protocol: both ends must compute the same.
func tree(t *testing.T, r engine.Replica, peer, feed string, want ...record.Ref) record.Tree {
	t.Helper()
	var sum record.Tree
	var heads []record.Change
	got, err := r.Agreed(peer, feed, record.Part{Nodes: []record.Node{""}}, func(h record.Change) error {
		heads = append(heads, h)
		return nil
	})
	if err != nil {
		t.Fatalf("agreed with %s about %s: %v", peer, feed, err)
	}
	var refs []record.Ref
	for _, h := range heads {
		leaf := record.Sum([]byte("tram leaf 1"), []byte(h.Key.String()), []byte(h.Ref.String()))
		place := record.Sum([]byte("tram bucket 1"), []byte(h.Key.String()))
		for i := range leaf {
			sum[place[0]][i] ^= leaf[i]
		}
		refs = append(refs, h.Ref)
		at := record.Node(fmt.Sprintf("%x", place[:]))[:record.NodeDigits]
		partly(t, r, peer, feed, record.Part{Keys: []record.Key{h.Key}}, h)
		for _, digits := range []int{1, 2, 5, record.NodeDigits} {
			partly(t, r, peer, feed, record.Part{Nodes: []record.Node{at[:digits]}}, h)
		}
	}
	if got.Tree != sum {
		t.Errorf("the tree of %s with %s is not over its heads", feed, peer)
	}
	byName := func(a, b record.Ref) int { return a.Name.Compare(b.Name) }
	slices.SortFunc(refs, byName)
	want = slices.Clone(want)
	slices.SortFunc(want, byName)
	if !slices.Equal(refs, want) {
		t.Errorf("agreed with %s about %s: %v, want %v", peer, feed, refs, want)
	}
	one, err := r.Agreed(peer, feed, record.Part{}, nil)
	if err != nil || one != got {
		t.Errorf("the tree of %s without heads is another, %v", feed, err)
	}
	return got.Tree
}

// partly holds that a part of what is agreed has a head, once, and nothing that is
// elsewhere.
func partly(t *testing.T, r engine.Replica, peer, feed string, in record.Part, want record.Change) {
	t.Helper()
	n := 0
	_, err := r.Agreed(peer, feed, in, func(h record.Change) error {
		if h == want {
			n++
		}
		place := record.Sum([]byte("tram bucket 1"), []byte(h.Key.String()))
		if len(in.Nodes) == 1 && !strings.HasPrefix(fmt.Sprintf("%x", place[:]), string(in.Nodes[0])) || len(in.Keys) == 1 && h.Key != in.Keys[0] {
			t.Errorf("%s is not in %v", h.Key, in)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%s stands %d times in %v, %v", want.Key, n, in, err)
	}
}

// state is everything that the interface shows of some records and one peer.
type state struct {
	stands  []string
	offered []string
	chains  []record.Link
	trees   []record.Tree
}

func stateOf(t *testing.T, r engine.Replica, peer string, pens []*pen, ks ...record.Key) state {
	t.Helper()
	var s state
	for _, k := range ks {
		st := look(t, r, k, record.Ref{})
		s.stands = append(s.stands, fmt.Sprint(st.Head.Ref(), st.Pending, st.Shown.Ref(), st.Seq, st.Gone, st.Parked))
	}
	for _, p := range pens {
		link, _ := chain(t, r, p.top.Lineage, 0)
		s.chains = append(s.chains, link)
	}
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		got, end := all(t, r, peer, record.Cursor{Feed: feed}, 100)
		for _, c := range got {
			s.offered = append(s.offered, fmt.Sprint(c.Seq, c.Key, c.Ref, c.Gone, end))
		}
		have, err := r.Agreed(peer, feed, record.Part{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if have.End != end {
			t.Errorf("the %s feed of %s ends at %+v, and is said to at %+v", feed, peer, end, have.End)
		}
		s.trees = append(s.trees, have.Tree)
	}
	return s
}

func (s state) same(t *testing.T, was state, what string) {
	t.Helper()
	if !reflect.DeepEqual(s, was) {
		t.Errorf("%s changed something:\nnow %+v\nwas %+v", what, s.stands, was.stands)
		t.Errorf("offered now %v\nwas %v\nchains now %v\nwas %v", s.offered, was.offered, s.chains, was.chains)
	}
}
