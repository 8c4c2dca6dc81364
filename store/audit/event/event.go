// Package event says an entry of the audit in the words of FHIR R4: an AuditEvent by
// IHE's Basic Audit Log Patterns (BALP 1.1, https://profiles.ihe.net/ITI/BALP).
//
// It owns which codes stand for which act. It promises that an event holds nothing but
// what its entry and the caller say, that it says so where a pattern asks for what the
// audit does not keep, and that who has the event before it can verify its place in the
// chain. It does no I/O.
package event

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/record"
)

// Systems of ours, and IHE's patterns.
const (
	AccountSystem = "urn:tram:account" // of who did it: a user name, "program:" and an id
	StationSystem = "urn:tram:station" // of where it was
	ActionSystem  = "urn:tram:audit-action"
	ChainURL      = "urn:tram:audit-chain" // extension: number, entry, digest
	patterns      = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

	terms  = "http://terminology.hl7.org/CodeSystem/"
	dicom  = "http://dicom.nema.org/resources/ontology/DCM"
	absent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
)

// Of is the AuditEvent of an entry that a station keeps. Patients are the ids of the
// Patients that the entry's record belongs to; none where nobody knows.
func Of(e audit.Numbered, station string, patients []string) (*fhir.Value, error) {
	chain, err := chained(e)
	if err != nil {
		return nil, err
	}
	m := meaningOf(e.Entry)
	pattern := m.pattern
	if len(patients) == 1 {
		pattern = "Patient" + pattern
	}
	var meta *fhir.Value
	if m.pattern != "" && e.Key.Valid() { // a pattern is about a record
		meta = object("profile", fhir.NewArray(fhir.NewString(patterns+pattern)))
	}
	var purpose *fhir.Value
	if e.Purpose == "treatment" {
		purpose = fhir.NewArray(concept(coding(terms+"v3-ActReason", "TREAT", "treatment")))
	}
	return object("resourceType", "AuditEvent", "id", strconv.FormatUint(e.N, 10), "meta", meta, "extension", fhir.NewArray(chain),
		"type", m.kind, "subtype", fhir.NewArray(append(m.sub, coding(ActionSystem, string(e.Action), ""))...),
		"action", m.action, "recorded", time.UnixMilli(e.At).UTC().Format("2006-01-02T15:04:05.000Z"), "outcome", m.outcome,
		"purposeOfEvent", purpose, "agent", fhir.NewArray(agents(e.Entry, m, station)...),
		"source", object("observer", identified(StationSystem, station), "type", fhir.NewArray(coding(terms+"security-source-type", "4", "Application Server"))),
		"entity", entities(e.Entry, m, patients)), nil
}

// agents are who did it: a person at the station's pages, or a program, and the station.
// A client sends a query or content, and receives what is read.
func agents(e audit.Entry, m meaning, station string) []*fhir.Value {
	source, destination := coding(dicom, "110153", "Source Role ID"), coding(dicom, "110152", "Destination Role ID")
	client, server := source, destination
	if m.action == "R" {
		client, server = destination, source
	}
	program := strings.HasPrefix(e.Who, "program:")
	asks := identified(StationSystem, station)
	if program {
		asks = identified(AccountSystem, e.Who)
	}
	out := []*fhir.Value{
		object("type", concept(client), "who", asks, "requestor", program, "network", unknown("address")),
		object("type", concept(server), "who", identified(StationSystem, station), "requestor", false, "network", unknown("address")),
	}
	if program {
		return out
	}
	part := coding(terms+"v3-ParticipationType", "IRCP", "information recipient")
	if m.action == "C" || m.action == "U" || m.action == "D" {
		part = coding(terms+"v3-ParticipationType", "AUT", "author (originator)")
	}
	return append(out, object("type", concept(part), "who", identified(AccountSystem, e.Who), "altId", e.Who, "requestor", true))
}

// entities are what it was about: the record, and whose it is. The words of a query are
// nowhere kept: they name people.
func entities(e audit.Entry, m meaning, patients []string) *fhir.Value {
	var out []*fhir.Value
	kind, role := terms+"audit-entity-type", terms+"object-role"
	if m.pattern == "Query" {
		out = append(out, object("type", coding(kind, "2", "System Object"), "role", coding(role, "24", "Query"), "_query", missing("masked")))
	}
	if e.Key.Valid() && !(m.pattern == "Query" && e.Key.Kind == "Patient") {
		what := e.Key.String()
		if !e.Version.IsZero() {
			what += "/_history/" + e.Version.String()
		}
		data := coding(kind, "2", "System Object")
		if m.pattern == "Query" { // where this is the query itself
			data = coding(kind, "4", "Other")
		}
		out = append(out, object("what", object("reference", what), "type", data, "role", coding(role, "4", "Domain Resource")))
	}
	for _, id := range patients {
		out = append(out, object("what", object("reference", "Patient/"+id), "type", coding(kind, "1", "Person"), "role", coding(role, "1", "Patient")))
	}
	if out == nil {
		return nil
	}
	return fhir.NewArray(out...)
}

// chained is where an event stands: the entry as it was chained, and the digest that
// covers it and all before it.
func chained(e audit.Numbered) (*fhir.Value, error) {
	text, err := json.Marshal(e.Entry)
	if err != nil {
		return nil, err
	}
	part := func(url, typ, value string) *fhir.Value { return object("url", url, "value"+typ, value) }
	return object("url", ChainURL, "extension", fhir.NewArray(
		part("number", "String", strconv.FormatUint(e.N, 10)), part("entry", "String", string(text)),
		part("digest", "Base64Binary", base64.StdEncoding.EncodeToString(e.Chain[:])))), nil
}

// ErrChain says that an event does not follow the one before it.
var ErrChain = errors.New("the event does not follow the one before it")

// Follow verifies an event against the digest of the one before, zero for the first, and
// returns its entry and digest. What the event says beside the chain is not looked at.
func Follow(before record.Digest, event *fhir.Value) (audit.Numbered, error) {
	var out audit.Numbered
	said := map[string]*fhir.Value{}
	if ext := event.Get("extension"); ext != nil {
		for _, x := range ext.Items {
			if x.Str("url") == ChainURL && x.Get("extension") != nil {
				for _, part := range x.Get("extension").Items {
					said[part.Str("url")] = part
				}
			}
		}
	}
	text := said["entry"].Str("valueString")
	sum, err := base64.StdEncoding.DecodeString(said["digest"].Str("valueBase64Binary"))
	if err != nil || len(sum) != len(out.Chain) || json.Unmarshal([]byte(text), &out.Entry) != nil {
		return out, ErrChain
	}
	copy(out.Chain[:], sum)
	if out.N, err = strconv.ParseUint(said["number"].Str("valueString"), 10, 64); err != nil || audit.LinkText(before, out.Entry, []byte(text)).Chain != out.Chain {
		return out, ErrChain
	}
	return out, nil
}

// object makes an object of names and values in turn; a nil value is left out.
func object(pairs ...any) *fhir.Value {
	var fields []fhir.Field
	for i := 0; i < len(pairs); i += 2 {
		var v *fhir.Value
		switch x := pairs[i+1].(type) {
		case string:
			v = fhir.NewString(x)
		case bool:
			v = fhir.NewBool(x)
		case *fhir.Value:
			v = x
		}
		fields = append(fields, fhir.Field{Name: pairs[i].(string), Value: v})
	}
	return fhir.NewObject(fields...)
}

func coding(system, code, display string) *fhir.Value {
	if display == "" {
		return object("system", system, "code", code)
	}
	return object("system", system, "code", code, "display", display)
}

func concept(c *fhir.Value) *fhir.Value { return object("coding", fhir.NewArray(c)) }

// identified is a reference by identifier: staff, programs and stations are no records.
func identified(system, value string) *fhir.Value {
	return object("identifier", object("system", system, "value", value), "display", value)
}

// missing stands where a pattern asks for a value that is not kept.
func missing(why string) *fhir.Value {
	return object("extension", fhir.NewArray(object("url", absent, "valueCode", why)))
}

func unknown(element string) *fhir.Value { return object("_"+element, missing("unknown")) }
