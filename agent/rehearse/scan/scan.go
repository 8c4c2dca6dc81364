// Package scan searches files for texts that must not be readable in them.
//
// It owns the forms in which a text may hide: UTF-8, UTF-16 of either byte order,
// base64 in any alignment and either alphabet, and folded, without accents and
// case. It promises that a text in any of these forms is found wherever it
// stands in a file. It does not look into compressed data.
package scan

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf16"

	"tram/store/people"
)

// head is how many bytes of a needle are looked up at each place of a file, and
// so the least length of one; a shorter one would be found by chance.
const head = 6

// Hit is one place where a text stands.
type Hit struct {
	File   string
	Offset int // in the file; in its folded text for the form "folded"
	Form   string
	Secret int // which text
}

type needle struct {
	bytes  []byte
	form   string
	secret int
}

// Scanner searches for a set of texts. It is safe for concurrent use.
type Scanner struct {
	plain  index
	folded index
	// Secrets and Forms are how many texts are searched for, and in how many forms
	// each. Short are the texts left out because chance would find them.
	Secrets, Forms, Short int
}

type index map[[head]byte][]needle

func (x index) add(n needle) bool {
	if len(n.bytes) < head {
		return false
	}
	key := [head]byte(n.bytes)
	x[key] = append(x[key], n)
	return true
}

// New makes a Scanner of texts; equal ones count once.
func New(secrets []string) *Scanner {
	s := &Scanner{plain: index{}, folded: index{}}
	seen := map[string]bool{}
	for i, text := range secrets {
		if seen[text] {
			continue
		}
		seen[text] = true
		if len(text) < head+2 || len(people.Fold(text)) < head {
			s.Short++
			continue
		}
		s.Secrets++
		forms := Forms(text)
		s.Forms = len(forms) + 1
		for form, b := range forms {
			s.plain.add(needle{b, form, i})
		}
		s.folded.add(needle{[]byte(people.Fold(text)), "folded", i})
	}
	return s
}

// Forms are the byte strings that a text leaves in a file in each form but the
// folded one.
func Forms(text string) map[string][]byte {
	out := map[string][]byte{"utf-8": []byte(text)}
	for _, order := range []struct {
		name string
		put  binary.AppendByteOrder
	}{{"utf-16le", binary.LittleEndian}, {"utf-16be", binary.BigEndian}} {
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = order.put.AppendUint16(b, u)
		}
		out[order.name] = b
	}
	for _, alphabet := range []struct {
		name string
		enc  *base64.Encoding
	}{{"base64", base64.RawStdEncoding}, {"base64url", base64.RawURLEncoding}} {
		// Behind 0, 1 or 2 other bytes; the characters that those share stay out.
		for before, from := range []int{0, 2, 3} {
			coded := alphabet.enc.EncodeToString(append(make([]byte, before), text...))
			out[fmt.Sprintf("%s+%d", alphabet.name, before)] = []byte(coded[from : (before+len(text))*8/6])
		}
	}
	return out
}

// Bytes searches data.
func (s *Scanner) Bytes(file string, data []byte) []Hit {
	hits := s.plain.search(file, data)
	return append(hits, s.folded.search(file, []byte(people.Fold(string(data))))...)
}

func (x index) search(file string, data []byte) []Hit {
	var starts [1 << 16]bool // the first two bytes of every needle
	for key := range x {
		starts[binary.BigEndian.Uint16(key[:])] = true
	}
	var hits []Hit
	for i := 0; i+head <= len(data); i++ {
		if !starts[binary.BigEndian.Uint16(data[i:])] {
			continue
		}
		for _, n := range x[[head]byte(data[i:i+head])] {
			if bytes.HasPrefix(data[i:], n.bytes) {
				hits = append(hits, Hit{file, i, n.form, n.secret})
			}
		}
	}
	return hits
}

// Result is what a search of folders came to.
type Result struct {
	Files int
	Bytes int64
	Hits  []Hit
}

// Paths searches files, and every file below folders. Something that cannot be
// read is an error: it was not searched.
func (s *Scanner) Paths(paths ...string) (Result, error) {
	var r Result
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			r.Files++
			r.Bytes += int64(len(data))
			r.Hits = append(r.Hits, s.Bytes(path, data)...)
			r.Hits = append(r.Hits, s.Bytes(path, []byte(filepath.Base(path)))...)
			return nil
		})
		if err != nil {
			return r, fmt.Errorf("scan: %w", err)
		}
	}
	return r, nil
}

// SelfTest plants the text in a file in each form, in the midst of other bytes,
// and fails unless each is found and a file without it is clean.
func SelfTest(dir, text string) error {
	s := New([]string{text})
	if s.Secrets != 1 {
		return fmt.Errorf("self-test: the text is too short")
	}
	planted := Forms(text)
	planted["folded"] = []byte(people.Fold(text))
	noise := []byte("\x00\xffother bytes\x9c\x01")
	file := filepath.Join(dir, "planted")
	defer os.Remove(file)
	for form, b := range planted {
		if err := os.WriteFile(file, slices.Concat(noise, b, noise), 0o600); err != nil {
			return fmt.Errorf("self-test: %w", err)
		}
		r, err := s.Paths(file)
		if err != nil {
			return fmt.Errorf("self-test: %w", err)
		}
		if !slices.ContainsFunc(r.Hits, func(h Hit) bool { return h.Form == form }) {
			return fmt.Errorf("self-test: %s is not found", form)
		}
	}
	if err := os.WriteFile(file, slices.Repeat(noise, 100), 0o600); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if r, err := s.Paths(file); err != nil || len(r.Hits) > 0 {
		return fmt.Errorf("self-test: %d hits in a clean file: %w", len(r.Hits), err)
	}
	return nil
}
