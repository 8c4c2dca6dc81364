package fhir

import "time"

// SearchValue is one value by which a resource is found. Which fields are set
// depends on the parameter's type:
//
//	token      System, Code; Text is the display or text that :text matches
//	string     Text, raw: folding is the index's business
//	date       Low, High
//	reference  Kind and ID (of Kind/ID), URL when the literal is absolute or a
//	           canonical; System and Code of Reference.identifier
//	quantity   Text (the literal), System, Code, Unit
//	number     Text (the literal)
//	uri        URL
//	special    Text ("latitude,longitude" of Location.near)
//	composite  Parts: one value of each component, in the parameter's order
type SearchValue struct {
	System, Code, Unit string
	Text               string
	Kind, ID, URL      string
	Low, High          int64 // first and last millisecond since 1970 UTC; an open end is math.MinInt64 or math.MaxInt64
	Parts              []SearchValue
}

// SearchValues extracts the values of a search parameter from a resource of
// the parameter's kind, in the order of the document.
func (r *R4) SearchValues(v *Value, p Param) []SearchValue { return nil }

// In returns the same tables reading dates and times without a zone as local
// to loc. Without it they are read as UTC. FHIR R4 search "date" leaves the
// zone to the server.
func (r *R4) In(loc *time.Location) *R4 { return r }

// DateRange returns the first and last millisecond (Unix time) that a partial
// date, dateTime or instant covers: "2024" is the whole year. What has no zone
// is local to loc.
func DateRange(text string, loc *time.Location) (low, high int64, ok bool) { return 0, 0, false }
