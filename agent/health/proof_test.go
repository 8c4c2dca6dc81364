package health

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/proof"
	"tram/sync/status"
)

// TestCertificateCountsByReceipt makes six entries on one day and one on the day
// before, and lets the centre answer some and sign for some.
func TestCertificateCountsByReceipt(t *testing.T) {
	day := time.Date(2026, 11, 27, 0, 0, 0, 0, time.FixedZone("", 7*3600))
	now := day.Add(-time.Hour)
	s := storetest.Open(t, store.Options{Name: "tram-a", Clock: func() record.Stamp { return record.Stamp{Unix: now.UnixMilli()} }})
	ctx := context.Background()
	born := func(kind string) *record.Version {
		k := record.Key{Kind: kind, ID: s.NewID()}
		v, err := s.Put(ctx, store.Write{Key: k, Author: "lan", Content: fmt.Appendf(nil, `{"resourceType":"%s","id":"%s"}`, kind, k.ID)})
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	yesterday := born("Patient")
	now = day.Add(8 * time.Hour)
	var all []*record.Version
	for range 6 {
		all = append(all, born("Patient"))
	}
	answer := func(v *record.Version, verdict record.Verdict, reason record.Reason) record.Answer {
		return record.Answer{Key: v.Key, Ref: v.Ref(), Verdict: verdict, Reason: reason}
	}
	link, ok, err := s.Chain(s.Lineage(), all[3].Name.N)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	receipt := record.Receipt{Link: link, Epoch: "e", At: now.UnixMilli(), Sig: []byte("signed")}
	err = s.Apply(ctx, record.Stretch{Peer: store.Upstream, Receipts: []record.Receipt{receipt}, Answers: []record.Answer{
		answer(all[0], record.Accepted, ""), answer(all[1], record.Merged, ""),
		answer(all[2], record.Parked, record.IDTaken), answer(all[3], record.Waits, record.NoBase), answer(all[4], record.Accepted, "")}})
	if err != nil {
		t.Fatal(err)
	}
	last := proof.Last{At: 5, Equal: true}
	c, err := Certify(s, status.Report{Station: "tram-a", Version: "1.2", Made: 70, Offset: 7, Failures: 1, Failure: status.FailCut}, now.In(day.Location()), last)
	if err != nil {
		t.Fatal(err)
	}
	if c.Day != "2026-11-27" || c.Zone != 420 || c.From != day.UnixMilli() || c.To != day.Add(24*time.Hour).UnixMilli() || c.Made != 77 || c.Last != last || c.Cause != status.LinkCuts {
		t.Errorf("the day: %+v", c)
	}
	if c.Entries != 6 || c.Took() != 2 || c.Wait() != 4 || c.Others != 1 || c.Partial {
		t.Errorf("%d entries, %d received, %d wait, %d others; want 6, 2, 4, 1", c.Entries, c.Took(), c.Wait(), c.Others)
	}
	if len(c.Received) != 1 || c.Received[0].Link != link || string(c.Received[0].Sig) != "signed" || !slices.Equal(c.Received[0].Numbers, []uint64{all[0].Name.N, all[1].Name.N}) {
		t.Errorf("received: %+v", c.Received)
	}
	var got []string
	for _, g := range c.Waiting {
		got = append(got, fmt.Sprint(g.Why, " ", g.Reason, " ", g.Names[0].N, " ", g.Kinds))
	}
	want := []string{
		fmt.Sprint("parked id-taken ", all[2].Name.N, " map[Patient:1]"), fmt.Sprint("waits no-base ", all[3].Name.N, " map[Patient:1]"),
		fmt.Sprint("unproved  ", all[4].Name.N, " map[Patient:1]"), fmt.Sprint("unsent  ", all[5].Name.N, " map[Patient:1]")}
	if !slices.Equal(got, want) {
		t.Errorf("waiting:\n%q\nwant\n%q", got, want)
	}
	if top, _, _ := s.Chain(s.Lineage(), 0); !slices.Equal(c.Lineages, []record.Link{top}) {
		t.Errorf("books %+v, want %+v", c.Lineages, top)
	}
	tree, err := s.Tree(store.Upstream, record.OwnFeed)
	if err != nil || len(c.Feeds) != 2 || c.Feeds[0].Root != tree.Root() {
		t.Errorf("feeds %+v, %v", c.Feeds, err)
	}
	before, err := Certify(s, status.Report{}, day.Add(-time.Minute), proof.Last{})
	if err != nil || before.Entries != 1 || before.Waiting[0].Names[0] != yesterday.Name || before.Others != 4 {
		t.Errorf("the day before: %+v, %v", before, err)
	}
}

// What the centre did not take and somebody corrected is under no receipt, though one
// covers it, and neither is what a restored station got back.
func TestCertificateNeedsTheReceipt(t *testing.T) {
	day := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	s := storetest.Open(t, store.Options{Name: "tram-a", Clock: func() record.Stamp { return record.Stamp{Unix: day.UnixMilli()} }})
	ctx := context.Background()
	k := record.Key{Kind: "Patient", ID: s.NewID()}
	write := func(base, rest string) *record.Version {
		v, err := s.Put(ctx, store.Write{Key: k, Base: base, Author: "lan", Content: []byte(`{"resourceType":"Patient","id":"` + k.ID + `"` + rest + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	first := write("", "")
	link, _, err := s.Chain(s.Lineage(), 0)
	if err != nil {
		t.Fatal(err)
	}
	second := write(first.Name.String(), `,"active":true`)
	lost := record.Version{Key: record.Key{Kind: "Patient", ID: "x"}, Name: record.Name{Lineage: s.Lineage(), N: 1 << 40}, Author: "lan", Stamp: first.Stamp, Content: []byte(`{"resourceType":"Patient","id":"x"}`)}
	lost.Seen = record.Seen{}.With(lost.Name)
	err = s.Apply(ctx, record.Stretch{Peer: store.Upstream, Cursor: &record.Cursor{Feed: record.OwnFeed, Epoch: "e", Seq: 1},
		Arrived:  []record.Arrival{{Change: record.Change{Seq: 1, Key: lost.Key, Ref: lost.Ref(), Version: &lost}}},
		Receipts: []record.Receipt{{Link: link, Epoch: "e", At: 5}},
		Answers:  []record.Answer{{Key: k, Ref: first.Ref(), Verdict: record.Accepted}, {Key: k, Ref: second.Ref(), Verdict: record.Parked, Reason: record.NotAllowed}}})
	if err != nil {
		t.Fatal(err)
	}
	write(store.Any, `,"active":false`)
	c, err := Certify(s, status.Report{}, day, proof.Last{})
	if err != nil || c.Entries != 4 || c.Took() != 1 || c.Returned != 1 || c.Wait() != 2 || c.Waiting[0].Why != proof.Parked || c.Waiting[0].Names[0] != second.Name {
		t.Errorf("%+v, %v", c, err)
	}
	if link, _, err = s.Chain(s.Lineage(), 0); err != nil {
		t.Fatal(err)
	}
	third := record.Answer{Key: k, Verdict: record.Accepted}
	st, err := s.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	third.Ref = st.Pending[len(st.Pending)-1]
	if err := s.Apply(ctx, record.Stretch{Peer: store.Upstream, Receipts: []record.Receipt{{Link: link, Epoch: "e", At: 6}}, Answers: []record.Answer{third}}); err != nil {
		t.Fatal(err)
	}
	c, err = Certify(s, status.Report{}, day, proof.Last{})
	if err != nil || c.Took() != 2 || c.Wait() != 1 || c.Waiting[0].Why != proof.Parked || c.Waiting[0].Names[0] != second.Name {
		t.Errorf("with a receipt beyond it: %+v, %v", c, err)
	}
}

// A clock that was wrong for a while hides no entry that was made before.
func TestCertificateGoesOverWrongClocks(t *testing.T) {
	day := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	stamp := record.Stamp{Unix: day.UnixMilli()}
	s := storetest.Open(t, store.Options{Name: "tram-a", Clock: func() record.Stamp { return stamp }})
	for _, st := range []record.Stamp{stamp, {Unix: 1000, Doubt: true}, {Unix: day.UnixMilli(), Doubt: true}} {
		stamp = st
		k := record.Key{Kind: "Patient", ID: s.NewID()}
		if _, err := s.Put(context.Background(), store.Write{Key: k, Author: "lan", Content: []byte(`{"resourceType":"Patient","id":"` + k.ID + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Certify(s, status.Report{Doubt: true}, day, proof.Last{})
	if err != nil || c.Entries != 2 || c.Doubtful != 1 || !c.Doubt || c.Others != 1 {
		t.Errorf("%+v, %v; want two entries, one in doubt", c, err)
	}
}
