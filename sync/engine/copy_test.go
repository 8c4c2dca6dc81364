package engine_test

import (
	"os"
	"testing"

	"tram/store"
	"tram/store/storetest"
)

// copyOf copies a quiet store's folder now and opens the copy when called.
func copyOf(t *testing.T, s *store.Store, to string) func() *store.Store {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(s.Dir())); err != nil {
		t.Fatal(err)
	}
	return func() *store.Store {
		return storetest.Open(t, store.Options{Name: s.Name(), Top: true, Dir: to, R4: s.R4()})
	}
}
