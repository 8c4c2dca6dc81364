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
	// Private says that it may be about somebody whom no reference names here: it is not
	// for everybody.
	Private bool
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
	f.Private = len(f.People) == 0 && private(r4, content)
	if p, ok := r4.Param(kind, "code"); ok {
		for _, v := range r4.SearchValues(content, p) {
			f.Codes = append(f.Codes, v.Code)
		}
	}
	return f
}

// peopleOf are the ids of the people whom a resource is about: those in whose
// compartment R4 puts it, and those whom its parameter "patient" finds. R4 puts
// Task, Device and others in no compartment, and yet they are not for everybody. One of
// a kind that R4 relates to nobody is about whom it refers to all the same, and a Bundle
// about all of whom its entries are.
func peopleOf(r4 *fhir.R4, content *fhir.Value) []string {
	kind := content.Str("resourceType")
	ids := r4.Patients(content)
	if p, ok := r4.Param(kind, "patient"); ok && p.Type == "reference" {
		for _, v := range r4.SearchValues(content, p) {
			if v.Kind == "Patient" && v.ID != "" && v.URL == "" {
				ids = append(ids, v.ID)
			}
		}
	}
	if !r4.OfPeople(kind) {
		for _, ref := range r4.Refs(content) {
			if ref.Kind == "Patient" && !ref.Absolute {
				ids = append(ids, ref.ID)
			}
		}
	}
	for _, e := range fhir.Entries(content) {
		if e.Resource != nil && e.Resource.Str("resourceType") != "Bundle" {
			ids = append(ids, peopleOf(r4, e.Resource)...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// private reports whether a resource that names no person of this system may be about one:
// by an identifier, a name, an address elsewhere or what is in it. R4's kinds of the
// directory, of medicines and of definitions are not.
func private(r4 *fhir.R4, content *fhir.Value) bool {
	kind := content.Str("resourceType")
	if r4.OfPeople(kind) || carries(kind) {
		return true
	}
	inside := content.Get("contained")
	return slices.ContainsFunc(r4.Refs(content), func(ref fhir.Ref) bool { return ref.Kind == "Patient" }) ||
		inside != nil && slices.ContainsFunc(inside.Items, func(x *fhir.Value) bool { return private(r4, x) })
}

// carries reports whether a kind has anything in it, or tells of what happened with it.
func carries(kind string) bool {
	switch kind {
	case "Binary", "BiologicallyDerivedProduct", "Bundle", "EnrollmentResponse", "Linkage", "MessageHeader", "OperationOutcome",
		"Parameters", "PaymentNotice", "PaymentReconciliation", "Subscription", "TestReport", "VerificationResult":
		return true
	}
	return false
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
