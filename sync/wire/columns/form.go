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
	around   [][]byte // what stands before each value, and behind the last
	places   []*place
	id       *form // the same at whom a model goes on from; itself for a new one
	next     *form // what followed it the last time: its id
}

// formOf is a form that the model knows, or knows from now on; nil where it is too large,
// or the model knows too much.
func (m *Model) formOf(skeleton string) *form {
	if f := m.forms[skeleton]; f != nil {
		return f
	}
	if m.base != nil && m.base.forms[skeleton] != nil {
		return m.own(m.base.forms[skeleton])
	}
	return m.compile(skeleton)
}

// own is the form of an id as it is here.
func (m *Model) own(id *form) *form {
	if id == nil {
		return nil
	}
	if f := m.forms[id.skeleton]; f != nil {
		return f
	}
	f := &form{skeleton: id.skeleton, around: id.around, id: id, next: id.next}
	for _, p := range id.places {
		f.places = append(f.places, m.placeAt(p.at, p.tail.end))
	}
	m.forms[id.skeleton] = f
	return f
}

const kindKey = `{"resourceType":"`

// split tells a line's form and its values, the texts without quotation marks. The kind
// of a resource at a line's beginning belongs to its form. It is not ok for a line that
// is no compact JSON; one that is ok comes back byte for byte, JSON or not.
func split(line []byte) (skeleton []byte, texts [][]byte, ok bool) {
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return nil, nil, false
	}
	skeleton = make([]byte, 0, len(line)/2)
	i := 0
	if bytes.HasPrefix(line, []byte(kindKey)) {
		i = len(kindKey) + bytes.IndexByte(line[len(kindKey):], '"') + 1
		skeleton = append(skeleton, line[:i]...)
	}
	for i < len(line) {
		switch c := line[i]; {
		case c == '"':
			end := i + 1 + closing(line[i+1:])
			if end >= len(line) {
				return nil, nil, false
			}
			if end+1 < len(line) && line[end+1] == ':' {
				skeleton = append(skeleton, line[i:end+1]...)
			} else {
				skeleton = append(skeleton, '"', quoted, '"')
				texts = append(texts, line[i+1:end])
			}
			i = end + 1
		case isBare(c):
			end := i
			for end < len(line) && isBare(line[end]) {
				end++
			}
			skeleton, texts = append(skeleton, bare), append(texts, line[i:end])
			i = end
		case strings.IndexByte("{}[]:,", c) >= 0:
			skeleton = append(skeleton, c)
			i++
		default:
			return nil, nil, false
		}
	}
	return skeleton, texts, bytes.Count(skeleton, []byte{quoted})+bytes.Count(skeleton, []byte{bare}) == len(texts)
}

// Form is what a line has in common with others of its form; the line itself where it
// is no compact JSON.
func Form(line []byte) string {
	if skeleton, _, ok := split(line); ok {
		return string(skeleton)
	}
	return string(line)
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

// compile makes a new form.
func (m *Model) compile(skeleton string) *form {
	if len(skeleton) > maxForm || m.bytes+len(skeleton) > maxForms || m.placed > maxPlaces {
		return nil
	}
	f := &form{skeleton: skeleton}
	f.id = f
	kind, i := "", 0
	if strings.HasPrefix(skeleton, kindKey) {
		kind, _, _ = strings.Cut(skeleton[len(kindKey):], `"`)
		i = len(kindKey) + len(kind) + 1
	}
	var path []string
	key, from := "", 0
	hole := func(i int) {
		f.around = append(f.around, []byte(skeleton[from:i]))
		f.places = append(f.places, m.place(kind, append(path, key)))
		from = i + 1
	}
	for ; i < len(skeleton); i++ {
		switch skeleton[i] {
		case '"':
			end := i + 1 + closing([]byte(skeleton[i+1:]))
			switch {
			case end >= len(skeleton):
			case skeleton[i+1:end] == string(quoted):
				hole(i + 1)
				i = end
			default:
				key = skeleton[i+1 : end]
				i = end
			}
		case '{':
			path = append(path, key)
		case '}':
			if len(path) > 0 {
				key, path = path[len(path)-1], path[:len(path)-1]
			}
		case bare:
			hole(i)
		}
		if len(path) > maxDepth {
			return nil
		}
	}
	f.around = append(f.around, []byte(skeleton[from:]))
	m.forms[skeleton] = f
	m.bytes += len(skeleton)
	return f
}

// place is where values of one path stand in the lines of a kind.
func (m *Model) place(kind string, path []string) *place {
	return m.placeAt(kind+"."+strings.Join(path, "/"), strings.Join(path[max(0, len(path)-2):], "/"))
}

func (m *Model) placeAt(at, end string) *place {
	p := m.places[at]
	if p != nil {
		return p
	}
	p = &place{at: at, tail: m.tail(end), values: map[string]*value{}, after: map[*value]*value{}}
	m.places[at] = p
	if m.base == nil || m.base.places[at] == nil {
		m.placed++
		return p
	}
	p.base = m.base.places[at]
	p.recent.list = slices.Clone(p.base.recent.list)
	p.last, p.number, p.step, p.day, p.dated = p.base.last, p.base.number, p.base.step, p.base.day, p.base.dated
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
