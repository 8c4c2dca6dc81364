package carry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/hashicorp/go-retryablehttp"

	"tram/store/blob"
	"tram/store/record"
	"tram/sync/status"
)

// Bounds on what carries attachments.
const (
	// MaxStretch is how many bytes of an attachment one request carries at the most.
	MaxStretch = 256 << 10
	// maxHead bounds the line in front of them.
	maxHead    = 1 << 10
	attachType = "application/vnd.tram.attachment"
)

// Errors of attachments.
var (
	// ErrNoLane says that upstream carries no attachments.
	ErrNoLane = errors.New("upstream carries no attachments")
	// ErrNotThere says that upstream has no such attachment to give or to take, or not yet,
	// or not for this replica, by the record that was named.
	ErrNotThere = errors.New("upstream knows no such attachment")
)

// Head is the line of JSON in front of an attachment's bytes: what they are, or which are
// asked for.
type Head struct {
	ID     string `json:"id"`     // SHA-256 in hex
	Record string `json:"record"` // a record that refers to it
	From   int64  `json:"from,omitempty"`
	// Size is how long all of it is, of one that goes up.
	Size int64 `json:"size,omitempty"`
	// Most is how many bytes are asked for, of one that comes down; 0 for one that goes up.
	Most int64 `json:"most,omitempty"`
	// Life is the lineage under which who asks for bytes writes now.
	Life record.Lineage `json:"life,omitempty"`
}

// held is the answer to what goes up: how many bytes upstream has now.
type held struct {
	Have int64 `json:"have"`
}

// whole is the line in front of what comes down: how long all of it is.
type whole struct {
	Size int64 `json:"size"`
}

// HandIn sends bytes of an attachment that begin where head says, or none to ask, and tells
// how many upstream has. Its error is an *Error, ErrNoLane or ErrNotThere.
func (c *Client) HandIn(ctx context.Context, head Head, some []byte) (have int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.attach(ctx, head, some)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer := c.watch(resp.Body, cancel)
	defer answer.alive.Stop()
	b, err := io.ReadAll(io.LimitReader(answer, maxHead))
	if err != nil {
		return 0, &Error{Failure: status.FailCut, Err: err}
	}
	var h held
	if json.Unmarshal(b, &h) != nil || h.Have < 0 || h.Have > head.Size {
		return 0, &Error{Failure: status.FailNonsense, Err: errors.New("no number of bytes")}
	}
	return h.Have, nil
}

// Fetch asks for bytes of an attachment, and gives them to take as they come, in pieces of at
// most blob.Piece; it tells how long all of it is, 0 where that did not come. Its error is
// an *Error, ErrNoLane, ErrNotThere, or take's.
func (c *Client) Fetch(ctx context.Context, head Head, take func(piece []byte) error) (size int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.attach(ctx, head, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer := c.watch(resp.Body, cancel)
	defer answer.alive.Stop()
	in := bufio.NewReaderSize(answer, blob.Piece)
	var w whole
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, &Error{Failure: status.FailCut, Err: err}
	}
	if json.Unmarshal(line, &w) != nil || w.Size < 0 || w.Size > blob.MaxSize {
		return 0, &Error{Failure: status.FailNonsense, Err: errors.New("no attachment")}
	}
	want := max(0, min(head.Most, w.Size-head.From))
	if got, err := pieces(io.LimitReader(in, want), take); err != nil {
		return w.Size, err
	} else if got < want {
		return w.Size, &Error{Failure: status.FailCut, Err: io.ErrUnexpectedEOF}
	}
	io.Copy(io.Discard, io.LimitReader(in, maxHead)) // so that the connection serves again
	return w.Size, nil
}

// pieces gives what r gives to take, in pieces, also what came before r was cut, and tells
// how much it was. Its error is take's: how r ended shows in what is missing.
func pieces(r io.Reader, take func([]byte) error) (got int64, err error) {
	buf := make([]byte, blob.Piece)
	for {
		n, end := io.ReadFull(r, buf)
		if n > 0 {
			if err := take(buf[:n]); err != nil {
				return got, err
			}
			got += int64(n)
		}
		if end != nil {
			return got, nil
		}
	}
}

// attach posts a head and bytes behind it.
func (c *Client) attach(ctx context.Context, head Head, some []byte) (*http.Response, error) {
	line, err := json.Marshal(head)
	if err != nil {
		return nil, &Error{Failure: status.FailHere, Err: err}
	}
	body := append(append(line, '\n'), some...)
	resp, err := c.post(ctx, AttachPath, attachType, retryablehttp.ReaderFunc(func() (io.Reader, error) {
		return slow{bytes.NewReader(body)}, nil
	}))
	var a answered
	switch {
	case !errors.As(err, &a):
		return resp, err
	case a.code == http.StatusNotFound:
		return nil, ErrNoLane
	case a.code == http.StatusForbidden:
		return nil, ErrNotThere
	}
	return nil, err
}

// slow gives a piece at a time: each becomes a record of TLS of its own, and one that is cut
// in two is lost.
type slow struct{ r *bytes.Reader }

func (s slow) Len() int { return s.r.Len() }

func (s slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), blob.Piece)]) }
