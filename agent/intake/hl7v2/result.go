package hl7v2

import (
	"fmt"
	"strings"

	"tram/store/fhir"
)

// Resource names the n-th of a message's items in references, from 0.
func Resource(n int) string { return fmt.Sprintf("urn:tram:item:%d", n) }

// order is an OBR with what follows it.
type order struct {
	obr       Segment
	results   []outcome
	notes     []string
	specimens []string
}

// outcome is an OBX with its notes.
type outcome struct {
	obx   Segment
	notes []string
}

// results maps an ORU^R01: each OBR is a DiagnosticReport, each OBX an Observation. Text
// without a code is the report's conclusion. A correction is a report of its own, beside
// the one that it corrects.
func (m *Message) results(c *Content, r Rules) error {
	c.Task = Results
	for _, o := range m.orders() {
		if err := m.report(c, o, r); err != nil {
			return err
		}
	}
	if len(c.Items) == 0 {
		return &Error{Code: Nothing, Line: m.Segments[0].Line, Place: "OBX"}
	}
	return nil
}

// orders groups the segments. Results before any OBR are those of an order that says nothing.
func (m *Message) orders() []*order {
	var out []*order
	for _, s := range m.Segments {
		if s.Name == "OBR" {
			out = append(out, &order{obr: s})
			continue
		}
		if len(out) == 0 && s.Name != "OBX" {
			continue
		}
		if len(out) == 0 {
			out = append(out, &order{obr: Segment{Name: "OBR", Line: s.Line, d: s.d}})
		}
		o := out[len(out)-1]
		last := len(o.results) - 1
		switch s.Name {
		case "OBX":
			o.results = append(o.results, outcome{obx: s})
		case "NTE":
			if text := lines(s.Field(3)); text != "" && last >= 0 {
				o.results[last].notes = append(o.results[last].notes, text)
			} else if text != "" {
				o.notes = append(o.notes, text)
			}
		case "SPM":
			if f := s.Field(4); !f.Empty() {
				o.specimens = append(o.specimens, said(f))
			}
		}
	}
	return out
}

// lines is a text that repeats, one a line, however many: a report ends with what matters.
func lines(f Field) string {
	var b strings.Builder
	for r := range f.Repeats() {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(r.Text())
	}
	return b.String()
}

// said is a coded value as people read it.
func said(f Field) string {
	if text := f.whole(2); text != "" {
		return text
	}
	return f.whole(1)
}

func (m *Message) report(c *Content, o *order, r Rules) error {
	taken, err := m.time(o.obr, 7)
	if err != nil {
		return err
	}
	until, err := m.time(o.obr, 8)
	if err != nil {
		return err
	}
	issued, err := m.time(o.obr, 22)
	if err != nil {
		return err
	}
	if len(issued) <= len("2006-01-02") {
		issued = "" // an instant has a clock
	}
	code := concept(o.obr.Field(4).First())
	if code == nil {
		code = absent("unknown")
	}
	at := len(c.Items) // the report stands before its results
	c.Items = append(c.Items, Item{})
	notes := o.notes
	var refs []*fhir.Value
	for _, res := range o.results {
		if act := res.obx.Text(11); act == "D" || act == "W" {
			// Which record here it takes back, a person tells.
			return &Error{Code: Undo, Line: res.obx.Line, Place: "OBX-11"}
		}
		if res.obx.Field(3).Empty() {
			notes = append(notes, lines(res.obx.Field(5)))
			notes = append(notes, res.notes...)
			continue
		}
		v, err := m.observation(res, taken)
		if err != nil {
			return err
		}
		refs = append(refs, object("reference", Resource(len(c.Items))))
		c.Items = append(c.Items, Item{Value: v})
	}
	var numbers []*fhir.Value
	for _, n := range []int{3, 2} { // the laboratory's number first
		numbers = append(numbers, m.entity(o.obr.Field(n), r))
	}
	var samples []*fhir.Value
	for _, s := range o.specimens {
		samples = append(samples, shown(s))
	}
	when, period := taken, (*fhir.Value)(nil)
	if until != "" && until != taken {
		when, period = "", object("start", taken, "end", until)
	}
	c.Items[at].Value = object("resourceType", "DiagnosticReport", "identifier", numbers, "status", reportStatus(o.obr.Text(25)),
		"category", section(o.obr.Text(24)), "code", code, "subject", object("reference", Subject),
		"effectiveDateTime", when, "effectivePeriod", period, "issued", issued,
		"resultsInterpreter", list(shown(staff32(o.obr.Field(32)))), "specimen", samples, "result", refs,
		"conclusion", strings.TrimSpace(strings.Join(notes, "\n")))
	return nil
}

// staff32 is an NDL, whose person is one component of subcomponents (HL7 2.8.2, 2A.3.46).
func staff32(f Field) string {
	who := f.First().Component(1)
	return strings.TrimSpace(who.Sub(2).Text() + " " + who.Sub(3).Text())
}

// section is OBR-24 (HL7 table 0074) as the report's category.
func section(code string) *fhir.Value {
	if code == "" {
		return nil
	}
	return list(object("coding", list(object("system", "http://terminology.hl7.org/CodeSystem/v2-0074", "code", code))))
}

// entity is an EI (HL7 2.8.2, 2A.3.28) as an identifier; nil for none.
func (m *Message) entity(f Field, r Rules) *fhir.Value {
	value := f.Part(1)
	if value == "" {
		return nil
	}
	space, id, typ := f.Part(2), f.Part(3), f.Part(4)
	sep := string(f.d.sub)
	sys := authority(Field{strings.Join([]string{space, id, typ}, sep), f.d}, r)
	if sys == "" {
		sys = m.sender()
	}
	return object("system", sys, "value", value)
}

// reportStatus is OBR-25 (HL7 table 0123) in FHIR's words.
func reportStatus(code string) string {
	switch code {
	case "F":
		return "final"
	case "C":
		return "corrected"
	case "P", "R":
		return "preliminary"
	case "A":
		return "partial"
	case "O", "I", "S":
		return "registered"
	case "X":
		return "cancelled"
	}
	return "unknown"
}
