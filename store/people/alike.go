package people

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"

	"tram/store/fhir"
)

// minPhone is how many last digits two phones share that are the same one, written
// with or without the code of a country.
const minPhone = 8

// Likeness is what two records are taken for one person by.
type Likeness string

// The closed list of likenesses, the surest first.
const (
	SameNumber Likeness = "number" // an identifier
	SameBirth  Likeness = "birth"  // the name and the birth date
	SamePhone  Likeness = "phone"  // the name and a phone
	SameYear   Likeness = "year"   // the name, and the birth date is not known to differ in its year
)

// Double is somebody who may be the same person.
type Double struct {
	Person
	By Likeness
}

// Hint is the internal number of somebody who may be the same person.
type Hint struct {
	Number uint64
	By     Likeness
}

// Doubles finds those who may be the same person as a Patient, which need not be in
// the index: the surest first. They are hints: whether it is one person only a person
// knows. Those by SameYear are many where names are few, and found only if wide. Where
// the Patient is in the index, it is among them, as is who is linked to it.
func (p *Index) Doubles(patient *fhir.Value, wide bool) []Hint {
	mine := p.featuresOf(patient)
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []Hint
	for one := range p.some(mine.mark) {
		if by, like := mine.like(&one, wide); like {
			out = append(out, Hint{one.number, by})
		}
	}
	slices.SortFunc(out, func(a, b Hint) int { return cmp.Or(order(a.By)-order(b.By), cmp.Compare(a.Number, b.Number)) })
	return out
}

func order(by Likeness) int {
	return slices.Index([]Likeness{SameNumber, SameBirth, SamePhone, SameYear}, by)
}

// features are what somebody is compared by.
type features struct {
	name                uint64 // see sumOf
	birth               string
	identifiers, phones []string
}

func (p *Index) featuresOf(patient *fhir.Value) features {
	s := p.read(patient)
	return features{s.name, s.birth, identifiers(s.numbers), phones(s.numbers)}
}

// mark marks those of a block who share an identifier or the name.
func (f features) mark(b *block, found *[blockLen]bool) {
	for _, n := range f.identifiers {
		b.numbers.mark(numberMark+n, found)
	}
	for i, one := range b.people {
		found[i] = found[i] || f.name != 0 && one.name == f.name
	}
}

// like tells by what somebody may be the one with the features. What costs most comes last.
func (f features) like(o *someone, wide bool) (Likeness, bool) {
	share := func(mine []string, of func(string) []string) bool {
		return slices.ContainsFunc(mine, func(n string) bool { return strings.Contains(o.numbers, n) && slices.Contains(of(o.numbers), n) })
	}
	switch {
	case share(f.identifiers, identifiers):
		return SameNumber, true
	case f.name == 0 || f.name != o.name:
		return "", false
	case f.birth != "" && f.birth == o.birth:
		return SameBirth, true
	case share(f.phones, phones):
		return SamePhone, true
	case wide && (f.birth == "" || o.birth == "" || f.birth[:min(4, len(f.birth))] == o.birth[:min(4, len(o.birth))]):
		return SameYear, true // a date that is not known hides nobody
	}
	return "", false
}

// sumOf stands for a name as it is compared; 0 is none. That of a million names any two
// have one sum is one chance in 30 million.
func sumOf(name string) uint64 {
	plain := strings.Join(strings.Fields(Fold(name)), " ")
	if plain == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(plain))
	return h.Sum64()
}

// identifiers are those that are long enough to tell people apart.
func identifiers(numbers string) []string {
	return marked(numbers, numberMark, func(n string) string { return n })
}

// phones are the last digits of each.
func phones(numbers string) []string {
	return marked(numbers, phoneMark, func(n string) string { return n[max(0, len(n)-minPhone):] })
}

// marked are the numbers of one sort, as of makes them, without the too short.
func marked(numbers, mark string, of func(string) string) []string {
	var out []string
	for rest := numbers; rest != ""; {
		end := strings.IndexAny(rest[1:], numberMark+phoneMark) + 1
		if end == 0 {
			end = len(rest)
		}
		if n := rest[1:end]; rest[:1] == mark && len(n) >= MinNumber {
			out = append(out, of(n))
		}
		rest = rest[end:]
	}
	return out
}
