package show

import (
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

// EnteredInError is FHIR R4's code for what should never have been written.
const EnteredInError = "entered-in-error"

// Wrong reports whether a record says that it was entered in error.
func Wrong(content *fhir.Value) bool {
	for _, c := range items(content.Get("verificationStatus").Get("coding")) {
		if c.Str("code") == EnteredInError {
			return true
		}
	}
	return content.Str("status") == EnteredInError
}

// Line reads a resource out in one line.
func (s *Show) Line(content *fhir.Value) Line {
	kind := content.Str("resourceType")
	l := Line{When: s.Date(when(content)), Title: s.title(kind, content), Detail: s.detail(kind, content), Wrong: Wrong(content)}
	if l.Wrong {
		l.Status = s.Code("status", EnteredInError)
		return l.titled(s.Kind(kind))
	}
	if st := content.Get("status"); st != nil && st.Shape == fhir.String {
		if ordinary(st.Text) {
			return l.titled(s.Kind(kind))
		}
		l.Status = s.Code("status", st.Text)
	} else if st := content.Get("clinicalStatus"); st != nil {
		l.Status = s.concept("clinicalStatus", st)
		// Of an allergy, how sure it is counts as much as whether it holds.
		if sure := s.concept("verificationStatus", content.Get("verificationStatus")); kind == "AllergyIntolerance" && sure != "" {
			l.Status += ", " + sure
		}
	}
	return l.titled(s.Kind(kind))
}

func (l Line) titled(kind string) Line {
	if l.Title == "" {
		l.Title = kind
	}
	return l
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

// components joins what was measured together; two values of one unit, as of a
// blood pressure, as 115/67 mmHg.
func (s *Show) components(parts []*fhir.Value) string {
	if len(parts) == 2 && parts[0].Str("valueQuantity", "value") != "" && parts[1].Str("valueQuantity", "value") != "" &&
		parts[0].Str("valueQuantity", "unit") == parts[1].Str("valueQuantity", "unit") {
		return s.Number(parts[0].Str("valueQuantity", "value")) + "/" + s.Number(parts[1].Str("valueQuantity", "value")) + " " + parts[0].Str("valueQuantity", "unit")
	}
	var out []string
	for _, p := range parts {
		out = append(out, s.concept("code", p.Get("code"))+" "+s.measure("Observation.component", p))
	}
	return strings.Join(out, "; ")
}
