package story

import (
	"fmt"
	"maps"
	"slices"
)

// Model is what a store must hold. It is not safe for concurrent use.
type Model struct {
	// Versions are those that must be there, by name, and Order their names in
	// the order of the acknowledgements.
	Versions map[string]Write
	Order    []string
	Blobs    map[string]bool
	Settings map[string]string
	Audits   map[Audit]bool
	Held     map[Held]bool
	Cursors  map[string]uint64
	Lineages map[string]bool
	// Open is what was begun and not answered.
	Open map[int64]Asked
}

// NewModel holds nothing.
func NewModel() *Model {
	return &Model{Versions: map[string]Write{}, Blobs: map[string]bool{}, Settings: map[string]string{}, Audits: map[Audit]bool{},
		Held: map[Held]bool{}, Cursors: map[string]uint64{}, Lineages: map[string]bool{}, Open: map[int64]Asked{}}
}

// Take takes a mark in.
func (m *Model) Take(k Mark) error {
	switch k.Word {
	case Opened:
		m.Lineages[k.Lineage] = true
	case Begun:
		m.Open[k.ID] = k.Asked
	case Saved, Settled:
		asked, ok := m.Open[k.ID]
		if !ok {
			return fmt.Errorf("number %d was answered and not asked for", k.ID)
		}
		delete(m.Open, k.ID)
		if k.Word == Saved || k.There {
			return m.hold(asked, k.Names)
		}
	case Refused:
		delete(m.Open, k.ID)
	}
	return nil
}

func (m *Model) hold(a Asked, names []string) error {
	if len(names) != len(a.Writes) {
		return fmt.Errorf("%d versions came of %d writes", len(names), len(a.Writes))
	}
	for i, w := range a.Writes {
		w.Name = names[i]
		m.Versions[w.Name] = w
		m.Order = append(m.Order, w.Name)
	}
	if a.Blob != "" {
		m.Blobs[a.Blob] = true
	}
	if a.Setting != nil {
		m.Settings[a.Setting.Name] = a.Setting.Value
	}
	if a.Audit != nil {
		m.Audits[*a.Audit] = true
	}
	for _, h := range a.Held {
		m.Held[h] = true
	}
	if a.Cursor != nil {
		m.Cursors[a.Cursor.Feed] = a.Cursor.Seq
	}
	return nil
}

// Seen is a version that a store holds.
type Seen struct {
	Key, Name, Content string
	Deleted            bool
}

// Compare holds the versions of a store against the model and says what is
// wrong. Of what was begun it tells what is there, with the names of the versions
// that its writes became.
func (m *Model) Compare(seen []Seen) (wrong []string, there map[int64][]string) {
	left := map[string]Seen{}
	for _, s := range seen {
		if _, twice := left[s.Name]; twice {
			wrong = append(wrong, fmt.Sprintf("version %s of %s is there twice", s.Name, s.Key))
		}
		left[s.Name] = s
	}
	for _, name := range m.Order {
		w := m.Versions[name]
		s, ok := left[name]
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("version %s of %s was acknowledged and is not there", name, w.Key))
		case !w.is(s):
			wrong = append(wrong, fmt.Sprintf("version %s of %s is not as it was acknowledged", name, w.Key))
		}
		delete(left, name)
	}
	there = map[int64][]string{}
	for _, id := range slices.Sorted(maps.Keys(m.Open)) {
		writes := m.Open[id].Writes
		var names []string
		for _, w := range writes {
			for _, name := range slices.Sorted(maps.Keys(left)) {
				if w.is(left[name]) {
					names = append(names, name)
					delete(left, name)
					break
				}
			}
		}
		if len(names) != 0 && len(names) != len(writes) {
			wrong = append(wrong, fmt.Sprintf("number %d is there by half: %d of its %d writes", id, len(names), len(writes)))
		}
		if len(names) > 0 {
			there[id] = names
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		wrong = append(wrong, fmt.Sprintf("version %s of %s is there and was refused or never asked for", name, left[name].Key))
	}
	return wrong, there
}

func (w Write) is(s Seen) bool {
	return w.Key == s.Key && (w.Name == "" || w.Name == s.Name) && w.Delete == s.Deleted && (w.Delete || w.Content == s.Content)
}
