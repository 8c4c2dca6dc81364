package summary

import (
	"slices"
	"strings"

	"tram/store/fhir"
)

// items are those of a list; none of anything else.
func items(v *fhir.Value) []*fhir.Value {
	if v == nil {
		return nil
	}
	return v.Items
}

// hasCode reports whether a CodeableConcept bears one of the codes, of whatever system.
func hasCode(v *fhir.Value, codes ...string) bool {
	return slices.ContainsFunc(items(v.Get("coding")), func(c *fhir.Value) bool { return slices.Contains(codes, c.Str("code")) })
}

// concept is what a CodeableConcept is called: by who wrote it, else by its coding.
func concept(v *fhir.Value) string {
	if text := v.Str("text"); text != "" {
		return text
	}
	for _, name := range []string{"display", "code"} {
		for _, c := range items(v.Get("coding")) {
			if text := c.Str(name); text != "" {
				return text
			}
		}
	}
	return ""
}

// when is the moment that a record tells of, as written: when it happened, before when
// that was written down.
func when(v *fhir.Value) string {
	for _, path := range [][]string{{"effectiveDateTime"}, {"effectivePeriod", "start"}, {"effectiveInstant"}, {"occurrenceDateTime"},
		{"performedDateTime"}, {"performedPeriod", "start"}, {"timingDateTime"}, {"timingPeriod", "start"}, {"whenHandedOver"}, {"whenPrepared"},
		{"onsetDateTime"}, {"onsetPeriod", "start"}, {"authoredOn"}, {"period", "start"}, {"recordedDate"}, {"dateAsserted"},
		{"recordedOn"}, {"dateTime"}, {"date"}, {"created"}, {"issued"}, {"recorded"}} {
		if text := v.Str(path...); text != "" {
			return text
		}
	}
	return ""
}

// title is what a record is about: its code, what was given or worn, or else what its
// writer called it.
func (t teller) title(v *fhir.Value) string {
	for _, name := range []string{"code", "vaccineCode", "medicationCodeableConcept"} {
		if c := v.Get(name); c != nil {
			if text := t.known(c); text != "" {
				return text
			}
		}
	}
	for _, name := range []string{"medicationReference", "device"} {
		if ref := v.Get(name); ref != nil {
			if text := ref.Str("display"); text != "" {
				return text
			}
			return t.named(ref)
		}
	}
	for _, name := range []string{"title", "description"} {
		if text := v.Str(name); text != "" {
			return text
		}
	}
	if kinds := t.each(v.Get("category"), concept); len(kinds) > 0 {
		return strings.Join(kinds, ", ")
	}
	if text := concept(v.Get("scope")); text != "" {
		return text
	}
	return strings.Join(t.each(v.Get("recommendation"), func(r *fhir.Value) string {
		return strings.Join(t.each(r.Get("vaccineCode"), concept), ", ")
	}), "; ")
}

// known is concept in the language of the document where a code has words here, as those
// have which say that there is nothing.
func (t teller) known(v *fhir.Value) string {
	for _, c := range items(v.Get("coding")) {
		if text := t.words["code."+c.Str("code")]; text != "" {
			return text
		}
	}
	return concept(v)
}

// detail is what a record says of what it is about, in one line: what a reader decides by,
// and not all that the entry holds.
func (t teller) detail(v *fhir.Value) string {
	var out []string
	add := func(parts ...string) { out = append(out, parts...) }
	switch v.Str("resourceType") {
	case "Observation":
		add(t.value(v))
		add(t.each(v.Get("component"), func(c *fhir.Value) string {
			return strings.TrimSpace(concept(c.Get("code")) + " " + t.value(c))
		})...)
		add(t.each(v.Get("interpretation"), concept)...)
	case "AllergyIntolerance":
		add(t.each(v.Get("reaction"), func(r *fhir.Value) string {
			return strings.Join(append(t.each(r.Get("manifestation"), concept), t.get(r.Str("severity"))), ", ")
		})...)
		if risk := v.Str("criticality"); risk != "" {
			add(t.get("criticality." + risk))
		}
	case "MedicationRequest":
		add(t.each(v.Get("dosageInstruction"), t.dosage)...)
	case "MedicationStatement":
		add(t.each(v.Get("dosage"), t.dosage)...)
	case "MedicationDispense":
		add(t.each(v.Get("dosageInstruction"), t.dosage)...)
	case "MedicationAdministration":
		add(t.dosage(v.Get("dosage")))
	case "Immunization":
		add(t.each(v.Get("protocolApplied"), func(p *fhir.Value) string {
			return t.label("dose", p.Str("doseNumberPositiveInt")+p.Str("doseNumberString"))
		})...)
		add(t.label("lot", v.Str("lotNumber")))
	case "Condition":
		add(concept(v.Get("severity")))
	case "Procedure":
		add(t.each(v.Get("reasonCode"), concept)...)
		add(concept(v.Get("outcome")))
	case "DiagnosticReport":
		add(v.Str("conclusion"))
	case "DeviceUseStatement":
		add(concept(v.Get("bodySite")))
	case "CarePlan":
		add(v.Str("description"))
	}
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), " · ")
}

// each says every item of a list that has something to say.
func (t teller) each(list *fhir.Value, say func(*fhir.Value) string) (out []string) {
	for _, x := range items(list) {
		if text := say(x); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// label puts a word before a text; "" where there is no text.
func (t teller) label(key, text string) string {
	if text == "" {
		return ""
	}
	return t.get(key) + " " + text
}

// dosage is how a medicine is taken: in the words of who wrote it, else its amount.
func (t teller) dosage(v *fhir.Value) string {
	if text := v.Str("text"); text != "" {
		return text
	}
	out := []string{t.quantity(v.Get("dose")), concept(v.Get("route"))}
	for _, d := range items(v.Get("doseAndRate")) {
		out = append(out, t.quantity(d.Get("doseQuantity")))
	}
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), ", ")
}

// value is the value[x] of an Observation or a component of one, or why there is none.
func (t teller) value(v *fhir.Value) string {
	for _, f := range v.Fields {
		switch f.Name {
		case "valueQuantity":
			return t.quantity(f.Value)
		case "valueCodeableConcept", "dataAbsentReason":
			return concept(f.Value)
		case "valueString", "valueTime":
			return f.Value.Text
		case "valueInteger":
			return t.number(f.Value.Text)
		case "valueBoolean":
			return t.get("is." + f.Value.Text)
		case "valueDateTime":
			return t.date(f.Value.Text)
		case "valuePeriod":
			return t.date(f.Value.Str("start")) + " – " + t.date(f.Value.Str("end"))
		case "valueRange":
			return t.quantity(f.Value.Get("low")) + " – " + t.quantity(f.Value.Get("high"))
		case "valueRatio":
			return t.quantity(f.Value.Get("numerator")) + " : " + t.quantity(f.Value.Get("denominator"))
		}
	}
	return ""
}

// quantity writes a Quantity with its unit as written, else as coded.
func (t teller) quantity(v *fhir.Value) string {
	unit := v.Str("unit")
	if unit == "" {
		unit = v.Str("code")
	}
	return strings.TrimSpace(v.Str("comparator") + t.number(v.Str("value")) + " " + unit)
}

// status is how it stands with a record: what turns its meaning round (the modifier
// elements of FHIR R4), its status, and how sure it is.
func (t teller) status(section string, v *fhir.Value) string {
	var out []string
	if v.Str("doNotPerform") == "true" {
		out = append(out, t.get("doNotPerform"))
	}
	// A CarePlan is a plan.
	if intent := v.Str("intent"); notOrdered(intent) && (v.Str("resourceType") != "CarePlan" || intent != "plan") {
		out = append(out, t.get("intent."+intent))
	}
	turned := len(out) > 0
	for _, code := range []string{v.Str("status"), first(v.Get("clinicalStatus")), first(v.Get("verificationStatus"))} {
		// What must not be done, or is not ordered yet, is not in use for being "active".
		if code != "" && (!turned || code != "active") {
			out = append(out, t.code(section, code))
		}
	}
	if v.Str("isSubpotent") == "true" {
		out = append(out, t.get("isSubpotent"))
	}
	return strings.Join(out, ", ")
}

// notOrdered reports whether an intent is of what nobody has ordered yet.
func notOrdered(intent string) bool {
	return slices.Contains([]string{"proposal", "plan", "option"}, intent)
}

// first is the first code of a CodeableConcept.
func first(v *fhir.Value) string {
	for _, c := range items(v.Get("coding")) {
		return c.Str("code")
	}
	return ""
}
