package people

import (
	"slices"
	"strings"
)

// MinNumber is the fewest letters and digits by which a number is found.
const MinNumber = 4

// term is one typed word, as a search compares it.
type term struct {
	name   string // a space and the word
	number string // "" where it is too short for one
	birth  string
}

func terms(words []string) []term {
	var out []term
	for _, w := range words {
		t := term{name: " " + tame(w)}
		if n := Plain(w); len(n) >= MinNumber {
			t.number, t.birth = n, " "+n+" "
		}
		out = append(out, t)
	}
	return out
}

// matches reports whether every word typed is found: as the beginning of a name's
// word, within an identifier or phone, or as a birth date.
func (s *someone) matches(terms []term) bool {
	for _, t := range terms {
		if !strings.Contains(s.names, t.name) &&
			(t.number == "" || !strings.Contains(s.births, t.birth) && !strings.Contains(s.numbers, t.number)) {
			return false
		}
	}
	return true
}

// Find finds people by words of their names without accents in any order,
// identifier, phone or birth date (1961, 03/02/1961, 1961-02-03), all in one
// text. It returns at most limit, in the order of their names.
func (p *Index) Find(text string, limit int) []Person {
	words := terms(strings.Fields(Fold(text)))
	p.join()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var first []*someone // the first in the order of names, limit at most
	for i := range p.candidates(words) {
		one := &p.all[i]
		if !one.matches(words) || limit <= 0 || len(first) == limit && one.sortKey >= first[limit-1].sortKey {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, one.sortKey, func(s *someone, key string) int { return strings.Compare(s.sortKey, key) })
		if len(first) == limit {
			first = first[:limit-1]
		}
		first = slices.Insert(first, at, one)
	}
	var out []Person
	for _, one := range first {
		out = append(out, one.Person)
	}
	return out
}

// Numbers lists the internal numbers of all for whom every given word is the
// beginning of a name's word, or an identifier or phone; for a search that then
// looks closer.
func (p *Index) Numbers(words []string) []uint64 {
	want := terms(words)
	p.join()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []uint64
	for i := range p.candidates(want) {
		if p.all[i].matches(want) {
			out = append(out, p.all[i].number)
		}
	}
	slices.Sort(out)
	return out
}

// Len is the number of people.
func (p *Index) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.all)
}

// sortKey sorts by the last word of the name, as names are sorted in Vietnam,
// then by the whole name and the id. Words are in Vietnamese order (CLDR, vi): An
// before Ân before Ẩn, Dũng before Đức.
func (p *Index) sortKey(s *someone) string {
	words := strings.Fields(s.Name)
	if len(words) == 0 {
		return "\x00" + s.ID // the nameless first
	}
	p.keys.Reset()
	given := p.order.KeyFromString(&p.keys, words[len(words)-1])
	whole := p.order.KeyFromString(&p.keys, s.Name)
	return "\x01" + string(given) + "\x00" + string(whole) + "\x00" + s.ID
}
