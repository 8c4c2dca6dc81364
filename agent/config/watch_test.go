package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatchTellsOfReplacedFilesAndKeepsGoodOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tram.toml")
	put := func(text string) { // as editors do: aside, then over
		t.Helper()
		if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := make(chan Config, 8), make(chan error, 8)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	put("[log]\nlevel = \"warn\"")
	go func() { ended <- Watch(ctx, path, func(c Config) { good <- c }, func(e error) { bad <- e }) }()

	if c := next(t, good); c.Log.Level != "warn" {
		t.Errorf("first report: level %q, want warn", c.Log.Level)
	}
	put("[log]\nlevel = \"loud\"")
	var e *Error
	if err := next(t, bad); !errors.As(err, &e) || e.Code != BadChoice || e.File != path {
		t.Errorf("bad file reported as %v", err)
	}
	put("[log]\nlevel = \"debug\"")
	if c := next(t, good); c.Log.Level != "debug" {
		t.Errorf("after the change: level %q, want debug", c.Log.Level)
	}
	if err := os.WriteFile(path, []byte("[log]\nlevel = \"error\""), 0o600); err != nil { // in place
		t.Fatal(err)
	}
	for c := next(t, good); c.Log.Level != "error"; { // the emptied file may be seen first
		c = next(t, good)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := next(t, bad); !errors.As(err, &e) || e.Code != NoFile {
		t.Errorf("removed file reported as %v", err)
	}
	stop()
	if err := next(t, ended); err != nil {
		t.Errorf("Watch ended with %v", err)
	}
	if len(good)+len(bad) != 0 {
		t.Errorf("%d reports too many", len(good)+len(bad))
	}
}

func TestWatchSaysWhenThereIsNoFolder(t *testing.T) {
	err := Watch(t.Context(), filepath.Join(t.TempDir(), "none", "tram.toml"), func(Config) {}, func(error) {})
	if err == nil {
		t.Error("a folder that is not there is watched")
	}
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is reported")
		panic("unreachable")
	}
}
