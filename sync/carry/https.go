package carry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/wire"
)

// Paths of an upstream.
const (
	ExchangePath = "/v1/exchange"
	StatusPath   = "/v1/status"
	EnrolPath    = "/v1/enrol"
	AttachPath   = "/v1/attachment"
)

// acceptPost is the header that says what may be posted (W3C Linked Data Platform 1.0,
// section 7.1).
const acceptPost = "Accept-Post"

// Bounds on time.
const (
	dialTimeout   = 20 * time.Second
	idleTimeout   = 60 * time.Second // without a byte either way
	deadAfter     = idleTimeout      // without an acknowledgement of what was sent
	answerTimeout = 5 * time.Minute  // until the answer begins
)

// KeepIdle is how long a connection without an exchange is kept: longer than from one
// exchange to the next where nothing happens. It costs no byte, and a new one some
// thousand.
const KeepIdle = 20 * time.Minute

// Client carries exchanges to one upstream. It is safe for concurrent use.
type Client struct {
	base  string
	http  *retryablehttp.Client
	bytes *counter
	idle  time.Duration
	// streams keeps memory from one exchange to the next.
	streams Streams
	older   atomic.Pointer[time.Time] // since when upstream is known to speak only the first protocol; nil for never
}

// again is after how long an upstream is asked anew whether it speaks the newest
// protocol by now.
const again = 24 * time.Hour

// Protocol is the newest protocol that upstream is thought to speak: what the next
// exchange is to be asked in.
func (c *Client) Protocol() int {
	if since := c.older.Load(); since != nil && time.Since(*since) < again {
		return wire.First
	}
	return wire.Protocol
}

// form is how streams of a protocol are packed.
func form(protocol int) wire.Form {
	if protocol == wire.First {
		return wire.Plain
	}
	return wire.Packed
}

// counter counts what goes over the wire, TLS included.
type counter struct{ up, down atomic.Int64 }

// NewClient makes a client for the upstream at a base address such as
// "https://centre:8643".
func NewClient(base string, conf *tls.Config, log *slog.Logger) *Client {
	return newClient(base, conf, log, idleTimeout)
}

func newClient(base string, conf *tls.Config, log *slog.Logger, idle time.Duration) *Client {
	c := &Client{base: base, bytes: &counter{}, idle: idle}
	dialer := dialer()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{conn, c.bytes, idle}, nil
		},
		TLSClientConfig: conf, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout,
		MaxConnsPerHost: 2, IdleConnTimeout: KeepIdle, DisableCompression: true,
	}
	c.http = &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: transport, CheckRedirect: stay},
		Logger:     quiet{log}, RetryMax: 2, RetryWaitMin: time.Second, RetryWaitMax: 10 * time.Second,
		CheckRetry: retry, Backoff: retryablehttp.DefaultBackoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c
}

func dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = giveUp(fd, int(deadAfter.Milliseconds())) // where the system cannot, the answer is waited for
		})
	}}
}

// retry tries again to connect, and nothing that was answered: an upstream that is busy
// says when to come, and the loop above waits. What a flapping link cut is not sent
// again as it is: a part of it may have arrived.
func retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil && failure(err) == status.FailCertificate {
		return false, err
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial", nil
}

// stay follows no redirect: what is sent is for the enrolled upstream alone.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.HTTPClient.CloseIdleConnections() }

// Bytes are the bytes sent and received so far, TLS included.
func (c *Client) Bytes() (up, down int64) { return c.bytes.up.Load(), c.bytes.down.Load() }

// ErrOlder says that upstream speaks only an older protocol. It is noted: ask again
// in that of Client.Protocol.
var ErrOlder = errors.New("upstream speaks an older protocol")

// Exchange runs one exchange, which was asked in the client's protocol. Its error is an
// *Error, or ErrOlder, or engine.ErrWhole.
func (c *Client) Exchange(ctx context.Context, ask *engine.Ask) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	form := form(ask.Protocol())
	resp, asked, err := c.send(ctx, form, ask)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := c.watch(resp.Body, cancel)
	defer answer.alive.Stop()
	_, err = c.streams.Receive(ctx, answer, form, asked, ask.Take)
	switch {
	case err == nil:
		io.Copy(io.Discard, io.LimitReader(answer, 4096)) // so that the connection serves again
		return nil
	case errors.Is(err, wire.ErrNonsense):
		return &Error{Failure: status.FailNonsense, Err: err}
	case errors.Is(err, wire.ErrCut):
		return &Error{Failure: status.FailCut, Err: err}
	}
	return &Error{Failure: status.FailHere, Err: err}
}

// send packs a request while it posts it, and tells what is known after it.
func (c *Client) send(ctx context.Context, form wire.Form, ask *engine.Ask) (*http.Response, wire.After, error) {
	body := newOutgoing()
	var asked wire.After
	go func() {
		var err error
		asked, err = c.streams.Send(body, form, wire.After{}, ask.Next)
		body.done(err)
	}()
	request, err := body.request()
	if err != nil {
		return nil, asked, &Error{Failure: status.FailHere, Err: err}
	}
	resp, err := c.post(ctx, ExchangePath, form.MediaType(), request)
	if err != nil {
		if packed := body.stop(0); packed != nil && !errors.Is(packed, errUnread) {
			err = &Error{Failure: status.FailHere, Err: packed}
		}
		return nil, asked, err
	}
	if packed := body.stop(c.idle); packed != nil {
		resp.Body.Close()
		return nil, asked, &Error{Failure: status.FailNonsense, Err: errors.New("upstream answers what it has not read")}
	}
	return resp, asked, nil
}

var errIdle = errors.New("nothing came for a minute")

// Post sends a small JSON body and returns the answer's, at most max bytes. Its
// error is an *Error.
func (c *Client) Post(ctx context.Context, path string, body []byte, max int64) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.post(ctx, path, "application/json", body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer := c.watch(resp.Body, cancel)
	defer answer.alive.Stop()
	b, err := io.ReadAll(io.LimitReader(answer, max))
	if err == nil && errors.Is(context.Cause(ctx), errIdle) {
		err = errIdle // the other side may end its answer when it sees us go
	}
	if err != nil {
		return nil, &Error{Failure: status.FailCut, Err: err}
	}
	return b, nil
}

func (c *Client) post(ctx context.Context, path, mediaType string, body any) (*http.Response, error) {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return nil, &Error{Failure: status.FailLink, Err: err, Unsent: true}
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("User-Agent", "") // the report says more
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{Failure: failure(err), Err: err, Unsent: !sent.Load()}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	err = answered{resp.StatusCode, resp.Status}
	switch resp.StatusCode {
	case http.StatusConflict:
		if mediaType == wire.Packed.MediaType() {
			return nil, engine.ErrWhole
		}
	case http.StatusUnsupportedMediaType, http.StatusBadRequest:
		// Who speaks only the first protocol says that this is nonsense, and not what it reads.
		if mediaType == wire.Packed.MediaType() && (resp.StatusCode != http.StatusBadRequest || resp.Header.Get(acceptPost) == "") {
			now := time.Now()
			c.older.Store(&now)
			return nil, ErrOlder
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return nil, &Error{Failure: status.FailLater, Err: err, After: retryAfter(resp)}
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &Error{Failure: status.FailRefused, Err: err}
	case http.StatusUpgradeRequired:
		return nil, &Error{Failure: status.FailVersion, Err: err}
	}
	return nil, &Error{Failure: status.FailNonsense, Err: err}
}

// answered is an answer other than 200.
type answered struct {
	code   int
	status string
}

func (a answered) Error() string { return "upstream answered " + a.status }

// maxAfter bounds how long an upstream may send a station away.
const maxAfter = time.Hour

// retryAfter reads how many seconds a busy upstream asks for (RFC 9110, section
// 10.2.3); 0 where it says none or a date, which would need a clock.
func retryAfter(resp *http.Response) time.Duration {
	n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxAfter)
}

// failure tells a link that is down from a certificate that does not hold.
func failure(err error) status.Failure {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	// What the other side found wrong in the handshake comes as an alert, whose
	// type crypto/tls keeps to itself.
	var alert *net.OpError
	if errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &alert) && alert.Op == "remote error" {
		return status.FailCertificate
	}
	return status.FailLink
}

// watched puts off the end of an idle exchange with every byte that comes.
type watched struct {
	r     io.Reader
	alive *time.Timer
	idle  time.Duration
}

// watch cancels when nothing comes for the client's idle time.
func (c *Client) watch(r io.Reader, cancel context.CancelCauseFunc) *watched {
	return &watched{r, time.AfterFunc(c.idle, func() { cancel(errIdle) }), c.idle}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.alive.Reset(w.idle)
	}
	return n, err
}

// countedConn counts, and gives each write its own time: a link that died takes
// what is written until its buffers are full, and then nothing for ever.
type countedConn struct {
	net.Conn
	n    *counter
	idle time.Duration
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.down.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	c.n.up.Add(int64(n))
	return n, err
}

// quiet is the retrying client's logger: retries are no change of state, so they
// are told at debug level only, and never with an address.
type quiet struct{ log *slog.Logger }

func (q quiet) Error(msg string, _ ...any) { q.log.Debug("link", "event", msg) }
func (q quiet) Warn(msg string, _ ...any)  { q.log.Debug("link", "event", msg) }
func (q quiet) Info(msg string, _ ...any)  { q.log.Debug("link", "event", msg) }
func (q quiet) Debug(string, ...any)       {}
