package slot

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"tram/store/seal"
)

// ErrRecoveryKey says that a text is no recovery key.
var ErrRecoveryKey = errors.New("this is not a recovery key of the centre")

// escrowUse binds what is sealed to its purpose (HPKE's info, RFC 9180).
const escrowUse = "tram escrow 1"

// kem is ML-KEM-768 with X25519: what lies on a stolen disk must not open to the
// computers of the day when somebody looks at it again.
func kem() hpke.KEM { return hpke.MLKEM768X25519() }

// Escrow wraps for whoever holds the recovery key to this public key. It opens
// nothing here. The zero Escrow wraps anew for whom an old slot was made.
type Escrow struct{ key hpke.PublicKey }

// escrowed is the slot.
type escrowed struct {
	Public []byte `json:"public"`
	Box    []byte `json:"box"` // encapsulated key and ciphertext
}

// publicHead begins the text of a public recovery key.
const publicHead = "tram-recovery-1 "

// ParseEscrow reads the text of a public recovery key.
func ParseEscrow(text string) (Escrow, error) {
	b64, ok := strings.CutPrefix(strings.TrimSpace(text), publicHead)
	raw, err := base64.StdEncoding.DecodeString(b64)
	if !ok || err != nil {
		return Escrow{}, ErrRecoveryKey
	}
	return escrowOf(raw)
}

func escrowOf(public []byte) (Escrow, error) {
	key, err := kem().NewPublicKey(public)
	if err != nil {
		return Escrow{}, ErrRecoveryKey
	}
	return Escrow{key}, nil
}

// String is the text of the public recovery key, a line.
func (e Escrow) String() string {
	if e.key == nil {
		return ""
	}
	return publicHead + base64.StdEncoding.EncodeToString(e.key.Bytes())
}

// Mark tells recovery keys apart, so that two people can compare them: 16 hex digits.
func (e Escrow) Mark() string {
	if e.key == nil {
		return ""
	}
	sum := sha256.Sum256(e.key.Bytes())
	return hex.EncodeToString(sum[:8])
}

// EscrowMark is the mark of the key that a slot was made for; "" for no such slot.
func EscrowMark(slot json.RawMessage) string {
	var s escrowed
	if parse(slot, &s) != nil {
		return ""
	}
	e, err := escrowOf(s.Public)
	if err != nil {
		return ""
	}
	return e.Mark()
}

// Kind is KindEscrow.
func (Escrow) Kind() string { return KindEscrow }

// Wrap seals to the public key.
func (e Escrow) Wrap(master []byte) (json.RawMessage, error) {
	if e.key == nil {
		return nil, ErrRecoveryKey
	}
	box, err := hpke.Seal(e.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(escrowUse), master)
	if err != nil {
		return nil, err
	}
	return json.Marshal(escrowed{e.key.Bytes(), box})
}

// Unwrap says ErrNoKey: the key is with the centre.
func (Escrow) Unwrap(json.RawMessage) ([]byte, error) { return nil, seal.ErrNoKey }

// Rewrap needs no secret.
func (Escrow) Rewrap(old json.RawMessage, master []byte) (json.RawMessage, error) {
	var s escrowed
	if err := parse(old, &s); err != nil {
		return nil, err
	}
	e, err := escrowOf(s.Public)
	if err != nil {
		return nil, err
	}
	return e.Wrap(master)
}

// Recovery is the centre's recovery key: it opens escrow slots.
type Recovery struct{ key hpke.PrivateKey }

// NewRecovery draws a recovery key.
func NewRecovery() (Recovery, error) {
	key, err := kem().GenerateKey()
	return Recovery{key}, err
}

// ParseRecovery reads the code of a recovery key.
func ParseRecovery(code string) (Recovery, error) {
	raw, err := ParseCode(code)
	if err != nil {
		return Recovery{}, err
	}
	key, err := kem().NewPrivateKey(raw)
	if err != nil {
		return Recovery{}, ErrRecoveryKey
	}
	return Recovery{key}, nil
}

// Bytes is the private key, 32 bytes.
func (r Recovery) Bytes() ([]byte, error) { return r.key.Bytes() }

// Code is the recovery key as text for the safe.
func (r Recovery) Code() (string, error) {
	raw, err := r.key.Bytes()
	if err != nil {
		return "", err
	}
	return Code(raw), nil
}

// Escrow is the public half.
func (r Recovery) Escrow() Escrow { return Escrow{r.key.PublicKey()} }

// Kind is KindEscrow.
func (Recovery) Kind() string { return KindEscrow }

// Wrap is that of its public half.
func (r Recovery) Wrap(master []byte) (json.RawMessage, error) { return r.Escrow().Wrap(master) }

// Unwrap opens what was sealed to the public half.
func (r Recovery) Unwrap(slot json.RawMessage) ([]byte, error) {
	var s escrowed
	if err := parse(slot, &s); err != nil {
		return nil, err
	}
	master, err := hpke.Open(r.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(escrowUse), s.Box)
	if err != nil {
		return nil, seal.ErrWrongKey
	}
	return master, nil
}
