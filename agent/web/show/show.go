// Package show turns FHIR R4 resources into words that people read: rows of a
// label and a value, a line for a list, and what changed between two versions.
//
// It owns the words for kinds, elements and codes in each language, and how dates
// and numbers are written. It promises that no element is left out for being
// unknown: what has no words of its own shows FHIR's name for it. It is driven by
// the tables of package fhir, does no I/O, and knows no page.
package show

import (
	_ "embed"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"tram/store/fhir"
)

// The words of each language: labels for kinds and elements, codes for codes.
var (
	//go:embed labels_vi.toml
	labelsVI []byte
	//go:embed labels_en.toml
	labelsEN []byte
	//go:embed codes_vi.toml
	codesVI []byte
	//go:embed codes_en.toml
	codesEN []byte
)

// Languages are the languages that have words.
func Languages() []string { return []string{"vi", "en"} }

// Show reads resources out in one language. It is immutable and safe for
// concurrent use.
type Show struct {
	r4     *fhir.R4
	zone   *time.Location
	lang   string
	labels map[string]map[string]string // kind, element, code, loinc
}

// New loads the words of a language, "vi" or "en"; times are written in zone.
func New(r4 *fhir.R4, lang string, zone *time.Location) (*Show, error) {
	files := [][]byte{labelsEN, codesEN}
	if lang == "vi" {
		files = [][]byte{labelsVI, codesVI}
	}
	s := &Show{r4: r4, zone: zone, lang: lang, labels: map[string]map[string]string{}}
	for _, raw := range files {
		var sections map[string]map[string]string
		if err := toml.Unmarshal(raw, &sections); err != nil {
			return nil, fmt.Errorf("read labels: %w", err)
		}
		maps.Copy(s.labels, sections)
	}
	return s, nil
}

// Kind is what a kind of record is called.
func (s *Show) Kind(kind string) string {
	if w, ok := s.labels["kind"][kind]; ok {
		return w
	}
	return split(kind)
}

// Element is what an element is called; typ is the type that it stands in.
func (s *Show) Element(typ, base string) string {
	for _, k := range []string{typ + "." + base, base} {
		if w, ok := s.labels["element"][k]; ok {
			return w
		}
	}
	return split(strings.TrimSuffix(base, "[x]"))
}

// Code is what a code of an element is called; the code itself where it has no words.
func (s *Show) Code(base, code string) string {
	w, _ := s.code(base, code)
	return w
}

// codeOf is Code for an element of one type: an order's "active" is not a medicine's.
func (s *Show) codeOf(typ, base, code string) string {
	if w, ok := s.labels["code"][typ+"."+base+"."+code]; ok {
		return w
	}
	return s.Code(base, code)
}

func (s *Show) code(base, code string) (string, bool) {
	for _, k := range []string{base + "." + code, code} {
		if w, ok := s.labels["code"][k]; ok {
			return w, true
		}
	}
	return code, false
}

// split makes words of a name: "lotNumber" becomes "Lot number".
func split(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case i == 0:
			b.WriteRune(unicode.ToUpper(r))
		case unicode.IsUpper(r):
			b.WriteByte(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Date writes a FHIR date or time as it is written in Vietnam: dd/mm/yyyy, with
// hours and minutes where it has them. What is no date comes back as it is.
func (s *Show) Date(text string) string {
	for layout, out := range map[string]string{"2006-01-02": "02/01/2006", "2006-01": "01/2006", "2006": "2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Format(out)
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.In(s.zone).Format("02/01/2006 15:04")
	}
	return text
}

// Time writes a moment given in Unix milliseconds.
func (s *Show) Time(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).In(s.zone).Format("02/01/2006 15:04")
}

// Number writes a decimal with every digit that it has; Vietnamese has a comma.
func (s *Show) Number(literal string) string {
	if s.lang == "vi" && !strings.ContainsAny(literal, "eE") {
		return strings.Replace(literal, ".", ",", 1)
	}
	return literal
}
