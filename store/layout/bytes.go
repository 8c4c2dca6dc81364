package layout

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"

	"tram/store/record"
)

// ErrForm says that bytes are not of the form they should be.
var ErrForm = errors.New("the stored form is not known")

// lineageBytes is the length of a lineage without its text form.
const lineageBytes = record.LineageLen * 5 / 8

// writer writes the short forms: numbers as varints, texts behind their length.
type writer struct{ b []byte }

func (w *writer) byte(b byte)     { w.b = append(w.b, b) }
func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) part(b []byte) {
	w.number(uint64(len(b)))
	w.b = append(w.b, b...)
}

func (w *writer) flags(set ...bool) {
	var f byte
	for i, on := range set {
		if on {
			f |= 1 << i
		}
	}
	w.byte(f)
}

// name writes a name; one without a number is one byte.
func (w *writer) name(n record.Name) {
	w.number(n.N)
	if n.N == 0 {
		return
	}
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(string(n.Lineage)))
	if err != nil || len(raw) != lineageBytes {
		raw = make([]byte, lineageBytes) // no lineage
	}
	w.b = append(w.b, raw...)
}

func (w *writer) ref(r record.Ref) {
	w.name(r.Name)
	w.b = append(w.b, r.Digest[:]...)
}

// reader reads what writer wrote; after a fault it gives zeros, and end tells.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count is a number of things, each at least a byte long.
func (r *reader) count() uint64 {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) text() string { return string(r.take(r.number())) }

func (r *reader) name() record.Name {
	n := r.number()
	if n == 0 {
		return record.Name{}
	}
	raw := r.take(lineageBytes)
	var text [record.LineageLen]byte
	base32.StdEncoding.Encode(text[:], raw)
	for i := range text {
		text[i] |= 'a' - 'A' // of 2-7 the bit is set
	}
	return record.Name{Lineage: record.Lineage(text[:]), N: n}
}

func (r *reader) digest() record.Digest {
	var d record.Digest
	copy(d[:], r.take(uint64(len(d))))
	return d
}

func (r *reader) ref() record.Ref { return record.Ref{Name: r.name(), Digest: r.digest()} }

func (r *reader) end() error {
	if r.bad || len(r.b) > 0 {
		return ErrForm
	}
	return nil
}
