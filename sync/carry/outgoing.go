package carry

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	oneWrite     = 1 << 10  // bytes: what goes in one write with the head, so that a refusal of the connection is not lost
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
	case <-o.large:
	}
	select {
	case <-o.ended: // also one that got large with its last bytes
		return func() (io.Reader, error) {
			all := bytes.NewReader(o.small.Bytes())
			if all.Len() <= oneWrite {
				return all, nil
			}
			return records{all}, nil
		}, o.err
	default:
	}
	all := &once{r: io.MultiReader(bytes.NewReader(o.small.Bytes()), o.in)}
	return func() (io.Reader, error) {
		if all.begun.Load() {
			return nil, errors.New("a part of the request is gone")
		}
		return all, nil
	}, nil
}

// stop is called when the request was answered, or could not be posted. It is how packing
// ended: errUnread where nobody read all of it for so long.
func (o *outgoing) stop(patience time.Duration) error {
	select {
	case <-o.ended:
		return o.err
	case <-time.After(patience):
	}
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
