package blob

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tram/store/seal"
)

// Errors of attachments that come piece by piece.
var (
	// ErrMoved says that a piece does not begin where what is here ends.
	ErrMoved = errors.New("the attachment goes on at another place")
	// ErrWrong says that what came is not what its id names; it is let go of.
	ErrWrong = errors.New("what came is another attachment")
	// ErrMany says that as many attachments are on their way as may be.
	ErrMany = errors.New("too many attachments are on their way")
	// ErrFull says that the disk has no room.
	ErrFull = errors.New("the disk is full")
)

// Bounds on what is on its way.
const (
	// MaxSize bounds an attachment that comes piece by piece, in bytes.
	MaxSize = 32 << 20
	// Piece is how much is kept at a time, in bytes: what a cut may cost.
	Piece    = 4 << 10
	maxParts = 256
	// A part that does not grow makes way for another after a while, and goes in the end.
	partIdle = time.Hour
	partOld  = 30 * 24 * time.Hour
)

// part is how much there is of an attachment that is on its way.
type part struct {
	have   int64 // bytes of the attachment
	size   int64 // bytes of the file
	ending bool  // it is being made whole
}

func (b *Blobs) coming() string { return filepath.Join(b.dir, "coming") }

func (b *Blobs) partPath(id string) string {
	return filepath.Join(b.coming(), filepath.Base(b.path(id)))
}

// Held is how many bytes of an attachment are here, and whether that is all of it. One that
// cannot be read is not here: it may come again.
func (b *Blobs) Held(id string) (have int64, whole bool, err error) {
	if size, err := b.Size(id); err == nil {
		return size, true, nil
	}
	b.parting.Lock()
	defer b.parting.Unlock()
	p, err := b.part(id)
	return p.have, false, err
}

// part is what there is of an attachment, read from the disk at first. What a power cut
// tore off at its end is left out.
func (b *Blobs) part(id string) (*part, error) {
	if p := b.parts[id]; p != nil {
		return p, nil
	}
	p := &part{}
	f, err := os.Open(b.partPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read part of attachment: %w", err)
	}
	defer f.Close()
	for {
		plain, err := b.piece(f, id, p.have)
		if err != nil {
			break
		}
		p.have += int64(len(plain))
		if p.size, err = f.Seek(0, io.SeekCurrent); err != nil {
			return p, err
		}
	}
	b.parts[id] = p
	return p, os.Truncate(f.Name(), p.size)
}

// piece reads the piece that begins at a byte of the attachment.
func (b *Blobs) piece(r io.Reader, id string, at int64) ([]byte, error) {
	sealed, err := framed(r, 2*Piece)
	if err != nil {
		return nil, err
	}
	return b.keys.Open(partPlace(id, at), sealed)
}

func partPlace(id string, at int64) []byte { return fmt.Appendf(nil, "part/%s/%d", id, at) }

// Room says whether an attachment may begin or go on here: ErrTooLarge, what admit says,
// or nil.
func (b *Blobs) Room(size int64) error {
	if size > MaxSize {
		return ErrTooLarge
	}
	return b.admit()
}

// Append keeps a piece that begins at a byte of an attachment, sealed. It fails with
// ErrMoved where what is here ends elsewhere, and with ErrMany and ErrFull. Whether the
// pieces are what the id names shows in the end.
func (b *Blobs) Append(id string, at int64, piece []byte) error {
	b.parting.Lock()
	defer b.parting.Unlock()
	p, err := b.part(id)
	switch {
	case err != nil:
		return err
	case p.ending || p.have != at:
		return ErrMoved
	case len(piece) == 0:
		return nil
	case len(piece) > Piece || at+int64(len(piece)) > MaxSize:
		return ErrTooLarge
	case p.have == 0:
		if err := b.makeWay(id); err != nil {
			return err
		}
	}
	if err := b.grow(id, p, piece); seal.Full(err) {
		return fmt.Errorf("keep attachment: %w: %w", ErrFull, err)
	} else if err != nil {
		return fmt.Errorf("keep attachment: %w", err)
	}
	b.parts[id] = p
	return nil
}

func (b *Blobs) grow(id string, p *part, piece []byte) error {
	f, err := os.OpenFile(b.partPath(id), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	frame(&out, b.keys.Seal(partPlace(id, p.have), piece))
	n, err := f.WriteAt(out.Bytes(), p.size)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Truncate(f.Name(), p.size))
	}
	p.have, p.size = p.have+int64(len(piece)), p.size+int64(n)
	return nil
}

// makeWay lets go of old parts, and refuses one more where there are too many.
func (b *Blobs) makeWay(id string) error {
	if err := os.MkdirAll(b.coming(), 0o700); err != nil {
		return fmt.Errorf("keep attachment: %w", err)
	}
	entries, err := os.ReadDir(b.coming())
	if err != nil {
		return fmt.Errorf("keep attachment: %w", err)
	}
	left, oldest, since := 0, "", time.Now().Add(-partIdle)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		if time.Since(info.ModTime()) > partOld {
			b.dropFile(e.Name())
			continue
		}
		left++
		if info.ModTime().Before(since) {
			oldest, since = e.Name(), info.ModTime()
		}
	}
	if left < maxParts {
		return nil
	}
	if oldest == "" {
		return ErrMany
	}
	b.dropFile(oldest)
	return nil
}

func (b *Blobs) dropFile(name string) {
	for id := range b.parts {
		if filepath.Base(b.partPath(id)) == name {
			delete(b.parts, id)
		}
	}
	os.Remove(filepath.Join(b.coming(), name))
}

// Finish makes an attachment of the given size whole. It fails with ErrMoved where less is
// here or another makes it whole just now, and with ErrWrong where what is here is not
// what the id names: then all of it is let go of.
func (b *Blobs) Finish(id string, size int64) error {
	b.parting.Lock()
	p, err := b.part(id)
	switch {
	case err != nil:
	case p.ending || p.have < size:
		err = ErrMoved
	case p.have > size:
		b.dropPart(id)
		err = ErrWrong
	}
	if err == nil {
		p.ending, b.parts[id] = true, p
	}
	b.parting.Unlock()
	if err != nil {
		return err
	}
	err = b.whole(id, size)
	b.parting.Lock()
	defer b.parting.Unlock()
	p.ending = false
	switch {
	case errors.Is(err, ErrWrong), errors.Is(err, seal.ErrAltered): // or under a key that was retired since
		b.dropPart(id)
		return ErrWrong
	case seal.Full(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case err == nil:
		b.dropPart(id)
	}
	return err
}

func (b *Blobs) whole(id string, size int64) error {
	in := &pieces{b: b, id: id, size: size}
	if size > 0 {
		f, err := os.Open(b.partPath(id))
		if err != nil {
			return fmt.Errorf("read part of attachment: %w", err)
		}
		defer f.Close()
		in.from = f
	}
	_, err := b.keep(in, size, id)
	return err
}

func (b *Blobs) dropPart(id string) {
	delete(b.parts, id)
	os.Remove(b.partPath(id))
}

// Remove lets go of an attachment and of what has come of it.
func (b *Blobs) Remove(id string) error {
	b.parting.Lock()
	defer b.parting.Unlock()
	b.dropPart(id)
	if err := os.Remove(b.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove attachment: %w", err)
	}
	return nil
}

// pieces reads what has come, from the beginning.
type pieces struct {
	b        *Blobs
	id       string
	from     io.Reader
	size, at int64
	left     []byte
}

func (p *pieces) Read(out []byte) (n int, err error) {
	if len(p.left) == 0 {
		if p.at == p.size {
			return 0, io.EOF
		}
		if p.left, err = p.b.piece(p.from, p.id, p.at); err != nil {
			return 0, err
		}
		p.at += int64(len(p.left))
	}
	n = copy(out, p.left)
	p.left = p.left[n:]
	return n, nil
}

// frame writes what is sealed behind its length, framed reads it.
func frame(w io.Writer, sealed []byte) error {
	if err := binary.Write(w, binary.LittleEndian, uint32(len(sealed))); err != nil {
		return err
	}
	_, err := w.Write(sealed)
	return err
}

// framed fails with seal.ErrAltered where it is not whole, and as reading does: a disk that
// does not answer has damaged nothing.
func framed(r io.Reader, most uint32) ([]byte, error) {
	var size uint32
	err := binary.Read(r, binary.LittleEndian, &size)
	if err == nil && size > most {
		return nil, seal.ErrAltered
	}
	sealed := make([]byte, size)
	if err == nil {
		_, err = io.ReadFull(r, sealed)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = seal.ErrAltered
	}
	return sealed, err
}
