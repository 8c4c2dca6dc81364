package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// two makes keys with two key files, and returns them unlocked by the first.
func two(t *testing.T) (s *Slots, path string, first, second KeyFile) {
	t.Helper()
	dir, path, first := made(t)
	second = KeyFile(filepath.Join(dir, "second"))
	s = load(t, path, first)
	slot, err := s.Add(second)
	if err != nil || slot.ID != 2 || slot.Kind != KindKeyFile {
		t.Fatalf("added %d %s, %v", slot.ID, slot.Kind, err)
	}
	return s, path, first, second
}

func TestAddedSlotOpensAndRemovedOneDoesNot(t *testing.T) {
	s, path, first, second := two(t)
	sealed := unlock(t, path, first).Seal(nil, []byte("one"))
	if got, err := unlock(t, path, second).Open(nil, sealed); err != nil || string(got) != "one" {
		t.Fatalf("by the second slot: got %q, %v", got, err)
	}
	for id, want := range map[int]error{1: ErrLastSlot, 3: ErrNoSlot} { // the second is not at hand
		before := contents(t, filepath.Dir(path))
		if err := s.Remove(id); !errors.Is(err, want) || contents(t, filepath.Dir(path)) != before {
			t.Errorf("remove %d: %v; want %v and nothing changed", id, err, want)
		}
	}
	if err := load(t, path, first, second).Remove(1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, first); !errors.Is(err, ErrWrongKey) {
		t.Errorf("by the removed slot: %v", err)
	}
	unlock(t, path, second)
	if err := load(t, path, second).Remove(2); !errors.Is(err, ErrLastSlot) {
		t.Errorf("the last slot was removed: %v", err)
	}
}

func TestRekeyTouchesEverySlotOrNone(t *testing.T) {
	s, path, first, second := two(t)
	old := bytes.Clone(s.master)
	before := contents(t, filepath.Dir(path))
	if err := s.Rekey(); !errors.Is(err, ErrNotAtHand) || contents(t, filepath.Dir(path)) != before {
		t.Errorf("without the second key: %v; want ErrNotAtHand and nothing changed", err)
	}
	sealed := unlock(t, path, first).Seal(nil, []byte("one"))
	s = load(t, path, first, second)
	if err := s.Rekey(); err != nil || bytes.Equal(s.master, old) {
		t.Fatalf("the master key is the same: %t, %v", bytes.Equal(s.master, old), err)
	}
	for _, key := range []KeyFile{first, second} {
		if got, err := unlock(t, path, key).Open(nil, sealed); err != nil || string(got) != "one" {
			t.Errorf("by %s: got %q, %v", filepath.Base(string(key)), got, err)
		}
	}
	if _, err := s.file.secrets(old); err == nil {
		t.Error("the old master key still opens the ring")
	}
}

func TestRecoverMakesAWayInAndShutsTheOldOnes(t *testing.T) {
	for name, c := range map[string]struct {
		alter   func(path string) error
		dropped int
	}{
		"one key lost": {func(string) error { return nil }, 1},
		"a slot put in unseen": {func(p string) error {
			return replace(p, `"slots": [`, `"slots": [{"id":9,"kind":"key-file","key":""},`)
		}, 3},
		"a slot altered by rot ": {func(p string) error { return replace(p, `"id": 2`, `"id": 3`) }, 2},
	} {
		s, path, first, second := two(t)
		sealed := unlock(t, path, first).Seal(nil, []byte("one"))
		if err := errors.Join(os.Remove(string(first)), c.alter(path)); err != nil {
			t.Fatal(err)
		}
		fresh := KeyFile(filepath.Join(filepath.Dir(path), "fresh"))
		before := contents(t, filepath.Dir(path))
		if _, err := Recover(path, make([]byte, 32), []Opener{fresh}, second); !errors.Is(err, ErrWrongKey) || contents(t, filepath.Dir(path)) != before {
			t.Errorf("%s: by a wrong master key: %v; want ErrWrongKey and nothing changed", name, err)
		}
		dropped, err := Recover(path, s.master, []Opener{fresh}, second)
		if err != nil || len(dropped) != c.dropped {
			t.Fatalf("%s: dropped %d, %v; want %d", name, len(dropped), err, c.dropped)
		}
		if got, err := unlock(t, path, fresh).Open(nil, sealed); err != nil || string(got) != "one" {
			t.Errorf("%s: by the new slot: got %q, %v", name, got, err)
		}
		if _, err := Load(path, second); (err == nil) != (c.dropped == 1) {
			t.Errorf("%s: by the kept slot: %v", name, err)
		}
		if _, err := Recover(path, s.master, []Opener{fresh}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s: what was told is of use a second time: %v", name, err)
		}
	}
}
