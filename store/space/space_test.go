package space

import (
	"os"
	"path/filepath"
	"testing"
)

// A ballast that a cut left short is made whole, and one that is whole is left alone.
func TestShortBallastIsMadeWhole(t *testing.T) {
	dir := t.TempDir()
	r := New(Limits{Ballast: 64 << 10}, dir)
	at := filepath.Join(dir, ballastFile)
	hold := func() os.FileInfo {
		t.Helper()
		if err := r.Hold(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := hold()
	if again := hold(); !os.SameFile(first, again) || first.Size() != 64<<10 {
		t.Errorf("%d bytes, made anew: %t", first.Size(), !os.SameFile(first, again))
	}
	if err := os.Truncate(at, 100); err != nil {
		t.Fatal(err)
	}
	if got := hold().Size(); got != 64<<10 {
		t.Errorf("%d bytes after a cut", got)
	}
}
