package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// made makes a store's keys in a new folder.
func made(t *testing.T) (dir, slots string, key KeyFile) {
	t.Helper()
	dir = t.TempDir()
	slots, key = filepath.Join(dir, "keys.json"), KeyFile(filepath.Join(dir, "key"))
	unlock(t, slots, key)
	return dir, slots, key
}

func unlock(t *testing.T, path string, openers ...Opener) *Keys {
	t.Helper()
	k, err := Unlock(path, openers...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func load(t *testing.T, path string, openers ...Opener) *Slots {
	t.Helper()
	s, err := Load(path, openers...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUnlockGivesTheSameKeysAgain(t *testing.T) {
	_, path, key := made(t)
	k := unlock(t, path, key)
	sealed := k.Seal(nil, []byte("one"))
	if got, err := unlock(t, path, key).Open(nil, sealed); err != nil || string(got) != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	s := load(t, path, key)
	for _, file := range []string{path, string(key)} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range map[string][]byte{"master key": s.master, "data key": s.secrets.Keys[0].Key, "blinding secret": s.secrets.Blind} {
			open, err := json.Marshal(secret)
			if err != nil || bytes.Contains(b, secret) || bytes.Contains(b, open) {
				t.Errorf("%s holds the %s openly, or: %v", filepath.Base(file), name, err)
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s: others may read it: %v, %v", filepath.Base(file), info.Mode(), err)
		}
	}
}

func TestUnlockRefusesWithoutMakingAnything(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(slots string, key KeyFile) error
		want   error
	}{
		"key file gone":      {func(_ string, k KeyFile) error { return os.Remove(string(k)) }, ErrNoKey},
		"another key file":   {func(_ string, k KeyFile) error { return os.WriteFile(string(k), make([]byte, 32), 0o600) }, ErrWrongKey},
		"half a key file":    {func(_ string, k KeyFile) error { return os.Truncate(string(k), 16) }, ErrWrongKey},
		"empty key file":     {func(_ string, k KeyFile) error { return os.Truncate(string(k), 0) }, ErrWrongKey},
		"slots empty":        {func(s string, _ KeyFile) error { return os.Truncate(s, 0) }, ErrSlots},
		"slots of a later":   {func(s string, _ KeyFile) error { return replace(s, `"schema": 2`, `"schema": 3`) }, ErrSchema},
		"slots of an older":  {func(s string, _ KeyFile) error { return os.WriteFile(s, []byte(`{"schema":1,"slots":[]}`), 0o600) }, ErrSchema},
		"no slot":            {func(s string, _ KeyFile) error { return os.WriteFile(s, []byte(`{"schema":2,"slots":[]}`), 0o600) }, ErrNoKey},
		"slot of other kind": {func(s string, _ KeyFile) error { return replace(s, `"key-file"`, `"passport"`) }, ErrNoKey},
		"slot renumbered":    {func(s string, _ KeyFile) error { return replace(s, `"id": 1`, `"id": 2`) }, ErrSlots},
		"slot altered":       {func(s string, _ KeyFile) error { return replace(s, `"key": "`, `"key": "AAAA`) }, ErrWrongKey},
		"slot too short":     {func(s string, _ KeyFile) error { return replaceAfter(s, `"key": "`, `AAAA"`) }, ErrWrongKey},
		"slot no text":       {func(s string, _ KeyFile) error { return replaceAfter(s, `"key": `, `7`) }, ErrWrongKey},
		"a slot put in": {func(s string, _ KeyFile) error {
			return replace(s, `"slots": [`, `"slots": [{"id":9,"kind":"escrow","key":{}},`)
		}, ErrSlots},
		"ring altered":    {func(s string, _ KeyFile) error { return replace(s, `"ring": "`, `"ring": "AAAA`) }, ErrSlots},
		"code taken away": {func(s string, _ KeyFile) error { return replaceAfter(s, `"mac": `, `""`) }, ErrSlots},
		"a field more":    {func(s string, _ KeyFile) error { return replace(s, `"ring"`, `"rung": 1, "ring"`) }, ErrSlots},
	} {
		dir, slots, key := made(t)
		if err := c.damage(slots, key); err != nil {
			t.Fatal(err)
		}
		before := contents(t, dir)
		got, err := Unlock(slots, key)
		if !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %v, %v; want %v", name, got != nil, err, c.want)
		}
		if after := contents(t, dir); after != before {
			t.Errorf("%s: files changed from %q to %q", name, before, after)
		}
	}
}

func TestCutFileIsRefusedUnaltered(t *testing.T) {
	dir, path, key := made(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		before := contents(t, dir)
		if _, err := Unlock(path, key); !errors.Is(err, ErrSlots) {
			t.Fatalf("cut at %d of %d: %v; want ErrSlots", n, len(whole), err)
		}
		if contents(t, dir) != before {
			t.Fatalf("cut at %d: files changed", n)
		}
	}
}

// TestSwappedSlotsAreNoticed puts a store's older slot and another store's file
// into the place of its own.
func TestSwappedSlotsAreNoticed(t *testing.T) {
	dir, path, key := made(t)
	other := KeyFile(filepath.Join(dir, "other"))
	s := load(t, path, key, other)
	if _, err := s.Add(other); err != nil {
		t.Fatal(err)
	}
	f := s.file
	for name, slots := range map[string][]Slot{
		"swapped":   {f.Slots[1], f.Slots[0]},
		"removed":   {f.Slots[0]},
		"twice":     {f.Slots[0], f.Slots[1], f.Slots[1]},
		"exchanged": {f.Slots[0], {2, KindKeyFile, f.Slots[0].Key}},
	} {
		f.Slots = slots
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, key); !errors.Is(err, ErrSlots) {
			t.Errorf("%s: %v; want ErrSlots", name, err)
		}
	}
	_, foreign, foreignKey := made(t)
	b, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, key, other); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another store's file: %v; want ErrWrongKey", err)
	}
	unlock(t, path, foreignKey)
}

func TestHalfAFileOfACutIsNoMatter(t *testing.T) {
	dir, path, key := made(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".new-123", "keys.json.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), whole[:len(whole)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unlock(t, path, key).Rotate(); err != nil {
		t.Fatal(err)
	}
	unlock(t, path, key)
}

func TestUnlockUsesAKeyFileLaidThere(t *testing.T) {
	dir := t.TempDir()
	key := KeyFile(filepath.Join(dir, "laid"))
	laid := bytes.Repeat([]byte{7}, 32)
	if err := os.WriteFile(string(key), laid, 0o600); err != nil {
		t.Fatal(err)
	}
	unlock(t, filepath.Join(dir, "keys.json"), key)
	if b, err := os.ReadFile(string(key)); err != nil || !bytes.Equal(b, laid) {
		t.Errorf("the key file was written over: %v", err)
	}
}

// replace changes a text in a file.
func replace(path, old, with string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(b, []byte(old)) {
		return errors.New("the file holds no " + old)
	}
	return os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(with), 1), 0o600)
}

// replaceAfter changes the rest of the line behind a text, but for a comma.
func replaceAfter(path, after, with string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, rest, ok := strings.Cut(string(b), after)
	line, _, _ := strings.Cut(rest, "\n")
	if !ok {
		return errors.New("the file holds no " + after)
	}
	return replace(path, after+strings.TrimSuffix(line, ","), after+with)
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

// TestJoinedSlotsOpenWhatEitherOpens rotates two copies of one file apart.
func TestJoinedSlotsOpenWhatEitherOpens(t *testing.T) {
	at := []byte("versions/1")
	for name, c := range map[string]struct {
		own, second int // how often it was rotated, its older keys retired
		want        []byte
	}{
		"alike":                          {0, 0, []byte{1}},
		"the copy is newer":              {0, 1, []byte{1, 2}},
		"the copy is older":              {1, 0, []byte{1, 2}},
		"much newer":                     {0, 3, []byte{1, 4}},
		"the numbers of keys went round": {254, 256, []byte{255, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path, key := made(t)
			second := filepath.Join(dir, "second")
			if err := Copy(path, second); err != nil {
				t.Fatal(err)
			}
			sealed := map[string][]byte{}
			for path, times := range map[string]int{path: c.own, second: c.second} {
				k := unlock(t, path, key)
				for range times {
					old := k.Ring()[0]
					if err := errors.Join(k.Rotate(), k.Retire(old)); err != nil {
						t.Fatal(err)
					}
				}
				sealed[path] = k.Seal(at, []byte("one"))
			}
			for range 2 { // twice is once
				if err := Join(path, second, key); err != nil {
					t.Fatal(err)
				}
				k := unlock(t, path, key)
				if got := k.Ring(); !slices.Equal(got, c.want) {
					t.Errorf("ring %v, want %v", got, c.want)
				}
				for path, sealed := range sealed {
					if got, err := k.Open(at, sealed); err != nil || string(got) != "one" {
						t.Errorf("what %s opened: %q, %v", filepath.Base(path), got, err)
					}
				}
			}
		})
	}
}

func TestSlotsOfTwoStoresAreNotJoined(t *testing.T) {
	dir, path, key := made(t)
	_, other, _ := made(t)
	another := filepath.Join(dir, "another")
	unlock(t, another, key)
	forked := filepath.Join(dir, "forked")
	if err := Copy(path, forked); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, forked} {
		if err := unlock(t, p, key).Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, dir)
	for name, c := range map[string]struct {
		second string
		want   error
	}{
		"missing":               {filepath.Join(dir, "missing"), nil},
		"of another key":        {other, ErrWrongKey},
		"of another store":      {another, errApart},
		"of a ring that forked": {forked, errApart},
	} {
		if err := Join(path, c.second, key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if contents(t, dir) != before {
		t.Error("something was changed")
	}
}
