package summary

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"tram/store/fhir"
)

// section is one section of the document, as the guide's Composition names it.
type section struct {
	name          string // in words.txt
	code, display string // LOINC
	required      bool
	newest        int // so many of one code; 0 for all
}

// sections are those that this package fills, in the order in which they stand. Only
// one observation of smoking and one of drinking may stand under social history.
func sections() []section {
	const some = 5
	return []section{
		{"allergies", "48765-2", "Allergies and adverse reactions Document", true, 0},
		{"medications", "10160-0", "History of Medication use Narrative", true, 0},
		{"problems", "11450-4", "Problem list - Reported", true, 0},
		{"alerts", "104605-1", "Alert", false, 0},
		{"immunizations", "11369-6", "History of Immunization note", false, 0},
		{"pregnancy", "10162-6", "History of pregnancies Narrative", false, 0},
		{"procedures", "47519-4", "History of Procedures Document", false, 0},
		{"devices", "46264-8", "History of medical device use", false, 0},
		{"results", "30954-2", "Relevant diagnostic tests/laboratory data note", false, some},
		{"vitals", "8716-3", "Vital signs note", false, some},
		{"past", "11348-0", "History of Past illness note", false, 0},
		{"social", "29762-2", "Social history note", false, 1},
		{"plans", "18776-5", "Plan of care note", false, 0},
		{"directives", "42348-3", "Advance healthcare directives", false, 0},
	}
}

// lists stands for a section that is none: Lists tell of other sections.
const lists = "lists"

// recent is for how long before the document a medicine counts that was ended.
const recent = 180 * 24 * time.Hour

// item is a record in a section.
type item struct {
	key     string
	content *fhir.Value
	when    string // as written
	at      int64  // Unix milliseconds; the least there is for one without a date
	open    bool   // a conflict is
}

// compare puts the newest first, and what has no date last.
func (i item) compare(o item) int {
	return cmp.Or(cmp.Compare(o.at, i.at), strings.Compare(i.key, o.key))
}

// choose puts a record into its section, if it has one. One with an open conflict is
// in the section of what holds, whatever its status says.
func (d *draft) choose(v *fhir.Value) {
	i := itemOf(v)
	if to := d.place(i); to != "" {
		d.chosen[to] = append(d.chosen[to], i)
	}
}

// itemOf reads what a section sorts and counts a record by.
func itemOf(v *fhir.Value) item {
	i := item{key: keyOf(v), content: v, when: when(v), at: math.MinInt64, open: contested(v)}
	if low, _, ok := fhir.DateRange(i.when, nil); ok {
		i.at = low
	}
	return i
}

// place names the section of a record; "" for none. An allergy that is over stays where
// who prescribes looks, with its status.
func (d *draft) place(i item) string {
	v := i.content
	unless := func(section string, states ...string) string {
		if !i.open && slices.Contains(states, v.Str("status")) {
			return ""
		}
		return section
	}
	refuted := !i.open && hasCode(v.Get("verificationStatus"), "refuted")
	switch kind := v.Str("resourceType"); kind {
	case "AllergyIntolerance":
		if !refuted {
			return "allergies"
		}
	case "Condition":
		if !refuted {
			return problem(v, i.open)
		}
	case "MedicationStatement", "MedicationRequest", "MedicationDispense", "MedicationAdministration":
		if i.open || !d.prescribed(v) && d.taken(i) {
			return "medications"
		}
	case "Flag":
		return unless("alerts", "inactive")
	case "Immunization":
		return "immunizations"
	case "Procedure":
		return unless("procedures", "preparation", "not-done")
	case "DeviceUseStatement":
		return unless("devices", "completed", "stopped")
	case "Observation":
		return unless(observed(v), "registered", "cancelled")
	case "DiagnosticReport":
		return unless("results", "registered", "cancelled")
	case "CarePlan":
		return unless("plans", "draft", "revoked", "completed")
	case "ImmunizationRecommendation":
		return "plans"
	case "List":
		if v.Str("status") == "current" {
			return lists
		}
	case "Consent":
		if hasCode(v.Get("scope"), "adr") || slices.ContainsFunc(items(v.Get("category")), directive) {
			return unless("directives", "draft", "proposed", "rejected", "inactive")
		}
	}
	return ""
}

// directive reports whether a category of Consent is a wish about treatment.
func directive(category *fhir.Value) bool {
	return hasCode(category, "acd", "dnr", "emrgonly", "hcd", "polst")
}

// problem tells what a person has from what they had.
func problem(v *fhir.Value, open bool) string {
	state := v.Get("clinicalStatus")
	over := hasCode(state, "inactive", "remission", "resolved") || state == nil && slices.ContainsFunc(v.Fields, func(f fhir.Field) bool {
		return strings.HasPrefix(f.Name, "abatement")
	})
	if over && !open {
		return "past"
	}
	return "problems"
}

// prescribed reports whether what was handed out or given is told by the prescription that
// it was for: by one that is in the section itself.
func (d *draft) prescribed(v *fhir.Value) bool {
	return slices.ContainsFunc(append(slices.Clip(items(v.Get("authorizingPrescription"))), v.Get("request")), func(ref *fhir.Value) bool {
		p := d.held[local(ref.Str("reference"))]
		if p.Str("resourceType") != "MedicationRequest" {
			return false
		}
		i := itemOf(p)
		return i.open || d.taken(i)
	})
}

// taken reports whether a medicine is in use, or was not long before the document.
func (d *draft) taken(i item) bool {
	v := i.content
	if notOrdered(v.Str("intent")) || v.Str("doNotPerform") == "true" {
		return false
	}
	switch v.Str("status") {
	case "active", "on-hold", "intended", "in-progress", "unknown":
		return true
	case "completed", "stopped":
		end := i.at
		if _, high, ok := fhir.DateRange(v.Str("effectivePeriod", "end"), nil); ok {
			end = high
		}
		return end >= d.a.At.Add(-recent).UnixMilli()
	}
	return false
}

// observed is the section of an Observation: by its code where the guide names one,
// else by its category.
func observed(v *fhir.Value) string {
	code := v.Get("code")
	switch {
	case hasCode(code, "82810-3", "11778-8", "11779-6", "11780-4", "11636-8", "11637-6", "11638-4", "11639-2", "11640-0", "11612-9", "11613-7", "11614-5", "33065-4"):
		return "pregnancy"
	case hasCode(code, "72166-2", "74013-4"):
		return "social"
	}
	for _, c := range items(v.Get("category")) {
		switch {
		case hasCode(c, "vital-signs"):
			return "vitals"
		case hasCode(c, "social-history"):
			return "social"
		}
	}
	return "results"
}

// nothing is why a section has no records, as its newest List says: that there is nothing
// to tell, or that nobody asked. Without one, or where it says anything else, nothing is
// known.
func (d *draft) nothing(s section) string {
	for _, i := range d.chosen[lists] {
		if hasCode(i.content.Get("code"), s.code, s.name) {
			for _, reason := range []string{"notasked", "nilknown"} {
				if hasCode(i.content.Get("emptyReason"), reason) && !i.open {
					return reason
				}
			}
			break
		}
	}
	return "unavailable"
}

// fewer leaves the newest n of each code, and whatever a conflict is open in; it tells
// how many it left out.
func fewer(list []item, n int) (out []item, left int) {
	if n == 0 {
		return list, 0
	}
	seen := map[string]int{}
	for _, i := range list {
		code := i.content.Get("code")
		name := concept(code)
		if c := items(code.Get("coding")); len(c) > 0 {
			name = c[0].Str("system") + "|" + c[0].Str("code")
		}
		if seen[name]++; seen[name] > n && !i.open {
			left++
			continue
		}
		out = append(out, i)
	}
	return out, left
}

// section writes one section; nil where it is not needed.
func (d *draft) section(s section) *fhir.Value {
	list, left := fewer(d.chosen[s.name], s.newest)
	if len(list) == 0 && !s.required {
		return nil
	}
	title := d.say.get(s.name)
	out := fhir.NewObject(field("title", title), fhir.Field{Name: "code", Value: loinc(s.code, s.display, title)})
	if len(list) == 0 {
		reason := d.nothing(s)
		text := d.say.get(s.name + "." + reason)
		return out.With("text", d.say.narrative(paragraph(text))).
			With("emptyReason", coded("http://terminology.hl7.org/CodeSystem/list-empty-reason", reason, d.say.get("display."+reason), text))
	}
	refs := make([]*fhir.Value, len(list))
	for n, i := range list {
		refs[n] = d.part(i.key)
	}
	return out.With("text", d.say.table(s.name, list, left)).With("entry", fhir.NewArray(refs...))
}
