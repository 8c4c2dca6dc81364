package summary

import (
	_ "embed"
	"fmt"
	"strings"

	"tram/store/fhir"
)

// words.txt is what a summary says: one line each, tab-separated: the key, the words in
// English and in Vietnamese. A code is looked up as "section.code" before "code".
//
//go:embed words.txt
var wordsTable string

// words are the words of each language by key.
type words map[string]map[string]string

func readWords() (words, error) {
	w := words{"en": {}, "vi": {}}
	for line := range strings.Lines(wordsTable) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("words of a summary: the line of %q has not three columns", f[0])
		}
		w["en"][f[0]], w["vi"][f[0]] = f[1], f[2]
	}
	return w, nil
}

// teller says things in one language.
type teller struct {
	language string
	words    map[string]string
	named    func(ref *fhir.Value) string // what a reference leads to
}

// teller speaks Vietnamese, or else English.
func (w words) teller(language string) teller {
	if language != "vi" {
		language = "en"
	}
	return teller{language: language, words: w[language]}
}

// get finds words; their key where there are none.
func (t teller) get(key string) string {
	if s := t.words[key]; s != "" {
		return s
	}
	return key
}

// code is what a code is called in a section; the code itself where it has no words.
func (t teller) code(section, code string) string {
	if s := t.words[section+"."+code]; s != "" {
		return s
	}
	return t.get(code)
}

// date writes a date or time as FHIR does, to the minute and in the zone that it was
// written in: in Vietnamese day first, else year first.
func (t teller) date(text string) string {
	day, clock, timed := strings.Cut(text, "T")
	if p := strings.Split(day, "-"); t.language == "vi" {
		for i, j := 0, len(p)-1; i < j; i, j = i+1, j-1 {
			p[i], p[j] = p[j], p[i]
		}
		day = strings.Join(p, "/")
	}
	if timed && len(clock) >= 5 {
		day += " " + clock[:5]
	}
	return day
}

// number writes a decimal with every digit that it has.
func (t teller) number(literal string) string {
	if t.language == "vi" {
		return strings.Replace(literal, ".", ",", 1)
	}
	return literal
}
