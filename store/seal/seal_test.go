package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/chacha20poly1305"
)

func keys(t testing.TB, first byte) *Keys {
	t.Helper()
	k, err := New(append(make([]byte, 31), first))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedValueOpensOnlyAsItWasSealed(t *testing.T) {
	k := keys(t, 1)
	at := []byte("versions/1")
	for _, plain := range []string{"", "x", strings.Repeat("Hoà", 20), strings.Repeat("Đặng Thị Hoà ", 500)} {
		sealed := k.Seal(at, []byte(plain))
		got, err := k.Open(at, sealed)
		if err != nil || string(got) != plain {
			t.Errorf("%d bytes: got %.20q, %v", len(plain), got, err)
		}
		refuse := func(what string, k *Keys, at, sealed []byte) {
			if got, err := k.Open(at, sealed); !errors.Is(err, ErrAltered) {
				t.Errorf("%d bytes, %s: got %.20q, %v; want ErrAltered", len(plain), what, got, err)
			}
		}
		refuse("another key", keys(t, 2), at, sealed)
		refuse("another place", k, []byte("versions/2"), sealed)
		for i := range sealed {
			altered := bytes.Clone(sealed)
			altered[i] ^= 1 << (i % 8)
			refuse(fmt.Sprintf("byte %d altered", i), k, at, altered)
			refuse(fmt.Sprintf("cut at %d", i), k, at, sealed[:i])
		}
		refuse("a byte more", k, at, append(bytes.Clone(sealed), 0))
	}
}

func TestSealingHidesEqualValues(t *testing.T) {
	k := keys(t, 1)
	a, b := k.Seal(nil, []byte("O+")), k.Seal(nil, []byte("O+"))
	if bytes.Equal(a, b) {
		t.Error("two sealings of one value are equal")
	}
}

// TestBombIsBounded seals, as only one who has the key can, what would expand
// without end.
func TestBombIsBounded(t *testing.T) {
	k := keys(t, 1)
	var packed bytes.Buffer
	enc, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range MaxValue>>20 + 1 {
		if _, err := enc.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	sealed := k.aead.Seal(nonce, nonce, append([]byte{1}, packed.Bytes()...), nil)
	if got, err := k.Open(nil, sealed); !errors.Is(err, ErrAltered) {
		t.Errorf("%d bytes expanded to %d, %v; want ErrAltered", len(sealed), len(got), err)
	}
}

func TestBlindTellsInputsApartAndNeedsTheKey(t *testing.T) {
	k := keys(t, 1)
	seen := map[[16]byte]string{}
	for _, in := range [][2]string{{"key", "a"}, {"key", "b"}, {"ke", "ya"}, {"key:a", ""}, {"", "key:a"}, {"a:b", "c"}, {"a", "b:c"}, {"name", "a"}} {
		d := k.Blind(in[0], in[1])
		if other, ok := seen[d]; ok {
			t.Errorf("%q has the digest of %q", in, other)
		}
		seen[d] = fmt.Sprint(in)
		if d != k.Blind(in[0], in[1]) {
			t.Errorf("%q has two digests", in)
		}
		if d == keys(t, 2).Blind(in[0], in[1]) {
			t.Errorf("%q has one digest under two keys", in)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	k := keys(b, 1)
	plain := []byte(strings.Repeat(`{"resourceType":"Observation","status":"final"},`, 30))
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if _, err := k.Open(nil, k.Seal(nil, plain)); err != nil {
			b.Fatal(err)
		}
	}
}
