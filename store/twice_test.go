package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
)

// A point comes while people write. A write that is refused lets the others of its group
// run again, and nothing may be passed over then.
func TestNewPointGetsAllWhileWritesAreRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := storetest.Open(t, store.Options{Name: "a"})
	shared := born(t, s, hoa)
	n := 1
	for range 10 {
		var all []store.Write
		for range 1000 {
			id := s.NewID()
			all = append(all, store.Write{Key: key("Patient", id), Content: patient(id, ""), Author: "hoa"})
		}
		if _, err := s.Put(ctx, all...); err != nil {
			t.Fatal(err)
		}
		n += len(all)
	}
	if err := s.AddPeer(ctx, store.Peer{Name: "p", Station: "p"}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.Put(ctx, store.Write{Key: shared.Key, Base: "stale", Content: patient(shared.Key.ID, ""), Author: "hoa"})
				if !errors.Is(err, record.ErrStale) {
					t.Error(err)
				}
			}
		})
	}
	if err := s.Fill(ctx); err != nil {
		t.Error(err)
	}
	close(stop)
	writers.Wait()
	page, err := s.Offer("p", record.Cursor{Feed: record.OwnFeed}, 20_000)
	if err != nil || len(page.Changes) != n {
		t.Errorf("%d records are here, the point is offered %d, %v", n, len(page.Changes), err)
	}
}

// The centre was restored: what it had for long waits again, and the journal keeps it.
func TestJournalStaysForWhatWaitsAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
	segments := func() int {
		all, err := filepath.Glob(filepath.Join(dir, "journal", "*.journal"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	const days = 24 * 3600 * 1000
	receipt := func(v *record.Version, at int64) record.Link {
		t.Helper()
		link, _, err := s.Chain(v.Name.Lineage, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(ctx, record.Stretch{Peer: store.Upstream, Answers: []record.Answer{{Key: v.Key, Ref: v.Ref(), Verdict: record.Accepted}}, Receipts: []record.Receipt{{Link: link, At: at}}}); err != nil {
			t.Fatal(err)
		}
		return link
	}
	upkeep := func() {
		t.Helper()
		if err := s.Upkeep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	x := born(t, s, hoa)
	link := receipt(x, 1)
	if err := s.Rotate(ctx); err != nil { // begins a segment
		t.Fatal(err)
	}
	begun := segments()
	upkeep()
	if err := s.Recover(ctx, record.Recovery{Void: []record.Link{{Lineage: link.Lineage}}}); err != nil {
		t.Fatal(err)
	}
	receipt(born(t, s, hoa), 1+31*days)
	upkeep()
	if place, err := s.PlaceOf(x.Key, x.Name); err != nil || place != record.Here || segments() != begun {
		t.Errorf("%d segments are left of %d, though an entry is %s again, %v", segments(), begun, place, err)
	}
	// Once the centre has it again, it is kept as long as what it got for the first time.
	receipt(x, 1+32*days)
	upkeep()
	receipt(born(t, s, hoa), 1+60*days)
	upkeep()
	if segments() != begun {
		t.Error("what the centre got again is not kept for 30 days")
	}
	receipt(born(t, s, hoa), 1+63*days)
	upkeep()
	if segments() >= begun {
		t.Error("what the centre has had for long is kept")
	}
}
