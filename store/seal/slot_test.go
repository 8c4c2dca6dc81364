package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// unlocked makes a store's key in a new folder.
func unlocked(t *testing.T) (dir string, slots string, key KeyFile, data []byte) {
	t.Helper()
	dir = t.TempDir()
	slots, key = filepath.Join(dir, "keys.json"), KeyFile(filepath.Join(dir, "key"))
	data, err := Unlock(slots, key)
	if err != nil {
		t.Fatal(err)
	}
	return dir, slots, key, data
}

func TestUnlockGivesTheSameKeyAgain(t *testing.T) {
	_, slots, key, data := unlocked(t)
	again, err := Unlock(slots, key)
	if err != nil || !bytes.Equal(again, data) || len(data) != 32 {
		t.Errorf("got %d bytes, equal %t, %v", len(again), bytes.Equal(again, data), err)
	}
	for _, path := range []string{slots, string(key)} {
		b, err := os.ReadFile(path)
		if err != nil || bytes.Contains(b, data) {
			t.Errorf("%s holds the data key openly, or: %v", filepath.Base(path), err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s: others may read it: %v, %v", filepath.Base(path), info.Mode(), err)
		}
	}
}

func TestUnlockRefusesWithoutMakingAnything(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(slots string, key KeyFile) error
		want   error // nil for any
	}{
		"key file gone":      {func(_ string, k KeyFile) error { return os.Remove(string(k)) }, ErrNoKey},
		"another key file":   {func(_ string, k KeyFile) error { return os.WriteFile(string(k), make([]byte, 32), 0o600) }, ErrWrongKey},
		"half a key file":    {func(_ string, k KeyFile) error { return os.Truncate(string(k), 16) }, ErrWrongKey},
		"empty key file":     {func(_ string, k KeyFile) error { return os.Truncate(string(k), 0) }, ErrWrongKey},
		"slots cut off":      {func(s string, _ KeyFile) error { return os.Truncate(s, 20) }, nil},
		"slots empty":        {func(s string, _ KeyFile) error { return os.Truncate(s, 0) }, nil},
		"slots of a later":   {func(s string, _ KeyFile) error { return replace(s, `"schema":1`, `"schema":2`) }, nil},
		"no slot":            {func(s string, _ KeyFile) error { return os.WriteFile(s, []byte(`{"schema":1,"slots":[]}`), 0o600) }, ErrWrongKey},
		"slot of other kind": {func(s string, _ KeyFile) error { return replace(s, "key-file", "passport") }, ErrWrongKey},
		"slot altered":       {func(s string, _ KeyFile) error { return replace(s, `"key":"`, `"key":"AAAA`) }, ErrWrongKey},
		"slot too short": {func(s string, _ KeyFile) error {
			return os.WriteFile(s, []byte(`{"schema":1,"slots":[{"kind":"key-file","key":"AAAA"}]}`), 0o600)
		}, ErrWrongKey},
	} {
		dir, slots, key, _ := unlocked(t)
		if err := c.damage(slots, key); err != nil {
			t.Fatal(err)
		}
		before := contents(t, dir)
		got, err := Unlock(slots, key)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %d bytes, %v; want %v", name, len(got), err, c.want)
		}
		if after := contents(t, dir); after != before {
			t.Errorf("%s: files changed from %q to %q", name, before, after)
		}
	}
}

func TestUnlockUsesAKeyFileLaidThere(t *testing.T) {
	dir := t.TempDir()
	key := KeyFile(filepath.Join(dir, "laid"))
	laid := bytes.Repeat([]byte{7}, 32)
	if err := os.WriteFile(string(key), laid, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Unlock(filepath.Join(dir, "keys.json"), key); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(string(key)); err != nil || !bytes.Equal(b, laid) {
		t.Errorf("the key file was written over: %v", err)
	}
}

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

// replace changes a text in a file.
func replace(path, old, with string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(with), 1), 0o600)
}

// contents are the names and contents of a folder in one text.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var out bytes.Buffer
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out.WriteString(filepath.Base(path) + "=")
		out.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
