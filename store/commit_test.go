package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tram/store"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/storetest"
	"tram/store/table"
)

// TestRefusedWriterDoesNotHarmItsGroup lets many write at once, half of them what
// must be refused.
func TestRefusedWriterDoesNotHarmItsGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: func() record.Stamp { return record.Stamp{Unix: 1} }}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	shared := born(t, s, hoa)
	var mu sync.Mutex
	var saved []*record.Version
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 8 {
				id := s.NewID()
				good := store.Write{Key: key("Patient", id), Content: patient(id, hoa), Author: "hoa"}
				bad := store.Write{Key: shared.Key, Base: "stale", Content: patient(shared.Key.ID, ""), Author: "hoa"}
				var vs []*record.Version
				var err error
				if (w+i)%2 == 0 {
					vs, err = s.Put(context.Background(), good)
				} else {
					vs, err = s.Put(context.Background(), good, bad)
				}
				if (w+i)%2 == 0 && err != nil || (w+i)%2 == 1 && !errors.Is(err, record.ErrStale) {
					t.Errorf("writer %d, write %d: %v", w, i, err)
				}
				mu.Lock()
				saved = append(saved, vs...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(saved) != 32*4 {
		t.Fatalf("%d saved, want %d", len(saved), 32*4)
	}
	compare := func(s *store.Store) {
		t.Helper()
		storetest.Check(t, s)
		if found, err := s.People("hoa", 1000); err != nil || len(found) != len(saved)+1 {
			t.Errorf("%d people, %v, want %d", len(found), err, len(saved)+1)
		}
		changes := own(t, s)
		if len(changes) != len(saved)+1 {
			t.Errorf("%d wait, want %d", len(changes), len(saved)+1)
		}
		var prev uint64
		for _, c := range changes {
			if c.Prev != prev || c.Ref.Name.N <= prev {
				t.Errorf("%s follows %d, says %d", c.Ref.Name, prev, c.Prev)
			}
			prev = c.Ref.Name.N
		}
		for _, v := range saved {
			if st, err := s.Get(v.Key); err != nil || st.Shown.Ref() != v.Ref() {
				t.Errorf("%s: %v, want %s", v.Key, err, v.Name)
			}
		}
	}
	compare(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "tram.db")); err != nil { // all again from the journal alone
		t.Fatal(err)
	}
	s = storetest.Open(t, o)
	compare(s)
}

// TestTooMuchAtOnceIsRefusedAndNothingElse writes more in one transaction than the
// journal takes as one.
// TestWritesWhileKeysRotate writes by several while the keys are rotated again and again:
// nothing stays under a key that is gone.
func TestWritesWhileKeysRotate(t *testing.T) {
	o := store.Options{Name: "a", Dir: t.TempDir(), R4: storetest.R4(t), Clock: storetest.Clock()}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var keys []record.Key
	done := make(chan struct{})
	for range 6 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				k := record.Key{Kind: "Patient", ID: s.NewID()}
				_, err := s.Put(context.Background(), store.Write{Key: k, Content: patient(k.ID, hoa), Author: "hoa"})
				mu.Lock()
				keys = append(keys, k)
				mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 12 {
		if err := s.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	all.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = storetest.Open(t, o)
	for _, k := range keys {
		if _, err := s.Get(k); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
	}
	storetest.Check(t, s)
}

func TestTooMuchAtOnceIsRefusedAndNothingElse(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Options{Name: "a"})
	var writes []store.Write
	for range 5 {
		id := s.NewID()
		writes = append(writes, store.Write{Key: key("Binary", id), Author: "hoa", Content: fmt.Appendf(nil,
			`{"resourceType":"Binary","id":%q,"contentType":"image/png","data":%q}`, id, strings.Repeat("A", 15<<20))})
	}
	if _, err := s.Put(context.Background(), writes...); !errors.Is(err, store.ErrTooMuch) {
		t.Errorf("70 MB at once: %v, want ErrTooMuch", err)
	}
	if got := has(t, s, writes[0].Key, writes[3].Key); got != "00" {
		t.Errorf("a refused transaction left %s", got)
	}
	born(t, s, hoa)
}

// TestOldDatabaseOfAnUpstream brings a centre back from an old copy and its
// journal: what was handed in, merged, parked and granted since is there, and old
// cursors are refused.
func TestOldDatabaseOfAnUpstream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := store.Options{Name: "centre", Top: true, Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()}
	c, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	addPeer(t, c, "a")
	addPeer(t, c, "b")
	a, b := station(t, "a"), station(t, "b")
	p := born(t, a, hoa)
	push(t, a, c)
	pull(t, c, a)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "tram.db"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = store.Open(o); err != nil {
		t.Fatal(err)
	}
	grant(t, c, p.Key, "b")
	pull(t, c, b)
	put(t, a, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+`,"gender":"female"`)})
	put(t, b, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, `,"name":[{"text":"Hoà"}]`)})
	second := born(t, b, "")
	push(t, a, c)
	for _, ch := range own(t, b) {
		d := decided(t, c, ch)
		if st, _ := c.Look(ch.Key, record.Ref{}); st.Head != nil {
			d.Verdict, d.Merge = record.Merged, &record.Version{Key: ch.Key, Base: st.Head.Ref(), Includes: []record.Ref{ch.Ref}, Author: "merge",
				Seen: st.Head.Seen.Union(ch.Version.Seen), Content: st.Head.Content, Trace: st.Head.Trace, Lost: []record.Lost{{Path: "name", Value: []byte(`{}`), Won: []byte(`{}`)}}}
		}
		apply(t, c, record.Stretch{Peer: "b", Taken: []record.Decided{d}})
	}
	bad := born(t, a, "")
	d := decided(t, c, own(t, a)[0])
	d.Verdict, d.Reason = record.Parked, record.NotAllowed
	apply(t, c, record.Stretch{Peer: "a", Taken: []record.Decided{d}})
	pull(t, c, b)
	want := picture(t, c, a, b)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tram.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	c = storetest.Open(t, o)
	if got := picture(t, c, a, b); got != want {
		t.Errorf("from an old copy and the journal:\n%s\nwant\n%s", got, want)
	}
	for _, s := range []*store.Store{a, b} {
		cur, err := s.Cursor(record.OwnFeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Offer(s.Name(), cur, 10); !errors.Is(err, record.ErrCursor) {
			t.Errorf("a cursor of before: %v, want ErrCursor", err)
		}
	}
	if got := has(t, c, bad.Key, second.Key); got != "01" {
		t.Errorf("parked and taken: %s", got)
	}
}

// picture tells all that a centre holds: heads, scopes, chains, what it holds back
// and what its vault has.
func picture(t *testing.T, c *store.Store, stations ...*store.Store) string {
	t.Helper()
	var lines []string
	vs, _, err := c.HistoryAll(store.Since{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		st, err := c.Get(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		lost, err := c.Vault(v.Key, 100)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s head %s, %d in the vault", v.Key, v.Name, st.Head.Name, len(lost)))
		if v.Key.Kind == "Patient" {
			lines = append(lines, fmt.Sprint(v.Key, " at ", scopeOf(t, c, v.Key)))
		}
	}
	for _, s := range stations {
		link, _, err := c.Chain(s.Lineage(), 0)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(s.Name(), " ", link))
		for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
			tree, err := c.Tree(s.Name(), feed)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprint(s.Name(), " ", feed, " ", tree.Root()))
		}
	}
	held, err := c.Held()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range held {
		lines = append(lines, fmt.Sprint("held ", h.Ref, " ", h.Reason))
	}
	slices.Sort(lines)
	out := ""
	for _, l := range lines {
		out += l + "\n"
	}
	return out
}

// TestOldDatabaseFromWhenTheRecordWasGone writes to a record that came back, and
// then loses the database to a copy from when it was given up.
func TestOldDatabaseFromWhenTheRecordWasGone(t *testing.T) {
	t.Parallel()
	c := top(t, "a", "b")
	a := station(t, "a")
	p := born(t, a, hoa)
	push(t, a, c)
	dir := t.TempDir()
	o := store.Options{Name: "b", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()}
	b, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	grant(t, c, p.Key, "b")
	pull(t, c, b)
	narrow(t, c, p.Key, "a")
	pull(t, c, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "tram.db"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = store.Open(o); err != nil {
		t.Fatal(err)
	}
	grant(t, c, p.Key, "b")
	pull(t, c, b)
	edit := put(t, b, store.Write{Key: p.Key, Base: store.Any, Content: patient(p.Key.ID, hoa+`,"gender":"female"`)})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tram.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	b = storetest.Open(t, o)
	st, err := b.Get(p.Key)
	if err != nil || st.Shown.Ref() != edit.Ref() {
		t.Fatalf("an acknowledged edit: %+v, %v", st, err)
	}
	storetest.Check(t, b)
	pull(t, c, b)
	push(t, b, c)
	pull(t, c, b)
	if st, err := b.Get(p.Key); err != nil || st.Head.Ref() != edit.Ref() || len(st.Pending) != 0 {
		t.Errorf("after a sync: %+v, %v", st, err)
	}
}

// TestLostJournalBeginsBehindTheRecords loses the journal's folder, goes on, and
// then loses the database to a copy from before: what was written in between is in
// the new journal.
func TestLostJournalBeginsBehindTheRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)}
	db, folder := filepath.Join(dir, "tram.db"), filepath.Join(dir, "journal")
	var vs []*record.Version
	life := func(births int) {
		t.Helper()
		s, err := store.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for range births {
			vs = append(vs, born(t, s, hoa))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	life(3)
	old, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	life(0)
	life(2)
	life(1)
	if err := os.WriteFile(db, old, 0o600); err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t, o)
	for i, v := range vs {
		if _, err := s.Get(v.Key); err != nil {
			t.Errorf("birth %d: %v", i, err)
		}
	}
}

func TestNewerStoreIsLeftUntouched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	born(t, s, hoa)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	setSchema(t, filepath.Join(dir, "tram.db"), layout.Schema+1)
	before := snapshot(t, dir)
	if _, err := store.Open(o); !errors.Is(err, store.ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
	if snapshot(t, dir) != before {
		t.Error("a newer store was written to")
	}
}

func setSchema(t *testing.T, path string, n uint64) {
	t.Helper()
	db, err := table.Open(path, layout.Tables())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *table.Tx) error {
		return tx.Table(layout.Meta).Put([]byte("schema"), binary.BigEndian.AppendUint64(nil, n))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// snapshot is every file of a folder in one text.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	out := ""
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out += path + "\n" + string(b) + "\n"
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestJournalStaysForWhatIsHeldAside until upstream has it.
func TestJournalStaysForWhatIsHeldAside(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
	addPeer(t, s, "p")
	p := station(t, "p")
	born(t, p, hoa)
	c := own(t, p)[0]
	apply(t, s, record.Stretch{Peer: "p", Taken: []record.Decided{{Change: c, Verdict: record.Waits, Reason: record.NoBase}}})
	if n := len(own(t, s)); n != 1 {
		t.Fatalf("%d wait", n)
	}
	segments := func() int {
		all, _ := filepath.Glob(filepath.Join(dir, "journal", "*.journal"))
		return len(all)
	}
	if err := s.Rotate(ctx); err != nil { // begins a segment
		t.Fatal(err)
	}
	begun := segments()
	const days = 24 * 3600 * 1000
	for _, at := range []int64{1, 1 + 31*days, 1 + 62*days} {
		x := born(t, s, hoa)
		link, _, err := s.Chain(x.Name.Lineage, 0)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, s, record.Stretch{Peer: store.Upstream, Answers: []record.Answer{{Key: x.Key, Ref: x.Ref(), Verdict: record.Accepted}}, Receipts: []record.Receipt{{Link: link, At: at}}})
		if err := s.Upkeep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(own(t, s)); n != 1 || segments() < begun {
		t.Errorf("%d changes still wait for upstream, of %d segments %d are left", n, begun, segments())
	}
}

// TestCheckWhileSomebodyWorksFindsNothing: what is counted in memory is ahead of what the
// check began to read.
func TestCheckWhileSomebodyWorksFindsNothing(t *testing.T) {
	s := storetest.Open(t, store.Options{Name: "a"})
	for range 300 {
		born(t, s, hoa)
	}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			born(t, s, hoa)
		}
	})
	for range 5 {
		if found, err := s.Check(ctx); err != nil || len(found) > 0 {
			t.Errorf("the check finds %v, %v", found, err)
		}
	}
	stop()
	work.Wait()
}
