package rehearse

import (
	"slices"

	"tram/store/record"
	"tram/sync/merge"
)

// Line is one thing that was judged, by its key in the words.
type Line struct {
	Key         string
	Want, Found int
}

// OK reports whether all that was wanted was found, and no more.
func (l Line) OK() bool { return l.Want == l.Found }

// Replicas is what every replica shows, and what its files hold.
type Replicas struct {
	Names []string // the upstream of all first: only its history is whole
	Shown map[string]Snapshot
	Files map[string]*Evidence
}

// past is every version of a record.
func (r *Replicas) past(k record.Key) []*record.Version {
	if len(r.Names) == 0 || r.Files[r.Names[0]] == nil {
		return nil
	}
	return r.Files[r.Names[0]].Past[k]
}

// all counts the cases that hold at every replica.
func all[C any](r *Replicas, key string, cases []C, ok func(C, Snapshot, *Evidence) bool) Line {
	l := Line{Key: key, Want: len(cases)}
	for _, c := range cases {
		good := len(r.Names) > 0
		for _, name := range r.Names {
			good = good && r.Shown[name] != nil && r.Files[name] != nil && ok(c, r.Shown[name], r.Files[name])
		}
		if good {
			l.Found++
		}
	}
	return l
}

// JudgeEqual counts the replicas that show the same records with the same content
// as the first.
func JudgeEqual(key string, r *Replicas) Line {
	l := Line{Key: key, Want: len(r.Names)}
	for _, name := range r.Names {
		if s := r.Shown[name]; len(s) > 0 && s.Digest() == r.Shown[r.Names[0]].Digest() {
			l.Found++
		}
	}
	return l
}

// JudgeApart wants the record to be base with a's element and b's element, and
// nothing contested.
func JudgeApart(r *Replicas, cases []Case) Line {
	return all(r, "apart", cases, func(c Case, s Snapshot, e *Evidence) bool {
		want := graft(graft(c.Base, c.A, c.ElementA), c.B, c.ElementB)
		have, ok := s[c.Key]
		return ok && want != "" && have.Content == want && want != c.A && want != c.B && !have.Contested && len(e.Conflicts[c.Key]) == 0
	})
}

// JudgeSafety wants an open conflict that holds both values with different
// writers, the tag that tells of it, and nothing shown that nobody wrote.
func JudgeSafety(r *Replicas, cases []Case) Line {
	return all(r, "safety", cases, func(c Case, s Snapshot, e *Evidence) bool {
		have, ok := s[c.Key]
		if !ok || !have.Contested || !slices.Contains([]string{c.Base, c.A, c.B}, have.Content) {
			return false
		}
		// An element may clash at several places, as a dose does in text and amount.
		found := clashes(c.Base, c.A, c.B)
		for _, x := range found {
			if !slices.ContainsFunc(e.Conflicts[c.Key], func(open record.Conflict) bool { return between(open, x) }) {
				return false
			}
		}
		return len(found) > 0
	})
}

// between reports whether a conflict is between the two values, each with a
// writer of its own.
func between(open record.Conflict, x clash) bool {
	a, b := -1, -1
	for i, v := range open.Values {
		if len(v.Writers) > 0 && holds(v.Value, x.a) {
			a = i
		}
		if len(v.Writers) > 0 && holds(v.Value, x.b) {
			b = i
		}
	}
	return a >= 0 && b >= 0 && a != b && open.Values[a].Writers[0].Name != open.Values[b].Writers[0].Name
}

// JudgeAdministrative wants the later word, by the corrected time of its
// version, and the other one in the vault.
func JudgeAdministrative(r *Replicas, cases []Case) Line {
	return all(r, "administrative", cases, func(c Case, s Snapshot, e *Evidence) bool {
		a, b := written(r.past(c.Key), c.A), written(r.past(c.Key), c.B)
		if a == nil || b == nil || a.Stamp.Corrected() == b.Stamp.Corrected() {
			return false
		}
		// Who won is read from the stamps of the versions, not from the order in
		// which this program typed: stations have clocks of their own.
		won, bLater := c.A, b.Stamp.Corrected() > a.Stamp.Corrected()
		if bLater {
			won = c.B
		}
		have, ok := s[c.Key]
		if !ok || have.Content != won || have.Contested || len(e.Conflicts[c.Key]) > 0 {
			return false
		}
		found := clashes(c.Base, c.A, c.B)
		for _, x := range found {
			if bLater {
				x.a, x.b = x.b, x.a
			}
			kept := slices.ContainsFunc(e.Vault[c.Key], func(l record.Lost) bool { return holds(l.Won, x.a) && holds(l.Value, x.b) })
			if !kept {
				return false
			}
		}
		return len(found) > 0
	})
}

// written finds the one version that somebody typed with just this content; nil
// for none or several. What a merge made is nobody's.
func written(past []*record.Version, want string) *record.Version {
	var found *record.Version
	for _, v := range past {
		if !v.Deleted && v.Author != merge.Author && contentOf(v.Content) == want {
			if found != nil {
				return nil
			}
			found = v
		}
	}
	return found
}

// JudgeDeleted wants the edit alive, as it was typed, though the other side
// deleted the record.
func JudgeDeleted(r *Replicas, cases []Case) Line {
	return all(r, "deleted", cases, func(c Case, s Snapshot, _ *Evidence) bool {
		have, ok := s[c.Key]
		died := slices.ContainsFunc(r.past(c.Key), func(v *record.Version) bool { return v.Deleted })
		return ok && died && have.Content == c.A+c.B // one of them is ""
	})
}

// JudgeLate wants each entry that was rolled back once, as it was typed: a birth
// as one record, a change as one version.
func JudgeLate(r *Replicas, late []Late) Line {
	return all(r, "late", late, func(l Late, s Snapshot, _ *Evidence) bool {
		if have, ok := s[l.Key]; !ok || have.Content != l.Content {
			return false
		}
		if l.Mark == "" {
			return written(r.past(l.Key), l.Content) != nil
		}
		// A birth that came twice would be two records with one mark.
		n := 0
		for _, shown := range s {
			if shown.Content == l.Content || holds([]byte(shown.Content), leaf{"valueString", l.Mark}) {
				n++
			}
		}
		return n == 1
	})
}

// JudgeRest wants every other record as it was, none lost and none more.
func JudgeRest(r *Replicas, before Snapshot, p *Plot) Line {
	touched := map[record.Key]bool{}
	for _, k := range p.Keys() {
		touched[k] = true
	}
	var rest []record.Key
	for k := range before {
		if !touched[k] {
			rest = append(rest, k)
		}
	}
	l := all(r, "rest", rest, func(k record.Key, s Snapshot, _ *Evidence) bool { return s[k].Content == before[k].Content })
	for _, name := range r.Names {
		for k := range r.Shown[name] {
			if _, was := before[k]; !was && !touched[k] {
				l.Found++ // one that nobody typed
			}
		}
	}
	return l
}

// JudgeDecided wants the decision at every replica: the value that was chosen,
// and nothing open in that record.
func JudgeDecided(r *Replicas, d decision) Line {
	return all(r, "decided", []decision{d}, func(d decision, s Snapshot, e *Evidence) bool {
		have, ok := s[d.key]
		return ok && d.want != "" && have.Content == d.want && !have.Contested && len(e.Conflicts[d.key]) == 0
	})
}

// JudgeSound wants every replica's own check to find nothing, and as many open
// conflicts as are meant to be.
func JudgeSound(r *Replicas, open int) Line {
	l := Line{Key: "sound", Want: len(r.Names)}
	for _, name := range r.Names {
		if e := r.Files[name]; e != nil && e.Findings == 0 && e.Open == open {
			l.Found++
		}
	}
	return l
}

// Keys lists every record that the plot touches.
func (p *Plot) Keys() []record.Key {
	var out []record.Key
	for _, group := range [][]Case{p.Apart, p.Safety, p.Administrative, p.Deleted} {
		for _, c := range group {
			out = append(out, c.Key)
		}
	}
	for _, l := range p.Late {
		if !l.Key.IsZero() {
			out = append(out, l.Key)
		}
	}
	return out
}
