package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"tram/store/seal"
)

// TPM opens by the TPM 2.0 that wrapped: the master key is sealed under a primary
// key of its storage hierarchy, which no other TPM has and which ends when the
// TPM is cleared. It is bound to no state of the PC, so that updates of firmware
// and system do not shut the records; what it protects is a disk without its PC.
type TPM struct {
	// Device is the device file, or a simulator's socket; "" is DefaultTPM.
	// Windows has one TPM without a name.
	Device string
}

// DefaultTPM is the kernel's resource manager of the first TPM on Linux.
const DefaultTPM = "/dev/tpmrm0"

// sealed is the slot: the two halves of the TPM's own sealed object.
type sealed struct {
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
}

// Kind is KindTPM.
func (TPM) Kind() string { return KindTPM }

// Wrap needs the right to use the TPM: on Linux, that of the group tss.
func (t TPM) Wrap(master []byte) (json.RawMessage, error) {
	var out sealed
	err := t.with(func(tpm transport.TPM, root *tpm2.CreatePrimaryResponse, rootKey *tpm2.TPMTPublic) error {
		made, err := tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: session(root, rootKey, tpm2.AESEncryption(128, tpm2.EncryptIn))},
			InSensitive:  tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: master})}},
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
				// No guess can be wrong where nothing is to be guessed, so none locks the TPM.
				ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true},
			}),
		}.Execute(tpm)
		if err == nil {
			out = sealed{tpm2.Marshal(made.OutPublic), tpm2.Marshal(made.OutPrivate)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Unwrap needs the TPM that wrapped.
func (t TPM) Unwrap(slot json.RawMessage) (master []byte, err error) {
	var in sealed
	if err := parse(slot, &in); err != nil {
		return nil, err
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](in.Public)
	if err != nil {
		return nil, seal.ErrWrongKey
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](in.Private)
	if err != nil {
		return nil, seal.ErrWrongKey
	}
	err = t.with(func(tpm transport.TPM, root *tpm2.CreatePrimaryResponse, rootKey *tpm2.TPMTPublic) error {
		object, err := tpm2.Load{
			ParentHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
			InPrivate:    *private, InPublic: *public,
		}.Execute(tpm)
		if errors.Is(err, tpm2.TPMRCIntegrity) || errors.Is(err, tpm2.TPMRCBinding) {
			return seal.ErrElsewhere
		}
		if errors.Is(err, tpm2.TPMRCSize) { // no object at all
			return seal.ErrWrongKey
		}
		if err != nil {
			return err
		}
		defer flush(tpm, object.ObjectHandle)
		opened, err := tpm2.Unseal{
			ItemHandle: tpm2.AuthHandle{Handle: object.ObjectHandle, Name: object.Name, Auth: session(root, rootKey, tpm2.AESEncryption(128, tpm2.EncryptOut))},
		}.Execute(tpm)
		if err == nil {
			master = opened.OutData.Buffer
		}
		return err
	})
	return master, err
}

// with gives f the TPM and the root of its storage: always the same key, since a
// TPM derives it from a seed that stays inside.
func (t TPM) with(f func(transport.TPM, *tpm2.CreatePrimaryResponse, *tpm2.TPMTPublic) error) error {
	tpm, err := openTPM(t.Device)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: this account may not use the TPM (on Linux, add it to the group tss): %w", seal.ErrUnable, err)
	case err != nil:
		return fmt.Errorf("%w: there is no TPM 2.0, or it is switched off: %w", seal.ErrUnable, err)
	}
	defer tpm.Close()
	root, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(tpm)
	if err != nil {
		return fmt.Errorf("%w: the TPM does not give its storage: %w", seal.ErrUnable, err)
	}
	defer flush(tpm, root.ObjectHandle)
	key, err := root.OutPublic.Contents()
	if err == nil {
		err = f(tpm, root, key)
	}
	if err != nil && !errors.Is(err, seal.ErrElsewhere) && !errors.Is(err, seal.ErrWrongKey) {
		err = fmt.Errorf("%w: TPM: %w", seal.ErrUnable, err)
	}
	return err
}

// session keeps the master key unreadable on the wires between PC and TPM.
func session(root *tpm2.CreatePrimaryResponse, key *tpm2.TPMTPublic, way tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, way, tpm2.Salted(root.ObjectHandle, *key))
}

// flush gives the TPM's little memory back; where that fails its resource manager does it.
func flush(tpm transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(tpm)
}
