package slot

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"tram/store/seal"
)

// ErrWeak says that a passphrase is too short to protect a disk that is taken away.
var ErrWeak = errors.New("the passphrase is too short: take at least 12 characters, best four or more words")

// LeastPassphrase is the least length of a new passphrase, in characters.
const LeastPassphrase = 12

// Passphrase opens by what a person types. Ask is called for each slot; an empty
// answer is ErrNoKey. Keyboards write Vietnamese letters in two ways, which are
// the same here.
type Passphrase struct{ Ask func() (string, error) }

// PassphraseFile reads the passphrase from a file's first line; a file that is
// not there is ErrNoKey.
func PassphraseFile(path string) Passphrase {
	return Passphrase{func() (string, error) {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", seal.ErrNoKey
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), err
	}}
}

// stretched is the slot: how the passphrase becomes a key (RFC 9106), and what
// that key wraps.
type stretched struct {
	Passes  uint32 `json:"passes"`
	Memory  uint32 `json:"memory"` // in KiB
	Threads uint8  `json:"threads"`
	Salt    []byte `json:"salt"`
	Box     []byte `json:"box"`
}

// RFC 9106, section 4, second recommended option: what an old PC has room for.
const (
	passes  = 3
	memory  = 64 << 10
	threads = 4
)

// The most that a slot may ask for: an altered one must not use up the PC.
const (
	mostPasses = 16
	mostMemory = 1 << 20
)

// Kind is KindPassphrase.
func (Passphrase) Kind() string { return KindPassphrase }

// Wrap refuses a passphrase that is too short.
func (p Passphrase) Wrap(master []byte) (json.RawMessage, error) {
	text, err := p.Ask()
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(norm.NFC.String(text)) < LeastPassphrase {
		return nil, ErrWeak
	}
	s := stretched{Passes: passes, Memory: memory, Threads: threads, Salt: make([]byte, 16)}
	rand.Read(s.Salt)
	if s.Box, err = seal.Wrap(s.key(text), KindPassphrase, master); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// Unwrap asks for the passphrase.
func (p Passphrase) Unwrap(slot json.RawMessage) ([]byte, error) {
	var s stretched
	if err := parse(slot, &s); err != nil {
		return nil, err
	}
	if s.Passes < 1 || s.Passes > mostPasses || s.Memory < 8*uint32(s.Threads) || s.Memory > mostMemory || s.Threads < 1 || len(s.Salt) < 8 {
		return nil, seal.ErrWrongKey
	}
	text, err := p.Ask()
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, seal.ErrNoKey
	}
	return seal.Unwrap(s.key(text), KindPassphrase, s.Box)
}

func (s stretched) key(text string) []byte {
	return argon2.IDKey(norm.NFC.Bytes([]byte(text)), s.Salt, s.Passes, s.Memory, s.Threads, keySize)
}
