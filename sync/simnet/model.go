package simnet

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode"

	"tram/store"
	"tram/store/record"
)

// model is what people know: which values they saved, and which of them they replaced
// knowingly. A value is a number that occurs once in the world.
type model struct {
	tokens   map[string]*token
	order    []string // as they were saved
	next     int
	restores int                 // of the centre
	settled  map[record.Key]bool // by a decision or a deletion, against which others may stand
}

// token is one value.
type token struct {
	value    string
	key      record.Key
	name     record.Name // of the version that set it
	at       *replica
	put      int // how often at was put back before
	where    string
	replaced bool // by a person who saw it
	gone     bool // every copy of it was destroyed
	restores int  // of the centre before it was saved
}

// fresh draws a value.
func (m *model) fresh() string {
	m.next++
	return fmt.Sprint(7_000_000 + m.next)
}

// keys are the records that values were saved in, in the order of the first.
func (m *model) keys() []record.Key {
	var out []record.Key
	for _, t := range m.order {
		if key := m.tokens[t].key; !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// saved notes what a person was told is saved: what stood there before, and what now.
func (m *model) saved(r *replica, v *record.Version, where string, before, after map[string]bool) {
	for t := range before {
		if known := m.tokens[t]; known != nil && !after[t] {
			known.replaced = true
		}
	}
	for t := range after {
		if m.tokens[t] == nil {
			m.tokens[t] = &token{value: t, key: v.Key, name: v.Name, at: r, put: r.put, where: where, restores: m.restores}
			m.order = append(m.order, t)
		}
	}
}

// tokensIn are the values in a text: whole words, since a lineage in an id may have seven
// digits in a row too.
func tokensIn(texts ...[]byte) map[string]bool {
	out := map[string]bool{}
	for _, b := range texts {
		for _, word := range bytes.FieldsFunc(b, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			n, err := strconv.Atoi(string(word))
			if err == nil && len(word) == 7 && n > 7_000_000 && n < 8_000_000 {
				out[string(word)] = true
			}
		}
	}
	return out
}

// shown are the values that a version shows, those contested too.
func shown(v *record.Version) map[string]bool {
	texts := [][]byte{v.Content}
	for _, c := range v.Conflicts() {
		for _, cand := range c.Values {
			texts = append(texts, cand.Value)
		}
	}
	return tokensIn(texts...)
}

// closed are the values that a version shows, without those that decisions leave open.
func closed(v *record.Version, decisions []record.Decision) map[string]bool {
	out := shown(v)
	for _, c := range v.Conflicts() {
		for _, d := range decisions {
			for _, cand := range c.Values {
				open := slices.ContainsFunc(cand.Writers, func(by record.Writer) bool { return !slices.Contains(d.Closes, by.Name) })
				if d.Path != c.Path || !open {
					continue
				}
				for t := range tokensIn(cand.Value) {
					delete(out, t)
				}
			}
		}
	}
	return out
}

// kept are the values that a replica still has of a record: shown, contested, in the
// vault, or lost in a merge of its history.
func kept(r *replica, key record.Key) map[string]bool {
	var texts [][]byte
	if st, err := r.Get(key); err == nil {
		for t := range shown(st.Shown) {
			texts = append(texts, []byte(t+" "))
		}
	}
	lost := func(ls []record.Lost) {
		for _, l := range ls {
			texts = append(texts, l.Value)
		}
	}
	if all, err := r.History(key); err == nil {
		for _, v := range all {
			lost(v.Lost)
		}
	}
	if items, err := r.Vault(key, 1000); err == nil {
		for _, item := range items {
			lost([]record.Lost{item.Lost})
		}
	}
	return tokensIn(texts...)
}

// past are the values in all versions of a record that a replica has.
func past(r *replica, key record.Key) map[string]bool {
	out := map[string]bool{}
	all, err := r.History(key)
	if err != nil {
		return out
	}
	for _, v := range all {
		maps.Copy(out, shown(v))
	}
	return out
}

// missing are the values that must be there and are not among those of their records.
func (m *model) missing(have func(record.Key) map[string]bool) []*token {
	var out []*token
	of := map[record.Key]map[string]bool{}
	for _, t := range m.order {
		known := m.tokens[t]
		if known.replaced || known.gone {
			continue
		}
		if of[known.key] == nil {
			of[known.key] = have(known.key)
		}
		if !of[known.key][t] {
			out = append(out, known)
		}
	}
	return out
}

func (t *token) String() string {
	return fmt.Sprintf("the value %s of %s, saved as %s at %s (%s)", t.value, t.key, t.name, t.at.label, t.where)
}

// surviving tells the values of a record that some replica has: what is pending too, of
// which a preview shows only what wins, and of what a station holds only to hand it in.
func (w *world) surviving() func(record.Key) map[string]bool {
	offered := map[record.Key]map[string]bool{}
	note := func(v *record.Version) {
		if offered[v.Key] == nil {
			offered[v.Key] = map[string]bool{}
		}
		maps.Copy(offered[v.Key], shown(v))
	}
	for _, r := range w.stations {
		if page, err := r.Offer(store.Upstream, record.Cursor{}, 1000); err == nil {
			for _, c := range page.Changes {
				note(c.Version)
			}
		}
	}
	return func(key record.Key) map[string]bool {
		out := map[string]bool{}
		maps.Copy(out, offered[key])
		for _, r := range w.everybody() {
			maps.Copy(out, kept(r, key))
			st, err := r.Get(key)
			if err != nil {
				continue
			}
			maps.Copy(out, waiting(r, st))
		}
		return out
	}
}

// waiting are the values of what waits, of which a preview shows only what wins.
func waiting(r *replica, st *record.Stand) map[string]bool {
	out := map[string]bool{}
	for _, ref := range st.Pending {
		if v, err := r.Version(st.Key, ref.Name); err == nil {
			maps.Copy(out, shown(v))
		}
	}
	return out
}
