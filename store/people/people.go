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

// Index holds of everybody what a search compares, and nothing that is only shown. It
// is safe for concurrent use.
type Index struct {
	mu     sync.RWMutex
	name   fhir.Param // Patient's parameter "name"
	r4     *fhir.R4
	blocks []*block          // all full but the last
	at     map[uint64]int    // number -> place in all blocks
	order  *collate.Collator // guarded by mu's writing half, as is keys
	keys   collate.Buffer

	linked, linking map[string][]string // id -> ids that it links to, and that link to it
}

// someone is a person with everything a search compares.
type someone struct {
	who
	names   string // see namesOf
	numbers string // letters and digits only, before each identifier numberMark, before each contact phoneMark
	birth   string // the date as written
	order   string // see orderOf
}

// who is what is kept of a person beside the texts.
type who struct {
	number uint64
	name   uint64 // the first; see sumOf
	date   Date
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
	var name string
	var links []string
	if v != nil && !v.Deleted {
		if content, err := fhir.Parse(v.Content, fhir.DefaultLimits()); err == nil {
			one, name, links = p.read(content), nameOf(content), Links(content)
			one.number, one.date = n, at
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.relink(key.ID, links)
	i, known := p.at[n]
	switch {
	case one != nil:
		if !known {
			i = len(p.at)
		}
		one.order = p.orderOf(name)
		p.put(i, *one)
	case known:
		last := p.blocks[len(p.blocks)-1]
		p.put(i, last.someone(len(last.people)-1))
		if last.pop(); len(last.people) == 0 {
			p.blocks = p.blocks[:len(p.blocks)-1]
		}
		delete(p.at, n)
	}
}

// put keeps a person at a place, which may be the first free one. The lock is held.
func (p *Index) put(i int, one someone) {
	if i == len(p.blocks)*blockLen {
		p.blocks = append(p.blocks, &block{})
	}
	p.blocks[i/blockLen].put(i%blockLen, one)
	p.at[one.number] = i
}

// read makes somebody of a Patient, but not the number, the date and the order.
func (p *Index) read(patient *fhir.Value) *someone {
	s := &someone{who: who{name: sumOf(nameOf(patient))}, birth: tame(patient.Str("birthDate"))}
	var names []string
	for _, part := range p.r4.SearchValues(patient, p.name) {
		names = append(names, Fold(part.Text))
	}
	s.names = namesOf(names)
	for _, id := range items(patient.Get("identifier")) {
		s.numbers += numberMark + Plain(id.Str("value"))
	}
	for _, c := range items(patient.Get("telecom")) {
		s.numbers += phoneMark + Plain(c.Str("value"))
	}
	return s
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
