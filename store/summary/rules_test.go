package summary_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/record"
)

// of begins a record of the person of these tests.
func of(kind, id, rest string) string {
	who := "subject"
	switch kind {
	case "AllergyIntolerance", "Immunization", "Consent", "ImmunizationRecommendation":
		who = "patient"
	case "Task":
		who = "for"
	}
	return fmt.Sprintf(`{"resourceType":%q,"id":%q,%q:{"reference":"Patient/p"}%s}`, kind, id, who, rest)
}

// code is a CodeableConcept of one code.
func code(name, system, code string) string {
	return fmt.Sprintf(`,%q:{"coding":[{"system":%q,"code":%q}]}`, name, system, code)
}

const (
	clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	sure     = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
	allergic = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
	certain  = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
	conflict = `,"meta":{"tag":[{"system":"urn:tram:state","code":"conflict"}]}`
	medicine = `,"medicationCodeableConcept":{"text":"x"}`
	loinc    = "http://loinc.org"
)

// Each record stands in the section where the guide wants it, or in none.
func TestWhereARecordStands(t *testing.T) {
	const allergies, medications, problems, past, none = "48765-2", "10160-0", "11450-4", "11348-0", ""
	category := func(c string) string {
		return `,"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"` + c + `"}]}],"code":{"text":"x"}`
	}
	for _, c := range []struct{ name, record, want string }{
		{"an allergy", of("AllergyIntolerance", "x", code("clinicalStatus", allergic, "active")), allergies},
		{"an allergy that is over", of("AllergyIntolerance", "x", code("clinicalStatus", allergic, "resolved")), allergies},
		{"an allergy that is none", of("AllergyIntolerance", "x", code("verificationStatus", certain, "refuted")), none},
		{"an allergy in conflict that may be none", of("AllergyIntolerance", "x", code("verificationStatus", certain, "refuted")+conflict), allergies},
		{"an allergy entered in error", of("AllergyIntolerance", "x", code("verificationStatus", certain, "entered-in-error")), none},
		{"an allergy in conflict entered in error", of("AllergyIntolerance", "x", code("verificationStatus", certain, "entered-in-error")+conflict), none},
		{"an illness", of("Condition", "x", code("clinicalStatus", clinical, "active")), problems},
		{"an illness without a status", of("Condition", "x", ""), problems},
		{"an illness that came back", of("Condition", "x", code("clinicalStatus", clinical, "relapse")), problems},
		{"an illness that is over", of("Condition", "x", code("clinicalStatus", clinical, "resolved")), past},
		{"an illness that is inactive", of("Condition", "x", code("clinicalStatus", clinical, "inactive")), past},
		{"an illness that ended", of("Condition", "x", `,"abatementDateTime":"2020"`), past},
		{"an illness in conflict that may be over", of("Condition", "x", code("clinicalStatus", clinical, "resolved")+conflict), problems},
		{"an illness ruled out", of("Condition", "x", code("verificationStatus", sure, "refuted")), none},
		{"a prescription", of("MedicationRequest", "x", medicine+`,"status":"active","intent":"order"`), medications},
		{"a proposal", of("MedicationRequest", "x", medicine+`,"status":"active","intent":"proposal"`), none},
		{"a prescription not to take", of("MedicationRequest", "x", medicine+`,"status":"active","intent":"order","doNotPerform":true`), none},
		{"a prescription that ended lately", of("MedicationRequest", "x", medicine+`,"status":"completed","intent":"order","authoredOn":"2026-05-01"`), medications},
		{"a prescription that ended long ago", of("MedicationRequest", "x", medicine+`,"status":"completed","intent":"order","authoredOn":"2025-05-01"`), none},
		{"a prescription that never held", of("MedicationRequest", "x", medicine+`,"status":"cancelled","intent":"order","authoredOn":"2026-05-01"`), none},
		{"a medicine taken until lately", of("MedicationStatement", "x", medicine+`,"status":"completed","effectivePeriod":{"start":"2020","end":"2026-05-01"}`), medications},
		{"a medicine not taken", of("MedicationStatement", "x", medicine+`,"status":"not-taken"`), none},
		{"a medicine handed out lately", of("MedicationDispense", "x", medicine+`,"status":"completed","whenHandedOver":"2026-05-30T08:00:00Z"`), medications},
		{"a vaccination", of("Immunization", "x", `,"status":"completed","vaccineCode":{"text":"x"},"occurrenceDateTime":"2025"`), "11369-6"},
		{"a procedure", of("Procedure", "x", `,"status":"completed"`), "47519-4"},
		{"a procedure not done", of("Procedure", "x", `,"status":"not-done"`), none},
		{"a vital sign", of("Observation", "x", `,"status":"final"`+category("vital-signs")), "8716-3"},
		{"a vital sign not yet taken", of("Observation", "x", `,"status":"registered"`+category("vital-signs")), none},
		{"a result", of("Observation", "x", `,"status":"final"`+category("laboratory")), "30954-2"},
		{"a habit", of("Observation", "x", `,"status":"final"`+category("social-history")), "29762-2"},
		{"smoking", of("Observation", "x", `,"status":"final"`+code("code", loinc, "72166-2")), "29762-2"},
		{"a pregnancy", of("Observation", "x", `,"status":"final"`+code("code", loinc, "82810-3")), "10162-6"},
		{"a report", of("DiagnosticReport", "x", `,"status":"final","code":{"text":"x"}`), "30954-2"},
		{"a device in use", of("DeviceUseStatement", "x", `,"status":"active","device":{"display":"x"}`), "46264-8"},
		{"an alert", of("Flag", "x", `,"status":"active","code":{"text":"x"}`), "104605-1"},
		{"an alert that is over", of("Flag", "x", `,"status":"inactive","code":{"text":"x"}`), none},
		{"a plan", of("CarePlan", "x", `,"status":"active","intent":"plan"`), "18776-5"},
		{"a wish about treatment", of("Consent", "x", `,"status":"active"`+code("scope", "http://terminology.hl7.org/CodeSystem/consentscope", "adr")+
			`,"category":[{"text":"x"}],"policyRule":{"text":"x"}`), "42348-3"},
		{"another consent", of("Consent", "x", `,"status":"active"`+code("scope", "http://terminology.hl7.org/CodeSystem/consentscope", "research")+
			`,"category":[{"text":"x"}],"policyRule":{"text":"x"}`), none},
		{"a task", of("Task", "x", `,"status":"requested","intent":"order"`), none},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t)
			doc := d.make(d.about(linh, c.record))
			got := ""
			for _, s := range list(doc.composition, "section") {
				if s.Get("entry") != nil {
					got += list(s.Get("code"), "coding")[0].Str("code")
				}
			}
			if got != c.want {
				t.Errorf("stands in %q, want %q", got, c.want)
			}
		})
	}
}

// What was handed out is told once: by its prescription where that is told, else by itself.
func TestAMedicineIsToldOnce(t *testing.T) {
	d := open(t)
	for _, c := range []struct{ name, prescription, want string }{
		{"in use", `,"status":"active","intent":"order"`, "r"},
		{"ended lately", `,"status":"completed","intent":"order","authoredOn":"2026-04-01"`, "r"},
		{"ended long ago", `,"status":"completed","intent":"order","authoredOn":"2025-01-01"`, "d"},
		{"cancelled", `,"status":"cancelled","intent":"order","authoredOn":"2026-05-01"`, "d"},
		{"a plan", `,"status":"active","intent":"plan"`, "d"},
	} {
		doc := d.make(d.about(linh, of("MedicationRequest", "r", medicine+c.prescription),
			of("MedicationDispense", "d", medicine+`,"status":"completed","whenHandedOver":"2026-05-30","authorizingPrescription":[{"reference":"MedicationRequest/r"}]`)))
		if _, ids, _ := doc.section("10160-0"); !slices.Equal(ids, []string{c.want}) {
			t.Errorf("%s: medicines %v, want %s", c.name, ids, c.want)
		}
	}
}

// A section without records says what is known of that, and no more.
func TestWhyASectionIsEmpty(t *testing.T) {
	say := func(code, status, reason, tag string) string {
		return of("List", "l", `,"status":"`+status+`","mode":"snapshot","code":{"coding":[{"code":"`+code+`"}]},"emptyReason":{"coding":[{"code":"`+reason+`"}]}`+tag)
	}
	for _, c := range []struct{ name, records, want, text string }{
		{"nobody said anything", "", "unavailable", "Không có thông tin"},
		{"there is nothing", say("allergies", "current", "nilknown", ""), "nilknown", "Đã ghi nhận"},
		{"there is nothing, by LOINC", say("48765-2", "current", "nilknown", ""), "nilknown", "Đã ghi nhận"},
		{"nobody asked", say("allergies", "current", "notasked", ""), "notasked", "Chưa hỏi"},
		{"another section has nothing", say("medications", "current", "nilknown", ""), "unavailable", "Không có thông tin"},
		{"an old list", say("allergies", "retired", "nilknown", ""), "unavailable", "Không có thông tin"},
		{"a list in conflict", say("allergies", "current", "nilknown", conflict), "unavailable", "Không có thông tin"},
		{"a newer list", say("allergies", "current", "nilknown", `,"date":"2025"`) + "\n" +
			strings.Replace(say("allergies", "current", "notasked", `,"date":"2026"`), `"l"`, `"k"`, 1), "notasked", "Chưa hỏi"},
		{"an older list", say("allergies", "current", "nilknown", `,"date":"2026"`) + "\n" +
			strings.Replace(say("allergies", "current", "notasked", `,"date":"2025"`), `"l"`, `"k"`, 1), "nilknown", "Đã ghi nhận"},
		{"a reason that is none here", say("allergies", "current", "closed", ""), "unavailable", "Không có thông tin"},
		{"a record says none", of("AllergyIntolerance", "none", code("code", "http://snomed.info/sct", "716186003")), "", "Không có dị ứng nào được biết"},
		{"a list beside a record", say("allergies", "current", "nilknown", "") + "\n" + of("AllergyIntolerance", "a", `,"code":{"text":"Tôm"}`), "", "Tôm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t)
			doc := d.make(d.about(linh, slices.DeleteFunc(strings.Split(c.records, "\n"), func(s string) bool { return s == "" })...))
			div, ids, reason := doc.section("48765-2")
			if reason != c.want || (reason == "") != (len(ids) > 0) || !strings.Contains(div, c.text) {
				t.Errorf("%q %v: %s", reason, ids, div)
			}
		})
	}
}

func TestNewestFirst(t *testing.T) {
	d := open(t)
	at := func(id, onset string) string {
		return of("Condition", id, strings.ReplaceAll(`,"onsetDateTime":"X"`, "X", onset))
	}
	doc := d.make(d.about(linh, at("b", "2020-01-02"), of("Condition", "z", ""), at("c", "2024"), of("Condition", "y", ""), at("a", "2020-01-02"), at("d", "2024-01-01T07:00:00+07:00")))
	if _, ids, _ := doc.section("11450-4"); !slices.Equal(ids, []string{"c", "d", "a", "b", "y", "z"}) {
		t.Errorf("problems %v", ids)
	}
}

// Of what is measured again and again the newest are told, and how many more there are;
// none is left out in which a conflict is open.
func TestTheNewestOfEachMeasurement(t *testing.T) {
	d := open(t)
	var records []string
	for n := range 9 {
		more := ""
		if n == 1 {
			more = conflict
		}
		records = append(records, of("Observation", fmt.Sprint("o", n), fmt.Sprintf(`,"status":"final","effectiveDateTime":"2026-01-0%d"`, n+1)+code("code", loinc, "8867-4")+
			`,"valueQuantity":{"value":70.50,"unit":"lần/phút"},"category":[{"coding":[{"code":"vital-signs"}]}]`+more))
	}
	records = append(records, of("Observation", "w", `,"status":"final","effectiveDateTime":"2020"`+code("code", loinc, "29463-7")+`,"category":[{"coding":[{"code":"vital-signs"}]}]`))
	div, ids, _ := d.make(d.about(linh, records...)).section("8716-3")
	if !slices.Equal(ids, []string{"o8", "o7", "o6", "o5", "o4", "o1", "w"}) {
		t.Errorf("vital signs %v", ids)
	}
	for _, want := range []string{"Còn 3 mục cũ hơn", "70,50 lần/phút", "09/01/2026"} {
		if !strings.Contains(div, want) {
			t.Errorf("no %q in %s", want, div)
		}
	}
}

// An open conflict is marked where a person reads: at the record, and on the cover.
func TestConflictsAreMarked(t *testing.T) {
	d := open(t)
	for _, c := range []struct{ name, person, language, cover, mark string }{
		{"in Vietnamese", linh, "vi", "1 hồ sơ trong bản này đang xung đột", "XUNG ĐỘT"},
		{"in English", linh, "en", "Records here that are in conflict: 1.", "CONFLICT"},
		{"of the person too", strings.Replace(linh, `,"name"`, conflict+`,"name"`, 1), "vi", "Thông tin của người này cũng đang xung đột", "XUNG ĐỘT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := d.about(c.person, of("AllergyIntolerance", "a", `,"code":{"text":"Penicillin"}`+conflict), of("AllergyIntolerance", "b", `,"code":{"text":"Tôm"}`))
			a.Language = c.language
			doc := d.make(a)
			div, _, _ := doc.section("48765-2")
			if cover := doc.composition.Str("text", "div"); !strings.Contains(cover, c.cover) {
				t.Errorf("cover: %s", cover)
			}
			for _, row := range strings.Split(div, "<tr>") {
				if strings.Contains(row, c.mark) != strings.Contains(row, "Penicillin") {
					t.Errorf("row: %s", row)
				}
			}
		})
	}
	if cover := d.make(d.about(linh, of("AllergyIntolerance", "b", ""))).composition.Str("text", "div"); strings.Contains(cover, "xung đột") {
		t.Errorf("a conflict where none is: %s", cover)
	}
}

// A row says what turns the meaning of its record round; a conflict lets such a record stand
// among those that hold.
func TestRowsSayWhatTurnsTheMeaningRound(t *testing.T) {
	for _, c := range []struct{ name, section, record, want string }{
		{"not to be taken", "10160-0", of("MedicationRequest", "x", medicine+`,"status":"active","intent":"order","doNotPerform":true`+conflict), "must NOT be done · CONFLICT"},
		{"proposed", "10160-0", of("MedicationRequest", "x", medicine+`,"status":"active","intent":"proposal"`+conflict), "only proposed · CONFLICT"},
		{"a plan of care", "18776-5", of("CarePlan", "x", `,"status":"active","intent":"plan"`), "<td>active</td>"},
		{"a plan of care, proposed", "18776-5", of("CarePlan", "x", `,"status":"active","intent":"proposal"`), "<td>only proposed</td>"},
		{"half a dose", "11369-6", of("Immunization", "x", `,"status":"completed","vaccineCode":{"text":"x"},"occurrenceString":"x","isSubpotent":true`), "less than a full dose"},
	} {
		d := open(t)
		a := d.about(linh, c.record)
		a.Language = "en"
		if div, _, _ := d.make(a).section(c.section); !strings.Contains(div, c.want) {
			t.Errorf("%s: %s lacks %q", c.name, div, c.want)
		}
	}
}

// What stands in records is text in a narrative, whatever it looks like, and of no great length.
func TestHostileTextStaysText(t *testing.T) {
	d := open(t)
	hostile := `</td></table><script>alert(1)</script>&amp;\uffff\" onload=\"x` + strings.Repeat("ạ", 100_000)
	doc := d.make(d.about(`{"resourceType":"Patient","id":"p","name":[{"text":"`+hostile+`"}]}`,
		of("Condition", "c", `,"code":{"text":"`+hostile+`"}`), of("AllergyIntolerance", "a", `,"code":{"text":"Tôm"},"reaction":[{"manifestation":[{"text":"`+hostile+`"}]}]`)))
	for _, s := range append(list(doc.composition, "section"), doc.composition) {
		div := s.Str("text", "div")
		if strings.Contains(div, "<script") || len(div) > 8000 {
			t.Errorf("%d bytes: %.300s", len(div), div)
		}
	}
	if cover := doc.composition.Str("text", "div"); !strings.Contains(cover, "&lt;script&gt;") || !strings.Contains(cover, "…") {
		t.Errorf("the name is not told: %.300s", cover)
	}
	// No store takes these in, and no reader of XML either.
	v, err := d.maker.Of(d.about(strings.Replace(linh, "Linh", `\u0000\u000b\u0085]]>`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	d.sound(fhir.Entries(v)[0].Resource.Str("text", "div"))
}

// A reference leads to a part of the document, or keeps what it says of who is meant.
func TestReferences(t *testing.T) {
	d := open(t)
	a := d.about(strings.Replace(linh, `,"name"`, `,"link":[{"other":{"reference":"Patient/twin"},"type":"seealso"}],"name"`, 1),
		`{"resourceType":"Patient","id":"twin","link":[{"other":{"reference":"Patient/p"},"type":"seealso"}]}`,
		of("Encounter", "e", `,"status":"finished","class":{"code":"AMB"},"participant":[{"individual":{"reference":"Practitioner/doctor"}}]`),
		`{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/twin"},"encounter":{"reference":"Encounter/e/_history/1"},
			"_recordedDate":{"extension":[{"url":"http://a.example/x","valueReference":{"reference":"Organization/within"}}]},
			"recorder":{"reference":"Practitioner/nobody","display":"Ai đó"},"asserter":{"reference":"http://elsewhere.example/Patient/9"},
			"evidence":[{"detail":[{"reference":"Observation/wrong"},{"reference":"#in"},{"reference":"Composition/old"},{"reference":"Condition/stranger"}]}],
			"contained":[{"resourceType":"Observation","id":"in","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"},"performer":[{"reference":"Organization/none"}]}]}`,
		of("Observation", "wrong", `,"status":"entered-in-error","code":{"text":"x"}`),
		of("MedicationRequest", "m", `,"status":"active","intent":"order","medicationReference":{"reference":"Medication/withdrawn"}`),
		`{"resourceType":"Composition","id":"old","status":"final","type":{"text":"x"},"subject":{"reference":"Patient/p"},"date":"2020","author":[{"display":"x"}],"title":"x"}`)
	asked := map[record.Key]int{}
	a.Find = func(k record.Key) *fhir.Value {
		asked[k]++
		switch k.String() {
		case "Practitioner/doctor":
			return parse(t, `{"resourceType":"Practitioner","id":"doctor"}`)
		case "Condition/stranger":
			return parse(t, `{"resourceType":"Condition","id":"stranger","subject":{"reference":"Patient/another"}}`)
		case "Medication/withdrawn":
			return parse(t, `{"resourceType":"Medication","id":"withdrawn","status":"entered-in-error"}`)
		}
		return nil
	}
	doc := d.make(a)
	var c *fhir.Value
	got := map[string]bool{}
	for _, r := range doc.parts {
		got[r.Str("resourceType")+"/"+r.Str("id")] = true
		if r.Str("id") == "c" {
			c = r
		}
	}
	for key, want := range map[string]bool{"Encounter/e": true, "Practitioner/doctor": true, "Patient/twin": false, "Observation/wrong": false, "Condition/stranger": false, "Medication/withdrawn": false} {
		if got[key] != want {
			t.Errorf("%s in the document: %v, want %v", key, got[key], want)
		}
	}
	subject := doc.parts[c.Str("subject", "reference")]
	detail := list(list(c, "evidence")[0], "detail")
	for _, x := range []struct{ name, got, want string }{
		{"the other record of the person", subject.Str("id"), "p"},
		{"a version", doc.parts[c.Str("encounter", "reference")].Str("id"), "e"},
		{"what is not there", string(c.Get("recorder").Bytes()), `{"display":"Ai đó","type":"Practitioner"}`},
		{"what is elsewhere", c.Str("asserter", "identifier", "value"), "http://elsewhere.example/Patient/9"},
		{"what was entered in error", string(detail[0].Bytes()), `{"type":"Observation","display":"không có trong bản tóm tắt này"}`},
		{"what is contained", detail[1].Str("reference"), "#in"},
		{"another document", detail[2].Str("type"), "Composition"},
		{"what is of another person", detail[3].Str("reference"), ""},
		{"a reference beside a primitive", list(c.Get("_recordedDate"), "extension")[0].Str("valueReference", "type"), "Organization"},
		{"a link to the other record", string(doc.parts[c.Str("subject", "reference")].Get("link").Bytes()), "null"},
		{"a reference in what is contained", list(list(c, "contained")[0], "performer")[0].Str("type"), "Organization"},
	} {
		if x.got != x.want {
			t.Errorf("%s: %s, want %s", x.name, x.got, x.want)
		}
	}
	for k, n := range asked {
		if n > 2 || k.Kind == "Patient" || k.ID == "wrong" { // make makes each document twice
			t.Errorf("%s was looked up %d times", k, n)
		}
	}
}

// A hostile record cannot make a document look up without end.
func TestLookUpsEnd(t *testing.T) {
	d := open(t)
	var many strings.Builder
	for n := range 5000 {
		fmt.Fprintf(&many, `,{"reference":"Observation/o%d"}`, n)
	}
	a := d.about(linh, of("Condition", "c", `,"evidence":[{"detail":[{"display":"x"}`+many.String()+`]}]`))
	asked := 0
	a.Find = func(record.Key) *fhir.Value { asked++; return nil }
	d.make(a)
	if asked > 2*2000 { // make makes each document twice
		t.Errorf("looked up %d times", asked)
	}
}
