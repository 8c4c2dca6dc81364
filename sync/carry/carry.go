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
	"sync"
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

// Streams sends and receives, and keeps for the next stream the megabytes that packing
// one takes. The zero value is ready, and nil keeps nothing. It is safe for concurrent use.
type Streams struct{ writers, readers sync.Pool }

// Send writes every frame that next gives as one stream.
func Send(w io.Writer, next func() (*wire.Frame, error)) error {
	return (*Streams)(nil).Send(w, next)
}

// Receive gives every frame of a stream to take, up to the End.
func Receive(ctx context.Context, r io.Reader, take func(context.Context, *wire.Frame) error) error {
	return (*Streams)(nil).Receive(ctx, r, take)
}

// Send writes every frame that next gives as one stream.
func (s *Streams) Send(w io.Writer, next func() (*wire.Frame, error)) error {
	out, err := s.writer(w)
	if err != nil {
		return err
	}
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			err = out.Close()
			if err == nil && s != nil {
				out.Reset(nil)
				s.writers.Put(out)
			}
			return err
		}
		if err == nil {
			err = out.Write(f)
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
}

func (s *Streams) writer(w io.Writer) (*wire.Writer, error) {
	if s != nil {
		if out, ok := s.writers.Get().(*wire.Writer); ok {
			out.Reset(w)
			return out, nil
		}
	}
	return wire.NewWriter(w)
}

// Receive gives every frame of a stream to take, up to the End.
func (s *Streams) Receive(ctx context.Context, r io.Reader, take func(context.Context, *wire.Frame) error) error {
	in, err := s.reader(r)
	if err != nil {
		return err
	}
	defer s.done(in)
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

func (s *Streams) reader(r io.Reader) (*wire.Reader, error) {
	if s != nil {
		if in, ok := s.readers.Get().(*wire.Reader); ok {
			return in, in.Reset(r)
		}
	}
	return wire.NewReader(r)
}

// done keeps a reader, without what it read.
func (s *Streams) done(in *wire.Reader) {
	if s != nil && in.Reset(nil) == nil {
		s.readers.Put(in)
		return
	}
	in.Close()
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
