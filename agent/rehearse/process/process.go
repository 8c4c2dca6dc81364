// Package process runs programs as processes of their own.
//
// It owns how they are started, stopped and killed. It promises that a program
// ends only when it is told to, not by a Ctrl-C meant for its parent, and that
// none is left when its Group was closed. It does not know what the programs do.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// How long a program may take.
const (
	stopLimit = 20 * time.Second // after which it is killed
	toolLimit = 2 * time.Minute
	pollEvery = 40 * time.Millisecond
)

// Process is one running program whose output goes to a file. It is safe for
// concurrent use; the methods of nil are those of one that has ended.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed once the program has ended
	err  error         // how it ended; read after done
}

// Start starts a program under a name. Its output is added to the log file.
func (g *Group) Start(name, log, program string, args ...string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer f.Close() // the program has its own
	p := &Process{name: name, log: log, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	apart(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, p)
	return p, nil
}

// Done is closed once the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the program has not ended yet.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop asks the program to end, waits for it, and kills one that hangs: that is
// an error.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil { // a system without that signal
		return p.Kill()
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s did not stop in %s", p.name, stopLimit), p.Kill())
	}
}

// Kill ends the program at once (kill -9) and waits until it is gone.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// Ended says how a program ended that should not have, with the last lines it
// wrote.
func (p *Process) Ended() error {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Errorf("%s ended: %w", p.name, errors.Join(p.err, err))
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("%s ended (%v): %s", p.name, p.err, strings.Join(lines[max(0, len(lines)-3):], " | "))
}

// Await polls until ok says so. It fails when a program that it depends on ends,
// or at the limit.
func Await(ctx context.Context, what string, limit time.Duration, ok func() (bool, error), on ...*Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("waited %s in vain until %s", limit, what))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		done, err := ok()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if done {
			return nil
		}
		for _, p := range on {
			if !p.Running() {
				return p.Ended()
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Tool runs a command line to its end and returns what it printed.
func Tool(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	apart(cmd)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(trouble.String()))
	}
	return out.Bytes(), nil
}

// Group stops every process that it started, whatever happened. The zero Group is
// empty and ready.
type Group struct {
	mu  sync.Mutex
	all []*Process
}

// Close stops the youngest first: stations before their centre. The group can be
// used again.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for i := len(g.all) - 1; i >= 0; i-- {
		errs = append(errs, g.all[i].Stop())
	}
	g.all = nil
	return errors.Join(errs...)
}
