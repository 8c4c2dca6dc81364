package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestWriteReplacesWholeAndLeavesNothingBeside(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a", "b", "file")
	for _, content := range []string{"first", "second and longer", ""} {
		if err := Write(name, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != content {
			t.Errorf("after Write(%q): %q, %v", content, got, err)
		}
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o640 {
		t.Errorf("rights are %v, want 0640", info.Mode())
	}
	only(t, filepath.Dir(name), "file")
}

func TestCopyRefusesAlteredContentAndKeepsTheOld(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	const digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"
	if err := Copy(name, strings.NewReader("hello"), digest, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Copy(name, strings.NewReader("hellO"), digest, 0o755); !errors.Is(err, ErrAltered) {
		t.Errorf("altered content: %v, want %v", err, ErrAltered)
	}
	if got := Digest(name); got != digest {
		t.Errorf("after a refused copy the digest is %s, want %s", got, digest)
	}
	only(t, filepath.Dir(name), "program")
}

func only(t *testing.T, dir, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != want {
		t.Errorf("the folder holds %v, want only %s", entries, want)
	}
}

func TestWriteUnderAFileFails(t *testing.T) {
	blocker := filepath.Join(t.TempDir(), "file")
	if err := Write(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(blocker, "below"), nil, 0o600); err == nil {
		t.Error("a file was written below a file")
	}
}

func TestReadKeepsItsLimit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := Write(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit int64
		want  error
	}{{5, nil}, {4, ErrTooLarge}} {
		if _, err := Read(name, c.limit); !errors.Is(err, c.want) {
			t.Errorf("limit %d: %v, want %v", c.limit, err, c.want)
		}
	}
	if _, err := Read("", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no name: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestRemoveTakesFilesOnly(t *testing.T) {
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	if err := Write(filepath.Join(folder, "inside"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(filepath.Join(dir, "none"), folder, file); err == nil {
		t.Error("a full folder was removed")
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file after the folder is still there: %v", err)
	}
}
