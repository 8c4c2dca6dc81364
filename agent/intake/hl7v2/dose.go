package hl7v2

import (
	"strings"

	"tram/store/fhir"
)

// doses maps a VXU^V04: each RXA is an Immunization. A registry sends the same dose in
// many messages; its order number (ORC-3) says that it is the same one.
func (m *Message) doses(c *Content, r Rules) error {
	c.Task = Results
	var orc, rxa *Segment
	var rxr []Segment
	end := func() error {
		if rxa == nil {
			return nil
		}
		err := m.dose(c, orc, *rxa, rxr, r)
		orc, rxa, rxr = nil, nil, nil
		return err
	}
	for i := range m.Segments {
		s := &m.Segments[i]
		switch s.Name {
		case "ORC", "RXA":
			if err := end(); err != nil {
				return err
			}
			if s.Name == "ORC" {
				orc = s
			} else {
				rxa = s
			}
		case "RXR":
			rxr = append(rxr, *s)
		}
	}
	if err := end(); err != nil {
		return err
	}
	if len(c.Items) == 0 {
		return &Error{Code: Nothing, Line: m.Segments[0].Line, Place: "RXA"}
	}
	return nil
}

// dose maps an RXA (HL7 2.8.2, 4A.4.7).
func (m *Message) dose(c *Content, orc *Segment, s Segment, routes []Segment, r Rules) error {
	if act := s.Text(21); act != "" && act != "A" {
		return &Error{Code: Undo, Line: s.Line, Place: "RXA-21"}
	}
	if s.Field(5).Part(1) == "998" && s.Field(5).Part(3) == "CVX" {
		return nil // no vaccine administered
	}
	vaccine := concept(s.Field(5).First())
	if vaccine == nil {
		return &Error{Code: Nothing, Line: s.Line, Place: "RXA-5"}
	}
	when, err := m.time(s, 3)
	if err != nil {
		return err
	}
	if when == "" {
		return &Error{Code: BadTime, Line: s.Line, Place: "RXA-3"}
	}
	until, err := m.time(s, 16)
	if err != nil {
		return err
	}
	status := "completed"
	if code := s.Text(20); code == "RE" || code == "NA" {
		status = "not-done"
	}
	var primary, origin, amount, note, route, site *fhir.Value
	if f := s.Field(9); f.Part(3) == "NIP001" {
		if primary = fhir.NewBool(f.Part(1) == "00"); primary.Text == "false" {
			origin = concept(f.First())
		}
	}
	if v := number(s.Text(6)); v != nil && s.Text(6) != "999" { // 999 is not known
		amount = quantity("", v, s.Field(7))
	} else if v == nil && s.Text(6) != "" {
		note = object("text", strings.TrimSpace(s.Text(6)+" "+said(s.Field(7))))
	}
	if len(routes) > 0 {
		route, site = concept(routes[0].Field(1).First()), concept(routes[0].Field(2).First())
	}
	var number *fhir.Value
	if orc != nil {
		if n := m.entity(orc.Field(3), r); n.Str("value") != "9999" { // which says "none" (CDC's guide)
			number = n
		}
	}
	var who []*fhir.Value
	if name := staff(s.Field(10)); name != "" {
		who = append(who, object("actor", shown(name)))
	}
	c.Items = append(c.Items, Item{Once: number != nil, Value: object("resourceType", "Immunization", "identifier", list(number), "status", status,
		"statusReason", concept(s.Field(18).First()), "vaccineCode", vaccine, "patient", object("reference", Subject),
		"occurrenceDateTime", when, "primarySource", primary, "reportOrigin", origin,
		"location", shown(strings.TrimSpace(s.Field(11).First().Component(4).Sub(1).Text())),
		"manufacturer", shown(said(s.Field(17))), "lotNumber", s.Text(15), "expirationDate", day(until),
		"site", site, "route", route, "doseQuantity", amount, "performer", who, "note", list(note))})
	return nil
}
