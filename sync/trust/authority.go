package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tram/store/record"
)

// Authority is a centre's own root of trust: the key that signs certificates
// and the key that signs receipts. It is made once; losing it means enrolling
// every station anew. It is unchangeable and may be used from many goroutines.
type Authority struct {
	root    *x509.Certificate
	key     *ecdsa.PrivateKey
	receipt ed25519.PrivateKey
	codes   []byte
	// above is the key of the receipts that are handed on; nil where they are signed here.
	above ed25519.PublicKey
}

// NewAuthority makes a new root, valid for RootLife from now on, and new keys.
// Nothing is kept until Store.
func NewAuthority(now time.Time) (*Authority, error) {
	a := &Authority{codes: make([]byte, 32)}
	rand.Read(a.codes)
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make the centre's key: %w", err)
	}
	if _, a.receipt, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("make the receipt key: %w", err)
	}
	from := now.UTC().Truncate(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Tram centre " + Fingerprint(&a.key.PublicKey)[:8]},
		NotBefore:             from,
		NotAfter:              from.Add(RootLife),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, &x509.Certificate{}, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("make the centre's root: %w", err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("make the centre's root: %w", err)
	}
	return a, nil
}

// Root is the centre's root certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// RootPEM is the centre's root as kits and answers carry it.
func (a *Authority) RootPEM() string { return toPEM(pemCertificate, a.root.Raw) }

// HandingOn is the authority of a replica that has an upstream itself: who enrols with it
// gets receipts that verify under that one's key, and no key for sticks.
func (a *Authority) HandingOn(above ed25519.PublicKey) *Authority {
	b := *a
	b.above = above
	return &b
}

// ReceiptKey is the public key that receipts verify under.
func (a *Authority) ReceiptKey() ed25519.PublicKey {
	if a.above != nil {
		return a.above
	}
	return a.receipt.Public().(ed25519.PublicKey)
}

// Codes wraps the state of the enrolment codes with this centre's secret.
func (a *Authority) Codes(s CodeState) *Codes { return NewCodes(a.codes, s) }

// SignReceipt returns r with the centre's signature.
func (a *Authority) SignReceipt(r record.Receipt) record.Receipt {
	r.Sig = ed25519.Sign(a.receipt, r.Signed())
	return r
}

// VerifyReceipt fails with ErrReceipt unless pub signed r. What the signature
// covers is a list of lines, so a lineage or an epoch that breaks a line is
// refused whatever the signature says.
func VerifyReceipt(pub ed25519.PublicKey, r record.Receipt) error {
	if len(pub) != ed25519.PublicKeySize || !r.Lineage.Valid() || strings.ContainsAny(r.Epoch, "\r\n") ||
		!ed25519.Verify(pub, r.Signed(), r.Sig) {
		return ErrReceipt
	}
	return nil
}

// keptAuthority is how an authority is kept, sealed.
type keptAuthority struct {
	Root    []byte `json:"root"`
	Key     []byte `json:"key"`
	Receipt []byte `json:"receipt"`
	Codes   []byte `json:"codes"`
}

func (a *Authority) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(keptAuthority{a.root.Raw, key, a.receipt.Seed(), a.codes})
}

func decodeAuthority(plain []byte) (*Authority, error) {
	var k keptAuthority
	if err := json.Unmarshal(plain, &k); err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(k.Root)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(k.Key)
	if err != nil {
		return nil, err
	}
	if len(k.Receipt) != ed25519.SeedSize || len(k.Codes) < 32 || !key.PublicKey.Equal(root.PublicKey) {
		return nil, fmt.Errorf("the parts do not belong together")
	}
	return &Authority{root: root, key: key, receipt: ed25519.NewKeyFromSeed(k.Receipt), codes: k.Codes}, nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("not a P-256 key")
	}
	return key, nil
}
