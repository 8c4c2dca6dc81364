// Package carry moves exchanges between replicas over HTTPS with certificates on
// both sides; package stick below it moves them in files.
//
// It owns the pumping of frames between an engine and a connection, the bounds on
// time and size, and what a failure is called. It promises that an exchange that
// fails says why in one code of a closed list. It does not know what the frames
// mean.
package carry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/wire"
)

// Error is an exchange that failed, with the code that people see.
type Error struct {
	Failure status.Failure
	Err     error
	// After is how long upstream asked to stay away; 0 where it did not say.
	After time.Duration
}

func (e *Error) Error() string { return fmt.Sprintf("exchange: %s: %v", e.Failure, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// FailureOf is the code of a failed exchange.
func FailureOf(err error) status.Failure {
	var e *Error
	if errors.As(err, &e) {
		return e.Failure
	}
	return ""
}

// Send writes every frame that next gives as one stream.
func Send(w io.Writer, next func() (*wire.Frame, error)) error {
	out, err := wire.NewWriter(w)
	if err != nil {
		return err
	}
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err == nil {
			err = out.Write(f)
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
}

// Receive gives every frame of a stream to take, up to the End.
func Receive(ctx context.Context, r io.Reader, take func(context.Context, *wire.Frame) error) error {
	in, err := wire.NewReader(r)
	if err != nil {
		return err
	}
	defer in.Close()
	for {
		f, err := in.Read()
		if err != nil {
			return err
		}
		if err := take(ctx, f); err != nil {
			return err
		}
		if f.End != nil {
			return nil
		}
	}
}

// Direct runs an exchange within one process.
func Direct(ctx context.Context, ask *engine.Ask, serve *engine.Serve) error {
	for _, half := range []struct {
		next func() (*wire.Frame, error)
		take func(context.Context, *wire.Frame) error
	}{{ask.Next, serve.Take}, {serve.Next, ask.Take}} {
		r, w := io.Pipe()
		go func() { w.CloseWithError(Send(w, half.next)) }()
		err := Receive(ctx, r, half.take)
		r.CloseWithError(err)
		if err != nil {
			return err
		}
	}
	return nil
}
