package seal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/crypto/chacha20poly1305"
)

// Why a slot does not open. Nothing was made or altered when one of these is
// returned.
var (
	// ErrWrongKey says that the key at hand is not the one that the slot was made
	// with: give the right one.
	ErrWrongKey = errors.New("the key does not open this store")
	// ErrNoKey says that the key is not where it should be: bring it back.
	ErrNoKey = errors.New("the key of this store is missing")
	// ErrElsewhere says that the slot was made by another machine, or by this one
	// before it was set up anew: recover.
	ErrElsewhere = errors.New("the key of this store belongs to another machine")
	// ErrUnable says that this machine has not got what the slot needs, or does
	// not let this program use it.
	ErrUnable = errors.New("this machine cannot open this kind of slot")
)

// Opener is one way to the master key: what wraps it for a slot and unwraps it
// again, in a later process too. It may be called any number of times, from one
// goroutine at a time, and keeps nothing open between the calls.
type Opener interface {
	// Kind is the kind of its slots. Openers of one kind read each other's slots.
	Kind() string
	// Wrap hides the master key in JSON that says nothing of it. It is durable
	// where it has to keep something beside the slot.
	Wrap(master []byte) (json.RawMessage, error)
	// Unwrap gives the master key back. It makes and alters nothing; its errors
	// wrap ErrWrongKey, ErrNoKey, ErrElsewhere or ErrUnable where they apply.
	Unwrap(slot json.RawMessage) ([]byte, error)
}

// Rewrapper is an Opener that can wrap another master key for whom an old slot
// was made, without being able to open it.
type Rewrapper interface {
	Rewrap(old json.RawMessage, master []byte) (json.RawMessage, error)
}

// Wrap hides a secret under a key of 32 bytes, for one use alone.
func Wrap(key []byte, use string, secret []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, ErrWrongKey
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, secret, []byte(use)), nil
}

// Unwrap reverses Wrap, or says ErrWrongKey.
func Unwrap(key []byte, use string, wrapped []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil || len(wrapped) < chacha20poly1305.NonceSizeX {
		return nil, ErrWrongKey
	}
	n := chacha20poly1305.NonceSizeX
	secret, err := aead.Open(nil, wrapped[:n], wrapped[n:], []byte(use))
	if err != nil {
		return nil, ErrWrongKey
	}
	return secret, nil
}

// KeyFile is the path of a file of 32 random bytes. Beside the records it
// protects what is copied from them, and nothing of a disk that is taken whole.
type KeyFile string

// KindKeyFile is the kind of KeyFile's slots.
const KindKeyFile = "key-file"

// Kind is KindKeyFile.
func (KeyFile) Kind() string { return KindKeyFile }

// Wrap takes the file that is there, or makes one, durably.
func (f KeyFile) Wrap(master []byte) (json.RawMessage, error) {
	key, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		rand.Read(key)
		err = WriteFile(string(f), key)
	}
	if err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	box, err := Wrap(key, KindKeyFile, master)
	if err != nil {
		return nil, err
	}
	return json.Marshal(box)
}

// Unwrap needs the file that wrapped.
func (f KeyFile) Unwrap(slot json.RawMessage) ([]byte, error) {
	key, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	var box []byte
	if json.Unmarshal(slot, &box) != nil {
		return nil, ErrWrongKey
	}
	return Unwrap(key, KindKeyFile, box)
}
