// Package seal is encryption at rest: one random data key, wrapped in slots,
// and the sealing of values under it.
//
// It promises that a sealed value opens only under the same key and at the
// same place, whole and unaltered. It does not know what the values are nor
// where they are kept; it touches the disk only to keep the wrapped key.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/chacha20poly1305"
)

// ErrAltered says that a value does not open: another key, another place, or
// changed bytes.
var ErrAltered = errors.New("the sealed value is altered or belongs elsewhere")

// MaxValue bounds a value's size before sealing, in bytes.
const MaxValue = 64 << 20

// Keys seals and opens values. It is safe for concurrent use.
type Keys struct {
	aead  cipher.AEAD
	blind []byte
	enc   *zstd.Encoder
	dec   *zstd.Decoder
}

// New derives the working keys from the data key, 32 random bytes.
func New(dataKey []byte) (*Keys, error) {
	sub := func(use string) ([]byte, error) { return hkdf.Key(sha256.New, dataKey, nil, "tram "+use, 32) }
	value, err := sub("values 1")
	if err != nil {
		return nil, err
	}
	blind, err := sub("blind 1")
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(value)
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(128<<10), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &Keys{aead, blind, enc, dec}, nil
}

// Seal compresses and encrypts plain and binds it to its place: XChaCha20 and
// Poly1305 with a random nonce in front (RFC 8439, draft-irtf-cfrg-xchacha).
func (k *Keys) Seal(place, plain []byte) []byte {
	body := make([]byte, 1, len(plain)+1)
	if len(plain) > 64 {
		body[0] = 1
		body = k.enc.EncodeAll(plain, body)
	} else {
		body = append(body, plain...)
	}
	out := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(body)+chacha20poly1305.Overhead)
	rand.Read(out) // never fails, by crypto/rand's contract
	return k.aead.Seal(out, out, body, place)
}

// Open reverses Seal, or says ErrAltered.
func (k *Keys) Open(place, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrAltered
	}
	nonce, box := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	body, err := k.aead.Open(nil, nonce, box, place)
	if err != nil || len(body) == 0 {
		return nil, ErrAltered
	}
	if body[0] == 0 {
		return body[1:], nil
	}
	plain, err := k.dec.DecodeAll(body[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAltered, err)
	}
	return plain, nil
}

// Blind is a keyed digest: equal inputs give equal outputs, and nobody without
// the key can tell or guess the input.
func (k *Keys) Blind(use, value string) [16]byte {
	h := hmac.New(sha256.New, k.blind)
	fmt.Fprintf(h, "%d:%s:%s", len(use), use, value)
	return [16]byte(h.Sum(nil)[:16])
}
