package fhir

// Entry is one entry of a Bundle of any type. Fields that the entry does not
// have are empty.
type Entry struct {
	FullURL  string
	Resource *Value // nil for a DELETE, a GET and many answers

	// Of a transaction, a batch and a history: entry.request.
	Method, URL                  string
	IfMatch, IfNoneMatch         string
	IfModifiedSince, IfNoneExist string

	// Of an answer and a history: entry.response.
	Status, Location, ETag, LastModified string
	Outcome                              *Value

	Mode string // of a searchset: match, include or outcome
}

// Entries lists the entries of a Bundle in their order (FHIR R4 bundle.html);
// nil when bundle is none. An entry of a wrong shape becomes an empty Entry, so
// that positions stay those of the Bundle.
func Entries(bundle *Value) []Entry {
	list := bundle.Get("entry")
	if bundle.Str("resourceType") != "Bundle" || list == nil {
		return nil
	}
	out := make([]Entry, len(list.Items))
	for i, x := range list.Items {
		req, resp := x.Get("request"), x.Get("response")
		out[i] = Entry{
			FullURL:         x.Str("fullUrl"),
			Resource:        x.Get("resource"),
			Method:          req.Str("method"),
			URL:             req.Str("url"),
			IfMatch:         req.Str("ifMatch"),
			IfNoneMatch:     req.Str("ifNoneMatch"),
			IfModifiedSince: req.Str("ifModifiedSince"),
			IfNoneExist:     req.Str("ifNoneExist"),
			Status:          resp.Str("status"),
			Location:        resp.Str("location"),
			ETag:            resp.Str("etag"),
			LastModified:    resp.Str("lastModified"),
			Outcome:         resp.Get("outcome"),
			Mode:            x.Str("search", "mode"),
		}
	}
	return out
}
