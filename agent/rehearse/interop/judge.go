package interop

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"tram/store/fhir"
)

// judge compares what came out with what must come out, but for the version and
// the time in meta. It returns what is wrong, with the place but never the values;
// "" for nothing.
func judge(want map[string]any, body []byte) string {
	got, err := decode(body)
	if err != nil {
		return "the answer is no JSON object"
	}
	ownMeta(got)
	if at := differs("", want, got, true); at != "" {
		if differs("", want, got, false) == "" {
			return "other digits at " + at
		}
		return "other content at " + at
	}
	// The same once more as package fhir sees it.
	a, errA := reparse(want)
	b, errB := reparse(got)
	switch {
	case errA != nil || errB != nil:
		return "package fhir cannot read it"
	case !fhir.Same(a, b):
		return "other content, says package fhir"
	case !fhir.Equal(a, b):
		return "other digits, says package fhir"
	}
	return ""
}

// reparse reads a resource as package fhir does.
func reparse(v map[string]any) (*fhir.Value, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fhir.Parse(b, fhir.Limits{Bytes: 64 << 20, Depth: 64, Values: 2 << 20})
}

// differs is the first place where two values are not the same; "" for none. With
// digits numbers must be written alike, else they must be equal.
func differs(at string, a, b any, digits bool) string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return at
		}
		for _, name := range names(a, b) {
			x, inA := a[name]
			y, inB := b[name]
			if inA != inB {
				return at + "." + name
			}
			if d := differs(at+"."+name, x, y, digits); d != "" {
				return d
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return at
		}
		for i := range a {
			if d := differs(fmt.Sprintf("%s[%d]", at, i), a[i], b[i], digits); d != "" {
				return d
			}
		}
		return ""
	case json.Number:
		if b, ok := b.(json.Number); ok && (a == b || !digits && numerically(a, b)) {
			return ""
		}
		return at
	}
	if a != b { // strings, booleans and null
		return at
	}
	return ""
}

// names are the fields of either object, sorted.
func names(a, b map[string]any) []string {
	var out []string
	for n := range a {
		out = append(out, n)
	}
	for n := range b {
		if _, both := a[n]; !both {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// numerically compares exactly. No exponent that the files hold is large.
func numerically(a, b json.Number) bool {
	if len(a) > 64 || len(b) > 64 {
		return false
	}
	x, okX := new(big.Rat).SetString(string(a))
	y, okY := new(big.Rat).SetString(string(b))
	return okX && okY && x.Cmp(y) == 0
}
