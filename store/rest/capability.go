package rest

import "tram/store/fhir"

// faceDate is when the face last changed what it can, for
// CapabilityStatement.date.
const faceDate = "2026-11-29"

// capabilities is the CapabilityStatement (FHIR R4 capabilitystatement.html). It
// names what is served and nothing else.
func capabilities(o Options) *fhir.Value {
	str, obj := fhir.NewString, fhir.NewObject
	back := referring(o.R4)
	var kinds []*fhir.Value
	for _, kind := range o.R4.Kinds() {
		if kind == auditKind && o.Acts != nil {
			kinds = append(kinds, actsCapability())
			continue
		}
		kinds = append(kinds, capability(o.R4, kind, back[kind]))
	}
	software := obj(fhir.Field{Name: "name", Value: str("Tram")})
	if o.Version != "" {
		software = software.With("version", str(o.Version))
	}
	about := obj(fhir.Field{Name: "description", Value: str("The records of a replica")})
	if o.Base != "" {
		about = about.With("url", str(o.Base))
	}
	return obj(
		fhir.Field{Name: "resourceType", Value: str("CapabilityStatement")},
		fhir.Field{Name: "status", Value: str("active")},
		fhir.Field{Name: "date", Value: str(faceDate)},
		fhir.Field{Name: "kind", Value: str("instance")},
		fhir.Field{Name: "software", Value: software},
		fhir.Field{Name: "implementation", Value: about},
		fhir.Field{Name: "fhirVersion", Value: str("4.0.1")},
		fhir.Field{Name: "format", Value: fhir.NewArray(str("application/fhir+json"), str("json"))},
		fhir.Field{Name: "rest", Value: fhir.NewArray(obj(
			fhir.Field{Name: "mode", Value: str("server")},
			fhir.Field{Name: "resource", Value: fhir.NewArray(kinds...)},
			fhir.Field{Name: "interaction", Value: codes("transaction", "batch", "history-system")},
			fhir.Field{Name: "operation", Value: operations(
				"validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate",
				"export", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
				"changes", "urn:tram:operation:changes",
				"conflicts", "urn:tram:operation:conflicts",
				"resolve", "urn:tram:operation:resolve")}))})
}

// capability is what can be done with the records of a kind, which those in back refer to.
func capability(r4 *fhir.R4, kind string, back []*fhir.Value) *fhir.Value {
	var params, refs []*fhir.Value
	for _, p := range r4.Params(kind) {
		if p.Type == "reference" {
			refs = append(refs, fhir.NewString(kind+":"+p.Name))
		}
		if served(p) {
			params = append(params, searchParam(p.Name, p.Type))
		}
	}
	yes := fhir.NewBool(true)
	one := fhir.NewObject(
		fhir.Field{Name: "type", Value: fhir.NewString(kind)},
		fhir.Field{Name: "interaction", Value: codes("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")},
		fhir.Field{Name: "versioning", Value: fhir.NewString("versioned")},
		fhir.Field{Name: "readHistory", Value: yes},
		fhir.Field{Name: "updateCreate", Value: yes},
		fhir.Field{Name: "conditionalCreate", Value: yes},
		fhir.Field{Name: "conditionalRead", Value: fhir.NewString("full-support")},
		fhir.Field{Name: "conditionalUpdate", Value: yes},
		fhir.Field{Name: "conditionalDelete", Value: fhir.NewString("single")})
	for _, part := range []struct {
		name string
		list []*fhir.Value
	}{{"searchInclude", refs}, {"searchRevInclude", back}, {"searchParam", params}} {
		if len(part.list) > 0 {
			one = one.With(part.name, fhir.NewArray(part.list...))
		}
	}
	if kind == "Patient" {
		one = one.With("operation", operations(
			"everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything",
			"summary", "http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
			"export", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"))
	}
	return one
}

// actsCapability is what can be done with the audit.
func actsCapability() *fhir.Value {
	return fhir.NewObject(
		fhir.Field{Name: "type", Value: fhir.NewString(auditKind)},
		fhir.Field{Name: "interaction", Value: codes("read", "search-type")},
		fhir.Field{Name: "searchParam", Value: fhir.NewArray(searchParam("agent", "reference"),
			searchParam("date", "date"), searchParam("entity", "reference"), searchParam("patient", "reference"))})
}

func searchParam(name, typ string) *fhir.Value {
	return fhir.NewObject(
		fhir.Field{Name: "name", Value: fhir.NewString(name)},
		fhir.Field{Name: "type", Value: fhir.NewString(typ)})
}

// codes lists interactions.
func codes(list ...string) *fhir.Value {
	out := make([]*fhir.Value, len(list))
	for i, code := range list {
		out[i] = fhir.NewObject(fhir.Field{Name: "code", Value: fhir.NewString(code)})
	}
	return fhir.NewArray(out...)
}

// referring lists, for each kind, the search parameters by which others refer to it.
func referring(r4 *fhir.R4) map[string][]*fhir.Value {
	out := map[string][]*fhir.Value{}
	for _, kind := range r4.Kinds() {
		for _, p := range r4.Params(kind) {
			if p.Type != "reference" {
				continue
			}
			for _, target := range p.Targets {
				out[target] = append(out[target], fhir.NewString(kind+":"+p.Name))
			}
		}
	}
	return out
}

// operations lists operations by name and definition.
func operations(pairs ...string) *fhir.Value {
	var out []*fhir.Value
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, fhir.NewObject(
			fhir.Field{Name: "name", Value: fhir.NewString(pairs[i])},
			fhir.Field{Name: "definition", Value: fhir.NewString(pairs[i+1])}))
	}
	return fhir.NewArray(out...)
}

// served says whether the store has entries for a search parameter.
func served(p fhir.Param) bool { return servedType(p.Type) && !unserved(p.Name) }
