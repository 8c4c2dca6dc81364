package event

import (
	"tram/store/audit"
	"tram/store/fhir"
)

// meaning is an act in the codes of FHIR and DICOM.
type meaning struct {
	kind    *fhir.Value   // AuditEvent.type
	sub     []*fhir.Value // AuditEvent.subtype, beside our own code
	action  string        // C, R, U, D or E
	outcome string        // "0" is success, "4" a minor failure such as a wrong password, "8" a serious one
	pattern string        // of IHE's, without "Patient"; "" for none
}

// meaningOf tells the codes of an entry. What FHIR's interactions do not know is an
// update of its record, or DICOM's (PS3.15 A.5.3).
func meaningOf(e audit.Entry) meaning {
	rest := func(code, action, pattern string) meaning {
		return meaning{coding(terms+"audit-event-type", "rest", "RESTful Operation"),
			[]*fhir.Value{coding("http://hl7.org/fhir/restful-interaction", code, code)}, action, "0", pattern}
	}
	other := func(code, display, action string, sub ...*fhir.Value) meaning {
		return meaning{coding(dicom, code, display), sub, action, "0", ""}
	}
	if e.Purpose == "staff-accounts" || e.Purpose == "program-token" {
		action := map[audit.Action]string{audit.Create: "C", audit.Delete: "D"}[e.Action]
		if action == "" {
			action = "U"
		}
		return other("110113", "Security Alert", action, coding(dicom, "110137", "User security Attributes Changed"))
	}
	switch e.Action {
	case audit.Read:
		return rest("read", "R", "Read")
	case "history":
		return rest("history", "R", "")
	case audit.Search:
		return rest("search", "E", "Query")
	case audit.Create:
		return rest("create", "C", "Create")
	case audit.Delete:
		return rest("delete", "D", "Delete")
	case audit.Update, audit.Decide:
		return rest("update", "U", "Update")
	case audit.SignIn:
		return other("110114", "User Authentication", "E", coding(dicom, "110122", "Login"))
	case audit.Refuse:
		m := other("110114", "User Authentication", "E", coding(dicom, "110122", "Login"))
		m.outcome = "4"
		return m
	case audit.Export:
		return other("110106", "Export", "R")
	case audit.Review:
		return other("110101", "Audit Log Used", "R")
	case audit.Lost:
		m := other("110100", "Application Activity", "E")
		m.outcome = "8"
		return m
	}
	return meaning{coding(terms+"audit-event-type", "rest", "RESTful Operation"), nil, "U", "0", ""}
}
