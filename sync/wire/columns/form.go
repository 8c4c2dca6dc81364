package columns

import (
	"bytes"
	"slices"
	"strings"
)

// The bytes that stand in a form for a value; neither stands in JSON as it is.
const (
	quoted = '\x01' // text in quotation marks, which the form keeps
	bare   = '\x02' // a number, true, false or null
)

// form is what lines have in common: all but their values.
type form struct {
	skeleton string
	hash     uint32
	around   [][]byte // what stands before each value, and behind the last
	places   []*place
	id       *form // the same at whom a model goes on from; itself for a new one
	size     int   // of the last line of it that was unpacked
	next     *form // what followed it the last time: its id
}

// anyNumber is how many values a form has of which that is not known.
const anyNumber = -1

// formOf is a form that the model knows, or knows from now on; nil where it is too large
// or has not so many values, or the model knows too much.
func (m *Model) formOf(skeleton []byte, values int) *form {
	if f := m.forms[string(skeleton)]; f != nil {
		return f
	}
	if m.base != nil {
		if f := m.base.forms[string(skeleton)]; f != nil {
			return m.own(f)
		}
	}
	return m.compile(string(skeleton), values)
}

// own is the form of an id as it is here.
func (m *Model) own(id *form) *form {
	if id == nil {
		return nil
	}
	if f := m.forms[id.skeleton]; f != nil {
		return f
	}
	f := &form{skeleton: id.skeleton, hash: id.hash, around: id.around, id: id, next: id.next}
	for _, p := range id.places {
		f.places = append(f.places, m.placeAt(p.at, p.tail.end))
	}
	m.forms[id.skeleton] = f
	return f
}

const kindKey = `{"resourceType":"`

// parts are a line's form and its values, the texts without quotation marks. The kind of a
// resource at a line's beginning belongs to its form.
type parts struct {
	skeleton []byte
	texts    [][]byte
}

// split tells the parts of a line, in the room of those of another one. It is not ok for a
// line that is no compact JSON; one that is ok comes back byte for byte, JSON or not.
func split(line []byte, room parts) (p parts, ok bool) {
	p = parts{room.skeleton[:0], room.texts[:0]}
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return p, false
	}
	i := 0
	if bytes.HasPrefix(line, []byte(kindKey)) {
		i = len(kindKey) + bytes.IndexByte(line[len(kindKey):], '"') + 1
		p.skeleton = append(p.skeleton, line[:i]...)
	}
	for i < len(line) {
		switch c := line[i]; {
		case c == '"':
			end := i + 1 + closing(line[i+1:])
			if end >= len(line) {
				return p, false
			}
			if end+1 < len(line) && line[end+1] == ':' {
				p.skeleton = append(p.skeleton, line[i:end+1]...)
			} else {
				p.skeleton = append(p.skeleton, '"', quoted, '"')
				p.texts = append(p.texts, line[i+1:end])
			}
			i = end + 1
		case isBare(c):
			end := i
			for end < len(line) && isBare(line[end]) {
				end++
			}
			p.skeleton, p.texts = append(p.skeleton, bare), append(p.texts, line[i:end])
			i = end
		case strings.IndexByte("{}[]:,", c) >= 0:
			p.skeleton = append(p.skeleton, c)
			i++
		default:
			return p, false
		}
	}
	return p, bytes.Count(p.skeleton, []byte{quoted})+bytes.Count(p.skeleton, []byte{bare}) == len(p.texts)
}

// Split tells what a line has in common with others of its form, and its values. A line
// that is no compact JSON is a form by itself.
func Split(line []byte) (form string, values [][]byte) {
	if p, ok := split(line, parts{}); ok {
		return string(p.skeleton), p.texts
	}
	return string(line), nil
}

// closing is where a string's closing quotation mark stands, or beyond its end.
func closing(s []byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(s)
}

func isBare(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// compile makes a new form; nil where it has not so many values.
func (m *Model) compile(skeleton string, values int) *form {
	if len(skeleton) > maxForm || m.bytes+len(skeleton) > maxForms || m.placed > maxPlaces {
		return nil
	}
	spots := parse(skeleton)
	if spots == nil || values != anyNumber && values != len(spots) {
		return nil
	}
	f := &form{skeleton: skeleton, hash: hashOf(skeleton)}
	from := 0
	for _, s := range spots {
		f.around = append(f.around, []byte(skeleton[from:s.at]))
		f.places = append(f.places, m.placeAt(s.place, s.end))
		from = s.at + 1
	}
	f.around = append(f.around, []byte(skeleton[from:]))
	f.id = f
	m.forms[skeleton] = f
	m.bytes += len(skeleton)
	return f
}

// spot is where a value stands in a form, at which place, and how that one's path ends.
type spot struct {
	at         int
	place, end string
}

// parse finds the values of a form; nil where it is too deep, or is none.
func parse(skeleton string) []spot {
	out := []spot{}
	kind, i := "", 0
	if strings.HasPrefix(skeleton, kindKey) {
		kind, _, _ = strings.Cut(skeleton[len(kindKey):], `"`)
		i = len(kindKey) + len(kind) + 1
	}
	var path []string
	key, place, end := "", "", "" // the last two are of the path so far, once it is asked for
	long := false
	found := func(at int) {
		if place == "" {
			all := append(path[:len(path):len(path)], key)
			place, end = kind+"."+strings.Join(all, "/"), strings.Join(all[max(0, len(all)-2):], "/")
		}
		out = append(out, spot{at, place, end})
		long = long || len(place) > maxPath
	}
	for ; i < len(skeleton); i++ {
		switch skeleton[i] {
		case '"':
			stop := i + 1 + closing([]byte(skeleton[i+1:]))
			switch {
			case stop >= len(skeleton): // none that was split
				return nil
			case skeleton[i+1:stop] == string(quoted):
				found(i + 1)
				i = stop
			default:
				key, place = skeleton[i+1:stop], ""
				i = stop
			}
		case '{':
			path, place = append(path, key), ""
		case '}':
			if len(path) > 0 {
				key, path, place = path[len(path)-1], path[:len(path)-1], ""
			}
		case bare:
			found(i)
		}
		if long || len(path) > maxDepth {
			return nil
		}
	}
	return out
}

// placeAt is where values of one path stand in the lines of a kind.
func (m *Model) placeAt(at, end string) *place {
	p := m.places[at]
	if p != nil {
		return p
	}
	p = &place{at: at, hash: hashOf(at), tail: m.tail(end), values: map[string]*value{}, after: map[*value]*value{}}
	m.places[at] = p
	if m.base == nil || m.base.places[at] == nil {
		m.placed++
		return p
	}
	p.base = m.base.places[at]
	p.recent.list = slices.Clone(p.base.recent.list)
	p.last, p.number, p.step, p.day, p.dated, p.way, p.digits = p.base.last, p.base.number, p.base.step, p.base.day, p.base.dated, p.base.way, p.base.digits
	return p
}

func (m *Model) tail(end string) *tail {
	t := m.tails[end]
	if t == nil {
		t = &tail{end: end}
		if m.base != nil && m.base.tails[end] != nil {
			t.last = m.base.tails[end].last
		}
		m.tails[end] = t
	}
	return t
}
