package carry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
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
)

// Bounds on time.
const (
	dialTimeout   = 20 * time.Second
	idleTimeout   = 60 * time.Second // without a byte either way
	answerTimeout = 5 * time.Minute  // until the answer begins
)

// Client carries exchanges to one upstream. It is safe for concurrent use.
type Client struct {
	base  string
	http  *retryablehttp.Client
	bytes *counter
}

// counter counts what goes over the wire, TLS included.
type counter struct{ up, down atomic.Int64 }

// NewClient makes a client for the upstream at a base address such as
// "https://centre:8643". Connections are kept only as long as they are used.
func NewClient(base string, conf *tls.Config, log *slog.Logger) *Client {
	c := &Client{base: base, bytes: &counter{}}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: false}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{conn, c.bytes}, nil
		},
		TLSClientConfig: conf, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout,
		MaxConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}
	c.http = &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: transport},
		Logger:     quiet{log}, RetryMax: 2, RetryWaitMin: time.Second, RetryWaitMax: 10 * time.Second,
		CheckRetry: retry, Backoff: retryablehttp.DefaultBackoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c
}

// retry tries again what a flapping link cut, and nothing that was answered: an
// upstream that is busy says when to come, and the loop above waits.
func retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil && failure(err) == status.FailCertificate {
		return false, err
	}
	return err != nil, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.HTTPClient.CloseIdleConnections() }

// Bytes are the bytes sent and received so far, TLS included.
func (c *Client) Bytes() (up, down int64) { return c.bytes.up.Load(), c.bytes.down.Load() }

// Exchange runs one exchange. Its error is an *Error.
func (c *Client) Exchange(ctx context.Context, ask *engine.Ask) error {
	var body bytes.Buffer
	if err := Send(&body, ask.Next); err != nil {
		return &Error{status.FailHere, err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.post(ctx, ExchangePath, wire.MediaType, body.Bytes())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	alive := time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	defer alive.Stop()
	err = Receive(ctx, &watched{resp.Body, alive}, ask.Take)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, wire.ErrNonsense):
		return &Error{status.FailNonsense, err}
	case errors.Is(err, wire.ErrCut):
		return &Error{status.FailCut, err}
	}
	return &Error{status.FailHere, err}
}

var errIdle = errors.New("nothing came for a minute")

// Post sends a small JSON body and returns the answer's, at most max bytes. Its
// error is an *Error.
func (c *Client) Post(ctx context.Context, path string, body []byte, max int64) ([]byte, error) {
	resp, err := c.post(ctx, path, "application/json", body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, max))
	if err != nil {
		return nil, &Error{status.FailCut, err}
	}
	return b, nil
}

func (c *Client) post(ctx context.Context, path, mediaType string, body []byte) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return nil, &Error{status.FailLink, err}
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{failure(err), err}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	err = fmt.Errorf("upstream answered %s", resp.Status)
	switch resp.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return nil, &Error{status.FailLater, err}
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &Error{status.FailRefused, err}
	case http.StatusUpgradeRequired:
		return nil, &Error{status.FailVersion, err}
	}
	return nil, &Error{status.FailNonsense, err}
}

// failure tells a link that is down from a certificate that does not hold.
func failure(err error) status.Failure {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var alert tls.AlertError
	if errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &alert) {
		return status.FailCertificate
	}
	return status.FailLink
}

// watched puts off the end of an idle exchange with every byte that comes.
type watched struct {
	r     io.Reader
	alive *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.alive.Reset(idleTimeout)
	}
	return n, err
}

type countedConn struct {
	net.Conn
	n *counter
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.down.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
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
