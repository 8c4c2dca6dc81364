package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
)

// Errors of changing slots; nothing was changed.
var (
	// ErrLastSlot says that no slot would be left that opens here and now.
	ErrLastSlot = errors.New("this is the last slot that opens here: add another one first")
	// ErrNoSlot says that there is no slot of that number.
	ErrNoSlot = errors.New("there is no such slot")
	// ErrTooMany says that the slots would not fit into their file.
	ErrTooMany = errors.New("there are too many slots: remove one first")
	// ErrNotAtHand says that a slot cannot be wrapped anew without its own secret.
	ErrNotAtHand = errors.New("the key of a slot is not at hand")
)

// Slots lists the slots.
func (s *Slots) Slots() []Slot { return slices.Clone(s.file.Slots) }

// Keys are the working keys of the ring.
func (s *Slots) Keys() (*Keys, error) { return open(s.secrets, s) }

// Add adds a slot, durably, after it was tried: what o wrapped opens again,
// unless o says ErrNoKey because another holds the key to it. It returns the new slot.
func (s *Slots) Add(o Opener) (Slot, error) {
	if err := s.reload(); err != nil {
		return Slot{}, fmt.Errorf("add slot: %w", err)
	}
	fresh := Slot{Kind: o.Kind()}
	for _, have := range s.file.Slots {
		fresh.ID = max(fresh.ID, have.ID)
	}
	fresh.ID++
	var err error
	if fresh.Key, err = wrapAndTry(o, s.master); err != nil {
		return Slot{}, fmt.Errorf("add slot: %w", err)
	}
	if err := s.write(s.master, append(slices.Clone(s.file.Slots), fresh), s.secrets); err != nil {
		return Slot{}, fmt.Errorf("add slot: %w", err)
	}
	return fresh, nil
}

func wrapAndTry(o Opener, master []byte) ([]byte, error) {
	wrapped, err := o.Wrap(master)
	if err != nil {
		return nil, err
	}
	again, err := o.Unwrap(wrapped)
	if errors.Is(err, ErrNoKey) {
		return wrapped, nil
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, master) {
		return nil, ErrWrongKey
	}
	return wrapped, nil
}

// Remove takes a slot away, durably. Another one must open here and now by the
// openers at hand. Who kept an older file and the slot's secret can still use
// the two: Rekey shuts them out of what is sealed after a Rotate.
func (s *Slots) Remove(id int) error {
	if err := s.reload(); err != nil {
		return fmt.Errorf("remove slot: %w", err)
	}
	rest := slices.DeleteFunc(slices.Clone(s.file.Slots), func(have Slot) bool { return have.ID == id })
	if len(rest) == len(s.file.Slots) {
		return fmt.Errorf("remove slot: %w", ErrNoSlot)
	}
	if master, _, err := (file{Slots: rest}).unwrap(s.openers); err != nil || !bytes.Equal(master, s.master) {
		return fmt.Errorf("remove slot: %w", ErrLastSlot)
	}
	if err := s.write(s.master, rest, s.secrets); err != nil {
		return fmt.Errorf("remove slot: %w", err)
	}
	return nil
}

// Rekey draws a new master key and wraps it for every slot, all in one durable
// change. A slot that no opener at hand can wrap anew makes it ErrNotAtHand.
func (s *Slots) Rekey() error {
	if err := s.reload(); err != nil {
		return fmt.Errorf("new master key: %w", err)
	}
	if _, err := s.rekey(s.file.Slots, false, nil); err != nil {
		return fmt.Errorf("new master key: %w", err)
	}
	return nil
}

// Recover opens the file at path by the master key itself, as the holder of the
// recovery key tells it, and makes it open by the openers from then on: it draws
// a new master key, so that what was told is of no use any more, gives each of
// add a slot, keeps the slots that the other openers can wrap anew, and drops the
// rest. Slots of a file that was altered are all dropped. It returns the dropped.
func Recover(path string, master []byte, add []Opener, openers ...Opener) (dropped []Slot, err error) {
	f, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	held, err := f.secrets(master)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", ErrWrongKey)
	}
	s := &Slots{path: path, openers: openers, master: master, file: f, secrets: held}
	keep := f.Slots
	if code, err := f.code(master); err != nil || !bytes.Equal(code, f.MAC) {
		keep, dropped = nil, f.Slots
	}
	more, err := s.rekey(keep, true, add)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	return append(dropped, more...), nil
}

// rekey wraps a new master key for the slots of keep and for add. A slot that
// cannot be wrapped anew is dropped or, if none may be, an error.
func (s *Slots) rekey(keep []Slot, drop bool, add []Opener) (dropped []Slot, err error) {
	master := make([]byte, keySize)
	rand.Read(master)
	var slots []Slot
	next := 1
	for _, old := range s.file.Slots {
		next = max(next, old.ID+1)
	}
	for _, old := range keep {
		fresh, err := s.rewrap(old, master)
		switch {
		case err == nil:
			slots = append(slots, fresh)
		case drop:
			dropped = append(dropped, old)
		default:
			return nil, fmt.Errorf("%w: slot %d (%s): %w", ErrNotAtHand, old.ID, old.Kind, err)
		}
	}
	for _, o := range add {
		wrapped, err := wrapAndTry(o, master)
		if err != nil {
			return nil, err
		}
		slots = append(slots, Slot{next, o.Kind(), wrapped})
		next++
	}
	if len(slots) == 0 {
		return nil, ErrLastSlot
	}
	return dropped, s.write(master, slots, s.secrets)
}

// rewrap wraps another master key for whom a slot was made.
func (s *Slots) rewrap(old Slot, master []byte) (Slot, error) {
	err := error(ErrNoKey)
	for _, o := range s.openers {
		if o.Kind() != old.Kind {
			continue
		}
		if r, ok := o.(Rewrapper); ok {
			if old.Key, err = r.Rewrap(old.Key, master); err == nil {
				return old, nil
			}
			continue
		}
		was, why := o.Unwrap(old.Key)
		if why == nil && !bytes.Equal(was, s.master) {
			why = ErrWrongKey
		}
		if why == nil {
			old.Key, why = wrapAndTry(o, master)
		}
		if err = why; err == nil {
			return old, nil
		}
	}
	return Slot{}, err
}
