package fhir

import (
	"slices"
	"strconv"
	"strings"
)

// Issue is one thing wrong with a resource. It names places, never content.
type Issue struct {
	Code string // FHIR's issue-type: structure, required, value, invalid, code-invalid
	Path string // FHIRPath-like: "Patient.contact[0].name"; an unknown field's own name is left out
	Key  string // one of the Issue constants below; texts for people are looked up by it
}

// The closed list of Issue keys.
const (
	IssueNotObject      = "not-object"       // the resource or a complex element is no JSON object
	IssueUnknownKind    = "unknown-kind"     // resourceType is missing or not one of R4
	IssueUnknownElement = "unknown-element"  // R4 has no such field here
	IssueMissing        = "missing"          // a required element is absent
	IssueNotArray       = "not-array"        // a list element is not a JSON array
	IssueNotSingle      = "not-single"       // an array where one value belongs
	IssueEmpty          = "empty"            // an empty array, object or string
	IssueNull           = "null"             // null outside the padding of primitive arrays
	IssueChoice         = "two-choices"      // two types of one value[x]
	IssueType           = "wrong-type"       // string, number or bool where another belongs
	IssueFormat         = "bad-format"       // the text does not fit its primitive type
	IssueCode           = "bad-code"         // not in the required value set
	IssueSibling        = "bad-sibling"      // "_field" of an element that is no primitive, or of another length
	IssueTarget         = "bad-target"       // a reference to a kind that may not stand here
	IssueNested         = "nested-contained" // a contained resource contains another
)

const maxIssues = 100

// Check validates the structure of a whole resource by R4's definitions and
// returns what is wrong, at most 100 issues; nil when nothing is. It knows
// neither invariants nor profiles, and terminology only as required bindings.
func (r *R4) Check(v *Value) []Issue {
	c := checker{r: r}
	if v == nil {
		v = &Value{}
	}
	c.resource(v, false)
	return c.issues
}

type checker struct {
	r      *R4
	path   []string // what at prints
	issues []Issue
}

func (c *checker) at() string { return strings.Join(c.path, "") }

func (c *checker) add(code, key string) {
	if len(c.issues) < maxIssues {
		c.issues = append(c.issues, Issue{code, c.at(), key})
	}
}

// in adds an issue about a field of the present place.
func (c *checker) in(field, code, key string) {
	c.path = append(c.path, ".", field)
	c.add(code, key)
	c.path = c.path[:len(c.path)-2]
}

// resource checks the root, a contained resource or an entry's resource.
func (c *checker) resource(v *Value, contained bool) {
	root := len(c.path) == 0
	if v.Shape != Object {
		c.add("structure", IssueNotObject)
		return
	}
	kind := v.Get("resourceType")
	if kind == nil || kind.Shape != String || !c.r.IsKind(kind.Text) {
		c.in("resourceType", "structure", IssueUnknownKind)
		return
	}
	if root {
		c.path = append(c.path, kind.Text)
	}
	if contained && v.Get("contained") != nil {
		c.in("contained", "structure", IssueNested)
	}
	c.fields(v, c.r.types[kind.Text], true)
	if root {
		c.path = c.path[:0]
	}
}

// object checks a complex element.
func (c *checker) object(v *Value, t *typeDef) {
	switch {
	case v.Shape == Null:
		c.add("structure", IssueNull)
	case v.Shape == Array:
		c.add("structure", IssueNotSingle)
	case v.Shape != Object:
		c.add("structure", IssueNotObject)
	default:
		c.fields(v, t, false)
	}
}

// fields checks what an object has, then what it lacks.
func (c *checker) fields(v *Value, t *typeDef, resource bool) {
	if len(v.Fields) == 0 {
		c.add("structure", IssueEmpty)
		return
	}
	for i := range v.Fields {
		if len(c.issues) >= maxIssues {
			return
		}
		f := &v.Fields[i]
		if resource && f.Name == "resourceType" {
			continue
		}
		name, sibling := strings.CutPrefix(f.Name, "_")
		e := t.elem(name)
		switch {
		case e == nil:
			c.add("structure", IssueUnknownElement)
			continue
		case sibling && !e.Primitive:
			c.in(f.Name, "structure", IssueSibling)
			continue
		}
		c.path = append(c.path, ".", f.Name)
		switch {
		case sibling:
			c.sibling(f.Value, v.Get(name), e)
		case e.List:
			c.list(f.Value, v, e)
		case e.Primitive:
			c.primitive(f.Value, e)
		default:
			c.complex(f.Value, e)
		}
		c.path = c.path[:len(c.path)-2]
	}
	for i := range t.bases {
		if b := &t.bases[i]; b.required || b.to-b.from > 1 {
			c.base(v, t, b)
		}
	}
}

// base checks that a required element is there, by its value or its sibling,
// and that of a choice no two are.
func (c *checker) base(v *Value, t *typeDef, b *base) {
	found := 0
	if b.to-b.from == 1 {
		if has(v, &t.elems[b.from]) {
			found = 1
		}
	} else {
		stem := strings.TrimSuffix(b.name, "[x]")
		for i := range v.Fields {
			name := strings.TrimPrefix(v.Fields[i].Name, "_")
			if !strings.HasPrefix(name, stem) || name != v.Fields[i].Name && v.Get(name) != nil {
				continue
			}
			if k, ok := t.index[name]; ok && k >= b.from && k < b.to {
				found++
			}
		}
	}
	if found == 0 && b.required {
		c.in(b.name, "required", IssueMissing)
	}
	if found > 1 {
		c.in(b.name, "structure", IssueChoice)
	}
}

// has finds an element, or of a primitive at least its sibling.
func has(v *Value, e *Elem) bool {
	if v.Get(e.Name) != nil {
		return true
	}
	if !e.Primitive {
		return false
	}
	for i := range v.Fields {
		if n := v.Fields[i].Name; len(n) == len(e.Name)+1 && n[0] == '_' && n[1:] == e.Name {
			return true
		}
	}
	return false
}

func (c *checker) list(v, parent *Value, e *Elem) {
	if v.Shape != Array {
		c.add("structure", IssueNotArray)
		return
	}
	if len(v.Items) == 0 {
		c.add("structure", IssueEmpty)
	}
	var pad *Value
	for i, x := range v.Items {
		if len(c.issues) >= maxIssues {
			return
		}
		c.path = append(c.path, "[", strconv.Itoa(i), "]")
		switch {
		case !e.Primitive:
			c.complex(x, e)
		case x.Shape == Null:
			// The value of an item that has only an id or extensions.
			if pad == nil {
				pad = parent.Get("_" + e.Name)
			}
			if pad == nil || i >= len(pad.Items) || pad.Items[i].Shape != Object {
				c.add("structure", IssueNull)
			}
		default:
			c.primitive(x, e)
		}
		c.path = c.path[:len(c.path)-3]
	}
}

// sibling checks "_field", which carries id and extensions of a primitive; of
// a list it has as many items, null where an item has none.
func (c *checker) sibling(v, primitive *Value, e *Elem) {
	element := c.r.types["Element"]
	if !e.List {
		c.object(v, element)
		return
	}
	if v.Shape != Array {
		c.add("structure", IssueNotArray)
		return
	}
	if len(v.Items) == 0 {
		c.add("structure", IssueEmpty)
	}
	if primitive != nil && primitive.Shape == Array && len(primitive.Items) != len(v.Items) {
		c.add("structure", IssueSibling)
	}
	for i, x := range v.Items {
		c.path = append(c.path, "[", strconv.Itoa(i), "]")
		switch {
		case x.Shape != Null:
			c.object(x, element)
		case primitive == nil:
			c.add("structure", IssueNull)
		}
		c.path = c.path[:len(c.path)-3]
	}
}

// complex checks one object and, when its structure is sound, what it says.
func (c *checker) complex(v *Value, e *Elem) {
	if e.Type == "Resource" {
		c.resource(v, e.Name == "contained")
		return
	}
	before := len(c.issues)
	if c.object(v, c.r.types[e.TypePath]); len(c.issues) > before {
		return
	}
	switch {
	case e.Type == "Reference" && len(e.Targets) > 0:
		ref := c.r.parseRef(v.Str("reference"))
		if ref.Kind != "" && !slices.Contains(e.Targets, ref.Kind) {
			c.in("reference", "value", IssueTarget)
		}
	case e.Codes != nil && e.Type == "Coding":
		if code := v.Str("code"); code != "" && !allowed(e, code) {
			c.in("code", "code-invalid", IssueCode)
		}
	case e.Codes != nil && e.Type == "CodeableConcept":
		c.concept(v, e)
	}
}

// concept wants one of the codings to be of the required value set; others
// may translate it, and a text alone passes.
func (c *checker) concept(v *Value, e *Elem) {
	codes := false
	if list := v.Get("coding"); list != nil {
		for _, x := range list.Items {
			if code := x.Str("code"); code != "" {
				if codes = true; allowed(e, code) {
					return
				}
			}
		}
	}
	if codes {
		c.in("coding", "code-invalid", IssueCode)
	}
}

func allowed(e *Elem, code string) bool {
	_, ok := slices.BinarySearch(e.Codes, code)
	return ok
}

func (c *checker) primitive(v *Value, e *Elem) {
	switch {
	case v.Shape == Null:
		c.add("structure", IssueNull)
	case v.Shape == Array:
		c.add("structure", IssueNotSingle)
	case v.Shape != primitiveShape(e.Type):
		c.add("structure", IssueType)
	case v.Text == "":
		c.add("value", IssueEmpty)
	case !fits(e.Type, v.Text):
		c.add("value", IssueFormat)
	case e.Codes != nil && !allowed(e, v.Text):
		c.add("code-invalid", IssueCode)
	}
}
