package intake

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tram/store/record"
)

// memory is what is remembered of a file's bytes, or of a message. The ids are written down
// before anything is taken, so that a take that was cut off is repeated with the
// same ids; Taken is written after it, and the ids are let go of.
type memory struct {
	Taken bool     `json:"taken,omitempty"`
	IDs   []string `json:"ids,omitempty"`
}

// A label is a digest in hex, behind a letter for what is no FHIR: a message or a table. Those
// that were taken are kept for ever, so they are kept short: 17 bytes each, on one of 256
// shelves.
const labelLen = 17

// shelved is a label as it stands on its shelf, and the shelf's setting.
func shelved(label string) (short []byte, shelf string, err error) {
	letter := byte(0)
	if len(label) == 2*labelLen-1 {
		letter, label = label[0], label[1:]
	}
	raw, err := hex.DecodeString(label)
	if err != nil || len(raw) != labelLen-1 {
		return nil, "", fmt.Errorf("label of %d digits", len(label))
	}
	return append(raw, letter), "intake/taken/" + label[:2], nil
}

// onShelf says whether a label stands on a shelf.
func onShelf(shelf, short []byte) bool {
	for one := range slices.Chunk(shelf, labelLen) {
		if string(one) == string(short) {
			return true
		}
	}
	return false
}

// recall reads what is remembered of the bytes with this label.
func (in *Intake) recall(label string) (memory, error) {
	var m memory
	short, at, err := shelved(label)
	if err != nil {
		return m, fmt.Errorf("recall file: %w", err)
	}
	shelf, err := in.small(at)
	if err != nil {
		return m, err
	}
	if onShelf(shelf, short) {
		return memory{Taken: true}, nil
	}
	b, err := in.small("intake/" + label)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fmt.Errorf("recall file: %w", err)
	}
	return m, nil
}

// small reads a small value; nothing for one that was never set.
func (in *Intake) small(name string) ([]byte, error) {
	b, err := in.o.Setting(name)
	if errors.Is(err, record.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recall file: %w", err)
	}
	return b, nil
}

// remember keeps m durably; it returns when a power cut cannot undo it.
func (in *Intake) remember(ctx context.Context, label string, m memory) error {
	if m.Taken {
		return in.shelve(ctx, label)
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = in.o.SetSetting(ctx, "intake/"+label, b)
	}
	if err != nil {
		return fmt.Errorf("remember file: %w", err)
	}
	return nil
}

// unshelve forgets that the bytes with this label were taken.
func (in *Intake) unshelve(ctx context.Context, label string) error {
	short, at, err := shelved(label)
	if err != nil {
		return fmt.Errorf("forget file: %w", err)
	}
	shelf, err := in.small(at)
	if err != nil {
		return err
	}
	var rest []byte
	for one := range slices.Chunk(shelf, labelLen) {
		if string(one) != string(short) {
			rest = append(rest, one...)
		}
	}
	if err := in.o.SetSetting(ctx, at, rest); err != nil {
		return fmt.Errorf("forget file: %w", err)
	}
	return nil
}

// shelve remembers that the bytes with this label were taken.
func (in *Intake) shelve(ctx context.Context, label string) error {
	short, at, err := shelved(label)
	if err != nil {
		return fmt.Errorf("remember file: %w", err)
	}
	shelf, err := in.small(at)
	if err != nil {
		return err
	}
	if !onShelf(shelf, short) {
		if err := in.o.SetSetting(ctx, at, append(slices.Clone(shelf), short...)); err != nil {
			return fmt.Errorf("remember file: %w", err)
		}
	}
	ids, err := in.small("intake/" + label)
	if err == nil && len(ids) > 0 {
		err = in.o.SetSetting(ctx, "intake/"+label, nil)
	}
	if err != nil {
		return fmt.Errorf("remember file: %w", err)
	}
	return nil
}
