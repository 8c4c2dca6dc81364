package journal

import (
	"errors"
	"os"
	"slices"
	"testing"
)

// passed is a folder whose journal was put back as an older copy, which has one and two of
// the entries, and went on with five; the end of two, and what was lost.
func passed(t *testing.T) (dir string, had, lost Position) {
	t.Helper()
	dir = t.TempDir()
	j := open(t, dir)
	had = fill(t, j, "one", "two")[1]
	older, err := os.ReadFile(segment(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	lost = fill(t, j, "three", "four")[1]
	j.Close()
	change(t, segment(dir, 1), func([]byte) []byte { return older })
	j = open(t, dir)
	if err := j.Pass(lost); err != nil {
		t.Fatal(err)
	}
	fill(t, j, "five")
	if err := j.Next(); err != nil {
		t.Fatal(err)
	}
	fill(t, j, "six")
	j.Close()
	return dir, had, lost
}

func TestReplayOfAllGoesOverAGapThatWasNoted(t *testing.T) {
	dir, had, lost := passed(t)
	j := open(t, dir)
	want(t, "all", replayed(t, j, Position{}), "one", "two", "five", "six")
	want(t, "behind what was lost", replayed(t, j, lost), "five", "six")
	if got, err := replay(j, had); !errors.Is(err, ErrRotten) {
		t.Errorf("from in front of the gap: %q, %v; want ErrRotten", got, err)
	}
	if gaps, err := j.Gaps(); err != nil || !slices.Equal(gaps, []uint32{2}) {
		t.Errorf("gaps in front of %v, %v; want segment 2", gaps, err)
	}
	if err := j.Trim(Position{Segment: 2}); err != nil {
		t.Fatal(err)
	}
	want(t, "trimmed", replayed(t, j, Position{}), "five", "six")

	t.Run("the whole folder was lost", func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir)
		if err := j.Pass(Position{4, 718}); err != nil {
			t.Fatal(err)
		}
		fill(t, j, "on")
		if err := j.Pass(Position{7, 80}); err != nil { // and once more an older one
			t.Fatal(err)
		}
		fill(t, j, "and on")
		want(t, "all", replayed(t, j, Position{}), "on", "and on")
		if gaps, err := j.Gaps(); err != nil || !slices.Equal(gaps, []uint32{5, 8}) {
			t.Errorf("gaps in front of %v, %v; want segments 5 and 8", gaps, err)
		}
	})
}

// No gap but the very one that was noted is gone over: what goes missing beside it is told.
func TestAGapThatNobodyNotedIsSaid(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string, had Position){
		"the segment before it is shorter than it was found": func(t *testing.T, dir string, had Position) {
			change(t, segment(dir, 1), func(b []byte) []byte { return b[:had.Offset-1] })
		},
		"the segment before it is another, longer one": func(t *testing.T, dir string, had Position) {
			os.Remove(segment(dir, 2))
			os.Remove(segment(dir, 3))
			keep, err := os.ReadFile(segment(dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			j := open(t, dir)
			fill(t, j, "another")
			j.Close()
			longer, err := os.ReadFile(segment(dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			again, _, _ := passed(t)
			for _, n := range []int{2, 3} {
				b, err := os.ReadFile(segment(again, n))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(segment(dir, n), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			change(t, segment(dir, 1), func([]byte) []byte { return keep })
			want(t, "put together again", replayed(t, open(t, dir), Position{}), "one", "two", "five", "six")
			change(t, segment(dir, 1), func([]byte) []byte { return longer })
		},
		"the segment behind it is gone": func(t *testing.T, dir string, had Position) {
			if err := os.Remove(segment(dir, 2)); err != nil {
				t.Fatal(err)
			}
		},
		"the end of the segment behind it is gone": func(t *testing.T, dir string, had Position) {
			var start int64
			j := open(t, dir)
			_, start, _ = j.start(2, must(j.read(2)))
			j.Close()
			change(t, segment(dir, 2), func(b []byte) []byte { return b[:start] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, had, _ := passed(t)
			harm(t, dir, had)
			if got, err := replay(open(t, dir), Position{}); !errors.Is(err, ErrRotten) {
				t.Errorf("replayed %q, %v; want ErrRotten", got, err)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestACutWhilePassingIsDoneAgain leaves the segment that Pass makes without a start.
func TestACutWhilePassingIsDoneAgain(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	end := fill(t, j, "one")[0]
	lost := Position{4, 718}
	if err := j.Pass(lost); err != nil {
		t.Fatal(err)
	}
	j.Close()
	change(t, segment(dir, 5), func(b []byte) []byte { return b[:20] })
	j = open(t, dir)
	if !j.End().Before(lost) || j.End() != end {
		t.Fatalf("goes on at %v, want %v: nobody would pass again", j.End(), end)
	}
	if err := j.Pass(lost); err != nil {
		t.Fatal(err)
	}
	fill(t, j, "two")
	want(t, "behind what was lost", replayed(t, j, lost), "two")
	want(t, "all", replayed(t, j, Position{}), "one", "two")
}
