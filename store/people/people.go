// Package people is the index of persons in memory, by which a desk finds
// somebody: names without accents in any word order, identifiers, phones and
// birth dates.
//
// It promises that nothing of it ever reaches the disk. It does not know where
// persons come from.
package people

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"tram/store/fhir"
	"tram/store/record"
)

// Person is what tells a person from others at a desk.
type Person struct {
	ID         string
	Name       string
	Birth      string // as written: YYYY-MM-DD, YYYY-MM or YYYY
	Gender     string
	Phone      string
	Identifier string
	Address    string
}

// Index holds everybody. It is safe for concurrent use.
type Index struct {
	mu   sync.RWMutex
	byID map[uint64]*someone
}

// someone is a person with everything a search compares, folded.
type someone struct {
	Person
	words   []string
	digits  []string // identifiers and phones, digits and letters only
	birth   []string
	sortKey string
}

// New makes an empty index.
func New() *Index { return &Index{byID: map[uint64]*someone{}} }

// Set keeps the person with the internal number n as a version shows it; nil or
// a tombstone takes the person out.
func (p *Index) Set(n uint64, key record.Key, v *record.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, n)
	if v == nil || v.Deleted {
		return
	}
	if content, err := fhir.Parse(v.Content, fhir.DefaultLimits()); err == nil {
		p.byID[n] = readPerson(key, content)
	}
}

func readPerson(key record.Key, v *fhir.Value) *someone {
	s := &someone{Person: Person{ID: key.ID, Birth: v.Str("birthDate"), Gender: v.Str("gender")}}
	for i, n := range items(v.Get("name")) {
		text := nameText(n)
		if i == 0 {
			s.Name = text
		}
		s.words = append(s.words, nameWords(n)...)
	}
	for _, id := range items(v.Get("identifier")) {
		if s.Identifier == "" {
			s.Identifier = id.Str("value")
		}
		s.digits = append(s.digits, Plain(id.Str("value")))
	}
	for _, c := range items(v.Get("telecom")) {
		if s.Phone == "" && c.Str("system") == "phone" {
			s.Phone = c.Str("value")
		}
		s.digits = append(s.digits, Plain(c.Str("value")))
	}
	for i, a := range items(v.Get("address")) {
		if i == 0 {
			s.Address = addressText(a)
		}
	}
	s.birth = births(s.Birth)
	s.sortKey = sortKey(s)
	return s
}

func items(v *fhir.Value) []*fhir.Value {
	if v == nil {
		return nil
	}
	return v.Items
}

// nameWords are all words of a name, of its text and of its parts.
func nameWords(n *fhir.Value) []string {
	words := strings.Fields(Fold(n.Str("text")))
	for _, f := range []string{"family", "given", "prefix", "suffix"} {
		part := n.Get(f)
		for _, p := range append(items(part), part) {
			if p != nil && p.Shape == fhir.String {
				words = append(words, strings.Fields(Fold(p.Text))...)
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func nameText(n *fhir.Value) string {
	if t := n.Str("text"); t != "" {
		return t
	}
	words := []string{n.Str("family")}
	for _, g := range items(n.Get("given")) {
		words = append(words, g.Text)
	}
	return strings.Join(words, " ")
}

func addressText(a *fhir.Value) string {
	if t := a.Str("text"); t != "" {
		return t
	}
	var parts []string
	for _, l := range items(a.Get("line")) {
		parts = append(parts, l.Text)
	}
	for _, f := range []string{"district", "city", "state"} {
		if s := a.Str(f); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// births are the ways in which a birth date is typed, digits only.
func births(iso string) []string {
	y, rest, _ := strings.Cut(iso, "-")
	m, d, _ := strings.Cut(rest, "-")
	switch {
	case d != "":
		return []string{y, y + m + d, d + m + y}
	case m != "":
		return []string{y, y + m, m + y}
	case y != "":
		return []string{y}
	}
	return nil
}

// Fold makes letters comparable: lower case, without marks, đ as d. Marks are
// split off by canonical decomposition (Unicode UAX #15, form D).
func Fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'đ':
			b.WriteByte('d')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Plain keeps letters and digits only, folded.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, Fold(s))
}

// matches reports whether every word typed is found: as the beginning of a name's
// word, within an identifier or phone of at least four, or as a birth date.
func (s *someone) matches(words []string) bool {
	for _, w := range words {
		if !slices.ContainsFunc(s.words, func(have string) bool { return strings.HasPrefix(have, w) }) && !s.matchesNumber(Plain(w)) {
			return false
		}
	}
	return true
}

// MinNumber is the fewest letters and digits by which a number is found.
const MinNumber = 4

func (s *someone) matchesNumber(w string) bool {
	if len(w) < MinNumber {
		return false
	}
	return slices.Contains(s.birth, w) || slices.ContainsFunc(s.digits, func(d string) bool { return strings.Contains(d, w) })
}

// Find finds people by words of their names without accents in any order,
// identifier, phone or birth date (1961, 03/02/1961, 1961-02-03), all in one
// text. It returns at most limit, in the order of their names.
func (p *Index) Find(text string, limit int) []Person {
	words := strings.Fields(Fold(text))
	p.mu.RLock()
	var hits []*someone
	for _, one := range p.byID {
		if one.matches(words) {
			hits = append(hits, one)
		}
	}
	p.mu.RUnlock()
	slices.SortFunc(hits, func(a, b *someone) int { return strings.Compare(a.sortKey, b.sortKey) })
	var out []Person
	for _, h := range hits[:min(limit, len(hits))] {
		out = append(out, h.Person)
	}
	return out
}

// Numbers lists the internal numbers of all for whom every given word is the
// beginning of a name's word, or an identifier or phone; for a search that then
// looks closer.
func (p *Index) Numbers(words []string) []uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []uint64
	for n, one := range p.byID {
		if one.matches(words) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// Len is the number of people.
func (p *Index) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.byID)
}

// sortKey sorts by the last word of the name, as names are sorted in Vietnam,
// then by the whole name and the id.
func sortKey(s *someone) string {
	words := strings.Fields(s.Name)
	if len(words) == 0 {
		return s.ID
	}
	return Fold(words[len(words)-1]) + "\x00" + Fold(s.Name) + "\x00" + s.Name + "\x00" + s.ID
}
