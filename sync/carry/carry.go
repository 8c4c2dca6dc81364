// Package carry moves exchanges between replicas over HTTPS with certificates on
// both sides; package stick below it moves them in files.
//
// It owns the pumping of frames between an engine and a connection, the bounds on
// time and size, and what a failure is called. It promises that an exchange that
// fails says why in one code of a closed list. It does not know what the frames
// mean.
package carry

import (
	"bytes"
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
	// Unsent says that nothing of the request went out.
	Unsent bool
}

func (e *Error) Error() string { return fmt.Sprintf("exchange: %s: %v", e.Failure, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Sent reports whether a part of a failed exchange's request may have arrived.
func Sent(err error) bool {
	var e *Error
	return !errors.As(err, &e) || !e.Unsent
}

// FailureOf is the code of a failed exchange.
func FailureOf(err error) status.Failure {
	var e *Error
	if errors.As(err, &e) {
		return e.Failure
	}
	return ""
}

// Streams sends and receives, and keeps for the next plain stream the megabytes that one
// takes. The zero value is ready, and nil keeps nothing. It is safe for concurrent use.
type Streams struct{ writers, readers sync.Pool }

// Send writes every frame that next gives as one plain stream.
func Send(w io.Writer, next func() (*wire.Frame, error)) error {
	_, err := (*Streams)(nil).Send(w, wire.Plain, wire.After{}, next)
	return err
}

// Receive gives every frame of a plain stream to take, up to the End.
func Receive(ctx context.Context, r io.Reader, take func(context.Context, *wire.Frame) error) error {
	_, err := (*Streams)(nil).Receive(ctx, r, wire.Plain, wire.After{}, take)
	return err
}

// Send writes every frame that next gives as one stream after another one, and tells what
// is known after it.
func (s *Streams) Send(w io.Writer, form wire.Form, after wire.After, next func() (*wire.Frame, error)) (wire.After, error) {
	out, err := s.writer(w, form, after)
	if err != nil {
		return after, err
	}
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			if err := out.Close(); err != nil {
				return after, err
			}
			if s != nil && form == wire.Plain {
				out.Reset(nil)
				s.writers.Put(out)
			}
			return out.After(), nil
		}
		if err == nil {
			err = out.Write(f)
		}
		if err != nil {
			return after, errors.Join(err, out.Close())
		}
	}
}

func (s *Streams) writer(w io.Writer, form wire.Form, after wire.After) (*wire.Writer, error) {
	if s != nil && form == wire.Plain {
		if out, ok := s.writers.Get().(*wire.Writer); ok {
			out.Reset(w)
			return out, nil
		}
	}
	return wire.NewWriter(w, form, after)
}

// Receive gives every frame of a stream after another one to take, up to the End, and
// tells what is known after it.
func (s *Streams) Receive(ctx context.Context, r io.Reader, form wire.Form, after wire.After, take func(context.Context, *wire.Frame) error) (wire.After, error) {
	in, err := s.reader(r, form, after)
	if err != nil {
		return after, err
	}
	defer s.done(in, form)
	for {
		f, err := in.Read()
		if err != nil {
			return after, err
		}
		if err := take(ctx, f); err != nil {
			return after, err
		}
		if f.End != nil {
			return in.After(), nil
		}
	}
}

func (s *Streams) reader(r io.Reader, form wire.Form, after wire.After) (*wire.Reader, error) {
	if s != nil && form == wire.Plain {
		if in, ok := s.readers.Get().(*wire.Reader); ok {
			return in, in.Reset(r)
		}
	}
	return wire.NewReader(r, form, after)
}

// done keeps a reader, without what it read.
func (s *Streams) done(in *wire.Reader, form wire.Form) {
	if s != nil && form == wire.Plain && in.Reset(nil) == nil {
		s.readers.Put(in)
		return
	}
	in.Close()
}

// Direct runs an exchange within one process.
func Direct(ctx context.Context, ask *engine.Ask, serve *engine.Serve) error {
	return (*Streams)(nil).Direct(ctx, ask, serve)
}

// Direct runs an exchange within one process.
func (s *Streams) Direct(ctx context.Context, ask *engine.Ask, serve *engine.Serve) error {
	var b bytes.Buffer
	asked, err := s.Send(&b, wire.Packed, wire.After{}, ask.Next)
	if err != nil {
		return err
	}
	heard, err := s.Receive(ctx, &b, wire.Packed, wire.After{}, serve.Take)
	if err != nil {
		return err
	}
	if _, err := s.Send(&b, wire.Packed, heard, serve.Next); err != nil {
		return err
	}
	_, err = s.Receive(ctx, &b, wire.Packed, asked, ask.Take)
	return err
}
