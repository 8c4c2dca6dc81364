// Package values tells by which search values a station finds resources, so that
// another reading of FHIRPath can be held against them.
//
// It owns the form in which they are told: JSON lines. It promises an answer for
// each resource, in their order, that names every search parameter of its kind,
// also one without a value. It does not know which values are right.
package values

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"tram/store/fhir"
)

// maxLine bounds a resource in bytes.
const maxLine = 1 << 20

// ErrInput says that a line is no resource of R4.
var ErrInput = errors.New("not a resource of FHIR R4")

// Param is a parameter with its values in a resource.
type Param struct {
	Type   string  `json:"type"`
	Values []Value `json:"values"`
}

// Value is a fhir.SearchValue; an open end of a range is left out, and so is what
// is empty. Low and High are in milliseconds of Unix time.
type Value struct {
	System string  `json:"system,omitempty"`
	Code   string  `json:"code,omitempty"`
	Unit   string  `json:"unit,omitempty"`
	Text   string  `json:"text,omitempty"`
	Kind   string  `json:"kind,omitempty"`
	ID     string  `json:"id,omitempty"`
	URL    string  `json:"url,omitempty"`
	Low    *int64  `json:"low,omitempty"`
	High   *int64  `json:"high,omitempty"`
	Parts  []Value `json:"parts,omitempty"`
}

// Tell reads a resource a line and writes its parameters by name, as an object a
// line.
func Tell(in io.Reader, out io.Writer) error {
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		v, err := fhir.Parse(lines.Bytes(), fhir.DefaultLimits())
		if err != nil || !r4.IsKind(v.Str("resourceType")) {
			return fmt.Errorf("line %d: %w", n, ErrInput)
		}
		if err := json.NewEncoder(w).Encode(found(r4, v)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read resources: %w", err)
	}
	return w.Flush()
}

// found are the values of every parameter of a resource's kind.
func found(r4 *fhir.R4, v *fhir.Value) map[string]Param {
	out := map[string]Param{}
	for _, p := range r4.Params(v.Str("resourceType")) {
		out[p.Name] = Param{Type: p.Type, Values: told(p.Type, p.Parts, r4.SearchValues(v, p))}
	}
	return out
}

// told is the form of values of a type; parts are the types of a composite's parts.
func told(typ string, parts []string, list []fhir.SearchValue) []Value {
	out := make([]Value, 0, len(list))
	for _, s := range list {
		v := Value{System: s.System, Code: s.Code, Unit: s.Unit, Text: s.Text, Kind: s.Kind, ID: s.ID, URL: s.URL}
		if typ == "date" {
			v.Low, v.High = end(s.Low), end(s.High)
		}
		for i, part := range s.Parts {
			v.Parts = append(v.Parts, told(parts[i], nil, []fhir.SearchValue{part})...)
		}
		out = append(out, v)
	}
	return out
}

// end is one end of a range; nil when it is open.
func end(ms int64) *int64 {
	if ms == math.MinInt64 || ms == math.MaxInt64 {
		return nil
	}
	return &ms
}

// Command is Tell as a command of kong, from the standard input; its caller binds an
// io.Writer.
type Command struct{}

// Run runs it.
func (Command) Run(out io.Writer) error { return Tell(os.Stdin, out) }
