// Package trust owns who is who: a centre's root and its signing key, a
// station's key and certificate, one-time enrolment codes, and the signatures
// on receipts.
//
// It promises that a private key never leaves its process but through a
// Sealer, that a certificate says only what the centre decided (never what was
// asked for), and that a wrong clock at a station shuts nobody out: whoever
// judges a certificate names the time it is judged at. It knows neither how
// requests travel nor where a centre keeps its stations; only keep.go touches
// files.
package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrName says that a text is no replica's name.
	ErrName = errors.New("not a replica's name: 1 to 63 of a-z 0-9 - . beginning with a letter or digit")
	// ErrRequest says that a request for a certificate is malformed or proves no key.
	ErrRequest = errors.New("the request for a certificate proves no P-256 key")
	// ErrForeign says that a certificate or an answer is not from this centre.
	ErrForeign = errors.New("not from this centre")
	// ErrRefused says that the centre's deny list names the replica or its key.
	ErrRefused = errors.New("the centre refuses this replica or its key")
	// ErrNoPeer says that the other side of a connection showed no certificate
	// that names a replica.
	ErrNoPeer = errors.New("the other side names no replica")
	// ErrReceipt says that a receipt does not bear the centre's signature.
	ErrReceipt = errors.New("the receipt is not signed by the centre")
	// ErrNotEnrolled says that an identity has a key but no certificate yet.
	ErrNotEnrolled = errors.New("not enrolled yet")
	// ErrTooLarge says that a message exceeds MaxMessage.
	ErrTooLarge = errors.New("the message is too large")
)

const (
	// Life is how long a replica's certificate lasts. It is renewed from half of it.
	Life = 365 * 24 * time.Hour
	// ServerLife is how long the certificate of a centre's listener lasts.
	ServerLife = 2 * 365 * 24 * time.Hour
	// RootLife is how long a centre's root lasts.
	RootLife = 30 * 365 * 24 * time.Hour
	// MaxMessage limits every enrolment message, in bytes.
	MaxMessage = 16 << 10
)

// Sealer encrypts what is kept in files. Seal binds the plain text to the
// place, and Open fails for what was sealed for another place or changed. Both
// may be called from several goroutines, and no error passes by waiting.
type Sealer interface {
	Seal(place string, plain []byte) ([]byte, error)
	Open(place string, sealed []byte) ([]byte, error)
}

// Refuse is a centre's deny list: it reports whether the replica with the key
// of this fingerprint is shut out. It is called from many goroutines.
type Refuse func(replica, key string) bool

// ValidName reports whether s can name a replica.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[0] == '.' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// Fingerprint names a public key: the SHA-256 of its SubjectPublicKeyInfo
// (RFC 5280, 4.1.2.7) in unpadded base64url, 43 characters. A key of another
// kind than P-256 has none.
func Fingerprint(pub any) string {
	k, ok := pub.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return ""
	}
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// replicaURN begins the URI that names a replica in its certificate.
const replicaURN = "tram:replica:"

// nameURI is the subject alternative name of a replica's certificate.
func nameURI(replica string) *url.URL {
	return &url.URL{Scheme: "urn", Opaque: replicaURN + replica}
}

// certName reads the replica's name from a certificate that was verified.
func certName(c *x509.Certificate) (string, error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "urn" {
		return "", ErrNoPeer
	}
	name, ok := strings.CutPrefix(c.URIs[0].Opaque, replicaURN)
	if !ok || !ValidName(name) {
		return "", ErrNoPeer
	}
	return name, nil
}

const (
	pemCertificate = "CERTIFICATE"
	pemRequest     = "CERTIFICATE REQUEST"
)

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// fromPEM reads the one block of the kind that text holds.
func fromPEM(kind, text string) ([]byte, error) {
	if len(text) > MaxMessage {
		return nil, ErrTooLarge
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != kind || strings.TrimSpace(string(rest)) != "" {
		return nil, fmt.Errorf("not one PEM block %q", kind)
	}
	return block.Bytes, nil
}

// ParseRoot reads a centre's root from PEM and checks that it is one:
// a self-signed P-256 authority.
func ParseRoot(text string) (*x509.Certificate, error) {
	c, err := parseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("read the centre's root: %w", err)
	}
	if !c.IsCA || Fingerprint(c.PublicKey) == "" || c.CheckSignatureFrom(c) != nil {
		return nil, fmt.Errorf("read the centre's root: %w", ErrForeign)
	}
	return c, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	der, err := fromPEM(pemCertificate, text)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
