package fhir

import (
	"fmt"
	"strconv"
	"strings"
)

// path is a compiled FHIRPath of the small part that R4's search parameters
// use: fields, [n], as, ofType, extension(url), where() with an equation, a
// resolve() type or hasExtension, and Patient's "deceased" test.
type path []step

type step struct {
	op   byte
	name string // of the field, the type or the URL
	want string // of an equation
	n    int
}

const (
	opField     = 'f' // name
	opIndex     = 'n' // the n-th
	opAs        = 'a' // of type name
	opExtension = 'x' // extensions with URL name
	opEquals    = 'e' // whose field name is want
	opResolve   = 'r' // references to kind name
	opHasExt    = 'h' // that have an extension with URL name
	opTrue      = 't' // whether field name exists and is not false
	opRoot      = '%' // the whole resource
)

// node is a value met on a path, with its type.
type node struct {
	value *Value
	typ   string // "HumanName", "code", a kind, "BackboneElement"
	def   *typeDef
	elem  *Elem // nil for the resource itself
}

// compilePath reads one part of a union. A leading kind is dropped: paths
// start at the resource.
func compilePath(expr string) (path, error) {
	s := expr
	if before, ok := strings.CutSuffix(s, " != false"); ok {
		field, _, ok := strings.Cut(before, ".exists() and ")
		p, err := compilePath(field)
		if err != nil || !ok || len(p) != 1 {
			return nil, fmt.Errorf("%w: path %q", errTable, expr)
		}
		return path{{op: opTrue, name: p[0].name}}, nil
	}
	var p path
	if strings.HasPrefix(s, "(") {
		inner, rest, ok := strings.Cut(s[1:], ")")
		base, typ, as := strings.Cut(inner, " as ")
		if !ok || !as {
			return nil, fmt.Errorf("%w: path %q", errTable, expr)
		}
		s = base + ".as(" + typ + ")" + rest
	}
	first := true
	for s != "" {
		part := cutStep(&s)
		switch name, arg, call := strings.Cut(strings.TrimSuffix(part, ")"), "("); {
		case call:
			st, ok := compileCall(name, arg)
			if !ok {
				return nil, fmt.Errorf("%w: path %q", errTable, expr)
			}
			p = append(p, st)
		case part == "%resource":
			p = append(p, step{op: opRoot})
		case first && part[0] >= 'A' && part[0] <= 'Z':
		default:
			name, at, indexed := strings.Cut(strings.TrimSuffix(part, "]"), "[")
			p = append(p, step{op: opField, name: name})
			if indexed {
				n, err := strconv.Atoi(at)
				if err != nil {
					return nil, fmt.Errorf("%w: path %q", errTable, expr)
				}
				p = append(p, step{op: opIndex, n: n})
			}
		}
		first = false
	}
	return p, nil
}

// cutStep takes the text up to the next dot outside parentheses.
func cutStep(s *string) string {
	depth := 0
	for i, c := range *s {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '.' && depth == 0:
			part := (*s)[:i]
			*s = (*s)[i+1:]
			return part
		}
	}
	part := *s
	*s = ""
	return part
}

// compileCall reads a function with its argument.
func compileCall(name, arg string) (step, bool) {
	switch {
	case name == "as" || name == "ofType":
		return step{op: opAs, name: arg}, true
	case name == "extension":
		return step{op: opExtension, name: strings.Trim(arg, "'")}, true
	case name != "where":
	case strings.HasPrefix(arg, "resolve() is "):
		return step{op: opResolve, name: strings.TrimPrefix(arg, "resolve() is ")}, true
	case strings.HasPrefix(arg, "hasExtension("):
		return step{op: opHasExt, name: strings.Trim(strings.TrimPrefix(arg, "hasExtension("), "')")}, true
	default:
		field, want, ok := strings.Cut(arg, "=")
		return step{op: opEquals, name: field, want: strings.Trim(want, "'")}, ok
	}
	return step{}, false
}

// eval walks the paths from a resource and returns what they end on, path by path.
func (r *R4) eval(v *Value, paths []path) []node {
	root := node{value: v, typ: v.Str("resourceType")}
	if root.def = r.types[root.typ]; root.def == nil {
		return nil
	}
	return r.evalAt(root, root, paths)
}

// evalAt walks the paths from a node; %resource is the root.
func (r *R4) evalAt(root, from node, paths []path) []node {
	var out []node
	for _, p := range paths {
		out = r.walk(root, from, p, out)
	}
	return out
}

// walk appends to out what the rest of a path finds from n.
func (r *R4) walk(root, n node, p path, out []node) []node {
	if len(p) == 0 {
		return append(out, n)
	}
	s, rest := &p[0], p[1:]
	switch s.op {
	case opField:
		index := -1
		if len(rest) > 0 && rest[0].op == opIndex {
			index, rest = rest[0].n, rest[1:]
		}
		return r.walkField(root, n, s.name, index, rest, out)
	case opRoot:
		return r.walk(root, root, rest, out)
	case opAs:
		if n.typ == s.name || supertype(n.typ) == s.name {
			return r.walk(root, n, rest, out)
		}
	case opEquals:
		if n.value.Str(s.name) == s.want {
			return r.walk(root, n, rest, out)
		}
	case opResolve:
		if n.typ == "Reference" && r.refKind(n.value) == s.name {
			return r.walk(root, n, rest, out)
		}
	case opHasExt, opExtension:
		list := n.value.Get("extension")
		if list == nil {
			break
		}
		for _, x := range list.Items {
			if x.Str("url") != s.name {
				continue
			}
			if s.op == opHasExt {
				return r.walk(root, n, rest, out)
			}
			ext := node{value: x, typ: "Extension", def: r.types["Extension"]}
			out = r.walkField(root, ext, "value", -1, rest, out)
		}
	case opTrue:
		// Also said of who has no such field: deceased=false finds the living.
		found := r.walkField(root, n, s.name, -1, nil, nil)
		is := len(found) > 0 && found[0].value.Text != "false"
		return append(out, node{value: NewBool(is), typ: "boolean"})
	}
	return out
}

// supertype is what a type specialises (FHIR R4 datatypes.html), "" where that
// is Element. "as" takes such types too.
func supertype(typ string) string {
	switch typ {
	case "canonical", "url", "oid", "uuid":
		return "uri"
	case "code", "id", "markdown":
		return "string"
	case "positiveInt", "unsignedInt":
		return "integer"
	case "Age", "Count", "Distance", "Duration":
		return "Quantity"
	}
	return ""
}

// refKind is the kind that a Reference points to as far as it says so itself.
func (r *R4) refKind(v *Value) string {
	if ref := r.parseRef(v.Str("reference")); ref.Kind != "" {
		return ref.Kind
	}
	return v.Str("type")
}

// walkField goes to a field by its JSON name or by the stem of a choice; index
// picks one item of a list, -1 all.
func (r *R4) walkField(root, n node, name string, index int, rest path, out []node) []node {
	if n.def == nil {
		return out
	}
	if e := n.def.elem(name); e != nil {
		return r.walkItems(root, n.value.Get(name), e, index, rest, out)
	}
	// A choice: "value" finds valueQuantity.
	for i := range n.value.Fields {
		f := &n.value.Fields[i]
		if !strings.HasPrefix(f.Name, name) {
			continue
		}
		e := n.def.elem(f.Name)
		if e == nil {
			continue
		}
		if stem, choice := strings.CutSuffix(e.Base, "[x]"); choice && stem == name {
			out = r.walkItems(root, f.Value, e, index, rest, out)
		}
	}
	return out
}

func (r *R4) walkItems(root node, v *Value, e *Elem, index int, rest path, out []node) []node {
	if v == nil {
		return out
	}
	one := func(x *Value) {
		if x.Shape == Null {
			return
		}
		m := node{value: x, typ: e.Type, def: r.types[e.TypePath], elem: e}
		if e.Type == "Resource" {
			m.typ = x.Str("resourceType")
			m.def = r.types[m.typ]
		}
		out = r.walk(root, m, rest, out)
	}
	if v.Shape != Array {
		one(v)
		return out
	}
	for i, x := range v.Items {
		if index < 0 || i == index {
			one(x)
		}
	}
	return out
}
