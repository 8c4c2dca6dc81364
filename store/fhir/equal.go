package fhir

import (
	"sort"
	"strconv"
	"strings"
)

// Equal says whether two values hold the same. Numbers are compared by their
// literal text (1.0 is not 1), array items by position; the order of an
// object's fields does not count. Absent (nil) equals absent only, never null.
func Equal(a, b *Value) bool { return equal(a, b, false) }

// Same is Equal with numbers compared by numeric value: 1.0, 1 and 10e-1 are
// the same. It recognises our own record in the echo of another system that
// loses digits.
func Same(a, b *Value) bool { return equal(a, b, true) }

func equal(a, b *Value, numeric bool) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.Shape != b.Shape {
		return false
	}
	switch a.Shape {
	case Null:
		return true
	case Number:
		return a.Text == b.Text || numeric && decimalOf(a.Text) == decimalOf(b.Text)
	case Array:
		if len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !equal(a.Items[i], b.Items[i], numeric) {
				return false
			}
		}
		return true
	case Object:
		return equalFields(a, b, numeric)
	}
	return a.Text == b.Text
}

// equalFields tries the same order first, which copies of one record mostly
// have; an index of many fields keeps hostile ones from costing the square.
func equalFields(a, b *Value, numeric bool) bool {
	if len(a.Fields) != len(b.Fields) {
		return false
	}
	var index map[string]*Value
	for i := range a.Fields {
		name, x := a.Fields[i].Name, (*Value)(nil)
		switch {
		case b.Fields[i].Name == name:
			x = b.Fields[i].Value
		case len(b.Fields) < 24:
			x = b.Get(name)
		default:
			if index == nil {
				index = make(map[string]*Value, len(b.Fields))
				for _, f := range b.Fields {
					index[f.Name] = f.Value
				}
			}
			x = index[name]
		}
		if x == nil || !equal(a.Fields[i].Value, x, numeric) {
			return false
		}
	}
	return true
}

// decimal is a number in its one normal form: digits without zeros at either
// end, times ten to the power exp.
type decimal struct {
	negative bool
	digits   string // "" is zero
	exp      int
}

// decimalOf normalises a JSON number. An exponent of more than nine digits is
// not computed with: such a literal equals itself only.
func decimalOf(literal string) decimal {
	var d decimal
	s := literal
	if strings.HasPrefix(s, "-") {
		d.negative, s = true, s[1:]
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		sign := strings.HasPrefix(s[i+1:], "-")
		e := strings.TrimLeft(strings.TrimLeft(s[i+1:], "+-"), "0")
		if len(e) > 9 && strings.Trim(s[:i], "0.") != "" {
			return decimal{digits: literal}
		}
		n, _ := strconv.Atoi(e)
		if sign {
			n = -n
		}
		d.exp, s = n, s[:i]
	}
	if i := strings.IndexByte(s, '.'); i >= 0 {
		d.exp -= len(s) - i - 1
		s = s[:i] + s[i+1:]
	}
	s = strings.TrimLeft(s, "0")
	d.digits = strings.TrimRight(s, "0")
	d.exp += len(s) - len(d.digits)
	if d.digits == "" {
		return decimal{}
	}
	return d
}

// Canonical returns v as compact JSON with the fields of every object sorted
// by name. Two values have equal canonical bytes exactly when they are Equal;
// digests of content are taken over them.
func Canonical(v *Value) []byte { return appendCanonical(nil, v) }

func appendCanonical(dst []byte, v *Value) []byte {
	if v == nil {
		return dst
	}
	switch v.Shape {
	case Array:
		dst = append(dst, '[')
		for i, x := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, x)
		}
		return append(dst, ']')
	case Object:
		order := make([]int, len(v.Fields))
		for i := range order {
			order[i] = i
		}
		sort.Slice(order, func(i, j int) bool { return v.Fields[order[i]].Name < v.Fields[order[j]].Name })
		dst = append(dst, '{')
		for i, k := range order {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, v.Fields[k].Name), ':')
			dst = appendCanonical(dst, v.Fields[k].Value)
		}
		return append(dst, '}')
	}
	return v.Append(dst)
}
