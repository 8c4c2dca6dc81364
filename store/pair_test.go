package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
)

// top opens a store without an upstream that knows the named stations.
func top(t *testing.T, stations ...string) *store.Store {
	t.Helper()
	s := storetest.Open(t, store.Options{Name: "centre", Top: true})
	for _, name := range stations {
		addPeer(t, s, name)
	}
	return s
}

func addPeer(t *testing.T, s *store.Store, name string) {
	t.Helper()
	if err := s.AddPeer(context.Background(), store.Peer{Name: name, Station: name}); err != nil {
		t.Fatal(err)
	}
}

func station(t *testing.T, name string) *store.Store {
	t.Helper()
	return storetest.Open(t, store.Options{Name: name})
}

func apply(t *testing.T, s *store.Store, st record.Stretch) {
	t.Helper()
	if err := s.Apply(context.Background(), st); err != nil {
		t.Fatal(err)
	}
}

// own are the changes that a store offers upstream.
func own(t *testing.T, s *store.Store) []record.Change {
	t.Helper()
	page, err := s.Offer(store.Upstream, record.Cursor{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return page.Changes
}

// decided accepts a change as it stands at up, or says that it is known.
func decided(t *testing.T, up *store.Store, c record.Change) record.Decided {
	t.Helper()
	st, err := up.Look(c.Key, c.Version.Base, c.Ref)
	if err != nil {
		t.Fatal(err)
	}
	d := record.Decided{Change: c, Verdict: record.Accepted}
	if st.Head != nil {
		d.On = st.Head.Ref()
	}
	if _, known := st.Known[c.Ref.Name]; known {
		d.Verdict = record.Known
	}
	return d
}

// push hands all of a station's own changes to up, which accepts them, and brings
// back answers and receipts.
func push(t *testing.T, from, up *store.Store) {
	t.Helper()
	var back record.Stretch
	lineages := map[record.Lineage]bool{}
	for _, c := range own(t, from) {
		d := decided(t, up, c)
		apply(t, up, record.Stretch{Peer: from.Name(), Taken: []record.Decided{d}})
		back.Answers = append(back.Answers, record.Answer{Key: c.Key, Ref: c.Ref, Verdict: d.Verdict})
		lineages[c.Ref.Name.Lineage] = true
	}
	for l := range lineages {
		link, _, err := up.Chain(l, 0)
		if err != nil {
			t.Fatal(err)
		}
		back.Receipts = append(back.Receipts, record.Receipt{Link: link})
	}
	apply(t, from, back)
}

// pull brings a station's feeds down in small pages and tells how many changes
// came. What the station holds already comes as a name.
func pull(t *testing.T, up, to *store.Store) int {
	t.Helper()
	n := 0
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		for more := true; more; {
			after, err := to.Cursor(feed)
			if err != nil {
				t.Fatal(err)
			}
			page, err := up.Offer(to.Name(), after, 3)
			if err != nil {
				t.Fatal(err)
			}
			st := record.Stretch{Peer: up.Name(), Cursor: &page.Cursor}
			for _, c := range page.Changes {
				st.Arrived = append(st.Arrived, arrival(t, to, c))
			}
			apply(t, to, st)
			n += len(page.Changes)
			more = page.More
		}
		equalTrees(t, up, to, feed)
	}
	return n
}

// arrival is a change as it is laid under what is pending at to.
func arrival(t *testing.T, to *store.Store, c record.Change) record.Arrival {
	t.Helper()
	st, err := to.Look(c.Key, c.Ref)
	if err != nil {
		t.Fatal(err)
	}
	a := record.Arrival{Change: c}
	if st.Base != nil {
		a.Version = nil
	}
	if len(st.Pending) > 0 && !c.Gone {
		a.On = st.Pending[len(st.Pending)-1]
		if !c.Version.Seen.Has(a.On.Name) {
			over := *c.Version
			over.Name, over.Seen = record.Name{}, c.Version.Seen.Union(st.Shown.Seen)
			a.Preview = &over
		}
	}
	return a
}

func equalTrees(t *testing.T, up, below *store.Store, feed string) {
	t.Helper()
	a, b := treeOf(t, up, below.Name(), feed), treeOf(t, below, store.Upstream, feed)
	if a.Root() != b.Root() {
		t.Errorf("the trees of the %s feed of %s differ", feed, below.Name())
	}
}

// treeOf reads a tree, and holds what write after write made of it against one that
// is made anew of the heads.
func treeOf(t *testing.T, s *store.Store, peer, feed string) record.Tree {
	t.Helper()
	var fresh record.Tree
	got, err := s.Agreed(peer, feed, record.Part{Nodes: []record.Node{""}}, func(c record.Change) error {
		leaf := record.Leaf(c.Key, c.Ref)
		for i := range leaf {
			fresh[record.Bucket(c.Key)][i] ^= leaf[i]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Tree != fresh {
		t.Errorf("the tree of the %s feed at %s is not the sum of its heads", feed, s.Name())
	}
	return got.Tree
}

// has tells which of the keys a store shows, as a text of 1 and 0.
func has(t *testing.T, s *store.Store, keys ...record.Key) string {
	t.Helper()
	out := ""
	for _, k := range keys {
		_, err := s.Get(k)
		switch {
		case err == nil:
			out += "1"
		case errors.Is(err, record.ErrNotFound):
			out += "0"
		default:
			t.Fatal(err)
		}
	}
	return out
}

// about makes a record of a kind about a patient.
func about(t *testing.T, s *store.Store, kind, field, patient, rest string) *record.Version {
	t.Helper()
	id := s.NewID()
	return put(t, s, store.Write{Key: key(kind, id), Content: fmt.Appendf(nil,
		`{"resourceType":%q,"id":%q,%q:{"reference":"Patient/%s"}%s}`, kind, id, field, patient, rest)})
}

const obs = `,"status":"final","code":{"text":"Mạch"}`
