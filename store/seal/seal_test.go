package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
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
// beyond all bounds.
func TestBombIsBounded(t *testing.T) {
	k := keys(t, 1)
	for name, body := range map[string][]byte{
		"more than a value may be": s2.Encode(nil, make([]byte, MaxValue+1)),
		"a length and nothing":     {0xff, 0xff, 0xff, 0xff, 0x0f},
		"no length":                {},
		"nonsense":                 {70, 0xff, 0xff, 0xff},
	} {
		sealed, _ := k.encrypt(nil, nil, nil, append([]byte{packed}, body...))
		if got, err := k.Open(nil, sealed); !errors.Is(err, ErrAltered) {
			t.Errorf("%s: %d bytes expanded to %d, %v; want ErrAltered", name, len(sealed), len(got), err)
		}
	}
	unknown, _ := k.encrypt(nil, nil, nil, []byte{9, 1})
	if got, err := k.Open(nil, unknown); !errors.Is(err, ErrAltered) {
		t.Errorf("an unknown first byte: got %q, %v", got, err)
	}
}

func TestAppendSealAppends(t *testing.T) {
	k := keys(t, 1)
	for _, plain := range []string{"", "short", strings.Repeat("long ", 100)} {
		dst := append(make([]byte, 0, 4096), "head"...)
		out := k.AppendSeal(dst, []byte("at"), []byte(plain))
		if &out[0] != &dst[0] || string(out[:4]) != "head" {
			t.Errorf("%q: the slice was not used, or written over: %q", plain, out[:4])
		}
		if got, err := k.Open([]byte("at"), out[4:]); err != nil || string(got) != plain {
			t.Errorf("got %q, %v; want %q", got, err, plain)
		}
	}
}

// TestDictionaryStays holds the dictionary to its bytes: with another one,
// nothing that was sealed before opens.
func TestDictionaryStays(t *testing.T) {
	const want = "d753b028a51a24c0a7af582a7570c7f13c02e8749980f6071154e625e2cf1d93"
	if got := fmt.Sprintf("%x", sha256.Sum256(dictionary1)); got != want {
		t.Errorf("dictionary 1 has the digest %s, want %s: make another one beside it", got, want)
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

// realistic is an Observation as practice makes them, and a small value of the index.
func realistic() map[string][]byte {
	return map[string][]byte{
		"150B": []byte(`{"number":48213,"head":{"l":"k3v7q2xw5m6apf4t","n":91827},"order":55121,"at":1753437600000,"author":"yta-hoa","station":"tram-a","kind":"Observation"}`),
		"700B": []byte(`{"resourceType":"Observation","id":"k3v7q2xw5m6apf4t-91827","meta":{"versionId":"k3v7q2xw5m6apf4t-91828","lastUpdated":"2025-07-25T09:14:00+07:00"},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}],"text":"Huyết áp tâm thu"},"subject":{"reference":"Patient/k3v7q2xw5m6apf4t-1182"},"encounter":{"reference":"Encounter/k3v7q2xw5m6apf4t-91820"},"effectiveDateTime":"2025-07-25T09:12:00+07:00","performer":[{"reference":"Practitioner/k3v7q2xw5m6apf4t-12"}],"valueQuantity":{"value":132,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`),
	}
}

func BenchmarkSeal(b *testing.B) {
	k, at := keys(b, 1), []byte("versions/12345678")
	for name, plain := range realistic() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Seal(at, plain)
			}
			b.ReportMetric(float64(len(k.Seal(at, plain)))/float64(len(plain)), "sealed/plain")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	k, at := keys(b, 1), []byte("versions/12345678")
	for name, plain := range realistic() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			sealed := k.Seal(at, plain)
			for b.Loop() {
				if _, err := k.Open(at, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBlind(b *testing.B) {
	k := keys(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		k.Blind("key", "Observation/k3v7q2xw5m6apf4t-91827")
	}
}
