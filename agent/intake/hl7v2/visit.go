package hl7v2

import "tram/store/fhir"

// visit maps an ADT: its person, and the visit where the event begins or ends one and PV1-19
// gives its number. The other events move, cancel or correct what only the hospital
// knows of; they are refused, since a part of them would be worse than none.
func (m *Message) visit(c *Content, r Rules) error {
	status := ""
	switch c.Event {
	case "A01", "A04":
		c.Task, status = Register, "in-progress"
	case "A05":
		c.Task, status = Register, "planned"
	case "A03":
		c.Task, status = Update, "finished"
	case "A28":
		c.Task = Register
	case "A08", "A31":
		c.Task = Update
	case "A40":
		return m.merge(c, r)
	default:
		return m.other("ADT")
	}
	pv1 := m.all("PV1")
	if status == "" || len(pv1) != 1 {
		return nil
	}
	numbers, err := m.identifiers(pv1[0], 19, r)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return nil // nothing would tell this visit from another one
	}
	from, err := m.time(pv1[0], 44)
	if err != nil {
		return err
	}
	to, err := m.time(pv1[0], 45)
	if err != nil {
		return err
	}
	c.Items = append(c.Items, Item{Once: true, Value: object("resourceType", "Encounter", "identifier", numbers, "status", status,
		"class", class(pv1[0].Text(2)), "subject", object("reference", Subject), "period", object("start", from, "end", to))})
	return nil
}

// class is PV1-2 (HL7 table 0004) as FHIR's class of an encounter.
func class(code string) *fhir.Value {
	const act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	switch code {
	case "I":
		return object("system", act, "code", "IMP")
	case "E":
		return object("system", act, "code", "EMER")
	case "P":
		return object("system", act, "code", "PRENC")
	case "O", "R", "":
		return object("system", act, "code", "AMB")
	}
	return object("system", "http://terminology.hl7.org/CodeSystem/v2-0004", "code", code)
}

// merge maps an A40: the number of MRG-1 is given up for that of PID-3.
func (m *Message) merge(c *Content, r Rules) error {
	c.Task = Merge
	mrg := m.all("MRG")
	switch {
	case len(mrg) == 0:
		return &Error{Code: NoPerson, Line: m.Segments[0].Line, Place: "MRG"}
	case len(mrg) > 1:
		return &Error{Code: TwoPeople, Line: mrg[1].Line, Place: "MRG"}
	}
	numbers, err := m.identifiers(mrg[0], 1, r)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return &Error{Code: NoPerson, Line: mrg[0].Line, Place: "MRG-1"}
	}
	c.Prior = object("resourceType", "Patient", "identifier", numbers)
	return nil
}
