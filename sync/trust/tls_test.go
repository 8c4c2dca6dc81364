package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// listen is a real listener of a centre at a time. It answers with the name
// and key that the client proved.
func listen(t *testing.T, a *Authority, made time.Time, o Options) *httptest.Server {
	t.Helper()
	cert, err := a.ServerCertificate([]string{"127.0.0.1", "localhost"}, made)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := PeerName(r.TLS)
		key, kerr := PeerKey(r.TLS)
		if err != nil || kerr != nil {
			http.Error(w, fmt.Sprint(err, ", ", kerr), http.StatusUnauthorized)
			return
		}
		io.WriteString(w, name+" "+key)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = tls.NewListener(s.Listener, ServerTLS(cert, a.Root(), o))
	s.Start()
	s.URL = "https" + strings.TrimPrefix(s.URL, "http")
	t.Cleanup(s.Close)
	return s
}

// ask makes one request and returns the answer's status and text.
func ask(url string, c *tls.Config) (int, string, error) {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func client(t *testing.T, i *Identity, o Options) *tls.Config {
	t.Helper()
	c, err := ClientTLS(i, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// force shows a certificate even where the server's list of authorities tells a
// decent client that it is of no use.
func force(c *tls.Config, cert tls.Certificate) *tls.Config {
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return c
}

func TestConnections(t *testing.T) {
	a, foreign := authority(t), authority(t)
	i, stranger := enrol(t, a, "tram-a", start), enrol(t, foreign, "tram-a", start)
	now := start.Add(30 * 24 * time.Hour)
	o := Options{VerifyAt: at(now)}

	// mixed trusts the right centre but shows another one's certificate.
	mixed := force(client(t, i, o), stranger.certificate())
	// server shows a listener's certificate as if it were a station's.
	lent, err := a.ServerCertificate([]string{"localhost"}, start)
	if err != nil {
		t.Fatal(err)
	}
	server := force(client(t, i, o), lent)
	// own is a certificate that names the station and was signed by nobody.
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tram-a"},
		NotBefore: start, NotAfter: start.Add(Life)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	own := force(client(t, i, o), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	old := client(t, i, o)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	other := client(t, i, o)
	other.ServerName = "hospital.example"

	s := listen(t, a, start, o)
	for _, c := range []struct {
		name   string
		config *tls.Config
		status int // 0: the connection fails
		want   string
	}{
		{"an enrolled station", client(t, i, o), 200, "tram-a " + i.Key()},
		{"without the post-quantum exchange", client(t, i, Options{Classic: true, VerifyAt: o.VerifyAt}), 200, "tram-a " + i.Key()},
		{"before enrolment: connected, named nobody", EnrolTLS(a.Root(), o), 401, ErrNoPeer.Error()},
		{"a station of another centre", mixed, 0, "remote error"},
		{"a station that trusts another centre", client(t, stranger, o), 0, "certificate"},
		{"a certificate signed by itself", own, 0, "remote error"},
		{"a listener's certificate as a client's", server, 0, "remote error"},
		{"TLS 1.2", old, 0, "protocol version"},
		{"a host that the centre is not", other, 0, "hospital.example"},
	} {
		status, got, err := ask(s.URL, c.config)
		if err != nil {
			got = err.Error()
		}
		if status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, got, c.status, c.want)
		}
	}
	fresh, _ := NewIdentity()
	if _, err := ClientTLS(fresh, o); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("ClientTLS before enrolment = %v, want ErrNotEnrolled", err)
	}
}

// A certificate is judged by the time that is known to have been, never by the
// PC's own clock.
func TestTimesOfCertificates(t *testing.T) {
	a := authority(t)
	i := enrol(t, a, "tram-a", start)
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name           string
		server         time.Time // when the listener's certificate was made
		centre, signed time.Time // by which each side judges the other
		ok             bool
	}{
		{"in time", start, start.Add(year / 2), start.Add(year / 2), true},
		{"wall clock past both ends, signed time within", start, start.Add(year / 2), start, true},
		{"a listener newer than what the station last heard", start.Add(5 * year), start.Add(year / 2), start, true},
		{"a station that never heard a signed time", start.Add(5 * year), start.Add(year / 2), time.Time{}, true},
		{"the station's certificate ended by the centre's time", start.Add(year), start.Add(year + time.Hour), start, false},
		{"the listener's certificate ended by signed time", start, start.Add(year / 2), start.Add(ServerLife + time.Hour), false},
		{"a centre whose clock fell back before its root", start, start.Add(-10 * year), start, true},
	} {
		s := listen(t, a, c.server, Options{VerifyAt: at(c.centre)})
		status, got, err := ask(s.URL, client(t, i, Options{VerifyAt: at(c.signed)}))
		if (status == 200) != c.ok {
			t.Errorf("%s: %d %q %v, want ok %v", c.name, status, got, err, c.ok)
		}
	}
}

// A station offline for too long gets back in by its old key.
func TestExpiredStationRenewsItself(t *testing.T) {
	a := authority(t)
	i := enrol(t, a, "tram-a", start)
	late := start.Add(2 * Life)
	s := listen(t, a, late, Options{VerifyAt: at(late)})
	o := Options{VerifyAt: at(start)}
	if status, got, err := ask(s.URL, client(t, i, o)); err == nil {
		t.Fatalf("the expired certificate got %d %q, want a failed connection", status, got)
	}
	if status, _, err := ask(s.URL, EnrolTLS(i.Root(), o)); err != nil || status != 401 {
		t.Fatalf("without certificate %d %v, want 401 and the way to renew open", status, err)
	}
	req, err := PrepareRenewal(i)
	if err != nil {
		t.Fatal(err)
	}
	ans, err := a.Renew(*req.Renewal, nil, late)
	if err != nil {
		t.Fatal(err)
	}
	next, err := FinishEnrol(i, i.RootPEM(), i.Replica(), ans)
	if err != nil {
		t.Fatal(err)
	}
	if status, got, err := ask(s.URL, client(t, next, o)); status != 200 || got != "tram-a "+i.Key() {
		t.Errorf("renewed: %d %q %v, want 200", status, got, err)
	}
}

func TestRefusedReplica(t *testing.T) {
	a := authority(t)
	i, b := enrol(t, a, "tram-a", start), enrol(t, a, "tram-b", start)
	var denied atomic.Value
	denied.Store("")
	o := Options{VerifyAt: at(start)}
	s := listen(t, a, start, Options{VerifyAt: o.VerifyAt, Refuse: func(replica, key string) bool {
		return replica+" "+key == denied.Load()
	}})
	if status, _, err := ask(s.URL, client(t, i, o)); status != 200 {
		t.Fatalf("before: %d %v, want 200", status, err)
	}
	denied.Store("tram-a " + i.Key())
	if status, got, err := ask(s.URL, client(t, i, o)); err == nil {
		t.Errorf("a refused station got %d %q, want a failed connection", status, got)
	}
	if status, _, err := ask(s.URL, client(t, b, o)); status != 200 {
		t.Errorf("another station: %d %v, want 200", status, err)
	}
}

// A station's certificate opens no listener that others take for the centre.
func TestStationCannotPoseAsCentre(t *testing.T) {
	a := authority(t)
	i, b := enrol(t, a, "localhost", start), enrol(t, a, "tram-b", start)
	o := Options{VerifyAt: at(start)}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = tls.NewListener(s.Listener, ServerTLS(i.certificate(), a.Root(), o))
	s.Start()
	defer s.Close()
	c := client(t, b, o)
	c.ServerName = "localhost"
	status, _, err := ask("https"+strings.TrimPrefix(s.URL, "http"), c)
	if err == nil {
		t.Errorf("a station named localhost answered as the centre: %d", status)
	}
	// Its name apart, the usage alone must keep it out.
	_, err = i.cert.Verify(x509.VerifyOptions{Roots: pool(a.Root()), CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err == nil {
		t.Error("a station's certificate serves as a listener's")
	}
}

func TestServerNeedsAHost(t *testing.T) {
	if _, err := authority(t).ServerCertificate(nil, start); err == nil {
		t.Error("ServerCertificate without a host succeeded")
	}
}

// counted counts the bytes of a connection, both ways.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// connect makes one request over a connection of its own, and counts its bytes.
func connect(t *testing.T, s *httptest.Server, c *tls.Config) (cs tls.ConnectionState, handshake, all int64, err error) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var n atomic.Int64
	c.ServerName = "localhost"
	tc := tls.Client(counted{conn, &n}, c)
	if err := tc.Handshake(); err != nil {
		return cs, 0, 0, err
	}
	handshake = n.Load()
	// What the server says after the handshake, such as a ticket, comes with
	// the first answer.
	io.WriteString(tc, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(tc)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		err = fmt.Errorf("answer %q", answer)
	}
	return tc.ConnectionState(), handshake, n.Load(), err
}

// TestHandshakeBytes prints what a connection costs (go test -v) and holds the
// figures that a thin link is planned with.
func TestHandshakeBytes(t *testing.T) {
	a := authority(t)
	i := enrol(t, a, "tram-a", start)
	for _, test := range []struct {
		classic   bool
		want      tls.CurveID
		first, on int64
	}{{false, tls.X25519MLKEM768, 4800, 3400}, {true, tls.X25519, 2500, 1100}} {
		o := Options{Classic: test.classic, VerifyAt: at(start)}
		s, c := listen(t, a, start, o), client(t, i, o)
		for _, again := range []bool{false, true} {
			cs, handshake, all, err := connect(t, s, c)
			if err != nil {
				t.Fatal(err)
			}
			if cs.CurveID != test.want || cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "http/1.1" || cs.DidResume != again {
				t.Errorf("%v, version %x, %q, taken up %t; want %v, TLS 1.3, http/1.1, %t", cs.CurveID, cs.Version, cs.NegotiatedProtocol, cs.DidResume, test.want, again)
			}
			t.Logf("%v, taken up %t: %d bytes both ways for the handshake, %d with one small request and answer, without TCP's and IP's", cs.CurveID, again, handshake, all)
			if most := map[bool]int64{false: test.first, true: test.on}[again]; all > most {
				t.Errorf("a connection costs %d bytes, want at most %d", all, most)
			}
		}
	}
}

// A connection that is taken up again is refused as a new one is; one that the listener
// does not know any more begins anew.
func TestTakenUpAgain(t *testing.T) {
	a := authority(t)
	i := enrol(t, a, "tram-a", start)
	var refused atomic.Bool
	o := Options{VerifyAt: at(start), Refuse: func(string, string) bool { return refused.Load() }}
	s, c := listen(t, a, start, o), client(t, i, o)
	for _, again := range []bool{false, true} {
		cs, _, _, err := connect(t, s, c)
		if err != nil || cs.DidResume != again {
			t.Fatalf("taken up %t, %v; want %t", cs.DidResume, err, again)
		}
	}
	refused.Store(true)
	if _, _, _, err := connect(t, s, c); err == nil {
		t.Error("who is refused takes a connection up again")
	}
	refused.Store(false)
	other := listen(t, a, start, o)
	if cs, _, _, err := connect(t, other, c); err != nil || cs.DidResume {
		t.Errorf("at another listener: taken up %t, %v", cs.DidResume, err)
	}
}

func TestSessionsAreForgotten(t *testing.T) {
	s := &sessions{of: map[[sessionID]byte][]byte{}}
	first, err := s.keep(&tls.SessionState{})
	if err != nil {
		t.Fatal(err)
	}
	for range maxSessions {
		if _, err := s.keep(&tls.SessionState{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.of) != maxSessions || len(s.order) != maxSessions {
		t.Errorf("%d and %d kept, want %d", len(s.of), len(s.order), maxSessions)
	}
	for name, id := range map[string][]byte{"the first": first, "none": nil, "another's": make([]byte, sessionID), "a long one": make([]byte, 3000)} {
		if state, err := s.find(id); state != nil || err != nil {
			t.Errorf("%s: %v, %v", name, state, err)
		}
	}
}
