//go:build !windows

package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child names the environment variable that makes this test binary a program
// under Run.
const child = "TRAM_SERVICE_TEST_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(child); how != "" {
		time.AfterFunc(time.Minute, func() { os.Exit(3) }) // no test leaves one behind
		if err := Run(context.Background(), play(how)); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println("ended")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(how string) Body {
	return func(ctx context.Context, ready func()) error {
		if how == "fail" {
			return errors.New("no such thing")
		}
		if how == "slow" {
			bufio.NewReader(os.Stdin).ReadString('\n') // the test says when the start is over
		}
		ready()
		ready()
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("asked")
		if how == "hang" {
			select {}
		}
		bufio.NewReader(os.Stdin).ReadString('\n') // the test says when the work is over
		fmt.Println("closed")
		return ctx.Err()
	}
}

type process struct {
	*exec.Cmd
	say   io.WriteCloser
	lines *bufio.Scanner
}

func start(t *testing.T, how string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, child+"="+how)...)
	say, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &process{cmd, say, bufio.NewScanner(out)}
}

func (p *process) expect(t *testing.T, want string) {
	t.Helper()
	if !p.lines.Scan() || p.lines.Text() != want {
		t.Fatalf("the program says %q, want %q", p.lines.Text(), want)
	}
}

func TestSignalsStopAndTheProgramIsWaitedFor(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := start(t, "work")
		p.expect(t, "ready")
		if err := p.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.expect(t, "asked")
		io.WriteString(p.say, "\n")
		p.expect(t, "closed")
		p.expect(t, "ended")
		if err := p.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := start(t, "hang")
	p.expect(t, "ready")
	p.Process.Signal(os.Interrupt)
	p.expect(t, "asked")
	p.Process.Signal(syscall.SIGTERM)
	err := p.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("a hanging program ended with %v, want by SIGTERM", err)
	}
}

func TestFailureIsHandedOn(t *testing.T) {
	p := start(t, "fail")
	p.expect(t, "failed: no such thing")
	if err := p.Wait(); err == nil || p.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v, want status 1", err)
	}
}

func TestSystemdIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "tram") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, socket := range map[string]string{
		"path":     filepath.Join(dir, "n"),
		"abstract": fmt.Sprintf("@tram-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p := start(t, "work", "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=20000")
			heard := hear(t, conn, "READY=1", "WATCHDOG=1", "WATCHDOG=1")
			if n := strings.Count(strings.Join(heard, " "), "READY=1"); n != 1 {
				t.Errorf("READY was said %d times", n)
			}
			if slices.Contains(heard, "STOPPING=1") {
				t.Errorf("STOPPING was said before the signal: %v", heard)
			}
			p.Process.Signal(syscall.SIGTERM)
			hear(t, conn, "STOPPING=1", "WATCHDOG=1") // alive until it ended
			io.WriteString(p.say, "\n")
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSlowStartAsksForTime starts a program that reads a large database first.
func TestSlowStartAsksForTime(t *testing.T) {
	socket := fmt.Sprintf("@tram-slow-%d", os.Getpid())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := start(t, "slow", "NOTIFY_SOCKET="+socket)
	if heard := hear(t, conn, "EXTEND_TIMEOUT_USEC=60000000"); slices.Contains(heard, "READY=1") {
		t.Errorf("READY was said before it was: %v", heard)
	}
	io.WriteString(p.say, "\n")
	hear(t, conn, "READY=1")
	p.Process.Signal(syscall.SIGTERM)
	hear(t, conn, "STOPPING=1")
	io.WriteString(p.say, "\n")
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// hear reads messages until all of those wanted have come.
func hear(t *testing.T, conn *net.UnixConn, want ...string) []string {
	t.Helper()
	var heard []string
	buf := make([]byte, 256)
	for len(want) > 0 {
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%v; heard %v, still want %v", err, heard, want)
		}
		m := string(buf[:n])
		heard = append(heard, m)
		if i := slices.Index(want, m); i >= 0 {
			want = slices.Delete(want, i, i+1)
		}
	}
	return heard
}

func TestWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	dir, err := os.MkdirTemp("", "tram")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, c := range map[string]struct {
		pid, usec string
		want      time.Duration
	}{
		"ours":    {fmt.Sprint(os.Getpid()), "60000000", 30 * time.Second},
		"any":     {"", "2000", time.Millisecond},
		"other":   {"1", "60000000", 0},
		"none":    {"", "", 0},
		"no word": {"", "soon", 0},
	} {
		env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_PID": c.pid, "WATCHDOG_USEC": c.usec}
		n, err := newNotifier(func(k string) string { return env[k] })
		if err != nil {
			t.Fatal(err)
		}
		if n.pause != c.want {
			t.Errorf("%s: a sign every %v, want %v", name, n.pause, c.want)
		}
		n.close()
	}
}

func TestUnreachableManagerIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	err := Run(t.Context(), func(context.Context, func()) error { t.Error("the program ran"); return nil })
	if err == nil {
		t.Error("Run is silent about a manager that it cannot reach")
	}
}

func TestCallersContextStopsToo(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, func(ctx context.Context, ready func()) error {
		ready()
		cancel()
		<-ctx.Done()
		return fmt.Errorf("wait: %w", ctx.Err())
	})
	if err != nil {
		t.Errorf("an end that was asked for is %v", err)
	}
}
