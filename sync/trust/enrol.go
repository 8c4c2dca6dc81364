package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// Kit is what a station is given to enrol with: its name, where its centre
// answers, the centre's root (PEM) and the one-time code; and the public recovery
// key for which the station keeps its own key a second time, if any.
type Kit struct {
	Station string `json:"station"`
	Centre  string `json:"centre"`
	Root    string `json:"root"`
	Code    string `json:"code"`
	// Recovery is left to who opens slots to read.
	Recovery string `json:"recovery,omitempty"`
}

// ParseKit reads a kit's JSON and checks every part of it.
func ParseKit(b []byte) (Kit, error) {
	var k Kit
	if err := parse(b, &k); err != nil {
		return Kit{}, fmt.Errorf("read the enrolment kit: %w", err)
	}
	u, err := url.Parse(k.Centre)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		return Kit{}, fmt.Errorf("read the enrolment kit: the centre's address is not https://host:port")
	case !ValidName(k.Station):
		return Kit{}, fmt.Errorf("read the enrolment kit: %w", ErrName)
	}
	if _, err := ParseRoot(k.Root); err != nil {
		return Kit{}, fmt.Errorf("read the enrolment kit: %w", err)
	}
	if _, err := ParseCode(k.Code); err != nil {
		return Kit{}, fmt.Errorf("read the enrolment kit: %w", err)
	}
	return k, nil
}

// EnrolRequest asks a centre for a certificate: by code and request (PEM) for
// the first time, by Renewal afterwards.
type EnrolRequest struct {
	Code    string        `json:"code,omitempty"`
	CSR     string        `json:"csr,omitempty"`
	Renewal *RenewRequest `json:"renewal,omitempty"`
}

// ParseEnrolRequest reads a request's JSON. It must hold a code and a CSR, or
// a renewal, and not both.
func ParseEnrolRequest(b []byte) (EnrolRequest, error) {
	var r EnrolRequest
	if err := parse(b, &r); err != nil {
		return EnrolRequest{}, fmt.Errorf("read the enrolment request: %w", err)
	}
	first := r.Code != "" && r.CSR != ""
	if first == (r.Renewal != nil) {
		return EnrolRequest{}, fmt.Errorf("read the enrolment request: %w", ErrRequest)
	}
	return r, nil
}

// EnrolAnswer is the centre's answer. It is signed by the root, so that it may
// also travel as a file.
type EnrolAnswer struct {
	Replica     string `json:"replica"`
	Certificate string `json:"certificate"`
	Root        string `json:"root"`
	ReceiptKey  []byte `json:"receiptKey"`
	Sig         []byte `json:"sig"`
	// StickKey is the centre's key for sticks, StickSig the root's signature on it;
	// a centre that knows no sticks leaves both out.
	StickKey string `json:"stickKey,omitempty"`
	StickSig []byte `json:"stickSig,omitempty"`
}

// stickSigned is what StickSig covers.
func (a EnrolAnswer) stickSigned() []byte {
	sum := sha256.Sum256([]byte("tram stick key 1\n" + a.StickKey + "\n"))
	return sum[:]
}

// signed is what the answer's signature covers.
func (a EnrolAnswer) signed() []byte {
	cert, root := sha256.Sum256([]byte(a.Certificate)), sha256.Sum256([]byte(a.Root))
	sum := sha256.Sum256(fmt.Appendf(nil, "tram enrolment 1\n%s\n%x\n%x\n%x\n", a.Replica, cert, root, a.ReceiptKey))
	return sum[:]
}

// ParseEnrolAnswer reads an answer's JSON; FinishEnrol judges it.
func ParseEnrolAnswer(b []byte) (EnrolAnswer, error) {
	var a EnrolAnswer
	if err := parse(b, &a); err != nil {
		return EnrolAnswer{}, fmt.Errorf("read the enrolment answer: %w", err)
	}
	return a, nil
}

func parse(b []byte, into any) error {
	if len(b) > MaxMessage {
		return ErrTooLarge
	}
	return json.Unmarshal(b, into)
}

// Enrol answers a request (PEM) that came with a good code for replica.
func (a *Authority) Enrol(csr, replica string, now time.Time) (EnrolAnswer, error) {
	cert, err := a.Issue(csr, replica, now)
	if err != nil {
		return EnrolAnswer{}, err
	}
	return a.answer(replica, cert)
}

func (a *Authority) answer(replica, cert string) (EnrolAnswer, error) {
	ans := EnrolAnswer{Replica: replica, Certificate: cert, Root: a.RootPEM(), ReceiptKey: a.ReceiptKey()}
	var err error
	if ans.Sig, err = ecdsa.SignASN1(rand.Reader, a.key, ans.signed()); err != nil {
		return EnrolAnswer{}, fmt.Errorf("sign the enrolment answer: %w", err)
	}
	if a.above != nil {
		return ans, nil
	}
	if ans.StickKey, err = a.StickKey(); err != nil {
		return EnrolAnswer{}, err
	}
	if ans.StickSig, err = ecdsa.SignASN1(rand.Reader, a.key, ans.stickSigned()); err != nil {
		return EnrolAnswer{}, fmt.Errorf("sign the enrolment answer: %w", err)
	}
	return ans, nil
}

// PrepareEnrol makes the request of a station that holds a kit. The identity
// is to be kept before the request is sent.
func PrepareEnrol(i *Identity, code string) (EnrolRequest, error) {
	c, err := ParseCode(code)
	if err != nil {
		return EnrolRequest{}, err
	}
	csr, err := i.CSR()
	if err != nil {
		return EnrolRequest{}, err
	}
	return EnrolRequest{Code: c.String(), CSR: csr}, nil
}

// PrepareRenewal makes the request of an enrolled station for a new certificate.
func PrepareRenewal(i *Identity) (EnrolRequest, error) {
	r, err := i.Renewal()
	if err != nil {
		return EnrolRequest{}, err
	}
	return EnrolRequest{Renewal: &r}, nil
}

// FinishEnrol takes the centre's answer in and returns the identity to keep
// from now on; i itself stays as it is. root (PEM) is the kit's, or the
// identity's own at a renewal, and station the name expected. It fails with
// ErrForeign unless the answer is signed by that root, for this key and name.
func FinishEnrol(i *Identity, root, station string, a EnrolAnswer) (*Identity, error) {
	trusted, err := ParseRoot(root)
	if err != nil {
		return nil, err
	}
	pub, ok := trusted.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(pub, a.signed(), a.Sig) {
		return nil, fmt.Errorf("check the enrolment answer: %w", ErrForeign)
	}
	cert, err := parseCertificate(a.Certificate)
	if err != nil {
		return nil, fmt.Errorf("check the enrolment answer: %w", err)
	}
	name, err := checkClient(cert, trusted)
	if err != nil {
		return nil, fmt.Errorf("check the enrolment answer: %w", err)
	}
	switch {
	case name != station || a.Replica != station:
		return nil, fmt.Errorf("check the enrolment answer: it is for another station: %w", ErrForeign)
	case !i.key.PublicKey.Equal(cert.PublicKey):
		return nil, fmt.Errorf("check the enrolment answer: it is for another key: %w", ErrForeign)
	case len(a.ReceiptKey) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("check the enrolment answer: no receipt key: %w", ErrForeign)
	case a.StickKey != "" && !ecdsa.VerifyASN1(pub, a.stickSigned(), a.StickSig):
		return nil, fmt.Errorf("check the enrolment answer: a key for sticks that the root did not sign: %w", ErrForeign)
	}
	return &Identity{i.key, name, cert, trusted, a.ReceiptKey, a.StickKey}, nil
}

// RootPEM is the centre's root; empty before enrolment.
func (i *Identity) RootPEM() string {
	if i.root == nil {
		return ""
	}
	return toPEM(pemCertificate, i.root.Raw)
}
