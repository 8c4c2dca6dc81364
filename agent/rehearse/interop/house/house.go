// Package house runs a centre and stations as processes of their own, the real
// programs on real files and real connections, for what measures or judges them
// from outside.
//
// It owns starting, asking and stopping them. It promises that a program that
// ends by itself is told with its last words, and that no process outlives its
// Stop. It does not know what the records are.
package house

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Programs are the paths of the two programs.
type Programs struct{ Tram, Central string }

// Find is the programs that are named, and builds into a folder those that are
// not; then the working directory must be in the module.
func Find(ctx context.Context, p Programs, dir string) (Programs, error) {
	for _, one := range []struct {
		path      *string
		name, pkg string
	}{{&p.Tram, "tram", "tram/agent/tram"}, {&p.Central, "tram-central", "tram/sync/central/tram-central"}} {
		if *one.path != "" {
			continue
		}
		*one.path = filepath.Join(dir, one.name)
		if runtime.GOOS == "windows" {
			*one.path += ".exe"
		}
		out, err := exec.CommandContext(ctx, "go", "build", "-o", *one.path, one.pkg).CombinedOutput()
		if err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", one.name, err, out)
		}
	}
	return p, nil
}

// startTime bounds how long a program may take until it answers.
const startTime = time.Minute

// stopTime is what a program gets to stop by itself.
const stopTime = 30 * time.Second

// process is a program that runs.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{} // closed when it has ended
	err   error         // how; set before ended is closed
}

// spawn starts a program whose output goes to a file.
func spawn(name, program, logFile string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: exec.Command(program, args...), log: log, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await tries until it gets a true, the program ends, or its time is over.
func (p *process) await(ctx context.Context, try func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for !try() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended by itself (%v): %s", p.name, p.err, lastWords(p.log.Name()))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: %s", p.name, ctx.Err(), lastWords(p.log.Name()))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// stop ends the program in its own way, or kills one that does not end.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	defer p.log.Close()
	err := p.cmd.Process.Signal(os.Interrupt)
	if runtime.GOOS == "windows" {
		err = p.cmd.Process.Kill()
	}
	if errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s had ended by itself: %s", p.name, lastWords(p.log.Name()))
	}
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not stop and was killed", p.name)
	}
	if p.err != nil && runtime.GOOS != "windows" {
		return fmt.Errorf("%s stopped badly: %w: %s", p.name, p.err, lastWords(p.log.Name()))
	}
	return err
}

// peak is the most memory that the program held so far, in bytes.
func (p *process) peak() int64 {
	if p == nil {
		return 0
	}
	return Peak(p.cmd.Process.Pid)
}

// own is what the program holds now without the pages of files, in bytes.
func (p *process) own() int64 {
	if p == nil {
		return 0
	}
	return Own(p.cmd.Process.Pid)
}

func (p *process) worked() time.Duration {
	if p == nil {
		return 0
	}
	return Worked(p.cmd.Process.Pid)
}

// Peak is the most memory that a process held so far, in bytes; 0 where the system
// does not tell (Linux: VmHWM of proc_pid_status(5)).
func Peak(pid int) int64 { return held(pid, "VmHWM") }

// Own is what a process holds now without the pages of files, in bytes; 0 where the
// system does not tell (Linux: RssAnon of proc_pid_status(5)).
func Own(pid int) int64 { return held(pid, "RssAnon") }

func held(pid int, what string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return kilobytes(string(b), what)
}

// Worked is how long a process has kept processors busy so far, to 10 ms; 0 where
// the system does not tell (Linux: utime and stime of proc_pid_stat(5)).
func Worked(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return ticks(string(b))
}

// ticks reads proc_pid_stat(5); the name in parentheses may hold anything.
func ticks(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var sum int64
	for _, i := range []int{11, 12} { // 14 and 15 of all
		var n int64
		if i >= len(fields) {
			return 0
		}
		if _, err := fmt.Sscan(fields[i], &n); err != nil {
			return 0
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / 100 // USER_HZ, the same on every Linux
}

func kilobytes(status, what string) int64 {
	for line := range strings.Lines(status) {
		var kb int64
		if n, _ := fmt.Sscanf(line, what+": %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}

// lastWords is the end of a program's output.
func lastWords(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[max(0, len(b)-600):]))
}

// command runs a program to its end and returns what it printed.
func command(ctx context.Context, program string, args ...string) ([]byte, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// drain reads what is left so that the connection can be used again.
func drain(r io.ReadCloser) { io.Copy(io.Discard, io.LimitReader(r, 1<<20)); r.Close() }
