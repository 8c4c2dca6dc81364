// Package match says whether a file and a record speak of one person, and of one thing about
// a person.
//
// It owns what counts as a number of a person, as a contradiction between two
// descriptions, and what one description may add to another. It promises that
// nobody is found without a number, that a name, birth date or sex speaks against a match
// and for none by itself, and that Complete changes nothing that a record says already. It
// is pure.
package match

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"tram/store/fhir"
	"tram/store/people"
)

// Number is what a person is found by.
type Number struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// Numbers are those of a Patient that have a system: a number alone is anybody's.
func Numbers(patient *fhir.Value) []Number {
	var out []Number
	for _, id := range items(patient, "identifier") {
		n := Number{id.Str("system"), id.Str("value")}
		if n.System != "" && n.Value != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// Bare reports whether a Patient has a number without a system that another description
// gives with one. Numbers are alike by their letters and digits.
func Bare(patient, by *fhir.Value) bool {
	return slices.ContainsFunc(items(patient, "identifier"), func(id *fhir.Value) bool {
		return id.Str("system") == "" && slices.ContainsFunc(Numbers(by), func(n Number) bool {
			return people.Plain(id.Str("value")) == people.Plain(n.Value)
		})
	})
}

// Trait is in what two descriptions contradict each other.
type Trait string

// The traits.
const (
	Name  Trait = "name"
	Birth Trait = "birth"
	Sex   Trait = "sex"
)

// Differs is the first trait in which two Patients contradict each other; "" for none. What
// one of them does not say contradicts nothing.
func Differs(a, b *fhir.Value) Trait {
	switch {
	case differ(a.Str("birthDate"), b.Str("birthDate")):
		return Birth
	case known(a.Str("gender")) && known(b.Str("gender")) && a.Str("gender") != b.Str("gender"):
		return Sex
	case len(names(a)) > 0 && len(names(b)) > 0 && !slices.ContainsFunc(names(a), func(x []string) bool {
		return slices.ContainsFunc(names(b), func(y []string) bool { return within(x, y) || within(y, x) })
	}):
		return Name
	}
	return ""
}

// Named reports whether a description says a name and a whole birth date.
func Named(patient *fhir.Value) bool {
	return len(names(patient)) > 0 && len(patient.Str("birthDate")) == len(time.DateOnly)
}

// differ compares dates as far as both are said.
func differ(a, b string) bool {
	n := min(len(a), len(b))
	return a[:n] != b[:n]
}

func known(gender string) bool { return gender != "" && gender != "unknown" }

// names are the folded words of each name, without order: the family name stands in front
// in one system and behind in another.
func names(patient *fhir.Value) [][]string {
	var out [][]string
	for _, n := range items(patient, "name") {
		text := n.Str("family")
		for _, g := range items(n, "given") {
			text += " " + g.Text
		}
		if strings.TrimSpace(text) == "" {
			text = n.Str("text")
		}
		words := strings.FieldsFunc(people.Fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

// within reports whether each word is among the others, each used once. An initial
// stands for a word that begins with it.
func within(words, others []string) bool {
	left := slices.Clone(others)
	for _, w := range words {
		i := slices.Index(left, w)
		if i < 0 {
			i = slices.IndexFunc(left, func(o string) bool {
				return len(w) == 1 && strings.HasPrefix(o, w) || len(o) == 1 && strings.HasPrefix(w, o)
			})
		}
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

// Complete is a Patient with what another description adds: numbers, phones and addresses
// that it lacks, and name, birth date and sex where it has none. That somebody died is
// not added: that is for people to enter.
func Complete(patient, by *fhir.Value) *fhir.Value {
	out := Numbered(patient, by)
	for _, field := range []string{"name", "gender", "birthDate"} {
		if out.Get(field) == nil && by.Get(field) != nil {
			out = out.With(field, by.Get(field))
		}
	}
	for _, field := range []string{"telecom", "address"} {
		out = added(out, by, field, func(a, b *fhir.Value) bool {
			return fhir.Equal(a, b) || field == "telecom" && people.Plain(a.Str("value")) == people.Plain(b.Str("value"))
		})
	}
	return out
}

// Numbered is a Patient with the numbers of another that it lacks.
func Numbered(patient, by *fhir.Value) *fhir.Value {
	return added(patient, by, "identifier", func(a, b *fhir.Value) bool {
		return a.Str("system") == b.Str("system") && a.Str("value") == b.Str("value")
	})
}

// added is v with the items of a list that it has none like; v itself for none.
func added(v, by *fhir.Value, field string, like func(a, b *fhir.Value) bool) *fhir.Value {
	all := slices.Clone(items(v, field))
	had := len(all)
	for _, b := range items(by, field) {
		if !slices.ContainsFunc(all, func(a *fhir.Value) bool { return like(a, b) }) {
			all = append(all, b)
		}
	}
	if len(all) == had {
		return v
	}
	return v.With(field, fhir.NewArray(all...))
}

// SameConcept reports whether two CodeableConcepts share a code, or say the same where one
// of them has none.
func SameConcept(a, b *fhir.Value) bool {
	if len(items(a, "coding")) == 0 || len(items(b, "coding")) == 0 {
		return people.Fold(said(a)) == people.Fold(said(b))
	}
	return slices.ContainsFunc(items(a, "coding"), func(x *fhir.Value) bool {
		return slices.ContainsFunc(items(b, "coding"), func(y *fhir.Value) bool {
			return x.Str("system") == y.Str("system") && x.Str("code") == y.Str("code")
		})
	})
}

// said is the text of a CodeableConcept.
func said(v *fhir.Value) string {
	if text := v.Str("text"); text != "" {
		return text
	}
	for _, c := range items(v, "coding") {
		return c.Str("display")
	}
	return ""
}

func items(v *fhir.Value, field string) []*fhir.Value {
	if list := v.Get(field); list != nil {
		return list.Items
	}
	return nil
}
