package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tram/store/seal"
)

func keys(t testing.TB, first byte) *seal.Keys {
	t.Helper()
	k, err := seal.New(append(make([]byte, 31), first))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := Open(dir, keys(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// fill appends entries and returns where each ends.
func fill(t testing.TB, j *Journal, entries ...string) []Position {
	t.Helper()
	var out []Position
	for _, e := range entries {
		at, err := j.Append([]byte(e))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, at)
	}
	return out
}

// replayed is what a journal gives back from a position on.
func replayed(t testing.TB, j *Journal, after Position) []string {
	t.Helper()
	got, err := replay(j, after)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func replay(j *Journal, after Position) ([]string, error) {
	var got []string
	err := j.Replay(after, func(_ Position, e []byte) error {
		got = append(got, string(e))
		return nil
	})
	return got, err
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d entries %.40q, want %d %.40q", what, len(got), got, len(want), want)
	}
}

// big is text of n bytes that does not compress.
func big(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return string(b)
}

func segment(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("%08d.journal", n)) }

// change rewrites a segment's file.
func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReplayGivesBackInOrderAndReopeningContinues(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	ends := fill(t, j, "one", "two")
	want(t, "all", replayed(t, j, Position{}), "one", "two")
	j.Close()
	j = open(t, dir)
	if j.End() != ends[1] {
		t.Errorf("reopened at %v, want %v", j.End(), ends[1])
	}
	fill(t, j, "three")
	want(t, "after the first", replayed(t, j, ends[0]), "two", "three")
	want(t, "after the last", replayed(t, j, j.End()))
}

func TestTornEndCostsOnlyTheLastEntry(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	ends := fill(t, j, "one", "two", "three")
	j.Close()
	whole, err := os.ReadFile(segment(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	for cut := ends[1].Offset; cut < ends[2].Offset; cut++ {
		for name, torn := range map[string][]byte{
			"cut off": whole[:cut],
			"zeroes":  append(slices.Clone(whole[:cut]), make([]byte, 300)...),
			"garbage": append(slices.Clone(whole[:cut]), big(300)...),
		} {
			if bytes.HasPrefix(torn, whole[:ends[2].Offset]) {
				continue // the bytes that were cut off happened to be these
			}
			dir := t.TempDir()
			if err := os.WriteFile(segment(dir, 1), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			j := open(t, dir)
			want(t, fmt.Sprintf("%s at %d", name, cut), replayed(t, j, Position{}), "one", "two")
			if cut%8 != 0 {
				j.Close()
				continue // each sync takes its time
			}
			fill(t, j, "four")
			if b, _ := os.ReadFile(segment(dir, 1)); !bytes.HasPrefix(b[j.End().Offset:], make([]byte, header)) {
				t.Errorf("%s at %d, written on: something stands behind the end", name, cut)
			}
			j.Close()
			want(t, fmt.Sprintf("%s at %d, written on", name, cut), replayed(t, open(t, dir), ends[0]), "two", "four")
		}
	}
}

func TestRotInTheMiddleIsSaid(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	ends := fill(t, j, "one", "two "+big(2*grow), "three", "four")
	j.Close()
	clean, err := os.ReadFile(segment(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	from := ends[0].Offset
	for name, rot := range map[string]func(b []byte){
		"a bit of the length":   func(b []byte) { b[from] ^= 4 },
		"a length out of file":  func(b []byte) { b[from+3] ^= 0x80 },
		"a bit of the sum":      func(b []byte) { b[from+5] ^= 1 },
		"a bit of the content":  func(b []byte) { b[from+100] ^= 1 },
		"a sector never there":  func(b []byte) { clear(b[from : from+512]) },
		"two entries, not four": func(b []byte) { clear(b[from : ends[2].Offset-10]) },
	} {
		dir := t.TempDir()
		b := slices.Clone(clean)
		rot(b)
		if err := os.WriteFile(segment(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir)
		if j.End() != ends[3] {
			t.Errorf("%s: goes on at %v, over entries that are whole; want %v", name, j.End(), ends[3])
		}
		if got, err := replay(j, Position{}); !errors.Is(err, ErrRotten) {
			t.Errorf("%s: replayed %d, %v; want ErrRotten", name, len(got), err)
		}
		want(t, name+", not needed any more", replayed(t, j, ends[2]), "four")
		fill(t, j, "five")
		want(t, name+", written on", replayed(t, j, ends[2]), "four", "five")
		j.Close()
	}
}

func TestSegmentsFollowEachOther(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	huge := big(SegmentSize)
	ends := fill(t, j, "one", huge, "two", huge, "three")
	if got := ends[4].Segment; got != 3 {
		t.Fatalf("the last entry is in segment %d, want 3", got)
	}
	want(t, "all", replayed(t, j, Position{}), "one", huge, "two", huge, "three")
	want(t, "over a border", replayed(t, j, ends[1]), "two", huge, "three")
	if err := j.Trim(ends[2]); err != nil {
		t.Fatal(err)
	}
	want(t, "trimmed", replayed(t, j, Position{}), "two", huge, "three")
	want(t, "trimmed, from the border", replayed(t, j, ends[1]), "two", huge, "three")
	if got, err := replay(j, ends[0]); !errors.Is(err, ErrRotten) {
		t.Errorf("from before what was trimmed: %d, %v; want ErrRotten", len(got), err)
	}
	j.Close()

	t.Run("a cut while a segment was made", func(t *testing.T) {
		change(t, segment(dir, 3), func(b []byte) []byte { return b[:20] })
		j := open(t, dir)
		want(t, "before", replayed(t, j, ends[1]), "two", huge)
		fill(t, j, "four")
		want(t, "written on", replayed(t, j, ends[2]), huge, "four")
	})
	t.Run("the end of an earlier segment is gone", func(t *testing.T) {
		change(t, segment(dir, 2), func(b []byte) []byte { return b[:ends[2].Offset] })
		j := open(t, dir)
		if got, err := replay(j, ends[1]); !errors.Is(err, ErrRotten) {
			t.Errorf("got %d, %v; want ErrRotten", len(got), err)
		}
		want(t, "not needed any more", replayed(t, j, ends[3]), "four")
	})
	t.Run("an earlier segment is gone", func(t *testing.T) {
		if err := os.Remove(segment(dir, 2)); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir)
		if got, err := replay(j, ends[2]); !errors.Is(err, ErrRotten) {
			t.Errorf("got %d, %v; want ErrRotten", len(got), err)
		}
		want(t, "not needed any more", replayed(t, j, ends[3]), "four")
	})
}

func TestLostFolderNeverUsesAPlaceTwice(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	early := fill(t, j, "one")
	copied, err := os.ReadFile(segment(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	lost := fill(t, j, "two", "three")[1]
	j.Close()
	if err := os.WriteFile(segment(dir, 1), copied, 0o600); err != nil { // an older copy
		t.Fatal(err)
	}
	j = open(t, dir)
	if err := j.Pass(lost); err != nil {
		t.Fatal(err)
	}
	if at := fill(t, j, "four")[0]; !lost.Before(at) {
		t.Errorf("goes on at %v, not behind %v", at, lost)
	}
	j.Close()
	j = open(t, dir)
	want(t, "behind what was lost", replayed(t, j, lost), "four")
	if got, err := replay(j, early[0]); !errors.Is(err, ErrRotten) {
		t.Errorf("over what was lost: %q, %v; want ErrRotten", got, err)
	}
}

func TestEntryStandsOnlyWhereItWasWritten(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	ends := fill(t, j, "one", "two", "six")
	j.Close()
	change(t, segment(dir, 1), func(b []byte) []byte { // the second and third change places
		second := slices.Clone(b[ends[0].Offset:ends[1].Offset])
		copy(b[ends[0].Offset:], b[ends[1].Offset:ends[2].Offset])
		copy(b[ends[1].Offset:], second)
		return b
	})
	before, _ := os.ReadFile(segment(dir, 1))
	for name, k := range map[string]*seal.Keys{"moved": keys(t, 1), "another key": keys(t, 2)} {
		if j, err := Open(dir, k); !errors.Is(err, ErrRotten) {
			t.Errorf("%s: opened %v, %v; want ErrRotten", name, j, err)
		}
		if after, _ := os.ReadFile(segment(dir, 1)); !bytes.Equal(before, after) {
			t.Errorf("%s: the refused segment was written to", name)
		}
	}
	change(t, segment(dir, 1), func(b []byte) []byte { // the third behind itself again
		return append(b[:ends[2].Offset], b[ends[1].Offset:ends[2].Offset]...)
	})
	if got, err := replay(j, Position{}); !errors.Is(err, ErrRotten) {
		t.Errorf("replayed %q, %v; want ErrRotten", got, err)
	}
}

func TestNothingReadableInASegment(t *testing.T) {
	dir := t.TempDir()
	fill(t, open(t, dir), "Đặng Thị Hoà", "Đặng Thị Hoà, again and again and again and again and again")
	b, err := os.ReadFile(segment(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("Hoà")) {
		t.Error("an entry can be read on the disk")
	}
}

func TestTooLargeAnEntryIsRefusedAndNothingElse(t *testing.T) {
	j := open(t, t.TempDir())
	if _, err := j.Append(make([]byte, MaxEntry+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	fill(t, j, "one")
	want(t, "after it", replayed(t, j, Position{}), "one")
}

func TestOpeningWritesNothing(t *testing.T) {
	dir := t.TempDir()
	fill(t, open(t, dir), "one")
	before, err := os.ReadFile(segment(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if after, err := os.ReadFile(segment(dir, 1)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("%d bytes, before %d, %v", len(after), len(before), err)
	}
}

func TestCallbackErrorEndsReplay(t *testing.T) {
	j := open(t, t.TempDir())
	fill(t, j, "one", "two")
	stop := errors.New("stop")
	n := 0
	err := j.Replay(Position{}, func(Position, []byte) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d calls, %v; want 1 and the error", n, err)
	}
}

// A segment that is read by itself, which holds one entry at a time, gives what a replay
// gives of it, damaged or not.
func TestSegmentsAreReadAsTheyAreReplayed(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	all := []string{"one", big(SegmentSize), "two", "three", big(SegmentSize + 10), "four"}
	ends := fill(t, j, all...)
	read := func(seg uint32) (got []string, last Position, err error) {
		err = j.Read(seg, func(end Position, entry []byte) error {
			got, last = append(got, string(entry)), end
			return nil
		})
		return got, last, err
	}
	var got []string
	for seg := uint32(1); seg <= ends[5].Segment; seg++ {
		some, last, err := read(seg)
		if err != nil || !slices.Contains(ends, last) {
			t.Fatalf("segment %d: ends at %+v, %v", seg, last, err)
		}
		got = append(got, some...)
	}
	want(t, "segment by segment", got, all...)
	stop := errors.New("stop")
	calls := 0
	if err := j.Read(2, func(Position, []byte) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("a call that fails: %d calls, %v", calls, err)
	}
	two := int(ends[2].Offset)
	for name, damage := range map[string]func([]byte) []byte{
		"in the midst": func(b []byte) []byte { b[two-3] ^= 1; return b },
		"at the start": func(b []byte) []byte { b[5] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			was, err := os.ReadFile(segment(dir, 2))
			if err != nil {
				t.Fatal(err)
			}
			change(t, segment(dir, 2), func(b []byte) []byte { return damage(bytes.Clone(b)) })
			if _, _, err := read(2); !errors.Is(err, ErrRotten) {
				t.Errorf("%v, want ErrRotten", err)
			}
			change(t, segment(dir, 2), func([]byte) []byte { return was })
		})
	}
}

// Upkeep lists and reads segments while the one writer begins another; the race detector
// holds it.
func TestSegmentsAreListedWhileOneBegins(t *testing.T) {
	j := open(t, t.TempDir())
	done := make(chan error)
	go func() {
		var err error
		for range 20 {
			err = errors.Join(err, j.Next())
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			segs, err := j.Segments()
			if err == nil {
				err = j.Read(segs[0], func(Position, []byte) error { return nil })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
