package disk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// laid are the files of an image, by name.
func laid(t *testing.T, img *Image) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := img.Lay(dir); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path[len(dir)+1:]] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// every draws many images.
func every(t *testing.T, d *Disk, f func(v Variant, files map[string]string)) {
	t.Helper()
	for n := range 200 {
		v, dice := Draw(1, 7, n)
		f(v, laid(t, d.Image(v, dice)))
	}
}

func disk(ops ...Op) *Disk {
	d := New()
	for _, op := range ops {
		d.Do(op)
	}
	return d
}

func TestWhatWasSyncedIsInEveryImage(t *testing.T) {
	d := disk(Op{Kind: Create, Name: "a.new", Node: 1}, Op{Kind: Write, Node: 1, Data: []byte("old")}, Op{Kind: Sync, Node: 1},
		Op{Kind: Rename, Name: "a.new", Name2: "a"}, Op{Kind: SyncDir}, Op{Kind: Write, Node: 1, Off: 5000, Data: []byte("new")})
	every(t, d, func(v Variant, files map[string]string) {
		if len(files) != 1 || len(files["a"]) < 3 || files["a"][:3] != "old" {
			t.Errorf("%s: got %q", v, files)
		}
	})
}

func TestWhatWasNotSyncedComesInEveryForm(t *testing.T) {
	old, fresh := bytes.Repeat([]byte("o"), 2*pageSize), bytes.Repeat([]byte("n"), 2*pageSize)
	d := disk(Op{Kind: Create, Name: "a", Node: 1}, Op{Kind: Write, Node: 1, Data: old}, Op{Kind: Sync, Node: 1}, Op{Kind: SyncDir},
		Op{Kind: Write, Node: 1, Data: fresh}, Op{Kind: Truncate, Node: 1, Off: 3 * pageSize}, Op{Kind: Create, Name: "b", Node: 2})
	seen := map[string]bool{}
	every(t, d, func(v Variant, files map[string]string) {
		a := files["a"]
		_, named := files["b"]
		seen[fmt.Sprint("named ", named)] = true
		seen[fmt.Sprint("grown ", len(a) > 2*pageSize)] = true
		seen[fmt.Sprintf("pages %c%c", a[0], a[pageSize])] = true
		if bytes.Contains([]byte(a[:pageSize]), []byte("on")) || bytes.Contains([]byte(a[:pageSize]), []byte("no")) {
			seen["torn"] = true
			if v != Sectors {
				t.Errorf("%s tears a page", v)
			}
		}
	})
	for _, want := range []string{"named true", "named false", "grown true", "grown false", "pages oo", "pages nn", "pages on", "pages no", "torn"} {
		if !seen[want] {
			t.Errorf("never seen: %s", want)
		}
	}
}

func TestFailedSyncLeavesItsPagesInDoubt(t *testing.T) {
	d := disk(Op{Kind: Create, Name: "a", Node: 1}, Op{Kind: SyncDir}, Op{Kind: Truncate, Node: 1, Off: 2 * pageSize}, Op{Kind: Sync, Node: 1},
		Op{Kind: Write, Node: 1, Data: []byte("lost")}, Op{Kind: SyncFailed, Node: 1},
		Op{Kind: Write, Node: 1, Off: pageSize, Data: []byte("kept")}, Op{Kind: Sync, Node: 1})
	v, dice := Draw(1, 1, int(Dropped))
	a := laid(t, d.Image(v, dice))["a"]
	if a[0] != 0 || a[pageSize:pageSize+4] != "kept" {
		t.Errorf("got %q and %q; want what only the failed sync had to be gone", a[:4], a[pageSize:pageSize+4])
	}
	d.Do(Op{Kind: Write, Node: 1, Off: 1, Data: []byte("x")})
	d.Do(Op{Kind: Sync, Node: 1})
	if a := laid(t, d.Image(v, dice))["a"]; a[:4] != "lxst" {
		t.Errorf("written again and synced: got %q, want the page whole", a[:4])
	}
}

func TestSameSeedGivesTheSameImage(t *testing.T) {
	ops := []Op{{Kind: Create, Name: "a", Node: 1}, {Kind: Write, Node: 1, Data: bytes.Repeat([]byte("x"), 9*pageSize)}, {Kind: Create, Name: "b", Node: 2}}
	sums := map[uint64]bool{}
	for n := range 40 {
		v, dice := Draw(3, 2, n)
		one := disk(ops...).Image(v, dice)
		v, dice = Draw(3, 2, n)
		if two := disk(ops...).Image(v, dice); one.Sum != two.Sum {
			t.Errorf("draw %d, %s: two sums", n, v)
		}
		sums[one.Sum] = true
	}
	if len(sums) < 15 {
		t.Errorf("only %d of 40 images differ", len(sums))
	}
}

func TestLinkedFileHasTwoNames(t *testing.T) {
	d := disk(Op{Kind: Create, Name: "a", Node: 1}, Op{Kind: Write, Node: 1, Data: []byte("x")}, Op{Kind: Sync, Node: 1}, Op{Kind: SyncDir},
		Op{Kind: Link, Name: "b", Node: 1}, Op{Kind: SyncDir}, Op{Kind: Remove, Name: "a"})
	every(t, d, func(v Variant, files map[string]string) {
		if files["b"] != "x" {
			t.Errorf("%s: got %q", v, files)
		}
	})
}
