package seal

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileLeavesTheOldWhereItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"one", "", "three"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("got %q, %v; want %q", b, err, text)
		}
	}
	folder := filepath.Join(dir, "folder") // a file cannot take a filled folder's place
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	if err := WriteFile(folder, []byte("lost")); err == nil {
		t.Error("a folder was replaced")
	}
	if after := contents(t, dir); after != before {
		t.Errorf("a failed write left %q, before %q", after, before)
	}
	if err := WriteFile(filepath.Join(dir, "nowhere", "f"), nil); err == nil {
		t.Error("a file was written into no folder")
	}
}
