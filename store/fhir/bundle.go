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

// Entries lists the entries of a Bundle in their order; nil when bundle is none.
func Entries(bundle *Value) []Entry { return nil }
