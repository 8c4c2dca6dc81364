//go:build !windows

package service

import (
	"context"
	"fmt"
	"os"
	"sync"

	manager "github.com/kardianos/service"
)

// host runs the program as the manager of this Unix expects: systemd by its
// notification socket, any other through the service library.
func host(ctx context.Context, body Body) error {
	note, err := newNotifier(os.Getenv)
	if err != nil {
		return err
	}
	defer note.close()
	alive, dead := context.WithCancel(context.WithoutCancel(ctx))
	var pulse sync.WaitGroup
	pulse.Go(func() { note.live(alive) })
	starts, started := context.WithCancel(alive)
	defer started()
	pulse.Go(func() { note.starting(starts) })
	defer pulse.Wait()
	defer dead()

	p := &program{ended: make(chan struct{})}
	p.run = func() error {
		return supervise(ctx, body, func() { started(); note.tell(msgReady) }, func() { note.tell(msgStopping) })
	}
	// RunWait takes the place of the library's own wait for a signal: this
	// package waits for the program, not only for the signal.
	s, err := manager.New(p, &manager.Config{Name: Name, Option: manager.KeyValue{"RunWait": func() { <-p.ended }}})
	if err != nil {
		return fmt.Errorf("find service manager: %w", err)
	}
	return s.Run()
}

// program fits the program into the service library's two calls.
type program struct {
	run   func() error
	ended chan struct{}
	err   error // read after ended is closed
}

// Start begins the program; it must not block.
func (p *program) Start(manager.Service) error {
	go func() {
		defer close(p.ended)
		p.err = p.run()
	}()
	return nil
}

// Stop is called after RunWait returned, and says how the program ended.
func (p *program) Stop(manager.Service) error {
	<-p.ended
	return p.err
}
