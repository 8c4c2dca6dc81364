package wire

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// most is how much more memory reading any stream may take, in bytes: one block as it
// came, its lines, and what a model or zstd keeps.
const most = 100 << 20

// zeros packs n times the same line, without ever holding it all.
func zeros(t *testing.T, line string, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	some := []byte(strings.Repeat(line, max(1, (1<<20)/len(line))))
	for written := 0; written < n*len(line); written += len(some) {
		if _, err := z.Write(some); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// blocks are a packed stream's.
func blocks(of ...[]byte) (out []byte) {
	for _, block := range of {
		out = append(binary.AppendUvarint(out, uint64(len(block))), block...)
	}
	return out
}

// coded is a block that says it has so many lines, of bytes that may tell anything, and
// long texts behind them.
func coded(lines uint64, b, long []byte) []byte {
	out := binary.AppendUvarint(binary.AppendUvarint(nil, lines), uint64(len(b)))
	return append(append(out, b...), long...)
}

// noise is as many bytes of chance.
func noise(n int) []byte {
	out := make([]byte, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range out {
		out[i] = byte(random.Uint32())
	}
	return out
}

// deflated is a text packed as long ones are.
func deflated(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asked are the bytes that tell a line of one long text, which stands behind them.
func asked(t *testing.T) []byte {
	t.Helper()
	block := known().Another().Pack(nil, [][]byte{bytes.Repeat([]byte("z"), 1<<17)})
	size, n := binary.Uvarint(block[1:])
	if block[0] != 1 || n <= 0 {
		t.Fatalf("a block that begins with %x", block[:2])
	}
	return block[1+n:][:size]
}

func numbered(n int, form string) (out [][]byte) {
	for i := range n {
		out = append(out, fmt.Appendf(nil, form, i))
	}
	return out
}

// wide is a stream whose frame says that it needs a window of some bytes.
func wide(window byte) []byte {
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01, 0x00, 0x00}
}

func TestBombs(t *testing.T) {
	long := bytes.Repeat([]byte("a"), 1000)
	model := func(lines ...[][]byte) (out [][]byte) {
		m := known().Another()
		for _, l := range lines {
			out = append(out, m.Pack(nil, l))
		}
		return out
	}
	one := func(format string, a ...any) [][]byte { return [][]byte{fmt.Appendf(nil, format, a...)} }
	repeated := func(n int) (out [][]byte) { // each block gives n long lines by a few bits each
		first := append(append([]byte(`{"b":"`), long...), `"}`...)
		m := known().Another()
		out = append(out, m.Pack(nil, [][]byte{first}))
		for range n {
			out = append(out, m.Pack(nil, slices.Repeat([][]byte{first}, 16000)))
		}
		return out
	}
	for name, bomb := range map[string]struct {
		form Form
		b    []byte
	}{
		"a gigabyte of nothing":           {Plain, zeros(t, "\x00", 1<<30)},
		"a gigabyte of line ends":         {Plain, zeros(t, "\n", 1<<30)},
		"millions of frames":              {Plain, zeros(t, `{"mark":{}}`+"\n", 1<<27)},
		"a line without end":              {Plain, zeros(t, " ", 1<<28)},
		"a deep frame":                    {Plain, zeros(t, `{"a":`, 1<<26)},
		"a window of gigabytes":           {Plain, wide(0xa8)},
		"a window of everything":          {Plain, wide(0xff)},
		"a packed stream of nothing":      {Packed, make([]byte, 1<<20)},
		"a block of 2^63 bytes":           {Packed, binary.AppendUvarint(nil, 1<<63)},
		"a length without end":            {Packed, bytes.Repeat([]byte{0xff}, 100)},
		"a block of 2^62 lines":           {Packed, blocks(coded(1<<62, noise(100), nil))},
		"lines without bytes":             {Packed, blocks(coded(16384, nil, nil))},
		"more bytes than the block":       {Packed, blocks(binary.AppendUvarint([]byte{1}, 1<<40))},
		"a megabyte of zeros":             {Packed, blocks(coded(16384, make([]byte, 1<<20), nil))},
		"a megabyte of ones":              {Packed, blocks(coded(16384, bytes.Repeat([]byte{0xff}, 1<<20), nil))},
		"a megabyte of chance":            {Packed, blocks(coded(16384, noise(1<<20), nil))},
		"a long text that nobody asks":    {Packed, blocks(coded(1, noise(9), deflated(t, make([]byte, 1<<20))))},
		"long texts without end":          {Packed, blocks(coded(1, noise(9), deflated(t, make([]byte, 1<<26))))},
		"a long text without end":         {Packed, blocks(coded(1, asked(t), deflated(t, make([]byte, 1<<26))))},
		"long texts that are none":        {Packed, blocks(coded(1, noise(9), noise(1<<20)))},
		"a form of a million brackets":    {Packed, blocks(model(one("%s", strings.Repeat("[", 1<<20)))...)},
		"a form of a million values":      {Packed, blocks(model(one("[%s1]", strings.Repeat("2,", 1<<20)))...)},
		"sixteen thousand forms":          {Packed, blocks(model(numbered(16000, `{"k%d":1}`))...)},
		"sixteen thousand wide forms":     {Packed, blocks(model(wideForms(60))...)},
		"millions of empty values":        {Packed, blocks(model(slices.Repeat(one("[%s1]", strings.Repeat(`"",`, 4000)), 1300))...)},
		"quotation marks without end":     {Packed, blocks(model(slices.Repeat(one("%s", strings.Repeat(`"`, 999)), 16384))...)},
		"millions of values":              {Packed, blocks(model(numbered(16000, `{"a":"%x-a"}`), numbered(16000, `{"a":"%x-b"}`), numbered(16000, `{"a":"%x-c"}`), numbered(16000, `{"a":"%x-d"}`), numbered(16000, `{"a":"%x-e"}`))...)},
		"long lines by a few bits each":   {Packed, blocks(repeated(1)...)},
		"gigabytes of them":               {Packed, blocks(repeated(60)...)},
		"a packed line of 20 MB and more": {Packed, blocks(model(one("%s", strings.Repeat("z", MaxLine+1)))...)},
	} {
		t.Run(name, func(t *testing.T) {
			peak, err := peakOf(func() error {
				r, err := NewReader(bytes.NewReader(bomb.b), bomb.form, After{})
				if err != nil {
					return err
				}
				defer r.Close()
				for err == nil {
					_, err = r.Read()
				}
				return err
			})
			if !errors.Is(err, ErrNonsense) && !errors.Is(err, ErrCut) {
				t.Errorf("%v, want that it is nonsense or cut", err)
			}
			t.Logf("%d bytes took %d kB: %v", len(bomb.b), peak>>10, err)
			if peak > most {
				t.Errorf("%d bytes took %d MB, want %d at most", len(bomb.b), peak>>20, most>>20)
			}
		})
	}
}

// peakOf is how much more memory than before was in use at once while do ran.
func peakOf(do func() error) (peak uint64, err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
				runtime.ReadMemStats(&now)
				if now.HeapAlloc > before.HeapAlloc {
					peak = max(peak, now.HeapAlloc-before.HeapAlloc)
				}
			}
		}
	})
	err = do()
	close(done)
	watch.Wait()
	return peak, err
}

// wideForms are lines of one long key each, above many short ones.
func wideForms(n int) (out [][]byte) {
	for i := range n {
		line := fmt.Appendf(nil, `{"%d%s":{`, i, strings.Repeat("k", 14000))
		for j := range 260 {
			line = fmt.Appendf(line, `"%x":1,`, j)
		}
		out = append(out, append(line, `"z":1}}`...))
	}
	return out
}
