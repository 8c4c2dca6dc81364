package wire

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"tram/store/record"
)

// Edit is a change whose base the reader holds: what follows from that is left out.
type Edit struct {
	Seq    uint64        `json:"s,omitempty"`
	Key    record.Key    `json:"k"`
	Prev   uint64        `json:"p,omitempty"`
	Name   record.Name   `json:"v"`
	Base   record.Name   `json:"b"`
	Author string        `json:"by,omitempty"`
	Stamp  record.Stamp  `json:"t"`
	Marks  []record.Mark `json:"m,omitempty"`
	// The content is the base's first Head bytes, Middle, and the base's last Tail bytes.
	Head   int    `json:"h"`
	Middle string `json:"c"`
	Tail   int    `json:"l"`
}

// Shorten says a change by its base; nil where that does not tell it whole.
func Shorten(c *record.Change, base *record.Version) *Edit {
	v := c.Version
	e := &Edit{Seq: c.Seq, Key: c.Key, Prev: c.Prev, Name: v.Name, Base: base.Name, Author: v.Author, Stamp: v.Stamp, Marks: v.Trace.Marks}
	old, now := base.Content, v.Content
	for e.Head < min(len(old), len(now)) && old[e.Head] == now[e.Head] {
		e.Head++
	}
	for e.Head > 0 && e.Head < len(now) && !utf8.RuneStart(now[e.Head]) {
		e.Head--
	}
	for e.Tail < min(len(old), len(now))-e.Head && old[len(old)-1-e.Tail] == now[len(now)-1-e.Tail] {
		e.Tail++
	}
	for e.Tail > 0 && !utf8.RuneStart(now[len(now)-e.Tail]) {
		e.Tail--
	}
	e.Middle = string(now[e.Head : len(now)-e.Tail])
	whole, err := e.Change(base)
	if err != nil || whole.Ref != c.Ref || c.Gone || c.Orphan || c.Relayed || c.Waits {
		return nil
	}
	return e
}

// Change is the change that an edit says of its base.
func (e *Edit) Change(base *record.Version) (*record.Change, error) {
	old := base.Content
	if e.Head < 0 || e.Tail < 0 || e.Head > len(old) || e.Tail > len(old)-e.Head || !e.Key.Valid() || base.Key != e.Key || base.Name != e.Base {
		return nil, fmt.Errorf("%w: an edit that is none of its base", ErrNonsense)
	}
	v := &record.Version{Key: e.Key, Name: e.Name, Base: base.Ref(), Seen: base.Seen.With(e.Name), Author: e.Author, Stamp: e.Stamp,
		Content: slices.Concat(old[:e.Head], []byte(e.Middle), old[len(old)-e.Tail:]), Trace: e.trace(base)}
	return &record.Change{Seq: e.Seq, Key: e.Key, Ref: v.Ref(), Prev: e.Prev, Version: v}, nil
}

// trace is what the marks and the base's trace say: who is named in the marks, and who
// made what the record began with.
func (e *Edit) trace(base *record.Version) record.Trace {
	t := record.Trace{Born: base.Trace.Born, Marks: e.Marks}
	if t.Born.IsZero() {
		t.Born = base.Name
	}
	named := map[record.Name]bool{t.Born: true}
	for _, m := range e.Marks {
		for _, by := range m.By {
			named[by] = true
		}
		for _, alt := range m.Alts {
			for _, by := range alt.By {
				named[by] = true
			}
		}
	}
	for _, w := range append([]record.Writer{{Name: base.Name, Author: base.Author, Stamp: base.Stamp}}, base.Trace.Writers...) {
		if named[w.Name] {
			t.Writers, named[w.Name] = append(t.Writers, w), false
		}
	}
	slices.SortFunc(t.Writers, func(a, b record.Writer) int { return a.Name.Compare(b.Name) })
	return t
}

// Sum tells whether changes that came as edits are those that were sent: 8 bytes of a
// digest over the names and digests of all changes of a stretch.
func Sum(changes []record.Change) []byte {
	parts := [][]byte{[]byte("tram stretch 1")}
	for _, c := range changes {
		parts = append(parts, []byte(c.Ref.String()))
	}
	d := record.Sum(parts...)
	return d[:SumLen]
}
