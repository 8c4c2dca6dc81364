package carry

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"tram/store"
	"tram/sync/engine"
	"tram/sync/wire"
)

// MaxRequest bounds a request's body, compressed, in bytes.
const MaxRequest = 64 << 20

// Handler serves exchanges. Begin makes the serving half for a request whose
// sender it knows, or answers the request itself and returns nil.
type Handler struct {
	Begin func(http.ResponseWriter, *http.Request) *engine.Serve
	Log   *slog.Logger
	// Streams keeps memory from one exchange to the next; nil keeps none.
	Streams *Streams
	idle    time.Duration // 0 is idleTimeout
}

// ServeHTTP reads the request, committing at each mark, and then answers. Where
// the request is cut, what was committed stays and there is no answer.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(acceptPost, wire.Packed.MediaType())
	if r.ContentLength < 0 { // of such a one net/http reads 256 KiB before a refusal, for the sake of the connection
		w.Header().Set("Connection", "close")
	}
	if r.Method != http.MethodPost {
		http.Error(w, "post an exchange here", http.StatusMethodNotAllowed)
		return
	}
	serve := h.Begin(w, r)
	if serve == nil {
		return
	}
	form, ok := wire.FormOf(r.Header.Get("Content-Type"))
	if !ok {
		http.Error(w, "this program does not know how that is packed; send "+wire.Plain.MediaType(), http.StatusUnsupportedMediaType)
		return
	}
	if h.idle == 0 {
		h.idle = idleTimeout
	}
	conn := http.NewResponseController(w)
	body := &deadlined{http.MaxBytesReader(w, r.Body, MaxRequest), conn, h.idle}
	heard, err := h.Streams.Receive(r.Context(), body, form, wire.After{}, serve.Take)
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.Header().Del(acceptPost)
	w.Header().Del("Connection")
	if w.Header()["Content-Type"] = nil; form == wire.Plain { // a packed answer is of the request's type
		w.Header().Set("Content-Type", form.MediaType())
	}
	next := func() (*wire.Frame, error) {
		if err := conn.SetWriteDeadline(time.Now().Add(h.idle)); err != nil {
			return nil, err
		}
		return serve.Next()
	}
	if _, err := h.Streams.Send(&flushing{w: w, c: conn, last: time.Now()}, form, heard, next); err != nil {
		h.Log.Warn("answer cut", "err", err)
	}
}

func (h Handler) refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, engine.ErrWhole):
		http.Error(w, "edits cannot be told from what is here; send whole versions", http.StatusConflict)
	case errors.Is(err, wire.ErrNonsense):
		http.Error(w, "this is no exchange of protocol 1 or 2", http.StatusBadRequest)
	case errors.Is(err, wire.ErrCut):
		http.Error(w, "the request was cut; send it again", http.StatusBadRequest)
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrStopped):
		h.Log.Error("cannot save", "err", err)
		w.Header().Set("Retry-After", "300")
		http.Error(w, "nothing can be saved now; come later", http.StatusServiceUnavailable)
	default:
		h.Log.Error("exchange failed", "err", err)
		http.Error(w, "the exchange failed; send it again", http.StatusInternalServerError)
	}
}

// deadlined gives each read its own time, so that a slow link is not cut off and
// a dead one is.
type deadlined struct {
	r    io.Reader
	c    *http.ResponseController
	idle time.Duration
}

func (d *deadlined) Read(p []byte) (int, error) {
	if err := d.c.SetReadDeadline(time.Now().Add(d.idle)); err != nil {
		return 0, err
	}
	return d.r.Read(p)
}

// flushing hands on what a stream flushes at its marks, but not in pieces of a few bytes
// that follow each other at once: each would have a frame of HTTP and of TLS.
type flushing struct {
	w    http.ResponseWriter
	c    *http.ResponseController
	held int       // bytes since the last piece
	last time.Time // when that went
}

// When held bytes go.
const (
	piece = 4 << 10
	hold  = 200 * time.Millisecond
)

func (f *flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if f.held += n; err != nil || f.held < piece && time.Since(f.last) < hold {
		return n, err
	}
	f.held, f.last = 0, time.Now()
	return n, f.c.Flush()
}
