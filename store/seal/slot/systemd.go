package slot

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tram/store/seal"
)

// Names of the credentials that a unit gives to the program.
const (
	CredentialKey        = "tram.key"
	CredentialPassphrase = "tram.passphrase"
)

// ErrShort says that a credential is too short to be a key.
var ErrShort = errors.New("the credential is too short: take 32 random bytes or more")

// Credential is the path of a file of at least 32 random bytes that systemd
// hands to the program by LoadCredential= or LoadCredentialEncrypted=
// (systemd.exec(5), systemd-creds(1)). With the latter it is bound to the
// machine, by its TPM where there is one.
type Credential string

// SystemdCredential is the one of this process; "" where systemd gave none.
func SystemdCredential() Credential {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	return Credential(filepath.Join(dir, CredentialKey))
}

// Kind is KindSystemd.
func (Credential) Kind() string { return KindSystemd }

// Wrap needs the credential.
func (c Credential) Wrap(master []byte) (json.RawMessage, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	box, err := seal.Wrap(key, KindSystemd, master)
	if err != nil {
		return nil, err
	}
	return json.Marshal(box)
}

// Unwrap needs the credential.
func (c Credential) Unwrap(slot json.RawMessage) ([]byte, error) {
	var box []byte
	if err := parse(slot, &box); err != nil {
		return nil, err
	}
	key, err := c.key()
	if errors.Is(err, ErrShort) {
		return nil, seal.ErrWrongKey
	}
	if err != nil {
		return nil, err
	}
	return seal.Unwrap(key, KindSystemd, box)
}

func (c Credential) key() ([]byte, error) {
	b, err := os.ReadFile(string(c))
	switch {
	case c == "", errors.Is(err, fs.ErrNotExist):
		return nil, seal.ErrNoKey
	case err != nil:
		return nil, fmt.Errorf("read credential: %w", err)
	case len(b) < keySize:
		return nil, ErrShort
	}
	return hkdf.Key(sha256.New, b, nil, "tram credential", keySize)
}
