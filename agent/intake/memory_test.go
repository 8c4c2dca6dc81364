package intake

import (
	"context"
	"fmt"
	"testing"

	"tram/store"
	"tram/store/storetest"
)

// What was taken is known for ever, and what that keeps is short: the settings of a store are
// written again whenever its journal is cut.
func TestWhatWasTakenIsKeptShort(t *testing.T) {
	dir := t.TempDir()
	s := storetest.Open(t, store.Options{Name: "tram-a", Dir: dir})
	in := New(Over(s))
	ctx := context.Background()
	label := func(i int) string {
		kind := ""
		if i%2 == 1 {
			kind = "m"
		}
		return kind + fmt.Sprintf("%032x", uint64(i)*0x0101010101)
	}
	const files = 600
	for i := range files {
		if err := in.remember(ctx, label(i), memory{IDs: []string{"a", "b"}}); err != nil {
			t.Fatal(err)
		}
		if m, err := in.recall(label(i)); err != nil || m.Taken || len(m.IDs) != 2 {
			t.Fatalf("%d before it is taken: %+v, %v", i, m, err)
		}
		for range 2 { // a second time says the same
			if err := in.remember(ctx, label(i), memory{Taken: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	total := 0
	for i := range files {
		if m, err := in.recall(label(i)); err != nil || !m.Taken {
			t.Fatalf("%d is forgotten: %+v, %v", i, m, err)
		}
		if b, err := s.Setting("intake/" + label(i)); b != nil || err != nil {
			t.Fatalf("%d still has ids: %s, %v", i, b, err)
		}
	}
	for i := range 256 {
		b, err := s.Setting(fmt.Sprintf("intake/taken/%02x", i))
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
	}
	if total != files*labelLen {
		t.Errorf("the shelves hold %d bytes, want %d", total, files*labelLen)
	}
	if m, err := in.recall(label(files)); err != nil || m.Taken {
		t.Errorf("one that never came: %+v, %v", m, err)
	}
	if m, err := in.recall("m" + label(0)); err != nil || m.Taken {
		t.Errorf("a message with the label of a file: %+v, %v", m, err)
	}
}
