package house

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKilobytes(t *testing.T) {
	for text, want := range map[string]int64{
		"Name:\ttram\nVmPeak:\t  99 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 10 kB\n": 2 << 20,
		"Name:\ttram\n": 0,
		"":              0,
	} {
		if got := kilobytes(text, "VmHWM"); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := (*process)(nil).peak(); got != 0 {
		t.Errorf("no process holds %d bytes", got)
	}
}

func TestTicks(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7 (a (b) c) S 1 7 7 0 -1 4194304 98 0 0 0 123 45 6 7 20 0 9": 1680 * time.Millisecond,
		"7 (tram) S 1": 0,
		"":             0,
	} {
		if got := ticks(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// A program that ends at once is told with its last words; so is one that is not
// there.
func TestAProgramThatEndsIsTold(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	p, err := spawn("echo", os.Args[0], log, "-test.cpu=none")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(context.Background(), func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "ended by itself") || !strings.Contains(err.Error(), "invalid value") {
		t.Errorf("told %v, want its last words", err)
	}
	if err := p.stop(); err == nil {
		t.Error("stopping what had ended says nothing")
	}
	if _, err := StartCentre(context.Background(), Programs{Central: filepath.Join(dir, "missing")}, filepath.Join(dir, "centre")); err == nil {
		t.Error("a program that is not there was started")
	}
}
