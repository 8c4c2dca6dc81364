package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"
)

// Identity is who a replica is: its key and, once enrolled, its certificate,
// its centre's root and the key its centre signs receipts with. An enrolled
// one is replaced, never changed: FinishEnrol returns a new value, so that it
// may be read from many goroutines.
type Identity struct {
	key     *ecdsa.PrivateKey
	replica string
	cert    *x509.Certificate
	root    *x509.Certificate
	receipt ed25519.PublicKey
	// stickKey is the centre's key for sticks; "" where it gave none.
	stickKey string
}

// NewIdentity makes a new P-256 key. It is to be kept before its request is
// sent: a repeat with the same key gets the same answer, one with another key
// is taken for a thief.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make this station's key: %w", err)
	}
	return &Identity{key: key}, nil
}

// Enrolled reports whether the centre has answered.
func (i *Identity) Enrolled() bool { return i.cert != nil }

// Replica is the name that the centre gave; empty before enrolment.
func (i *Identity) Replica() string { return i.replica }

// Key is the fingerprint of the public key.
func (i *Identity) Key() string { return Fingerprint(&i.key.PublicKey) }

// Root is the centre's root; nil before enrolment.
func (i *Identity) Root() *x509.Certificate { return i.root }

// ReceiptKey is what the centre's receipts verify under; nil before enrolment.
func (i *Identity) ReceiptKey() ed25519.PublicKey { return i.receipt }

// Expires is when the certificate ends; zero before enrolment.
func (i *Identity) Expires() time.Time {
	if !i.Enrolled() {
		return time.Time{}
	}
	return i.cert.NotAfter
}

// RenewDue reports whether half of the certificate's life is over at now,
// which is the centre's last signed time rather than this PC's clock.
func (i *Identity) RenewDue(now time.Time) bool {
	return i.Enrolled() && !now.Before(i.cert.NotAfter.Add(-Life/2))
}

// CSR is a request (PEM, PKCS #10) for a certificate for the key. It names
// nobody: the centre decides the name.
func (i *Identity) CSR() (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, i.key)
	if err != nil {
		return "", fmt.Errorf("ask for a certificate: %w", err)
	}
	return toPEM(pemRequest, der), nil
}

// Renewal asks for a new certificate for the same key. It fails with
// ErrNotEnrolled where there is none to renew.
func (i *Identity) Renewal() (RenewRequest, error) {
	if !i.Enrolled() {
		return RenewRequest{}, ErrNotEnrolled
	}
	r := RenewRequest{Certificate: toPEM(pemCertificate, i.cert.Raw)}
	var err error
	if r.Sig, err = ecdsa.SignASN1(rand.Reader, i.key, r.signed()); err != nil {
		return RenewRequest{}, fmt.Errorf("sign the renewal: %w", err)
	}
	return r, nil
}

// certificate is what the replica shows in a TLS handshake: the leaf alone,
// since the other side holds the root.
func (i *Identity) certificate() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key, Leaf: i.cert}
}

// keptIdentity is how an identity is kept, sealed.
type keptIdentity struct {
	Key         []byte `json:"key"`
	Certificate []byte `json:"certificate,omitempty"`
	Root        []byte `json:"root,omitempty"`
	ReceiptKey  []byte `json:"receiptKey,omitempty"`
	StickKey    string `json:"stickKey,omitempty"`
}

func (i *Identity) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		return nil, err
	}
	k := keptIdentity{Key: key}
	if i.Enrolled() {
		k.Certificate, k.Root, k.ReceiptKey, k.StickKey = i.cert.Raw, i.root.Raw, i.receipt, i.stickKey
	}
	return json.Marshal(k)
}

func decodeIdentity(plain []byte) (*Identity, error) {
	var k keptIdentity
	if err := json.Unmarshal(plain, &k); err != nil {
		return nil, err
	}
	key, err := parseKey(k.Key)
	if err != nil {
		return nil, err
	}
	i := &Identity{key: key}
	if len(k.Certificate) == 0 {
		return i, nil
	}
	if i.cert, err = x509.ParseCertificate(k.Certificate); err != nil {
		return nil, err
	}
	if i.root, err = x509.ParseCertificate(k.Root); err != nil {
		return nil, err
	}
	if i.replica, err = checkClient(i.cert, i.root); err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(i.cert.PublicKey) || len(k.ReceiptKey) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the parts do not belong together")
	}
	i.receipt, i.stickKey = k.ReceiptKey, k.StickKey
	return i, nil
}
