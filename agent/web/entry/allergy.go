package entry

import (
	"time"

	"tram/store/fhir"
)

// AllergyFields are the fields of an allergy.
func AllergyFields() []Field {
	return []Field{
		{Name: "substance", Type: Text, Required: true},
		{Name: "category", Type: Choice, Choices: []string{"medication", "food", "environment", "biologic"}},
		{Name: "criticality", Type: Choice, Choices: []string{"high", "low", "unable-to-assess"}},
		{Name: "reaction", Type: Text},
		{Name: "certainty", Type: Choice, Required: true, Choices: []string{"unconfirmed", "confirmed"}},
	}
}

// Allergy makes an AllergyIntolerance.
func Allergy(patient, who, id string, t Typed, now time.Time) *fhir.Value {
	v := fhir.NewObject(str("resourceType", "AllergyIntolerance"), str("id", id),
		fhir.Field{Name: "clinicalStatus", Value: concept("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active", "")},
		fhir.Field{Name: "verificationStatus", Value: concept("http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", t["certainty"], "")})
	if t["category"] != "" {
		v = v.With("category", fhir.NewArray(fhir.NewString(t["category"])))
	}
	// The day, not the moment: the same form sent twice must make the same record.
	v = v.With("criticality", text(t["criticality"])).
		With("code", fhir.NewObject(str("text", t["substance"]))).
		With("patient", fhir.NewObject(str("reference", "Patient/"+patient))).
		With("recordedDate", fhir.NewString(now.Format(time.DateOnly))).
		With("asserter", fhir.NewObject(str("display", who)))
	if t["reaction"] != "" {
		v = v.With("reaction", fhir.NewArray(fhir.NewObject(fhir.Field{Name: "manifestation",
			Value: fhir.NewArray(fhir.NewObject(str("text", t["reaction"])))})))
	}
	return v
}
