// Package slot holds the ways to a store's master key: a passphrase, a
// credential of systemd, Windows' DPAPI, a TPM, and escrow, which only the
// holder of a recovery key opens. (A key file is the seal's own.)
//
// Each is a seal.Opener. They promise that nothing which they put into a slot
// opens it, and that what cannot be opened says why, as one of the seal's
// errors. They do not know the file of slots, nor who asks.
package slot

import (
	"encoding/json"

	"tram/store/seal"
)

// Kinds of slots.
const (
	KindPassphrase = "passphrase"
	KindSystemd    = "systemd"
	KindDPAPI      = "dpapi"
	KindTPM        = "tpm"
	KindEscrow     = "escrow"
)

// keySize is the size of the keys that wrap, in bytes.
const keySize = 32

// parse reads a slot strictly enough: what is no such JSON was not made by Wrap.
func parse(slot json.RawMessage, into any) error {
	if json.Unmarshal(slot, into) != nil {
		return seal.ErrWrongKey
	}
	return nil
}
