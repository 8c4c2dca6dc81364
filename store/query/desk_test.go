package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/people"
	"tram/store/record"
)

// oddText is a text of few words, marks and kinds of white space, so that much of it
// begins other texts of its like.
func oddText(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(pick("", "", "", " ", "  ", "\t", "\u00a0", "\n", "\x1f ", "\x1e ", "\u0301"))
		b.WriteString(pick("Đ", "đặng", "An", "Ân", "a\u0302", "o'", "\x1f"))
		b.WriteString(pick("", " ", " ", "  ", "\t", "\u00a0"))
	}
	return b.String()
}

// TestNamedAreThoseWhoMatch holds the index of people to Matches, with names that no
// check would let through.
func TestNamedAreThoseWhoMatch(t *testing.T) {
	r4 := load(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	index := people.New(r4)
	var all []*fhir.Value
	quote := func() string { return strings.ReplaceAll(strconv.QuoteToASCII(oddText(r)), `\x`, `\u00`) }
	for i := range 200 {
		text := fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"text":%s},{"family":%s,"given":[null,%s]}]}`, i, quote(), quote(), quote())
		all = append(all, parse(t, text))
		index.Set(uint64(i), record.Key{Kind: "Patient"}, &record.Version{Content: []byte(text)}, people.Date{})
	}
	for range 3000 {
		q := Query{Kind: "Patient"}
		for range 1 + r.IntN(3) {
			q.Clauses = append(q.Clauses, Clause{Param: "name", Values: []string{oddText(r), oddText(r)}[r.IntN(2):]})
		}
		texts, ok := Names(q)
		if !ok {
			continue
		}
		var got, want []uint64
		for _, h := range index.Named(texts) {
			got = append(got, h.Number)
		}
		for i, v := range all {
			if Matches(r4, q, v, Meta{}) {
				want = append(want, uint64(i))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %+v: found %v, want %v", seed, q.Clauses, got, want)
		}
	}
}
