package store

import (
	"crypto/rand"
	"testing"

	"tram/store/fhir"
	"tram/store/seal"
)

// TestNoTwoKindsAreOne: a search of one kind would show records of another.
func TestNoTwoKindsAreOne(t *testing.T) {
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		key := make([]byte, 32)
		rand.Read(key)
		keys, err := seal.New(key)
		if err != nil {
			t.Fatal(err)
		}
		s := &Store{keys: keys}
		ids := map[string]string{}
		for _, kind := range r4.Kinds() {
			id := string(s.kindID(kind))
			if other, taken := ids[id]; taken {
				t.Fatalf("%s and %s share an id under key %x", kind, other, key)
			}
			ids[id] = kind
		}
	}
}
