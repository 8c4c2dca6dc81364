package people

import (
	"iter"
	"slices"
	"strings"
)

// texts are the texts of all people in a row, so that a search goes through a few
// megabytes from end to end instead of to fifty thousand places.
type texts struct{ names, numbers, births row }

// row is one text of each person, one behind the other.
type row struct {
	text string
	ends []int // where each person's ends
}

func rowOf(all []someone, of func(*someone) string) row {
	var b strings.Builder
	r := row{ends: make([]int, 0, len(all))}
	for i := range all {
		b.WriteString(of(&all[i]))
		b.WriteByte('\n') // in no term
		r.ends = append(r.ends, b.Len())
	}
	r.text = b.String()
	return r
}

// with gives, in order and each once, the places of the people whose text has the term.
func (r row) with(term string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := 0; ; {
			i := strings.Index(r.text[at:], term)
			if i < 0 {
				return
			}
			who, _ := slices.BinarySearch(r.ends, at+i+1)
			if !yield(who) {
				return
			}
			at = r.ends[who]
		}
	}
}

// join puts the texts in a row after a change.
func (p *Index) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.texts == nil {
		p.texts = &texts{
			rowOf(p.all, func(s *someone) string { return s.names }),
			rowOf(p.all, func(s *someone) string { return s.numbers }),
			rowOf(p.all, func(s *someone) string { return s.births }),
		}
	}
}

// candidates gives the places of all who may match the terms: those who match the
// longest of them. The lock is held.
func (p *Index) candidates(terms []term) iter.Seq[int] {
	if len(terms) == 0 || p.texts == nil { // a change came between
		return p.everybody()
	}
	t := slices.MaxFunc(terms, func(a, b term) int { return len(a.name) - len(b.name) })
	if t.number == "" {
		return p.texts.names.with(t.name)
	}
	var who []int
	for _, some := range []iter.Seq[int]{p.texts.names.with(t.name), p.texts.numbers.with(t.number), p.texts.births.with(t.birth)} {
		who = slices.AppendSeq(who, some)
	}
	slices.Sort(who)
	return slices.Values(slices.Compact(who))
}

// everybody gives all places. The lock is held.
func (p *Index) everybody() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range p.all {
			if !yield(i) {
				return
			}
		}
	}
}
