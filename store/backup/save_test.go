package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestSaveLeavesAWholeFileOrNone(t *testing.T) {
	broken := errors.New("broken")
	k := keys(t, 1)
	whole := written(t, k, 3)
	write := func(b []byte, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, failed := w.Write(b)
			return errors.Join(failed, err)
		}
	}
	for _, c := range []struct {
		name  string
		write func(io.Writer) error
		there bool
		want  error
	}{
		{"a whole one", write(whole, nil), false, nil},
		{"writing fails", write(whole[:100], broken), false, broken},
		{"written short", write(whole[:len(whole)-9], nil), false, ErrCut},
		{"a file is there", write(whole, nil), true, fs.ErrExist},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "b.tram")
		if c.there {
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := Save(path, c.write, func(r io.Reader) error { return Verify(context.Background(), r, k) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 1 || (len(left) == 1) != (c.want == nil || c.there) {
			t.Errorf("%s: left %v, %v", c.name, left, err)
		}
		if b, _ := os.ReadFile(path); c.there && string(b) != "old" || c.want == nil && string(b) != string(whole) {
			t.Errorf("%s: the file holds %d bytes", c.name, len(b))
		}
	}
}
