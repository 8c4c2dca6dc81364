package fhir

import (
	"slices"
	"strings"
)

// ItemKey is what identifies an item of the list typePath.e when two copies
// of a resource are compared. strong names one and the same thing (an
// identifier's system and value); slot names the place that a changed value
// still fills (the mobile phone). Either may be "". Element.id is the
// caller's business, and so is a key that occurs twice in a list: items of
// equal keys are told apart by nothing here.
//
// Keys hold content of the resource and must not be logged or stored.
func (r *R4) ItemKey(typePath string, e Elem, item *Value) (strong, slot string) {
	if item == nil || item.Shape == Null {
		return "", ""
	}
	if e.Backbone {
		def := r.types[e.TypePath]
		strongBy, slotBy := keyFields(typePath + "." + e.Name)
		return r.keyOf(def, item, strongBy), r.keyOf(def, item, slotBy)
	}
	return r.dataKey(e, item), slotKey(e.Type, item)
}

// Atomic says whether a merge treats the element as one value. Every
// primitive and every data type is; backbone elements and contained resources
// are merged inside.
func (r *R4) Atomic(e Elem) bool { return !e.Backbone && e.Type != "Resource" }

// join makes one key of its parts so that no two lists of parts share a key;
// parts that are all empty make no key.
func join(parts ...string) string {
	var b []byte
	empty := true
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		if p != "" {
			empty = false
			b = appendString(b, p)
		}
	}
	if empty {
		return ""
	}
	return string(b)
}

// dataKey is the strong key of an item of a data type, a primitive or a contained resource.
func (r *R4) dataKey(e Elem, v *Value) string {
	switch e.Type {
	case "Identifier", "ContactPoint":
		return withValue(v, "value")
	case "Coding":
		return withValue(v, "code")
	case "CodeableConcept":
		return conceptKey(v)
	case "Extension":
		return v.Str("url")
	case "Resource":
		if v.Str("id") == "" {
			return ""
		}
		return join(v.Str("resourceType"), v.Str("id"))
	case "Reference":
		if s := v.Str("reference"); s != "" {
			return s
		}
		if id := v.Get("identifier"); id != nil {
			return withValue(id, "value")
		}
		return ""
	case "Annotation":
		return join(v.Str("time"), v.Str("authorString"), v.Str("authorReference", "reference"), v.Str("text"))
	case "Attachment":
		return join(v.Str("url"), v.Str("hash"))
	}
	if e.Primitive {
		return v.Text
	}
	return ""
}

// withValue is system and value, "" without a value: a system alone names nothing.
func withValue(v *Value, field string) string {
	if v.Str(field) == "" {
		return ""
	}
	return join(v.Str("system"), v.Str(field))
}

// conceptKey is the codings of a CodeableConcept in any order, else its text.
func conceptKey(v *Value) string {
	var codes []string
	if list := v.Get("coding"); list != nil {
		for _, x := range list.Items {
			if k := withValue(x, "code"); k != "" {
				codes = append(codes, k)
			}
		}
	}
	if len(codes) == 0 {
		return join("", v.Str("text")) // leading empty part: a text is no coding
	}
	slices.Sort(codes)
	return join(codes...)
}

// slotKey is the place of an item of a data type.
func slotKey(typ string, v *Value) string {
	switch typ {
	case "ContactPoint":
		return join(v.Str("system"), v.Str("use"))
	case "HumanName", "Address":
		return v.Str("use")
	case "Identifier", "Coding":
		return v.Str("system")
	}
	return ""
}

// keyOf joins what the named fields of a nested structure hold.
func (r *R4) keyOf(def *typeDef, v *Value, fields []string) string {
	if def == nil || len(fields) == 0 {
		return ""
	}
	parts := make([]string, len(fields))
	for i, name := range fields {
		parts[i] = r.partKey(def, v, name)
	}
	return join(parts...)
}

// partKey is the key of one field: of a list the keys of its items in any
// order, of a choice whichever type is there, and the whole value where its
// type has no key. A dotted name looks inside.
func (r *R4) partKey(def *typeDef, v *Value, name string) string {
	if head, tail, ok := strings.Cut(name, "."); ok {
		e := def.elem(head)
		if e == nil || r.types[e.TypePath] == nil || v.Get(head) == nil {
			return ""
		}
		return r.partKey(r.types[e.TypePath], v.Get(head), tail)
	}
	e, x := def.elem(name), v.Get(name)
	if stem, choice := strings.CutSuffix(name, "[x]"); choice {
		for i := range v.Fields {
			f := &v.Fields[i]
			if y := def.elem(f.Name); strings.HasPrefix(f.Name, stem) && y != nil && y.Base == name {
				e, x = y, f.Value
			}
		}
	}
	if e == nil || x == nil {
		return ""
	}
	if x.Shape != Array {
		return r.wholeKey(*e, x)
	}
	var keys []string
	for _, y := range x.Items {
		keys = append(keys, r.wholeKey(*e, y))
	}
	slices.Sort(keys)
	return join(keys...)
}

// wholeKey is a key in any case: where the type has none, the value itself.
func (r *R4) wholeKey(e Elem, v *Value) string {
	if k := r.dataKey(e, v); k != "" {
		return k
	}
	return string(Canonical(v))
}

// keyFields names the fields of a nested structure that tell its items apart:
// strong for one and the same thing, slot for its place. Structures that are
// not listed have no natural key.
func keyFields(path string) (strong, slot []string) {
	by := func(fields ...string) []string { return fields }
	switch path {
	case "Patient.contact":
		return by("relationship", "name"), by("relationship")
	case "Patient.communication", "RelatedPerson.communication":
		return by("language"), nil
	case "Patient.link":
		return by("other"), nil
	case "Person.link":
		return by("target"), nil
	case "Practitioner.qualification":
		return by("code"), nil
	case "Organization.contact":
		return by("purpose", "name"), by("purpose")
	case "Observation.component", "FamilyMemberHistory.condition":
		return by("code"), nil
	case "Immunization.protocolApplied":
		return by("targetDisease", "doseNumber[x]"), by("targetDisease")
	case "Immunization.performer", "Procedure.performer", "MedicationAdministration.performer", "MedicationDispense.performer":
		return by("actor", "function"), by("function")
	case "Immunization.reaction":
		return by("date", "detail"), nil
	case "ImmunizationRecommendation.recommendation":
		return by("vaccineCode", "targetDisease"), nil
	case "ImmunizationRecommendation.recommendation.dateCriterion":
		return by("code"), nil
	case "Encounter.participant":
		return by("individual", "type"), by("type")
	case "Encounter.diagnosis", "EpisodeOfCare.diagnosis":
		return by("condition"), nil
	case "Encounter.location":
		return by("location", "period.start"), nil
	case "Encounter.statusHistory", "EpisodeOfCare.statusHistory":
		return by("status", "period.start"), nil
	case "Encounter.classHistory":
		return by("class", "period.start"), nil
	case "AllergyIntolerance.reaction":
		return by("manifestation"), nil
	case "DiagnosticReport.media":
		return by("link"), nil
	case "CarePlan.activity":
		return by("reference"), nil
	case "CareTeam.participant":
		return by("member", "role"), by("role")
	case "Goal.target":
		return by("measure"), nil
	case "Appointment.participant":
		return by("actor"), nil
	case "Task.input", "Task.output":
		return by("type", "value[x]"), by("type")
	case "DocumentReference.content":
		return by("attachment"), nil
	case "DocumentReference.relatesTo":
		return by("code", "target"), nil
	case "Consent.policy":
		return by("authority", "uri"), nil
	case "Consent.provision.actor", "Consent.provision.data":
		return by("reference"), nil
	case "Coverage.class":
		return by("type", "value"), by("type")
	case "Account.coverage":
		return by("coverage"), nil
	case "List.entry":
		return by("item"), nil
	case "Group.member":
		return by("entity"), nil
	case "Group.characteristic":
		return by("code"), nil
	case "Device.deviceName":
		return by("type", "name"), by("type")
	case "Device.property":
		return by("type"), nil
	case "Medication.ingredient":
		return by("item[x]"), nil
	case "Provenance.agent":
		return by("who", "type"), by("type")
	case "Questionnaire.item", "Questionnaire.item.item", "QuestionnaireResponse.item",
		"QuestionnaireResponse.item.item", "QuestionnaireResponse.item.answer.item":
		return by("linkId"), nil
	}
	return nil, nil
}
