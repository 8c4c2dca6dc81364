package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own program play the programs that are started.
func TestMain(m *testing.M) {
	switch os.Getenv("REHEARSE_PART") {
	case "wait": // until it is interrupted
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt)
		fmt.Println("ready")
		<-stop
		fmt.Println("goodbye")
		os.Exit(0)
	case "fail":
		fmt.Println("some output")
		fmt.Fprintln(os.Stderr, "no such door")
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// start starts the test's own program in a part and waits until it is ready.
func start(t *testing.T, g *Group, part string) (*Process, string) {
	t.Helper()
	t.Setenv("REHEARSE_PART", part)
	log := filepath.Join(t.TempDir(), "log")
	p, err := g.Start(part, log, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	if part == "wait" {
		ready := func() (bool, error) { return strings.Contains(text(t, log), "ready"), nil }
		if err := Await(t.Context(), "it is ready", 30*time.Second, ready, p); err != nil {
			t.Fatal(err)
		}
	}
	return p, log
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStopLetsAProgramEndByItself(t *testing.T) {
	var g Group
	p, log := start(t, &g, "wait")
	if !p.Running() {
		t.Fatal("it does not run")
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if p.Running() || !strings.Contains(text(t, log), "goodbye") {
		t.Errorf("running %v, log %q; want it to have said goodbye", p.Running(), text(t, log))
	}
	if err := errors.Join(p.Stop(), p.Kill(), (*Process)(nil).Stop()); err != nil {
		t.Errorf("what has ended cannot be stopped again: %v", err)
	}
}

func TestKillLeavesNoTimeForGoodbye(t *testing.T) {
	var g Group
	p, log := start(t, &g, "wait")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if p.Running() || strings.Contains(text(t, log), "goodbye") {
		t.Errorf("running %v, log %q; want it gone at once", p.Running(), text(t, log))
	}
}

func TestCloseLeavesNoneBehind(t *testing.T) {
	var g Group
	one, _ := start(t, &g, "wait")
	two, _ := start(t, &g, "wait")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if one.Running() || two.Running() {
		t.Error("a program runs after its group was closed")
	}
}

func TestAwaitTellsOfAProgramThatEnded(t *testing.T) {
	var g Group
	p, _ := start(t, &g, "fail")
	never := func() (bool, error) { return false, nil }
	err := Await(t.Context(), "nothing", 30*time.Second, never, p)
	if err == nil || !strings.Contains(err.Error(), "no such door") {
		t.Errorf("got %v, want the program's last words", err)
	}
	if err := Await(t.Context(), "nothing", time.Millisecond, never); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v, want what was waited for", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(ctx, "nothing", time.Minute, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an interruption", err)
	}
}

func TestToolTellsWhyItFailed(t *testing.T) {
	t.Setenv("REHEARSE_PART", "fail")
	out, err := Tool(t.Context(), os.Args[0], "open")
	if string(out) != "some output\n" || err == nil || !strings.Contains(err.Error(), "no such door") || !strings.Contains(err.Error(), "open") {
		t.Errorf("got %q and %v", out, err)
	}
}
