package record

import "maps"

// Seen is a version vector over one record's versions (Parker et al., 1983):
// for each lineage the highest number that went into a version. Within one
// record the versions of a lineage follow each other, so one number tells all
// of them. Values are immutable: every method returns a new one.
type Seen map[Lineage]uint64

// Has reports whether the version named n went in.
func (s Seen) Has(n Name) bool { return !n.IsZero() && s[n.Lineage] >= n.N }

// With returns s and n.
func (s Seen) With(n Name) Seen { return s.Union(Seen{n.Lineage: n.N}) }

// Union returns what went into either.
func (s Seen) Union(o Seen) Seen {
	out := make(Seen, len(s)+len(o))
	maps.Copy(out, s)
	for l, n := range o {
		out[l] = max(out[l], n)
	}
	delete(out, "")
	return out
}

// Covers reports whether everything in o is in s.
func (s Seen) Covers(o Seen) bool {
	for l, n := range o {
		if s[l] < n {
			return false
		}
	}
	return true
}
