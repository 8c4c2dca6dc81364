package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Issue answers a request (PEM) with a client certificate (PEM) for replica,
// valid for Life from now on. The request's signature proves the key; its
// wishes for a name, usages or extensions are not read. It fails with
// ErrRequest or ErrName.
func (a *Authority) Issue(csr, replica string, now time.Time) (string, error) {
	pub, err := requestKey(csr)
	if err != nil {
		return "", err
	}
	return a.client(pub, replica, now)
}

// RequestKey is the fingerprint of the key that a request (PEM) proves.
func RequestKey(csr string) (string, error) {
	pub, err := requestKey(csr)
	if err != nil {
		return "", err
	}
	return Fingerprint(pub), nil
}

func requestKey(csr string) (*ecdsa.PublicKey, error) {
	der, err := fromPEM(pemRequest, csr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil || Fingerprint(req.PublicKey) == "" || req.CheckSignature() != nil {
		return nil, ErrRequest
	}
	return req.PublicKey.(*ecdsa.PublicKey), nil
}

// client makes a replica's certificate.
func (a *Authority) client(pub *ecdsa.PublicKey, replica string, now time.Time) (string, error) {
	if !ValidName(replica) {
		return "", ErrName
	}
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: replica},
		URIs:        []*url.URL{nameURI(replica)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, pub, now, Life)
	if err != nil {
		return "", err
	}
	return toPEM(pemCertificate, der), nil
}

// sign completes and signs a certificate. Its validity begins with the root's:
// who judges it may know no later time than that (see Options.VerifyAt), so
// only the end of a validity means anything.
func (a *Authority) sign(c *x509.Certificate, pub *ecdsa.PublicKey, now time.Time, life time.Duration) ([]byte, error) {
	c.NotBefore = a.root.NotBefore
	c.NotAfter = later(now.UTC(), a.root.NotBefore).Add(life)
	if c.NotAfter.After(a.root.NotAfter) {
		c.NotAfter = a.root.NotAfter
	}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, c, a.root, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return der, nil
}

// ServerCertificate makes a certificate for the centre's own listener with a
// new key that lives in memory only, valid for ServerLife. Hosts are the DNS
// names and IP addresses that stations dial.
func (a *Authority) ServerCertificate(hosts []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the listener's key: %w", err)
	}
	c := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Tram centre"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	if len(hosts) == 0 {
		return tls.Certificate{}, fmt.Errorf("make the listener's certificate: no host given")
	}
	der, err := a.sign(c, &key.PublicKey, now, ServerLife)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// RenewRequest asks for a new certificate for a key that the centre bound to a
// replica before. The signature is by that key, so it holds after the old
// certificate has expired. A repeat yields one more certificate for the same
// key, which is of no use to anybody else.
type RenewRequest struct {
	Certificate string `json:"certificate"`
	Sig         []byte `json:"sig"`
}

// signed is what a renewal's signature covers.
func (r RenewRequest) signed() []byte {
	sum := sha256.Sum256([]byte("tram renewal 1\n" + r.Certificate))
	return sum[:]
}

// Renew answers a renewal. It fails with ErrForeign if the certificate is not
// this centre's, ErrRequest if the key does not prove itself, and ErrRefused
// if the deny list names it; refuse may be nil.
func (a *Authority) Renew(r RenewRequest, refuse Refuse, now time.Time) (EnrolAnswer, error) {
	old, err := parseCertificate(r.Certificate)
	if err != nil {
		return EnrolAnswer{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	name, err := checkClient(old, a.root)
	if err != nil {
		return EnrolAnswer{}, err
	}
	pub, ok := old.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(pub, r.signed(), r.Sig) {
		return EnrolAnswer{}, ErrRequest
	}
	if refuse != nil && refuse(name, Fingerprint(pub)) {
		return EnrolAnswer{}, ErrRefused
	}
	cert, err := a.client(pub, name, now)
	if err != nil {
		return EnrolAnswer{}, err
	}
	return a.answer(name, cert)
}

// checkClient verifies that root issued c to a replica, whether it has expired
// or not, and reads the replica's name.
func checkClient(c, root *x509.Certificate) (string, error) {
	_, err := c.Verify(x509.VerifyOptions{
		Roots:       pool(root),
		CurrentTime: c.NotAfter,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrForeign, err)
	}
	name, err := certName(c)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return name, nil
}

func pool(root *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(root)
	return p
}
