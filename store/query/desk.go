package query

import (
	"slices"
	"strings"

	"tram/store/people"
	"tram/store/record"
)

// maxWays bounds how often one query goes through all people.
const maxWays = 16

// Escaped reports whether a value has an escape in it.
func (c Clause) Escaped() bool {
	return slices.ContainsFunc(c.Values, func(v string) bool { return strings.Contains(v, `\`) })
}

// AfterBar is the code of a token "system|code".
func AfterBar(v string) string { return v[strings.LastIndexByte(v, '|')+1:] }

// Coded reports whether each value of a token has a code.
func (c Clause) Coded() bool {
	return !slices.ContainsFunc(c.Values, func(v string) bool { return AfterBar(v) == "" })
}

// OfPeople reports whether a clause wants what is about patients here.
func (c Clause) OfPeople() bool {
	of := c.Param == "patient" || c.Param == "subject" && !slices.ContainsFunc(c.Values, func(v string) bool { return !strings.HasPrefix(v, "Patient/") })
	return of && !slices.ContainsFunc(c.People(), func(id string) bool { return !record.ValidID(id) })
}

// People are the ids of the patients that a clause wants; no id where one is elsewhere.
func (c Clause) People() []string {
	out := slices.Clone(c.Values)
	for i, v := range out {
		out[i] = strings.TrimPrefix(v, "Patient/")
	}
	return out
}

// Names are the folded texts of each clause of a query that people.Index answers by
// itself, and whether it does: one for people by nothing but their names. It then
// finds exactly those who match.
func Names(q Query) ([][]string, bool) {
	if q.Kind != "Patient" || len(q.Clauses) == 0 || len(q.Sort) > 0 {
		return nil, false
	}
	var out [][]string
	for _, c := range q.Clauses {
		if c.Param != "name" || c.Modifier != "" || len(c.Values) == 0 || len(c.Values) > maxWays || c.Escaped() {
			return nil, false
		}
		var texts []string
		for _, v := range c.Values {
			texts = append(texts, people.Fold(v))
		}
		if !people.Nameable(strings.Join(texts, "")) {
			return nil, false
		}
		out = append(out, texts)
	}
	return out, true
}

// Desk are the words that people.Index knows of a query, those of each way to match
// it; none where it knows nothing, as of what is too short to be compared as a number.
func Desk(q Query) [][]string {
	if q.Kind != "Patient" {
		return nil
	}
	ways := [][]string{nil} // in each all words must match; where a clause has several values, any way will do
	for _, c := range q.Clauses {
		if c.Modifier != "" || c.Escaped() {
			continue
		}
		var more [][]string
		for _, v := range c.Values {
			words := deskWords(c.Param, v)
			if len(words) == 0 {
				more = nil
				break
			}
			for _, w := range ways {
				more = append(more, slices.Concat(w, words))
			}
		}
		if len(more) > 0 && len(more) <= maxWays {
			ways = more
		}
	}
	if len(ways[0]) == 0 {
		return nil
	}
	return ways
}

// deskWords are what the index of people compares of a value; none where it cannot.
func deskWords(param, value string) []string {
	switch param {
	case "identifier", "phone":
		if n := people.Plain(AfterBar(value)); len(n) >= people.MinNumber {
			return []string{n}
		}
	case "name", "family", "given":
		return strings.Fields(people.Fold(value))
	}
	return nil
}
