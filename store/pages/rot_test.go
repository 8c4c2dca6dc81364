package pages_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"tram/store/pages"
)

// mostInPage is how many items may be lost with one page of 1,024 bytes.
const mostInPage = 40

// flip turns a bit of b over, and back when it is called again.
func flip(b []byte, bit int) { b[bit/8] ^= 1 << (bit % 8) }

// same holds that bbolt shows the same of two files, and can go on writing to
// the second without damaging it.
func same(t *testing.T, what string, want map[string]string, b []byte) {
	t.Helper()
	written(t, b, func(db *bbolt.DB) {
		if !maps.Equal(contents(t, db), want) {
			t.Errorf("%s: bbolt shows something else, and Verify did not notice", what)
		}
		fill(t, db, 120, 99)
		if err := db.View(func(tx *bbolt.Tx) error {
			for err := range tx.Check() {
				t.Errorf("%s: after writing on: %v", what, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNoFlippedBitPassesThatMatters flips every bit of a file up to the high
// water mark. What Verify takes must be without effect: bbolt shows the same and
// writes on, for all such bits and those above at once, for many random choices
// of them, and for many single ones.
func TestNoFlippedBitPassesThatMatters(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // many short runs
	b := made(t, 1024, 70, false)
	before, err := file(b).Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := (2 + before.Pages + before.Free + before.Freelist) * 1024
	if len(b) != 64<<10 || used < len(b)/2 || used >= len(b) {
		t.Fatalf("the file has %d bytes, %d in use: choose another number of rows", len(b), used)
	}
	var harmless []int
	noticed, lone, told := 0, 0, 0
	for bit := range used * 8 {
		flip(b, bit)
		after, err := file(b).Verify(t.Context())
		flip(b, bit)
		switch {
		case errors.Is(err, pages.ErrDamaged):
			noticed++
		case err != nil:
			t.Fatalf("bit %d: %v", bit, err)
		case !after.Both():
			lone++
		case !slices.EqualFunc(after.Buckets, before.Buckets, equal):
			told++
		default:
			harmless = append(harmless, bit)
		}
	}
	if want := 2 * 64 * 8; lone < want {
		t.Errorf("%d flips left one meta, want the %d of both", lone, want)
	}
	if most := len(before.Buckets)*64 + len("empty")*8; told == 0 || told > most {
		t.Errorf("%d flips showed in the list of buckets only, want up to the %d of their sequences and of an empty one's name", told, most)
	}
	kinds := map[string]int{}
	for _, bit := range harmless {
		kinds[kind(b, bit/8/1024)]++
	}
	t.Logf("of %d flips %d noticed, %d leave one meta, %d show in the list of buckets, %d pass: %v", used*8, noticed, lone, told, len(harmless), kinds)

	for bit := used * 8; bit < len(b)*8; bit++ {
		harmless = append(harmless, bit)
	}
	var want map[string]string
	written(t, b, func(db *bbolt.DB) { want = contents(t, db) })
	try := func(what string, bits []int) {
		rotten := bytes.Clone(b)
		for _, bit := range bits {
			flip(rotten, bit)
		}
		same(t, what, want, rotten)
	}
	try("all that pass", harmless)
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		try("a random half", slices.DeleteFunc(slices.Clone(harmless), func(int) bool { return rnd.IntN(2) == 0 }))
	}
	for range 300 {
		try("one", harmless[rnd.IntN(len(harmless)):][:1])
	}
}

// kind says what stands in a page, for the log of the test above.
func kind(b []byte, page int) string {
	head := b[page*1024:]
	switch {
	case page < 2:
		return "behind a meta"
	case binary.LittleEndian.Uint16(head[8:]) == 0x10:
		return "behind a freelist"
	}
	return "free page or behind the last element"
}

func TestZeroedPages(t *testing.T) {
	b := made(t, 1024, 150, false)
	before := salvaged(t, b)
	var want map[string]string
	written(t, b, func(db *bbolt.DB) { want = contents(t, db) })
	noticed := 0
	for at := 0; at < len(b); at += 1024 {
		rotten := bytes.Clone(b)
		clear(rotten[at : at+1024])
		r, err := file(rotten).Verify(t.Context())
		if err == nil && r.Both() {
			same(t, "zeroed page", want, rotten)
			continue
		}
		noticed++
		if err != nil && !errors.Is(err, pages.ErrDamaged) {
			t.Errorf("page %d: got %v", at/1024, err)
		}
		if got := salvaged(t, rotten); len(before)-len(got) > mostInPage {
			t.Errorf("page %d: salvaged %d items of %d", at/1024, len(got), len(before))
		}
	}
	if noticed < 10 {
		t.Errorf("only %d zeroed pages were noticed", noticed)
	}
}

func TestTruncation(t *testing.T) {
	b := made(t, 1024, 150, false)
	r, err := file(b).Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	written(t, b, func(db *bbolt.DB) { want = contents(t, db) })
	whole := 2 + r.Pages + r.Free + r.Freelist
	for size := 0; size < len(b); size += 512 {
		_, err := file(b[:size]).Verify(t.Context())
		switch {
		case size < whole*1024 && !errors.Is(err, pages.ErrDamaged), size%1024 > 0 && err == nil:
			t.Errorf("cut at %d: got %v", size, err)
		case err == nil:
			same(t, "cut behind the last page", want, b[:size])
		}
	}
}

// salvaged is all that Salvage yields, with the bucket where it is known.
func salvaged(t testing.TB, b []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	_, err := file(b).Salvage(t.Context(), func(bucket, key, v []byte, orphan bool) error {
		if !holds(bucket, key, v) {
			t.Error("yielded what does not hold")
		}
		if len(bucket) == 0 && !orphan {
			t.Errorf("orphan is %t in bucket %q", orphan, bucket)
		}
		name := string(bucket)
		for _, n := range names() {
			if name == "" && sum([]byte(n), key, v[:len(v)-4]) == binary.LittleEndian.Uint32(v[len(v)-4:]) {
				name = n
			}
		}
		if at := name + "/" + string(key); !orphan || out[at] == "" {
			out[at] = string(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSalvageOfAWholeFileIsTheFile(t *testing.T) {
	for _, noFreelist := range []bool{false, true} {
		b := made(t, 1024, 2000, noFreelist)
		var want map[string]string
		written(t, b, func(db *bbolt.DB) { want = contents(t, db) })
		maps.DeleteFunc(want, func(k, _ string) bool { return k[len(k)-1] == '#' && slices.Contains(names(), k[:len(k)-1]) })
		got := map[string]string{}
		r, err := file(b).Salvage(t.Context(), func(bucket, key, v []byte, orphan bool) error {
			if !orphan {
				got[string(bucket)+"/"+string(key)] = string(v)
			}
			return nil
		})
		if err != nil || !maps.Equal(got, want) || r.Damaged != 0 || r.Refused != 0 || r.Items != len(want) {
			t.Errorf("no freelist %t: got %d of %d items, %v, %+v", noFreelist, len(got), len(want), err, r)
		}
		if !noFreelist {
			if r.Orphans != 0 {
				t.Errorf("%d orphans in a whole file", r.Orphans)
			}
			v, err := file(b).Verify(t.Context())
			if err != nil || v.Pages != r.Pages || v.Free != r.Free || v.Items != r.Items || !slices.EqualFunc(v.Buckets, r.Buckets, equal) {
				t.Errorf("Verify says %+v, %v; Salvage %+v", v, err, r)
			}
		}
	}
}

func equal(a, b pages.Bucket) bool {
	return a.Name == b.Name && a.Items == b.Items && a.Sequence == b.Sequence && bytes.Equal(a.Last, b.Last)
}

// TestSalvageAfterFlips flips each bit of each page's header, and one in many
// random places: of what was there, no more is lost than the one item that bit is in.
func TestSalvageAfterFlips(t *testing.T) {
	b := made(t, 1024, 150, false)
	want := salvaged(t, b)
	rnd := rand.New(rand.NewPCG(5, 5))
	lost := 0
	var bits []int
	for page := 2; page < len(b)/1024; page++ {
		for bit := range 16 * 8 {
			bits = append(bits, page*1024*8+bit)
		}
	}
	for range 1500 {
		bits = append(bits, 2048*8+rnd.IntN((len(b)-2048)*8))
	}
	for _, bit := range bits {
		rotten := bytes.Clone(b)
		flip(rotten, bit)
		got := salvaged(t, rotten)
		missing := 0
		for k, v := range want {
			if got[k] != v {
				missing++
			}
		}
		if missing > 1 {
			t.Errorf("bit %d: %d items are missing", bit, missing)
		}
		lost += missing
	}
	if lost == 0 {
		t.Error("no flip met an item")
	}
}

// TestSalvageWithoutMetas finds all items as orphans.
func TestSalvageWithoutMetas(t *testing.T) {
	b := made(t, 4096, 2000, false)
	want := salvaged(t, b)
	clear(b[:8192])
	got := salvaged(t, b)
	for k := range want {
		if got[k] == "" {
			t.Fatalf("%x is missing", k)
		}
	}
}

// bad is a disk with places that cannot be read.
type bad struct {
	io.ReaderAt
	from, to int64
}

var errDisk = errors.New("input/output error")

func (d bad) ReadAt(b []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(b)) > d.from {
		return int(max(0, d.from-off)), errDisk
	}
	return d.ReaderAt.ReadAt(b, off)
}

func TestUnreadablePages(t *testing.T) {
	b := made(t, 1024, 150, false)
	want := salvaged(t, b)
	for at := int64(0); at < int64(len(b)); at += 1024 {
		f := file(b)
		f.Source = bad{f.Source, at + 100, at + 101}
		r, err := f.Verify(t.Context())
		switch page := int(at / 1024); {
		case page == 0 || page == 1:
			if err == nil && r.Both() {
				t.Errorf("page %d: a meta cannot be read, and that was not told", page)
			}
		case err == nil && page < 2+r.Pages+r.Free+r.Freelist:
			t.Errorf("page %d: was not noticed", page)
		case err != nil && (!errors.Is(err, pages.ErrDamaged) || !errors.Is(err, errDisk)):
			t.Errorf("page %d: got %v", page, err)
		}
		n := 0
		r, err = f.Salvage(t.Context(), func(_, _, _ []byte, _ bool) error { n++; return nil })
		if err != nil || n < len(want)-mostInPage {
			t.Errorf("page %d: salvaged %d of %d, %v, %+v", at/1024, n, len(want), err, r)
		}
	}
	f := file(b)
	f.Source = bad{f.Source, 0, int64(len(b))}
	if _, err := f.Salvage(t.Context(), nil); !errors.Is(err, errDisk) {
		t.Errorf("a dead disk: got %v", err)
	}
}

func TestCancel(t *testing.T) {
	b := made(t, 1024, 150, false)
	ctx, cancel := context.WithCancel(t.Context())
	f := file(b)
	f.Item = func(_, _, _ []byte) bool { cancel(); return true }
	if _, err := f.Verify(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, pages.ErrDamaged) {
		t.Errorf("Verify: got %v", err)
	}
	if _, err := f.Salvage(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Salvage: got %v", err)
	}
}

func TestYieldEndsSalvage(t *testing.T) {
	want := errors.New("the disk is full")
	n := 0
	_, err := file(made(t, 1024, 150, false)).Salvage(t.Context(), func(_, _, _ []byte, _ bool) error { n++; return want })
	if err != want || n != 1 {
		t.Errorf("got %v after %d items", err, n)
	}
}
