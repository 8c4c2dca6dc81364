package hl7v2

import (
	"net/url"
	"slices"
	"strings"

	"tram/store/fhir"
)

// patient is what PID says of the message's one person. Two are refused: whose a result
// is would be a matter of order alone.
func (m *Message) patient(r Rules) (*fhir.Value, error) {
	pids := m.all("PID")
	switch len(pids) {
	case 0:
		return nil, &Error{Code: NoPerson, Line: m.Segments[0].Line, Place: "PID"}
	case 1:
	default:
		return nil, &Error{Code: TwoPeople, Line: pids[1].Line, Place: "PID"}
	}
	pid := pids[0]
	var numbers []*fhir.Value
	for _, n := range []int{3, 2, 4} {
		some, err := m.identifiers(pid, n, r)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, some...)
	}
	if numbers = distinct(numbers); len(numbers) == 0 {
		return nil, &Error{Code: NoPerson, Line: pid.Line, Place: "PID-3"}
	}
	born, err := m.time(pid, 7)
	if err != nil {
		return nil, err
	}
	died, err := m.time(pid, 29)
	if err != nil {
		return nil, err
	}
	var dead *fhir.Value
	if died == "" && pid.Text(30) == "Y" {
		dead = fhir.NewBool(true)
	}
	var names, phones, places []*fhir.Value
	for _, n := range []int{5, 11, 13, 14} {
		all, err := repeats(pid, n)
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			switch n {
			case 5:
				names = append(names, name(f))
			case 11:
				places = append(places, address(f))
			default:
				phones = append(phones, telecom(f, n))
			}
		}
	}
	return object("resourceType", "Patient", "identifier", numbers, "name", names, "telecom", phones, "gender", gender(pid.Text(8)),
		"birthDate", day(born), "deceasedBoolean", dead, "deceasedDateTime", died, "address", places), nil
}

// identifiers are the numbers of the n-th field, a CX (HL7 2.8.2, 2A.3.14), each in the
// system of its assigning authority. What numbers no person is none of a person's.
func (m *Message) identifiers(s Segment, n int, r Rules) ([]*fhir.Value, error) {
	all, err := repeats(s, n)
	if err != nil {
		return nil, err
	}
	var out []*fhir.Value
	for _, one := range all {
		typ := strings.Join(strings.Fields(one.Part(5)), " ")
		if s.Name != "PV1" && impersonal(typ) {
			continue
		}
		sys := authority(one.Component(4), r)
		if sys == "" {
			if typ == "" && s.Name == "PID" && n != 3 {
				sys = m.own(place(s, n), r)
			} else {
				sys = m.own(typ, r)
			}
		}
		out = append(out, identifier(sys, one.Part(1), typ))
	}
	return distinct(out), nil
}

// own is the system of the sender's numbers of one sort, a type or the place of one without
// a type. Numbers of two sorts may be equal and mean two people. Where the rules name a
// system for the sender, it is that of its medical records.
func (m *Message) own(sort string, r Rules) string {
	if to := r.Systems[m.Segments[0].Text(4)]; to != "" && (sort == "" || sort == "MR") {
		return to
	}
	if sort == "" {
		return m.sender()
	}
	return m.sender() + "#" + url.PathEscape(sort)
}

// impersonal reports types of HL7 table 0203 that number something else than the person:
// accounts, cards, visits, orders, specimens, and whoever pays or employs.
func impersonal(typ string) bool {
	return slices.Contains([]string{"AN", "ANC", "AND", "ANT", "AM", "BA", "BC", "BCT", "DI", "DS", "MS", "VS", "VN",
		"ACSN", "LACSN", "FGN", "FILL", "PGN", "PLAC", "PIN", "SID", "SN", "SNBSN", "RI", "EN", "FI", "GI", "GN", "NII", "NIIP", "XX"}, typ)
}

func identifier(system, value, typ string) *fhir.Value {
	if value == "" {
		return nil
	}
	var kind *fhir.Value
	if typ != "" {
		kind = object("coding", list(object("system", "http://terminology.hl7.org/CodeSystem/v2-0203", "code", typ)))
	}
	return object("type", kind, "system", system, "value", value)
}

// distinct leaves out what is nil, and what has a system and value that came before.
func distinct(all []*fhir.Value) []*fhir.Value {
	var out []*fhir.Value
	seen := map[[2]string]bool{}
	for _, v := range all {
		if key := [2]string{v.Str("system"), v.Str("value")}; v != nil && !seen[key] {
			seen[key] = true
			out = append(out, v)
		}
	}
	return out
}

// authority is an HD (HL7 2.8.2, 2A.3.33) as a URI: in a field its parts are components,
// within a component they are subcomponents.
func authority(f Field, r Rules) string {
	part := func(n int) string {
		if strings.IndexByte(f.raw, f.d.comp) >= 0 {
			return f.Part(n)
		}
		return f.First().Sub(n).Text()
	}
	space, id, typ := part(1), part(2), part(3)
	for _, name := range []string{id, space} {
		if to := r.Systems[name]; name != "" && to != "" {
			return to
		}
	}
	switch {
	case typ == "ISO" && id != "" && strings.Trim(id, "0123456789.") == "":
		return "urn:oid:" + id
	case space != "":
		return "urn:tram:id:" + url.PathEscape(space)
	case id != "":
		return "urn:tram:id:" + url.PathEscape(id)
	}
	return ""
}

// name is an XPN (HL7 2.8.2, 2A.3.88).
func name(f Field) *fhir.Value {
	given := words(f.Part(2), f.Part(3))
	use := map[string]string{"L": "official", "M": "maiden", "N": "nickname", "S": "anonymous", "T": "temp"}[f.Part(7)]
	family := f.Part(1)
	if family == "" && len(given) == 0 {
		return nil
	}
	return object("use", use, "family", family, "given", given, "prefix", words(f.Part(5)), "suffix", words(f.Part(4), f.Part(6)))
}

func words(parts ...string) []*fhir.Value {
	var out []*fhir.Value
	for _, p := range parts {
		if p != "" {
			out = append(out, fhir.NewString(p))
		}
	}
	return out
}

// telecom is an XTN (HL7 2.8.2, 2A.3.89) of the field n: 13 is home, 14 work.
func telecom(f Field, n int) *fhir.Value {
	system, value := "phone", f.Part(1)
	switch mail := f.Part(4); {
	case mail != "" && (f.Part(3) == "Internet" || f.Part(2) == "NET" || value == ""):
		system, value = "email", mail
	case f.Part(3) == "FX":
		system = "fax"
	}
	if value == "" {
		value = f.Part(12)
	}
	if value == "" {
		var parts []string
		for _, i := range []int{5, 6, 7} {
			if p := f.Part(i); p != "" {
				parts = append(parts, p)
			}
		}
		value = strings.Join(parts, " ")
	}
	if value == "" {
		return nil
	}
	use := "home"
	switch {
	case f.Part(3) == "CP":
		use = "mobile"
	case n == 14:
		use = "work"
	}
	return object("system", system, "value", value, "use", use)
}

// address is an XAD (HL7 2.8.2, 2A.3.80).
func address(f Field) *fhir.Value {
	return object("line", words(f.Part(1), f.Part(2)), "city", f.Part(3), "state", f.Part(4), "postalCode", f.Part(5), "country", f.Part(6))
}

// gender is HL7 table 0001 in FHIR's words.
func gender(code string) string {
	return map[string]string{"M": "male", "F": "female", "O": "other", "A": "other", "U": "unknown"}[code]
}

// staff is an XCN (HL7 2.8.2, 2A.3.83) as people read it: family and given name.
func staff(f Field) string {
	return strings.TrimSpace(strings.Join([]string{f.Part(2), f.Part(3)}, " "))
}

// shown is a reference that only says a name; nil for none.
func shown(text string) *fhir.Value { return object("display", text) }
