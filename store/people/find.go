package people

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// MinNumber is the fewest letters and digits by which a number is found.
const MinNumber = 4

// term is one typed word, as a search compares it.
type term struct {
	name   string // a space and the word
	number string // "" where it is too short for one
	birth  string // digits; "" where it is none
}

func terms(words []string) []term {
	var out []term
	for _, w := range words {
		t := term{name: " " + tame(w)}
		if n := Plain(w); len(n) >= MinNumber {
			t.number = n
			if len(n) <= len("19610203") && strings.Trim(n, "0123456789") == "" {
				t.birth = n
			}
		}
		out = append(out, t)
	}
	return out
}

// matches reports whether every word typed is found: as the beginning of a name's
// word, within an identifier or phone, or as a birth date.
func (s *someone) matches(terms []term) bool {
	for _, t := range terms {
		if !strings.Contains(s.names, t.name) && (t.number == "" || !strings.Contains(s.numbers, t.number)) &&
			(t.birth == "" || !typedAs(s.birth, t.birth)) {
			return false
		}
	}
	return true
}

// typedAs reports whether somebody types a birth date so, digits only.
func typedAs(birth, digits string) bool {
	y, rest, _ := strings.Cut(birth, "-")
	m, d, _ := strings.Cut(rest, "-")
	return digits == y || digits == y+m+d || digits == d+m+y
}

// matching gives all who match the terms: of those who match the longest of them, which
// are few. The lock is held.
func (p *Index) matching(terms []term) iter.Seq[someone] {
	var longest term // which all match where there are no terms
	if len(terms) > 0 {
		longest = slices.MaxFunc(terms, func(a, b term) int { return len(a.name) - len(b.name) })
	}
	return func(yield func(someone) bool) {
		for one := range p.some(func(b *block, found *[blockLen]bool) {
			b.names.mark(longest.name, found)
			if longest.number != "" {
				b.numbers.mark(longest.number, found)
			}
			if y := longest.birth; y != "" { // the year comes first or last
				b.births.mark(y[:4], found)
				b.births.mark(y[len(y)-4:], found)
			}
		}) {
			if one.matches(terms) && !yield(one) {
				return
			}
		}
	}
}

// some gives those whom mark marks in each block. The lock is held.
func (p *Index) some(mark func(b *block, found *[blockLen]bool)) iter.Seq[someone] {
	return func(yield func(someone) bool) {
		for _, b := range p.blocks {
			var found [blockLen]bool
			mark(b, &found)
			for i := range b.people {
				if found[i] && !yield(b.someone(i)) {
					return
				}
			}
		}
	}
}

// Find finds people by words of their names without accents in any order,
// identifier, phone or birth date (1961, 03/02/1961, 1961-02-03), all in one
// text. It returns the internal numbers of at most limit, in the order of their names.
func (p *Index) Find(text string, limit int) []uint64 {
	words := terms(strings.Fields(Fold(text)))
	p.mu.RLock()
	defer p.mu.RUnlock()
	var first []someone // the first in the order of names, limit at most
	for one := range p.matching(words) {
		if limit <= 0 || len(first) == limit && one.compare(first[limit-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, one, someone.compare)
		if len(first) == limit {
			first = first[:limit-1]
		}
		first = slices.Insert(first, at, one)
	}
	var out []uint64
	for _, one := range first {
		out = append(out, one.number)
	}
	return out
}

// compare orders by name, and those of one name by their numbers.
func (s someone) compare(o someone) int {
	return cmp.Or(strings.Compare(s.order, o.order), cmp.Compare(s.number, o.number))
}

// Numbers lists the internal numbers of all for whom every given word is the
// beginning of a name's word, or an identifier or phone; for a search that then
// looks closer.
func (p *Index) Numbers(words []string) []uint64 {
	want := terms(words)
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []uint64
	for one := range p.matching(want) {
		out = append(out, one.number)
	}
	slices.Sort(out)
	return out
}

// Len is the number of people.
func (p *Index) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.at)
}

// orderOf sorts by the last word of the name, as names are sorted in Vietnam, then by
// the whole name. Words are in Vietnamese order (CLDR, vi): An before Ân before Ẩn,
// Dũng before Đức. The nameless come first.
func (p *Index) orderOf(name string) string {
	words := strings.Fields(name)
	if len(words) == 0 {
		return ""
	}
	p.keys.Reset()
	given := p.order.KeyFromString(&p.keys, words[len(words)-1])
	whole := p.order.KeyFromString(&p.keys, name)
	return string(given) + "\x00" + string(whole)
}
