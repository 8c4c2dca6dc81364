// Package scope is the form of the record that says which stations hold a person.
//
// It owns how that is written as a FHIR R4 resource: a Basic with Code about the patient,
// one extension StationURL for each station. It promises to read what it writes. It does
// not know who obeys it, and when.
package scope

import (
	"slices"

	"tram/store/fhir"
	"tram/store/record"
)

// What a scope record is told by.
const (
	System     = "urn:tram:scope"
	Code       = "stations"
	StationURL = "urn:tram:station"
)

// Content is a scope record as JSON: the stations that hold the patient with an id.
func Content(id, patient string, stations []string) []byte {
	str := func(name, s string) fhir.Field { return fhir.Field{Name: name, Value: fhir.NewString(s)} }
	var ext []*fhir.Value
	for _, s := range stations {
		ext = append(ext, fhir.NewObject(str("url", StationURL), str("valueString", s)))
	}
	fields := []fhir.Field{str("resourceType", "Basic"), str("id", id)}
	if len(ext) > 0 {
		fields = append(fields, fhir.Field{Name: "extension", Value: fhir.NewArray(ext...)})
	}
	coding := fhir.NewObject(str("system", System), str("code", Code))
	fields = append(fields,
		fhir.Field{Name: "code", Value: fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding)})},
		fhir.Field{Name: "subject", Value: fhir.NewObject(str("reference", "Patient/"+patient))})
	return fhir.NewObject(fields...).Bytes()
}

// Is reports whether a resource is a scope record.
func Is(v *fhir.Value) bool {
	if v.Str("resourceType") != "Basic" {
		return false
	}
	coding := v.Get("code").Get("coding")
	return coding != nil && slices.ContainsFunc(coding.Items, func(c *fhir.Value) bool {
		return c.Str("system") == System && c.Str("code") == Code
	})
}

// Of is whom a scope record is about, and which stations it names; ok is false for any
// other resource, and for one about nobody: it opens nothing.
func Of(v *fhir.Value) (patient record.Key, stations []string, ok bool) {
	if !Is(v) {
		return patient, nil, false
	}
	patient, err := record.ParseKey(v.Get("subject").Str("reference"))
	if err != nil {
		return patient, nil, false
	}
	if ext := v.Get("extension"); ext != nil {
		for _, e := range ext.Items {
			if e.Str("url") == StationURL {
				stations = append(stations, e.Str("valueString"))
			}
		}
	}
	return patient, stations, true
}
