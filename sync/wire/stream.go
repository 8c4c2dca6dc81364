package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"tram/store/record"
	"tram/sync/wire/columns"
)

// Errors of a stream.
var (
	// ErrNonsense says that what came is no stream of frames.
	ErrNonsense = errors.New("the other side's answer cannot be read")
	// ErrCut says that the stream ended before its End.
	ErrCut = errors.New("the exchange was cut")
)

// Limits of a stream from outside.
const (
	MaxLine   = 20 << 20  // one frame or one content, in bytes
	MaxStream = 512 << 20 // one request or answer, unpacked, in bytes
	MaxFrames = 1 << 20   // of one
	maxWindow = 8 << 20
	maxBlock  = MaxLine + 2*block // of a packed stream
	block     = 128 << 10         // after which a writer ends one
)

// After is what both sides know after a packed stream: the answer to a request goes on
// from there. The zero value is what they know before any.
type After struct{ model *columns.Model }

// from is the model that a packed stream goes on with: that of the stream before, or one
// that begins.
func (a After) from() *columns.Model {
	if a.model != nil {
		return a.model
	}
	return known().Another()
}

// Writer writes frames as one compressed stream of lines. It is not safe for
// concurrent use.
type Writer struct {
	w     io.Writer
	z     *zstd.Encoder  // of a plain stream
	model *columns.Model // of the packed stream at hand
	lines [][]byte       // not written yet
	size  int            // of them
}

// NewWriter begins a stream after another one.
func NewWriter(w io.Writer, f Form, after After) (*Writer, error) {
	if f == Packed {
		return &Writer{w: w, model: after.from()}, nil
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20),
		zstd.WithLowerEncoderMem(true))
	return &Writer{w: w, z: z}, err
}

// Reset begins another plain stream with the memory of the one before: some megabytes, of
// which a short stream needs all. With nil it keeps the memory alone.
func (w *Writer) Reset(to io.Writer) { w.z.Reset(to) }

// After is what is known after the stream, which ended. The writer forgets it.
func (w *Writer) After() After {
	defer func() { w.model = nil }()
	return After{w.model}
}

// Write adds a frame. A Mark is also flushed, so that the other side can commit
// what came before it.
func (w *Writer) Write(f *Frame) error {
	lines, err := Lines(f, w.form())
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	for _, line := range lines {
		if err := w.line(line); err != nil {
			return fmt.Errorf("write frame: %w", err)
		}
	}
	if f.Mark == nil {
		return nil
	}
	if w.z != nil {
		return w.z.Flush()
	}
	if err := w.pack(); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

func (w *Writer) form() Form {
	if w.z != nil {
		return Plain
	}
	return Packed
}

// Lines are the lines by which a frame travels in a form, without line feeds.
func Lines(f *Frame, form Form) ([][]byte, error) {
	if f.Change == nil {
		line, err := marshal(f)
		return [][]byte{line}, err
	}
	c, v := slim(f.Change), f.Change.Version
	if v != nil && form == Packed && keyOf(v.Content) == c.Key {
		c.Key = record.Key{}
	}
	line, err := marshal(struct {
		Change change `json:"change"`
	}{c})
	if v == nil {
		return [][]byte{line}, err
	}
	return [][]byte{line, v.Content}, err
}

func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// keyOf is the key that a resource begins with; none where it begins otherwise.
func keyOf(content []byte) record.Key {
	kind, rest, _ := bytes.Cut(bytes.TrimPrefix(content, []byte(`{"resourceType":"`)), []byte(`","id":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	if k := (record.Key{Kind: string(kind), ID: string(id)}); k.Valid() {
		return k
	}
	return record.Key{}
}

func (w *Writer) line(line []byte) error {
	if w.z != nil {
		_, err := w.z.Write(append(line[:len(line):len(line)], '\n'))
		return err
	}
	w.lines, w.size = append(w.lines, line), w.size+len(line)
	if w.size < block && len(w.lines) < columns.MaxLines {
		return nil
	}
	return w.pack()
}

// pack ends a block.
func (w *Writer) pack() error {
	if len(w.lines) == 0 {
		return nil
	}
	packed := w.model.Pack(nil, w.lines)
	w.lines, w.size = nil, 0
	_, err := w.w.Write(append(binary.AppendUvarint(nil, uint64(len(packed))), packed...))
	return err
}

// Close ends the stream.
func (w *Writer) Close() error {
	if w.z != nil {
		return w.z.Close()
	}
	return w.pack()
}

// Reader reads what a Writer wrote. It is not safe for concurrent use.
type Reader struct {
	src   *source
	z     *zstd.Decoder // of a plain stream
	r     *bufio.Reader
	left  int64
	read  int            // frames
	model *columns.Model // of the packed stream at hand
	lines [][]byte       // of the block at hand
	err   error          // after which there is no more
}

// NewReader begins to read a stream after another one.
func NewReader(r io.Reader, f Form, after After) (*Reader, error) {
	src := &source{r: r}
	if f == Packed {
		return &Reader{src: src, r: bufio.NewReader(src), left: MaxStream, model: after.from()}, nil
	}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &Reader{src: src, z: z, r: bufio.NewReaderSize(z, 64<<10), left: MaxStream}, nil
}

// Reset begins to read another plain stream with the memory of the one before, however
// that one ended. With nil it lets go of that one and keeps the memory.
func (r *Reader) Reset(from io.Reader) error {
	r.src.r, r.src.err, r.left, r.read, r.err = from, nil, MaxStream, 0, nil
	r.r.Reset(r.z)
	if from == nil {
		return r.z.Reset(nil)
	}
	return r.z.Reset(r.src)
}

// After is what is known after the stream, which was read to its end. The reader forgets
// it.
func (r *Reader) After() After {
	defer func() { r.model = nil }()
	return After{r.model}
}

// Close lets go of the reader's memory.
func (r *Reader) Close() {
	if r.z != nil {
		r.z.Close()
	}
}

// Read gives the next frame; its fields are nil where the frame is unknown. It
// fails with ErrCut where the stream ends, with ErrNonsense where it is none.
func (r *Reader) Read() (f *Frame, err error) {
	if r.err == nil {
		f, r.err = r.next()
	}
	return f, r.err
}

func (r *Reader) next() (*Frame, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	if r.read++; r.read > MaxFrames {
		return nil, errLarge
	}
	var f struct {
		Frame
		Change *change `json:"change"`
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return nil, fmt.Errorf("%w: a frame that is no JSON or misses its form", ErrNonsense)
	}
	if f.Change == nil {
		return &f.Frame, nil
	}
	var content []byte
	if !f.Change.Name.IsZero() {
		if content, err = r.line(); err != nil {
			return nil, err
		}
	}
	if f.Change.Key == (record.Key{}) && r.z == nil {
		f.Change.Key = keyOf(content)
	}
	if !f.Change.Key.Valid() {
		return nil, fmt.Errorf("%w: a change of no record", ErrNonsense)
	}
	return &Frame{Change: f.Change.full(content)}, nil
}

// line reads one line, within the limits.
func (r *Reader) line() ([]byte, error) {
	if r.z != nil {
		return r.plain()
	}
	for len(r.lines) == 0 {
		if err := r.unpack(); err != nil {
			return nil, err
		}
	}
	line := r.lines[0]
	r.lines = r.lines[1:]
	return line, nil
}

func (r *Reader) plain() ([]byte, error) {
	var out []byte
	for {
		part, err := r.r.ReadSlice('\n')
		r.left -= int64(len(part))
		if r.left < 0 || len(out)+len(part) > MaxLine {
			return nil, errLarge
		}
		out = append(out, part...)
		if err == nil {
			return out[:len(out)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, r.ended(err)
		}
	}
}

// unpack reads the lines of the next block.
func (r *Reader) unpack() error {
	size, err := binary.ReadUvarint(r.r)
	if err != nil {
		return r.ended(err)
	}
	if r.left -= int64(min(size, maxBlock)); size > maxBlock || r.left < 0 {
		return errLarge
	}
	var packed bytes.Buffer
	if _, err := io.CopyN(&packed, r.r, int64(size)); err != nil {
		return r.ended(err)
	}
	if r.lines, err = r.model.Unpack(packed.Bytes(), maxBlock); err != nil {
		return fmt.Errorf("%w: %w", ErrNonsense, err)
	}
	for _, line := range r.lines {
		if r.left -= int64(len(line)); r.left < 0 || len(line) > MaxLine {
			return errLarge
		}
	}
	return nil
}

var errLarge = fmt.Errorf("%w: it is too large", ErrNonsense)

// ended is why there is no more.
func (r *Reader) ended(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCut
	case r.src.err != nil && !errors.Is(r.src.err, io.EOF):
		return fmt.Errorf("%w: %w", ErrCut, r.src.err)
	}
	return fmt.Errorf("%w: it is not compressed as it should be", ErrNonsense)
}

// source remembers how reading what is packed failed, to tell a link that broke
// from bytes that cannot be unpacked.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.err = err
	return n, err
}
