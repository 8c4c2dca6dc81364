//go:build linux && (amd64 || arm64)

package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"tram/store/storetest/torture/judge"
)

// patience is how long a judge may take over one case.
const patience = 60 * time.Second

// court are the judges, a process for each core. A judge that dies over a case,
// as a store that reads a page that is not there does, has judged it: it failed.
type court struct {
	ctx   context.Context
	idle  chan *seat
	seats []*seat
	wg    sync.WaitGroup
}

type seat struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	trouble *bytes.Buffer
}

func newCourt(ctx context.Context) *court {
	c := &court{ctx: ctx, idle: make(chan *seat, runtime.NumCPU())}
	for range cap(c.idle) {
		s := &seat{}
		c.seats = append(c.seats, s)
		c.idle <- s
	}
	return c
}

// judge hands a trial to a free judge and calls back with the verdict, from
// another goroutine. It waits while all are busy.
func (c *court) judge(t trial, done func(judge.Verdict)) {
	s := <-c.idle
	c.wg.Go(func() {
		v, err := s.judge(c.ctx, t)
		if err != nil {
			v.Wrong = append(v.Wrong, err.Error())
		}
		done(v)
		c.idle <- s
	})
}

// one judges and waits.
func (c *court) one(t trial) (v judge.Verdict) {
	c.judge(t, func(got judge.Verdict) { v = got })
	c.wg.Wait()
	return v
}

// close waits for the cases that are being judged and ends the judges.
func (c *court) close() error {
	c.wg.Wait()
	var errs []error
	for _, s := range c.seats {
		if s.cmd != nil {
			errs = append(errs, s.in.Close(), s.cmd.Wait())
		}
	}
	return errors.Join(errs...)
}

func (s *seat) start(ctx context.Context) (err error) {
	if s.cmd, err = itself(ctx, "judge"); err != nil {
		return err
	}
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=256MiB") // a core each, and little collecting
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	s.out, s.trouble = bufio.NewReader(out), &bytes.Buffer{}
	s.cmd.Stderr = s.trouble
	return s.cmd.Start()
}

func (s *seat) judge(ctx context.Context, t trial) (v judge.Verdict, err error) {
	if s.cmd == nil {
		if err := s.start(ctx); err != nil {
			s.cmd = nil
			return v, err
		}
	}
	b, err := json.Marshal(t)
	if err != nil {
		return v, err
	}
	cmd := s.cmd
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if _, err := s.in.Write(append(b, '\n')); err != nil {
		return v, s.died(err)
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return v, s.died(err)
	}
	return v, json.Unmarshal(line, &v)
}

func (s *seat) died(cause error) error {
	s.in.Close()
	err := s.cmd.Wait()
	s.cmd = nil
	said, _, _ := bytes.Cut(s.trouble.Bytes(), []byte("\n\n"))
	return fmt.Errorf("the process that opened it died: %w (%w): %s", err, cause, said)
}
