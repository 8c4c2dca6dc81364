package agent

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/agent/api"
	"tram/agent/config"
	"tram/store/account"
)

// marked stands for what no log may hold.
const marked = "Nguyen-Thi-Bi-Mat"

// gate is one of a station's two listeners as a client sees it.
type gate struct {
	t     *testing.T
	a     *Agent
	name  string
	at    string // host and port
	trust *tls.Config
	token string
}

// scoped is the gate for another program, which may do only so much.
func (g gate) scoped(scopes string) gate {
	g.t.Helper()
	list, err := account.ParseScopes(scopes, g.a.r4.IsKind)
	if err != nil {
		g.t.Fatal(err)
	}
	_, g.token, err = account.New(g.a.store, time.Now, account.Cost{}).Issue(context.Background(), account.Grant{Name: g.name + " " + scopes, Scopes: list, By: "hoa"})
	if err != nil {
		g.t.Fatal(err)
	}
	return g
}

// siege starts a station with both listeners, short limits of time and a log that holds
// everything. At the end the log must hold nothing of what came, and nothing is saved.
func siege(t *testing.T) []gate {
	t.Helper()
	var mu sync.Mutex
	var log bytes.Buffer
	write := writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	})
	conf := config.Default(t.TempDir())
	conf.Page.Listen, conf.API.Listen = "127.0.0.1:0", "127.0.0.1:0"
	short := api.Limits{Header: 400 * time.Millisecond, Read: time.Second, Write: 5 * time.Second, Idle: time.Second, Bytes: 32 << 10, Connections: 64, PerAddress: 64}
	ready := make(chan Here, 1)
	a, err := New(Options{Config: conf, Log: slog.New(slog.NewTextHandler(write, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Inside: short, Outside: short, Ready: func(h Here) { ready <- h }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	here := <-ready
	eventually(t, "the network is answered", func() bool { return len(a.door.State().Addresses) > 0 })
	tok := token(t, a)
	t.Cleanup(func() {
		if c, err := a.store.Waiting(); err != nil || c.Records != 0 {
			t.Errorf("what was refused left %d records, %v", c.Records, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for _, bad := range []string{marked, tok, "evil.example", "passwd"} {
			if strings.Contains(log.String(), bad) {
				t.Errorf("the log holds %q: %s", bad, log.String())
			}
		}
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.door.State().Certificate)
	return []gate{
		{t, a, "this PC", here.Address, nil, tok},
		{t, a, "the network", strings.TrimPrefix(a.door.State().Addresses[0], "https://"), &tls.Config{RootCAs: pool}, tok},
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func (g gate) base() string {
	if g.trust != nil {
		return "https://" + g.at
	}
	return "http://" + g.at
}

// dial is a bare connection to the gate.
func (g gate) dial() net.Conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.at)
	if err == nil && g.trust != nil {
		conf := g.trust.Clone()
		conf.ServerName = "127.0.0.1"
		c = tls.Client(c, conf)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	return c
}

// do sends a request as a program with a token would; pairs are headers, and "Host".
func (g gate) do(method, path string, body io.Reader, pairs ...string) (int, string) {
	g.t.Helper()
	req, err := http.NewRequest(method, g.base()+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	req.Header.Set("Content-Type", "application/fhir+json")
	for i := 0; i < len(pairs); i += 2 {
		if req.Header.Set(pairs[i], pairs[i+1]); pairs[i] == "Host" {
			req.Host = pairs[i+1]
		}
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: g.trust, DisableKeepAlives: true}, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		g.t.Fatalf("%s: %s %.60s: %v", g.name, method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("%s: %s %.60s: %v", g.name, method, path, err)
	}
	if allow := resp.Header.Get("Access-Control-Allow-Origin"); allow != "" {
		g.t.Errorf("%s: other pages may read what is answered: %s", g.name, allow)
	}
	return resp.StatusCode, string(b)
}

func (g gate) refused(what string, want int, method, path, body string, pairs ...string) {
	g.t.Helper()
	code, answer := g.do(method, path, strings.NewReader(body), pairs...)
	if code != want {
		g.t.Errorf("%s, %s: %d, want %d", g.name, what, code, want)
	}
	if strings.HasPrefix(path, "/fhir") && code >= 400 && !strings.Contains(answer, `"OperationOutcome"`) {
		g.t.Errorf("%s, %s: %d without an outcome", g.name, what, code)
	}
	if strings.Contains(answer, marked) {
		g.t.Errorf("%s, %s: the answer repeats what came", g.name, what)
	}
}

const hostilePatient = `{"resourceType":"Patient","name":[{"text":"` + marked + `"}]}`

func TestHostileDNSRebinding(t *testing.T) {
	for _, g := range siege(t) {
		_, port, _ := net.SplitHostPort(g.at)
		for _, host := range []string{"evil.example", "evil.example:" + port, "127.0.0.1", "127.0.0.1:1", "0.0.0.0:" + port, "evil.example:" + port + "@" + g.at} {
			g.refused("read as "+host, 403, "GET", "/fhir/Patient", "", "Host", host)
			g.refused("write as "+host, 403, "POST", "/fhir/Patient", hostilePatient, "Host", host)
			g.refused("health as "+host, 403, "GET", "/health", "", "Host", host)
			g.refused("a page as "+host, 403, "GET", "/people", "", "Host", host)
		}
	}
}

func TestHostileCrossSiteForm(t *testing.T) {
	for _, g := range siege(t) {
		form := []string{"Content-Type", "application/x-www-form-urlencoded"}
		plain := []string{"Content-Type", "text/plain"}
		for name, from := range map[string][]string{
			"origin":           {"Origin", "https://evil.example"},
			"opaque origin":    {"Origin", "null"},
			"other port":       {"Origin", "http://127.0.0.1:1"},
			"other scheme":     {"Origin", map[bool]string{true: "http://", false: "https://"}[g.trust != nil] + g.at},
			"fetch metadata":   {"Sec-Fetch-Site", "cross-site"},
			"same site, other": {"Sec-Fetch-Site", "same-site"},
		} {
			g.refused(name+", FHIR as a form", 403, "POST", "/fhir/Patient", "name="+marked, append(form, from...)...)
			g.refused(name+", FHIR as text", 403, "POST", "/fhir/Patient", hostilePatient, append(plain, from...)...)
			g.refused(name+", a page's form", 403, "POST", "/signin", "user="+marked, append(form, from...)...)
			g.refused(name+", command line", 403, "POST", "/local/sync", "", from...)
		}
		// What a browser sends for any page, without asking first, is no JSON.
		g.refused("no origin told", 415, "POST", "/fhir/Patient", hostilePatient, plain...)
	}
}

func TestHostileCrossSiteFetch(t *testing.T) {
	for _, g := range siege(t) {
		origin := []string{"Origin", "https://evil.example"}
		g.refused("read", 403, "GET", "/fhir/Patient", "", origin...)
		g.refused("write", 403, "PUT", "/fhir/Patient/p1", hostilePatient, origin...)
		g.refused("preflight", 403, "OPTIONS", "/fhir/Patient", "", append(origin, "Access-Control-Request-Method", "POST")...)
		g.refused("health", 403, "GET", "/health", "", origin...)
	}
}

func TestHostilePathTraversal(t *testing.T) {
	for _, g := range siege(t) {
		for _, path := range []string{
			"/fhir/Patient/../../../etc/passwd", "/fhir/Patient/..%2f..%2f..%2fetc%2fpasswd", "/fhir/Patient/%2e%2e", "/fhir/Patient/%252e%252e%252fpasswd",
			"/fhir/Binary/..%5c..%5ctram.db", "/fhir/Binary/%2fetc%2fpasswd", "/fhir/Binary/tram.db%00.txt", "/fhir/Binary/....//tram.db", "/fhir//etc/passwd",
			"/fhir/Patient/" + strings.Repeat("a", 65), "/pages/..%2fweb.go", "/pages/%2e%2e%2ftexts_en.toml", "/pages/texts_en.toml", "/pages/..%5cstyle.css",
		} {
			req, err := http.NewRequest("GET", g.base(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque = path // as it stands, without a client's tidying
			req.Header.Set("Authorization", "Bearer "+g.token)
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: g.trust}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode < 300 || strings.Contains(string(b), "root:") {
				t.Errorf("%s: %s: %d %.80s", g.name, path, resp.StatusCode, b)
			}
		}
		// Attachments are found by the digest of their content and by nothing else.
		for _, url := range []string{"../../tram.db", "Binary/../../tram.db", "file:///etc/passwd", `C:\Windows\win.ini`} {
			g.refused("id "+url, 400, "PUT", "/fhir/DocumentReference/d1", `{"resourceType":"DocumentReference","id":"`+strings.ReplaceAll(url, `\`, `\\`)+`","status":"current","content":[{"attachment":{"url":"x"}}]}`)
		}
	}
}

func TestHostileDecompressionBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	fmt.Fprint(z, `{"resourceType":"Patient","name":[{"text":"`)
	for range 300 {
		z.Write(zeros)
	}
	z.Close()
	var twice bytes.Buffer
	z = gzip.NewWriter(&twice)
	z.Write(bomb.Bytes())
	z.Close()
	for _, g := range siege(t) {
		g.refused("300 MiB in 300 KiB", 413, "POST", "/fhir/Patient", bomb.String(), "Content-Encoding", "gzip")
		g.refused("packed twice", 415, "POST", "/fhir/Patient", twice.String(), "Content-Encoding", "gzip, gzip")
		g.refused("a form", 413, "POST", "/fhir/Patient/_search", bomb.String(), "Content-Encoding", "gzip", "Content-Type", "application/x-www-form-urlencoded")
		g.refused("a form of 1 MiB, whose sender gets to know why", 413, "POST", "/fhir/Patient/_search", string(zeros), "Content-Type", "application/x-www-form-urlencoded")
	}
}

func TestHostileDeepJSON(t *testing.T) {
	deep := strings.Repeat(`{"contained":[`, 10_000) + `"` + marked + `"` + strings.Repeat("]}", 10_000)
	for _, g := range siege(t) {
		g.refused("10,000 deep", 400, "POST", "/fhir/Patient", deep)
		g.refused("10,000 arrays", 400, "PUT", "/fhir/Patient/p1", strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000))
		g.refused("10,000 deep in a Bundle", 400, "POST", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":`+deep+`}]}`)
	}
}

// flood sends a header that is too large.
func (g gate) flood(name, text string) {
	g.t.Helper()
	c := g.dial()
	go io.WriteString(c, text) // the station may close before all is sent
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		if !strings.Contains(err.Error(), "reset") { // the answer may be lost under what was still on its way
			g.t.Errorf("%s, %s: %v", g.name, name, err)
		}
		return
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		g.t.Errorf("%s, %s: %d, want 431", g.name, name, resp.StatusCode)
	}
}

func TestHostileHeaderFlood(t *testing.T) {
	for _, g := range siege(t) {
		for name, lines := range map[string]string{
			"many headers": strings.Repeat("X-"+marked+": "+marked+"\r\n", 5_000),
			"one large":    "X-Large: " + strings.Repeat("x", 1<<20) + "\r\n",
			"no end":       "X-Large: " + strings.Repeat("y", 1<<20),
		} {
			g.flood(name, "GET /fhir/metadata HTTP/1.1\r\nHost: "+g.at+"\r\n"+lines+"\r\n")
		}
		g.refused("after the flood", 404, "GET", "/fhir/Patient/p1", "")
	}
}

// drip sends a text one byte each 50 ms until the station ends it, and tells how long
// that took and what was answered.
func (g gate) drip(head, text string) (time.Duration, string) {
	c := g.dial()
	began := time.Now()
	if _, err := io.WriteString(c, head); err != nil {
		g.t.Fatal(err)
	}
	go func() {
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	c.SetReadDeadline(began.Add(20 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil && strings.Contains(err.Error(), "timeout") {
		g.t.Errorf("%s: still open after 20 s", g.name)
	}
	return time.Since(began), string(b)
}

func TestHostileSlowHeaders(t *testing.T) {
	for _, g := range siege(t) {
		took, answer := g.drip("GET /fhir/metadata HTTP/1.1\r\nHost: "+g.at+"\r\n", "X-Slow: "+strings.Repeat("z", 1000))
		if took > 3*time.Second || strings.Contains(answer, "200 OK") {
			t.Errorf("%s: held for %s: %.60s", g.name, took, answer)
		}
		if took, _ := g.drip("", ""); took > 3*time.Second {
			t.Errorf("%s: silence is held for %s", g.name, took)
		}
	}
}

func TestHostileSlowBody(t *testing.T) {
	for _, g := range siege(t) {
		head := "POST /fhir/Patient HTTP/1.1\r\nHost: " + g.at + "\r\nAuthorization: Bearer " + g.token + "\r\nContent-Type: application/fhir+json\r\n"
		for name, length := range map[string]string{"length told": "Content-Length: 1000\r\n\r\n", "in chunks": "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"} {
			took, answer := g.drip(head+length, hostilePatient[:60]+strings.Repeat(" ", 1000))
			if took > 4*time.Second || strings.Contains(answer, " 201 ") {
				t.Errorf("%s, %s: held for %s: %.60s", g.name, name, took, answer)
			}
		}
	}
}

func TestHostileHugeURL(t *testing.T) {
	for _, g := range siege(t) {
		g.refused("20 KB", 414, "GET", "/fhir/Patient?name="+strings.Repeat("x", 20_000), "")
		g.flood("200 KB", "GET /fhir/Patient?name="+strings.Repeat("x", 200_000)+" HTTP/1.1\r\nHost: "+g.at+"\r\n\r\n")
		if code, _ := g.do("GET", "/people/"+strings.Repeat("x", 20_000), nil); code != http.StatusNotFound {
			t.Errorf("%s: a page's: %d, want 404", g.name, code)
		}
	}
}

func TestHostileTokensAreGuessed(t *testing.T) {
	gates := siege(t)
	began := time.Now()
	var slow time.Duration
	for i := range 12 {
		one := time.Now()
		gates[i%2].refused("a wrong token", 401, "GET", "/fhir/Patient", "", "Authorization", fmt.Sprintf("Bearer tram_%043d", i))
		slow = max(slow, time.Since(one))
	}
	if took := time.Since(began); took < time.Second || slow < time.Second/2 {
		t.Errorf("12 wrong tokens took %s, the slowest %s: nothing holds them back", took, slow)
	}
	for _, g := range gates {
		one := time.Now()
		g.refused("the right token", 404, "GET", "/fhir/Patient/p1", "")
		g.refused("no token", 401, "GET", "/fhir/Patient", "", "Authorization", "")
		if took := time.Since(one); took > time.Second/2 {
			t.Errorf("%s: who guesses nothing waits %s", g.name, took)
		}
	}
}

func TestHostileTokenInTheURL(t *testing.T) {
	for _, g := range siege(t) {
		g.refused("alone", 400, "GET", "/fhir/Patient?access_token="+g.token, "", "Authorization", "")
		g.refused("beside the header", 400, "GET", "/fhir/Patient?access_token="+g.token, "")
		g.refused("as another parameter", 400, "GET", "/fhir/Patient?_id="+g.token, "")
	}
}

func TestHostileUseOfAToken(t *testing.T) {
	for _, g := range siege(t) {
		in, out := g.scoped("system/Observation.c"), g.scoped("system/Patient.rs")
		in.refused("read by who hands in", 403, "GET", "/fhir/Observation/o1", "")
		in.refused("search by who hands in", 403, "GET", "/fhir/Observation", "")
		in.refused("another kind", 403, "POST", "/fhir/Patient", hostilePatient)
		in.refused("history", 403, "GET", "/fhir/_history", "")
		out.refused("create by who reads", 403, "POST", "/fhir/Patient", hostilePatient)
		out.refused("change by who reads", 403, "PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1"}`)
		out.refused("delete by who reads", 403, "DELETE", "/fhir/Patient/p1", "")
		out.refused("a transaction", 403, "POST", "/fhir", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+hostilePatient+`,"request":{"method":"POST","url":"Patient"}}]}`)
		out.refused("what it may", 404, "GET", "/fhir/Patient/p1", "")
		code, answer := out.do("POST", "/fhir", strings.NewReader(`{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Observation"}},{"request":{"method":"GET","url":"Patient"}}]}`))
		if code != 200 || strings.Count(answer, `"status":"403`) != 1 || strings.Count(answer, `"status":"200`) != 1 {
			t.Errorf("%s: a batch: %d %.300s", g.name, code, answer)
		}
	}
}
