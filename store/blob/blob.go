// Package blob keeps attachments by content: sealed files named so that nothing
// can be told from them.
//
// It promises that an attachment is on the disk, whole, when Put returns, that
// equal contents are kept once, and that Get gives back exactly what was put
// or fails. One that comes piece by piece goes on where it was, also after a restart,
// and is an attachment only once all of it is what its id names. It does not know which
// records refer to an attachment.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"tram/store/seal"
)

// Errors of attachments.
var (
	// ErrTooLarge says that an attachment exceeds the given limit.
	ErrTooLarge = errors.New("the attachment is too large")
	// ErrMissing says that there is no such attachment here.
	ErrMissing = errors.New("no such attachment here")
)

// chunk is how much is sealed at a time, in bytes.
const chunk = 64 << 10

// Blobs is a folder of attachments. It is safe for concurrent use.
type Blobs struct {
	dir   string
	keys  *seal.Keys
	admit func() error
	// rotten is told the name of a file that does not open any more, before it is set aside.
	rotten func(name string) error
	// fresh is held for reading by what is written: it may be under an older key.
	fresh sync.RWMutex

	parting sync.Mutex // guards parts
	parts   map[string]*part
}

// New makes the folder when it is missing. admit is asked before each attachment
// whether there is room for any; nil is always. rotten is told the name of a file that is
// damaged, before it is set aside; nil for nobody.
func New(dir string, keys *seal.Keys, admit func() error, rotten func(name string) error) (*Blobs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open attachments: %w", err)
	}
	if admit == nil {
		admit = func() error { return nil }
	}
	if rotten == nil {
		rotten = func(string) error { return nil }
	}
	return &Blobs{dir: dir, keys: keys, admit: admit, rotten: rotten, parts: map[string]*part{}}, nil
}

// Put keeps what r gives, at most max bytes, and returns its id: the SHA-256 in hex.
func (b *Blobs) Put(r io.Reader, max int64) (string, error) {
	if err := b.admit(); err != nil {
		return "", fmt.Errorf("keep attachment: %w", err)
	}
	return b.keep(r, max, "")
}

// keep is Put; what is not the attachment wanted is not kept, and "" wants any.
func (b *Blobs) keep(r io.Reader, max int64, want string) (string, error) {
	b.fresh.RLock()
	defer b.fresh.RUnlock()
	f, err := os.CreateTemp(b.dir, fresh+"*")
	if err != nil {
		return "", fmt.Errorf("keep attachment: %w", err)
	}
	defer os.Remove(f.Name())
	id, err := b.write(f, r, max)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("keep attachment: %w", err)
	}
	if want != "" && want != id {
		return "", ErrWrong
	}
	if err := os.Rename(f.Name(), b.path(id)); err != nil {
		return "", fmt.Errorf("keep attachment: %w", err)
	}
	return id, seal.SyncDir(b.dir)
}

// write seals chunk after chunk. The chunks are bound to their order and, by the
// last one's mark, to their number; the id is checked when read.
func (b *Blobs) write(w io.Writer, r io.Reader, max int64) (string, error) {
	sum := sha256.New()
	buf := make([]byte, chunk)
	for n, total := uint32(0), int64(0); ; n++ {
		m, err := io.ReadFull(r, buf)
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return "", err
		}
		if total += int64(m); total > max {
			return "", ErrTooLarge
		}
		sum.Write(buf[:m])
		if err := b.put(w, n, last, buf[:m]); err != nil {
			return "", err
		}
		if last {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
	}
}

// Has reports whether the attachment is here.
func (b *Blobs) Has(id string) bool {
	_, err := os.Stat(b.path(id))
	return err == nil
}

// Get writes the attachment to w. It fails when the attachment is not whole, or another's; a
// damaged file is set aside then. What was written until then must not be used.
func (b *Blobs) Get(id string, w io.Writer) error {
	f, err := b.open(id)
	if err != nil {
		return err
	}
	sum := sha256.New()
	err = errors.Join(b.copy(io.MultiWriter(sum, w), f), f.Close())
	if errors.Is(err, seal.ErrAltered) {
		err = errors.Join(err, b.setAside(b.Name(id)))
	} else if err == nil && hex.EncodeToString(sum.Sum(nil)) != id {
		err = seal.ErrAltered
	}
	if err != nil {
		return fmt.Errorf("read attachment: %w", err)
	}
	return nil
}

// copy writes what a file holds, to its end.
func (b *Blobs) copy(w io.Writer, r io.Reader) error {
	for n, last := uint32(0), false; !last; n++ {
		var plain []byte
		var err error
		if plain, last, err = b.next(r, n); err != nil {
			return err
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
	}
	return nil
}

func (b *Blobs) next(r io.Reader, n uint32) (plain []byte, last bool, err error) {
	sealed, err := framed(r, 2*chunk)
	if err != nil {
		return nil, false, err
	}
	if plain, err = b.keys.Open(place(n, false), sealed); err == nil {
		return plain, false, nil
	}
	plain, err = b.keys.Open(place(n, true), sealed)
	return plain, true, err
}

func (b *Blobs) path(id string) string { return filepath.Join(b.dir, b.Name(id)) }

// Name is the name of an attachment's file. It hides the content's digest, by which a known
// picture could be recognised.
func (b *Blobs) Name(id string) string {
	name := b.keys.Blind("blob", id)
	return hex.EncodeToString(name[:])
}

func place(n uint32, last bool) []byte { return fmt.Appendf(nil, "blob/%d/%t", n, last) }
