package people

import (
	"slices"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
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

// Doubles finds those who may be the same person as a Patient, which need not be in
// the index: the surest first, at most limit, never the Patient itself nor who is
// linked to it. They are hints: whether it is one person only a person knows. Those
// by SameYear are many where names are few, and found only if wide.
func (p *Index) Doubles(patient *fhir.Value, wide bool, limit int) []Double {
	one := p.read(record.Key{Kind: "Patient", ID: patient.Str("id")}, patient)
	mine, linked := one.features(), p.Linked(one.ID)
	p.join()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []Double
	for _, i := range p.near(mine) {
		other := &p.all[i]
		by, like := mine.like(other, wide)
		if like && other.ID != one.ID && !slices.Contains(linked, other.ID) {
			out = append(out, Double{other.Person, by})
		}
	}
	slices.SortStableFunc(out, func(a, b Double) int { return order(a.By) - order(b.By) })
	return out[:min(limit, len(out))]
}

func order(by Likeness) int {
	return slices.Index([]Likeness{SameNumber, SameBirth, SamePhone, SameYear}, by)
}

// near are the places of all who share an identifier or the whole name with somebody,
// and of some others, each once and in order. The lock is held.
func (p *Index) near(mine features) []int {
	if p.texts == nil { // a change came between
		return slices.Collect(p.everybody())
	}
	var out []int
	for _, n := range mine.identifiers {
		out = slices.AppendSeq(out, p.texts.numbers.with(numberMark+n))
	}
	if words := strings.Fields(mine.name); len(words) > 0 {
		longest := slices.MaxFunc(words, func(a, b string) int { return len(a) - len(b) })
		out = slices.AppendSeq(out, p.texts.names.with(" "+tame(longest)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// features are what somebody is compared by.
type features struct {
	name, birth         string
	identifiers, phones []string
}

func (s *someone) features() features {
	return features{s.plainName(), s.Birth, s.identifiers(), s.phones()}
}

// like tells by what somebody may be the one with the features. What costs most comes last.
func (f features) like(o *someone, wide bool) (Likeness, bool) {
	share := func(mine []string, theirs func() []string) bool {
		return slices.ContainsFunc(mine, func(n string) bool { return strings.Contains(o.numbers, n) && slices.Contains(theirs(), n) })
	}
	var by Likeness
	switch {
	case share(f.identifiers, o.identifiers):
		return SameNumber, true
	case f.name == "":
		return "", false
	case f.birth != "" && f.birth == o.Birth:
		by = SameBirth
	case share(f.phones, o.phones):
		by = SamePhone
	case wide && (f.birth == "" || o.Birth == "" || f.birth[:min(4, len(f.birth))] == o.Birth[:min(4, len(o.Birth))]):
		by = SameYear // a date that is not known hides nobody
	default:
		return "", false
	}
	return by, f.name == o.plainName()
}

// plainName is a name as it is compared.
func (s *someone) plainName() string { return strings.Join(strings.Fields(Fold(s.Name)), " ") }

// identifiers are those that are long enough to tell people apart.
func (s *someone) identifiers() []string {
	return s.marked(numberMark, func(n string) string { return n })
}

// phones are the last digits of each.
func (s *someone) phones() []string {
	return s.marked(phoneMark, func(n string) string { return n[max(0, len(n)-minPhone):] })
}

// marked are the numbers of one sort, as of makes them, without the too short.
func (s *someone) marked(mark string, of func(string) string) []string {
	var out []string
	for rest := s.numbers; rest != ""; {
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
