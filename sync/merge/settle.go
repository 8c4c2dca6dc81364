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
)

// settle decides between several values by the element's class.
func (j *joiner) settle(path string, alts []element.Alt, x, y *element.Register) *element.Register {
	class := j.m.classes.Of(j.kind, path)
	if class.Name == Derived {
		return j.derived(path, alts)
	}
	alts = j.present(path, alts)
	if !j.noBase {
		switch class.Name {
		case Administrative:
			alts = j.later(path, alts)
		case Monotonic:
			alts = j.further(path, alts, class.Order)
		}
	}
	if len(alts) == 1 {
		return &element.Register{Alts: alts, Shown: alts[0].Value}
	}
	shown := j.shown(path, x, y)
	for _, code := range class.Order {
		for _, a := range alts {
			if class.Name == Safety && text(a.Value) == code {
				return &element.Register{Alts: alts, Shown: a.Value}
			}
		}
	}
	if element.Absent(shown) && j.required(path) {
		shown = alts[0].Value
	}
	return &element.Register{Alts: alts, Shown: shown}
}

// derived drops what can be rebuilt: a narrative of two versions describes neither.
func (j *joiner) derived(path string, alts []element.Alt) *element.Register {
	var by []record.Name
	for _, a := range alts {
		by = append(by, a.By...)
	}
	return element.Set(fhir.NewObject(), by...)
}

// present lets an edit of an element live against its removal.
func (j *joiner) present(path string, alts []element.Alt) []element.Alt {
	out := slices.DeleteFunc(slices.Clone(alts), func(a element.Alt) bool { return element.Absent(a.Value) })
	if len(out) == 0 || len(out) == len(alts) {
		return alts
	}
	for _, a := range alts {
		if element.Absent(a.Value) {
			j.lose(path, a, out[0], PolicyEditLives)
		}
	}
	return out
}

// later settles an administrative element among the values that no doubtful
// clock set; those that one set stay contested.
func (j *joiner) later(path string, alts []element.Alt) []element.Alt {
	best := -1
	var bestAt int64
	for i, a := range alts {
		at, sure := j.when(a)
		if sure && (best < 0 || at > bestAt || at == bestAt && string(fhir.Canonical(a.Value)) > string(fhir.Canonical(alts[best].Value))) {
			best, bestAt = i, at
		}
	}
	if best < 0 {
		return alts
	}
	var out []element.Alt
	for i, a := range alts {
		if _, sure := j.when(a); sure && i != best {
			j.lose(path, a, alts[best], PolicyLater)
			continue
		}
		out = append(out, a)
	}
	return out
}

// when is the latest corrected time at which a sure clock set the value.
func (j *joiner) when(a element.Alt) (at int64, sure bool) {
	for _, n := range a.By {
		w, ok := j.writers[n]
		if ok && !w.Stamp.Doubt && (!sure || w.Stamp.Corrected() > at) {
			at, sure = w.Stamp.Corrected(), true
		}
	}
	return at, sure
}

// further settles a status that only moves one way. Codes that the order does
// not have, or has side by side, stay contested.
func (j *joiner) further(path string, alts []element.Alt, order []string) []element.Alt {
	rank := func(a element.Alt) int {
		code := text(a.Value)
		return slices.IndexFunc(order, func(step string) bool {
			return slices.Contains(strings.Split(step, "|"), code)
		})
	}
	best := -1
	for i, a := range alts {
		switch r := rank(a); {
		case r < 0:
			return alts
		case best < 0 || r > rank(alts[best]):
			best = i
		}
	}
	var out []element.Alt
	for i, a := range alts {
		if i != best && rank(a) < rank(alts[best]) {
			j.lose(path, a, alts[best], PolicyFurther)
			continue
		}
		out = append(out, a)
	}
	return out
}

func (j *joiner) lose(path string, a, won element.Alt, policy string) {
	l := record.Lost{Path: path, Value: bytes(a.Value), Won: bytes(won.Value), Policy: policy}
	for _, n := range a.By {
		if w, ok := j.writers[n]; ok {
			l.By = append(l.By, w)
		}
	}
	j.lost = append(j.lost, l)
}

func (j *joiner) required(path string) bool {
	if strings.ContainsAny(path, "/{") {
		return false
	}
	for _, e := range j.m.r4.Elems(j.kind) {
		if e.Base == path && e.Required {
			return true
		}
	}
	return false
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
	x := v.Fields[0].Value
	if c := x.Get("coding"); c != nil && len(c.Items) > 0 {
		return c.Items[0].Str("code")
	}
	return x.Text
}
