// Package fhir is what a FHIR R4 (4.0.1) resource is: JSON values that lose
// nothing, the structure of every resource and data type, references,
// compartments, search values, the keys of list items, and Bundles.
//
// It owns the generated tables of R4 (tables/, made by gen from HL7's own
// definitions) and the reading of resources by them. It promises that what was
// read is written again with every digit, unknown extension and primitive
// sibling, and that its errors and issues never hold any content of a resource.
//
// It is pure: no I/O, no clock, no goroutines, no state. It does not know what
// a record, a version or a store is, nor any profile or country. Check is
// structural: it knows types, cardinalities, formats and required bindings,
// but neither invariants nor terminology.
package fhir

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// R4_PACKAGE is the folder "package" of the unpacked npm package
// hl7.fhir.r4.examples 4.0.1.
//go:generate go run ./gen -package $R4_PACKAGE -out tables

//go:embed tables/structure.txt.gz
var structureTable []byte

//go:embed tables/search.txt.gz
var searchTable []byte

var errTable = errors.New("broken table of FHIR definitions")

// R4 is the decoded tables. It is immutable and safe for concurrent use; Load
// it once and hand it to whoever needs it.
type R4 struct {
	types       map[string]*typeDef
	kinds       []string
	params      map[string][]Param  // by kind, sorted by name
	compartment map[string][]string // by kind, the parameters that lead to a Patient
	zone        *time.Location
}

// typeDef is a resource, a data type or a structure nested in one.
type typeDef struct {
	path  string
	class byte // R resource, A abstract resource, D data type, B nested, as in the table
	elems []Elem
	index map[string]int // of elems by JSON name
	bases []base
}

// base is an element with all its JSON names: one, or one for each type of a choice.
type base struct {
	name     string // "value[x]"
	from, to int    // elems
	required bool
}

// Elem describes one JSON field of a type.
type Elem struct {
	Name       string   // the JSON field: "birthDate", "valueQuantity"
	Base       string   // of a choice the element: "value[x]"; else Name
	Type       string   // "string", "CodeableConcept", "BackboneElement", "Resource", ...
	TypePath   string   // where the children are looked up: "Patient.contact", "HumanName", "Resource"; "" for a primitive
	List       bool     // the JSON value is an array
	Required   bool     // at least one; of a choice, one of its fields
	Summary    bool     // of a resource: belongs to its summary (FHIR R4 search.html#summary)
	Primitive  bool     // a JSON string, number or bool, with a possible "_" sibling
	Backbone   bool     // a nested structure of the resource itself, not a data type
	Targets    []string // of a Reference or canonical the kinds it may point to; empty means any
	Codes      []string // of a required binding the allowed codes, sorted; empty means any
	CodeSystem string   // the system that all Codes share, "" if there is none
}

// Load decodes the tables. It takes some tens of milliseconds and a few
// megabytes, and fails only when the program was built with broken tables.
// Dates and times without a zone are read as UTC; see In.
func Load() (*R4, error) {
	r := &R4{types: map[string]*typeDef{}, zone: time.UTC}
	for _, t := range []struct {
		packed []byte
		decode func(lines []string) error
	}{{structureTable, r.decodeStructure}, {searchTable, r.decodeSearch}} {
		lines, err := unpack(t.packed)
		if err == nil {
			err = t.decode(lines)
		}
		if err != nil {
			return nil, fmt.Errorf("load R4: %w", err)
		}
	}
	return r, nil
}

// In returns the same tables reading dates and times without a zone as local
// to loc: FHIR R4 leaves the zone of such searches to the server.
func (r *R4) In(loc *time.Location) *R4 {
	out := *r
	out.zone = loc
	return &out
}

// Zone is where dates and times without a zone are read as local to.
func (r *R4) Zone() *time.Location {
	if r.zone == nil {
		return time.UTC
	}
	return r.zone
}

// IsKind says whether kind is one of R4's concrete resource types.
func (r *R4) IsKind(kind string) bool {
	t := r.types[kind]
	return t != nil && t.class == 'R'
}

// Kinds lists R4's concrete resource types in alphabetical order.
func (r *R4) Kinds() []string { return append([]string(nil), r.kinds...) }

// Elem finds a JSON field in a type: a kind, a data type or a backbone path
// ("Patient", "HumanName", "Patient.contact"). "_birthDate" finds birthDate.
func (r *R4) Elem(typePath, field string) (Elem, bool) {
	t := r.types[typePath]
	if t == nil {
		return Elem{}, false
	}
	sibling := strings.HasPrefix(field, "_")
	if e := t.elem(strings.TrimPrefix(field, "_")); e != nil && (!sibling || e.Primitive) {
		return *e, true
	}
	return Elem{}, false
}

// Elems lists the fields of a type in the order of its definition, one for
// each type of a choice; nil for an unknown type. The caller must not write to it.
func (r *R4) Elems(typePath string) []Elem {
	if t := r.types[typePath]; t != nil {
		return t.elems
	}
	return nil
}

func (t *typeDef) elem(name string) *Elem {
	if i, ok := t.index[name]; ok {
		return &t.elems[i]
	}
	return nil
}

func unpack(packed []byte) ([]string, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

type codeSet struct {
	system string
	codes  []string
}

// decodeStructure reads the lines that gen's structureLines describes. Types
// are made first, so that fields can tell what they refer to.
func (r *R4) decodeStructure(lines []string) error {
	var sets []codeSet
	for _, line := range lines {
		f := strings.Split(line, "\t")
		switch {
		case f[0] == "V" && len(f) == 3:
			sets = append(sets, codeSet{f[1], strings.Split(f[2], " ")})
		case f[0] == "T" && len(f) == 3 && len(f[2]) == 1:
			r.types[f[1]] = &typeDef{path: f[1], class: f[2][0]}
			if f[2] == "R" {
				r.kinds = append(r.kinds, f[1])
			}
		}
	}
	var t *typeDef
	for _, line := range lines {
		f := strings.Split(line, "\t")
		switch f[0] {
		case "T":
			if t != nil {
				t.close()
			}
			t = r.types[f[1]]
		case "F":
			if t == nil || len(f) < 4 {
				return errTable
			}
			if err := r.addField(t, append(f, "", ""), sets); err != nil {
				return err
			}
		}
	}
	if t == nil {
		return errTable
	}
	t.close()
	return nil
}

// close indexes a type whose fields are complete.
func (t *typeDef) close() {
	t.index = make(map[string]int, len(t.elems))
	for i := range t.elems {
		t.index[t.elems[i].Name] = i
	}
}

// addField adds the elements of one line: one, or one for each type of a choice.
func (r *R4) addField(t *typeDef, f []string, sets []codeSet) error {
	card, summary := strings.CutSuffix(f[2], "s")
	e := Elem{Name: f[1], Base: f[1], List: card == "*" || card == "+", Required: card == "1" || card == "+", Summary: summary}
	if f[4] != "" {
		n, err := strconv.Atoi(f[4])
		if err != nil || n < 0 || n >= len(sets) {
			return errTable
		}
		e.Codes, e.CodeSystem = sets[n].codes, sets[n].system
	}
	if f[5] != "" {
		e.Targets = strings.Split(f[5], ",")
	}
	from := len(t.elems)
	stem, choice := strings.CutSuffix(f[1], "[x]")
	for _, name := range strings.Split(f[3], ",") {
		x := e
		if choice {
			x.Name = stem + strings.ToUpper(name[:1]) + name[1:]
		}
		if name != "Reference" && name != "canonical" {
			x.Targets = nil
		}
		switch {
		case name == "@":
			x.TypePath = t.path + "." + f[1]
		case name[0] == '#':
			x.TypePath = name[1:]
		case r.types[name] != nil:
			x.Type, x.TypePath = name, name
		default:
			x.Type, x.Primitive = name, true
		}
		if x.Type == "" {
			root, _, _ := strings.Cut(x.TypePath, ".")
			if r.types[x.TypePath] == nil || r.types[root] == nil {
				return errTable
			}
			// A structure nested in a data type is part of that data type's one value.
			x.Type, x.Backbone = "BackboneElement", r.types[root].class == 'R'
			if !x.Backbone {
				x.Type = "Element"
			}
		}
		t.elems = append(t.elems, x)
	}
	t.bases = append(t.bases, base{f[1], from, len(t.elems), e.Required})
	return nil
}
