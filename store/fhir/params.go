package fhir

// Param is one of R4's search parameters as it applies to a kind.
type Param struct {
	Name    string
	Type    string   // token, string, date, reference, quantity, number, uri, composite or special
	Expr    string   // FHIRPath of the definition, reduced to this kind
	Targets []string // of a reference the kinds it may point to
}

// Params lists the search parameters of a kind by name, those of every
// resource (_id, _lastUpdated, ...) included. The caller must not write to it.
func (r *R4) Params(kind string) []Param { return nil }

// Param finds one search parameter of a kind.
func (r *R4) Param(kind, name string) (Param, bool) { return Param{}, false }
