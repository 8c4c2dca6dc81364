//go:build !windows

package slot

import (
	"encoding/json"
	"fmt"

	"tram/store/seal"
)

// Wrap says ErrUnable.
func (DPAPI) Wrap([]byte) (json.RawMessage, error) {
	return nil, fmt.Errorf("%w: DPAPI is a part of Windows", seal.ErrUnable)
}

// Unwrap says ErrElsewhere: only a Windows made the slot.
func (DPAPI) Unwrap(json.RawMessage) ([]byte, error) { return nil, seal.ErrElsewhere }
