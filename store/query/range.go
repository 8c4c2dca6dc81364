package query

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"tram/store/fhir"
)

// prefix splits a comparison from a value (FHIR R4 search, 3.1.1.4.3).
func prefix(s string) (op, rest string) {
	if len(s) > 2 {
		switch s[:2] {
		case "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap":
			return s[:2], s[2:]
		}
	}
	return "eq", s
}

// date compares the range of the resource's date with that of the one asked for.
func date(h fhir.SearchValue, want string, zone *time.Location) bool {
	op, rest := prefix(want)
	low, high, ok := fhir.DateRange(rest, zone)
	if !ok {
		return false
	}
	switch op {
	case "eq":
		return h.Low >= low && h.High <= high
	case "ne":
		return h.Low < low || h.High > high
	case "gt":
		return h.High > high
	case "lt":
		return h.Low < low
	case "ge":
		return h.High > high || h.Low >= low && h.High <= high
	case "le":
		return h.Low < low || h.Low >= low && h.High <= high
	case "sa":
		return h.Low > high
	case "eb":
		return h.High < low
	}
	const near = 24 * 60 * 60 * 1000 // ap: the FHIR default is a tenth of the distance to now, which no clock decides here
	return h.Low <= high+near && h.High >= low-near
}

// quantity compares numbers with the precision that the asked one is written
// with: 5.4 stands for 5.35 up to 5.45. With another prefix than eq, ne and ap it
// stands for just itself (FHIR R4 search, 3.1.1.4.3 and 3.1.1.5.1).
func quantity(h fhir.SearchValue, typ, want string) bool {
	op, rest := prefix(want)
	literal, unit, hasUnit := cut(rest, '|')
	if typ == "quantity" && hasUnit {
		system, code, _ := cut(unit, '|')
		if system != "" && unescape(system) != h.System {
			return false
		}
		if code = unescape(code); code != "" && code != h.Code && (code != h.Unit || system != "") {
			return false
		}
	}
	have, asked := decimal(h.Text), decimal(literal)
	if have == nil || asked == nil {
		return false
	}
	half := precision(literal)
	low, high := new(big.Rat).Sub(asked, half), new(big.Rat).Add(asked, half)
	inside := have.Cmp(low) >= 0 && have.Cmp(high) < 0
	switch op {
	case "eq":
		return inside
	case "ne":
		return !inside
	case "gt", "sa":
		return have.Cmp(asked) > 0
	case "lt", "eb":
		return have.Cmp(asked) < 0
	case "ge":
		return have.Cmp(asked) >= 0
	case "le":
		return have.Cmp(asked) <= 0
	}
	tenth := new(big.Rat).Abs(new(big.Rat).Mul(asked, big.NewRat(1, 10)))
	return new(big.Rat).Abs(new(big.Rat).Sub(have, asked)).Cmp(tenth) <= 0
}

// decimal reads a number as JSON writes it; nil for anything else, and for one
// whose exact value would fill the memory.
func decimal(literal string) *big.Rat {
	if len(literal) > 64 || exponent(literal) < -maxExponent || exponent(literal) > maxExponent || fhir.NewNumber(literal) == nil {
		return nil
	}
	d, _ := new(big.Rat).SetString(literal)
	return d
}

const maxExponent = 400

// exponent is the power of ten at the end of a literal; 0 where there is none.
func exponent(literal string) int {
	_, text, _ := strings.Cut(strings.ToLower(literal), "e")
	n, err := strconv.Atoi(text)
	if err != nil && text != "" {
		return maxExponent + 1
	}
	return n
}

// precision is half a unit of the last digit written, in 5.40e-3 half of 0.01e-3.
func precision(literal string) *big.Rat {
	digits, _, _ := strings.Cut(strings.ToLower(literal), "e")
	_, frac, _ := strings.Cut(digits, ".")
	power := exponent(literal) - len(frac)
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(power, -power))), nil)
	if power < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), unit.Mul(unit, big.NewInt(2)))
	}
	return new(big.Rat).SetFrac(unit, big.NewInt(2))
}
