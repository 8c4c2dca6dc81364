package seal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func TestRotationKeepsOldValuesAndSealsAnew(t *testing.T) {
	_, path, key := made(t)
	k := unlock(t, path, key)
	at := []byte("versions/1")
	first, blind := k.Seal(at, []byte("one")), k.Blind("key", "Patient/1")
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	second := k.Seal(at, []byte("two"))
	if k.Newest(first) || !k.Newest(second) || k.Newest(nil) {
		t.Errorf("newest: first %t, second %t, nothing %t; want false, true, false", k.Newest(first), k.Newest(second), k.Newest(nil))
	}
	for name, k := range map[string]*Keys{"the same keys": k, "after a start": unlock(t, path, key)} {
		if got := k.Ring(); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("%s: ring %v, want 1 and 2", name, got)
		}
		for want, sealed := range map[string][]byte{"one": first, "two": second} {
			if got, err := k.Open(at, sealed); err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
			}
		}
		if k.Blind("key", "Patient/1") != blind {
			t.Errorf("%s: a rotation changed the blinded names", name)
		}
	}
	if err := k.Retire(2); !errors.Is(err, ErrInUse) {
		t.Errorf("the newest was retired: %v", err)
	}
	for range 2 { // twice is once
		if err := k.Retire(1); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range map[string]*Keys{"the same keys": k, "after a start": unlock(t, path, key)} {
		if got, err := k.Open(at, first); !errors.Is(err, ErrAltered) {
			t.Errorf("%s: under a retired key: got %q, %v", name, got, err)
		}
		if got, err := k.Open(at, second); err != nil || string(got) != "two" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestRingByteIsBound(t *testing.T) {
	k := keys(t, 1)
	sealed := k.Seal(nil, []byte("one"))
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	for n := range 256 {
		sealed[0] = byte(n)
		if got, err := k.Open(nil, sealed); (err == nil) != (n == 1) {
			t.Errorf("said to be under key %d: got %q, %v", n, got, err)
		}
	}
	// Also where two numbers stand for one key.
	r, err := newRing(k.held.Keys)
	if err != nil {
		t.Fatal(err)
	}
	r.aead[2] = r.aead[1]
	k.ring.Store(r)
	sealed[0] = 2
	if got, err := k.Open(nil, sealed); err == nil {
		t.Errorf("the number is not bound: got %q", got)
	}
}

func TestRingGoesRoundAndFills(t *testing.T) {
	k := keys(t, 1)
	for range 600 {
		was := k.Ring()
		if err := k.Rotate(); err != nil {
			t.Fatal(err)
		}
		if err := k.Retire(was[0]); err != nil {
			t.Fatal(err)
		}
	}
	if got := k.Ring(); len(got) != 1 || got[0] == 0 {
		t.Errorf("ring %v", got)
	}
	for range 254 {
		if err := k.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Rotate(); !errors.Is(err, ErrRingFull) || len(k.Ring()) != 255 {
		t.Errorf("got %v with %d keys; want ErrRingFull with 255", err, len(k.Ring()))
	}
}

// TestFailedRotationSealsAsBefore takes the file away, so that nothing can be
// made durable.
func TestFailedRotationSealsAsBefore(t *testing.T) {
	dir, path, key := made(t)
	k := unlock(t, path, key)
	aside := filepath.Join(dir, "aside")
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	if err := k.Rotate(); !errors.Is(err, ErrNoSlots) {
		t.Errorf("rotated without a file: %v", err)
	}
	if after := contents(t, dir); after != before || !k.Newest(k.Seal(nil, nil)) || len(k.Ring()) != 1 {
		t.Error("a failed rotation changed something")
	}
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(); err != nil || len(k.Ring()) != 2 {
		t.Errorf("again: %v, ring %v", err, k.Ring())
	}
}

// TestRotationWhileSealing is worth most under the race detector.
func TestRotationWhileSealing(t *testing.T) {
	_, path, key := made(t)
	k := unlock(t, path, key)
	stop := make(chan struct{})
	var all sync.WaitGroup
	sealed := make([][]byte, 4)
	for i := range sealed {
		all.Go(func() {
			for n := 0; ; n++ {
				place, plain := fmt.Appendf(nil, "%d/%d", i, n), fmt.Appendf(nil, "value %d of %d", n, i)
				sealed[i] = k.Seal(place, plain)
				if got, err := k.Open(place, sealed[i]); err != nil || string(got) != string(plain) {
					t.Errorf("got %q, %v; want %q", got, err, plain)
					return
				}
				k.Blind("key", string(place))
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	second := KeyFile(filepath.Join(filepath.Dir(path), "second"))
	var adding sync.WaitGroup
	adding.Go(func() {
		if err := k.AddSlot(second); err != nil {
			t.Error(err)
		}
	})
	for range 20 {
		if err := k.Rotate(); err != nil {
			t.Error(err)
		}
	}
	adding.Wait()
	close(stop)
	all.Wait()
	if got := unlock(t, path, second).Ring(); len(got) != 21 || len(k.Slots()) != 2 {
		t.Errorf("by the slot that was added: %d keys, %d slots; want 21 and 2", len(got), len(k.Slots()))
	}
	if got := unlock(t, path, key).Ring(); len(got) != 21 {
		t.Errorf("%d keys on the disk, want 21", len(got))
	}
}
