package carry

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	recordSize   = 1200     // bytes: what a packet holds
	smallRequest = 16 << 10 // bytes: what a day takes, and some more
)

// outgoing is a request on its way from who packs it to the connection. A small one is
// packed before it goes; of a larger one upstream works on the first stretches while the
// last ones are packed.
type outgoing struct {
	small bytes.Buffer
	large chan struct{} // closed when it gets larger
	ended chan struct{} // closed when it is packed
	err   error         // how packing ended; read after ended
	in    *io.PipeReader
	out   *io.PipeWriter
}

func newOutgoing() *outgoing {
	o := &outgoing{large: make(chan struct{}), ended: make(chan struct{})}
	o.in, o.out = io.Pipe()
	return o
}

// Write is called by who packs.
func (o *outgoing) Write(b []byte) (int, error) {
	if o.small.Len() > smallRequest {
		return o.out.Write(b)
	}
	o.small.Write(b)
	if o.small.Len() > smallRequest {
		close(o.large)
	}
	return len(b), nil
}

// done is called by who packs.
func (o *outgoing) done(err error) {
	o.err = err
	o.out.CloseWithError(err)
	close(o.ended)
}

// request is the body as it is posted. It fails where packing did.
func (o *outgoing) request() (retryablehttp.ReaderFunc, error) {
	select {
	case <-o.ended:
		return func() (io.Reader, error) { return records{bytes.NewReader(o.small.Bytes())}, nil }, o.err
	case <-o.large:
	}
	all := &once{r: io.MultiReader(bytes.NewReader(o.small.Bytes()), o.in)}
	return func() (io.Reader, error) {
		if all.begun.Load() {
			return nil, errors.New("a part of the request is gone")
		}
		return all, nil
	}, nil
}

// stop is called when the request was posted, or could not be. It is how packing ended:
// errUnread where not all of it was read.
func (o *outgoing) stop() error {
	o.in.CloseWithError(errUnread)
	<-o.ended
	return o.err
}

var errUnread = errors.New("nobody reads the request")

// once notes that it was read.
type once struct {
	r     io.Reader
	begun atomic.Bool
}

func (o *once) Read(b []byte) (int, error) {
	o.begun.Store(true)
	return o.r.Read(b)
}

// records gives a small request in pieces that go on the way as a record of TLS each:
// upstream reads none before it has all of it, and so works on the first stretches while
// the last ones come.
type records struct{ r *bytes.Reader }

func (p records) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), recordSize)]) }

func (p records) Len() int { return p.r.Len() }
