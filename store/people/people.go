// Package people is the index of persons in memory, by which a desk finds
// somebody: names without accents in any word order, identifiers, phones and
// birth dates.
//
// It promises that nothing of it ever reaches the disk. It does not know where
// persons come from.
package people

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
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
	mu    sync.RWMutex
	name  fhir.Param // Patient's parameter "name"
	r4    *fhir.R4
	all   []someone
	at    map[uint64]int    // number -> place in all
	order *collate.Collator // guarded by mu's writing half, as is keys
	keys  collate.Buffer
	texts *texts // of all; nil after a change, until somebody searches

	linked, linking map[string][]string // id -> ids that it links to, and that link to it
}

// someone is a person with everything a search compares, folded and in one text
// each, so that a search over all touches little memory.
type someone struct {
	Person
	number  uint64
	date    Date
	names   string // see namesOf
	numbers string // letters and digits only, before each identifier numberMark, before each contact phoneMark
	births  string // ways to type the birth date, a space before and behind each
	sortKey string
}

// New makes an empty index. What the parts of a name are is in r4's tables.
func New(r4 *fhir.R4) *Index {
	name, _ := r4.Param("Patient", "name")
	return &Index{name: name, r4: r4, at: map[uint64]int{}, order: collate.New(language.Vietnamese),
		linked: map[string][]string{}, linking: map[string][]string{}}
}

const (
	numberMark = "|"
	phoneMark  = "/"
)

// Set keeps the person with the internal number n as a version of that date shows
// it; nil or a tombstone takes the person out.
func (p *Index) Set(n uint64, key record.Key, v *record.Version, at Date) {
	var one *someone
	var links []string
	if v != nil && !v.Deleted {
		if content, err := fhir.Parse(v.Content, fhir.DefaultLimits()); err == nil {
			one = p.read(key, content)
			one.date, links = at, Links(content)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.texts = nil
	p.relink(key.ID, links)
	i, known := p.at[n]
	switch {
	case one != nil:
		one.number, one.sortKey = n, p.sortKey(one)
		if !known {
			p.at[n], p.all = len(p.all), append(p.all, *one)
		} else {
			p.all[i] = *one
		}
	case known:
		last := len(p.all) - 1
		p.all[i] = p.all[last]
		p.at[p.all[i].number] = i
		p.all[last] = someone{}
		p.all = p.all[:last]
		delete(p.at, n)
	}
}

func (p *Index) read(key record.Key, v *fhir.Value) *someone {
	s := &someone{Person: Person{ID: key.ID, Birth: v.Str("birthDate"), Gender: v.Str("gender")}}
	for i, n := range items(v.Get("name")) {
		if i == 0 {
			s.Name = nameText(n)
		}
	}
	var parts []string
	for _, part := range p.r4.SearchValues(v, p.name) {
		parts = append(parts, Fold(part.Text))
	}
	s.names = namesOf(parts)
	for _, id := range items(v.Get("identifier")) {
		if s.Identifier == "" {
			s.Identifier = id.Str("value")
		}
		s.numbers += numberMark + Plain(id.Str("value"))
	}
	for _, c := range items(v.Get("telecom")) {
		if s.Phone == "" && c.Str("system") == "phone" {
			s.Phone = c.Str("value")
		}
		s.numbers += phoneMark + Plain(c.Str("value"))
	}
	for i, a := range items(v.Get("address")) {
		if i == 0 {
			s.Address = addressText(a)
		}
	}
	s.births = " " + strings.Join(births(s.Birth), " ") + " "
	s.detach()
	return s
}

// detach copies the texts, each of which would else keep the whole resource in memory.
func (s *someone) detach() {
	for _, text := range []*string{&s.ID, &s.Name, &s.Birth, &s.Gender, &s.Phone, &s.Identifier, &s.Address} {
		*text = strings.Clone(*text)
	}
}

func items(v *fhir.Value) []*fhir.Value {
	if v == nil {
		return nil
	}
	return v.Items
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
