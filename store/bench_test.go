package store_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"tram/store"
	"tram/store/storetest"
)

// filled opens a top store with n observations of n/20 people of one station.
func filled(b *testing.B, n int) *store.Store {
	b.Helper()
	s := storetest.Open(b, store.Options{Name: "centre", Top: true})
	if err := s.AddPeer(context.Background(), store.Peer{Name: "a", Station: "a"}); err != nil {
		b.Fatal(err)
	}
	for range n / 20 {
		p := s.NewID()
		writes := []store.Write{{Key: key("Patient", p), Content: patient(p, hoa), Author: "hoa"}}
		for range 19 {
			id := s.NewID()
			writes = append(writes, store.Write{Key: key("Observation", id), Author: "hoa", Content: fmt.Appendf(nil,
				`{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-10-01T08:00:00+07:00","valueQuantity":{"value":70,"unit":"/min"}}`, id, p)})
		}
		if _, err := s.Put(context.Background(), writes...); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Grant(context.Background(), "a", "admin", writes[0].Key); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkAddPeer20000 gives a second PC of a station a feed of 21,000 records.
func BenchmarkAddPeer20000(b *testing.B) {
	s := filled(b, 20_000)
	n := 0
	for b.Loop() {
		n++
		if err := s.AddPeer(context.Background(), store.Peer{Name: fmt.Sprint("second", n), Station: "a"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWaiting20000(b *testing.B) {
	s := filled(b, 20_000)
	for b.Loop() {
		if c, err := s.Waiting(); err != nil || c.Records != 21_000 {
			b.Fatal(c, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := storetest.Open(b, store.Options{Name: "a"})
	for b.Loop() {
		id := s.NewID()
		if _, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Content: patient(id, hoa), Author: "hoa"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutAmong500Peers writes at an upstream with many below it.
func BenchmarkPutAmong500Peers(b *testing.B) {
	s := storetest.Open(b, store.Options{Name: "centre", Top: true})
	for i := range 500 {
		if err := s.AddPeer(context.Background(), store.Peer{Name: fmt.Sprint("s", i), Station: fmt.Sprint("s", i)}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		id := s.NewID()
		if _, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Content: patient(id, hoa), Author: "hoa"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutBy64 lets 64 write observations of 1,000 people at once.
func BenchmarkPutBy64(b *testing.B) {
	s := storetest.Open(b, store.Options{Name: "a"})
	var people []string
	for range 1000 {
		id := s.NewID()
		people = append(people, id)
		if _, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Content: patient(id, hoa), Author: "hoa"}); err != nil {
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := s.NewID()
			w := store.Write{Key: key("Observation", id), Author: "hoa", Content: observation(id, people[int(n.Add(1))%len(people)])}
			if _, err := s.Put(context.Background(), w); err != nil {
				b.Error(err)
			}
		}
	})
}

func observation(id, patient string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-10-01T08:00:00+07:00","valueQuantity":{"value":70,"unit":"/min"}}`, id, patient)
}
