package fhir

// Ref is one literal reference in a resource.
type Ref struct {
	Path      string // of the Reference element: "Observation.subject"
	Literal   string // as written
	Kind, ID  string // when the literal is Kind/ID, relative or at the end of an absolute URL; else ""
	Absolute  bool   // the literal has a scheme ("http:", "urn:"), so that Kind/ID lives elsewhere
	Contained bool   // the literal is "#x"
}

// Refs lists every Reference.reference in a resource, also within contained
// resources and extensions, in the order of the document.
func (r *R4) Refs(v *Value) []Ref { return nil }

// RewriteRefs returns v with f applied to every literal reference: each
// Reference.reference and, as a transaction demands (FHIR R4 http
// "transaction"), each urn:uuid: or urn:oid: literal in an element of type uri,
// url, oid or uuid. It returns v itself when nothing changed.
func (r *R4) RewriteRefs(v *Value, f func(literal string) string) *Value { return v }

// Patients lists the ids of the Patients in whose compartment the resource is
// (FHIR R4 CompartmentDefinition/patient), sorted, each once. A Patient is in its own.
// Only relative literal references to Patient/<id> count.
func (r *R4) Patients(v *Value) []string { return nil }
