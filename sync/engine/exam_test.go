package engine_test

import (
	"context"
	"errors"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/engine"
	"tram/sync/engine/enginetest"
)

func TestExamOfTheStoreAsUpstream(t *testing.T) {
	r4 := storetest.R4(t)
	enginetest.Upstream(t, func(t *testing.T, peers ...string) engine.Replica {
		s := storetest.Open(t, store.Options{Name: "centre", Top: true, R4: r4})
		for _, p := range peers {
			if err := s.AddPeer(context.Background(), store.Peer{Name: p, Station: p}); err != nil {
				t.Fatal(err)
			}
		}
		return s
	})
}

func TestExamOfTheStoreBelow(t *testing.T) {
	r4 := storetest.R4(t)
	enginetest.Below(t, func(t *testing.T) enginetest.Station {
		s := storetest.Open(t, store.Options{Name: "a", R4: r4})
		return enginetest.Station{Asker: s, Write: func(k record.Key, content []byte) record.Ref {
			w := store.Write{Key: k, Content: content, Author: "examiner"}
			if _, err := s.Get(k); !errors.Is(err, record.ErrNotFound) {
				w.Base = store.Any
			}
			v, err := s.Put(context.Background(), w)
			if err != nil {
				t.Fatal(err)
			}
			return v[0].Ref()
		}}
	})
}
