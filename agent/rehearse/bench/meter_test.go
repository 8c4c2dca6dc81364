package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The meter counts requests and bytes of TLS connections without seeing into them.
func TestMeterCounts(t *testing.T) {
	answer := bytes.Repeat([]byte("answer "), 30000)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		w.Write(answer)
	}))
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true}
	srv.StartTLS()
	defer srv.Close()
	m, err := newMeter(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx) }()
	client := srv.Client()
	body := strings.Repeat("request ", 20000)
	ask := func() {
		t.Helper()
		resp, err := client.Post("https://"+m.address()+"/", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(answer)) {
			t.Fatalf("%d bytes came back, %v", n, err)
		}
	}
	for range 3 {
		ask()
	}
	got := m.read()
	if got.requests != 3 || got.connections != 1 {
		t.Errorf("%d requests on %d connections, want 3 on 1", got.requests, got.connections)
	}
	for way, pair := range map[string][2]int64{"up": {got.up, int64(3 * len(body))}, "down": {got.down, int64(3 * len(answer))}} {
		if n, want := pair[0], pair[1]; n < want || n > want+want/20+4000 {
			t.Errorf("%s: %d bytes counted for %d sent", way, n, want)
		}
	}
	if !got.first.Before(got.last) {
		t.Errorf("from %v to %v", got.first, got.last)
	}
	client.CloseIdleConnections()
	m.reset()
	ask()
	client.CloseIdleConnections() // its end is no request
	if got := m.read(); got.requests != 1 || got.connections != 1 {
		t.Errorf("after a new start: %d requests on %d connections, want 1 on 1", got.requests, got.connections)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the meter ended with %v", err)
	}
}
