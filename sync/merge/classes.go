package merge

import (
	"bufio"
	_ "embed"
	"fmt"
	"strings"
)

// The classes of elements. An element that the table does not name is Safety.
const (
	Derived        = "derived"
	Administrative = "administrative"
	Monotonic      = "monotonic"
	AppendOnly     = "append-only"
	Safety         = "safety"
)

// Class says who decides where both sides set an element.
type Class struct {
	Name string
	// Order are codes: of a monotonic element from first to furthest, those of
	// one step joined by "|"; of a safety element the more cautious first, which
	// the record shows while the conflict is open.
	Order []string
}

// Classes is the table of classes. It is immutable.
type Classes struct{ of map[string]Class }

//go:embed classes.txt
var classesTable string

// DefaultClasses reads the table that the program carries.
func DefaultClasses() (*Classes, error) { return ParseClasses(classesTable) }

// ParseClasses reads a table: on each line an element ("Patient.telecom", or
// "*.text" for every kind), its class and, where it has one, the order of its
// codes. "#" begins a comment.
func ParseClasses(table string) (*Classes, error) {
	c := &Classes{of: map[string]Class{}}
	sc := bufio.NewScanner(strings.NewReader(table))
	for n := 1; sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 2 || !strings.Contains(f[0], ".") {
			return nil, fmt.Errorf("classes, line %d: want element and class", n)
		}
		switch f[1] {
		case Derived, Administrative, Monotonic, AppendOnly, Safety:
		default:
			return nil, fmt.Errorf("classes, line %d: no class %q", n, f[1])
		}
		if f[1] == Monotonic && len(f) < 4 {
			return nil, fmt.Errorf("classes, line %d: a monotonic element needs an order", n)
		}
		if _, twice := c.of[f[0]]; twice {
			return nil, fmt.Errorf("classes, line %d: %s stands twice", n, f[0])
		}
		c.of[f[0]] = Class{f[1], f[2:]}
	}
	return c, sc.Err()
}

// Of finds the class of an element of a kind; path as in record.Mark. The
// nearest entry holds: of the element, of what it stands in, then of any kind.
func (c *Classes) Of(kind, path string) Class {
	name := Plain(path)
	for at := name; at != ""; {
		if cl, ok := c.of[kind+"."+at]; ok {
			return cl
		}
		if cl, ok := c.of["*."+at]; ok {
			return cl
		}
		i := strings.LastIndexByte(at, '.')
		if i < 0 {
			break
		}
		at = at[:i]
	}
	return Class{Name: Safety}
}

// Class says, of an element that a record.Mark names, which it is, without items, and
// the name of its class.
func (m *Merger) Class(kind, path string) (element, class string) {
	return Plain(path), m.classes.Of(kind, path).Name
}

// Plain is a path without the identities of items: "contact{0}/telecom" is
// "contact.telecom".
func Plain(path string) string {
	var b strings.Builder
	skip := false
	for _, r := range path {
		switch {
		case r == '{':
			skip = true
		case r == '}':
			skip = false
		case skip:
		case r == '/':
			b.WriteByte('.')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
