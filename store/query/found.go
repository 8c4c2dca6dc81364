package query

import (
	"math"
	"slices"

	"tram/store/fhir"
)

// Found is what a record is found by without being read.
type Found struct {
	// People are the ids of the patients whom it is about.
	People []string
	// Date is when it belongs, in Unix milliseconds; the least there is for one that
	// has no date, whatever is written to it.
	Date int64
	// Codes are those of its parameter "code".
	Codes []string
}

// FoundBy works out what a resource is found by.
func FoundBy(r4 *fhir.R4, content *fhir.Value) Found {
	kind := content.Str("resourceType")
	f := Found{People: peopleOf(r4, content), Date: dateOf(r4, content, kind)}
	if p, ok := r4.Param(kind, "code"); ok {
		for _, v := range r4.SearchValues(content, p) {
			f.Codes = append(f.Codes, v.Code)
		}
	}
	return f
}

// peopleOf are the ids of the people whom a resource is about: those in whose
// compartment R4 puts it, and those whom its parameter "patient" finds. R4 puts
// Task, Device and others in no compartment, and yet they are not for everybody.
func peopleOf(r4 *fhir.R4, content *fhir.Value) []string {
	ids := r4.Patients(content)
	p, ok := r4.Param(content.Str("resourceType"), "patient")
	if !ok || p.Type != "reference" {
		return ids
	}
	for _, v := range r4.SearchValues(content, p) {
		if v.Kind == "Patient" && v.ID != "" && v.URL == "" {
			ids = append(ids, v.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// dateParams are the search parameters that tell when a record belongs, the first that
// a kind has and a record fills.
func dateParams() []string {
	return []string{"date", "onset-date", "authoredon", "authored", "authored-on", "recorded-date", "sent", "created", "period", "issued", "birthdate"}
}

func dateOf(r4 *fhir.R4, content *fhir.Value, kind string) int64 {
	for _, name := range dateParams() {
		p, ok := r4.Param(kind, name)
		if !ok || p.Type != "date" {
			continue
		}
		if vals := r4.SearchValues(content, p); len(vals) > 0 {
			if vals[0].Low == math.MinInt64 {
				return vals[0].High
			}
			return vals[0].Low
		}
	}
	return math.MinInt64
}
