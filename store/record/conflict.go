package record

import "encoding/json"

// Conflict is one contested element of a record, open until a person decides.
type Conflict struct {
	Key     Key
	Version Ref // the version that bears it
	Path    string
	Shown   json.RawMessage // the fields the record shows meanwhile
	Values  []Candidate
}

// Candidate is one contested value with everyone who set it.
type Candidate struct {
	Value   json.RawMessage
	Writers []Writer
}

// Conflicts lists the conflicts open in v, without what it shows.
func (v *Version) Conflicts() []Conflict {
	var out []Conflict
	for _, m := range v.Trace.Marks {
		if len(m.Alts) == 0 {
			continue
		}
		c := Conflict{Key: v.Key, Version: v.Ref(), Path: m.Path}
		for _, a := range m.Alts {
			cand := Candidate{Value: a.Value}
			for _, n := range a.By {
				w, ok := v.Trace.Writer(n)
				if !ok {
					w = Writer{Name: n, Author: v.Author, Stamp: v.Stamp}
				}
				cand.Writers = append(cand.Writers, w)
			}
			c.Values = append(c.Values, cand)
		}
		out = append(out, c)
	}
	return out
}

// Decision is a person's word on one conflict: the value that holds from now
// on, and the setters that the person saw. Only those are closed.
type Decision struct {
	Path   string
	Value  json.RawMessage
	Closes []Name
}
