package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of a ring.
var (
	// ErrInUse says that values may still be sealed under the data key.
	ErrInUse = errors.New("the newest data key cannot be retired")
	// ErrRingFull says that every number of the ring is taken.
	ErrRingFull = errors.New("the ring holds as many data keys as it can: retire one first")
)

// dataKey is one key of the ring under its number, 1 to 255.
type dataKey struct {
	N   byte   `json:"n"`
	Key []byte `json:"key"`
}

// secrets are what the master key protects in the file of slots.
type secrets struct {
	// Blind is what the blinding key is made of. It stays for the store's life:
	// the database finds records under blinded names, so a new one would mean to
	// write all of it anew.
	Blind []byte    `json:"blind"`
	Keys  []dataKey `json:"keys"` // oldest first
}

// ring is the data keys ready for use. It never changes; a changed ring is
// another one.
type ring struct {
	newest byte
	aead   [256]cipher.AEAD // by number
}

func newRing(keys []dataKey) (*ring, error) {
	r := new(ring)
	for _, k := range keys {
		if k.N == 0 || r.aead[k.N] != nil {
			return nil, ErrSlots
		}
		value, err := derive(k.Key, fmt.Sprintf("values 2 %d", k.N))
		if err != nil {
			return nil, err
		}
		if r.aead[k.N], err = chacha20poly1305.New(value); err != nil {
			return nil, err
		}
		r.newest = k.N
	}
	if r.newest == 0 {
		return nil, ErrSlots
	}
	return r, nil
}

// Rotate adds a data key to the ring and seals under it from then on. It is in
// the file of slots, durably, before the first value is sealed under it; no
// slot is touched. After an error the ring is as it was, and Rotate may be
// called again.
func (k *Keys) Rotate() error {
	return k.change(func(s *secrets) error {
		fresh := dataKey{N: k.ring.Load().newest, Key: make([]byte, keySize)}
		rand.Read(fresh.Key)
		for range 255 {
			fresh.N = max(fresh.N+1, 1) // a byte: 1 follows 255
			if !slices.ContainsFunc(s.Keys, func(d dataKey) bool { return d.N == fresh.N }) {
				s.Keys = append(slices.Clone(s.Keys), fresh)
				return nil
			}
		}
		return ErrRingFull
	})
}

// Retire takes a data key from the ring for good. What is still sealed under it
// never opens again, nor does it in a backup without its own file of slots: be
// sure that there is nothing. A key that is not in the ring is retired already.
func (k *Keys) Retire(n byte) error {
	return k.change(func(s *secrets) error {
		if n == k.ring.Load().newest {
			return ErrInUse
		}
		s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(d dataKey) bool { return d.N == n })
		return nil
	})
}

// change makes a changed ring durable, and then the one in use.
func (k *Keys) change(f func(*secrets) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.held
	if k.slots != nil { // a try that failed may have got as far as the disk
		if err := k.slots.reload(); err != nil {
			return fmt.Errorf("change data keys: %w", err)
		}
		held = k.slots.secrets
	}
	if err := f(&held); err != nil {
		return fmt.Errorf("change data keys: %w", err)
	}
	r, err := newRing(held.Keys)
	if err == nil && k.slots != nil {
		err = k.slots.write(k.slots.master, k.slots.file.Slots, held)
	}
	if err != nil {
		return fmt.Errorf("change data keys: %w", err)
	}
	k.held = held
	k.ring.Store(r)
	return nil
}

// Slots lists the slots of the file that keeps the ring.
func (k *Keys) Slots() []Slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.slots == nil {
		return nil
	}
	return k.slots.Slots()
}

// AddSlot is Slots.Add while the keys are in use.
func (k *Keys) AddSlot(o Opener) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.slots == nil {
		return fmt.Errorf("add slot: %w", ErrNoSlots)
	}
	_, err := k.slots.Add(o)
	return err
}

// Ring is the numbers of the data keys, oldest first; the last one seals.
func (k *Keys) Ring() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []byte
	for _, d := range k.held.Keys {
		out = append(out, d.N)
	}
	return out
}

// Newest tells whether a value says that it is sealed under the newest data
// key. Only opening it proves that.
func (k *Keys) Newest(sealed []byte) bool {
	return len(sealed) > 0 && sealed[0] == k.ring.Load().newest
}
