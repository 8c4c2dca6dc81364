package practice

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// inject writes the Immunization of the next dose of a vaccine. A lot lasts 45
// days and expires within two years of its first use, so that a day's doses of
// one vaccine share it.
func (v *visit) inject(i int) {
	one := v.s.vaccines[i]
	k := v.p.doses[i]
	v.p.doses[i], v.p.last[i] = k+1, v.today
	lot := v.s.random(5, uint64(i)<<16|uint64(int(v.today)/45))
	number := fmt.Sprintf("%c%c%04d-%03d", 'A'+lot.IntN(26), 'A'+lot.IntN(26), lot.IntN(10000), lot.IntN(1000))
	expiry := v.today + day(200+lot.IntN(300)) - v.today%45
	var targets []raw
	for _, antigen := range one.antigens {
		row := v.s.tables.row("antigen", antigen)
		targets = append(targets, object("coding", list(object("system", "http://hl7.org/fhir/sid/icd-10", "code", row[1])), "text", row[2]))
	}
	// small children get it in the thigh, others in the arm; BCG always in the left arm
	site, ways := pick(v.r, []string{"LT", "RT"}), one.route
	if v.p.age(v.today) > 2 || one.key == "bcg" {
		site = "LA"
	}
	siteCode := hl7("v3-ActSite", site, "")
	// what is swallowed has no site
	if one.route == "PO" {
		siteCode = ""
	}
	v.add("Immunization", vaccinator, "status", "completed",
		"vaccineCode", object("coding", list(object("system", "http://hl7.org/fhir/sid/cvx", "code", one.cvx)), "text", one.name),
		"patient", v.subject(), "encounter", v.within(), "occurrenceDateTime", v.now(), "recorded", v.now(), "primarySource", true,
		"location", object("reference", "Location/"+v.s.places[1]),
		"lotNumber", number, "expirationDate", expiry.String(),
		"site", siteCode, "route", hl7("v3-RouteOfAdministration", ways, ""),
		"doseQuantity", ucum(raw(one.ml), "ml", "mL"),
		"performer", list(object("function", object("coding", list(coding("http://terminology.hl7.org/CodeSystem/v2-0443", "AP", "Administering Provider")), "text", "Người tiêm"), "actor", v.by(vaccinator))),
		"note", v.note(vaccinator, "shot"),
		"isSubpotent", false,
		"protocolApplied", list(object("series", one.name, "targetDisease", list(targets...),
			"doseNumberPositiveInt", max(1, one.first+k), "seriesDosesPositiveInt", max(1, one.first+len(one.age)-1))))
}

// watch is the half hour of observation after an injection.
func (v *visit) watch() {
	v.clock += 30
	v.observe(vaccinator, "exam", object("text", "Theo dõi 30 phút sau tiêm"), "valueString", quote(v.text("shot")), "")
}

// advise is counselling about feeding and growth.
func (v *visit) advise() {
	v.add("Procedure", nurse, "status", "completed", "code", object("text", "Tư vấn dinh dưỡng"), "subject", v.subject(),
		"encounter", v.within(), "performedDateTime", v.now(), "performer", list(object("actor", v.by(nurse))), "note", v.note(nurse, "grow"))
}

// antenatal is one of the contacts of a pregnancy.
func (v *visit) antenatal() {
	p := v.p
	first := p.contacts == 0
	if p.contacts < len(antenatal()) {
		p.contacts++
	}
	v.measure("ga")
	v.pressure()
	v.measure("weight")
	if p.weeks(v.today) >= 18 {
		v.measure("fundus")
		v.measure("fhr")
	}
	protein := pick(v.r, []string{"Âm tính", "Âm tính", "Âm tính", "Vết", "Dương tính 1+"})
	v.observe(midwife, "laboratory", loinc("20454-5", "Protein [Presence] in Urine by Test strip", "Protein niệu"), "valueCodeableConcept", object("text", protein), "")
	if first {
		v.observe(midwife, "exam", loinc("11778-8", "Delivery date Estimated", "Ngày dự sinh"), "valueDateTime", quote(p.pregnant.String()), "")
	}
	v.carePlan("Theo dõi thai kỳ", p.pregnant, midwife, "birth")
	for _, i := range v.s.dueDoses(p, v.today) {
		if v.s.vaccines[i].inPregnant {
			v.inject(i)
		}
	}
}

// carePlan writes a plan with two activities: one with a date, one still to begin.
func (v *visit) carePlan(title string, until day, author int, words string) {
	v.add("CarePlan", author, "status", "active", "intent", "plan", "title", title+" – lần "+strconv.Itoa(1+v.p.contacts),
		"description", v.text(words), "subject", v.subject(), "encounter", v.within(),
		"period", object("start", v.today.String(), "end", until.String()), "created", v.now(), "author", v.by(author),
		"activity", list(
			object("detail", object("status", "scheduled", "description", v.text("do"),
				"scheduledPeriod", object("start", (v.today+14).String(), "end", until.String()))),
			object("detail", object("status", "not-started", "description", v.text("task")))),
		"note", v.note(author, words))
}

// plan is for people whose illness lasts.
func (v *visit) plan() {
	if len(v.p.chronic) > 0 {
		v.carePlan("Quản lý bệnh mạn tính", v.today+180, doctor, "do")
	}
}

// procedure is what is done by hand for the illness, at most one in a visit.
func (v *visit) procedure() {
	for _, row := range v.s.tables.rows["procedure"] {
		if row[2] == v.ill.group && v.why == acute && !v.done["procedure"] {
			v.done["procedure"] = true
			v.add("Procedure", assistant, "status", "completed", "code", snomed(row[0], row[1]), "subject", v.subject(),
				"encounter", v.within(), "performedDateTime", v.now(), "performer", list(object("actor", v.by(assistant))),
				"bodySite", v.maybe(2, func() raw { return list(object("text", pick(v.r, v.s.tables.rows["place"])[0])) }),
				"note", v.note(assistant, "see", "do"))
		}
	}
}

// order is a test: asked for, measured, reported. Now and then the result is
// still out.
func (v *visit) order() {
	if v.why == vaccination || v.why == newborn || v.why == growth || v.done["order"] {
		return
	}
	v.done["order"] = true
	row := pick(v.r, v.s.tables.rows["test"])
	waiting := v.r.IntN(4) == 0
	status := "completed"
	if waiting {
		status = "active"
	}
	code := object("coding", list(object("system", "http://loinc.org", "code", row[1])), "text", row[2])
	order := v.add("ServiceRequest", doctor, "status", status, "intent", "order",
		"priority", pick(v.r, []string{"routine", "routine", "routine", "urgent"}), "code", code,
		"subject", v.subject(), "encounter", v.within(), "authoredOn", v.now(), "requester", v.by(doctor),
		"note", v.note(doctor, "see"))
	if waiting {
		return
	}
	// tests that the station measures itself give Observations, the others words
	var results []raw
	for _, key := range map[string][]string{"blood": {"hb", "wbc", "plt"}, "sugar": {"hba1c"}, "lipid": {"chol", "creat"}}[row[0]] {
		if id := v.measure(key); id != "" {
			results = append(results, object("reference", "Observation/"+id))
		}
	}
	conclusion := pick(v.r, []string{"Âm tính. ", "Trong giới hạn bình thường. ", "Có thay đổi nhẹ. ", "Cần theo dõi thêm. "}) + v.text("see")
	final := pick(v.r, []string{"final", "final", "final", "preliminary"})
	v.add("DiagnosticReport", doctor, "basedOn", list(object("reference", "ServiceRequest/"+order)), "status", final,
		"category", list(hl7("v2-0074", "LAB", "Laboratory")), "code", code, "subject", v.subject(), "encounter", v.within(),
		"effectiveDateTime", v.now(), "issued", v.now(), "performer", list(v.by(doctor)), "result", list(results...), "conclusion", conclusion)
}

// appointment books the next visit: on the day when a follow-up is due, else
// within four weeks, on a working day.
func (v *visit) appointment() {
	if v.done["appointment"] {
		return
	}
	v.done["appointment"] = true
	on := v.today + day(3+v.r.IntN(26))
	if v.why == followUp {
		on = v.p.due
	}
	for on.weekend() {
		on++
	}
	start := on.at(float64(435 + 15*v.r.IntN(30)))
	v.add("Appointment", nurse, "status", "booked", "appointmentType", hl7("v2-0276", "FOLLOWUP", ""),
		"description", v.text("task"), "start", instant(start), "end", instant(start.Add(900e9)), "minutesDuration", 15,
		"created", v.now(), "comment", v.text("edit"),
		"participant", list(object("actor", v.subject(), "required", "required", "status", "accepted"),
			object("actor", v.by(doctor), "status", "accepted")))
}

// task is work for one of the staff, in any state.
func (v *visit) task() {
	role := v.r.IntN(len(v.s.staff))
	v.add("Task", role, "status", pick(v.r, []string{"requested", "accepted", "in-progress", "completed"}), "intent", "order", "priority", "routine",
		"description", v.text("task"), "for", v.subject(), "encounter", v.within(), "authoredOn", v.now(), "lastModified", v.now(),
		"requester", v.by(doctor), "owner", v.by(role),
		"restriction", object("period", object("end", (v.today+day(2+v.r.IntN(12))).String())),
		"note", v.note(role, "edit"))
}

// communicate is a message that went out, now and then.
func (v *visit) communicate() {
	if v.r.IntN(3) > 0 {
		return
	}
	v.add("Communication", nurse, "status", "completed", "subject", v.subject(), "encounter", v.within(), "sent", v.now(),
		"recipient", list(v.subject()), "sender", v.by(nurse),
		"medium", list(object("text", pick(v.r, []string{"điện thoại", "tin nhắn", "loa xã", "trực tiếp"}))),
		"payload", list(object("contentString", v.text("message"))))
}

// document is a letter to the next level, as text in the record itself.
func (v *visit) document() {
	if v.condition == "" || v.r.IntN(3) > 0 {
		return
	}
	letter := v.s.name + "\nHọ tên: " + v.p.fullName() + "\nNgày sinh: " + v.p.birth.String() + "\n" + v.text("letter", "say."+v.ill.group, "see", "letter")
	v.add("DocumentReference", doctor, "status", "current", "docStatus", pick(v.r, []string{"final", "preliminary"}),
		"type", loinc("57133-1", "Referral note", "Giấy chuyển tuyến"), "subject", v.subject(), "date", v.now(), "author", list(v.by(doctor)),
		"description", v.text("letter"),
		"content", list(object("attachment", object("contentType", "text/plain; charset=utf-8", "language", "vi",
			"data", base64.StdEncoding.EncodeToString([]byte(letter)), "title", "Giấy chuyển tuyến", "creation", v.now()))),
		"context", object("encounter", list(v.within())))
}

// flag warns whoever opens the record; a person has one at most.
func (v *visit) flag() {
	if v.p.flagged || v.r.IntN(3) > 0 {
		return
	}
	v.p.flagged = true
	v.add("Flag", nurse, "status", "active", "category", list(hl7("flag-category", "safety", "Safety")),
		"code", object("text", pick(v.r, v.s.tables.rows["flag"])[0]), "subject", v.subject(),
		"period", object("start", v.today.String()), "encounter", v.within(), "author", v.by(nurse))
}

// consent has a policyRule, because R4 wants that or a policy (Consent, ppc-1).
func (v *visit) consent() {
	if v.r.IntN(3) > 0 {
		return
	}
	decision := pick(v.r, []string{"permit", "permit", "permit", "deny"})
	v.add("Consent", nurse, "status", "active", "scope", hl7("consentscope", "patient-privacy", "Privacy Consent"),
		"category", list(object("coding", list(coding("http://loinc.org", "59284-0", "Consent Document")))),
		"patient", v.subject(), "dateTime", v.now(), "organization", list(object("reference", "Organization/"+v.s.org)),
		"policyRule", object("text", pick(v.r, []string{"Chia sẻ hồ sơ với tuyến trên", "Nhận tin nhắn nhắc lịch", "Sử dụng số liệu cho thống kê"})),
		"provision", object("type", decision, "period", object("start", v.today.String(), "end", (v.today+day(365+v.r.IntN(700))).String())))
}

// allergy writes the next allergy of the person that is not on record yet. Its
// criticality is as often unknown as known, as in real records.
func (v *visit) allergy() {
	if len(v.p.allergies) == 0 {
		return
	}
	a := v.s.allergens[v.p.allergies[0]]
	v.p.allergies = v.p.allergies[1:]
	v.add("AllergyIntolerance", doctor, "clinicalStatus", hl7("allergyintolerance-clinical", "active", ""),
		"verificationStatus", hl7("allergyintolerance-verification", pick(v.r, []string{"confirmed", "unconfirmed"}), ""),
		"type", pick(v.r, []string{"allergy", "intolerance"}), "category", texts(a.category),
		"criticality", pick(v.r, []string{"low", "high", "unable-to-assess"}), "code", snomed(a.code, a.name),
		"patient", v.subject(), "encounter", v.within(), "onsetDateTime", strconv.Itoa(v.today.year()-1-v.r.IntN(9)),
		"recordedDate", v.now(), "recorder", v.by(doctor), "asserter", v.subject(), "note", v.note(doctor, "edit"),
		"reaction", list(object("manifestation", list(snomed(a.reactionCode, a.reaction)), "severity", pick(v.r, []string{"mild", "moderate", "severe"}))))
}

// comment is a finding in words.
func (v *visit) comment() {
	v.observe(doctor, "exam", object("text", "Nhận xét khi khám"), "valueString", quote(v.text("see", "do")), "")
}
