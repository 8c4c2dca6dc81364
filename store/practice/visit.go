package practice

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// visit is one person's time at the station; it gathers records in out.
type visit struct {
	s      *Station
	r      *rand.Rand
	p      *person
	why    purpose
	today  day
	clock  float64 // minutes after midnight
	budget int     // records wished for
	out    []Entry

	encounter string
	ill       illness
	fever     float64            // °C above normal
	done      map[string]bool    // measures, medicines and acts of this visit
	drawn     map[string]float64 // values of measures
	condition string
}

// add writes a record of this person; its subject and encounter are the
// caller's, because their names differ by kind.
func (v *visit) add(kind string, author int, pairs ...any) string {
	id := v.s.newID()
	v.out = append(v.out, Entry{Kind: kind, ID: id, Patient: v.p.id, Author: v.s.staff[author].user,
		Resource: resource(kind, id, pairs...)})
	v.clock += 0.2 + 1.1*v.r.Float64()
	return id
}

// now is the local time of the record that is being written.
func (v *visit) now() string { return instant(v.today.at(v.clock)) }

// subject, within and by refer to the person, the visit and a member of staff.
func (v *visit) subject() raw { return reference("Patient", v.p.id, v.p.fullName()) }

func (v *visit) within() raw { return object("reference", "Encounter/"+v.encounter) }

func (v *visit) by(role int) raw {
	return reference("Practitioner", v.s.staff[role].practitioner, v.s.staff[role].fullName())
}

// run: what the visit is for, then what else may be done until the budget is
// reached.
func (v *visit) run() {
	v.done, v.drawn = map[string]bool{}, map[string]float64{}
	v.meet()
	var more []func()
	switch v.why {
	case acute, followUp:
		v.diagnose()
		more = []func(){v.pressure, v.temperature, func() { v.measure("pulse") }, v.prescribe, v.prescribe, v.prescribe}
		if v.ill.group == "sugar" || v.ill.group == "heart" {
			v.pressure()
			v.measure("glucose")
		}
		v.prescribe()
	case vaccination, newborn:
		v.temperature()
		for _, i := range v.s.dueDoses(v.p, v.today) {
			v.inject(i)
		}
		more = []func(){v.grow, v.watch}
	case pregnancy:
		v.antenatal()
		more = []func(){v.prescribe, v.appointment}
	case growth:
		v.grow()
		more = []func(){v.advise, v.temperature}
	}
	extra := []func(){func() { v.measure("weight") }, func() { v.measure("height") }, func() { v.measure("spo2") },
		func() { v.measure("breath") }, func() { v.measure("bmi") }, v.procedure, v.order, v.appointment, v.task, v.communicate,
		v.document, v.flag, v.consent, v.allergy, v.plan, v.waist, v.comment}
	var early []func()
	for _, step := range more {
		if v.r.IntN(100) < 55 {
			early = append(early, step)
		} else {
			extra = append(extra, step)
		}
	}
	v.r.Shuffle(len(extra), func(i, j int) { extra[i], extra[j] = extra[j], extra[i] })
	for _, step := range append(early, extra...) {
		if len(v.out) >= v.budget {
			break
		}
		step()
	}
	v.p.visited = v.today
}

// meet registers a person who was never seen, and opens the encounter.
func (v *visit) meet() {
	p, s := v.p, v.s
	// a person is registered at the first visit, a small child with the mother
	if !p.seen {
		p.seen = true
		v.out = append(v.out, s.patient(p))
		if p.mother != nil && p.months(v.today) < 72 {
			v.mother()
		}
	}
	kind, role, place := "Khám bệnh", doctor, 0
	if v.r.IntN(3) == 0 {
		role = assistant
	}
	v.ill = v.complaint()
	words := "say." + v.ill.group
	// late in the day some are still waiting for a result
	status, end := "finished", instant(v.today.at(v.clock+12+26*v.r.Float64()))
	switch v.why {
	case followUp:
		kind = "Tái khám bệnh mạn tính"
	case vaccination, newborn:
		kind, role, place, words = "Tiêm chủng", vaccinator, 1, ""
		end = instant(v.today.at(v.clock + 44 + 9*v.r.Float64()))
	case pregnancy:
		kind, role, place, words = "Khám thai", midwife, 2, "birth"
	case growth:
		kind, role, place, words = "Theo dõi tăng trưởng", nurse, 0, "grow"
	}
	if v.clock > 900 && v.r.IntN(6) == 0 {
		status, end = "in-progress", ""
	}
	reason := raw("")
	if words != "" {
		reason = list(object("text", v.text(words)))
	}
	// reception opens the visit, whoever sees the person then
	v.encounter = v.add("Encounter", nurse, "status", status,
		"class", coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB", "ambulatory"),
		"type", list(object("text", kind)),
		"subject", v.subject(),
		"participant", list(object("individual", v.by(role))),
		"period", object("start", v.now(), "end", end),
		"reasonCode", reason,
		"location", list(object("location", object("reference", "Location/"+s.places[place]))),
		"serviceProvider", object("reference", "Organization/"+s.org))
}

// mother is who comes with a small child; she need not be a patient herself.
func (v *visit) mother() {
	m := v.p.mother
	v.add("RelatedPerson", nurse, "active", true, "patient", v.subject(),
		"relationship", list(hl7("v3-RoleCode", "MTH", "mother")),
		"name", list(m.name("official", "")), "telecom", m.telecom(), "gender", "female", "birthDate", m.birth.String(),
		"address", list(v.s.address("home", m.house)))
}

// complaint draws the illness of the visit: an old one that is due, a new one,
// or none where a healthy person comes.
func (v *visit) complaint() illness {
	if v.why != followUp && v.why != acute {
		return illness{}
	}
	if v.why == followUp {
		every := v.s.illnesses[v.p.chronic[0]].every
		v.p.due = v.today + day(every-2+v.r.IntN(5))
		return v.s.illnesses[pick(v.r, v.p.chronic)]
	}
	sum := 0.0
	for _, ill := range v.s.illnesses {
		if ill.every == 0 && ill.suits(v.p, v.today) {
			sum += ill.weight
		}
	}
	x := v.r.Float64() * sum
	last := v.s.illnesses[0]
	for _, ill := range v.s.illnesses {
		if ill.every == 0 && ill.suits(v.p, v.today) {
			if last = ill; x < ill.weight {
				break
			}
			x -= ill.weight
		}
	}
	if strings.Contains("resp fever gut eye", last.group) && v.r.IntN(100) < 62 {
		v.fever = 0.4 + 2.4*v.r.Float64()
	}
	return last
}

// diagnose writes the Condition. An illness that lasts is a problem of the
// person's list; one that passes is a diagnosis of this visit.
func (v *visit) diagnose() {
	onset := v.today - day(v.r.IntN(9))
	clinical, category, severity := "active", "encounter-diagnosis", raw("")
	if v.ill.every > 0 {
		onset, category = v.today-day(60+v.r.IntN(2800)), "problem-list-item"
	} else if v.r.IntN(2) == 0 {
		severity = object("text", pick(v.r, []string{"nhẹ", "vừa", "nặng"}))
	}
	certain := "confirmed"
	if v.r.IntN(5) == 0 {
		certain = "provisional"
	}
	v.condition = v.add("Condition", doctor,
		"clinicalStatus", hl7("condition-clinical", clinical, ""),
		"verificationStatus", hl7("condition-ver-status", certain, ""),
		"category", list(hl7("condition-category", category, "")),
		"severity", severity,
		"code", concept("http://hl7.org/fhir/sid/icd-10", v.ill.code, v.ill.name),
		"subject", v.subject(), "encounter", v.within(),
		"onsetDateTime", onset.String(), "recordedDate", v.now(), "recorder", v.by(doctor),
		"note", v.note(doctor, "say."+v.ill.group, "see", "do"))
}

// suitable returns a medicine for the illness and the age.
func (v *visit) suitable() (medicine, bool) {
	age := v.p.age(v.today)
	// a few draws are enough: where none fits the age, nothing is given
	for range 8 {
		if v.why == pregnancy {
			return v.s.medicines[v.s.medicineOf(pick(v.r, []string{"fefol", "calci"}))], true
		}
		if len(v.ill.medicines) == 0 {
			break
		}
		m := v.s.medicines[pick(v.r, v.ill.medicines)]
		if age >= m.from && age <= m.to && !v.done[m.key] {
			return m, true
		}
	}
	return medicine{}, false
}

// medicineOf finds a medicine by its key in the table.
func (s *Station) medicineOf(key string) int {
	for i, m := range s.medicines {
		if m.key == key {
			return i
		}
	}
	panic("practice: no medicine " + key)
}

// prescribe writes one MedicationRequest. Syrups and powders for children are
// dosed by weight.
func (v *visit) prescribe() {
	m, ok := v.suitable()
	if !ok || v.done[m.key] {
		return
	}
	v.done[m.key] = true
	dose := raw(m.dose)
	// a syrup is 0.3 ml a kilo, in steps of half a ml, and never below 2.5 ml
	if m.unit == "ml" && m.key != "ors" && v.p.age(v.today) < 12 {
		dose = decimal(max(2.5, math.Round(v.kilos()*0.6)/2), 1)
	}
	days, times := m.days, m.times
	// courses vary by a day; a month's supply does not
	if days < 20 {
		days = max(1, days+v.r.IntN(3)-1)
	}
	if times > 1 && v.r.IntN(4) == 0 {
		times--
	}
	meal := pick(v.r, []string{"sau ăn", "trước ăn 30 phút", "cùng bữa ăn", "buổi sáng", "khi đi ngủ"})
	when := ""
	switch meal {
	case "sau ăn":
		when = "PC"
	case "cùng bữa ăn":
		when = "C"
	case "khi đi ngủ":
		when, times = "HS", 1
	case "buổi sáng":
		when, times = "MORN", 1
	}
	way := v.s.tables.row("way", m.way)
	// people write a comma, JSON a point
	said := strings.ReplaceAll(string(dose), ".", ",")
	text := way[3] + " " + said + " " + m.unit + "/lần, ngày " + strconv.Itoa(times) + " lần"
	if m.way == "oral" {
		text += ", " + meal
	} else {
		when = ""
	}
	text += ", trong " + strconv.Itoa(days) + " ngày"
	whens := raw("")
	if when != "" {
		whens = texts(when)
	}
	status := "active"
	if days < 4 && v.r.IntN(3) == 0 {
		status = "completed"
	}
	reason := raw("")
	if v.condition != "" {
		reason = list(object("reference", "Condition/"+v.condition))
	}
	// the pharmacy gives whole pieces
	total := number(string(dose)) * float64(times*days)
	v.add("MedicationRequest", doctor, "status", status, "intent", "order",
		"medicationReference", reference("Medication", m.id, m.name+" "+m.strength),
		"subject", v.subject(), "encounter", v.within(), "authoredOn", v.now(), "requester", v.by(doctor),
		"reasonReference", reason,
		"note", v.maybe(5, func() raw { return v.note(pharmacist, "edit") }),
		// an id, because nothing else tells one dosage from another in a merge
		"dosageInstruction", list(object("id", "1", "sequence", 1, "text", text,
			"timing", object("repeat", object("boundsDuration", ucum(decimal(float64(days), 0), "ngày", "d"),
				"frequency", times, "period", 1, "periodUnit", "d", "when", whens)),
			"asNeededBoolean", m.key == "para500" || m.key == "paras",
			"route", snomed(way[1], way[2]),
			"doseAndRate", list(object("doseQuantity", object("value", dose, "unit", m.unit))))),
		"dispenseRequest", object("quantity", object("value", decimal(math.Ceil(total), 0), "unit", m.unit),
			"expectedSupplyDuration", ucum(decimal(float64(days), 0), "ngày", "d")))
}

func ucum(value raw, unit, code string) raw {
	return object("value", value, "unit", unit, "system", "http://unitsofmeasure.org", "code", code)
}
