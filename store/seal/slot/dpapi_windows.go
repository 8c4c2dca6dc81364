package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"

	"tram/store/seal"
)

// nteBadKeyState is what DPAPI says of another machine's data, beside
// ERROR_INVALID_DATA.
const nteBadKeyState = windows.Errno(0x8009000b)

// dpapiFlags keep the key with the machine, since the service has no user who
// signs in, and never ask anybody.
const dpapiFlags = windows.CRYPTPROTECT_LOCAL_MACHINE | windows.CRYPTPROTECT_UI_FORBIDDEN

// dpapiUse tells our data from other programs' (the optional entropy).
const dpapiUse = "tram master key"

// Wrap lets Windows protect the master key (CryptProtectData).
func (DPAPI) Wrap(master []byte) (json.RawMessage, error) {
	in, use, out := blob(master), blob([]byte(dpapiUse)), windows.DataBlob{}
	if err := windows.CryptProtectData(in, nil, use, 0, nil, dpapiFlags, &out); err != nil {
		return nil, fmt.Errorf("%w: protect by DPAPI: %w", seal.ErrUnable, err)
	}
	return json.Marshal(take(out))
}

// Unwrap needs the Windows that wrapped (CryptUnprotectData).
func (DPAPI) Unwrap(slot json.RawMessage) ([]byte, error) {
	var box []byte
	if err := parse(slot, &box); err != nil {
		return nil, err
	}
	if len(box) == 0 {
		return nil, seal.ErrWrongKey
	}
	in, use, out := blob(box), blob([]byte(dpapiUse)), windows.DataBlob{}
	err := windows.CryptUnprotectData(in, nil, use, 0, nil, dpapiFlags, &out)
	switch {
	case errors.Is(err, windows.ERROR_INVALID_DATA), errors.Is(err, nteBadKeyState):
		return nil, seal.ErrElsewhere
	case err != nil:
		return nil, fmt.Errorf("%w: open by DPAPI: %w", seal.ErrUnable, err)
	}
	return take(out), nil
}

func blob(b []byte) *windows.DataBlob {
	return &windows.DataBlob{Size: uint32(len(b)), Data: &b[0]}
}

// take copies what Windows allocated, and wipes and frees it.
func take(out windows.DataBlob) []byte {
	theirs := unsafe.Slice(out.Data, out.Size)
	ours := slices.Clone(theirs)
	clear(theirs)
	windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	return ours
}
