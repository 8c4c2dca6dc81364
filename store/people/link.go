package people

import (
	"slices"
	"strings"

	"tram/store/fhir"
)

// maxLinked bounds how many records are taken for one person, and with it the way
// through links that lead in circles.
const maxLinked = 32

// Links are the ids of the Patients that a Patient is linked to, each once, whatever
// the link's type (FHIR R4 Patient.link). Nothing says that the other links back.
func Links(patient *fhir.Value) []string {
	var out []string
	for _, link := range items(patient.Get("link")) {
		if id := linksTo(link); id != "" && id != patient.Str("id") && !slices.Contains(out, id) {
			out = append(out, strings.Clone(id)) // without the whole resource
		}
	}
	return out
}

// linksTo is the id of the Patient that a link leads to; "" where it leads to none of ours.
func linksTo(link *fhir.Value) string {
	id, ours := strings.CutPrefix(link.Str("other", "reference"), "Patient/")
	id, _, _ = strings.Cut(id, "/_history/")
	if !ours || strings.Contains(id, "/") {
		return ""
	}
	return id
}

// Join is a Patient with a link to another record of the same person, itself where it
// has one. The link says "seealso": both are in use, both are equally valid, and
// nothing that refers to either has to change (FHIR R4 LinkType). The other types
// would end the use of one of them.
func Join(patient *fhir.Value, other string) *fhir.Value {
	if slices.Contains(Links(patient), other) {
		return patient
	}
	link := fhir.NewObject(
		fhir.Field{Name: "other", Value: fhir.NewObject(fhir.Field{Name: "reference", Value: fhir.NewString("Patient/" + other)})},
		fhir.Field{Name: "type", Value: fhir.NewString("seealso")})
	return patient.With("link", fhir.NewArray(append(slices.Clone(items(patient.Get("link"))), link)...))
}

// Part is a Patient without links to the other record, just as it was before it had
// any; itself where it has none.
func Part(patient *fhir.Value, other string) *fhir.Value {
	had := items(patient.Get("link"))
	rest := slices.DeleteFunc(slices.Clone(had), func(link *fhir.Value) bool { return linksTo(link) == other })
	switch len(rest) {
	case len(had):
		return patient
	case 0:
		return patient.With("link", nil)
	}
	return patient.With("link", fhir.NewArray(rest...))
}

// relink takes over to whom a person is linked. The lock is held.
func (p *Index) relink(id string, to []string) {
	for _, old := range p.linked[id] {
		p.linking[old] = slices.DeleteFunc(p.linking[old], func(from string) bool { return from == id })
		if len(p.linking[old]) == 0 {
			delete(p.linking, old)
		}
	}
	if delete(p.linked, id); len(to) == 0 {
		return
	}
	p.linked[id] = to
	for _, other := range to {
		p.linking[other] = append(p.linking[other], id)
	}
}

// Linked are the ids of the other records of a person: those that links lead to, in
// either direction and over any number of steps, sorted. Of more than 32 it gives the
// nearest. A record that is named may not be here.
func (p *Index) Linked(id string) []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	out := []string{id}
	for at := 0; at < len(out); at++ {
		next := slices.Concat(p.linked[out[at]], p.linking[out[at]])
		slices.Sort(next)
		for _, other := range next {
			if !slices.Contains(out, other) && len(out) <= maxLinked {
				out = append(out, other)
			}
		}
	}
	out = out[1:]
	slices.Sort(out)
	return out
}
