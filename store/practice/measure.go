package practice

import "math"

// kilos is today's weight: of the build for adults, of the age for children.
func (v *visit) kilos() float64 {
	// nobody weighs the same all year
	drift := 1 + 0.012*math.Sin(float64(v.today+v.p.birth)/40)
	if years := float64(v.today-v.p.birth) / 365.25; years < 18 {
		return medianWeight(years, v.p.female) * (0.55 + 0.45*v.p.weight/21.5) * drift
	}
	grown := v.p.weight * v.p.height * v.p.height / 10000 * drift
	if v.p.pregnant != 0 {
		// about 11 kg until the birth
		grown += max(0, v.p.weeks(v.today)-10) * 0.38
	}
	return grown
}

// tall is today's height in cm.
func (v *visit) tall() float64 {
	years := float64(v.today-v.p.birth) / 365.25
	if years >= 18 {
		return v.p.height
	}
	adult := 165.0
	if v.p.female {
		adult = 154.2
	}
	return medianHeight(years, v.p.female) * (0.3 + 0.7*v.p.height/adult)
}

// medianWeight runs near WHO's medians (Child Growth Standards 2006, Growth
// Reference 2007): near enough for made-up children, not for judging one.
func medianWeight(years float64, girl bool) float64 {
	boys := []float64{3.3, 9.6, 12.2, 14.3, 16.3, 18.3, 20.5, 22.9, 25.4, 28.1, 31.2, 35, 39, 44, 49, 53, 56, 58, 60}
	girls := []float64{3.2, 8.9, 11.5, 13.9, 16.1, 18.2, 20.2, 22.4, 25, 28.2, 31.9, 36, 40, 44, 47, 49, 50, 51, 52}
	if years < 1 { // the first year rises fast, then flattens
		first := boys[1]
		if girl {
			first = girls[1]
		}
		return 3.25 + (first-3.25)*math.Pow(years, 0.58)
	}
	return between(boys, girls, years, girl)
}

// medianHeight is medianWeight's sibling, in cm.
func medianHeight(years float64, girl bool) float64 {
	boys := []float64{49.9, 75.7, 87.1, 96.1, 103.3, 110, 116, 121.7, 127.3, 132.6, 137.8, 143.1, 149.1, 156, 161, 163.5, 164.5, 165, 165}
	girls := []float64{49.1, 74, 85.7, 95.1, 102.7, 109.4, 115.1, 120.8, 126.6, 132.5, 138.6, 145, 149.5, 152, 153, 153.6, 154, 154.2, 154.2}
	if years < 1 {
		first := 75.7
		if girl {
			first = 74
		}
		return 49.5 + (first-49.5)*math.Pow(years, 0.62)
	}
	return between(boys, girls, years, girl)
}

// between reads a table of one value a year.
func between(boys, girls []float64, years float64, girl bool) float64 {
	of := boys
	if girl {
		of = girls
	}
	i := min(int(years), len(of)-2)
	return of[i] + (of[i+1]-of[i])*(years-float64(i))
}

// value draws one measure of this person now; what belongs together moves
// together: fever and pulse, weight and BMI, age and pressure. The ranges are
// those of textbooks, the spread is a guess.
func (v *visit) value(key string) float64 {
	noise := v.r.NormFloat64()
	age := float64(v.p.age(v.today))
	switch key {
	case "sys":
		if age < 16 {
			return 84 + 1.8*age + 5*noise
		}
		return v.p.systolic + 8*noise
	case "temp":
		return 36.7 + v.fever + 0.22*noise
	case "pulse":
		return 74 + 62*math.Exp(-age/3.5) + 9*v.fever + 7*noise
	case "breath":
		return 17 + 24*math.Exp(-age/3) + 1.5*v.fever + 1.4*noise
	case "spo2":
		low := 0.0
		if v.ill.group == "chest" {
			low = 2.5
		}
		return min(100, 97.9-low-0.015*age+0.9*noise)
	case "weight":
		return v.kilos() + 0.15*noise
	case "height":
		return v.tall() + 0.2*noise
	case "bmi":
		return v.drawn["weight"] / math.Pow(v.drawn["height"]/100, 2)
	case "glucose":
		return v.p.glucose + 0.6*noise + 0.3
	case "hba1c":
		return 3.2 + 0.45*v.p.glucose + 0.2*noise
	case "hb":
		return 13.4 + 0.9*noise
	case "chol":
		return 3.6 + 0.016*age + 0.75*noise
	case "creat":
		return 62 + 0.25*age + 9*noise
	case "wbc":
		return 6.4 + 2*v.fever + 1.3*noise
	case "plt":
		return 246 - 26*v.fever + 38*noise
	case "waist":
		return 40 + 1.75*v.p.weight + 0.1*age + 3*noise
	case "head":
		months := v.p.months(v.today)
		return 34.5 + 11.8*(1-math.Exp(-months/7)) + 0.08*months + 0.8*noise
	case "muac":
		return 12.5 + 2.6*(1-math.Exp(-v.p.months(v.today)/9)) + 0.6*noise
	case "ga":
		return v.p.weeks(v.today)
	case "fundus":
		return max(8, v.p.weeks(v.today)-3+1.1*noise)
	case "fhr":
		return 142 + 7*noise
	}
	panic("practice: no measure " + key)
}

// quantity is a value in the measure's unit, with as many digits as the device
// shows: a temperature of 37 degrees is 37.0.
func (v *visit) quantity(key string, value float64) raw {
	row := v.s.tables.row("measure", key)
	return ucum(decimal(value, whole(row[6])), row[4], row[5])
}

// measure writes one Observation, once in a visit, and returns its id; "" the
// second time.
func (v *visit) measure(key string) string {
	if v.done[key] {
		return ""
	}
	v.done[key] = true
	if key == "bmi" {
		v.measure("weight")
		v.measure("height")
	}
	v.drawn[key] = v.value(key)
	// who measures, and what kind of finding it is
	value, role, category := v.drawn[key], nurse, "vital-signs"
	switch key {
	case "glucose", "hba1c", "hb", "chol", "creat", "wbc", "plt":
		category = "laboratory"
	case "ga", "fundus", "fhr", "waist":
		category, role = "exam", midwife
	}
	row := v.s.tables.row("measure", key)
	return v.observe(role, category, loinc(row[1], row[2], row[3]), "valueQuantity", v.quantity(key, value), v.maybe(14, func() raw { return v.note(role, "edit") }))
}

// observe writes a final Observation of this visit.
func (v *visit) observe(role int, category string, code raw, element string, value, note raw) string {
	display := map[string]string{"vital-signs": "Vital Signs", "laboratory": "Laboratory", "exam": "Exam"}[category]
	return v.add("Observation", role, "status", "final",
		"category", list(hl7("observation-category", category, display)),
		"code", code, "subject", v.subject(), "encounter", v.within(),
		"effectiveDateTime", v.now(), "issued", v.now(), "performer", list(v.by(role)),
		element, value, "note", note)
}

// pressure is one Observation with two components, as R4's vital signs
// profile for blood pressure wants it.
func (v *visit) pressure() {
	if v.done["sys"] || v.p.age(v.today) < 4 {
		return
	}
	v.done["sys"] = true
	systolic := v.value("sys")
	diastolic := 26 + 0.4*systolic + 4*v.r.NormFloat64()
	component := func(key string, value float64) raw {
		row := v.s.tables.row("measure", key)
		return object("code", loinc(row[1], row[2], row[3]), "valueQuantity", v.quantity(key, value))
	}
	site := pick(v.r, []string{"Cánh tay trái", "Cánh tay phải"})
	v.add("Observation", nurse, "status", "final",
		"category", list(hl7("observation-category", "vital-signs", "Vital Signs")),
		"code", loinc("85354-9", "Blood pressure panel with all children optional", "Huyết áp"),
		"subject", v.subject(), "encounter", v.within(), "effectiveDateTime", v.now(), "issued", v.now(),
		"performer", list(v.by(nurse)),
		"note", v.maybe(12, func() raw { return v.note(nurse, "edit") }),
		"bodySite", object("text", site),
		"component", list(component("sys", systolic), component("dia", diastolic)))
}

// temperature is the first thing that reception measures.
func (v *visit) temperature() { v.measure("temp") }

// waist is measured of adults only.
func (v *visit) waist() {
	if v.p.age(v.today) >= 25 {
		v.measure("waist")
	}
}

// grow measures a child, or an adult without more ado.
func (v *visit) grow() {
	v.measure("weight")
	v.measure("height")
	if v.p.months(v.today) < 60 {
		v.measure("muac")
	}
	if v.p.months(v.today) < 24 {
		v.measure("head")
	}
}
