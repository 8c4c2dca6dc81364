package people

import (
	"slices"
	"strings"
)

// blockLen is how many people a block has at most: a change writes the texts of so many
// anew, and a search goes from one text to the next after so many.
const blockLen = 64

// block is some people, each text of all of them in a row.
type block struct {
	people                        []who
	names, numbers, births, order row
}

// someone is the person at a place.
func (b *block) someone(i int) someone {
	return someone{b.people[i], b.names.at(i), b.numbers.at(i), b.births.at(i), b.order.at(i)}
}

// put keeps a person at a place, which may be the first free one.
func (b *block) put(i int, one someone) {
	if i == len(b.people) {
		b.people = append(b.people, who{})
	}
	b.people[i] = one.who
	b.names.put(i, one.names)
	b.numbers.put(i, one.numbers)
	b.births.put(i, one.birth)
	b.order.put(i, one.order)
}

// pop takes the last person out.
func (b *block) pop() {
	b.people = b.people[:len(b.people)-1]
	for _, r := range []*row{&b.names, &b.numbers, &b.births, &b.order} {
		r.ends = r.ends[:len(b.people)]
		r.text = r.text[:r.start(len(b.people))]
	}
}

// row is one text of each person of a block, one behind the other.
type row struct {
	text string
	ends []int32 // where each person's ends
}

const endMark = "\n" // in no term

func (r *row) start(i int) int32 {
	if i == 0 {
		return 0
	}
	return r.ends[i-1]
}

func (r *row) at(i int) string { return r.text[r.start(i) : r.ends[i]-int32(len(endMark))] }

func (r *row) put(i int, text string) {
	start := r.start(i)
	if i == len(r.ends) {
		r.ends = append(r.ends, start)
	}
	rest := r.text[r.ends[i]:]
	grows := start + int32(len(text+endMark)) - r.ends[i]
	for j := range r.ends[i:] {
		r.ends[i+j] += grows
	}
	r.text = r.text[:start] + text + endMark + rest
}

// mark marks the places of those whose text has the term.
func (r *row) mark(term string, found *[blockLen]bool) {
	for at := 0; ; {
		i := strings.Index(r.text[at:], term)
		if i < 0 || at == len(r.text) {
			return
		}
		one, _ := slices.BinarySearch(r.ends, int32(at+i+1))
		found[one] = true
		at = int(r.ends[one])
	}
}
