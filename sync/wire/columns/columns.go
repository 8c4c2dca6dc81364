// Package columns tells lines of compact JSON by what stood in the same places before.
//
// It owns the split of a line into its form and its values, the ways in which a value is
// told from earlier ones, and the coding of all that by how likely it is. It promises that
// every line comes back byte for byte, whether it is JSON or not, and that a block from
// outside makes it hold no more than its limits. It does not know what a line means.
//
// The ideas are those of column stores (Abadi et al., Integrating compression and execution
// in column-oriented database systems, SIGMOD 2006) and of context mixing (Mahoney, Adaptive
// weighing of context models for lossless data compression, 2005).
package columns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrForm says that a block is none.
var ErrForm = errors.New("a block that cannot be unpacked")

// Limits of a block and of a model. What would go beyond those of a model is told whole.
const (
	MaxLines  = 1 << 14 // in one block
	maxDepth  = 128     // of a line
	maxForm   = 1 << 14 // bytes of one form
	maxPath   = 1 << 10 // bytes of the keys above a value
	maxForms  = 1 << 22 // bytes of all forms
	maxPlaces = 1 << 14
	maxKnown  = 1 << 16 // values, and what followed which
	maxShort  = 1 << 10 // bytes of a value
	maxRecent = 64      // forms, and values of a place, that are told by how long ago they were
	slack     = 1 << 5  // bytes that a line may have more than the one before of its form
)

// Model is what both sides know of the lines so far. Packing and unpacking the same
// blocks bring it to the same state, so that a side may go on to pack with what it
// unpacked. It is not safe for concurrent use.
type Model struct {
	base   *Model // what it goes on from, which does not change
	forms  map[string]*form
	places map[string]*place
	tails  map[string]*tail
	bytes  int // of all forms
	placed int // places in all
	known  int // values in all, and what followed which
	form   *form
	recent recency[*form]
	start  *value // what stands before a line's first value
	long   *value // any value that is not kept
	number number // the last one of the stream, with a stem
	moment moment
	bits   *predictor
	texts  *texts
	parts  parts  // of the line at hand
	shape  uint32 // how the last form was told
	way    uint32 // how the last value was
	digits uint32 // of the last number that came with a way
	coded  int    // bytes of texts, and values, since NewModel or Another
}

// NewModel makes a model that knows some lines, each ended by a line feed.
func NewModel(lines []byte) *Model {
	m := &Model{forms: map[string]*form{}, places: map[string]*place{}, tails: map[string]*tail{}, start: &value{}, long: &value{},
		bits: newPredictor(), texts: &texts{told: []byte{'\n'}}}
	m.form = &form{around: [][]byte{nil}}
	m.form.id = m.form
	c := packs()
	for line := range bytes.Lines(lines) {
		m.pack(c, bytes.TrimSuffix(line, []byte("\n")))
	}
	return (&Model{base: m}).Another()
}

// Another makes a model that begins as m did. That costs little: what neither meets is
// there once. It may be called while m is used, also by several goroutines at once.
func (m *Model) Another() *Model {
	out := &Model{base: m.base, bits: &predictor{}, texts: &texts{}}
	out.reset()
	return out
}

// reset brings a model back to what it knew at first.
func (m *Model) reset() {
	b, bits, texts, coded := m.base, m.bits, m.texts, m.coded
	bits.from(b.bits)
	texts.from(b.texts)
	*m = Model{base: b, bits: bits, texts: texts, coded: coded, start: b.start, long: b.long,
		forms: map[string]*form{}, places: map[string]*place{}, tails: map[string]*tail{}, recent: recency[*form]{slices.Clone(b.recent.list)},
		bytes: b.bytes, placed: b.placed, known: b.known, shape: b.shape, way: b.way, digits: b.digits, number: b.number, moment: b.moment}
	m.form = m.own(b.form.id)
}

// fresh begins anew where a model has come to know much.
func (m *Model) fresh() {
	if m.known > maxKnown/2 || m.bytes > maxForms/2 || m.placed > maxPlaces/2 || len(m.texts.told) > maxTexts {
		m.reset()
	}
}

// Pack adds a block of lines to dst, MaxLines at most, none with a line feed in it.
func (m *Model) Pack(dst []byte, lines [][]byte) []byte {
	m.fresh()
	c := packs()
	for _, line := range lines {
		m.pack(c, line)
	}
	coded := c.end()
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(len(lines))), uint64(len(coded)))
	return m.texts.long.deflate(append(dst, coded...))
}

// The ways in which a line's form is told.
const (
	formNext   = iota // it is the one that followed the form before it the last time
	formNew           // told whole
	formNone          // the line is told whole
	formRecent        // and above: it was used so many others ago
)

// pack codes a line. Nothing in it can fail.
func (m *Model) pack(c *coder, line []byte) {
	var f *form
	var ok bool
	if m.parts, ok = split(line, m.parts); ok && m.coded <= maxCoded {
		f = m.formOf(m.parts.skeleton, len(m.parts.texts))
	}
	if f == nil || len(f.places) != len(m.parts.texts) {
		m.formWay(c, formNone)
		_, _ = m.text(c, wholeLine, line)
		return
	}
	switch ago := m.recent.ago(f.id); {
	case m.form.next == f.id:
		m.formWay(c, formNext)
	case ago >= 0:
		m.formWay(c, formRecent+ago)
	default:
		m.formWay(c, formNew)
		_, _ = m.text(c, wholeForm, m.parts.skeleton)
	}
	m.follow(f)
	before := m.start
	for i, p := range f.places {
		_, before, _ = m.value(c, p, before, m.parts.texts[i])
	}
}

// The places of texts that are no values.
const (
	wholeLine = iota
	wholeForm
)

// formWay codes in which way a form is told.
func (m *Model) formWay(c *coder, way int) int {
	contexts := [...]uint32{hash(m.form.hash, 1), hash(m.form.hash, m.shape, 2), hash(m.shape, 3)}
	other := 0
	if way != formNext {
		other = 1
	}
	if m.bits.bit(c, other, siteForm, 0, contexts[:]...) == 1 {
		way = m.bits.number(c, way, 7, siteForm, contexts[:]...)
	}
	m.shape = uint32(way)
	return way
}

// follow notes that a line is of a form.
func (m *Model) follow(f *form) {
	m.form.next, m.form = f.id, f
	m.recent.use(f.id)
}

// Unpack gives the lines of a block that Pack made from the same state; max bounds the
// bytes of all of them. It fails with ErrForm, and the model is then of no more use.
func (m *Model) Unpack(packed []byte, max int) ([][]byte, error) {
	m.fresh()
	r := reader{left: packed}
	count := r.uvarint(MaxLines)
	c := unpacks(r.take(r.uvarint(uint64(len(packed)))))
	if r.bad || count == 0 {
		return nil, fmt.Errorf("%w: its parts", ErrForm)
	}
	m.texts.long.inflate(r.left, max)
	var out [][]byte
	for range count {
		line, err := m.unpack(c, max)
		if err != nil {
			return nil, err
		}
		if max -= len(line); c.short() || max < 0 {
			return nil, fmt.Errorf("%w: it is too large, or too short", ErrForm)
		}
		out = append(out, line)
	}
	if !c.done() || !m.texts.long.done() {
		return nil, fmt.Errorf("%w: it has more than its lines", ErrForm)
	}
	return out, nil
}

// unpack gives the next line.
func (m *Model) unpack(c *coder, max int) ([]byte, error) {
	var f *form
	many := m.coded > maxCoded
	switch way := m.formWay(c, 0); way {
	case formNone:
		line, err := m.text(c, wholeLine, nil)
		return bytes.Clone(line), err
	case formNew:
		skeleton, err := m.text(c, wholeForm, nil)
		if err != nil {
			return nil, err
		}
		f = m.formOf(skeleton, anyNumber)
	case formNext:
		f = m.own(m.form.next)
	default:
		f = m.own(m.recent.at(way - formRecent))
	}
	if f == nil || many {
		return nil, fmt.Errorf("%w: a form, or too many values", ErrForm)
	}
	m.follow(f)
	out := make([]byte, 0, min(f.size+slack, max))
	before := m.start
	for i, p := range f.places {
		text, v, err := m.value(c, p, before, nil)
		if err != nil {
			return nil, err
		}
		out = append(append(out, f.around[i]...), text...)
		if c.short() || len(out) > max {
			return nil, fmt.Errorf("%w: a line", ErrForm)
		}
		before = v
	}
	out = append(out, f.around[len(f.places)]...)
	f.size = len(out)
	return out, nil
}

// reader takes parts of bytes, and is bad once there were too few.
type reader struct {
	left []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.left) {
		r.bad, r.left = true, nil
		return nil
	}
	out := r.left[:n:n]
	r.left = r.left[n:]
	return out
}

func (r *reader) uvarint(max uint64) int {
	v, n := binary.Uvarint(r.left)
	if n <= 0 || v > max {
		r.bad, r.left = true, nil
		return 0
	}
	r.left = r.left[n:]
	return int(v)
}
