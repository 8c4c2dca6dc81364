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

// R4 is the decoded tables. It is immutable and safe for concurrent use; Load
// it once and hand it to whoever needs it.
type R4 struct {
	types map[string]*typeDef
}

type typeDef struct{}

// Load decodes the tables. It takes some tens of milliseconds and a few
// megabytes, and fails only when the program was built with broken tables.
func Load() (*R4, error) { return &R4{types: map[string]*typeDef{}}, nil }

// IsKind says whether kind is one of R4's concrete resource types.
func (r *R4) IsKind(kind string) bool { return r.types[kind] != nil }

// Kinds lists R4's concrete resource types in alphabetical order.
func (r *R4) Kinds() []string { return nil }

// Elem describes one JSON field of a type.
type Elem struct {
	Name      string   // the JSON field: "birthDate", "valueQuantity"
	Base      string   // of a choice the element: "value[x]"; else Name
	Type      string   // "string", "CodeableConcept", "BackboneElement", "Resource", ...
	TypePath  string   // where the children are looked up: "Patient.contact", "HumanName", "Resource"; "" for a primitive
	List      bool     // the JSON value is an array
	Required  bool     // at least one; of a choice, one of its fields
	Primitive bool     // a JSON string, number or bool, with a possible "_" sibling
	Backbone  bool     // a nested structure of the resource itself, not a data type
	Targets   []string // of a Reference or canonical the kinds it may point to; empty means any
	Codes     []string // of a code with a required binding the allowed ones, sorted; empty means any
}

// Elem finds a JSON field in a type: a kind, a data type or a backbone path
// ("Patient", "HumanName", "Patient.contact"). "_birthDate" finds birthDate.
func (r *R4) Elem(typePath, field string) (Elem, bool) { return Elem{}, false }

// Elems lists the fields of a type in the order of its definition, one for
// each type of a choice; nil for an unknown type. The caller must not write to it.
func (r *R4) Elems(typePath string) []Elem { return nil }
