package trust

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"tram/store/record"
)

// start is when the tests' centre was made.
var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// box is a Sealer: AES-GCM with the place as what it authenticates.
type box [32]byte

func (b box) gcm(t string) (cipher.AEAD, []byte) {
	block, err := aes.NewCipher(b[:])
	if err != nil {
		panic(err)
	}
	g, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return g, []byte(t)
}

func (b box) Seal(place string, plain []byte) ([]byte, error) {
	g, ad := b.gcm(place)
	return g.Seal(nil, nil, plain, ad), nil
}

func (b box) Open(place string, sealed []byte) ([]byte, error) {
	g, ad := b.gcm(place)
	return g.Open(nil, nil, sealed, ad)
}

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// enrol makes an identity and lets the centre answer it at a time.
func enrol(t *testing.T, a *Authority, name string, at time.Time) *Identity {
	t.Helper()
	i, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	req, err := PrepareEnrol(i, NewCode().String())
	if err != nil {
		t.Fatal(err)
	}
	ans, err := a.Enrol(req.CSR, name, at)
	if err != nil {
		t.Fatal(err)
	}
	done, err := FinishEnrol(i, a.RootPEM(), name, ans)
	if err != nil {
		t.Fatal(err)
	}
	if i.Enrolled() || !done.Enrolled() {
		t.Fatalf("enrolled before %v, after %v; want the old value as it was", i.Enrolled(), done.Enrolled())
	}
	return done
}

func TestValidName(t *testing.T) {
	for s, want := range map[string]bool{
		"tram-a": true, "t": true, "79.123": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, ".a": false, "Tram": false, "trạm": false, "a b": false, "a\n": false, "a/b": false,
		strings.Repeat("a", 64): false,
	} {
		if got := ValidName(s); got != want {
			t.Errorf("ValidName(%q) = %v, want %v", s, got, want)
		}
	}
}

// What a request asks for is not what its sender gets.
func TestIssueReadsOnlyTheKey(t *testing.T) {
	a := authority(t)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "tram-b", Organization: []string{"Ministry"}},
		DNSNames: []string{"centre.example"},
		ExtraExtensions: []pkix.Extension{{ // basicConstraints: cA TRUE
			Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.Issue(toPEM(pemRequest, der), "tram-a", start)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	name, err := checkClient(c, a.Root())
	if err != nil || name != "tram-a" || c.Subject.String() != "CN=tram-a" {
		t.Errorf("name %q, subject %q, %v; want tram-a", name, c.Subject, err)
	}
	if c.IsCA || len(c.DNSNames) != 0 || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.ExtKeyUsage) != 1 {
		t.Errorf("CA %v, hosts %v, usages %v %v; want a client's alone", c.IsCA, c.DNSNames, c.KeyUsage, c.ExtKeyUsage)
	}
	if got, want := c.NotAfter, start.Add(Life); !got.Equal(want) {
		t.Errorf("ends %v, want %v", got, want)
	}
	t.Logf("a station's certificate has %d bytes", len(c.Raw))
}

func TestIssueRefuses(t *testing.T) {
	a := authority(t)
	i, _ := NewIdentity()
	good, err := i.CSR()
	if err != nil {
		t.Fatal(err)
	}
	der, _ := fromPEM(pemRequest, good)
	bent := bytes.Clone(der)
	bent[len(bent)-1] ^= 1
	weak, _ := rsa.GenerateKey(rand.Reader, 2048)
	weakDER, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	other, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	otherDER, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, other)
	for _, c := range []struct {
		name, csr, replica string
		want               error
	}{
		{"good", good, "tram-a", nil},
		{"a bent signature", toPEM(pemRequest, bent), "tram-a", ErrRequest},
		{"an RSA key", toPEM(pemRequest, weakDER), "tram-a", ErrRequest},
		{"another curve", toPEM(pemRequest, otherDER), "tram-a", ErrRequest},
		{"a certificate instead", a.RootPEM(), "tram-a", ErrRequest},
		{"two requests", good + good, "tram-a", ErrRequest},
		{"no PEM", "hello", "tram-a", ErrRequest},
		{"empty", "", "tram-a", ErrRequest},
		{"too large", good + strings.Repeat(" ", MaxMessage), "tram-a", ErrTooLarge},
		{"a name that breaks lines", good, "tram-a\ntram-b", ErrName},
	} {
		if _, err := a.Issue(c.csr, c.replica, start); !errors.Is(err, c.want) {
			t.Errorf("%s: Issue = %v, want %v", c.name, err, c.want)
		}
	}
	if key, err := RequestKey(good); err != nil || key != i.Key() || len(key) != 43 {
		t.Errorf("RequestKey = %q, %v, want %q", key, err, i.Key())
	}
}

// A centre of long ago: every certificate in it has ended by the wall clock.
func TestRenewal(t *testing.T) {
	start := time.Date(2001, 3, 1, 8, 0, 0, 0, time.UTC)
	a, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	i := enrol(t, a, "tram-a", start)
	half := start.Add(Life / 2)
	if i.RenewDue(half.Add(-time.Second)) || !i.RenewDue(half) {
		t.Errorf("due a second before half-life %v, at it %v; want false, true", i.RenewDue(half.Add(-time.Second)), i.RenewDue(half))
	}
	req, err := PrepareRenewal(i)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		at   time.Time
	}{{"from half-life", half}, {"two years after expiry", start.Add(3 * Life)}} {
		ans, err := a.Renew(*req.Renewal, nil, c.at)
		if err != nil {
			t.Errorf("%s: Renew: %v", c.name, err)
			continue
		}
		next, err := FinishEnrol(i, i.RootPEM(), i.Replica(), ans)
		if err != nil {
			t.Errorf("%s: FinishEnrol: %v", c.name, err)
			continue
		}
		if next.Key() != i.Key() || next.Replica() != "tram-a" || !next.Expires().Equal(c.at.Add(Life)) {
			t.Errorf("%s: %s until %v under key %s, want tram-a until %v under %s", c.name, next.Replica(), next.Expires(), next.Key(), c.at.Add(Life), i.Key())
		}
	}
}

func TestRenewalRefuses(t *testing.T) {
	a, foreign := authority(t), authority(t)
	i, b, stranger := enrol(t, a, "tram-a", start), enrol(t, a, "tram-b", start), enrol(t, foreign, "tram-a", start)
	mine, _ := i.Renewal()
	theirs, _ := b.Renewal()
	strange, _ := stranger.Renewal()
	bent := RenewRequest{mine.Certificate, bytes.Clone(mine.Sig)}
	bent.Sig[len(bent.Sig)-1] ^= 1
	deny := func(replica, key string) bool { return replica == "tram-a" && key == i.Key() }
	for _, c := range []struct {
		name   string
		req    RenewRequest
		refuse Refuse
		want   error
	}{
		{"its own", mine, nil, nil},
		{"another is denied", theirs, deny, nil},
		{"denied", mine, deny, ErrRefused},
		{"a bent signature", bent, nil, ErrRequest},
		{"another's certificate under this key", RenewRequest{theirs.Certificate, mine.Sig}, nil, ErrRequest},
		{"another centre's", strange, nil, ErrForeign},
		{"the root as certificate", RenewRequest{a.RootPEM(), mine.Sig}, nil, ErrForeign},
		{"nothing", RenewRequest{}, nil, ErrRequest},
	} {
		if _, err := a.Renew(c.req, c.refuse, start.Add(Life)); !errors.Is(err, c.want) {
			t.Errorf("%s: Renew = %v, want %v", c.name, err, c.want)
		}
	}
	fresh, _ := NewIdentity()
	if _, err := fresh.Renewal(); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("Renewal before enrolment = %v, want ErrNotEnrolled", err)
	}
}

func TestReceipts(t *testing.T) {
	a := authority(t)
	good := a.SignReceipt(record.Receipt{
		Link:  record.Link{Lineage: "abcdefghij234567", N: 7, Chain: record.Digest(sha256.New().Sum(nil)[:16])},
		Epoch: "e1", At: start.UnixMilli(),
	})
	if err := VerifyReceipt(a.ReceiptKey(), good); err != nil {
		t.Fatalf("a good receipt: %v", err)
	}
	for _, c := range []struct {
		name string
		bend func(*record.Receipt)
	}{
		{"lineage", func(r *record.Receipt) { r.Lineage = "bbcdefghij234567" }},
		{"number", func(r *record.Receipt) { r.N = 8 }},
		{"chain", func(r *record.Receipt) { r.Chain[15] ^= 1 }},
		{"epoch", func(r *record.Receipt) { r.Epoch = "e2" }},
		{"time", func(r *record.Receipt) { r.At++ }},
		{"signature", func(r *record.Receipt) { r.Sig = bytes.Clone(r.Sig); r.Sig[0] ^= 1 }},
		{"no signature", func(r *record.Receipt) { r.Sig = nil }},
		{"a signed epoch that breaks the line", func(r *record.Receipt) { r.Epoch = "e1\n5"; *r = a.SignReceipt(*r) }},
		{"a signed lineage that is none", func(r *record.Receipt) { r.Lineage = "x\n7"; *r = a.SignReceipt(*r) }},
	} {
		r := good
		c.bend(&r)
		if err := VerifyReceipt(a.ReceiptKey(), r); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s changed: VerifyReceipt = %v, want ErrReceipt", c.name, err)
		}
	}
	if err := VerifyReceipt(authority(t).ReceiptKey(), good); !errors.Is(err, ErrReceipt) {
		t.Errorf("another centre's key: VerifyReceipt = %v, want ErrReceipt", err)
	}
	if err := VerifyReceipt(nil, good); !errors.Is(err, ErrReceipt) {
		t.Errorf("no key: VerifyReceipt = %v, want ErrReceipt", err)
	}
}

func TestKeptSealed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	seal := box{1}
	a := authority(t)
	if _, err := LoadAuthority(dir, seal); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadAuthority of nothing = %v, want fs.ErrNotExist", err)
	}
	if _, err := LoadIdentity(dir, seal); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadIdentity of nothing = %v, want fs.ErrNotExist", err)
	}
	if err := a.Store(dir, seal); err != nil {
		t.Fatal(err)
	}
	if err := authority(t).Store(dir, seal); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second authority: Store = %v, want fs.ErrExist", err)
	}
	got, err := LoadAuthority(dir, seal)
	if err != nil {
		t.Fatal(err)
	}
	code, _, _, _ := a.Codes(CodeState{}).Issue("tram-a", start, time.Hour)
	if got.RootPEM() != a.RootPEM() || !got.ReceiptKey().Equal(a.ReceiptKey()) || code.tag(got.codes) != code.tag(a.codes) {
		t.Error("the authority came back as another one")
	}

	i, _ := NewIdentity()
	if err := i.Store(dir, seal); err != nil {
		t.Fatal(err)
	}
	back, err := LoadIdentity(dir, seal)
	if err != nil || back.Enrolled() || back.Key() != i.Key() {
		t.Fatalf("an identity without certificate came back as %+v, %v", back, err)
	}
	csr, _ := back.CSR()
	ans, err := got.Enrol(csr, "tram-a", start)
	if err != nil {
		t.Fatal(err)
	}
	if i, err = FinishEnrol(back, got.RootPEM(), "tram-a", ans); err != nil {
		t.Fatal(err)
	}
	if err := i.Store(dir, seal); err != nil {
		t.Fatal(err)
	}
	back, err = LoadIdentity(dir, seal)
	if err != nil || back.Replica() != "tram-a" || back.Key() != i.Key() || !back.ReceiptKey().Equal(a.ReceiptKey()) || !back.Expires().Equal(i.Expires()) {
		t.Errorf("an enrolled identity came back as %+v, %v", back, err)
	}
	if _, err := LoadIdentity(dir, box{2}); err == nil {
		t.Error("another key opens the identity")
	}

	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v; want the two kept ones and no rest", len(files), err)
	}
	plain, _ := i.encode()
	for _, f := range files {
		b, _ := os.ReadFile(filepath.Join(dir, f.Name()))
		if bytes.Contains(b, plain[20:60]) || bytes.Contains(b, []byte("receiptKey")) || bytes.Contains(b, []byte("tram-a")) {
			t.Errorf("%s holds plain text", f.Name())
		}
		if info, _ := f.Info(); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode().Perm())
		}
	}

	// One kept thing put in the other's place does not open.
	if err := os.Rename(filepath.Join(dir, authorityFile), filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(dir, seal); err == nil {
		t.Error("an authority opens as an identity")
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(dir, seal); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file too large: LoadIdentity = %v, want ErrTooLarge", err)
	}
}

// failing is a Sealer whose Seal does not work.
type failing struct{ box }

func (failing) Seal(string, []byte) ([]byte, error) { return nil, errors.New("no seal") }

func TestFailedStoreKeepsTheOldIdentity(t *testing.T) {
	dir := t.TempDir()
	i, _ := NewIdentity()
	if err := i.Store(dir, box{}); err != nil {
		t.Fatal(err)
	}
	other, _ := NewIdentity()
	if err := other.Store(dir, failing{}); err == nil {
		t.Error("Store with a broken seal succeeded")
	}
	back, err := LoadIdentity(dir, box{})
	if err != nil || back.Key() != i.Key() {
		t.Errorf("key %v, %v; want the old one", back, err)
	}
}

// A replica signs, for a stick or in a handshake, while it works out the key to which
// answers are sealed.
func TestSigningWhileStickKeyIsWorkedOut(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			if _, err := id.StickKey(); err != nil {
				t.Error(err)
			}
		}
	}()
	sum := sha256.Sum256([]byte("what is signed"))
	for signing := true; signing; {
		select {
		case <-done:
			signing = false
		default:
		}
		sig, err := id.SignStick(sum)
		if err != nil || verifyStick(&id.key.PublicKey, sum, sig) != nil {
			t.Fatalf("a signature of the replica's own key is not one: %v", err)
		}
	}
}
