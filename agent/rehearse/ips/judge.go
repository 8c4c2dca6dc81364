package ips

import (
	"fmt"
	"slices"

	"tram/store/fhir"
)

// judge tells what a document lacks to be an International Patient Summary, by its own
// reading of the guide; nil where it is whole. It names places, never content.
func judge(r4 *fhir.R4, doc *fhir.Value) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, i := range r4.Check(doc) {
		say("%s: %s", i.Path, i.Key)
	}
	if doc.Str("type") != "document" || doc.Str("identifier", "value") == "" || doc.Str("timestamp") == "" {
		say("type, identifier or timestamp of the bundle")
	}
	entries, parts, patients := fhir.Entries(doc), map[string]bool{}, 0
	for i, e := range entries {
		if e.FullURL == "" || parts[e.FullURL] {
			say("fullUrl of entry %d is missing or not its own", i)
		}
		parts[e.FullURL] = true
		if kind := e.Resource.Str("resourceType"); (kind == "Composition") != (i == 0) {
			say("entry %d is a %s", i, kind)
		} else if kind == "Patient" {
			patients++
		}
	}
	if patients != 1 {
		say("%d patients", patients)
	}
	for i, e := range entries {
		for _, issue := range r4.Check(e.Resource) {
			say("entry %d: %s: %s", i, issue.Path, issue.Key)
		}
		for _, ref := range r4.Refs(e.Resource) {
			if !ref.Contained && !parts[ref.Literal] {
				say("entry %d: %s leads to nothing", i, ref.Path)
			}
		}
	}
	if len(entries) > 0 {
		wrong = append(wrong, judgeSections(entries[0].Resource)...)
	}
	return wrong
}

// judgeSections holds the sections of a Composition to the guide.
func judgeSections(composition *fhir.Value) (wrong []string) {
	var codes []string
	if list := composition.Get("section"); list != nil {
		for _, s := range list.Items {
			code := ""
			if c := s.Get("code").Get("coding"); c != nil && len(c.Items) > 0 {
				code = c.Items[0].Str("code")
			}
			codes = append(codes, code)
			if s.Str("text", "div") == "" || s.Str("title") == "" || (s.Get("entry") == nil) == (s.Get("emptyReason") == nil) {
				wrong = append(wrong, fmt.Sprintf("section %s has no title, no narrative, or not one of entries and emptyReason", code))
			}
		}
	}
	for _, code := range []string{"11450-4", "48765-2", "10160-0"} {
		if !slices.Contains(codes, code) {
			wrong = append(wrong, "section "+code+" is missing")
		}
	}
	return wrong
}
