package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// hint is how long the service manager is asked to wait for the next word while
// the program starts or stops; a word comes three times as often.
const hint = 15 * time.Second

// host offers itself to the service manager first. The manager's own refusal is
// the only sign of a terminal that is also right under Wine and in containers.
func host(ctx context.Context, body Body) error {
	var failed error
	err := svc.Run(Name, handler(func(requests <-chan svc.ChangeRequest, states chan<- svc.Status) bool {
		failed = managed(ctx, body, requests, states)
		return failed != nil
	}))
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return supervise(ctx, body, func() {}, func() {})
	}
	if err != nil {
		return fmt.Errorf("serve service manager: %w", err)
	}
	return failed
}

// handler fits a function into the shape that svc.Run wants.
type handler func(<-chan svc.ChangeRequest, chan<- svc.Status) (failed bool)

// Execute runs the program. A failed one exits with a code of its own, or the
// manager's recovery actions would take it for a clean end.
func (h handler) Execute(_ []string, requests <-chan svc.ChangeRequest, states chan<- svc.Status) (bool, uint32) {
	if h(requests, states) {
		return true, 1
	}
	return false, 0
}

// managed runs the program and answers the service manager until it ended.
func managed(ctx context.Context, body Body, requests <-chan svc.ChangeRequest, states chan<- svc.Status) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, stopping, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- supervise(ctx, body, func() { close(ready) }, func() { close(stopping) })
	}()
	now := svc.Status{State: svc.StartPending, WaitHint: uint32(hint.Milliseconds())}
	states <- now
	tick := time.NewTicker(hint / 3)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ready:
			ready = nil
			if now.State == svc.StartPending {
				now = svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
				states <- now
			}
		case <-stopping:
			stopping = nil
			now = svc.Status{State: svc.StopPending, WaitHint: uint32(hint.Milliseconds())}
			states <- now
		case <-tick.C:
			if now.State != svc.Running {
				now.CheckPoint++
				states <- now
			}
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				states <- now
			case svc.Stop, svc.Shutdown:
				cancel()
			}
		}
	}
}
