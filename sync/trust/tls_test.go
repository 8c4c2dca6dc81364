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

// TestHandshakeBytes prints what a connection costs (go test -v) and holds the
// figures that a thin link is planned with.
func TestHandshakeBytes(t *testing.T) {
	a := authority(t)
	i := enrol(t, a, "tram-a", start)
	cost := map[bool]int64{}
	for _, classic := range []bool{false, true} {
		o := Options{Classic: classic, VerifyAt: at(start)}
		s := listen(t, a, start, o)
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var n atomic.Int64
		c := client(t, i, o)
		c.ServerName = "localhost"
		// A client that would take a ticket is not given one.
		c.SessionTicketsDisabled, c.ClientSessionCache = false, tls.NewLRUClientSessionCache(1)
		tc := tls.Client(counted{conn, &n}, c)
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		handshake := n.Load()
		// What the server says after the handshake, such as a ticket, comes with
		// the first answer.
		const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
		io.WriteString(tc, request)
		answer, err := io.ReadAll(tc)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			t.Fatalf("answer %q, %v", answer, err)
		}
		cost[classic] = n.Load()
		cs := tc.ConnectionState()
		want := tls.X25519MLKEM768
		if classic {
			want = tls.X25519
		}
		if cs.CurveID != want || cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "http/1.1" {
			t.Errorf("classic %v: %v, version %x, %q; want %v, TLS 1.3, http/1.1", classic, cs.CurveID, cs.Version, cs.NegotiatedProtocol, want)
		}
		t.Logf("%v: %d bytes both ways for the handshake, %d with one small request and answer, without TCP's and IP's", cs.CurveID, handshake, cost[classic])
	}
	if cost[true] > 2400 || cost[false] > 4700 {
		t.Errorf("a connection costs %d bytes, classic %d; want at most 4700 and 2400", cost[false], cost[true])
	}
}
