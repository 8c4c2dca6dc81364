package central

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"tram/sync/carry"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// post sends one request as a client would.
func (p *pc) post(conf *tls.Config, path string, body []byte) ([]byte, error) {
	client := carry.NewClient(p.site.url, conf, slog.New(slog.DiscardHandler))
	defer client.Close()
	return client.Post(context.Background(), path, body, 1<<20)
}

// shut reports whether a handshake failed; the end of the connection may overtake
// the alert that says why.
func shut(err error) bool {
	f := carry.FailureOf(err)
	return f == status.FailCertificate || f == status.FailLink
}

func TestEnrolByCode(t *testing.T) {
	s := newSite(t)
	p := s.newPC("tram-a")
	kit := s.code("tram-a")
	must(t, p.enrol(kit))
	if !p.id.Enrolled() || p.id.Replica() != "tram-a" {
		t.Fatalf("enrolled as %q", p.id.Replica())
	}
	p.sync()
	// The answer was lost: the same key asks once more.
	must(t, p.enrol(kit))
	p.sync()
	// Another PC with the same sheet of paper.
	other := s.newPC("tram-a")
	for range 2 {
		if err := other.enrol(kit); carry.FailureOf(err) != status.FailRefused {
			t.Errorf("another key with a used code: %v, want it refused", err)
		}
		s.restart()
	}
	if !strings.Contains(s.logged(), "two keys used one code") || strings.Contains(s.logged(), kit.Code) {
		t.Errorf("the log does not tell, or tells the code:\n%s", s.logged())
	}
	// Nobody gets a certificate by that code any more, and who has one keeps it.
	if err := p.enrol(kit); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("the first key with a quarantined code: %v", err)
	}
	p.sync()
}

func TestCodesThatOpenNothing(t *testing.T) {
	s := newSite(t)
	old := s.code("tram-a")
	kit := s.code("tram-a") // takes the old one's place
	p := s.newPC("tram-a")
	wrong := kit
	wrong.Code = trust.NewCode().String()
	for name, k := range map[string]trust.Kit{"never issued": wrong, "withdrawn": old} {
		if err := p.enrol(k); carry.FailureOf(err) != status.FailRefused {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	s.pass(CodeLife)
	if err := p.enrol(kit); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("expired: %v, want it refused", err)
	}
	fresh := s.code("tram-a")
	foreign := newSite(t)
	mixed := fresh
	mixed.Root = foreign.code("tram-a").Root
	if err := p.enrol(mixed); carry.FailureOf(err) != status.FailCertificate {
		t.Errorf("a kit with another centre's root: %v, want a certificate that does not hold", err)
	}
	for range trust.MaxTries {
		p.enrol(wrong)
	}
	if err := p.enrol(fresh); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("locked after %d wrong codes: %v", trust.MaxTries, err)
	}
	s.restart() // a lock outlives it
	if err := p.enrol(fresh); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("locked, after a restart: %v", err)
	}
	s.pass(trust.LockFor)
	must(t, p.enrol(fresh))
	for _, name := range []string{"", "Trạm A", "-a", strings.Repeat("a", 64)} {
		if _, err := s.Enrol(context.Background(), name, "", s.url); !errors.Is(err, trust.ErrName) {
			t.Errorf("a kit for %q: %v, want ErrName", name, err)
		}
	}
}

func TestNameStaysWithItsStation(t *testing.T) {
	s := newSite(t)
	for i, c := range []struct {
		station string
		want    error
	}{{"tram-a", nil}, {"tram-a", nil}, {"", nil}, {"tram-b", ErrOtherStation}} {
		if _, err := s.Enrol(t.Context(), "pc1", c.station, s.url); !errors.Is(err, c.want) {
			t.Errorf("kit %d, for %q: %v, want %v", i, c.station, err, c.want)
		}
	}
	peers, err := s.store.Peers()
	if must(t, err); len(peers) != 1 || peers[0].Station != "tram-a" {
		t.Errorf("pc1 serves %+v, want tram-a", peers)
	}
}

func TestCertificateIsRenewedAfterItsEnd(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	s.pass(3 * 366 * 24 * time.Hour)
	s.restart() // its own certificate is new then
	if _, err := p.exchange(); !shut(err) {
		t.Fatalf("an expired certificate: %v", err)
	}
	req, err := trust.PrepareRenewal(p.id)
	must(t, err)
	must(t, p.certify(p.id.RootPEM(), req))
	p.sync()
	must(t, s.Deny(context.Background(), "tram-a", true))
	req, err = trust.PrepareRenewal(p.id)
	must(t, err)
	if err := p.certify(p.id.RootPEM(), req); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("a denied station renews: %v", err)
	}
}

// What stands on the stations' address, seen by somebody without a certificate.
func TestStrangersGetNothing(t *testing.T) {
	s := newSite(t)
	kit := s.code("tram-a")
	root, err := trust.ParseRoot(kit.Root)
	must(t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.EnrolTLS(root, trust.Options{VerifyAt: s.clock})}}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"an exchange", "POST", carry.ExchangePath, "", 401},
		{"a report", "POST", carry.StatusPath, `{}`, 401},
		{"the fleet", "GET", "/fleet.json", "", 404},
		{"the FHIR face", "GET", "/fhir/Patient", "", 404},
		{"the page", "GET", "/", "", 404},
		{"a look at enrolment", "GET", carry.EnrolPath, "", 405},
		{"an empty enrolment", "POST", carry.EnrolPath, "", 400},
		{"a list", "POST", carry.EnrolPath, "[]", 400},
		{"a code alone", "POST", carry.EnrolPath, `{"code":"` + kit.Code + `"}`, 400},
		{"a request that is none", "POST", carry.EnrolPath, `{"code":"` + kit.Code + `","csr":"x"}`, 403},
		{"code and renewal", "POST", carry.EnrolPath, `{"code":"a","csr":"x","renewal":{}}`, 400},
		{"a renewal of nothing", "POST", carry.EnrolPath, `{"renewal":{}}`, 403},
		{"too much", "POST", carry.EnrolPath, `{"code":"` + strings.Repeat("A", trust.MaxMessage) + `"}`, 413},
	} {
		req, err := http.NewRequest(c.method, s.url+c.path, bytes.NewReader([]byte(c.body)))
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != c.want || strings.Count(string(text), "\n") != 1 {
			t.Errorf("%s: %s %q, want %d and one sentence", c.name, resp.Status, text, c.want)
		}
	}
	// A certificate of another centre, for a name that is known here.
	foreign := newSite(t).enrolledPC("tram-a")
	foreign.site = s
	if _, err := foreign.exchange(); !shut(err) {
		t.Errorf("another centre's station: %v", err)
	}
	// A station that this centre never heard of, though it signed for it.
	ghost := s.newPC("tram-ghost")
	csr, err := ghost.id.CSR()
	must(t, err)
	answer, err := s.authority.Enrol(csr, "tram-ghost", s.clock())
	must(t, err)
	ghost.id, err = trust.FinishEnrol(ghost.id, kit.Root, "tram-ghost", answer)
	must(t, err)
	if r, err := ghost.exchange(); carry.FailureOf(err) != status.FailRefused {
		t.Errorf("a station without an enrolment: %+v, %v", r, err)
	}
	// The code was in none of this spent.
	p := s.newPC("tram-a")
	must(t, p.enrol(kit))
	if r := p.sync(); r.Refused != wire.Refusal("") {
		t.Errorf("refused as %q", r.Refused)
	}
}

// The authority opens after keys rotated: its stations know it.
func TestCentreIsKnownAfterKeysRotate(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	must(t, s.Store().Rotate(context.Background()))
	s.restart()
	if _, err := p.tell(status.Report{Station: "tram-a", Made: s.clock().UnixMilli()}.Encode()); err != nil {
		t.Error(err)
	}
}
