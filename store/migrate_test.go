package store_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"tram/store"
	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
	"tram/store/storetest"
	"tram/store/table"
)

// unpacked is a kept store in a folder of its own.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// observed are the people of whom a kept store has an observation, two of them not there.
var observed = map[uint64][]string{3: {"jah37o3wrudnejvp-1", "jah37o3wrudnejvp-5", "jah37o3wrudnejvp-9", "jah37o3wrudnejvp-13", "jah37o3wrudnejvp-17", "patient-elsewhere", "aaaaaaaaaaaaaaaa-7"}}

// TestKeptStoresAreBroughtUpToDate opens the store that was kept of each older schema.
// It holds what it held, is sound, and has what the newer schema added.
func TestKeptStoresAreBroughtUpToDate(t *testing.T) {
	for name, schema := range map[string]uint64{"schema2.tar.gz": 2, "schema3.tar.gz": 3, "schema4.tar.gz": 4, "schema5.tar.gz": 5, "schema6.tar.gz": 6} {
		dir := unpacked(t, name)
		facts, err := table.Verify(context.Background(), filepath.Join(dir, layout.DatabaseFile), layout.Tables(), nil)
		if n := facts.Small[layout.Number]; err != nil || len(n) != 8 || n[7] != byte(schema) {
			t.Fatalf("%s is of schema %x, %v; want %d", name, n, err, schema)
		}
		s := storetest.Open(t, store.Options{Name: "a", Dir: dir, Top: true})
		r, err := s.Search(query.Query{Kind: "Patient"})
		if err != nil || r.Total != 5 {
			t.Fatalf("%s: %d people, %v; want 5", name, r.Total, err)
		}
		for _, st := range r.Stands {
			h, err := s.History(st.Key)
			if err != nil || len(h) != 4 {
				t.Errorf("%s: %s has %d versions, %v; want 4", name, st.Key, len(h), err)
			}
			lost, err := s.Vault(st.Key, 10)
			if err != nil || len(lost) == 0 || lost[0].Key != st.Key {
				t.Errorf("%s: the vault of %s holds %d, %v", name, st.Key, len(lost), err)
			}
		}
		for _, p := range observed[min(schema, 3)] { // the later were made of the one before
			of, err := s.Search(query.Query{Kind: "Observation", Clauses: []query.Clause{{Param: "patient", Values: []string{"Patient/" + p}}}})
			if err != nil || of.Total != 1 {
				t.Errorf("%s: %d observations of %s, %v; want 1", name, of.Total, p, err)
			}
			// What is written now finds the number that the others have.
			id := s.NewID()
			if _, err := s.Put(context.Background(), store.Write{Key: key("Observation", id), Author: "hoa", Content: observation(id, p)}); err != nil {
				t.Fatal(err)
			}
		}
		if word, err := s.Setting("word"); err != nil || !bytes.Equal(word, []byte("kept")) {
			t.Errorf("%s: the setting is %q, %v", name, word, err)
		}
		if m, err := s.Mended(); m != nil || err != nil {
			t.Errorf("%s: it was rebuilt, not brought up to date: %+v, %v", name, m, err)
		}
		if in, _, err := s.Attaches("far", key("DocumentReference", "kept"), fmt.Sprintf("%064x", 4)); in != (schema >= 4) || err != nil {
			t.Errorf("%s: its attachment is listed %t, %v", name, in, err)
		}
		all, err := s.Vault(record.Key{}, 100)
		if err != nil || len(all) != 5 {
			t.Errorf("%s: the vault holds %d, %v; want 5", name, len(all), err)
		}
	}
}

// TestKeptStoresAreRebuilt rebuilds the store that was kept of each older schema, as one
// that is damaged is: its journal is read as it was written then.
func TestKeptStoresAreRebuilt(t *testing.T) {
	for schema := uint64(2); schema < layout.Schema; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			dir := unpacked(t, fmt.Sprintf("schema%d.tar.gz", schema))
			s := storetest.Open(t, store.Options{Name: "a", Dir: dir, Top: true, Rebuild: true})
			if r, err := s.Search(query.Query{Kind: "Patient"}); err != nil || r.Total != 5 {
				t.Errorf("%d people, %v; want 5", r.Total, err)
			}
			for _, p := range observed[min(schema, 3)] {
				of, err := s.Search(query.Query{Kind: "Observation", Clauses: []query.Clause{{Param: "patient", Values: []string{"Patient/" + p}}}})
				if err != nil || of.Total != 1 {
					t.Errorf("%d observations of %s, %v; want 1", of.Total, p, err)
				}
			}
		})
	}
}

// TestMigrationLeavesTheOldWhereItIsCut begins with what a cut left of the copy.
func TestMigrationLeavesTheOldWhereItIsCut(t *testing.T) {
	dir := unpacked(t, "schema2.tar.gz")
	db := filepath.Join(dir, layout.DatabaseFile)
	before, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	// What a cut leaves while the copy is made: half of it, aside.
	if err := os.WriteFile(table.Aside(db), before[:len(before)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t, store.Options{Name: "a", Dir: dir, Top: true})
	if r, err := s.Search(query.Query{Kind: "Patient"}); err != nil || r.Total != 5 {
		t.Errorf("%d people, %v; want 5", r.Total, err)
	}
}
