package people

import (
	"slices"
	"strings"
	"unicode"
)

// Date is when a record belongs, in bytes that sort as it does.
type Date [6]byte

// Hit is somebody found by name.
type Hit struct {
	Number uint64
	Date   Date
}

const (
	partMark  = "\x1f " // before each part of a name
	wordsMark = "\x1e"  // before words that a part separates otherwise than by a space
)

// namesOf is the text in which names are sought, from their folded parts. A space and
// a word find the beginning of a word in it, partMark and a text the beginning of a
// part, of which the white space is kept as it is. A part that begins another is left
// out: what finds it finds the other.
func namesOf(parts []string) string {
	slices.SortFunc(parts, func(a, b string) int { return strings.Compare(b, a) })
	parts = slices.CompactFunc(parts, func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) })
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(partMark + tame(part))
		if strings.ContainsFunc(part, odd) {
			b.WriteString(wordsMark + " " + tame(strings.Join(strings.Fields(part), " ")))
		}
	}
	return b.String()
}

// odd reports white space other than a space.
func odd(r rune) bool { return r != ' ' && unicode.IsSpace(r) }

// tame makes one of all control characters, so that none of a name is a mark.
func tame(s string) string {
	return strings.Map(func(r rune) rune {
		if control(r) {
			return '\x1e'
		}
		return r
	}, s)
}

func control(r rune) bool { return r < ' ' }

// Nameable reports whether Named knows a folded text from every other: control
// characters are all one to it.
func Nameable(text string) bool { return !strings.ContainsFunc(text, control) }

// Named lists, in no order and each once, all who have for every clause a part of a
// name that begins with one of its folded texts, as FHIR R4 search, 3.1.1.4.8, has it.
// There must be a clause, a text in each, and every text Nameable.
func (p *Index) Named(clauses [][]string) []Hit {
	var want [][]string
	for _, texts := range clauses {
		var terms []string
		for _, text := range texts {
			terms = append(terms, partMark+text)
		}
		want = append(want, terms)
	}
	rarest := slices.MaxFunc(want, func(a, b []string) int { return shortest(a) - shortest(b) })
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []Hit
	for one := range p.some(func(b *block, found *[blockLen]bool) {
		for _, term := range rarest {
			b.names.mark(term, found)
		}
	}) {
		if !slices.ContainsFunc(want, func(terms []string) bool { return !one.named(terms) }) {
			out = append(out, Hit{one.number, one.date})
		}
	}
	return out
}

// shortest is the length of the shortest term; the longer it is, the fewer are likely to
// match a clause.
func shortest(terms []string) int {
	return len(slices.MinFunc(terms, func(a, b string) int { return len(a) - len(b) }))
}

func (s *someone) named(terms []string) bool {
	return slices.ContainsFunc(terms, func(term string) bool { return strings.Contains(s.names, term) })
}
