package query

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"tram/store/fhir"
	"tram/store/people"
)

// SortKey is a string whose order is that of the query's sort; empty without
// one. Resources without a value come last either way.
func SortKey(r4 *fhir.R4, q Query, v *fhir.Value, meta Meta) string {
	var b strings.Builder
	for _, s := range q.Sort {
		name := strings.TrimPrefix(s, "-")
		p, ok := r4.Param(q.Kind, name)
		if !ok {
			continue
		}
		have := values(r4, v, p, meta)
		if len(have) == 0 {
			b.WriteString("\xff\x00")
			continue
		}
		key := sortable(have[0], p)
		if strings.HasPrefix(s, "-") {
			key = inverted(key)
		}
		b.WriteString("\x01" + key + "\x00")
	}
	return b.String()
}

func sortable(h fhir.SearchValue, p fhir.Param) string {
	switch p.Type {
	case "date":
		return fmt.Sprintf("%016x", uint64(h.Low)^(1<<63))
	case "string":
		return people.Fold(h.Text)
	case "token":
		return h.Code
	case "reference":
		return h.Kind + "/" + h.ID + h.URL
	case "uri":
		return h.URL
	}
	return number(h.Text)
}

// number writes a decimal so that texts compare as numbers do, to within a
// double's precision, which is enough to sort by: in IEEE 754 the bits of positive
// doubles rise with them, those of negative ones fall.
func number(literal string) string {
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil && !math.IsInf(f, 0) {
		return ""
	}
	bits := math.Float64bits(f)
	if bits>>63 == 0 {
		bits |= 1 << 63
	} else {
		bits = ^bits
	}
	return fmt.Sprintf("%016x", bits)
}

// inverted turns the order of texts round.
func inverted(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = ^b[i]
	}
	return string(b) + "\xff"
}

// Hit is a record that a search found; Order decides its place.
type Hit struct {
	Number uint64 // the record's, in its store
	Order  string
}

// Compare orders hits.
func (h Hit) Compare(o Hit) int { return strings.Compare(h.Order, o.Order) }

// Behind is the place of the first hit behind an order.
func Behind(hits []Hit, order []byte) int {
	at, found := slices.BinarySearchFunc(hits, string(order), func(h Hit, at string) int { return strings.Compare(h.Order, at) })
	if found {
		at++
	}
	return at
}
