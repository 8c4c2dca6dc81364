package pages_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"tram/store/pages"
)

// value is a value of so many bytes that bears its checksum, over its place too.
func value(bucket, key []byte, size int, fill byte) []byte {
	v := bytes.Repeat([]byte{fill}, size)
	return binary.LittleEndian.AppendUint32(v, sum(bucket, key, v))
}

func sum(bucket, key, v []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	s := crc32.Update(0, t, bucket)
	return crc32.Update(crc32.Update(s, t, key), t, v)
}

// holds is the item check of the tests. Where the bucket is not known, each is tried.
func holds(bucket, key, v []byte) bool {
	if len(v) < 4 {
		return false
	}
	want := binary.LittleEndian.Uint32(v[len(v)-4:])
	if len(bucket) > 0 {
		return sum(bucket, key, v[:len(v)-4]) == want
	}
	return slices.ContainsFunc(names(), func(name string) bool { return sum([]byte(name), key, v[:len(v)-4]) == want })
}

// The buckets of the tests: numbered keys, random keys, large values, few items, none.
func names() []string { return []string{"rows", "index", "large", "small", "empty"} }

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// open opens a file with bbolt.
func open(t testing.TB, path string, pageSize int, noFreelist bool) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize, NoFreelistSync: noFreelist, NoSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill writes so many rows in several transactions, and removes every fourth of
// them, so that there are free pages.
func fill(t testing.TB, db *bbolt.DB, rows int, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	put := func(tx *bbolt.Tx, bucket string, key []byte, size int) {
		if err := tx.Bucket([]byte(bucket)).Put(key, value([]byte(bucket), key, size, byte(rnd.Uint32()))); err != nil {
			t.Fatal(err)
		}
	}
	update := func(f func(tx *bbolt.Tx)) {
		if err := db.Update(func(tx *bbolt.Tx) error {
			for _, name := range names() {
				if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
					t.Fatal(err)
				}
			}
			f(tx)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	const step = 50
	for at := 0; at < rows; at += step {
		update(func(tx *bbolt.Tx) {
			for range min(step, rows-at) {
				n, err := tx.Bucket([]byte("rows")).NextSequence()
				if err != nil {
					t.Fatal(err)
				}
				put(tx, "rows", number(n), 10+rnd.IntN(60))
				put(tx, "index", number(rnd.Uint64())[:3+rnd.IntN(5)], 4)
			}
		})
	}
	update(func(tx *bbolt.Tx) {
		for i := range 3 {
			put(tx, "large", number(uint64(i)), 900+rnd.IntN(2500))
			put(tx, "small", number(uint64(i)), 8)
		}
	})
	update(func(tx *bbolt.Tx) {
		i := 0
		if err := tx.Bucket([]byte("rows")).ForEach(func(k, _ []byte) error {
			if i++; i%4 > 0 && i > 20 || i == rows {
				return nil
			}
			return tx.Bucket([]byte("rows")).Delete(k)
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// made is a filled file and its bytes.
func made(t testing.TB, pageSize, rows int, noFreelist bool) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db := open(t, path, pageSize, noFreelist)
	fill(t, db, rows, uint64(rows))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func file(b []byte) pages.File {
	return pages.File{Source: bytes.NewReader(b), Size: int64(len(b)), Item: holds}
}

// contents is what bbolt shows of a file: every item, by bucket and key.
func contents(t testing.TB, db *bbolt.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			out[string(name)+"#"] = string(number(b.Sequence()))
			return b.ForEach(func(k, v []byte) error {
				out[string(name)+"/"+string(k)] = string(v)
				return nil
			})
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// written is what bbolt shows of bytes.
func written(t testing.TB, b []byte, f func(*bbolt.DB)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db := open(t, path, 0, false)
	f(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyTakesWhatBboltWrote(t *testing.T) {
	for _, c := range []struct {
		name       string
		pageSize   int
		rows       int
		noFreelist bool
	}{
		{"small pages", 1024, 200, false},
		{"three levels", 1024, 5000, false},
		{"usual pages", 4096, 3000, false},
		{"large pages", 65536, 3000, false},
		{"no freelist", 1024, 2000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := made(t, c.pageSize, c.rows, c.noFreelist)
			got, err := file(b).Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.PageSize != c.pageSize || !got.Both() || got.Free == 0 || got.Tx == 0 {
				t.Errorf("got %+v", got)
			}
			written(t, b, func(db *bbolt.DB) {
				want := contents(t, db)
				if got.Items != len(want)-len(got.Buckets) || len(got.Buckets) != len(names()) {
					t.Errorf("got %d items in %d buckets, bbolt shows %d", got.Items, len(got.Buckets), len(want)-len(names()))
				}
				for _, b := range got.Buckets {
					if want := want[b.Name+"#"]; string(number(b.Sequence)) != want {
						t.Errorf("%s: got sequence %d, want %x", b.Name, b.Sequence, want)
					}
					db.View(func(tx *bbolt.Tx) error {
						if k, _ := tx.Bucket([]byte(b.Name)).Cursor().Last(); !bytes.Equal(k, b.Last) {
							t.Errorf("%s: got last key %x, want %x", b.Name, b.Last, k)
						}
						return nil
					})
				}
			})
		})
	}
}

// TestVerifyTakesEveryCommit lets bbolt write at random for long, and verifies
// after each transaction.
func TestVerifyTakesEveryCommit(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, 2))
	path := filepath.Join(t.TempDir(), "db")
	db := open(t, path, 1024, false)
	defer db.Close()
	for round := range 400 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			name := []byte(names()[rnd.IntN(4)])
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			if rnd.IntN(40) == 0 {
				return tx.DeleteBucket(name)
			}
			for range rnd.IntN(80) {
				key := number(uint64(rnd.IntN(2000)))[4+rnd.IntN(4):]
				if round/50%2 == rnd.IntN(3)/2 {
					err = b.Put(key, value(name, key, rnd.IntN(1+rnd.IntN(1500)), 1))
				} else if k, _ := b.Cursor().Seek(key); k != nil {
					err = b.Delete(k)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := file(b).Verify(t.Context()); err != nil {
			t.Fatalf("seed %d, after transaction %d: %v, %+v", seed, round, err, r)
		}
	}
}

func TestVerifyKeepsErrorsApart(t *testing.T) {
	b := made(t, 1024, 100, false)
	if _, err := file(nil).Verify(t.Context()); !errors.Is(err, pages.ErrDamaged) {
		t.Errorf("an empty file: got %v", err)
	}
	if _, err := file(make([]byte, 1<<16)).Verify(t.Context()); !errors.Is(err, pages.ErrDamaged) {
		t.Errorf("zeros: got %v", err)
	}
	f := file(b)
	var last, all int64
	f.Progress = func(d, a int64) { last, all = d, a }
	if _, err := f.Verify(t.Context()); err != nil || last != all || all == 0 {
		t.Errorf("progress ends at %d of %d, %v", last, all, err)
	}
}

// TestLongFreelist has more free pages than a page's count can say.
func TestLongFreelist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := open(t, path, 1024, false)
	defer db.Close()
	key := []byte("k")
	for _, step := range []struct {
		name string
		do   func(b *bbolt.Bucket) error
		free int
	}{
		{"a value of 66,000 pages", func(b *bbolt.Bucket) error { return b.Put(key, value([]byte("large"), key, 66000<<10, 1)) }, 0},
		{"it is removed", func(b *bbolt.Bucket) error { return b.Delete(key) }, 66000},
	} {
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("large"))
			if err != nil {
				return err
			}
			return step.do(b)
		}); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		got, err := pages.File{Source: f, Size: info.Size(), Item: holds}.Verify(t.Context())
		if err != nil || got.Free < step.free || got.Pages+got.Free < 66000 {
			t.Errorf("%s: got %+v, %v", step.name, got, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
