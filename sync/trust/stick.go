package trust

import (
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// ErrSealed says that what came on a stick is not sealed to this key, or was
// changed since.
var ErrSealed = errors.New("it does not open with this key")

// stickLabel parts the uses of a secret: what is signed for a stick counts for
// nothing else, and the key that opens sticks tells nothing of what it comes from.
const stickLabel = "tram stick 1"

// StickKey is the public key (age, X25519) to which the centre seals what goes to
// this replica on a stick. It comes from the replica's own key, so that one that
// enrolled before there were sticks has it too.
func (i *Identity) StickKey() (string, error) {
	k, err := i.stick()
	if err != nil {
		return "", err
	}
	return k.Recipient().String(), nil
}

func (i *Identity) stick() (*age.X25519Identity, error) {
	secret, err := i.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("the key for sticks: %w", err)
	}
	return stickIdentity(secret) // and not cleared: it is the very key that a signature under way uses
}

// CentreStickKey is the key to which the replica seals what goes to the centre;
// "" where the centre that enrolled it knew no sticks.
func (i *Identity) CentreStickKey() string { return i.stickKey }

// Certificate is the replica's certificate (DER), with which it proves on a stick
// whose signature it is; nil before enrolment.
func (i *Identity) Certificate() []byte {
	if !i.Enrolled() {
		return nil
	}
	return i.cert.Raw
}

// SignStick signs what goes onto a stick, given by its digest.
func (i *Identity) SignStick(sum [sha256.Size]byte) ([]byte, error) { return signStick(i.key, sum) }

// VerifyStick fails with ErrForeign unless the centre signed what has this digest.
func (i *Identity) VerifyStick(sum [sha256.Size]byte, sig []byte) error {
	if !i.Enrolled() {
		return ErrNotEnrolled
	}
	return verifyStick(i.root.PublicKey, sum, sig)
}

// OpenStick reads what the centre sealed to this replica. It fails with ErrSealed
// at once, or where a later part was changed.
func (i *Identity) OpenStick(r io.Reader) (io.Reader, error) {
	k, err := i.stick()
	if err != nil {
		return nil, err
	}
	return openStick(r, k)
}

// StickKey is the public key (age, X25519) to which replicas seal what goes to
// this centre on a stick.
func (a *Authority) StickKey() (string, error) {
	k, err := stickIdentity(a.codes)
	if err != nil {
		return "", err
	}
	return k.Recipient().String(), nil
}

// SignStick signs what goes onto a stick, given by its digest.
func (a *Authority) SignStick(sum [sha256.Size]byte) ([]byte, error) { return signStick(a.key, sum) }

// VerifyStick tells whose certificate (DER) a signature is by, and the
// fingerprint of its key. It fails with ErrForeign where this centre gave no such
// certificate, or another key signed. A certificate that ran out still tells who
// it was; whether that one is heard is for the caller to say.
func (a *Authority) VerifyStick(cert []byte, sum [sha256.Size]byte, sig []byte) (replica, key string, err error) {
	c, err := x509.ParseCertificate(cert)
	if err != nil {
		return "", "", fmt.Errorf("%w: no certificate", ErrForeign)
	}
	if replica, err = checkClient(c, a.root); err != nil {
		return "", "", err
	}
	return replica, Fingerprint(c.PublicKey), verifyStick(c.PublicKey, sum, sig)
}

// OpenStick reads what a replica sealed to this centre, as Identity.OpenStick does.
func (a *Authority) OpenStick(r io.Reader) (io.Reader, error) {
	k, err := stickIdentity(a.codes)
	if err != nil {
		return nil, err
	}
	return openStick(r, k)
}

// SealStick seals what is written to a key for sticks; it is whole once closed.
func SealStick(w io.Writer, to string) (io.WriteCloser, error) {
	k, err := age.ParseX25519Recipient(to)
	if err != nil {
		return nil, fmt.Errorf("seal for a stick: %w", ErrForeign)
	}
	return age.Encrypt(w, k)
}

func signed(sum [sha256.Size]byte) []byte {
	out := sha256.Sum256(append([]byte(stickLabel+"\n"), sum[:]...))
	return out[:]
}

func signStick(key *ecdsa.PrivateKey, sum [sha256.Size]byte) ([]byte, error) {
	sig, err := ecdsa.SignASN1(rand.Reader, key, signed(sum))
	if err != nil {
		return nil, fmt.Errorf("sign for a stick: %w", err)
	}
	return sig, nil
}

func verifyStick(key any, sum [sha256.Size]byte, sig []byte) error {
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(pub, signed(sum), sig) {
		return fmt.Errorf("%w: not its signature", ErrForeign)
	}
	return nil
}

// openStick never says why something does not open: to who altered it that would
// be an answer.
func openStick(r io.Reader, k *age.X25519Identity) (io.Reader, error) {
	plain, err := age.Decrypt(r, k)
	if err != nil {
		return nil, ErrSealed
	}
	return opened{plain}, nil
}

// opened gives the errors of opening one name.
type opened struct{ r io.Reader }

func (s opened) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = ErrSealed
	}
	return n, err
}

// stickIdentity derives the key that opens sticks from a secret (RFC 5869).
func stickIdentity(secret []byte) (*age.X25519Identity, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, stickLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("the key for sticks: %w", err)
	}
	defer clear(key)
	k, err := age.ParseX25519Identity(strings.ToUpper(bech32("age-secret-key-", key)))
	if err != nil {
		return nil, fmt.Errorf("the key for sticks: %w", err)
	}
	return k, nil
}

// bech32 is the text form in which age takes a key (BIP 173): groups of five bits
// and a checksum of six.
func bech32(prefix string, b []byte) string {
	const digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var data []byte
	acc, bits := uint32(0), uint(0)
	for _, c := range b {
		acc, bits = acc<<8|uint32(c), bits+8
		for bits >= 5 {
			bits -= 5
			data = append(data, byte(acc>>bits&31))
		}
	}
	if bits > 0 {
		data = append(data, byte(acc<<(5-bits)&31))
	}
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for i := range len(prefix) {
		step(prefix[i] >> 5)
	}
	step(0)
	for i := range len(prefix) {
		step(prefix[i] & 31)
	}
	for _, v := range data {
		step(v)
	}
	for range 6 {
		step(0)
	}
	sum ^= 1
	for i := range 6 {
		data = append(data, byte(sum>>(5*(5-i))&31))
	}
	out := []byte(prefix + "1")
	for _, v := range data {
		out = append(out, digits[v])
	}
	return string(out)
}
