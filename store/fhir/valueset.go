package fhir

// Code is a code of a code system.
type Code struct{ System, Code string }

// CodesOf lists the codes of a ValueSet: those of its expansion, or, where it has none, those
// that its composition names one by one, without those that it excludes (FHIR R4
// valueset.html). listed is false where it asks for a code system, a filter or another
// set, which somebody would have to expand first.
func CodesOf(set *Value) (codes []Code, listed bool) {
	if expansion := set.Get("expansion"); expansion != nil {
		return contained(nil, expansion), true
	}
	out := map[Code]bool{}
	for _, x := range items(set.Get("compose").Get("exclude")) {
		if !named(x) {
			return nil, false
		}
		for _, one := range items(x.Get("concept")) {
			out[Code{x.Str("system"), one.Str("code")}] = true
		}
	}
	for _, x := range items(set.Get("compose").Get("include")) {
		if !named(x) {
			return nil, false
		}
		for _, one := range items(x.Get("concept")) {
			if c := (Code{x.Str("system"), one.Str("code")}); !out[c] {
				codes = append(codes, c)
			}
		}
	}
	return codes, true
}

// contained goes down an expansion; what is abstract groups others and is no code to use.
func contained(out []Code, v *Value) []Code {
	for _, x := range items(v.Get("contains")) {
		if code := x.Str("code"); code != "" && x.Str("abstract") != "true" {
			out = append(out, Code{x.Str("system"), code})
		}
		out = contained(out, x)
	}
	return out
}

// named says whether a part of a composition names its codes one by one.
func named(part *Value) bool {
	return part.Get("filter") == nil && part.Get("valueSet") == nil && len(items(part.Get("concept"))) > 0
}

func items(list *Value) []*Value {
	if list == nil {
		return nil
	}
	return list.Items
}
