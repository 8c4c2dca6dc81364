package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Errors of the file of slots.
var (
	// ErrSlots says that the file is damaged, or was changed by somebody who has
	// not got the master key: put back a backup of it, or recover.
	ErrSlots = errors.New("the file of key slots is damaged or was altered")
	// ErrSchema says that a program of another time wrote the file; it is left
	// untouched.
	ErrSchema = errors.New("another version of the program wrote the file of key slots")
	// ErrNoSlots says that there is no file of slots.
	ErrNoSlots = errors.New("the file of key slots is missing")
)

// Schema is the number of the file's form. Schema 1 had no ring; nothing sealed
// under it is in use.
const Schema = 2

// maxSlots bounds the file, in bytes.
const maxSlots = 1 << 20

// Slot is the master key, wrapped for one way of opening.
type Slot struct {
	ID   int             `json:"id"` // never given twice while the slot with the highest one is there
	Kind string          `json:"kind"`
	Key  json.RawMessage `json:"key"` // as its Opener wrapped it
}

// file is the file of slots. Each slot wraps one master key; the master key
// protects the ring, so that a change of the ring needs no slot's secret.
type file struct {
	Schema int    `json:"schema"`
	Slots  []Slot `json:"slots"`
	Ring   []byte `json:"ring"`          // secrets, wrapped by the master key
	MAC    []byte `json:"mac,omitempty"` // over the rest, by a key from the master key
}

// Slots is an unlocked file of slots. One goroutine may use it, and one process.
//
// Its code tells when a slot was added, removed or swapped by somebody without
// the master key. It cannot tell when the whole file was exchanged for an older
// one of the same store: what was removed since opens again then.
type Slots struct {
	path    string
	openers []Opener // in the order in which they are tried
	by      string   // kind of the slot that opened
	master  []byte
	file    file
	secrets secrets
}

// Unlock opens the file of slots at path by the first opener that can, and
// returns the working keys. Where there is no file it makes one with a slot by
// the first opener, durably, before it returns.
func Unlock(path string, openers ...Opener) (*Keys, error) {
	s, err := Load(path, openers...)
	if errors.Is(err, ErrNoSlots) && len(openers) > 0 {
		s, err = create(path, openers)
	}
	if err != nil {
		return nil, fmt.Errorf("unlock: %w", err)
	}
	return s.Keys()
}

// OpenedBy is the kind of slot by which the keys were unlocked; "" for keys that
// are kept nowhere.
func (k *Keys) OpenedBy() string {
	if k.slots == nil {
		return ""
	}
	return k.slots.by
}

// Load opens the file of slots at path by the first opener that can. It makes
// nothing.
func Load(path string, openers ...Opener) (*Slots, error) {
	f, err := read(path)
	if err != nil {
		return nil, err
	}
	s := &Slots{path: path, openers: openers}
	if s.master, s.by, err = f.unwrap(openers); err != nil {
		return nil, err
	}
	return s, s.take(f)
}

// List reads which slots there are without opening any. Nothing proves that
// they are genuine.
func List(path string) ([]Slot, error) {
	f, err := read(path)
	return f.Slots, err
}

func create(path string, openers []Opener) (*Slots, error) {
	s := &Slots{path: path, openers: openers, by: openers[0].Kind()}
	master, blind, key := make([]byte, keySize), make([]byte, keySize), make([]byte, keySize)
	for _, b := range [][]byte{master, blind, key} {
		rand.Read(b)
	}
	wrapped, err := openers[0].Wrap(master)
	if err != nil {
		return nil, err
	}
	return s, s.write(master, []Slot{{1, openers[0].Kind(), wrapped}}, secrets{blind, []dataKey{{1, key}}})
}

func read(path string) (f file, err error) {
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, ErrNoSlots
	}
	if err != nil {
		return f, fmt.Errorf("read key slots: %w", err)
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxSlots))
	if err != nil {
		return f, fmt.Errorf("read key slots: %w", err)
	}
	return decodeFile(raw)
}

// ParseSlots reads slots from a copy of the file, as List does.
func ParseSlots(raw []byte) ([]Slot, error) {
	f, err := decodeFile(raw)
	return f.Slots, err
}

func decodeFile(raw []byte) (f file, err error) {
	var old struct {
		Schema int `json:"schema"`
	}
	if json.Unmarshal(raw, &old) != nil || old.Schema < 1 {
		return f, ErrSlots
	}
	if old.Schema != Schema {
		return f, fmt.Errorf("%w: schema %d, this program reads %d", ErrSchema, old.Schema, Schema)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, ErrSlots
	}
	return f, nil
}

// unwrap finds the master key, and the kind of slot that gave it.
func (f file) unwrap(openers []Opener) (master []byte, kind string, err error) {
	err = ErrNoKey
	for _, o := range openers {
		for _, slot := range f.Slots {
			if o.Kind() != slot.Kind {
				continue
			}
			master, why := o.Unwrap(slot.Key)
			if why == nil {
				return master, slot.Kind, nil
			}
			why = fmt.Errorf("slot %d (%s): %w", slot.ID, slot.Kind, why)
			if err == ErrNoKey {
				err = why
			} else {
				err = fmt.Errorf("%w; %w", err, why)
			}
		}
	}
	return nil, "", err
}

// code authenticates the file's content.
func (f file) code(master []byte) ([]byte, error) {
	key, err := derive(master, "slots 2")
	if err != nil {
		return nil, err
	}
	f.MAC = nil
	content, err := json.Marshal(f)
	if err != nil {
		return nil, ErrSlots
	}
	h := hmac.New(sha256.New, key)
	h.Write(content)
	return h.Sum(nil), nil
}

// take makes f the content, once it is proven genuine.
func (s *Slots) take(f file) error {
	code, err := f.code(s.master)
	if err != nil {
		return err
	}
	if !hmac.Equal(code, f.MAC) {
		return ErrSlots
	}
	held, err := f.secrets(s.master)
	if err != nil {
		return err
	}
	s.file, s.secrets = f, held
	return nil
}

const useRing = "ring 2"

// secrets opens the ring.
func (f file) secrets(master []byte) (held secrets, err error) {
	key, err := derive(master, useRing)
	if err != nil {
		return held, err
	}
	plain, err := Unwrap(key, useRing, f.Ring)
	if err != nil || json.Unmarshal(plain, &held) != nil || len(held.Blind) == 0 || len(held.Keys) == 0 {
		return held, ErrSlots
	}
	return held, nil
}

// reload takes in what is on the disk now.
func (s *Slots) reload() error {
	f, err := read(s.path)
	if err != nil {
		return err
	}
	return s.take(f)
}

// write puts a content on the disk, durably, and then takes it over.
func (s *Slots) write(master []byte, slots []Slot, held secrets) error {
	plain, err := json.Marshal(held)
	if err != nil {
		return err
	}
	key, err := derive(master, useRing)
	if err != nil {
		return err
	}
	f := file{Schema: Schema, Slots: slices.Clone(slots)}
	if f.Ring, err = Wrap(key, useRing, plain); err != nil {
		return err
	}
	if f.MAC, err = f.code(master); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if len(raw) > maxSlots {
		return ErrTooMany
	}
	if err := WriteFile(s.path, raw); err != nil {
		return fmt.Errorf("write key slots: %w", err)
	}
	s.master, s.file, s.secrets = master, f, held
	return nil
}
