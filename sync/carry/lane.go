package carry

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"tram/store"
	"tram/store/blob"
	"tram/store/fhir"
	"tram/store/record"
)

// maxLanes bounds the attachments served at once: who comes later is told to wait, since
// they are behind everything else.
const maxLanes = 32

// Lane serves attachments to those below: it takes and gives them by the records that
// refer to them.
type Lane struct {
	Store *store.Store
	// Peer is the replica that asks; it answers the request itself where there is none.
	Peer func(http.ResponseWriter, *http.Request) (name string, ok bool)
	// Gets reports whether a replica that writes under a lineage may be given anything.
	Gets func(name string, life record.Lineage) bool
	Log  *slog.Logger

	serving atomic.Int64
	idle    time.Duration // 0 is idleTimeout
}

// ServeHTTP takes bytes of an attachment and answers how many are here, or gives bytes of
// one. What came before a cut stays. Nobody can tell what is not theirs from what is
// not there.
func (l *Lane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer, ok := l.Peer(w, r)
	if !ok {
		return
	}
	defer l.serving.Add(-1)
	if l.serving.Add(1) > maxLanes {
		later(w, "60")
		return
	}
	idle := l.idle
	if idle == 0 {
		idle = idleTimeout
	}
	conn := http.NewResponseController(w)
	body := bufio.NewReaderSize(&deadlined{http.MaxBytesReader(w, r.Body, maxHead+MaxStretch), conn, idle}, blob.Piece)
	head, key, err := readHead(body)
	if err != nil {
		http.Error(w, "this asks for no attachment", http.StatusBadRequest)
		return
	}
	in, out, err := l.Store.Attaches(peer, key, head.ID)
	switch {
	case err != nil:
		l.refuse(w, err)
	case head.Most > 0 && out && l.Gets(peer, head.Life):
		l.give(w, &slowly{w, conn, idle}, head)
	case head.Most == 0 && in:
		l.take(w, body, head)
	default:
		nothing(w)
	}
}

// readHead reads the line in front of the bytes.
func readHead(r *bufio.Reader) (head Head, key record.Key, err error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil || len(line) == maxHead {
			return head, key, errors.New("no head")
		}
		if b == '\n' {
			break
		}
		line = append(line, b)
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return head, key, err
	}
	if !fhir.IsAttached(head.ID) || head.From < 0 || head.Size < 0 || head.Most < 0 || head.From > blob.MaxSize {
		return head, key, errors.New("no attachment")
	}
	key, err = record.ParseKey(head.Record)
	return head, key, err
}

// take keeps what comes, where it goes on from what is here, and answers how much is here
// then. What is whole and not what its id names is let go of.
func (l *Lane) take(w http.ResponseWriter, body io.Reader, head Head) {
	blobs := l.Store.Blobs()
	have, whole, err := blobs.Held(head.ID)
	if err == nil && !whole {
		have, err = l.goOn(body, head, have)
	}
	if err == nil && !whole && have >= head.Size {
		switch err = blobs.Finish(head.ID, head.Size); {
		case errors.Is(err, blob.ErrWrong):
			l.Log.Warn("an attachment came that is not what its id names")
			have, err = 0, nil
		case errors.Is(err, blob.ErrMoved): // another request makes it whole
			later(w, "5")
			return
		}
	}
	if err != nil {
		l.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(held{min(have, head.Size)}) // who is gone asks again
}

// goOn keeps the bytes of a request that go on from what is here, and tells how much that is
// then.
func (l *Lane) goOn(body io.Reader, head Head, have int64) (int64, error) {
	blobs := l.Store.Blobs()
	if err := blobs.Room(head.Size); err != nil || have != head.From {
		return have, err
	}
	_, err := pieces(io.LimitReader(body, head.Size-have), func(piece []byte) error {
		if err := blobs.Append(head.ID, have, piece); err != nil {
			return err
		}
		have += int64(len(piece))
		return nil
	})
	if errors.Is(err, blob.ErrMoved) { // another request brought it meanwhile
		have, _, err = blobs.Held(head.ID)
	}
	return have, err
}

// give sends what is asked for of an attachment that is here whole.
func (l *Lane) give(w http.ResponseWriter, body io.Writer, head Head) {
	blobs := l.Store.Blobs()
	size, err := blobs.Size(head.ID)
	if errors.Is(err, blob.ErrMissing) {
		nothing(w)
		return
	}
	var some []byte
	if err == nil {
		some, err = blobs.Range(head.ID, head.From, min(head.Most, MaxStretch))
	}
	if err != nil {
		l.refuse(w, err)
		return
	}
	line, _ := json.Marshal(whole{size}) // a number always marshals
	line = append(line, '\n')
	w.Header().Set("Content-Type", attachType)
	w.Header().Set("Content-Length", strconv.Itoa(len(line)+len(some)))
	_, _ = body.Write(append(line, some...)) // who is gone asks again
}

// slowly writes a piece at a time, each with its own time: see slow.
type slowly struct {
	w    io.Writer
	c    *http.ResponseController
	idle time.Duration
}

func (s *slowly) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, blob.Piece) {
		if err := s.c.SetWriteDeadline(time.Now().Add(s.idle)); err != nil {
			return n, err
		}
		m, err := s.w.Write(piece)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// nothing is the one answer for what is not there and what is not for who asks.
func nothing(w http.ResponseWriter) {
	http.Error(w, "there is no such attachment", http.StatusForbidden)
}

func later(w http.ResponseWriter, seconds string) {
	w.Header().Set("Retry-After", seconds)
	http.Error(w, "attachments have to wait; come later", http.StatusServiceUnavailable)
}

func (l *Lane) refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, blob.ErrTooLarge):
		http.Error(w, "the attachment is too large", http.StatusRequestEntityTooLarge)
	case errors.Is(err, blob.ErrMany):
		later(w, "3600")
	case errors.Is(err, store.ErrFull), errors.Is(err, blob.ErrFull), errors.Is(err, store.ErrStopped):
		later(w, "300")
	default:
		l.Log.Error("attachment failed", "err", err)
		http.Error(w, "this failed; send it again", http.StatusInternalServerError)
	}
}
