package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tram/agent/config"
	"tram/agent/health"
	"tram/store/backup"
	"tram/sync/status"
)

// TestUpkeepWaitsForAQuietMoment lets commits come at given minutes, and tells when
// upkeep begins.
func TestUpkeepWaitsForAQuietMoment(t *testing.T) {
	for _, c := range []struct {
		name    string
		commits []int // minutes after the last upkeep
		want    int
	}{
		{"nothing is written", nil, 60},
		{"one commit", []int{3}, 8},
		{"commits without a pause of five minutes", []int{1, 4, 8, 12}, 17},
		{"a busy hour", []int{0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 59}, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex
				watch := make(chan struct{})
				for _, at := range c.commits {
					time.AfterFunc(time.Duration(at)*time.Minute, func() {
						mu.Lock()
						defer mu.Unlock()
						close(watch)
						watch = make(chan struct{})
					})
				}
				changed := func() <-chan struct{} {
					mu.Lock()
					defer mu.Unlock()
					return watch
				}
				if !idle(t.Context(), changed, upkeepQuiet, upkeepMost) {
					t.Fatal("ended")
				}
				if got := int(time.Since(began) / time.Minute); got != c.want {
					t.Errorf("upkeep after %d minutes, want %d", got, c.want)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if idle(ctx, func() <-chan struct{} { return nil }, time.Hour, time.Hour) {
		t.Error("upkeep after the end")
	}
}

// station opens a station that does not run.
func station(t *testing.T, dir string) *Agent {
	t.Helper()
	a, err := New(Options{Config: config.Default(dir)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// alone are a station's codes but the one that says that nobody enrolled it.
func alone(a *Agent) []status.Code { return without(a.Report().Codes, status.NotEnrolled) }

func TestUpkeepThatFailsIsSaidUntilItSucceeds(t *testing.T) {
	dir := t.TempDir()
	a := station(t, dir)
	ballast := filepath.Join(dir, "ballast")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), ballast); err != nil { // in the way of a new file
		t.Fatal(err)
	}
	a.upkeep(context.Background())
	a.upkeep(context.Background())
	if got := alone(a); !slices.Equal(got, []status.Code{status.UpkeepFailed}) {
		t.Errorf("codes %v, want upkeep-failed once", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	a.upkeep(context.Background())
	if got := alone(a); len(got) != 0 {
		t.Errorf("codes %v after upkeep", got)
	}
	if info, err := os.Stat(ballast); err != nil || info.Size() == 0 {
		t.Errorf("no ballast: %v", err)
	}
}

func TestRebuiltDatabaseIsSaidUntilSomebodyReadIt(t *testing.T) {
	dir := t.TempDir()
	a, err := New(Options{Config: config.Default(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tram.db.rebuild"), nil, 0o600); err != nil { // as after a disk that failed
		t.Fatal(err)
	}
	a = station(t, dir)
	for range 2 {
		if got := alone(a); !slices.Equal(got, []status.Code{status.DatabaseRebuilt}) {
			t.Fatalf("codes %v, want database-rebuilt", got)
		}
	}
	m, err := health.Mended(a.store)
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	for _, c := range []struct {
		name string
		at   int64
		want int
	}{{"an earlier one was read of", m.At - 1, 1}, {"this one was", m.At, 0}} {
		if err := health.SawMended(context.Background(), a.store, health.Seen{Mended: c.at, Who: "trang", At: m.At + 5}); err != nil {
			t.Fatal(err)
		}
		if got := alone(a); len(got) != c.want {
			t.Errorf("%s: codes %v, want %d", c.name, got, c.want)
		}
	}
}

func TestALostJournalIsToldUntilABackup(t *testing.T) {
	dir := t.TempDir()
	a, err := New(Options{Config: config.Default(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.store.SetSetting(context.Background(), "word", nil), a.Close(), os.RemoveAll(filepath.Join(dir, "journal"))); err != nil {
		t.Fatal(err)
	}
	a = station(t, dir)
	if got := alone(a); !slices.Equal(got, []status.Code{status.JournalTrouble}) {
		t.Errorf("codes %v, want journal-trouble", got)
	}
	err = backup.Save(filepath.Join(t.TempDir(), "file"), func(w io.Writer) error { return a.store.Backup(t.Context(), w) },
		func(r io.Reader) error { return a.store.CheckBackup(t.Context(), r) })
	if got := alone(a); err != nil || len(got) != 0 {
		t.Errorf("codes %v after a backup, %v", got, err)
	}
}

func TestReadingForLongIsSaidOnceASecond(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	tool := &tool{out: &out, conf: config.Config{Station: config.Station{Language: "en"}}}
	tell := tool.progress(func() time.Time { return now })
	for done := range int64(11) { // four looks a second
		tell(done, 10)
		now = now.Add(250 * time.Millisecond)
	}
	if got, want := out.String(), "Reading the database: 80 %\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}
