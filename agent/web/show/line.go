package show

import (
	"slices"
	"strings"

	"tram/store/fhir"
)

// Line is a record in a list: when it belongs, what it is, and what it says.
type Line struct {
	When   string // as Date writes it; "" where it has none
	Title  string
	Detail string
	Status string // "" where it is the ordinary one
	Wrong  bool   // entered in error
}

// Short is what a record is about, with how it stands with it where that is not the ordinary.
func (l Line) Short() string {
	if l.Status == "" {
		return l.Title
	}
	return l.Title + " (" + l.Status + ")"
}

// EnteredInError is FHIR R4's code for what should never have been written.
const EnteredInError = "entered-in-error"

// Wrong reports whether a record says that it was entered in error.
func Wrong(content *fhir.Value) bool {
	return bears(content.Get("verificationStatus"), "", EnteredInError) || content.Str("status") == EnteredInError
}

// bears reports whether a CodeableConcept bears a code, of the system if one is named.
func bears(concept *fhir.Value, system, code string) bool {
	return slices.ContainsFunc(items(concept.Get("coding")), func(c *fhir.Value) bool {
		return c.Str("code") == code && (system == "" || c.Str("system") == system)
	})
}

// Line reads a resource out in one line.
func (s *Show) Line(content *fhir.Value) Line {
	kind := content.Str("resourceType")
	l := Line{When: s.Date(when(content)), Title: either(s.title(kind, content), s.Kind(kind)), Detail: s.detail(kind, content), Wrong: Wrong(content)}
	if l.Status = s.status(kind, content); l.Wrong {
		l.Status = s.Code("status", EnteredInError)
	}
	return l
}

// status says how it stands with a record; what turns its meaning round (the modifier
// elements of FHIR R4) comes first.
func (s *Show) status(kind string, v *fhir.Value) string {
	var out []string
	if v.Str("doNotPerform") == "true" {
		out = append(out, s.Code("doNotPerform", "true"))
	}
	// A CarePlan is a plan; of an order, being one goes without saying.
	if intent := v.Str("intent"); intent != "" && !strings.HasSuffix(intent, "order") && (kind != "CarePlan" || intent != "plan") {
		out = append(out, s.Code("only", intent))
	}
	turned := len(out) > 0
	if st := v.Get("status"); st != nil && st.Shape == fhir.String {
		// What must not be done, or is not ordered yet, is not in use for being "active".
		if !ordinary(st.Text) && (!turned || st.Text != "active") {
			out = append(out, s.codeOf(kind, "status", st.Text))
		}
	} else if st := v.Get("clinicalStatus"); st != nil {
		out = append(out, s.concept("clinicalStatus", st))
	}
	// Of an allergy, how sure it is counts as much as whether it holds.
	if sure := v.Get("verificationStatus"); sure != nil && (kind == "AllergyIntolerance" || !bears(sure, "", "confirmed")) {
		out = append(out, s.concept("verificationStatus", sure))
	}
	if v.Str("isSubpotent") == "true" {
		out = append(out, s.Code("isSubpotent", "true"))
	}
	for _, x := range items(v.Get("modifierExtension")) {
		r := s.extension(x)
		out = append(out, r.Label+": "+r.Line())
	}
	return strings.Join(slices.DeleteFunc(out, func(text string) bool { return text == "" }), ", ")
}

// ordinary are the states in which nearly every record is: saying so in a list
// would hide those that are not.
func ordinary(status string) bool {
	return status == "final" || status == "finished" || status == "completed" || status == "current"
}

// when is the moment that a record tells of, as written.
func when(v *fhir.Value) string {
	// What happened comes before what was planned, and both before when it was written.
	for _, path := range [][]string{{"effectiveDateTime"}, {"effectivePeriod", "start"}, {"effectiveInstant"}, {"occurrenceDateTime"},
		{"performedDateTime"}, {"performedPeriod", "start"}, {"onsetDateTime"}, {"start"}, {"authoredOn"}, {"period", "start"},
		{"recordedDate"}, {"recorded"}, {"date"}, {"dateTime"}, {"sent"}, {"created"}, {"issued"}, {"birthDate"}} {
		if t := v.Str(path...); t != "" {
			return t
		}
	}
	return ""
}

// title is what a record is about, by the first element that tells it.
func (s *Show) title(kind string, v *fhir.Value) string {
	for _, base := range []string{"code", "vaccineCode", "medication[x]", "name", "type", "policyRule", "appointmentType", "title", "description", "scope", "class"} {
		f, e, ok := s.choice(kind, v, base)
		if !ok {
			continue
		}
		if f.Shape == fhir.Array && len(f.Items) > 0 {
			f = f.Items[0]
		}
		// A class alone is an adjective: the title is what such a visit is called.
		if t, ok := s.labels["code"]["title."+f.Str("code")]; ok && base == "class" {
			return t
		}
		if t := s.text(e, f); t != "" {
			return t
		}
	}
	return ""
}

// detail is what the record says of it.
func (s *Show) detail(kind string, v *fhir.Value) string {
	if parts := items(v.Get("component")); kind == "Observation" && len(parts) > 0 {
		return s.components(parts)
	}
	var out []string
	for _, base := range []string{"value[x]", "dosageInstruction", "reasonCode", "reaction", "conclusion", "lotNumber", "description", "comment", "severity", "criticality", "payload"} {
		f, e, ok := s.choice(kind, v, base)
		if !ok {
			continue
		}
		if t := s.text(e, f); t != "" && t != s.title(kind, v) {
			if base == "lotNumber" {
				t = s.Element(kind, base) + ": " + t
			}
			out = append(out, t)
		}
	}
	if n := items(v.Get("note")); len(out) == 0 && len(n) > 0 {
		out = append(out, n[0].Str("text"))
	}
	return strings.Join(out, " · ")
}

// components joins what was measured together; a blood pressure is written as 115/67 mmHg.
func (s *Show) components(parts []*fhir.Value) string {
	const systolic, diastolic = "8480-6", "8462-4"
	of := map[string]*fhir.Value{}
	for _, p := range parts {
		for _, code := range []string{systolic, diastolic} {
			if q := p.Get("valueQuantity"); bears(p.Get("code"), "http://loinc.org", code) && q.Str("value") != "" && q.Get("comparator") == nil {
				of[code] = q
			}
		}
	}
	if unit := of[systolic].Str("unit"); len(parts) == 2 && len(of) == 2 && unit == of[diastolic].Str("unit") {
		return s.Number(of[systolic].Str("value")) + "/" + s.Number(of[diastolic].Str("value")) + " " + unit
	}
	var out []string
	for _, p := range parts {
		out = append(out, s.concept("code", p.Get("code"))+" "+s.measure("Observation.component", p))
	}
	return strings.Join(out, "; ")
}
