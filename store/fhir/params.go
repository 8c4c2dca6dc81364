package fhir

import (
	"slices"
	"sort"
	"strings"
)

// Param is one of R4's search parameters as it applies to a kind.
type Param struct {
	Name    string
	Type    string   // token, string, date, reference, quantity, number, uri, composite or special
	Expr    string   // FHIRPath of the definition, reduced to this kind
	Targets []string // of a reference the kinds it may point to; empty means any
	Parts   []string // of a composite the types of its components

	paths      []path
	components []component // of a composite
}

// component is one part of a composite, read from each value of the whole.
type component struct {
	typ   string
	paths []path
}

// Params lists the search parameters of a kind by name, those of every
// resource (_id, _lastUpdated, ...) included. The caller must not write to it.
func (r *R4) Params(kind string) []Param { return r.params[kind] }

// Param finds one search parameter of a kind.
func (r *R4) Param(kind, name string) (Param, bool) {
	list := r.params[kind]
	i, ok := slices.BinarySearchFunc(list, name, func(p Param, name string) int { return strings.Compare(p.Name, name) })
	if !ok {
		return Param{}, false
	}
	return list[i], true
}

// decodeSearch reads the lines that gen's searchLines describes.
func (r *R4) decodeSearch(lines []string) error {
	r.params, r.compartment = map[string][]Param{}, map[string][]string{}
	for _, line := range lines {
		f := append(strings.Split(line, "\t"), "", "", "")
		switch {
		case f[0] == "C":
			r.compartment[f[1]] = strings.Split(f[2], ",")
		case f[0] == "P" && len(f) >= 8:
			if err := r.addParam(f); err != nil {
				return err
			}
		default:
			return errTable
		}
	}
	for _, list := range r.params {
		sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	}
	return nil
}

// addParam compiles a definition for each kind that it serves.
func (r *R4) addParam(f []string) error {
	p := Param{Name: f[1], Type: f[2]}
	if f[5] != "" {
		p.Targets = strings.Split(f[5], ",")
	}
	if f[6] != "" {
		for _, part := range strings.Split(f[6], ",") {
			typ, expr, _ := strings.Cut(part, ";")
			c := component{typ: typ}
			for _, one := range strings.Split(expr, " | ") {
				path, err := compilePath(one)
				if err != nil {
					return err
				}
				c.paths = append(c.paths, path)
			}
			p.Parts, p.components = append(p.Parts, typ), append(p.components, c)
		}
	}
	kinds := strings.Split(f[3], ",")
	if kinds[0] == "Resource" || kinds[0] == "DomainResource" {
		kinds = r.kinds
	}
	// One definition may serve many kinds with a union; each kind keeps its own parts.
	byRoot := map[string][]string{}
	for _, one := range strings.Split(f[4], " | ") {
		root := strings.TrimLeft(one, "(")
		if i := strings.IndexAny(root, ". )"); i >= 0 {
			root = root[:i]
		}
		if t := r.types[root]; t == nil || t.class == 'A' {
			root = "" // "id", "Resource.meta.tag": of any kind
		}
		byRoot[root] = append(byRoot[root], one)
	}
	compiled := map[string][]path{}
	for root, list := range byRoot {
		for _, one := range list {
			path, err := compilePath(one)
			if err != nil {
				return err
			}
			compiled[root] = append(compiled[root], path)
		}
	}
	for _, kind := range kinds {
		root := kind
		if byRoot[kind] == nil {
			root = ""
		}
		if byRoot[root] == nil {
			continue
		}
		q := p
		q.Expr, q.paths = strings.Join(byRoot[root], " | "), compiled[root]
		r.params[kind] = append(r.params[kind], q)
	}
	return nil
}
