package csv

import (
	"strings"
	"time"

	"tram/store/fhir"
)

// node is a resource that is being built: its elements by name, each with its items.
type node struct {
	leaf  *fhir.Value
	names []string
	items map[string][]*node
	lists map[string]bool
}

// at is the node that a step leads to, made where it is missing.
func (n *node) at(s step) *node {
	if n.items == nil {
		n.items, n.lists = map[string][]*node{}, map[string]bool{}
	}
	if n.items[s.name] == nil {
		n.names = append(n.names, s.name)
	}
	for len(n.items[s.name]) <= s.at {
		n.items[s.name] = append(n.items[s.name], nil)
	}
	n.lists[s.name] = s.list
	if n.items[s.name][s.at] == nil {
		n.items[s.name][s.at] = &node{}
	}
	return n.items[s.name][s.at]
}

// value is what was built.
func (n *node) value() *fhir.Value {
	switch {
	case n == nil:
		return nil
	case len(n.names) == 0:
		return n.leaf
	}
	var fields []fhir.Field
	for _, name := range n.names {
		var all []*fhir.Value
		for _, one := range n.items[name] {
			all = append(all, one.value())
		}
		v := all[0]
		if n.lists[name] {
			v = fhir.NewArray(all...)
		}
		fields = append(fields, fhir.Field{Name: name, Value: v})
	}
	return fhir.NewObject(fields...)
}

// row maps the cells of the row.
func (in *reader) row(line int) (Row, error) {
	m, row := in.m, Row{Line: line}
	person, err := in.part(&m.Person)
	if err != nil {
		return row, located(err, line)
	}
	if numbers := person.Get("identifier"); numbers == nil || numbers.Items[0].Str("value") == "" {
		return row, &Error{Code: Nobody, Line: line}
	}
	row.Person = person
	for i := range m.Record {
		p := &m.Record[i]
		if p.When != "" && strings.TrimSpace(in.cells[in.at[p.When]]) == "" {
			continue
		}
		v, err := in.part(p)
		if err != nil {
			return row, located(err, line)
		}
		row.Records = append(row.Records, Record{v, p.Once})
	}
	return row, nil
}

func located(err *Error, line int) error {
	err.Line = line
	return err
}

// reader reads the cells of a row at a time.
type reader struct {
	m     *Map
	cells []string
	at    map[string]int
	zone  *time.Location
	left  int // how much text may still be put anywhere
}

// text is what a cell of the map takes from the row; "" for nothing.
func (in *reader) text(c *cell) string {
	var out []string
	for _, name := range c.columns {
		if s := strings.TrimSpace(in.cells[in.at[name]]); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// headless reports a time of several columns of which the first, the day, is empty.
func (in *reader) headless(c *cell) bool {
	return len(c.columns) > 1 && (c.elem.Type == "dateTime" || c.elem.Type == "instant") && strings.TrimSpace(in.cells[in.at[c.columns[0]]]) == ""
}

// part builds one resource. A constant beside columns that are all empty in this row is
// left out: the unit of no value says nothing.
func (in *reader) part(p *Part) (*fhir.Value, *Error) {
	root := &node{}
	root.at(step{name: "resourceType"}).leaf = fhir.NewString(p.Kind)
	texts := make([]string, len(p.cells))
	for i := range p.cells {
		if texts[i] = p.cells[i].text; p.cells[i].columns != nil {
			texts[i] = in.text(&p.cells[i])
		}
	}
	for i := range p.cells {
		c := &p.cells[i]
		if texts[i] == "" || c.columns == nil && alone(p.cells, texts, c) {
			continue
		}
		text := texts[i]
		if in.left -= len(text); in.left < 0 {
			return nil, &Error{Code: TooLarge}
		}
		if c.words != nil {
			code, ok := c.words[plain(text)]
			if !ok {
				return nil, &Error{Code: Cell, Place: c.columns[0], What: "word"}
			}
			text = code
		}
		v, what := in.convert(c.elem.Type, text)
		if in.headless(c) { // a clock alone, as 0730, would be read as a year
			v, what = nil, "time"
		}
		if v == nil {
			place := c.path
			if c.columns != nil {
				place = c.columns[0]
			}
			return nil, &Error{Code: Cell, Place: place, What: what}
		}
		to := root
		for _, s := range c.steps {
			to = to.at(s)
		}
		to.leaf = v
	}
	v := root.value()
	if p.about != "" {
		v = v.With(p.about, fhir.NewObject(fhir.Field{Name: "reference", Value: fhir.NewString(Subject)}))
	}
	return v, nil
}

// alone reports whether a constant stands in an element whose columns are all empty.
func alone(cells []cell, texts []string, c *cell) bool {
	group := c.path[:max(strings.LastIndexByte(c.path, '.'), 0)]
	if group == "" {
		return false
	}
	taken, empty := false, true
	for i := range cells {
		if cells[i].columns != nil && strings.HasPrefix(cells[i].path, group+".") {
			taken, empty = true, empty && texts[i] == ""
		}
	}
	return taken && empty
}
