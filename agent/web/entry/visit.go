package entry

import (
	"slices"
	"strings"
	"time"

	"tram/agent/web/show"
	"tram/store/fhir"
)

// vital is a measured value with its LOINC code and UCUM unit (FHIR R4,
// observation-vitalsigns).
type vital struct {
	name, code, display, unit, ucum, low, high, min, max string
}

// The two values of a blood pressure are one record.
const (
	systolic  = "systolic"
	diastolic = "diastolic"
)

// What is usual of these goes by the age.
const (
	weight = "weight"
	height = "height"
)

// vitals lists what a station measures, in the order of the form. Low and high are
// limits of what is usual at any age, not of what is healthy; min and max are those
// beyond which a value is a slip of the hand.
func vitals() []vital {
	return []vital{
		{"pulse", "8867-4", "Heart rate", "/min", "/min", "40", "180", "", "400"},
		{systolic, "8480-6", "Systolic blood pressure", "mmHg", "mm[Hg]", "70", "220", "20", "350"},
		{diastolic, "8462-4", "Diastolic blood pressure", "mmHg", "mm[Hg]", "40", "130", "", "300"},
		{"temperature", "8310-5", "Body temperature", "°C", "Cel", "34", "42", "25", "45"},
		{weight, "29463-7", "Body weight", "kg", "kg", "0.5", "200", "0.2", "400"},
		{height, "8302-2", "Body height", "cm", "cm", "30", "220", "15", "260"},
	}
}

// VisitFields are the fields of a visit with what was measured.
func VisitFields() []Field {
	out := []Field{{Name: "when", Type: Moment, Required: true}, {Name: "reason", Type: Text}}
	for _, m := range vitals() {
		out = append(out, Field{Name: m.name, Type: Number, Unit: m.unit, Low: m.low, High: m.high, Min: m.min, Max: m.max})
	}
	return append(out, Field{Name: "note", Type: Long})
}

// growth is between what weight in kg and height in cm people are below an age in months:
// mostly, not healthily.
type growth struct {
	below                                 int
	lightest, heaviest, shortest, tallest string
}

func growths() []growth {
	return []growth{{3, "1", "9", "35", "70"}, {12, "2.5", "14", "45", "90"}, {24, "5", "20", "60", "105"}, {60, "7", "35", "70", "130"},
		{120, "11", "75", "90", "165"}, {180, "18", "120", "110", "195"}, {12 * oldest, "25", "200", "100", "220"}}
}

// aged are the fields with the limits of somebody's age at a visit. Of a birth that is known
// by its year alone they are the widest of that year.
func aged(fields []Field, birth, when string) []Field {
	first, last, ok := days(birth)
	day, _, isDay := days(when[:min(len(when), len(time.DateOnly))])
	if !ok || !isDay {
		return fields
	}
	of := func(born time.Time) growth {
		all := growths()
		months := 12*(day.Year()-born.Year()) + int(day.Month()-born.Month())
		if day.Day() < born.Day() {
			months--
		}
		i := slices.IndexFunc(all, func(g growth) bool { return months < g.below })
		if i < 0 {
			i = len(all) - 1
		}
		return all[i]
	}
	young, old := of(last), of(first)
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case weight:
			f.Low, f.High = young.lightest, old.heaviest
		case height:
			f.Low, f.High = young.shortest, old.tallest
		}
	}
	return fields
}

// days are the first and the last day that a FHIR date may mean.
func days(date string) (first, last time.Time, ok bool) {
	for layout, step := range map[string][3]int{"2006": {1, 0, 0}, "2006-01": {0, 1, 0}, time.DateOnly: {0, 0, 1}} {
		if t, err := time.Parse(layout, date); err == nil {
			return t, t.AddDate(step[0], step[1], step[2]-1), true
		}
	}
	return first, last, false
}

// VisitRecords is how many records a visit makes at most.
const VisitRecords = 7

// CheckVisit is Check for a visit of somebody born on a FHIR date, "" for unknown: something
// must be typed, a blood pressure has both its values, and all fits the age.
func CheckVisit(t Typed, birth string, now time.Time) (faults, doubts map[string]string) {
	when, _ := show.ISOTime(t["when"], now.Location())
	faults, doubts = Check(aged(VisitFields(), birth, when), t, now)
	if n := min(len(when), len(birth)); when[:n] < birth[:n] && faults["when"] == "" {
		doubts["when"] = Unborn
	}
	filled := t["reason"] + t["note"]
	for _, m := range vitals() {
		filled += t[m.name]
	}
	if filled == "" {
		faults["reason"] = Nothing
	}
	if (t[systolic] == "") != (t[diastolic] == "") {
		for _, f := range []string{systolic, diastolic} {
			if t[f] == "" {
				faults[f] = OneOfTwo
			}
		}
	}
	above, okAbove := number(t[systolic])
	below, okBelow := number(t[diastolic])
	if okAbove && okBelow && below.Cmp(above) >= 0 && faults[diastolic] == "" {
		doubts[diastolic] = Swapped
	}
	return faults, doubts
}

// Visit makes the records of a visit: the Encounter, then an Observation for
// each value and for the note. ids are given to them in this order.
func Visit(patient, who string, ids []string, t Typed, now time.Time) []*fhir.Value {
	when, _ := show.ISOTime(t["when"], now.Location())
	subject := fhir.Field{Name: "subject", Value: fhir.NewObject(str("reference", "Patient/"+patient))}
	v := fhir.NewObject(str("resourceType", "Encounter"), str("id", ids[0]), str("status", "finished"),
		fhir.Field{Name: "class", Value: coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB", "ambulatory")}, subject,
		fhir.Field{Name: "participant", Value: fhir.NewArray(fhir.NewObject(fhir.Field{Name: "individual", Value: fhir.NewObject(str("display", who))}))},
		fhir.Field{Name: "period", Value: fhir.NewObject(str("start", when))})
	if t["reason"] != "" {
		v = v.With("reasonCode", fhir.NewArray(fhir.NewObject(str("text", t["reason"]))))
	}
	out := []*fhir.Value{v}
	// Each value is a record of its own: it can be corrected, found and drawn alone.
	observe := func(category string, code *fhir.Value, more ...fhir.Field) {
		fields := []fhir.Field{str("resourceType", "Observation"), str("id", ids[len(out)]), str("status", "final")}
		if category != "" {
			fields = append(fields, fhir.Field{Name: "category", Value: fhir.NewArray(fhir.NewObject(fhir.Field{Name: "coding",
				Value: fhir.NewArray(coding("http://terminology.hl7.org/CodeSystem/observation-category", category, ""))}))})
		}
		fields = append(fields, fhir.Field{Name: "code", Value: code}, subject,
			fhir.Field{Name: "encounter", Value: fhir.NewObject(str("reference", "Encounter/"+ids[0]))}, str("effectiveDateTime", when),
			fhir.Field{Name: "performer", Value: fhir.NewArray(fhir.NewObject(str("display", who)))})
		out = append(out, fhir.NewObject(append(fields, more...)...))
	}
	var pressure []*fhir.Value
	for _, m := range vitals() {
		typed := t[m.name]
		if typed == "" {
			continue
		}
		code := concept("http://loinc.org", m.code, m.display)
		value := fhir.Field{Name: "valueQuantity", Value: fhir.NewObject(fhir.Field{Name: "value", Value: fhir.NewNumber(Decimal(typed))},
			str("unit", m.unit), str("system", "http://unitsofmeasure.org"), str("code", m.ucum))}
		if m.name == systolic || m.name == diastolic {
			pressure = append(pressure, fhir.NewObject(fhir.Field{Name: "code", Value: code}, value))
			continue
		}
		observe("vital-signs", code, value)
	}
	if len(pressure) > 0 {
		observe("vital-signs", concept("http://loinc.org", "85354-9", "Blood pressure panel with all children optional"),
			fhir.Field{Name: "component", Value: fhir.NewArray(pressure...)})
	}
	if note := strings.TrimSpace(t["note"]); note != "" {
		observe("", concept("http://loinc.org", "34109-9", "Note"), str("valueString", note))
	}
	return out
}

// coding is a Coding; an empty display is left out.
func coding(system, code, display string) *fhir.Value {
	return fhir.NewObject(str("system", system), str("code", code), str("display", display))
}

// concept is a CodeableConcept with one Coding.
func concept(system, code, display string) *fhir.Value {
	return fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding(system, code, display))})
}
