package csv

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/unicode/norm"

	"tram/store/fhir"
)

// MaxMap bounds a map's text, in bytes.
const MaxMap = 64 << 10

// Map says what a table's columns are in FHIR. It is a TOML file.
type Map struct {
	Files     string // names of the tables it is for, as "vitals-*.csv"; "" is its own name
	Delimiter string // one character; "" is ","
	Charset   string // utf-8 (also ""), windows-1258, windows-1252 or iso-8859-1; a byte order mark goes before it
	Decimal   string // "," or "."
	Date      string // "year-first" (also ""), "day-first" or "month-first"
	Skip      int    // lines before the one with the columns' names
	// Words are lists that translate what cells say: words.sex = {Nam = "male"}.
	Words  map[string]map[string]string
	Person Part
	Record []Part
}

// Part is one resource of each row.
type Part struct {
	Register bool   // of a person: who has an unknown number is registered
	Kind     string // of a record: its resource type
	When     string // of a record: the column without which there is none
	Once     bool   // of a record: with its identifier known already, and what it says, it is the same one
	// Set are constants and Take columns, by the path of their element, such as
	// "name[0].family"; a column may be a list, whose cells are joined by blanks.
	Set  map[string]string
	Take map[string]any
	// Words name the list that translates an element.
	Words map[string]string

	cells []cell
	about string // the element that refers to the person; "" for a person
}

// cell is an element that is filled.
type cell struct {
	steps   []step
	elem    fhir.Elem
	text    string   // the constant
	columns []string // or where it is taken from
	words   map[string]string
	path    string
}

type step struct {
	name string
	at   int
	list bool
}

// ParseMap reads a map. Every error is an *Error with BadMap.
func ParseMap(text []byte, r4 *fhir.R4) (*Map, error) {
	if len(text) > MaxMap {
		return nil, &Error{Code: BadMap}
	}
	m := &Map{}
	d := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	if err := d.DisallowUnknownFields().Decode(m); err != nil {
		return nil, badTOML(err)
	}
	bad := func(place string) (*Map, error) { return nil, &Error{Code: BadMap, Place: place} }
	switch {
	case len([]rune(m.Delimiter)) > 1 || strings.ContainsAny(m.Delimiter, "\"\r\n\ufffd"):
		return bad("delimiter")
	case !slices.Contains([]string{"", "utf-8", "windows-1258", "windows-1252", "iso-8859-1"}, m.Charset):
		return bad("charset")
	case !slices.Contains([]string{"", ".", ","}, m.Decimal):
		return bad("decimal")
	case !slices.Contains([]string{"", "year-first", "day-first", "month-first"}, m.Date):
		return bad("date")
	case m.Skip < 0 || m.Skip > 100:
		return bad("skip")
	case len(m.Record) > 50:
		return bad("record")
	case m.Person.Kind != "" && m.Person.Kind != "Patient":
		return bad("person.kind")
	}
	if _, err := path.Match(m.Files, "x"); err != nil {
		return bad("files")
	}
	for name, list := range m.Words {
		m.Words[name] = map[string]string{}
		for word, code := range list {
			m.Words[name][plain(word)] = code
		}
	}
	m.Person.Kind = "Patient"
	if err := m.Person.compile(r4, m.Words); err != nil {
		return nil, err
	}
	for i := range m.Record {
		p := &m.Record[i]
		if p.about = about(r4, p.Kind); p.about == "" || p.Kind == "Patient" {
			return bad("record.kind")
		}
		if err := p.compile(r4, m.Words); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// about is the element by which a kind refers to its person; "" for a kind that has none.
func about(r4 *fhir.R4, kind string) string {
	for _, name := range []string{"subject", "patient"} {
		if e, ok := r4.Elem(kind, name); ok && e.Type == "Reference" && !e.List {
			return name
		}
	}
	return ""
}

// compile finds every path in FHIR's structure, so that a wrong one is said before any
// table is read.
func (p *Part) compile(r4 *fhir.R4, lists map[string]map[string]string) error {
	add := func(path, text string, columns []string) error {
		c, ok := resolve(r4, p.Kind, path)
		if name := p.Words[path]; name != "" {
			c.words = lists[name]
			ok = ok && c.words != nil
		}
		c.text, c.columns, c.path = text, columns, path
		p.cells = append(p.cells, c)
		if !ok {
			return &Error{Code: BadMap, Place: p.Kind + "." + path}
		}
		return nil
	}
	for path, text := range p.Set {
		if err := add(path, text, nil); err != nil {
			return err
		}
	}
	for path, v := range p.Take {
		var columns []string
		switch v := v.(type) {
		case string:
			columns = []string{v}
		case []any:
			for _, one := range v {
				name, _ := one.(string)
				columns = append(columns, name)
			}
		}
		if len(columns) == 0 || slices.Contains(columns, "") {
			return &Error{Code: BadMap, Place: p.Kind + "." + path}
		}
		if err := add(path, "", columns); err != nil {
			return err
		}
	}
	for path := range p.Words {
		if _, set := p.Take[path]; !set {
			return &Error{Code: BadMap, Place: p.Kind + "." + path}
		}
	}
	// In the order of their paths, so that one table always gives one text.
	slices.SortFunc(p.cells, func(a, b cell) int { return strings.Compare(a.path, b.path) })
	return nil
}

// resolve reads a path such as "code.coding[1].code".
func resolve(r4 *fhir.R4, kind, path string) (cell, bool) {
	var c cell
	at := kind
	parts := strings.Split(path, ".")
	for i, part := range parts {
		name, rest, indexed := strings.Cut(part, "[")
		n := 0
		if indexed {
			var err error
			if n, err = strconv.Atoi(strings.TrimSuffix(rest, "]")); err != nil || n < 0 || n > 9 || !strings.HasSuffix(rest, "]") {
				return c, false
			}
		}
		e, ok := r4.Elem(at, name)
		if !ok || indexed && !e.List || strings.HasPrefix(name, "_") {
			return c, false
		}
		c.steps = append(c.steps, step{name, n, e.List})
		c.elem, at = e, e.TypePath
		if e.Primitive != (i == len(parts)-1) {
			return c, false
		}
	}
	return c, c.elem.Type != "xhtml"
}

// badTOML says where a map is no TOML, or has a name that maps do not have.
func badTOML(err error) error {
	bad := &Error{Code: BadMap}
	switch at := err.(type) {
	case *toml.DecodeError:
		bad.Line, _ = at.Position()
	case *toml.StrictMissingError:
		bad.Line, _ = at.Errors[0].Position()
	}
	return bad
}

// Matches reports whether the map is for a table of that name.
func (m *Map) Matches(name string) bool {
	ok, _ := path.Match(strings.ToLower(m.Files), strings.ToLower(name))
	return ok && m.Files != ""
}

func (m *Map) comma() rune {
	for _, r := range m.Delimiter {
		return r
	}
	return ','
}

// plain makes names and words comparable, as people write them.
func plain(s string) string {
	return strings.ToLower(norm.NFC.String(strings.Join(strings.Fields(s), " ")))
}

// columns finds where each column of the map stands; line is the header's.
func (m *Map) columns(header []string, line int) (map[string]int, error) {
	if len(header) > MaxColumns {
		return nil, &Error{Code: TooLarge, Line: line}
	}
	at := map[string]int{}
	for i, name := range header {
		if _, twice := at[plain(name)]; twice && plain(name) != "" {
			at[plain(name)] = -1 // which one is meant nobody knows
			continue
		}
		at[plain(name)] = i
	}
	out := map[string]int{}
	for _, p := range append([]Part{m.Person}, m.Record...) {
		want := []string{}
		if p.When != "" {
			want = append(want, p.When)
		}
		for _, c := range p.cells {
			want = append(want, c.columns...)
		}
		for _, name := range want {
			i, ok := at[plain(name)]
			if !ok || i < 0 {
				return nil, &Error{Code: Header, Line: line, Place: name}
			}
			out[name] = i
		}
	}
	return out, nil
}
