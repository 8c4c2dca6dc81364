package storage

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestEveryWayToWriteIsMeasured(t *testing.T) {
	var out bytes.Buffer
	if err := Writes(context.Background(), 100*time.Millisecond, "", t.TempDir(), &out); err != nil {
		t.Fatal(err)
	}
	one, many, _ := strings.Cut(out.String(), "durable writes, 64")
	if n := strings.Count(one, " 1.0 "); n != 4 || strings.Count(many, " 1.0 ") != 2 {
		t.Errorf("a writer alone makes a commit for each write, several share some:\n%s", out.String())
	}
	for _, name := range []string{"plain file", "single puts", "group commit", "store.Put"} {
		found := 0
		for line := range strings.Lines(out.String()) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
			if !ok && !strings.Contains(line, name) {
				continue
			}
			f := strings.Fields(rest)
			var perCommit float64
			if n := len(f); n < 6 || f[n-1] == "0.00x" {
				t.Errorf("a line without figures: %s", line)
			} else if _, err := fmt.Sscan(f[n-3], &perCommit); err != nil || perCommit < 0.5 {
				t.Errorf("%s writes in a commit: %s", f[n-3], line)
			}
			found++
		}
		if found != 2 {
			t.Errorf("%s stands %d times, want 2:\n%s", name, found, out.String())
		}
	}
}
