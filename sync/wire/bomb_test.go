package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tram/sync/wire/columns"
)

// most is how much more memory reading any stream may take, in bytes: one block as it
// came, its lines, and what a model and zstd keep.
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

// blocks are a packed stream's, as they are said to be.
func blocks(t *testing.T, of ...[]byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderDict(knownBytes))
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, block := range of {
		b = append(binary.AppendUvarint(b, uint64(len(block))), block...)
	}
	return z.EncodeAll(b, nil)
}

// parts are a block with so many lines, whose parts are these.
func parts(lines uint64, of ...[]byte) []byte {
	out := binary.AppendUvarint(nil, lines)
	for _, p := range of {
		out = binary.AppendUvarint(out, uint64(len(p)))
	}
	return append(out, bytes.Join(of, nil)...)
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
	var none []byte
	nested := strings.Repeat("[", 1<<20)
	long := bytes.Repeat([]byte("a"), 1000)
	model := func(lines ...[][]byte) (out [][]byte) {
		m := columns.NewModel(knownLines)
		for _, l := range lines {
			out = append(out, m.Pack(nil, l))
		}
		return out
	}
	repeated := func(n int) (out [][]byte) { // each block gives n long lines by codes of one byte each
		first := append(append([]byte(`{"b":"`), long...), `"}`...)
		m := columns.NewModel(knownLines)
		out = append(out, m.Pack(nil, [][]byte{first}))
		for range n {
			out = append(out, m.Pack(nil, bytes.Split(bytes.TrimSuffix(bytes.Repeat(append(first, '\n'), 16000), []byte("\n")), []byte("\n"))))
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
		"a packed stream of nothing":      {Packed, zeros(t, "\x00", 1<<30)},
		"a block of 2^63 bytes":           {Packed, blocksOf(t, binary.AppendUvarint(nil, 1<<63))},
		"a length without end":            {Packed, blocksOf(t, bytes.Repeat([]byte{0xff}, 100))},
		"a block of 2^62 lines":           {Packed, blocks(t, parts(1<<62, none, none, none, none, none))},
		"lines without forms":             {Packed, blocks(t, parts(16384, none, none, none, none, none))},
		"parts longer than the block":     {Packed, blocks(t, binary.AppendUvarint([]byte{1}, 1<<40))},
		"a form of a million brackets":    {Packed, blocks(t, parts(1, []byte{1}, append([]byte(nested), '\n'), none, none, none))},
		"a form of a million values":      {Packed, blocks(t, parts(1, []byte{1}, append(bytes.Repeat([]byte{2, ','}, 1<<20), '\n'), make([]byte, 1<<20), none, none))},
		"sixteen thousand forms":          {Packed, blocks(t, parts(16000, bytes.Repeat([]byte{1}, 16000), bytes.Join(append(numbered(16000, `{"k%d":`+"\x02}"), none), []byte("\n")), make([]byte, 16000), none, none))},
		"forms without values":            {Packed, blocks(t, parts(16384, append([]byte{1}, make([]byte, 16383)...), []byte(`{"`+strings.Repeat("a", 16000)+`":{}}`+"\n"), none, none, none))},
		"millions of empty blocks":        {Packed, zeros(t, "\x06\x00\x00\x00\x00\x00\x00", 1<<26)},
		"millions of empty values":        {Packed, blocks(t, parts(1300, append([]byte{1}, bytes.Repeat([]byte{3}, 1299)...), append(bytes.Repeat([]byte{2, ','}, 8000), '\n'), bytes.Repeat([]byte{8}, 8000*1300), none, bytes.Repeat([]byte{'\n'}, 8000*1300)))},
		"quotation marks without end":     {Packed, blocks(t, parts(16384, bytes.Repeat([]byte{1}, 16384), bytes.Repeat([]byte(strings.Repeat(`"`, 999)+"\n"), 16384), none, none, none))},
		"long keys above many values":     {Packed, blocks(t, parts(60, bytes.Repeat([]byte{1}, 60), wideForms(60), make([]byte, 60*260), none, none))},
		"values that never were":          {Packed, blocks(t, parts(1, []byte{1}, []byte("{\"a\":\x02}\n"), []byte{0}, none, none))},
		"numbers without end":             {Packed, blocks(t, parts(1, []byte{1}, []byte("{\"a\":\x02}\n"), []byte{4}, bytes.Repeat([]byte{0xff}, 1<<20), none))},
		"millions of values":              {Packed, blocks(t, model(numbered(16000, `{"a":"%x-a"}`), numbered(16000, `{"a":"%x-b"}`), numbered(16000, `{"a":"%x-c"}`), numbered(16000, `{"a":"%x-d"}`), numbered(16000, `{"a":"%x-e"}`))...)},
		"long lines by one byte each":     {Packed, blocks(t, repeated(1)...)},
		"gigabytes of them":               {Packed, blocks(t, repeated(60)...)},
		"a packed line of 20 MB and more": {Packed, blocks(t, parts(1, []byte{2}, append(bytes.Repeat([]byte("z"), MaxLine+1), '\n'), none, none, none))},
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

// blocksOf is a packed stream of bytes as they are.
func blocksOf(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderDict(knownBytes))
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(b, nil)
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

// wideForms are forms of one long key each, above many short ones.
func wideForms(n int) (out []byte) {
	for i := range n {
		out = fmt.Appendf(out, `{"%d%s":{`, i, strings.Repeat("k", 14000))
		for j := range 260 {
			out = fmt.Appendf(out, "\"%x\":\x02,", j)
		}
		out = append(out, "}}\n"...)
	}
	return out
}
