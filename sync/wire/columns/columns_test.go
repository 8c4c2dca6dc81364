package columns

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func split2(b []byte) [][]byte { return bytes.Split(b, []byte("\n")) }

// through sends lines in blocks of so many, and holds that they come back.
func through(t *testing.T, from, to *Model, lines [][]byte, per int) (size int) {
	t.Helper()
	for len(lines) > 0 {
		k := min(per, len(lines))
		block := from.Pack(nil, lines[:k])
		size += len(block)
		out, err := to.Unpack(block, 2<<20)
		if err != nil || len(out) != k {
			t.Fatalf("%d lines of %d, %v", len(out), k, err)
		}
		for i := range out {
			if !bytes.Equal(out[i], lines[i]) {
				t.Fatalf("%q came back as %q", lines[i], out[i])
			}
		}
		lines = lines[k:]
	}
	return size
}

func visits(n int) (out [][]byte) {
	for i := range n {
		out = append(out, fmt.Appendf(nil, `{"resourceType":"Observation","id":"abc-%d","subject":{"reference":"Patient/abc-%d"},"effectiveDateTime":"2026-01-%02dT%02d:05:09+07:00","issued":"2026-01-%02d","valueQuantity":{"value":%d.%d,"unit":"mm[Hg]"},"note":[{"text":"a \"b\" \\"}],"ok":%t,"none":null,"neg":-%d}`,
			1000+i, i/5, 1+i%28, i%24, 1+i%28, 100+i%7, i%3, i%2 == 0, i))
	}
	return out
}

func TestLinesComeBackInFewBytes(t *testing.T) {
	lines := visits(500)
	plain := len(bytes.Join(lines, []byte("\n")))
	if size := through(t, NewModel(nil), NewModel(nil), lines, 32); size > plain/5 {
		t.Errorf("%d bytes of %d", size, plain)
	}
	prime := append(bytes.Join(lines[:20], []byte("\n")), '\n')
	fresh, knowing := through(t, NewModel(nil), NewModel(nil), lines[20:24], 4), through(t, NewModel(prime), NewModel(prime), lines[20:24], 4)
	if knowing > fresh/4 {
		t.Errorf("%d bytes by who knows lines like them, %d by who does not", knowing, fresh)
	}
}

// What is no JSON, or too large or too deep to be kept, comes back too.
func TestAnyLineComesBack(t *testing.T) {
	for _, line := range []string{
		``, ` `, `{`, `{"a"`, `{"a":"`, `"a"`, `hello`, `{"a": 1}`, `{"a":01}`, `{"a":"` + "\x01" + `"}`, `{"` + "\x02" + `":1}`, `{"resourceType":"`, `{"resourceType":"A","b":1}`,
		`{"resourceType":"A` + "\x01" + `","b":1}`, `[[[1],2],"x"]`, `{"a":"é\n"}`, `{"a":"2026-02-30"}`, `{"a":"2026-02-28T25:00:00Z"}`, `{"a":"0001-01-01"}`, `{"a":"9999-12-31T23:59:59.999Z"}`,
		`{"a":007,"b":00,"c":0,"d":99999999999999999999}`, `{"a":"x-00000000000000000001"}`, strings.Repeat(`{"a":`, 500) + `1` + strings.Repeat(`}`, 500),
		`{"a":"` + strings.Repeat("z", 5000) + `"}`, `{` + strings.Repeat(`"k":1,`, 5000) + `"k":2}`, `{"a":"\"","b":"\\"}`, `}{`, `{"a":tru,"b":+-.}`, `{"resourceType":"abc`, `{"resourceType":abc`, `{"a""b":1}`, `{"a":"b":1}`, `{"a":"2026-01-12T7:50:12.5"}`,
	} {
		through(t, NewModel(nil), NewModel(nil), [][]byte{[]byte(line), []byte(line), []byte(`{"a":1}`), []byte(line)}, 1)
	}
}

// A model that has come to know too much forgets, at both sides alike.
func TestModelsForgetAlike(t *testing.T) {
	var lines [][]byte
	for i := range 60_000 {
		lines = append(lines, fmt.Appendf(nil, `{"p%d":"%x","q":"%x"}`, i%9000, i*7919, i*104729))
	}
	a, z := NewModel(nil), NewModel(nil)
	through(t, a, z, lines, 500)
	if a.known != z.known || a.known > maxKnown+2 || a.placed > maxPlaces+1 || a.placed != z.placed || len(a.places) != len(z.places) {
		t.Errorf("%d and %d values, %d and %d places", a.known, z.known, len(a.places), len(z.places))
	}
	a.reset()
	z.reset()
	through(t, a, z, visits(100), 7)
}

func TestBlocksThatAreNone(t *testing.T) {
	whole := NewModel(nil).Pack(nil, visits(40))
	for n := range len(whole) {
		if _, err := NewModel(nil).Unpack(whole[:n], 1<<20); !errors.Is(err, ErrForm) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := NewModel(nil).Unpack(whole, 4000); !errors.Is(err, ErrForm) {
		t.Errorf("more than is wanted: %v", err)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x55
		NewModel(nil).Unpack(bad, 1<<20) // it does not matter what comes of it, but it ends
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","id":"x-12","birthDate":"1961-02-03","a":[1,2.50,true,null,"\""]}`+"\n"+`{"resourceType":"Patient","id":"x-13","birthDate":"1961-02-04","a":[1,2.50,true,null,"\""]}`), uint8(1))
	f.Add([]byte("{}\n[]\n\n{\"a\":\"2026-01-12T11:30:12+07:00\"}\n{\"a\":\"2026-01-12T11:30:13+07:00\"}"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, per uint8) {
		through(t, NewModel(nil), NewModel(nil), split2(b), int(per)+1)
	})
}

func FuzzUnpack(f *testing.F) {
	m := NewModel(nil)
	f.Add(m.Pack(nil, [][]byte{[]byte(`{"a":"x-12","b":[1,2]}`), []byte(`{"a":"x-13","b":[1,2]}`)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewModel(nil)
		for range 3 {
			if _, err := m.Unpack(b, 1<<16); err != nil {
				return
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	lines := visits(2000)
	size := int64(len(bytes.Join(lines, []byte("\n"))))
	b.SetBytes(size)
	for b.Loop() {
		m := NewModel(nil)
		for i := 0; i < len(lines); i += 50 {
			m.Pack(nil, lines[i:i+50])
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	lines := visits(2000)
	b.SetBytes(int64(len(bytes.Join(lines, []byte("\n")))))
	m := NewModel(nil)
	var blocks [][]byte
	for i := 0; i < len(lines); i += 50 {
		blocks = append(blocks, m.Pack(nil, lines[i:i+50]))
	}
	for b.Loop() {
		m := NewModel(nil)
		for _, block := range blocks {
			if _, err := m.Unpack(block, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// Models that begin as another one did do not meet, whatever either learns.
func TestModelsOfOneBeginningAreApart(t *testing.T) {
	prime := append(bytes.Join(visits(50), []byte("\n")), '\n')
	first := NewModel(prime)
	lines := visits(300)[100:]
	want := first.Another().Pack(nil, lines)
	for range 2 {
		m := first.Another()
		m.Pack(nil, visits(20))
		if got := first.Another().Pack(nil, lines); !bytes.Equal(got, want) {
			t.Fatal("what one learnt is known to another")
		}
		if got := NewModel(prime).Pack(nil, lines); !bytes.Equal(got, want) {
			t.Fatal("one that was made anew says something else")
		}
		m.reset()
		if got := m.Pack(nil, lines); !bytes.Equal(got, want) {
			t.Fatal("one that was brought back says something else")
		}
	}
	through(t, first.Another(), NewModel(prime), lines, 9)
}

// Long texts go beside the coded ones: lines of them, values, and what comes between.
func TestLongTextsComeBack(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", maxTold/16)
	lines := [][]byte{[]byte(`{"a":"` + long + `"}`), []byte(`{"a":"x"}`), []byte(long + "z"), []byte(`{"a":"` + long + `z"}`), []byte(`{"a":"` + long[1:] + `"}`), []byte(`{"a":"` + long + `z"}`)}
	if size := through(t, NewModel(nil), NewModel(nil), lines, 4); size > 10_000 {
		t.Errorf("%d bytes", size)
	}
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = "0123456789abcdef"[rand.IntN(16)]
	}
	if size := through(t, NewModel(nil), NewModel(nil), [][]byte{random}, 1); size > len(random)*6/10 {
		t.Errorf("%d bytes of 4 bits each take %d", len(random), size)
	}
	block := NewModel(nil).Pack(nil, lines)
	if _, err := NewModel(nil).Unpack(block, 3*len(long)); !errors.Is(err, ErrForm) {
		t.Errorf("more than is wanted: %v", err)
	}
}

// Who has coded enough codes no more, and who is sent more than that takes no more.
func TestTextsAreCodedUpToALimit(t *testing.T) {
	a, z := NewModel(nil), NewModel(nil)
	a.coded, z.coded = maxCoded-100, maxCoded-100
	through(t, a, z, visits(200), 50)
	if a.coded != z.coded || a.coded <= maxCoded || a.coded > maxCoded+maxTold {
		t.Errorf("%d and %d bytes, want more than %d, and not much", a.coded, z.coded, maxCoded)
	}
	before := a.coded
	if through(t, a, z, visits(300)[200:], 50); a.coded != before {
		t.Errorf("%d bytes more", a.coded-before)
	}
	z.coded = maxCoded + 1
	if _, err := z.Unpack(NewModel(nil).Pack(nil, visits(2)), 1<<20); !errors.Is(err, ErrForm) {
		t.Errorf("one text too many: %v", err)
	}
}

// TestBytesAreTheSameForAll: two programs, of whatever machine and age, must foretell alike.
// Where these bytes are others, what is spoken is another protocol.
func TestBytesAreTheSameForAll(t *testing.T) {
	h := sha256.New()
	m := NewModel(append(bytes.Join(visits(50), []byte("\n")), '\n'))
	lines := append(visits(900)[50:], []byte(`{"text":"`+strings.Repeat("đã khám, ", 900)+`"}`))
	known, err := os.ReadFile("../known.ndjson") // texts of all kinds, names and notes among them
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, split2(bytes.TrimSuffix(known, []byte("\n")))...)
	for len(lines) > 0 {
		n := min(64, len(lines))
		h.Write(m.Pack(nil, lines[:n]))
		lines = lines[n:]
	}
	if got := hex.EncodeToString(h.Sum(nil))[:16]; got != "cd0c8cf7e60a04fa" {
		t.Errorf("they have the sum %s", got)
	}
}
