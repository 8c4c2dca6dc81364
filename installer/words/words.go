// Package words holds what a person reads while a station is set up, in
// Vietnamese and in English.
//
// It owns one embedded catalogue, keyed by code. Programs carry codes and what
// belongs into a text's gaps; only the last step before a person turns them
// into a sentence. It promises that both languages have every text. It does not
// know what the texts are about.
package words

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed words.json
var catalogue []byte

// Word is a text by its code, with what belongs into its gaps.
type Word struct {
	Code string
	With []string // name, value, name, value …
}

// New makes a Word; with is pairs of a gap's name and its value.
func New(code string, with ...string) Word { return Word{code, with} }

// Book is the catalogue in one language. It is read-only and may be used from
// many goroutines.
type Book struct {
	language string
	texts    map[string]map[string]string
}

// Open opens the catalogue in a language, "vi" or "en"; any other is "vi".
func Open(language string) (Book, error) {
	b := Book{language: "vi"}
	if language == "en" {
		b.language = "en"
	}
	if err := json.Unmarshal(catalogue, &b.texts); err != nil {
		return b, fmt.Errorf("read catalogue: %w", err)
	}
	return b, nil
}

// Has says whether the catalogue has a text of that code.
func (b Book) Has(code string) bool { return b.texts[code][b.language] != "" }

// Say is the text for w in the book's language. Control characters in a
// gap's value are dropped, so that a file's name cannot write on a terminal.
// A code without a text is said as it is.
func (b Book) Say(w Word) string {
	text := b.texts[w.Code][b.language]
	if text == "" {
		return w.Code
	}
	pairs := make([]string, 0, len(w.With))
	for i := 0; i+1 < len(w.With); i += 2 {
		pairs = append(pairs, "{"+w.With[i]+"}", plain(w.With[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Texts is every text of the book's language by its code, as a copy.
func (b Book) Texts() map[string]string {
	out := make(map[string]string, len(b.texts))
	for code, t := range b.texts {
		out[code] = t[b.language]
	}
	return out
}

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
