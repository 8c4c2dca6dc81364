package element

import (
	"slices"

	"tram/store/fhir"
	"tram/store/record"
)

// Decided is the policy of values that a person decided against.
const Decided = "decided"

// DecidedAgainst are the values that decisions about a version close, with who set them.
func DecidedAgainst(old *record.Version, decisions []record.Decision) []record.Lost {
	var out []record.Lost
	for _, c := range old.Conflicts() {
		for _, d := range decisions {
			if d.Path != c.Path {
				continue
			}
			won, err := Parse(d.Value)
			if err != nil {
				continue
			}
			for _, cand := range c.Values {
				value, err := Parse(cand.Value)
				closed := slices.ContainsFunc(cand.Writers, func(w record.Writer) bool { return slices.Contains(d.Closes, w.Name) })
				if err == nil && closed && !fhir.Equal(value, won) {
					out = append(out, record.Lost{Path: c.Path, Value: cand.Value, Won: d.Value, By: cand.Writers, Policy: Decided})
				}
			}
		}
	}
	return out
}

// LostIn are the values that did not win in a preview, but for those that are shown in
// what was made of it.
func LostIn(preview *record.Version, made *Tree) []record.Lost {
	return slices.DeleteFunc(slices.Clone(preview.Lost), func(l record.Lost) bool {
		d, now := Again(made, l)
		if now == nil || now.Contested() {
			return false
		}
		value, err := Parse(d.Value)
		return err == nil && Same(value, now.Shown)
	})
}
