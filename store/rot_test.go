package store_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"tram/store"
	"tram/store/audit"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/storetest"
	"tram/store/table"
)

var (
	rotFlips = flag.Int("rot", 60, "places at which a bit or a page of the database is damaged")
	rotCuts  = flag.Int("cuts", 12, "places at which the database is cut off")
	rotSeed  = flag.Uint64("rotseed", 0, "seed of the places; 0 draws one")
)

// kept is what a store must still hold after its database was damaged.
type kept struct {
	versions map[record.Key][]*record.Version
	setting  []byte
	looked   int
	people   int
	vault    int
}

func keptIn(t *testing.T, s *store.Store, keys []record.Key) kept {
	t.Helper()
	found, err := s.People("", 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	k := kept{versions: map[record.Key][]*record.Version{}, people: len(found)}
	for _, key := range keys {
		h, err := s.History(key)
		if err != nil {
			t.Fatal(err)
		}
		k.versions[key] = h
	}
	if k.setting, err = s.Setting("word"); err != nil {
		t.Fatal(err)
	}
	k.looked, k.vault = looks(t, s, keys), inVault(t, s)
	return k
}

// inVault counts the values that did not win.
func inVault(t *testing.T, s *store.Store) int {
	t.Helper()
	items, err := s.Vault(record.Key{}, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return len(items)
}

// looks counts who looked at records or wrote them.
func looks(t *testing.T, s *store.Store, keys []record.Key) int {
	t.Helper()
	n := 0
	for _, key := range keys {
		of, err := s.AuditOf(key, 1000)
		if err != nil {
			t.Fatal(err)
		}
		n += len(of)
	}
	return n
}

// lacks says what of it another store does not hold.
func (k kept) lacks(t *testing.T, s *store.Store) (out []string) {
	for key, versions := range k.versions {
		h, err := s.History(key)
		if err != nil {
			out = append(out, fmt.Sprintf("%s: %v", key, err))
			continue
		}
		for _, v := range versions {
			if !slices.ContainsFunc(h, func(o *record.Version) bool { return o.Ref() == v.Ref() }) {
				out = append(out, fmt.Sprintf("%s lacks version %s", key, v.Name))
			}
		}
		for i, v := range h { // newest first
			if slices.ContainsFunc(h[i+1:], func(o *record.Version) bool { return o.Seen.Has(v.Name) }) {
				out = append(out, fmt.Sprintf("%s has %s above what was made from it", key, v.Name))
			}
		}
		if st, err := s.Get(key); err != nil || st.Shown.Ref() != versions[0].Ref() {
			out = append(out, fmt.Sprintf("%s shows another version: %v", key, err))
		}
	}
	if got, err := s.Setting("word"); err != nil || string(got) != string(k.setting) {
		out = append(out, fmt.Sprintf("the setting is %q, %v", got, err))
	}
	if n := looks(t, s, slices.Collect(maps.Keys(k.versions))); n != k.looked {
		out = append(out, fmt.Sprintf("%d looked or wrote, want %d", n, k.looked))
	}
	if n := inVault(t, s); n != k.vault {
		out = append(out, fmt.Sprintf("the vault has %d values, want %d", n, k.vault))
	}
	if found, err := s.People("", 1_000_000); err != nil || len(found) != k.people {
		out = append(out, fmt.Sprintf("%d people, %v, want %d", len(found), err, k.people))
	}
	return out
}

// TestRotIsNoticedAndRebuilt damages the database of a station and of a centre at many
// places, one at a time. Each time it opens by itself, is sound, and holds all that was
// acknowledged. A seed that fails is printed: go test ./store -run Rot -rotseed N
func TestRotIsNoticedAndRebuilt(t *testing.T) {
	t.Parallel()
	seed := *rotSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("rotseed %d", seed)
	for _, top := range []bool{false, true} {
		r := rand.New(rand.NewPCG(seed, 7))
		o, want := livedIn(t, top)
		db, err := os.ReadFile(filepath.Join(o.Dir, "tram.db"))
		if err != nil {
			t.Fatal(err)
		}
		noticed, harmless := 0, 0
		trial := func(what string, damaged []byte) {
			t.Helper()
			o := o
			o.Dir = copied(t, o.Dir)
			if err := os.WriteFile(filepath.Join(o.Dir, "tram.db"), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(o)
			if err != nil {
				t.Fatalf("top %t, %s: %v", top, what, err)
			}
			m, err := s.Mended()
			if err != nil {
				t.Fatal(err)
			}
			if m != nil {
				noticed++
			} else {
				harmless++
			}
			lacks := want.lacks(t, s)
			found, err := s.Check(context.Background())
			if len(lacks) > 0 || len(found) > 0 || err != nil {
				t.Fatalf("top %t, %s: mended %+v; lacks %q; check %v, %v", top, what, m, lacks, found, err)
			}
			born(t, s, hoa)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			os.RemoveAll(o.Dir)
		}
		for range *rotFlips / 2 {
			at := r.IntN(len(db))
			d := slices.Clone(db)
			if r.IntN(3) > 0 {
				bit := r.IntN(8)
				d[at] ^= 1 << bit
				trial(fmt.Sprintf("bit %d of byte %d", bit, at), d)
			} else {
				at -= at % 4096
				clear(d[at:min(at+4096, len(d))])
				trial(fmt.Sprintf("page at %d zeroed", at), d)
			}
		}
		for range *rotFlips / 4 {
			one := 2 << r.IntN(6)
			d := slices.Clone(db)
			for at := 0; at < len(d); at += 512 {
				if r.IntN(one) == 0 {
					clear(d[at:min(at+512, len(d))])
				}
			}
			trial(fmt.Sprintf("one sector in %d zeroed", one), d)
		}
		if noticed == 0 {
			t.Error("no damage but a cut was noticed")
		}
		for range *rotCuts / 2 {
			at := r.IntN(len(db))
			trial(fmt.Sprintf("cut at %d", at), slices.Clone(db[:at]))
		}
		t.Logf("top %t: %d bytes, %d damages noticed and rebuilt, %d met nothing in use", top, len(db), noticed, harmless)
	}
}

// livedIn makes a folder in which somebody worked: births, edits, deletions, receipts,
// readers, a setting, merges and what lost in them. It returns what opens it, and what it holds.
func livedIn(t *testing.T, isTop bool) (store.Options, kept) {
	t.Helper()
	dir, err := os.MkdirTemp(shm(), "tram-rot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := store.Options{Name: "a", Dir: dir, Top: isTop, R4: storetest.R4(t), Clock: storetest.Clock()}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	up := top(t, "a")
	if isTop {
		addPeer(t, s, "b")
	}
	var keys []record.Key
	for i := range 60 {
		v := born(t, s, fmt.Sprintf(`,"name":[{"text":"Nguyễn Văn %d"}],"gender":"male"`, i))
		o := about(t, s, "Observation", "subject", v.Key.ID, `,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}],"text":"Mạch"}`)
		keys = append(keys, v.Key, o.Key)
		if i == 20 && !isTop {
			push(t, s, up)
			pull(t, up, s)
		}
		if i%7 == 0 {
			v = put(t, s, store.Write{Key: v.Key, Base: store.Any, Content: patient(v.Key.ID, fmt.Sprintf(`,"name":[{"text":"Nguyễn Thị %d"}],"gender":"female"`, i)), Author: "lan"})
		}
		if i%20 == 5 && isTop {
			grant(t, s, v.Key, "b")
			lose(t, s, v, nil, record.Lost{Path: "birthDate", Value: []byte(`{"birthDate":"1950-12-31"}`), Won: []byte(`{}`)})
		}
		if i%11 == 0 {
			put(t, s, store.Write{Key: o.Key, Base: store.Any, Delete: true, Author: "lan"})
		}
		if err := s.Audit(context.Background(), audit.Entry{Who: "lan", Action: audit.Read, Key: v.Key}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetSetting(context.Background(), "word", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(context.Background()); err != nil { // so that most places hold something
		t.Fatal(err)
	}
	want := keptIn(t, s, keys)
	storetest.Check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o, want
}

// shm is a folder in memory where the system has one: thousands of folders are made.
func shm() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	out, err := os.MkdirTemp(shm(), "tram-rot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(out) })
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(out, rel), 0o700)
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(out, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestACutOfTheLastWriteIsTakenBack drops, one after the other, each page that the last
// write put into the database, as a power cut before its sync does. The store opens
// without a rebuild, and holds what was acknowledged.
func TestACutOfTheLastWriteIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
	for range 50 {
		born(t, s, hoa)
	}
	db := filepath.Join(dir, layout.DatabaseFile)
	before := read(t, db)
	last := born(t, s, hoa)
	after := read(t, db)
	size := os.Getpagesize()
	dropped := 0
	for at := 2 * size; at+size <= len(after); at += size {
		if at+size > len(before) || bytes.Equal(before[at:at+size], after[at:at+size]) {
			continue
		}
		dropped++
		cut := t.TempDir()
		if err := os.CopyFS(cut, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		torn := slices.Concat(after[:at], before[at:at+size], after[at+size:])
		if err := os.WriteFile(filepath.Join(cut, layout.DatabaseFile), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		facts, err := table.Verify(t.Context(), filepath.Join(cut, layout.DatabaseFile), layout.Tables(), nil)
		if !errors.Is(err, table.ErrDamaged) || facts.Before == nil {
			t.Fatalf("page %d: the file is found to be %v, and whole before: %v", at/size, err, facts.Before != nil)
		}
		c := storetest.Open(t, store.Options{Name: "a", Dir: cut})
		if m, err := c.Mended(); m != nil || err != nil {
			t.Errorf("page %d: it was rebuilt: %+v, %v", at/size, m, err)
		}
		if st, err := c.Get(last.Key); err != nil || st.Shown.Name != last.Name {
			t.Errorf("page %d: the last write is not there: %v", at/size, err)
		}
	}
	if dropped < 5 {
		t.Fatalf("only %d pages were written", dropped)
	}
}

// TestAMarkedStoreIsRebuiltNotTakenBack cuts the last write of a store whose disk failed:
// nobody knows what else of it the disk holds, so it is made anew by copy.
func TestAMarkedStoreIsRebuiltNotTakenBack(t *testing.T) {
	dir := t.TempDir()
	s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
	born(t, s, hoa)
	db := filepath.Join(dir, layout.DatabaseFile)
	before := read(t, db)
	born(t, s, hoa)
	after := read(t, db)
	cut := t.TempDir()
	if err := os.CopyFS(cut, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	for at := 2 * size; at+size <= len(before); at += size {
		if !bytes.Equal(before[at:at+size], after[at:at+size]) {
			copy(after[at:], before[at:at+size])
			break
		}
	}
	db = filepath.Join(cut, layout.DatabaseFile)
	if err := errors.Join(os.WriteFile(db, after, 0o600), os.WriteFile(db+".rebuild", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c := storetest.Open(t, store.Options{Name: "a", Dir: cut})
	if m, err := c.Mended(); m == nil || err != nil {
		t.Errorf("it was not rebuilt: %v", err)
	}
}

// TestRebuildTakesWhatOpens rebuilds from a whole database, of which all is taken, and from
// one of before the keys were rotated, of which nothing opens any more: pages that were in
// use then may still stand in a file.
func TestRebuildTakesWhatOpens(t *testing.T) {
	o, want := livedIn(t, false)
	file := filepath.Join(o.Dir, layout.DatabaseFile)
	before := read(t, file)
	o.Rebuild = true
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Mended(); err != nil || m.Refused > 0 || m.Missing > 0 || m.Taken < 800 {
		t.Errorf("from a whole one: %+v, %v", m, err)
	}
	if lacks := want.lacks(t, s); len(lacks) > 0 {
		t.Errorf("from a whole one it lacks %q", lacks)
	}
	if err := errors.Join(s.Rotate(t.Context()), s.Close(), os.WriteFile(file, before, 0o600)); err != nil {
		t.Fatal(err)
	}
	s = storetest.Open(t, o)
	if m, err := s.Mended(); err != nil || m.Replayed == 0 || m.Taken > 700 {
		t.Errorf("from one under retired keys: %+v, %v", m, err)
	}
	if lacks := want.lacks(t, s); len(lacks) > 0 {
		t.Errorf("from one under retired keys it lacks %q", lacks)
	}
}

// TestADamagedNameOfAnAreaIsNoForeignDatabase flips each bit of the names that bbolt keeps
// of the database's areas. They are on pages of which nothing else tells what should be
// there. A database of something else is left as it is.
func TestADamagedNameOfAnAreaIsNoForeignDatabase(t *testing.T) {
	o, want := livedIn(t, false)
	file := filepath.Join(o.Dir, layout.DatabaseFile)
	whole := read(t, file)
	flipped := 0
	for _, name := range []string{"small", "mixed", "rising"} {
		for at := 0; ; at++ {
			i := bytes.Index(whole[at:], []byte(name))
			if i < 0 {
				break
			}
			at += i
			d := slices.Clone(whole)
			d[at+flipped%len(name)] ^= 1 << (flipped % 8)
			flipped++
			if err := os.WriteFile(file, d, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := table.Verify(t.Context(), file, layout.Tables(), nil); err != nil && !errors.Is(err, table.ErrDamaged) {
				t.Errorf("the name at %d: %v", at, err)
			}
		}
	}
	if flipped < 3 {
		t.Fatalf("only %d names were found", flipped)
	}
	s := storetest.Open(t, o)
	if m, err := s.Mended(); m == nil || err != nil {
		t.Errorf("it was not rebuilt: %v", err)
	}
	if lacks := want.lacks(t, s); len(lacks) > 0 {
		t.Errorf("it lacks %q", lacks)
	}

	foreign := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("other"))
		return errors.Join(err, b.Put([]byte("key"), []byte("value")))
	}), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Verify(t.Context(), foreign, layout.Tables(), nil); !errors.Is(err, table.ErrForeign) {
		t.Errorf("a database of something else: %v", err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
