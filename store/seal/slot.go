package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of the slots.
var (
	// ErrWrongKey says that no slot opens with the key at hand.
	ErrWrongKey = errors.New("the key does not open this store")
	// ErrNoKey says that the store's key is not where it should be.
	ErrNoKey = errors.New("the key of this store is missing")
)

// KeyFile is a slot: the path of a file of 32 random bytes that wraps the data key.
type KeyFile string

// wrapped is the data key as the slots file holds it.
type wrapped struct {
	Kind string `json:"kind"`
	Key  []byte `json:"key"`
}

type slots struct {
	Schema int       `json:"schema"`
	Slots  []wrapped `json:"slots"`
}

// Unlock opens the slots file at path with the key file and returns the data
// key. Where neither exists it makes both, durably, before it returns.
func Unlock(path string, key KeyFile) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read key slots: %w", err)
	}
	var s slots
	if err := json.Unmarshal(raw, &s); err != nil || s.Schema != 1 {
		return nil, fmt.Errorf("read key slots: not a slots file of schema 1")
	}
	kek, err := os.ReadFile(string(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	for _, w := range s.Slots {
		if data, err := unwrap(kek, w); err == nil {
			return data, nil
		}
	}
	return nil, ErrWrongKey
}

func create(path string, key KeyFile) ([]byte, error) {
	kek, err := os.ReadFile(string(key))
	if errors.Is(err, fs.ErrNotExist) {
		kek = make([]byte, chacha20poly1305.KeySize)
		rand.Read(kek)
		err = WriteFile(string(key), kek)
	}
	if err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	data := make([]byte, chacha20poly1305.KeySize)
	rand.Read(data)
	w, err := wrap(kek, data)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(slots{1, []wrapped{w}})
	if err != nil {
		return nil, err
	}
	if err := WriteFile(path, raw); err != nil {
		return nil, fmt.Errorf("write key slots: %w", err)
	}
	return data, nil
}

const keyFileKind = "key-file"

func wrap(kek, data []byte) (wrapped, error) {
	aead, err := chacha20poly1305.NewX(kek)
	if err != nil {
		return wrapped{}, ErrWrongKey
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	return wrapped{keyFileKind, aead.Seal(nonce, nonce, data, []byte(keyFileKind))}, nil
}

func unwrap(kek []byte, w wrapped) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(kek)
	if err != nil || w.Kind != keyFileKind || len(w.Key) < chacha20poly1305.NonceSizeX {
		return nil, ErrWrongKey
	}
	n := chacha20poly1305.NonceSizeX
	data, err := aead.Open(nil, w.Key[:n], w.Key[n:], []byte(w.Kind))
	if err != nil {
		return nil, ErrWrongKey
	}
	return data, nil
}

// WriteFile writes a private file so that after a power cut it is there whole
// or not at all: aside, synced, renamed, folder synced.
func WriteFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.ReadFrom(bytes.NewReader(b))
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}
