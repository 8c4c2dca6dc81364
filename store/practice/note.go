package practice

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maybe makes a value once in so many times, else none.
func (v *visit) maybe(oneIn int, make func() raw) raw {
	if v.r.IntN(oneIn) > 0 {
		return ""
	}
	return make()
}

// note is a list of one Annotation; its text is remembered for Identifying.
func (v *visit) note(author int, sections ...string) raw {
	text := v.text(sections...)
	return list(object("authorReference", object("reference", "Practitioner/"+v.s.staff[author].practitioner), "time", v.now(), "text", text))
}

// text draws a sentence of each section.
func (v *visit) text(sections ...string) string {
	text := v.s.prose(v.r, v.p.age(v.today) < 15, v.ill.group, sections...)
	v.s.notes = append(v.s.notes, text)
	return text
}

// prose draws a sentence of each section, rather of the illness's own where
// there are some, and fills its slots. What is seen of a child, what it does and
// who cares for it is drawn from other words.
func (s *Station) prose(r *rand.Rand, child bool, group string, sections ...string) string {
	own := func(name, section string) string {
		if len(s.tables.rows[name]) > 0 {
			return name
		}
		return section
	}
	var b strings.Builder
	for i, section := range sections {
		if i > 0 {
			b.WriteString(" ")
		}
		if x := r.IntN(10); x < 7 {
			section = own(section+"."+group, section)
		} else if child {
			section = own("child."+section, section)
		}
		var sentence strings.Builder
		rest := pick(r, s.tables.rows[section])[0]
		for {
			before, after, found := strings.Cut(rest, "{")
			sentence.WriteString(before)
			if !found {
				break
			}
			name, tail, _ := strings.Cut(after, "}")
			rest = tail
			switch name {
			case "n":
				sentence.WriteString(strconv.Itoa(2 + r.IntN(8)))
			case "d":
				sentence.WriteString(strconv.Itoa(1 + r.IntN(14)))
			default:
				if child {
					name = own("child."+name, name)
				}
				sentence.WriteString(pick(r, s.tables.rows[name])[0])
			}
		}
		first, size := utf8.DecodeRuneInString(sentence.String())
		b.WriteString(string(unicode.ToUpper(first)) + sentence.String()[size:] + ".")
	}
	return b.String()
}
