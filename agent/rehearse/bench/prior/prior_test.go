package prior

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"tram/sync/wire"
	"tram/sync/wire/columns"
)

// run makes the lines and the blocks of a day of one station.
func run(t *testing.T, dir string) (lines []byte, blocks [][]byte) {
	c := Command{Lines: filepath.Join(dir, "lines"), Blocks: filepath.Join(dir, "blocks"), Stations: 1, Days: 1}
	if err := c.Run(t.Context(), io.Discard); err != nil {
		t.Error(err)
		return nil, nil
	}
	read := func(file string) []byte {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	files, err := filepath.Glob(filepath.Join(c.Blocks, "*")) // in their order
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		blocks = append(blocks, read(f))
	}
	return read(c.Lines), blocks
}

// TestOneProgramMakesOnePrior: the same bytes again, and such as a packed stream begins
// with and goes on to.
func TestOneProgramMakesOnePrior(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // every record is synced
	}
	var lines [2][]byte
	var blocks [2][][]byte
	var both sync.WaitGroup
	for i := range 2 {
		dir := t.TempDir()
		both.Go(func() { lines[i], blocks[i] = run(t, dir) })
	}
	both.Wait()
	if !bytes.Equal(lines[0], lines[1]) || !slices.EqualFunc(blocks[0], blocks[1], bytes.Equal) {
		t.Errorf("%d bytes of lines and %d blocks; made again they are others, %d and %d", len(lines[0]), len(blocks[0]), len(lines[1]), len(blocks[1]))
	}
	if n := len(lines[0]); n > room || n < room*9/10 {
		t.Errorf("%d bytes of lines, want not many less than %d", n, room)
	}
	known := taken(t, lines[0])
	m, lived := columns.NewModel(lines[0]), map[string]bool{}
	for i, b := range blocks[0] {
		got, err := m.Unpack(b, wire.MaxLine)
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		for _, line := range got {
			lived[string(line)] = true
		}
	}
	for _, line := range known {
		if !lived[string(line)] {
			t.Errorf("a line that stands in no block: %s", line)
		}
	}
	if len(lived) < 500 {
		t.Errorf("%d lines in all blocks, want those of a day", len(lived))
	}
}

// taken are the lines without their line feeds, each of which the model takes apart and
// then knows.
func taken(t *testing.T, lines []byte) (known [][]byte) {
	t.Helper()
	for line := range bytes.Lines(lines) {
		line, ended := bytes.CutSuffix(line, []byte("\n"))
		var compact bytes.Buffer
		if err := json.Compact(&compact, line); err != nil || !ended || !bytes.Equal(compact.Bytes(), line) {
			t.Errorf("a line that is no compact JSON, or has no end (%v): %s", err, line)
		}
		known = append(known, line)
	}
	of := func(m *columns.Model) int { return len(m.Pack(nil, known)) }
	if before, after := of(columns.NewModel(nil)), of(columns.NewModel(lines)); after > before/10 {
		t.Errorf("the lines take %d bytes where they are known, and %d where nothing is", after, before)
	}
	return known
}
