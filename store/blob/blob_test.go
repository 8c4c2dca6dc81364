package blob

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"tram/store/seal"
)

func blobs(t *testing.T) *Blobs {
	t.Helper()
	k, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(filepath.Join(t.TempDir(), "blobs"), k, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func content(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func put(t *testing.T, b *Blobs, c []byte) string {
	t.Helper()
	id, err := b.Put(bytes.NewReader(c), int64(len(c)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func files(t *testing.T, b *Blobs) []string {
	t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestAttachmentComesBackAsItWasPut(t *testing.T) {
	b := blobs(t)
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		c := content(n, 1)
		id := put(t, b, c)
		if want := sha256.Sum256(c); id != hex.EncodeToString(want[:]) {
			t.Errorf("%d bytes: id %s is not the SHA-256", n, id)
		}
		var got bytes.Buffer
		if err := b.Get(id, &got); err != nil || !bytes.Equal(got.Bytes(), c) || !b.Has(id) {
			t.Errorf("%d bytes: got %d, %v, has %t", n, got.Len(), err, b.Has(id))
		}
	}
}

func TestEqualContentsAreKeptOnceAndNamelessly(t *testing.T) {
	b := blobs(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { put(t, b, content(1000, 1)) })
	}
	wg.Wait()
	id := put(t, b, content(1000, 1))
	names := files(t, b)
	if len(names) != 1 || names[0] == id {
		t.Errorf("files %q for the attachment %s, want one of another name", names, id)
	}
}

func TestRefusedAttachmentLeavesNothing(t *testing.T) {
	b := blobs(t)
	broken := errors.New("the stick was pulled")
	for name, c := range map[string]struct {
		r    io.Reader
		max  int64
		want error
	}{
		"a byte too many":  {bytes.NewReader(content(101, 1)), 100, ErrTooLarge},
		"nothing allowed":  {bytes.NewReader([]byte{1}), 0, ErrTooLarge},
		"endless":          {rand.NewChaCha8([32]byte{}), 3 * chunk, ErrTooLarge},
		"broken at once":   {iotest.ErrReader(broken), 100, broken},
		"broken in midway": {io.MultiReader(bytes.NewReader(content(chunk+5, 1)), iotest.ErrReader(broken)), 10 * chunk, broken},
	} {
		id, err := b.Put(c.r, c.max)
		if !errors.Is(err, c.want) || id != "" {
			t.Errorf("%s: got %q, %v; want %v", name, id, err, c.want)
		}
	}
	if names := files(t, b); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
	if err := b.Get("00", io.Discard); !errors.Is(err, ErrMissing) || b.Has("00") {
		t.Errorf("an attachment never put: %v", err)
	}
}

func TestDamagedAttachmentIsNeverGiven(t *testing.T) {
	b := blobs(t)
	c := content(2*chunk+100, 1)
	id := put(t, b, c)
	other, err := os.ReadFile(b.path(put(t, b, content(2*chunk+100, 2))))
	if err != nil {
		t.Fatal(err)
	}
	clean, err := os.ReadFile(b.path(id))
	if err != nil {
		t.Fatal(err)
	}
	first := 4 + int(binary.LittleEndian.Uint32(clean))
	second := first + 4 + int(binary.LittleEndian.Uint32(clean[first:]))
	altered := func(i int) []byte {
		d := slices.Clone(clean)
		d[i] ^= 1
		return d
	}
	for name, damaged := range map[string][]byte{
		"empty":                 {},
		"cut in a length":       clean[:2],
		"cut in a chunk":        clean[:first-1],
		"cut behind a chunk":    clean[:first],
		"cut before the last":   clean[:second],
		"chunks swapped":        slices.Concat(clean[first:second], clean[:first], clean[second:]),
		"a chunk twice":         slices.Concat(clean[:first], clean[:first], clean[first:]),
		"a chunk of another":    slices.Concat(other[:first], clean[first:]),
		"another's whole file":  other,
		"a length altered":      altered(1),
		"a huge length":         altered(3),
		"a byte altered":        altered(first + 100),
		"the last byte altered": altered(len(clean) - 1),
	} {
		if err := os.WriteFile(b.path(id), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := b.Get(id, &got); !errors.Is(err, seal.ErrAltered) {
			t.Errorf("%s: got %v, want ErrAltered", name, err)
		}
		if name == "chunks swapped" && got.Len() > 0 {
			t.Errorf("%s: %d bytes were given from the wrong place", name, got.Len())
		}
	}
	put(t, b, c)
	if err := b.Get(id, io.Discard); err != nil {
		t.Errorf("put again: %v", err)
	}
}
