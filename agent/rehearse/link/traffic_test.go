package link

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRequestsAreCounted of TLS connections, without seeing into them.
func TestRequestsAreCounted(t *testing.T) {
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
	k := lead(t, srv.Listener.Addr().String(), Shape{})
	client := srv.Client()
	body := strings.Repeat("request ", 20000)
	ask := func() {
		t.Helper()
		resp, err := client.Post("https://"+k.Address()+"/", "text/plain", strings.NewReader(body))
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
	got := k.Read()
	if got.Requests != 3 || got.Connections != 1 {
		t.Errorf("%d requests on %d connections, want 3 on 1", got.Requests, got.Connections)
	}
	for way, pair := range map[string][2]int64{"up": {got.Up, int64(3 * len(body))}, "down": {got.Down, int64(3 * len(answer))}} {
		if n, want := pair[0], pair[1]; n < want || n > want+want/20+4000 {
			t.Errorf("%s: %d bytes counted for %d sent", way, n, want)
		}
	}
	if !got.First.Before(got.Last) {
		t.Errorf("from %v to %v", got.First, got.Last)
	}
	client.CloseIdleConnections()
	k.Reset()
	ask()
	client.CloseIdleConnections() // its end is no request
	if got := k.Read(); got.Requests != 1 || got.Connections != 1 {
		t.Errorf("after a new start: %d requests on %d connections, want 1 on 1", got.Requests, got.Connections)
	}
}
