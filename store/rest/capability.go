package rest

import "tram/store/fhir"

// faceDate is when the face last changed what it can, for
// CapabilityStatement.date.
const faceDate = "2026-11-28"

// capabilities is the CapabilityStatement (FHIR R4 capabilitystatement.html). It
// names what is served and nothing else.
func capabilities(o Options) *fhir.Value {
	str := fhir.NewString
	obj := fhir.NewObject
	codes := func(list ...string) *fhir.Value {
		out := make([]*fhir.Value, len(list))
		for i, code := range list {
			out[i] = obj(fhir.Field{Name: "code", Value: str(code)})
		}
		return fhir.NewArray(out...)
	}
	onKind := codes("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")
	yes := fhir.NewBool(true)
	back := referring(o.R4)
	var kinds []*fhir.Value
	for _, kind := range o.R4.Kinds() {
		var params, refs []*fhir.Value
		for _, p := range o.R4.Params(kind) {
			if p.Type == "reference" {
				refs = append(refs, str(kind+":"+p.Name))
			}
			if served(p) {
				params = append(params, obj(
					fhir.Field{Name: "name", Value: str(p.Name)},
					fhir.Field{Name: "type", Value: str(p.Type)}))
			}
		}
		one := obj(
			fhir.Field{Name: "type", Value: str(kind)},
			fhir.Field{Name: "interaction", Value: onKind},
			fhir.Field{Name: "versioning", Value: str("versioned")},
			fhir.Field{Name: "readHistory", Value: yes},
			fhir.Field{Name: "updateCreate", Value: yes},
			fhir.Field{Name: "conditionalCreate", Value: yes},
			fhir.Field{Name: "conditionalRead", Value: str("full-support")},
			fhir.Field{Name: "conditionalUpdate", Value: yes},
			fhir.Field{Name: "conditionalDelete", Value: str("single")})
		if len(params) > 0 {
			one = one.With("searchParam", fhir.NewArray(params...))
		}
		if len(refs) > 0 {
			one = one.With("searchInclude", fhir.NewArray(refs...))
		}
		if list := back[kind]; len(list) > 0 {
			one = one.With("searchRevInclude", fhir.NewArray(list...))
		}
		if kind == "Patient" {
			one = one.With("operation", operations(
				"everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything",
				"summary", "http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
				"export", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"))
		}
		kinds = append(kinds, one)
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
