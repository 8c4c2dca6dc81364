package merge

import (
	"slices"
	"strings"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
)

// Policies: why a value did not win. They are codes with words elsewhere.
const (
	PolicyLater     = "later"      // administrative: set later by a clock not in doubt
	PolicyFurther   = "further"    // monotonic: the status that is further on
	PolicyEditLives = "edit-lives" // an edit lives against a deletion
	PolicyReferred  = "referred"   // something refers anew to a deleted record
	PolicyReplaced  = "replaced"   // who set another may have seen it, or a merge did that is lost
	PolicyDerived   = "derived"    // a text of either version describes neither
)

// settle decides between several values by the element's class.
func (j *joiner) settle(at place, alts []element.Alt, x, y *element.Register) *element.Register {
	class := j.m.classes.Of(j.kind, at.path)
	if class.Name == Derived {
		return j.derived(at, alts)
	}
	alts = j.present(at, alts, x, y)
	if j.base != nil && !j.stuck(class, x) && !j.stuck(class, y) {
		kept, won, policy := j.reduce(class, alts)
		for _, a := range alts {
			if !slices.ContainsFunc(kept, func(k element.Alt) bool { return element.Same(k.Value, a.Value) }) {
				j.lose(at.path, a, won, policy)
			}
		}
		alts = kept
	}
	if len(alts) == 1 {
		return &element.Register{Alts: alts, Shown: alts[0].Value}
	}
	return &element.Register{Alts: alts, Shown: j.shown(at, class, alts, x, y)}
}

// derived drops what can be rebuilt. A text may hold what nothing else does, so
// it goes to the vault, once; what the store says in meta does not.
func (j *joiner) derived(at place, alts []element.Alt) *element.Register {
	var by, told []record.Name
	for _, a := range alts {
		by = append(by, a.By...)
		if element.Absent(a.Value) {
			told = a.By
		}
	}
	for _, a := range alts {
		a.By = slices.DeleteFunc(slices.Clone(a.By), func(n record.Name) bool { return slices.Contains(told, n) })
		if len(a.By) > 0 && !element.Absent(a.Value) && at.typ != "Meta" {
			j.lose(at.path, a, fhir.NewObject(), PolicyDerived)
		}
	}
	return element.Set(fhir.NewObject(), by...)
}

// present lets an edit of an element live against its removal. A removal that
// is already contested stays so until a person decides.
func (j *joiner) present(at place, alts []element.Alt, x, y *element.Register) []element.Alt {
	open := func(r *element.Register) bool {
		return r.Contested() && slices.ContainsFunc(r.Alts, func(a element.Alt) bool { return element.Absent(a.Value) })
	}
	i := slices.IndexFunc(alts, func(a element.Alt) bool { return element.Absent(a.Value) })
	if i < 0 || open(x) || open(y) {
		return alts
	}
	gone, left := alts[i], slices.Delete(slices.Clone(alts), i, i+1)
	j.lose(at.path, gone, left[0].Value, PolicyEditLives)
	return left
}

// stuck reports whether a side holds values apart that its class would settle:
// they met without a base, or a decision left one of them. Then only a person does.
func (j *joiner) stuck(class Class, r *element.Register) bool {
	kept, _, _ := j.reduce(class, r.Alts)
	return len(kept) < len(r.Alts)
}

// reduce keeps the values that the class leaves, and says which of them won.
func (j *joiner) reduce(class Class, alts []element.Alt) (kept []element.Alt, won *fhir.Value, policy string) {
	switch class.Name {
	case Administrative:
		kept, won = j.later(alts)
		return kept, won, PolicyLater
	case Monotonic:
		kept, won = further(alts, class.Order)
		return kept, won, PolicyFurther
	}
	return alts, nil, ""
}

// later keeps the value that was set last by a sure clock, by that setter alone,
// and whatever a clock in doubt set. It looks at each setter by itself, so that
// the order in which they meet does not matter.
func (j *joiner) later(alts []element.Alt) (kept []element.Alt, won *fhir.Value) {
	var last record.Name
	var lastAt int64
	for _, a := range alts {
		for _, n := range a.By {
			w, ok := j.writers[n]
			if at := w.Stamp.Corrected(); ok && !w.Stamp.Doubt && (won == nil || at > lastAt || at == lastAt && n.Compare(last) > 0) {
				last, lastAt, won = n, at, a.Value
			}
		}
	}
	for _, a := range alts {
		a.By = slices.DeleteFunc(slices.Clone(a.By), func(n record.Name) bool {
			w, ok := j.writers[n]
			return ok && !w.Stamp.Doubt && n != last
		})
		if len(a.By) > 0 {
			kept = append(kept, a)
		}
	}
	return kept, won
}

// further keeps the status that is furthest on, several where they stand side
// by side, and codes that the order does not have.
func further(alts []element.Alt, order []string) (kept []element.Alt, won *fhir.Value) {
	rank := func(a element.Alt) int {
		return slices.IndexFunc(order, func(step string) bool {
			return slices.Contains(strings.Split(step, "|"), text(a.Value))
		})
	}
	best := -1
	for _, a := range alts {
		best = max(best, rank(a))
	}
	for _, a := range alts {
		switch r := rank(a); r {
		case best:
			won = a.Value
			kept = append(kept, a)
		case -1:
			kept = append(kept, a)
		}
	}
	return kept, won
}

// shown is what a contested element shows: what a side made of it while it was
// contested, else what the values and base's come down to.
func (j *joiner) shown(at place, class Class, alts []element.Alt, x, y *element.Register) *fhir.Value {
	var moved []*fhir.Value
	for _, r := range []*element.Register{x, y} {
		if r.Contested() && !element.Same(r.Shown, j.usual(at, class, r.Alts)) {
			moved = append(moved, r.Shown)
		}
	}
	if len(moved) == 2 {
		base := j.base.Shown(at.path)
		if element.Same(moved[0], base) || !element.Same(moved[1], base) && string(moved[0].Bytes()) > string(moved[1].Bytes()) {
			moved[0] = moved[1] // neither side is more right, but both orders must agree
		}
	}
	if len(moved) > 0 {
		return moved[0]
	}
	return j.usual(at, class, alts)
}

// usual is the most cautious value, else base's, else, where something must be
// shown, the first.
func (j *joiner) usual(at place, class Class, alts []element.Alt) *fhir.Value {
	value := j.base.Shown(at.path)
	if class.Name == Safety {
		for _, code := range class.Order {
			if text(value) == code {
				return value
			}
			for _, a := range alts {
				if text(a.Value) == code {
					return a.Value
				}
			}
		}
	}
	if !element.Absent(value) {
		return value
	}
	if at.item || j.base == nil || j.required(at) {
		for _, a := range alts {
			if !element.Absent(a.Value) {
				return a.Value
			}
		}
	}
	return fhir.NewObject()
}

func (j *joiner) lose(path string, a element.Alt, won *fhir.Value, policy string) {
	l := record.Lost{Path: path, Value: bytes(a.Value), Won: bytes(won), Policy: policy}
	for _, n := range a.By {
		if w, ok := j.writers[n]; ok {
			l.By = append(l.By, w)
		}
	}
	j.lost = append(j.lost, l)
}

// required reports whether FHIR wants the element wherever it stands.
func (j *joiner) required(at place) bool {
	return slices.ContainsFunc(j.m.r4.Elems(at.typ), func(e fhir.Elem) bool { return e.Required && e.Base == at.name })
}

func bytes(v *fhir.Value) []byte {
	if v == nil {
		return []byte(`{}`)
	}
	return v.Bytes()
}

// text is the code that an element's value comes down to: a code itself, or the
// first coding's code of a concept.
func text(v *fhir.Value) string {
	if element.Absent(v) {
		return ""
	}
	for _, f := range v.Fields {
		if strings.HasPrefix(f.Name, "_") {
			continue
		}
		if c := f.Value.Get("coding"); c != nil && len(c.Items) > 0 {
			return c.Items[0].Str("code")
		}
		return f.Value.Text
	}
	return ""
}
