package summary

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tram/store/fhir"
)

// maxCell is how many characters of a text stand in the narrative; the entry has all.
const maxCell = 400

// narrative wraps XHTML as FHIR R4 does (narrative.html).
func (t teller) narrative(inner string) *fhir.Value {
	return fhir.NewObject(field("status", "generated"),
		field("div", fmt.Sprintf(`<div xmlns="http://www.w3.org/1999/xhtml" lang="%s" xml:lang="%[1]s">%s</div>`, t.language, inner)))
}

func paragraph(text string) string { return "<p>" + escape(text) + "</p>" }

// escape makes a text fit to stand in XHTML: neither markup nor a character that XML 1.0
// forbids, and no more of it than a cell holds.
func escape(text string) string {
	if utf8.RuneCountInString(text) > maxCell {
		text = string([]rune(text)[:maxCell-1]) + "…"
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r < ' ' && r != '\t' && r != '\n', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// row is a row of a table; each cell is text.
func row(tag string, cells ...string) string {
	var b strings.Builder
	b.WriteString("<tr>")
	for _, c := range cells {
		fmt.Fprintf(&b, "<%s>%s</%[1]s>", tag, escape(c))
	}
	return b.String() + "</tr>"
}

// table tells of the records of a section, a row each, and of how many more there are.
func (t teller) table(section string, list []item, left int) *fhir.Value {
	var b strings.Builder
	b.WriteString("<table><thead>" + row("th", t.get("when"), t.get("what"), t.get("detail"), t.get("status")) + "</thead><tbody>")
	for _, i := range list {
		status := t.status(section, i.content)
		if i.open {
			status = strings.TrimPrefix(status+" · "+t.get("conflict"), " · ")
		}
		b.WriteString(row("td", t.date(i.when), t.title(i.content), t.detail(i.content), status))
	}
	b.WriteString("</tbody></table>")
	if left > 0 {
		b.WriteString(paragraph(fmt.Sprintf(t.get("left"), left)))
	}
	return t.narrative(b.String())
}

// cover tells of whom the document is, and whether anything in it is contested.
func (t teller) cover(person *fhir.Value, conflicts int) *fhir.Value {
	var b strings.Builder
	b.WriteString("<table><tbody>" + row("td", t.get("name"), name(person)))
	if text := person.Str("gender"); text != "" {
		b.WriteString(row("td", t.get("gender"), t.get("gender."+text)))
	}
	if text := person.Str("birthDate"); text != "" {
		b.WriteString(row("td", t.get("birthDate"), t.date(text)))
	}
	b.WriteString("</tbody></table>")
	if contested(person) {
		b.WriteString(paragraph(t.get("contested-person")))
	}
	if conflicts > 0 {
		b.WriteString(paragraph(fmt.Sprintf(t.get("conflicts"), conflicts)))
	}
	return t.narrative(b.String())
}

// name is what a person is called: the first name that is not an old one.
func name(person *fhir.Value) string {
	for _, n := range items(person.Get("name")) {
		if n.Str("use") == "old" {
			continue
		}
		if text := n.Str("text"); text != "" {
			return text
		}
		parts := append([]*fhir.Value{n.Get("family")}, items(n.Get("given"))...)
		var out []string
		for _, p := range parts {
			if p != nil && p.Text != "" {
				out = append(out, p.Text)
			}
		}
		return strings.Join(out, " ")
	}
	return ""
}
