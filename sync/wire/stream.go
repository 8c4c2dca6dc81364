package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
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
	maxWindow = 8 << 20
)

// Writer writes frames as one compressed stream of lines. It is not safe for
// concurrent use.
type Writer struct {
	z   *zstd.Encoder
	buf bytes.Buffer
}

// NewWriter begins a stream.
func NewWriter(w io.Writer) (*Writer, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &Writer{z: z}, nil
}

// Reset begins another stream with the memory of the one before: some megabytes, of
// which a short stream needs all.
func (w *Writer) Reset(to io.Writer) { w.z.Reset(to) }

// Write adds a frame. A Mark is also flushed, so that the other side can commit
// what came before it.
func (w *Writer) Write(f *Frame) error {
	w.buf.Reset()
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	var err error
	if f.Change != nil {
		err = enc.Encode(struct {
			Change change `json:"change"`
		}{slim(f.Change)})
		if v := f.Change.Version; err == nil && v != nil {
			w.buf.Write(v.Content)
			w.buf.WriteByte('\n')
		}
	} else {
		err = enc.Encode(f)
	}
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if _, err := w.z.Write(w.buf.Bytes()); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if f.Mark != nil {
		return w.z.Flush()
	}
	return nil
}

// Close ends the stream.
func (w *Writer) Close() error { return w.z.Close() }

// Reader reads what a Writer wrote. It is not safe for concurrent use.
type Reader struct {
	src  *source
	z    *zstd.Decoder
	r    *bufio.Reader
	left int64
}

// NewReader begins to read a stream.
func NewReader(r io.Reader) (*Reader, error) {
	src := &source{r: r}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &Reader{src, z, bufio.NewReaderSize(z, 64<<10), MaxStream}, nil
}

// Reset begins to read another stream with the memory of the one before, however that
// one ended. With nil it lets go of that one and keeps the memory.
func (r *Reader) Reset(from io.Reader) error {
	r.src.r, r.src.err, r.left = from, nil, MaxStream
	r.r.Reset(r.z)
	if from == nil {
		return r.z.Reset(nil)
	}
	return r.z.Reset(r.src)
}

// Close lets go of the reader's memory.
func (r *Reader) Close() { r.z.Close() }

// Read gives the next frame; its fields are nil where the frame is unknown. It
// fails with ErrCut where the stream ends, with ErrNonsense where it is none.
func (r *Reader) Read() (*Frame, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
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
	if !f.Change.Key.Valid() {
		return nil, fmt.Errorf("%w: a change of no record", ErrNonsense)
	}
	return &Frame{Change: f.Change.full(content)}, nil
}

// line reads one line, within the limits.
func (r *Reader) line() ([]byte, error) {
	var out []byte
	for {
		part, err := r.r.ReadSlice('\n')
		r.left -= int64(len(part))
		if r.left < 0 || len(out)+len(part) > MaxLine {
			return nil, fmt.Errorf("%w: it is too large", ErrNonsense)
		}
		out = append(out, part...)
		switch {
		case err == nil:
			return out[:len(out)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, ErrCut
		case r.src.err != nil && !errors.Is(r.src.err, io.EOF):
			return nil, fmt.Errorf("%w: %w", ErrCut, r.src.err)
		default:
			return nil, fmt.Errorf("%w: it is not compressed as it should be", ErrNonsense)
		}
	}
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
