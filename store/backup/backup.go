// Package backup is one sealed file that holds a whole store.
//
// It owns the file's form: a head in the open with the slots of the keys, then sealed
// pieces, then an end that counts them. It promises that what Reader gives is what
// Writer took, all of it and in order, and that a file that was cut, altered or put
// together from two is refused. It does not know what the pieces mean; who has one of
// the slots' secrets can read them.
package backup

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tram/store/seal"
)

// Errors of reading a backup.
var (
	// ErrNotBackup says that the file is something else.
	ErrNotBackup = errors.New("this file is no backup")
	// ErrCut says that the file ends too early: the copy was not finished.
	ErrCut = errors.New("the backup is not whole: it was cut off")
)

// magic begins each file; the number is that of its form.
const magic = "tram backup 1\n"

// maxHead and maxPiece bound what is read at once, in bytes.
const (
	maxHead  = 4 << 20
	maxPiece = seal.MaxValue + 4096
)

// Head is what a backup says of itself to everybody. It names no patient.
type Head struct {
	ID     string          `json:"id"`   // of this backup, random
	Name   string          `json:"name"` // of the replica
	Made   int64           `json:"made"` // Unix milliseconds, by the PC's clock
	Schema int             `json:"schema"`
	Top    bool            `json:"top,omitempty"`
	Slots  json.RawMessage `json:"slots"` // the file of key slots
}

// Kind says what a piece is.
type Kind byte

// The kinds of pieces. The end is written and read by this package alone.
const (
	Entry Kind = 'e' // of the database: key, stored value; an empty value takes the key back
	Blob  Kind = 'b' // of an attachment: its file's name, more of its bytes
	end   Kind = 'z'
)

// Writer writes a backup. One goroutine uses it.
type Writer struct {
	out  *bufio.Writer
	keys *seal.Keys
	id   string
	n    uint64
}

// NewWriter writes the head; it fills in the id.
func NewWriter(w io.Writer, keys *seal.Keys, h Head) (*Writer, error) {
	h.ID = rand.Text()
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(w, 256<<10)
	_, err = out.WriteString(magic)
	if err = errors.Join(err, frame(out, b)); err != nil {
		return nil, err
	}
	return &Writer{out: out, keys: keys, id: h.ID}, nil
}

// frame writes bytes behind their length.
func frame(w io.Writer, b []byte) error {
	if err := binary.Write(w, binary.LittleEndian, uint32(len(b))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

func place(id string, n uint64) []byte { return fmt.Appendf(nil, "backup/%s/%d", id, n) }

// Piece writes one piece.
func (w *Writer) Piece(k Kind, key, value []byte) error {
	plain := append(make([]byte, 0, 5+len(key)+len(value)), byte(k))
	plain = binary.AppendUvarint(plain, uint64(len(key)))
	plain = append(append(plain, key...), value...)
	sealed := w.keys.Seal(place(w.id, w.n), plain)
	w.n++
	return frame(w.out, sealed)
}

// Close writes the end. Without it the backup is not whole.
func (w *Writer) Close() error {
	if err := w.Piece(end, binary.BigEndian.AppendUint64(nil, w.n), nil); err != nil {
		return err
	}
	return w.out.Flush()
}

// Reader reads a backup. One goroutine uses it.
type Reader struct {
	in   *bufio.Reader
	head Head
	keys *seal.Keys
	n    uint64
	done bool
}

// NewReader reads the head.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	b := make([]byte, len(magic))
	if _, err := io.ReadFull(in, b); err != nil || string(b) != magic {
		return nil, ErrNotBackup
	}
	b, err := unframe(in, maxHead)
	if err != nil {
		return nil, err
	}
	out := &Reader{in: in}
	if err := json.Unmarshal(b, &out.head); err != nil || out.head.ID == "" {
		return nil, ErrNotBackup
	}
	return out, nil
}

func unframe(r io.Reader, limit uint32) ([]byte, error) {
	var size uint32
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, cut(err)
	}
	if size > limit {
		return nil, fmt.Errorf("%w: a piece of %d bytes", ErrNotBackup, size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, cut(err)
	}
	return b, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

// Head is what the backup says of itself.
func (r *Reader) Head() Head { return r.head }

// Unlock gives the keys to read on with.
func (r *Reader) Unlock(keys *seal.Keys) { r.keys = keys }

// Next is the next piece; io.EOF behind the last of a whole backup. It fails with
// ErrCut or seal.ErrAltered.
func (r *Reader) Next() (k Kind, key, value []byte, err error) {
	if r.done {
		return 0, nil, nil, io.EOF
	}
	sealed, err := unframe(r.in, maxPiece)
	if err != nil {
		return 0, nil, nil, err
	}
	plain, err := r.keys.Open(place(r.head.ID, r.n), sealed)
	if err != nil {
		return 0, nil, nil, err
	}
	if len(plain) == 0 {
		return 0, nil, nil, ErrNotBackup
	}
	k = Kind(plain[0])
	n, size := binary.Uvarint(plain[1:])
	if size <= 0 || n > uint64(len(plain)-1-size) {
		return 0, nil, nil, ErrNotBackup
	}
	key, value = plain[1+size:1+size+int(n)], plain[1+size+int(n):]
	if k == end {
		r.done = true
		if len(key) != 8 || binary.BigEndian.Uint64(key) != r.n {
			return 0, nil, nil, ErrCut
		}
		return 0, nil, nil, io.EOF
	}
	r.n++
	return k, key, value, nil
}
