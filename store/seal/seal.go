// Package seal is encryption at rest: a ring of random data keys, the sealing
// of values under the newest of them, and the file of slots that keeps the ring.
//
// It promises that a sealed value opens only under the ring that sealed it and
// at the same place, whole and unaltered; that no key is ever written openly;
// and that the file of slots is changed whole or not at all. It does not know
// what the values are nor where they are kept, nor, but for a file of random
// bytes, what opens a slot: that is an Opener's business.
package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrAltered says that a value does not open: another key, another place, or
// changed bytes.
var ErrAltered = errors.New("the sealed value is altered or belongs elsewhere")

// MaxValue bounds a value's size before sealing, in bytes.
const MaxValue = 64 << 20

// keySize is the size of every symmetric key here, in bytes.
const keySize = chacha20poly1305.KeySize

// Keys seals and opens values. It is safe for concurrent use, also while the
// ring changes.
type Keys struct {
	ring    atomic.Pointer[ring]
	blinds  sync.Pool // of hash.Hash
	scratch sync.Pool // of *scratch
	codec   *codec

	mu    sync.Mutex // one change of the ring at a time; guards what follows
	held  secrets
	slots *Slots // where the ring is kept; nil is nowhere
}

// scratch is what one sealing needs and gives back.
type scratch struct{ bind, body []byte }

// keepScratch bounds what is given back, in bytes: one large value must not
// stay in memory for ever.
const keepScratch = 1 << 20

// New is a ring of one data key, 32 random bytes, that is kept nowhere.
func New(key []byte) (*Keys, error) {
	if len(key) != keySize {
		return nil, ErrWrongKey
	}
	return open(secrets{Blind: key, Keys: []dataKey{{1, key}}}, nil)
}

func open(held secrets, slots *Slots) (*Keys, error) {
	r, err := newRing(held.Keys)
	if err != nil {
		return nil, err
	}
	blind, err := derive(held.Blind, "blind 2")
	if err != nil {
		return nil, err
	}
	k := &Keys{codec: newCodec(), held: held, slots: slots}
	k.blinds.New = func() any { return hmac.New(sha256.New, blind) }
	k.scratch.New = func() any { return new(scratch) }
	k.ring.Store(r)
	return k, nil
}

// derive is a key for one use, from a secret (RFC 5869).
func derive(secret []byte, use string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "tram "+use, keySize)
}

// Seal is AppendSeal into a slice of its own.
func (k *Keys) Seal(place, plain []byte) []byte { return k.AppendSeal(nil, place, plain) }

// AppendSeal compresses and encrypts plain, binds it to its place and appends
// it to dst: the data key's number, a random nonce, and what ChaCha20 and Poly1305
// make of it (RFC 8439). Number and place are its associated data. Two of 2^32 values
// under one data key share a nonce with a chance of 2^-33; a station that seals a
// million a day gets there in twelve years, and rotates its keys before.
func (k *Keys) AppendSeal(dst, place, plain []byte) []byte {
	s := k.scratch.Get().(*scratch)
	s.body = k.codec.pack(s.body[:0], plain)
	dst, s.bind = k.encrypt(dst, s.bind[:0], place, s.body)
	k.release(s)
	return dst
}

// encrypt appends the sealed body to dst; bind is room for what it is bound to.
func (k *Keys) encrypt(dst, bind, place, body []byte) (sealed, room []byte) {
	r := k.ring.Load()
	bind = append(append(bind, r.newest), place...)
	at := len(dst) + 1
	dst = append(slices.Grow(dst, 1+chacha20poly1305.NonceSize+len(body)+chacha20poly1305.Overhead), r.newest)
	dst = dst[:at+chacha20poly1305.NonceSize]
	nonce := dst[at:]
	rand.Read(nonce) // never fails, by crypto/rand's contract
	return r.aead[r.newest].Seal(dst, nonce, body, bind), bind
}

// Open reverses Seal, or says ErrAltered.
func (k *Keys) Open(place, sealed []byte) ([]byte, error) {
	const head = 1 + chacha20poly1305.NonceSize
	if len(sealed) < head {
		return nil, ErrAltered
	}
	aead := k.ring.Load().aead[sealed[0]]
	if aead == nil {
		return nil, ErrAltered
	}
	s := k.scratch.Get().(*scratch)
	defer k.release(s)
	s.bind = append(append(s.bind[:0], sealed[0]), place...)
	body, err := aead.Open(s.body[:0], sealed[1:head], sealed[head:], s.bind)
	if err != nil {
		return nil, ErrAltered
	}
	s.body = body
	return k.codec.unpack(body)
}

func (k *Keys) release(s *scratch) {
	if cap(s.body) <= keepScratch {
		k.scratch.Put(s)
	}
}

// Blind is a keyed digest: equal inputs give equal outputs, and nobody without
// the key can tell or guess the input. Its key stays the same through every
// rotation, since the digests are the names under which things are found.
func (k *Keys) Blind(use, value string) [16]byte {
	h := k.blinds.Get().(hash.Hash)
	h.Reset()
	var buf [sha256.Size]byte
	h.Write(binary.BigEndian.AppendUint64(buf[:0], uint64(len(use)))) // where use ends
	h.Write([]byte(use))
	h.Write([]byte(value))
	digest := [16]byte(h.Sum(buf[:0]))
	k.blinds.Put(h)
	return digest
}
