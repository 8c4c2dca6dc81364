package practice

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// system names an identifier or code system of the practice station. None of
// them is a real one, so that nothing made up is ever taken for a fact.
func system(name string) string { return "http://practice.example/" + name }

// staff is one who works at the station and signs records.
type staff struct {
	person
	user, title, role string
	practitioner      string
}

// The order of the section staff.
const (
	doctor = iota
	assistant
	nurse
	midwife
	vaccinator
	pharmacist
)

// reference points to a record and shows what it is called.
func reference(kind, id, display string) raw {
	return object("reference", kind+"/"+id, "display", display)
}

func coding(system, code, display string) raw {
	return object("system", system, "code", code, "display", display)
}

// concept is a CodeableConcept whose text is the display of its only coding.
func concept(system, code, display string) raw {
	return object("coding", list(coding(system, code, display)), "text", display)
}

// hl7 is a code of one of HL7's own terminology systems.
func hl7(system, code, display string) raw {
	return object("coding", list(coding("http://terminology.hl7.org/CodeSystem/"+system, code, display)))
}

// snomed, loinc and atc carry the Vietnamese name as text: displays of those
// systems exist in English only.
func snomed(code, text string) raw {
	return object("coding", list(object("system", "http://snomed.info/sct", "code", code)), "text", text)
}

func loinc(code, display, text string) raw {
	return object("coding", list(coding("http://loinc.org", code, display)), "text", text)
}

func atc(m medicine) raw {
	return object("coding", list(object("system", "http://www.whocc.no/atc", "code", m.atc)), "text", m.name+" "+m.strength)
}

// share adds a record that belongs to no person.
func (s *Station) share(kind, id string, pairs ...any) string {
	s.shared = append(s.shared, Entry{Kind: kind, ID: id, Author: s.staff[doctor].user,
		Resource: resource(kind, id, pairs...)})
	return id
}

// resource begins with its kind and id, as FHIR's own examples do.
func resource(kind, id string, pairs ...any) []byte {
	return []byte(object(append([]any{"resourceType", kind, "id", id}, pairs...)...))
}

// makeShared draws the staff first, because all records name their author.
func (s *Station) makeShared(r *rand.Rand) {
	for _, row := range s.tables.rows["staff"] {
		one := staff{title: row[1], role: row[2]}
		one.female = row[4] == "f"
		one.ethnic = s.ethnic(r)
		one.family = s.tables.word(r, "surname."+one.ethnic[0])
		one.birth = s.start - day(365*(27+r.IntN(28))+r.IntN(365))
		one.phone = s.newPhone(r)
		s.naming(r, &one.person)
		// like the user names that stations use: the function and the given name
		last := one.given[strings.LastIndex(one.given, " ")+1:]
		one.user = row[0] + "." + plain(last)
		s.staff = append(s.staff, one)
	}
	s.org = s.share("Organization", s.newID(),
		"identifier", list(object("use", "official", "system", system("facility"), "value", "TYT-"+strconv.Itoa(10000+r.IntN(90000)))),
		"active", true,
		"type", list(hl7("organization-type", "prov", "Healthcare Provider")),
		"name", s.name,
		"telecom", list(object("system", "phone", "value", s.newPhone(r), "use", "work")),
		"address", list(s.address("work", &house{line: pick(r, s.tables.rows["street"])[0], village: s.commune})))
	for _, row := range s.tables.rows["location"] {
		s.places = append(s.places, s.share("Location", s.newID(), "status", "active", "name", row[0],
			"description", row[0]+" của "+s.name, "mode", "instance",
			"physicalType", hl7("location-physical-type", row[1], row[2]),
			"managingOrganization", reference("Organization", s.org, s.name)))
	}
	for i, row := range s.tables.rows["staff"] {
		s.makeStaff(r, &s.staff[i], row)
	}
	for i := range s.medicines {
		m := &s.medicines[i]
		m.id = s.share("Medication", s.newID(), "code", atc(*m), "status", "active",
			"form", object("text", m.form),
			"ingredient", list(object("itemCodeableConcept", object("text", m.name), "isActive", true)))
	}
}

func (s *Station) makeStaff(r *rand.Rand, one *staff, row []string) {
	sex := "male"
	if one.female {
		sex = "female"
	}
	one.practitioner = s.share("Practitioner", s.newID(),
		"identifier", list(object("use", "official", "system", system("practising-certificate"), "value", "CCHN-"+strconv.Itoa(1000+r.IntN(9000)))),
		"active", true,
		"name", list(one.name("official", one.title)),
		"telecom", list(object("system", "phone", "value", one.phone, "use", "work")),
		"gender", sex, "birthDate", one.birth.String(),
		"qualification", list(object("code", object("text", one.title), "issuer", object("display", "Sở Y tế "+s.region.province))))
	s.share("PractitionerRole", s.newID(), "active", true,
		"practitioner", reference("Practitioner", one.practitioner, one.fullName()),
		"organization", reference("Organization", s.org, s.name),
		"code", list(object("coding", list(object("system", "http://terminology.hl7.org/CodeSystem/practitioner-role", "code", one.role)), "text", row[3])),
		"specialty", list(object("text", row[5])),
		"telecom", list(object("system", "phone", "value", one.phone, "use", "work")),
		"availableTime", list(object("daysOfWeek", texts("mon", "tue", "wed", "thu", "fri"),
			"availableStartTime", "07:00:00", "availableEndTime", "17:00:00")))
}

// name is a HumanName whose given names keep their order.
func (p *person) name(use, prefix string) raw {
	given := strings.Fields(p.middle)
	given = append(given, p.given)
	prefixes := raw("")
	if prefix != "" {
		prefixes = texts(prefix)
	}
	return object("use", use, "text", p.fullName(), "family", p.family, "given", texts(given...), "prefix", prefixes)
}

// address has the commune as city and no district: since July 2025 there are none.
func (s *Station) address(use string, h *house) raw {
	return object("use", use, "type", "physical", "text", h.line+", "+s.commune+", "+s.region.province,
		"line", texts(h.line), "city", s.commune, "state", s.region.province, "country", "VN")
}

// patient is the Patient of a person, as reception writes it.
func (s *Station) patient(p *person) Entry {
	sex := "male"
	if p.female {
		sex = "female"
	}
	var marital, contact raw
	switch {
	case p.spouse != nil:
		marital = hl7("v3-MaritalStatus", "M", "Married")
		contact = s.contact(p.spouse, "N", "Vợ hoặc chồng")
	case p.mother != nil && p.age(s.start) < 18:
		contact = s.contact(p.mother, "N", "Mẹ")
	}
	// people of the smaller groups speak their own language; the old prefer it
	languages := list(object("language", object("coding", list(object("system", "urn:ietf:bcp:47", "code", "vi"))), "preferred", true))
	if p.ethnic[0] != "kinh" {
		languages = list(object("language", object("coding", list(object("system", "urn:ietf:bcp:47", "code", p.ethnic[3])))),
			object("language", object("coding", list(object("system", "urn:ietf:bcp:47", "code", "vi"))), "preferred", p.age(s.start) < 50))
	}
	extensions := []raw{object("url", system("ethnic-group"), "valueCodeableConcept",
		object("coding", list(coding(system("ethnic-groups"), p.ethnic[1], p.ethnic[2]))))}
	if p.occupation != "" {
		extensions = append(extensions, object("url", system("occupation"), "valueString", p.occupation))
	}
	return Entry{Kind: "Patient", ID: p.id, Patient: p.id, Author: s.staff[nurse].user, Resource: resource("Patient", p.id,
		"extension", list(extensions...),
		"identifier", s.identifiers(p),
		"active", true,
		"name", list(p.name("official", "")),
		"telecom", p.telecom(),
		"gender", sex, "birthDate", p.birth.String(),
		"address", list(s.address("home", p.house)),
		"maritalStatus", marital,
		"contact", contact,
		"communication", languages,
		"generalPractitioner", list(reference("Practitioner", s.staff[doctor].practitioner, s.staff[doctor].fullName())),
		"managingOrganization", reference("Organization", s.org, ""))}
}

// identifiers: newborns have no personal number yet, but a code of the
// station that cannot be taken for one.
func (s *Station) identifiers(p *person) raw {
	var all []raw
	if p.personalID != "" {
		all = append(all, object("use", "official", "system", system("personal-number"), "value", p.personalID))
	} else {
		all = append(all, object("use", "temp", "system", system("newborn-code"), "value", "SS-"+p.birth.String()[2:7]+"-"+strconv.Itoa(p.house.number)))
	}
	if p.oldID != "" {
		all = append(all, object("use", "old", "system", system("old-identity-card"), "value", p.oldID))
	}
	if p.insurance != "" {
		all = append(all, object("use", "secondary", "system", system("health-insurance"), "value", p.insurance,
			"period", object("start", strconv.Itoa(s.start.year())+"-01-01")))
	}
	return list(all...)
}

// telecom is the own mobile telephone and that of the household.
func (p *person) telecom() raw {
	var own raw
	if p.phone != "" {
		own = object("system", "phone", "value", p.phone, "use", "mobile", "rank", 1)
	}
	if p.phone == p.house.phone {
		return list(own)
	}
	return list(own, object("system", "phone", "value", p.house.phone, "use", "home"))
}

// contact is whom to call.
func (s *Station) contact(p *person, code, relation string) raw {
	return list(object("relationship", list(object("coding", list(object("system", "http://terminology.hl7.org/CodeSystem/v2-0131", "code", code)), "text", relation)),
		"name", p.name("usual", ""), "telecom", p.telecom()))
}

// plain folds a name to the letters of a user name.
func plain(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		for letter, marked := range map[rune]string{'a': "àáảãạăằắẳẵặâầấẩẫậ", 'e': "èéẻẽẹêềếểễệĕ", 'i': "ìíỉĩị",
			'o': "òóỏõọôồốổỗộơờớởỡợ", 'u': "ùúủũụưừứửữựŭ", 'y': "ỳýỷỹỵ", 'd': "đ"} {
			if strings.ContainsRune(marked, c) {
				c = letter
				break
			}
		}
		if c >= 'a' && c <= 'z' {
			b.WriteRune(c)
		}
	}
	return b.String()
}
