package rest

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"tram/store/fhir"
)

// raw is content that is answered as it is, not as FHIR.
type raw struct {
	kind string // media type
	data []byte
}

// binaryOf makes a Binary of a body that is no FHIR resource (FHIR R4 binary.html#rest).
func binaryOf(contentType string, body []byte) (*fhir.Value, *Problem) {
	kind, par, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(kind, "/") {
		return nil, problem("not-json")
	}
	return fhir.NewObject(
		fhir.Field{Name: "resourceType", Value: fhir.NewString("Binary")},
		fhir.Field{Name: "contentType", Value: fhir.NewString(mime.FormatMediaType(kind, par))},
		fhir.Field{Name: "data", Value: fhir.NewString(base64.StdEncoding.EncodeToString(body))}), nil
}

// unwrapped is the content of a Binary for a client that does not ask for FHIR. It never
// runs in a browser as what it says it is: it is handed out as a file.
func unwrapped(r *http.Request, resource *fhir.Value) (*raw, bool) {
	if resource.Str("resourceType") != "Binary" || asksForFHIR(r) {
		return nil, false
	}
	data, err := base64.StdEncoding.DecodeString(resource.Str("data"))
	if err != nil {
		return nil, false
	}
	return &raw{resource.Str("contentType"), data}, true
}

// asksForFHIR says whether a client names a media type of FHIR, or none at all.
func asksForFHIR(r *http.Request) bool {
	if strings.Contains(r.URL.RawQuery, "_format=") || len(r.Header.Values("Accept")) == 0 {
		return true
	}
	for _, one := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, _, _ := mime.ParseMediaType(strings.TrimSpace(one))
		if jsonType(kind) {
			return true
		}
	}
	return false
}

// isRawRead says whether a request is for a Binary in any form: then Accept may name any media type.
func isRawRead(c *call) bool {
	return c.key.Kind == "Binary" && (c.action == doRead || c.action == doVread)
}
