// Package columns tells lines of compact JSON by what stood in the same places before.
//
// It owns the split of a line into its form and its values, and the codes by which a
// value is told from earlier ones. It promises that every line comes back byte for
// byte, whether it is JSON or not, and that a block from outside makes it hold no more
// than its limits. It does not know what a line means, and leaves it to a general
// compressor to pack what it gives: codes of one place stand side by side and are
// mostly 0. The idea is that of column stores (Abadi et al., Integrating compression
// and execution in column-oriented database systems, SIGMOD 2006).
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
}

// NewModel makes a model that knows some lines, each ended by a line feed.
func NewModel(lines []byte) *Model {
	m := &Model{forms: map[string]*form{}, places: map[string]*place{}, tails: map[string]*tail{}, start: &value{}, long: &value{}}
	m.form = &form{around: [][]byte{nil}}
	m.form.id = m.form
	var b block
	for line := range bytes.Lines(lines) {
		m.pack(&b, bytes.TrimSuffix(line, []byte("\n")))
	}
	b.done()
	return (&Model{base: m}).Another()
}

// Another makes a model that begins as m did. That costs little: what neither meets is
// there once. It may be called while m is used, also by several goroutines at once.
func (m *Model) Another() *Model {
	out := &Model{base: m.base}
	out.Reset()
	return out
}

// Reset brings a model back to what it knew at first.
func (m *Model) Reset() {
	b := m.base
	*m = Model{base: b, forms: map[string]*form{}, places: map[string]*place{}, tails: map[string]*tail{}, bytes: b.bytes, placed: b.placed, known: b.known,
		recent: recency[*form]{slices.Clone(b.recent.list)}, start: b.start, long: b.long, number: b.number, moment: b.moment}
	m.form = m.own(b.form.id)
}

// fresh begins anew where a model has come to know much.
func (m *Model) fresh() {
	if m.known > maxKnown/2 || m.bytes > maxForms/2 || m.placed > maxPlaces/2 {
		m.Reset()
	}
}

// block is what one block says, part by part.
type block struct {
	forms   []byte   // a code for each line
	whole   []byte   // forms and lines told whole, a line feed behind each
	touched []*place // in the order in which their first values come
}

// done lets go of what the places have for the block.
func (b *block) done() {
	for _, p := range b.touched {
		p.codes, p.numbers, p.texts = p.codes[:0], p.numbers[:0], p.texts[:0]
	}
}

// Pack adds a block of lines to dst, MaxLines at most, none with a line feed in it.
func (m *Model) Pack(dst []byte, lines [][]byte) []byte {
	m.fresh()
	var b block
	for _, line := range lines {
		m.pack(&b, line)
	}
	var codes, numbers, texts []byte
	for _, p := range b.touched {
		codes, numbers, texts = append(codes, p.codes...), append(numbers, p.numbers...), append(texts, p.texts...)
	}
	b.done()
	dst = binary.AppendUvarint(dst, uint64(len(lines)))
	parts := [][]byte{b.forms, b.whole, codes, numbers, texts}
	for _, part := range parts {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
	}
	for _, part := range parts {
		dst = append(dst, part...)
	}
	return dst
}

// The codes of a line's form; above them, how many forms ago it was the last time.
const (
	formNext   = iota // the one that followed the form before it the last time
	formNew           // told whole
	formNone          // the line is told whole
	formRecent        // and above
)

func (m *Model) pack(b *block, line []byte) {
	skeleton, texts, ok := split(line)
	var f *form
	if ok {
		f = m.formOf(string(skeleton), len(texts))
	}
	if f == nil || len(f.places) != len(texts) {
		b.forms, b.whole = append(b.forms, formNone), append(append(b.whole, line...), '\n')
		return
	}
	switch ago := m.recent.ago(f.id); {
	case m.form.next == f.id:
		b.forms = append(b.forms, formNext)
	case ago >= 0:
		b.forms = append(b.forms, byte(formRecent+ago))
	default:
		b.forms, b.whole = append(b.forms, formNew), append(append(b.whole, skeleton...), '\n')
	}
	m.follow(f)
	before := m.start
	for i, p := range f.places {
		if len(p.codes) == 0 {
			b.touched = append(b.touched, p)
		}
		m.tell(p, before, texts[i])
		before = m.learn(p, before, texts[i])
	}
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
	var sizes [5]int
	for i := range sizes {
		sizes[i] = r.uvarint(uint64(len(packed)))
	}
	forms, whole, codes, numbers, texts := r.take(sizes[0]), r.take(sizes[1]), r.take(sizes[2]), r.take(sizes[3]), r.take(sizes[4])
	if r.bad || len(r.left) > 0 || len(forms) != count || count == 0 {
		return nil, fmt.Errorf("%w: its parts", ErrForm)
	}
	lines, err := m.read(forms, whole)
	if err != nil {
		return nil, err
	}
	if err := deal(lines, codes, numbers, texts); err != nil {
		return nil, err
	}
	out, total := make([][]byte, len(lines)), 0
	for i, l := range lines {
		if out[i], err = m.rebuild(l, max-total); err != nil {
			return nil, err
		}
		total += len(out[i])
	}
	return out, nil
}

// lined is a line whose values are still to come; without a form it is whole.
type lined struct {
	form  *form
	whole []byte
}

// read tells the form of each line.
func (m *Model) read(codes, whole []byte) ([]lined, error) {
	r := reader{left: whole}
	var out []lined
	for _, code := range codes {
		var f *form
		switch code {
		case formNone:
			out = append(out, lined{whole: r.line()})
			continue
		case formNew:
			f = m.formOf(string(r.line()), anyNumber)
		case formNext:
			f = m.own(m.form.next)
		default:
			f = m.own(m.recent.at(int(code - formRecent)))
		}
		if f == nil || r.bad {
			return nil, fmt.Errorf("%w: a form", ErrForm)
		}
		m.follow(f)
		out = append(out, lined{form: f})
	}
	if r.bad || len(r.left) > 0 {
		return nil, fmt.Errorf("%w: a form", ErrForm)
	}
	return out, nil
}

// deal gives each place its part of the codes, numbers and texts.
func deal(lines []lined, codes, numbers, texts []byte) error {
	var touched []*place
	total := 0
	for _, l := range lines {
		if l.form == nil {
			continue
		}
		if total += len(l.form.places); total > len(codes) {
			return fmt.Errorf("%w: a value", ErrForm)
		}
		for _, p := range l.form.places {
			if !p.touched {
				p.touched, p.count = true, 0
				touched = append(touched, p)
			}
			p.count++
		}
	}
	c, n, t := reader{left: codes}, reader{left: numbers}, reader{left: texts}
	for _, p := range touched {
		p.touched = false
		p.codes = c.take(p.count)
		told, counted := 0, 0
		for _, code := range p.codes {
			switch {
			case code == tellText:
				told++
			case counts(code):
				counted++
			}
		}
		p.texts, p.numbers = t.part(told, '\n', '\n'), n.part(counted, 0, 0x7f)
	}
	if c.bad || n.bad || t.bad || len(c.left)+len(n.left)+len(t.left) > 0 {
		return fmt.Errorf("%w: a value", ErrForm)
	}
	return nil
}

// rebuild makes a line of its form and the next values of its places.
func (m *Model) rebuild(l lined, max int) ([]byte, error) {
	if l.form == nil {
		if len(l.whole) > max {
			return nil, fmt.Errorf("%w: it is too large", ErrForm)
		}
		return l.whole, nil
	}
	var out []byte
	before := m.start
	for i, p := range l.form.places {
		text, err := m.hear(p, before)
		if err != nil {
			return nil, err
		}
		if len(out)+len(text)+len(l.form.around[i]) > max {
			return nil, fmt.Errorf("%w: it is too large", ErrForm)
		}
		out = append(append(out, l.form.around[i]...), text...)
		before = m.learn(p, before, text)
	}
	last := l.form.around[len(l.form.places)]
	if len(out)+len(last) > max {
		return nil, fmt.Errorf("%w: it is too large", ErrForm)
	}
	return append(out, last...), nil
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

// part takes so many pieces, each of which ends in a byte from first to last.
func (r *reader) part(pieces int, first, last byte) []byte {
	n := 0
	for ; pieces > 0 && n < len(r.left); n++ {
		if b := r.left[n]; first <= b && b <= last {
			pieces--
		}
	}
	if pieces > 0 {
		r.bad, r.left = true, nil
		return nil
	}
	return r.take(n)
}

func (r *reader) line() []byte {
	i := bytes.IndexByte(r.left, '\n')
	if i < 0 {
		r.bad, r.left = true, nil
		return nil
	}
	return r.take(i + 1)[:i]
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

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.left)
	if n <= 0 {
		r.bad, r.left = true, nil
		return 0
	}
	r.left = r.left[n:]
	return v
}
