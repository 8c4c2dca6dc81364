package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what one hash of a secret costs with Argon2id (RFC 9106).
type Cost struct {
	Time   uint32 // passes
	Memory uint32 // KiB
}

// DefaultCost takes about a tenth of a second on an old PC. A PIN behind it
// unlocks a session; it does not protect a stolen disk.
func DefaultCost() Cost { return Cost{2, 64 << 10} }

const (
	hashLen   = 32
	tokenLen  = 43      // characters of 256 bits
	maxMemory = 1 << 20 // KiB; a kept hash that asks for more is none of ours
)

// hash derives what is kept of a secret, with its salt and cost in front.
func (b *Book) hash(secret string) string {
	var salt [16]byte
	rand.Read(salt[:])
	return b.derive(secret, salt[:], b.cost.Time, b.cost.Memory)
}

func (b *Book) derive(secret string, salt []byte, time, memory uint32) string {
	b.hashing.Lock()
	defer b.hashing.Unlock()
	key := argon2.IDKey([]byte(secret), salt, time, memory, 1, hashLen)
	e := base64.RawStdEncoding
	return fmt.Sprintf("argon2id$%d$%d$%s$%s", time, memory, e.EncodeToString(salt), e.EncodeToString(key))
}

// matches reports whether the secret is the one behind a hash. It takes the same
// time for a hash that is empty, so that nobody learns which users exist.
func (b *Book) matches(hash, secret string) bool {
	var time, memory uint32
	parts := strings.Split(hash, "$")
	salt := make([]byte, 16)
	ok := len(parts) == 5 && parts[0] == "argon2id"
	if ok {
		var err error
		_, err = fmt.Sscanf(parts[1]+" "+parts[2], "%d %d", &time, &memory)
		if ok = err == nil && time > 0 && memory > 0 && memory <= maxMemory; ok {
			salt, err = base64.RawStdEncoding.DecodeString(parts[3])
			ok = err == nil
		}
	}
	if !ok {
		salt, time, memory = make([]byte, 16), b.cost.Time, b.cost.Memory
	}
	if len(secret) > maxSecret {
		secret = ""
	}
	got := b.derive(secret, salt, time, memory)
	return subtle.ConstantTimeCompare([]byte(got), []byte(hash)) == 1 && ok
}

// draw makes 256 random bits as text.
func draw() string {
	var raw [32]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// digest is what is kept of a drawn secret: it has bits enough of its own.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// HoldsToken reports whether a text has something in it that looks like a token, which
// belongs into no address.
func HoldsToken(s string) bool {
	_, after, ok := strings.Cut(s, tokenPrefix)
	return ok && len(after) >= tokenLen && strings.IndexFunc(after[:tokenLen], notDrawn) < 0
}

// notDrawn reports whether a character stands in nothing that was drawn.
func notDrawn(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}
