package store_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tram/store"
	"tram/store/backup"
	"tram/store/query"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/storetest"
)

// TestBackupOpensAsANewLineage backs a station up while others write, puts it into an
// empty folder, and lets both go on.
func TestBackupOpensAsANewLineage(t *testing.T) {
	t.Parallel()
	s := station(t, "a")
	var keys []record.Key
	for range 30 {
		keys = append(keys, born(t, s, hoa).Key)
	}
	id, err := s.Blobs().Put(strings.NewReader(strings.Repeat("picture", 40_000)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	stop, began, done := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
				fresh := s.NewID()
				_, err := s.Put(context.Background(), store.Write{Key: key("Patient", fresh), Content: patient(fresh, hoa), Author: "hoa"})
				if n++; n == 1 {
					close(began)
				}
				if err != nil {
					t.Error(err)
				}
			}
		}
	}()
	<-began
	var file bytes.Buffer
	if err := s.Backup(context.Background(), &file); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
	dir := t.TempDir()
	open := seal.KeyFile(filepath.Join(s.Dir(), "key"))
	for name, b := range map[string][]byte{"cut": file.Bytes()[:file.Len()-20], "empty": nil} {
		if err := backup.Restore(context.Background(), dir, bytes.NewReader(b), open); err == nil {
			t.Errorf("%s: put back", name)
		}
	}
	if _, err := store.Open(store.Options{Name: "a", Dir: dir, Keys: []seal.Opener{open}, R4: storetest.R4(t)}); !errors.Is(err, store.ErrRestoring) {
		t.Errorf("opened half of a backup: %v, want ErrRestoring", err)
	}
	if err := backup.Restore(context.Background(), dir, bytes.NewReader(file.Bytes()), open); err != nil {
		t.Fatal(err)
	}
	if err := backup.Restore(context.Background(), dir, bytes.NewReader(file.Bytes()), open); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("put over records: %v, want ErrNotEmpty", err)
	}
	other := t.TempDir()
	if err := backup.Restore(context.Background(), other, bytes.NewReader(file.Bytes()), seal.KeyFile(filepath.Join(other, "none"))); err == nil {
		t.Error("put back without the key")
	}
	again := storetest.Open(t, store.Options{Name: "a", Dir: dir, Keys: []seal.Opener{open}})
	if again.Lineage() == s.Lineage() {
		t.Error("a backup goes on under the lineage it was made of")
	}
	for _, k := range keys {
		if _, err := again.Get(k); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	var picture bytes.Buffer
	if err := again.Blobs().Get(id, &picture); err != nil || picture.Len() != 280_000 {
		t.Errorf("the attachment: %d bytes, %v", picture.Len(), err)
	}
	born(t, again, hoa)
}

// meanwhile is a backup's file; with its first bytes something is done beside it.
type meanwhile struct {
	bytes.Buffer
	do sync.Once
	f  func()
}

func (m *meanwhile) Write(b []byte) (int, error) {
	m.do.Do(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.f()
		}()
		<-done
	})
	return m.Buffer.Write(b)
}

// TestBackupHasTheAttachmentsOfItsRecords keeps a photo, and a record that refers to it,
// while a backup is made; another goes.
func TestBackupHasTheAttachmentsOfItsRecords(t *testing.T) {
	t.Parallel()
	s := station(t, "a")
	large := make([]byte, 1<<20) // more than the backup's buffer holds
	rand.NewChaCha8([32]byte{}).Read(large)
	for range 3 { // and room for what is written meanwhile: a file does not grow while it is read
		if err := s.SetSetting(t.Context(), "large", large); err != nil {
			t.Fatal(err)
		}
	}
	gone := photo(t, s, "another photo")
	doc := key("DocumentReference", s.NewID())
	var id string
	file := &meanwhile{f: func() {
		id = photo(t, s, "a photo")
		put(t, s, store.Write{Key: doc, Content: docAbout(doc.ID, "", id)})
		if err := s.Blobs().Remove(gone); err != nil {
			t.Error(err)
		}
	}}
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	open := seal.KeyFile(filepath.Join(s.Dir(), store.KeyFile))
	if err := backup.Restore(t.Context(), dir, &file.Buffer, open); err != nil {
		t.Fatal(err)
	}
	again := storetest.Open(t, store.Options{Name: "a", Dir: dir, Keys: []seal.Opener{open}})
	if _, err := again.Get(doc); err != nil || !again.Blobs().Has(id) {
		t.Errorf("the record: %v; its photo is there %t", err, again.Blobs().Has(id))
	}
}

// TestRotationSealsEverythingAnew rotates the keys twice while others write. What is at
// rest is under the newest key alone, and a cut in between changes nothing.
func TestRotationSealsEverythingAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		born(t, s, hoa)
	}
	id, err := s.Blobs().Put(strings.NewReader(strings.Repeat("picture", 40_000)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Rotate(cut); err == nil {
		t.Error("a cut rotation went through")
	}
	if err := errors.Join(s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, store.SlotsFile))
	if err != nil {
		t.Fatal(err)
	}
	s = storetest.Open(t, o)
	if err := s.Upkeep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, store.SlotsFile)); err != nil || bytes.Equal(before, after) {
		t.Errorf("the ring is as before: %v", err)
	}
	if err := s.Rotate(context.Background()); err != nil {
		t.Fatal(err)
	}
	born(t, s, hoa)
	var picture bytes.Buffer
	if err := s.Blobs().Get(id, &picture); err != nil || picture.Len() != 280_000 {
		t.Errorf("the attachment: %d bytes, %v", picture.Len(), err)
	}
	if r, err := s.Search(query.Query{Kind: "Patient"}); err != nil || r.Total != 41 {
		t.Errorf("%d people, %v; want 41", r.Total, err)
	}
}
