package scan

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

const secret = "Đặng Thị Hoà Bình"

func TestSelfTestFindsEveryForm(t *testing.T) {
	for _, text := range []string{secret, "0304494216", "1961-02-03", "Sốt 3 ngày, ho đờm"} {
		if err := SelfTest(t.TempDir(), text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := SelfTest(t.TempDir(), "ho"); err == nil {
		t.Error("passed with a text that nobody searches for")
	}
}

// TestFormsAsOthersWriteThem: what is found was written by the standard encoders,
// not by Forms.
func TestFormsAsOthersWriteThem(t *testing.T) {
	s := New([]string{secret, "1961-02-03"})
	utf16le := []byte{}
	for _, u := range utf16.Encode([]rune(`{"name":"` + secret + `"}`)) {
		utf16le = append(utf16le, byte(u), byte(u>>8))
	}
	utf16be := slices.Clone(utf16le)
	for i := 0; i < len(utf16be); i += 2 {
		utf16be[i], utf16be[i+1] = utf16be[i+1], utf16be[i]
	}
	cases := map[string][]byte{
		"utf-8 in JSON":     []byte(`{"name":"` + secret + `"}`),
		"utf-16le":          utf16le,
		"utf-16be":          append([]byte{0xff}, utf16be...),
		"no accents":        []byte("dang thi hoa binh"),
		"capitals":          []byte("ĐẶNG THỊ HOÀ BÌNH"),
		"decomposed":        []byte("\xff\xfeĐă\u0323ng Thi\u0323 Hoa\u0300 Bi\u0300nh"),
		"among broken text": append([]byte{0xc3, 0x28, 0xff}, "Dang Thi Hoa Binh"...),
		"a date":            []byte("born 1961-02-03."),
	}
	for before := range 7 {
		text := strings.Repeat("x", before) + secret + strings.Repeat("y", before%4)
		cases["base64 behind "+text[:before]] = []byte(base64.StdEncoding.EncodeToString([]byte(text)))
		cases["base64url behind "+text[:before]] = []byte(base64.RawURLEncoding.EncodeToString([]byte("??>>" + text)))
	}
	for name, data := range cases {
		if len(s.Bytes("f", data)) == 0 {
			t.Errorf("%s: not found in %q", name, data)
		}
	}
	for name, text := range map[string]string{
		"another person": "Đặng Thị Hoà", "another date": "1961-02-04", "nothing": "", "one letter less": secret[:len(secret)-1],
		"base64 of another": base64.StdEncoding.EncodeToString([]byte("Đặng Thị Hoà Ba")),
	} {
		if hits := s.Bytes("f", []byte(text)); len(hits) > 0 {
			t.Errorf("%s: found %v in %q", name, hits, text)
		}
	}
}

func TestPathsReadsEveryFileAndItsName(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a/b/deep", "top", "a/" + secret + ".json"} {
		path := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("nothing here "+f[:1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := New([]string{secret, secret, "ho"})
	if s.Secrets != 1 || s.Short != 1 || s.Forms != 10 {
		t.Errorf("%d texts, %d short, %d forms; want 1, 1, 10", s.Secrets, s.Short, s.Forms)
	}
	r, err := s.Paths(dir)
	if err != nil || r.Files != 3 || r.Bytes == 0 || len(r.Hits) == 0 {
		t.Errorf("%d files, %d bytes, %d hits, %v; want 3 files and the name of one found", r.Files, r.Bytes, len(r.Hits), err)
	}
	if _, err := s.Paths(filepath.Join(dir, "gone")); err == nil {
		t.Error("a folder that is not there was searched")
	}
}
