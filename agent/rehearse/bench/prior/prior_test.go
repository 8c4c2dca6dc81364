package prior

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"tram/sync/wire/columns"
)

// run makes the lines of a day of one station.
func run(t *testing.T) []byte {
	c := Command{Lines: filepath.Join(t.TempDir(), "lines"), Stations: 1, Days: 1}
	if err := c.Run(t.Context(), io.Discard); err != nil {
		t.Error(err)
		return nil
	}
	lines, err := os.ReadFile(c.Lines)
	if err != nil {
		t.Error(err)
	}
	return lines
}

// TestOneProgramMakesOnePrior: the same bytes again, of lines that are compact JSON and
// that who knows them tells in few bytes.
func TestOneProgramMakesOnePrior(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // every record is synced
	}
	var made [2][]byte
	var both sync.WaitGroup
	for i := range made {
		both.Go(func() { made[i] = run(t) })
	}
	both.Wait()
	lines := made[0]
	if !bytes.Equal(lines, made[1]) {
		t.Errorf("%d bytes of lines; made again they are others, %d", len(lines), len(made[1]))
	}
	if n := len(lines); n > room || n < room*9/10 {
		t.Errorf("%d bytes of lines, want not many less than %d", n, room)
	}
	known := taken(t, lines)
	if forms := forms(known); forms < 30 {
		t.Errorf("%d forms in them, want those of all kinds of frames and records", forms)
	}
	of := func(m *columns.Model) int { return len(m.Pack(nil, known)) }
	if before, after := of(columns.NewModel(nil)), of(columns.NewModel(lines)); after > before/5 {
		t.Errorf("the lines take %d bytes where they are known, and %d where nothing is", after, before)
	}
}

// taken are the lines without their line feeds.
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
	return known
}

func forms(lines [][]byte) int {
	of := map[string]bool{}
	for _, line := range lines {
		form, _ := columns.Split(line)
		of[form] = true
	}
	return len(of)
}

// What several stations say is chosen, what only one says is not, and nothing twice.
func TestWhatIsCommonIsChosen(t *testing.T) {
	said := [][][]byte{
		{[]byte(`{"a":"Tăng huyết áp"}`), []byte(`{"a":"số của riêng một trạm 1"}`)},
		{[]byte(`{"a":"Tăng huyết áp"}`), []byte(`{"b":[1,2,3],"c":"khám thai định kỳ"}`)},
		{[]byte(`{"a":"Tăng huyết áp"}`), []byte(`{"b":[1,2,3],"c":"khám thai định kỳ"}`), []byte(`{"b":[1,2,3],"c":"khám thai định kỳ"}`)},
		{[]byte(`{"d":"Tăng huyết áp"}`), []byte(`{"b":[1,2,3],"c":"khám thai định kỳ"}`)},
	}
	want := `{"b":[1,2,3],"c":"khám thai định kỳ"}` + "\n" + `{"a":"Tăng huyết áp"}` + "\n"
	if got := string(choose(said)); got != want {
		t.Errorf("chosen are\n%s, want\n%s", got, want)
	}
}
