// Package service runs the program as its host wants: under systemd, another
// Unix service manager or the Windows service manager, and in a terminal.
//
// It owns how the host says stop (signals, Stop and Shutdown controls) and what
// the host is told (ready, stopping, alive). It promises that the program's
// function sees its context end once, and is waited for. It does not know what
// the program does, and installs nothing.
package service

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Name is what service managers know the program by.
const Name = "tram"

// Body is a program: it works until ctx ends, calls ready once it can be used,
// and returns when everything that it started has ended.
type Body func(ctx context.Context, ready func()) error

// Run runs the program under whatever started this process, and returns what it
// returned; an end that was asked for is no error. The program's context ends
// with ctx, at SIGINT or SIGTERM, and at the Windows controls Stop and Shutdown.
// A second signal ends the process at once. Call it once in a process.
func Run(ctx context.Context, body Body) error {
	return host(ctx, body)
}

// supervise runs the program with signals and with the notes for the host:
// ready and stopping are called once at most, stopping when the end was asked
// for. It returns when the program and all its own goroutines ended.
func supervise(ctx context.Context, body Body, ready, stopping func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
		case <-signals:
			// The signals get their usual effect back before anyone can answer the
			// first, so that a second one ends a program that hangs.
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			cancel()
		}
		stopping()
	})
	err := body(ctx, sync.OnceFunc(ready))
	asked := ctx.Err() != nil
	close(ended)
	watch.Wait()
	if asked && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
