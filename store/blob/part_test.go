package blob

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tram/store/seal"
)

func idOf(c []byte) string {
	sum := sha256.Sum256(c)
	return hex.EncodeToString(sum[:])
}

// again opens the same folder anew, as after a restart.
func again(t *testing.T, b *Blobs) *Blobs {
	t.Helper()
	fresh, err := New(b.dir, b.keys, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// grows appends what is missing of c up to a byte, in pieces.
func grows(t *testing.T, b *Blobs, id string, c []byte, to int) {
	t.Helper()
	have, _, err := b.Held(id)
	for at := int(have); err == nil && at < to; at += Piece {
		err = b.Append(id, int64(at), c[at:min(at+Piece, to)])
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestPiecesBecomeAnAttachmentAlsoOverRestarts(t *testing.T) {
	for _, n := range []int{0, 1, Piece, chunk + 1, 3*chunk + 7} {
		b := blobs(t)
		c := content(n, 1)
		id := idOf(c)
		for _, to := range []int{n / 3, n / 2, n} {
			b = again(t, b)
			grows(t, b, id, c, to)
			if have, whole, err := b.Held(id); have != int64(to) || whole || err != nil {
				t.Fatalf("%d bytes: %d are here, whole %t, %v; want %d", n, have, whole, err, to)
			}
		}
		if err := b.Get(id, new(bytes.Buffer)); !errors.Is(err, ErrMissing) {
			t.Errorf("%d bytes: given before it was made whole: %v", n, err)
		}
		if err := again(t, b).Finish(id, int64(n)); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := b.Get(id, &got); err != nil || !bytes.Equal(got.Bytes(), c) {
			t.Errorf("%d bytes: %v", n, err)
		}
		b = again(t, b)
		if have, whole, err := b.Held(id); have != int64(n) || !whole || err != nil {
			t.Errorf("%d bytes: %d, whole %t, %v", n, have, whole, err)
		}
		if left, _ := os.ReadDir(b.coming()); len(left) > 0 {
			t.Errorf("%d bytes: a part is left behind", n)
		}
	}
}

func TestWrongPiecesAreLetGoOf(t *testing.T) {
	b := blobs(t)
	c := content(3*Piece, 1)
	id := idOf(c)
	wrong := bytes.Clone(c)
	wrong[Piece] ^= 1
	grows(t, b, id, wrong, len(wrong))
	if err := b.Finish(id, int64(len(c))); !errors.Is(err, ErrWrong) || b.Has(id) {
		t.Fatalf("another content under its id: %v", err)
	}
	if names := files(t, b); len(names) != 1 { // the folder of parts
		t.Errorf("left behind: %q", names)
	}
	grows(t, b, id, append(bytes.Clone(c), 0), len(c)+1)
	if err := b.Finish(id, int64(len(c))); !errors.Is(err, ErrWrong) {
		t.Errorf("more than all of it: %v", err)
	}
	grows(t, b, id, c, 2*Piece)
	if err := b.Finish(id, int64(len(c))); !errors.Is(err, ErrMoved) {
		t.Errorf("less than all of it: %v", err)
	}
	for _, at := range []int64{0, Piece, 2*Piece + 1, 9 * Piece} {
		if err := b.Append(id, at, c[:1]); !errors.Is(err, ErrMoved) {
			t.Errorf("a piece at %d behind %d: %v", at, 2*Piece, err)
		}
	}
	grows(t, b, id, c, len(c))
	if err := b.Finish(id, int64(len(c))); err != nil {
		t.Error(err)
	}
}

// What a power cut leaves of a part goes on from its last good piece, and nothing of it
// can be read on the disk.
func TestATornPartGoesOn(t *testing.T) {
	b := blobs(t)
	c := bytes.Repeat([]byte("Nguyễn Thị Hoa "), 1000)
	id := idOf(c)
	grows(t, b, id, c, 3*Piece)
	whole, err := os.ReadFile(b.partPath(id))
	if err != nil || bytes.Contains(whole, []byte("Hoa")) || bytes.Contains(whole, []byte(id)) {
		t.Fatalf("the part is not sealed: %v", err)
	}
	for name, torn := range map[string]struct {
		file []byte
		have int64
	}{
		"whole":            {whole, 3 * Piece},
		"a byte short":     {whole[:len(whole)-1], 2 * Piece},
		"with noughts":     {append(bytes.Clone(whole), make([]byte, 100)...), 3 * Piece},
		"empty":            {nil, 0},
		"altered at first": {append([]byte{whole[0] ^ 1}, whole[1:]...), 0},
	} {
		if err := os.WriteFile(b.partPath(id), torn.file, 0o600); err != nil {
			t.Fatal(err)
		}
		b := again(t, b)
		if have, _, err := b.Held(id); have != torn.have || err != nil {
			t.Errorf("%s: %d bytes are here, %v; want %d", name, have, err, torn.have)
		}
		grows(t, b, id, c, len(c))
		if err := b.Finish(id, int64(len(c))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.Remove(id); err != nil || b.Has(id) {
			t.Fatal(err)
		}
	}
}

func TestPartsAreBounded(t *testing.T) {
	b := blobs(t)
	if err := b.Room(MaxSize + 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte too many: %v", err)
	}
	full := errors.New("no room")
	b.admit = func() error { return full }
	if err := b.Room(1); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	first := idOf([]byte{0})
	for i := range maxParts {
		if err := b.Append(idOf([]byte{byte(i), byte(i >> 8)}[:1+i>>8]), 0, []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	more := idOf([]byte("more"))
	if err := b.Append(more, 0, []byte{1}); !errors.Is(err, ErrMany) {
		t.Errorf("one too many: %v", err)
	}
	old := time.Now().Add(-2 * partIdle)
	if err := os.Chtimes(b.partPath(first), old, old); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(more, 0, []byte{1}); err != nil {
		t.Errorf("one rested for long: %v", err)
	}
	if have, _, _ := b.Held(first); have != 0 {
		t.Error("the one that rested is still there")
	}
	old = time.Now().Add(-partOld - time.Hour)
	for i := range 9 {
		if err := os.Chtimes(filepath.Join(b.coming(), names(t, b)[i]), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Append(first, 0, []byte{1}); err != nil || len(names(t, b)) != maxParts-8 {
		t.Errorf("%d parts after the old ones went, %v", len(names(t, b)), err)
	}
}

func names(t *testing.T, b *Blobs) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(b.coming())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// A part whose pieces lie under a retired key is begun anew, and one made whole while keys
// are changed is under the newest.
func TestPartsOverARotation(t *testing.T) {
	b := blobs(t)
	c := content(3*Piece, 1)
	id := idOf(c)
	grows(t, b, id, c, Piece)
	if err := b.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	grows(t, b, id, c, len(c))
	if err := b.keys.Retire(1); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(id, int64(len(c))); !errors.Is(err, ErrWrong) {
		t.Fatalf("under a key that is gone: %v", err)
	}
	grows(t, b, id, c, len(c))
	if err := b.Finish(id, int64(len(c))); err != nil {
		t.Fatal(err)
	}
	if sealed, err := os.ReadFile(b.path(id)); err != nil || !b.keys.Newest(sealed[4:]) {
		t.Errorf("not under the newest key: %v", err)
	}
}

func TestRange(t *testing.T) {
	b := blobs(t)
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2*chunk + 100} {
		c := content(n, 1)
		id := put(t, b, c)
		if size, err := b.Size(id); size != int64(n) || err != nil {
			t.Errorf("%d bytes: size %d, %v", n, size, err)
		}
		for _, from := range []int{0, 1, n / 2, chunk - 1, chunk, n, n + 1, 9 * chunk} {
			for _, most := range []int{0, 1, 1000, chunk, 5 * chunk} {
				want := c[min(from, n):min(from+most, n)]
				if got, err := b.Range(id, int64(from), int64(most)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %d from %d: got %d, %v; want %d", n, most, from, len(got), err, len(want))
				}
			}
		}
		if err := os.Truncate(b.path(id), 3); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Size(id); !errors.Is(err, seal.ErrAltered) {
			t.Errorf("%d bytes, torn: %v", n, err)
		}
	}
	if _, err := b.Size(idOf([]byte("none"))); !errors.Is(err, ErrMissing) {
		t.Errorf("none: %v", err)
	}
}
