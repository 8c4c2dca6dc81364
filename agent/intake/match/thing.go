package match

import (
	"slices"
	"time"

	"tram/store/fhir"
	"tram/store/people"
)

// Contradicts reports whether a record cannot be what a file says under the same number: a
// number that is used once more, for another day, value or status, is that of something
// else. What one of them does not say contradicts nothing.
func Contradicts(r4 *fhir.R4, was, said *fhir.Value) bool {
	kind := said.Str("resourceType")
	return slices.ContainsFunc(said.Fields, func(f fhir.Field) bool {
		have := was.Get(f.Name)
		switch {
		case named(f.Name) || worded(kind, f.Name):
			return false
		case kind == "Encounter" && f.Name == "status":
			return step(was) == 0 // somebody took it back
		case have == nil:
			return chosen(r4, was, f.Name)
		case kind == "Encounter" && f.Name == "period": // each event tells the start by a clock of its own
			return differ(day(have.Str("start")), day(f.Value.Str("start"))) || differ(have.Str("end"), f.Value.Str("end"))
		case kind == "Immunization" && f.Name == "occurrenceDateTime":
			return day(have.Text) != day(f.Value.Text)
		case kind == "Immunization" && f.Name == "doseQuantity":
			return have.Get("value") != nil && !fhir.Same(have.Get("value"), f.Value.Get("value"))
		case kind == "Immunization" && f.Name == "lotNumber":
			return people.Plain(have.Text) != people.Plain(f.Value.Text)
		}
		e, _ := r4.Elem(kind, f.Name)
		return !alike(e, have, f.Value)
	})
}

// worded reports fields in which two messages about one thing differ: each registry words
// anew by whom, where and how a dose was given, and a visit's class is that of its event.
func worded(kind, field string) bool {
	switch kind {
	case "Encounter":
		return field == "class"
	case "Immunization":
		return slices.Contains([]string{"statusReason", "primarySource", "reportOrigin", "location", "manufacturer", "expirationDate", "site", "route", "performer"}, field)
	}
	return false
}

// Further is a record with what a file says more of it, which contradicts nothing; itself
// where that is nothing. A visit goes on, begun after planned and ended after begun, and
// never back.
func Further(was, said *fhir.Value) *fhir.Value {
	out := was
	if keep := was.Get("period"); said.Str("resourceType") == "Encounter" {
		begun := was.Str("status") == "planned" && step(said) > step(was)
		period := keep
		for _, end := range []string{"start", "end"} {
			if at := said.Get("period").Get(end); at != nil && (keep.Get(end) == nil || begun && end == "start") {
				period = period.With(end, at)
			}
		}
		if period != keep {
			out = out.With("period", period)
		}
		if begun && said.Get("class") != nil {
			out = out.With("class", said.Get("class"))
		}
		if step(said) > step(was) {
			out = out.With("status", said.Get("status"))
		}
	}
	for _, f := range said.Fields {
		if !named(f.Name) && out.Get(f.Name) == nil {
			out = out.With(f.Name, f.Value)
		}
	}
	return out
}

// named reports fields that say which record it is, and whose.
func named(field string) bool {
	return slices.Contains([]string{"resourceType", "id", "meta", "identifier", "subject", "patient"}, field)
}

// step is how far a visit has gone on; 0 for one that was taken back.
func step(visit *fhir.Value) int {
	return map[string]int{"planned": 1, "unknown": 1, "arrived": 2, "triaged": 2, "in-progress": 3, "onleave": 3, "finished": 4}[visit.Str("status")]
}

// chosen reports whether a record has another field of the same choice, such as valueString
// for valueQuantity.
func chosen(r4 *fhir.R4, v *fhir.Value, field string) bool {
	kind := v.Str("resourceType")
	e, _ := r4.Elem(kind, field)
	return slices.ContainsFunc(v.Fields, func(f fhir.Field) bool {
		other, ok := r4.Elem(kind, f.Name)
		return ok && other.Base == e.Base
	})
}

// alike reports whether two values of an element say the same: times by their clocks, as far
// as both are said, and concepts by their codes.
func alike(e fhir.Elem, a, b *fhir.Value) bool {
	switch {
	case e.Type == "dateTime" || e.Type == "instant":
		return !differ(clock(a.Text), clock(b.Text))
	case e.Type == "CodeableConcept" && !e.List:
		return SameConcept(a, b)
	}
	return fhir.Equal(a, b)
}

func day(moment string) string { return moment[:min(len(moment), len(time.DateOnly))] }

func clock(moment string) string { return moment[:min(len(moment), len("2006-01-02T15:04:05"))] }
