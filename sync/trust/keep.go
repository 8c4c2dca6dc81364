package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"tram/store/seal"
)

// The files that this package keeps, each whole in one so that no cut leaves a
// key without its certificate, and the places they are sealed for.
const (
	authorityFile  = "authority.sealed"
	authorityPlace = "trust/authority"
	identityFile   = "identity.sealed"
	identityPlace  = "trust/identity"
	maxFile        = 64 << 10
)

// Store keeps a new authority in dir, which is made if missing. It fails with
// fs.ErrExist where one is kept already: replacing it would lock out every
// station.
func (a *Authority) Store(dir string, s Sealer) error {
	switch _, err := os.Lstat(filepath.Join(dir, authorityFile)); {
	case err == nil:
		return fmt.Errorf("keep the authority: %w", fs.ErrExist)
	case !os.IsNotExist(err):
		return fmt.Errorf("keep the authority: %w", err)
	}
	plain, err := a.encode()
	if err != nil {
		return fmt.Errorf("keep the authority: %w", err)
	}
	defer clear(plain)
	if err := write(dir, authorityFile, authorityPlace, plain, s); err != nil {
		return fmt.Errorf("keep the authority: %w", err)
	}
	return nil
}

// LoadAuthority reads the authority kept in dir. It fails with fs.ErrNotExist
// where none is kept.
func LoadAuthority(dir string, s Sealer) (*Authority, error) {
	plain, err := read(dir, authorityFile, authorityPlace, s)
	if err != nil {
		return nil, fmt.Errorf("load the authority: %w", err)
	}
	defer clear(plain)
	a, err := decodeAuthority(plain)
	if err != nil {
		return nil, fmt.Errorf("load the authority: %w", err)
	}
	return a, nil
}

// Store keeps the identity in dir, which is made if missing, in place of the
// one kept before.
func (i *Identity) Store(dir string, s Sealer) error {
	plain, err := i.encode()
	if err != nil {
		return fmt.Errorf("keep the identity: %w", err)
	}
	defer clear(plain)
	if err := write(dir, identityFile, identityPlace, plain, s); err != nil {
		return fmt.Errorf("keep the identity: %w", err)
	}
	return nil
}

// LoadIdentity reads the identity kept in dir. It fails with fs.ErrNotExist
// where none is kept.
func LoadIdentity(dir string, s Sealer) (*Identity, error) {
	plain, err := read(dir, identityFile, identityPlace, s)
	if err != nil {
		return nil, fmt.Errorf("load the identity: %w", err)
	}
	defer clear(plain)
	i, err := decodeIdentity(plain)
	if err != nil {
		return nil, fmt.Errorf("load the identity: %w", err)
	}
	return i, nil
}

// Reseal seals what is kept in dir anew, so that it opens when older keys are gone. What
// does not open stays as it is.
// Nothing else may store there meanwhile.
func Reseal(dir string, s Sealer) error {
	for name, place := range map[string]string{authorityFile: authorityPlace, identityFile: identityPlace} {
		plain, err := read(dir, name, place, s)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, seal.ErrAltered) {
			continue // what does not open now opens under no key that is left
		}
		if err == nil {
			err = write(dir, name, place, plain, s)
			clear(plain)
		}
		if err != nil {
			return fmt.Errorf("seal %s anew: %w", name, err)
		}
	}
	return nil
}

func read(dir, name, place string, s Sealer) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sealed, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(sealed) > maxFile {
		return nil, ErrTooLarge
	}
	return s.Open(place, sealed)
}

// write replaces a file whole: either the old or the new content is there
// after a cut, and it is durable when write returns.
func write(dir, name, place string, plain []byte, s Sealer) (err error) {
	sealed, err := s.Seal(place, plain)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, name+".*.tmp") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(sealed)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename durable. Windows cannot sync a directory; NTFS
// journals the rename itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
