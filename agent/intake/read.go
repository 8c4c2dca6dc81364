package intake

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"tram/store/fhir"
	"tram/store/record"
)

// unit is one JSON value of a file: all of a JSON file, or a line of NDJSON.
type unit struct {
	line  int // from 1 in NDJSON; 0 in JSON
	value *fhir.Value
}

// lines reports whether a name says NDJSON.
func lines(name string) bool { return ends(name, ".ndjson") }

// parse reads a file's bytes; every error is a *Refusal.
func parse(name string, data []byte) ([]unit, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // editors on Windows write one
	limits := fhir.Limits{Bytes: MaxBytes, Depth: MaxDepth, Values: MaxValues}
	if len(data) > MaxBytes {
		return nil, &Refusal{Code: TooLarge}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Refusal{Code: Empty}
	}
	if !lines(name) {
		v, err := fhir.Parse(data, limits)
		if err != nil {
			return nil, syntax(err, data, 0)
		}
		return []unit{{value: v}}, nil
	}
	var out []unit
	n := 0
	for rest := data; len(rest) > 0; {
		var one []byte
		one, rest, _ = bytes.Cut(rest, []byte("\n"))
		n++
		if len(bytes.TrimSpace(one)) == 0 {
			continue
		}
		if len(out) == MaxLines {
			return nil, &Refusal{Code: TooManyLines}
		}
		v, err := fhir.Parse(one, limits)
		if err != nil {
			return nil, syntax(err, one, n)
		}
		// The limit of values is one for the whole file, whose lines are all kept
		// in memory until the transaction ends.
		if limits.Values -= count(v); limits.Values <= 0 {
			return nil, &Refusal{Code: TooLarge, Line: n}
		}
		out = append(out, unit{n, v})
	}
	return out, nil
}

// count counts the values in v, itself included.
func count(v *fhir.Value) int {
	n := 1
	for i := range v.Fields {
		n += count(v.Fields[i].Value)
	}
	for _, x := range v.Items {
		n += count(x)
	}
	return n
}

// syntax turns the parser's error into a refusal. line is that of NDJSON, or 0
// to count it in the text.
func syntax(err error, text []byte, line int) *Refusal {
	var bad *fhir.SyntaxError
	if !errors.As(err, &bad) {
		return &Refusal{Code: NotJSON, Line: line}
	}
	if line == 0 {
		line = 1 + bytes.Count(text[:min(max(bad.Offset, 0), len(text))], []byte("\n"))
	}
	switch bad.Code {
	case fhir.SyntaxTooLarge, fhir.SyntaxTooMany:
		return &Refusal{Code: TooLarge, Line: line}
	case fhir.SyntaxTooDeep:
		return &Refusal{Code: TooDeep, Line: line}
	}
	return &Refusal{Code: NotJSON, Line: line, What: bad.Code}
}

// check refuses units that are no FHIR R4. A reference to a kind that may not
// stand there is let through, as the store does: HL7's own examples have it.
func check(r4 *fhir.R4, units []unit) error {
	for _, u := range units {
		issues := slices.DeleteFunc(r4.Check(u.value), func(i fhir.Issue) bool { return i.Key == fhir.IssueTarget })
		if len(issues) > 0 {
			first := issues[0]
			return &Refusal{Code: NotFHIR, Line: u.line, Path: strings.TrimPrefix(first.Path, "."), What: first.Key, More: issues[1:]}
		}
	}
	return nil
}

// local makes a reference one as it stands in a record here: what is under an address of ours
// names a record here (FHIR R4 references.html#literal), and whose it is tells the relative
// reference alone.
func (in *Intake) local() func(literal string) string {
	here := in.o.Here()
	return func(literal string) string {
		for _, base := range here {
			if rest, ok := strings.CutPrefix(literal, base+"/"); ok {
				return rest
			}
		}
		return literal
	}
}

// refersNowhere finds the first reference that leads to a record which is
// neither in the file nor here. Absolute addresses lead elsewhere and are not
// ours to judge; a urn: names an entry of the same file, so one that is left
// over names nothing.
func refersNowhere(r4 *fhir.R4, items []item, exists func(record.Key) (bool, error)) (*Refusal, error) {
	inFile := map[record.Key]bool{}
	for _, it := range items {
		inFile[it.key] = true
	}
	known := map[record.Key]bool{}
	for _, it := range items {
		for _, ref := range r4.Refs(it.value) {
			switch key := (record.Key{Kind: ref.Kind, ID: ref.ID}); {
			case ref.Contained, ref.Absolute && !strings.HasPrefix(ref.Literal, "urn:"):
			case ref.Absolute:
				return &Refusal{Code: RefersNowhere, Line: it.line, Path: ref.Path}, nil
			case key.IsZero() && strings.Contains(ref.Literal, "?"):
				return &Refusal{Code: Conditional, Line: it.line, Path: ref.Path}, nil
			case key.IsZero():
				return &Refusal{Code: RefersNowhere, Line: it.line, Path: ref.Path}, nil
			case inFile[key] || known[key]:
			default:
				ok, err := exists(key)
				if err != nil {
					return nil, err
				}
				if !ok {
					return &Refusal{Code: RefersNowhere, Line: it.line, Path: ref.Path, Key: key}, nil
				}
				known[key] = true
			}
		}
	}
	return nil, nil
}
