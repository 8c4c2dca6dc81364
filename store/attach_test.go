package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/storetest"
)

// photo puts an attachment of some bytes and tells its id.
func photo(t *testing.T, s *store.Store, text string) string {
	t.Helper()
	id, err := s.Blobs().Put(strings.NewReader(text), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func nameOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// docAbout is a document about a person, or nobody, that refers to attachments.
func docAbout(id, patient string, ids ...string) []byte {
	subject := ""
	if patient != "" {
		subject = `,"subject":{"reference":"Patient/` + patient + `"}`
	}
	var content []string
	for _, a := range ids {
		content = append(content, `{"attachment":{"contentType":"image/jpeg","size":7,"url":"Binary/`+a+`"}}`)
	}
	return fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":%q,"status":"current"%s,"content":[%s]}`, id, subject, strings.Join(content, ","))
}

func waits(t *testing.T, s *store.Store) (out []string) {
	t.Helper()
	list, err := s.Unsettled()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s %d %t %d", a.ID[:4], a.Size, a.Here, len(a.Keys)))
	}
	return out
}

func TestWhatWaitsOfAttachments(t *testing.T) {
	ctx := context.Background()
	for _, top := range []bool{false, true} {
		s := storetest.Open(t, store.Options{Name: "a", Top: top})
		short, long, gone := photo(t, s, "short"), photo(t, s, "a longer one"), nameOf("not here")
		write := func(k record.Key, base string, ids ...string) {
			t.Helper()
			if _, err := s.Put(ctx, store.Write{Key: k, Base: base, Content: docAbout(k.ID, "", ids...), Author: "hoa"}); err != nil {
				t.Fatal(err)
			}
		}
		one, two := key("DocumentReference", s.NewID()), key("DocumentReference", s.NewID())
		write(one, "", long, short, long)
		write(two, "", short, gone)
		want := []string{short[:4] + " 5 true 2", gone[:4] + " 7 false 1", long[:4] + " 12 true 1"}
		if top {
			want = nil // who has it offers it
		}
		if got := waits(t, s); !slices.Equal(got, want) {
			t.Errorf("top %t: waiting %q, want %q", top, got, want)
		}
		if err := s.Settle(ctx, short); err != nil {
			t.Fatal(err)
		}
		write(one, store.Any, long)
		if got := waits(t, s); !top && len(got) != 2 {
			t.Errorf("settled, and waiting %q", got)
		}
		if c, err := s.Waiting(); err != nil || !top && c.Attachments != 2 {
			t.Errorf("counted %d, %v", c.Attachments, err)
		}
	}
}

// A record that goes out of scope takes its attachments with it, but for those that
// another refers to, and those that upstream has not: they are handed in first.
func TestAttachmentsGoWithTheirRecord(t *testing.T) {
	ctx := context.Background()
	s := storetest.Open(t, store.Options{Name: "a"})
	mine, shared := photo(t, s, "mine"), photo(t, s, "of both")
	var arrived []record.Arrival
	for i, ids := range [][]string{{mine, shared}, {shared}} {
		k := record.Key{Kind: "DocumentReference", ID: fmt.Sprintf("doc-%d", i)}
		name := record.Name{Lineage: "abcdefghijklmnop", N: uint64(i + 1)}
		v := &record.Version{Key: k, Name: name, Author: "x", Seen: record.Seen{}.With(name), Content: docAbout(k.ID, "p", ids...)}
		arrived = append(arrived, record.Arrival{Change: record.Change{Seq: uint64(i + 1), Key: k, Ref: v.Ref(), Version: v}})
	}
	apply := func(a ...record.Arrival) {
		t.Helper()
		if err := s.Apply(ctx, record.Stretch{Arrived: a, Cursor: &record.Cursor{Feed: record.OwnFeed, Epoch: "e", Seq: a[len(a)-1].Seq}}); err != nil {
			t.Fatal(err)
		}
	}
	apply(arrived...)
	if got := waits(t, s); len(got) != 2 {
		t.Fatalf("waiting %q", got)
	}
	if err := s.Settle(ctx, mine); err != nil {
		t.Fatal(err)
	}
	gone := func(i int, seq uint64) record.Arrival {
		return record.Arrival{Change: record.Change{Seq: seq, Key: arrived[i].Key, Ref: arrived[i].Ref, Gone: true}}
	}
	apply(gone(0, 3))
	if s.Blobs().Has(mine) || !s.Blobs().Has(shared) || len(waits(t, s)) != 1 {
		t.Errorf("the one gone: has its own %t, that of both %t, waiting %q", s.Blobs().Has(mine), s.Blobs().Has(shared), waits(t, s))
	}
	apply(gone(1, 4))
	if !s.Blobs().Has(shared) || len(waits(t, s)) != 1 { // it is not upstream yet
		t.Errorf("both gone: has %t, waiting %q", s.Blobs().Has(shared), waits(t, s))
	}
	if err := s.Settle(ctx, shared); err != nil {
		t.Fatal(err)
	}
	if s.Blobs().Has(shared) || len(waits(t, s)) != 0 {
		t.Errorf("both gone, and it is upstream: has %t, waiting %q", s.Blobs().Has(shared), waits(t, s))
	}
}

// Who may hand in and who is given an attachment, at the centre.
func TestWhoseAttachmentItIs(t *testing.T) {
	ctx := context.Background()
	s := storetest.Open(t, store.Options{Name: "centre", Top: true})
	for _, p := range []string{"a", "b"} {
		if err := s.AddPeer(ctx, store.Peer{Name: p, Station: p}); err != nil {
			t.Fatal(err)
		}
	}
	id := s.NewID()
	patient, doc, common := key("Patient", id), key("DocumentReference", s.NewID()), key("Practitioner", s.NewID())
	private := key("DocumentReference", s.NewID())
	old, now := nameOf("old"), nameOf("now")
	_, err := s.Put(ctx,
		store.Write{Key: patient, Content: []byte(`{"resourceType":"Patient","id":"` + id + `"}`), Author: "x"},
		store.Write{Key: doc, Content: docAbout(doc.ID, id, old), Author: "x"},
		store.Write{Key: private, Content: docAbout(private.ID, "", now), Author: "x"},
		store.Write{Key: common, Content: []byte(`{"resourceType":"Practitioner","id":"` + common.ID + `","photo":[{"contentType":"image/jpeg","url":"Binary/` + now + `"}]}`), Author: "x"})
	if err == nil {
		_, err = s.Grant(ctx, "a", "x", patient)
	}
	if err == nil {
		_, err = s.Put(ctx, store.Write{Key: doc, Base: store.Any, Content: docAbout(doc.ID, id, now), Author: "x"})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		peer    string
		key     record.Key
		id      string
		in, out bool
	}{
		{"a", doc, now, true, true},
		{"a", doc, old, true, false}, // what it showed before is handed in, and given to nobody
		{"a", doc, nameOf("another"), false, false},
		{"a", patient, now, false, false},
		{"b", doc, now, false, false},
		{"nobody", doc, now, false, false},
		{"b", common, now, true, true},
		{"b", private, now, false, false}, // of whom it is is not said
		{"a", key("DocumentReference", "nowhere"), now, false, false},
	} {
		in, out, err := s.Attaches(c.peer, c.key, c.id)
		if in != c.in || out != c.out || err != nil {
			t.Errorf("%s by %s for %s: hands in %t, is given %t, %v; want %t, %t", c.id[:4], c.key, c.peer, in, out, err, c.in, c.out)
		}
	}
}

// TestAttachmentsAreListedAgain after the database was made anew, and in a backup.
func TestAttachmentsAreListedAgain(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)})
	if err != nil {
		t.Fatal(err)
	}
	id, k := photo(t, s, "short"), key("DocumentReference", s.NewID())
	if _, err := s.Put(ctx, store.Write{Key: k, Content: docAbout(k.ID, "", id), Author: "hoa"}); err != nil {
		t.Fatal(err)
	}
	before := waits(t, s)
	if err := s.Blobs().Append(nameOf("on its way"), 0, []byte("on")); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, new(bytes.Buffer)); err != nil {
		t.Errorf("a backup while one is on its way: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = storetest.Open(t, store.Options{Name: "a", Dir: dir, Rebuild: true})
	if got := waits(t, s); len(got) != 1 || !slices.Equal(got, before) {
		t.Errorf("waiting %q, before the rebuild %q", got, before)
	}
}

// TestDamagedAttachmentComesDownAgain alters the beginning of an attachment that is here and
// upstream. Whether it is read or the keys rotate, it waits from then on.
func TestDamagedAttachmentComesDownAgain(t *testing.T) {
	ctx := context.Background()
	for name, find := range map[string]func(s *store.Store, id string) error{
		"read": func(s *store.Store, id string) error {
			if err := s.Blobs().Get(id, io.Discard); !errors.Is(err, seal.ErrAltered) {
				return fmt.Errorf("read: %v, want ErrAltered", err)
			}
			return nil
		},
		"sealed anew": func(s *store.Store, _ string) error { return s.Rotate(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			s := station(t, "a")
			id, whole := photo(t, s, strings.Repeat("a photo", 20_000)), photo(t, s, "a whole one")
			doc := key("DocumentReference", s.NewID())
			put(t, s, store.Write{Key: doc, Content: docAbout(doc.ID, "", id, whole)})
			if err := errors.Join(s.Settle(ctx, id), s.Settle(ctx, whole)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.Dir(), layout.BlobFolder, s.Blobs().Name(id))
			b := read(t, path)
			b[100] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := find(s, id); err != nil {
				t.Error(err)
			}
			if got, want := waits(t, s), []string{id[:4] + " 0 false 1"}; !slices.Equal(got, want) {
				t.Errorf("waiting %q, want %q", got, want)
			}
			if err := errors.Join(s.Rotate(ctx), s.Blobs().Get(whole, io.Discard)); err != nil {
				t.Error(err)
			}
			if again := photo(t, s, strings.Repeat("a photo", 20_000)); again != id || s.Blobs().Get(id, io.Discard) != nil {
				t.Errorf("put again: %s, want %s", again, id)
			}
		})
	}
}
