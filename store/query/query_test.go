package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
)

func load(t testing.TB) *fhir.R4 {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	return r4
}

func parse(t testing.TB, s string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(s), fhir.DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// clause reads "param:modifier=a,b" as a URL has it.
func clause(s string) Clause {
	name, values, _ := strings.Cut(s, "=")
	param, modifier, _ := strings.Cut(name, ":")
	c := Clause{Param: param, Modifier: modifier}
	for more := true; more; {
		var v string
		v, values, more = cut(values, ',')
		c.Values = append(c.Values, v)
	}
	return c
}

// ask runs searches of which all, or none, must find the resource.
func ask(t *testing.T, r4 *fhir.R4, v *fhir.Value, want bool, searches ...string) {
	t.Helper()
	kind := v.Str("resourceType")
	for _, s := range searches {
		q := Query{Kind: kind}
		for c := range strings.SplitSeq(s, "&") {
			q.Clauses = append(q.Clauses, clause(c))
		}
		if err := Check(r4, q); err != nil {
			t.Errorf("%s?%s: %v", kind, s, err)
			continue
		}
		if got := Matches(r4, q, v, Meta{ID: v.Str("id"), LastUpdated: 1_790_000_000_000}); got != want {
			t.Errorf("%s?%s: found %t, want %t", kind, s, got, want)
		}
	}
}

func TestTokens(t *testing.T) {
	r4 := load(t)
	o := parse(t, `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"Mạch khi nghỉ","coding":[
		{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"},{"code":"pulse|x"}]}}`)
	ask(t, r4, o, true,
		"code=8867-4", "code=http://loinc.org|8867-4", "code=http://loinc.org|", `code=|pulse\|x`, `code=pulse\|x`,
		"code=nope,8867-4", "code:not=nope", "code:text=mach khi", "code:text=heart", "code:missing=false",
		"encounter:missing=true", "value-quantity:missing=true", "_id=o", "_id=x,o", "status=final", "status:not=registered", "category:not=vital-signs",
		"code=8867-4&status=final", "encounter:missing=true,false")
	ask(t, r4, o, false,
		"code=8867", "code=8867-4x", "code=http://snomed.info/sct|8867-4", "code=|8867-4", "code=http://snomed.info/sct|",
		"code:not=8867-4", "code:not=nope,8867-4", "code:text=lungs", "code:missing=true", "encounter:missing=false",
		"_id=p", "code=8867-4&status=registered", "status=FINAL")
}

func TestStrings(t *testing.T) {
	r4 := load(t)
	p := parse(t, `{"resourceType":"Patient","id":"p","name":[{"family":"Đặng","given":["Thị","Hoà"]},{"text":"Cô Ba, xóm Chùa"}],
		"address":[{"line":["12 $5 | lane"],"city":"Huế"}]}`)
	ask(t, r4, p, true,
		"name=dang", "name=ĐẶNG", "name=Hòa", "family=d", "given=hoa", "given=thi&given=hoa", "name=co ba",
		"family:exact=Đặng", "family:contains=an", "given:contains=à", `name=Cô Ba\, xóm`, "name=nobody,dang",
		"address=hue", "address-city=Huế", `address:contains=\$5 \| l`)
	ask(t, r4, p, false,
		"name=ang", "family=hoa", "family:exact=đặng", "family:exact=Đặn", "family:contains=x", "given=thi hoa",
		"name=dang&name=van", `name=Cô Ba\| xóm`)
}

func TestDates(t *testing.T) {
	r4 := load(t)
	day := parse(t, `{"resourceType":"Observation","id":"o","effectiveDateTime":"2026-03-10"}`)
	ask(t, r4, day, true,
		"date=2026", "date=2026-03", "date=2026-03-10", "date=eq2026-03-10", "date=ne2026-03-11", "date=ne2026-03-10T08:00:00Z",
		"date=gt2026-03-09", "date=gt2026-03-10T08:00:00Z", "date=ge2026-03-10", "date=ge2026-03", "date=lt2026-03-11",
		"date=le2026-03-10", "date=le2026", "date=sa2026-03-09", "date=sa2026-02", "date=eb2026-03-11", "date=ap2026-03-11", "date=ge2026-03&date=lt2026-04")
	ask(t, r4, day, false,
		"date=2025", "date=2026-03-10T08:00:00Z", "date=ne2026", "date=gt2026-03-10", "date=gt2026-03", "date=ge2026-03-11", "date=lt2026-03-10",
		"date=le2026-03-09", "date=sa2026-03-10", "date=sa2026", "date=eb2026-03-10", "date=eb2026", "date=ap2026-03-13")
	// FHIR R4 says ge as "above, or within": a stay that began before and ended in
	// March is neither.
	stay := parse(t, `{"resourceType":"Encounter","id":"e","period":{"start":"2026-02-20","end":"2026-03-05"}}`)
	ask(t, r4, stay, true, "date=2026", "date=gt2026-02", "date=ge2026-03-01", "date=lt2026-03", "date=le2026-02-25", "date=ap2026-03-01")
	ask(t, r4, stay, false, "date=2026-03", "date=ge2026-03", "date=le2026-02-01", "date=le2026-02", "date=sa2026-02-20", "date=eb2026-03-05", "date=gt2026-03-05")
	open := parse(t, `{"resourceType":"Encounter","id":"e","period":{"start":"2026-02-20"}}`)
	ask(t, r4, open, true, "date=gt2030", "date=ge2030", "date=sa2026-02-19", "date=ne2026")
	ask(t, r4, open, false, "date=2026", "date=lt2026-02-20", "date=eb2040")
	zone := parse(t, `{"resourceType":"Observation","id":"o","effectiveDateTime":"2026-03-10T06:30:00+07:00"}`)
	ask(t, r4, zone, true, "date=2026-03-09T23:30:00Z", "date=2026-03-10T06:30+07:00", "date=2026-03-09T23:30Z")
	ask(t, r4, zone, false, "date=2026-03-09T23:31Z", "date=2026-03-10T06:30:01+07:00")
	year := parse(t, `{"resourceType":"Patient","id":"p","birthDate":"1961"}`)
	ask(t, r4, year, true, "birthdate=1961", "birthdate=gt1961-02-03", "birthdate=lt1961-02-03", "birthdate=le1961")
	ask(t, r4, year, false, "birthdate=1961-02-03", "birthdate=sa1961-02-03", "birthdate=gt1961")
	ask(t, r4, year, true, "_lastUpdated=2026-09-21", "_lastUpdated=ge2026-09-21", "_lastUpdated=lt2026-09-22")
	ask(t, r4, year, false, "_lastUpdated=2026-09-22", "_lastUpdated=lt2026-09-21")
}

func quantityOf(t *testing.T, value string) *fhir.Value {
	return parse(t, `{"resourceType":"Observation","id":"o","valueQuantity":{"value":`+value+
		`,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L.x"}}`)
}

func TestQuantitiesByTheDigitsWritten(t *testing.T) {
	r4 := load(t)
	for value, c := range map[string]struct{ yes, no []string }{
		"5.4":    {[]string{"5.4", "5", "eq5.4", "5.40", "le5.4", "ge5.4", "ne5.5", "gt5.3", "lt5.5", "sa5.39", "eb5.41", "ap5", "54e-1", "5.400e0"}, []string{"5.5", "5.3", "gt5.4", "lt5.4", "ne5.4", "ne5", "ap4.8", "54e-2", "6"}},
		"5.44":   {[]string{"5.4", "5.44"}, []string{"5.40", "5.45"}},
		"5.35":   {[]string{"5.4", "gt5.3"}, []string{"5.3", "5.40"}},
		"5.45":   {[]string{"5.5", "gt5.4"}, []string{"5.4", "le5.4"}},
		"99.6":   {[]string{"100", "1e2", "1.0e2"}, []string{"100.0", "1.00e3"}},
		"0.0054": {[]string{"5.40e-3", "5.4e-3", "0.0054"}, []string{"5.41e-3", "5.3e-3", "0.006"}},
		"0.0060": {[]string{"0.006", "6e-3"}, []string{"5.40e-3"}}, // the exponent belongs to the precision
		"-1.5":   {[]string{"-1.5", "lt0", "ap-1.4", "gt-2"}, []string{"1.5", "gt0", "-1.4"}},
	} {
		o := quantityOf(t, value)
		for _, s := range c.yes {
			ask(t, r4, o, true, "value-quantity="+s)
		}
		for _, s := range c.no {
			ask(t, r4, o, false, "value-quantity="+s)
		}
	}
	o := quantityOf(t, "5.4")
	ask(t, r4, o, true, "value-quantity=5.4|http://unitsofmeasure.org|mmol/L.x", "value-quantity=5.4||mmol/L.x", "value-quantity=5.4||mmol/L", "value-quantity=gt5|http://unitsofmeasure.org|")
	ask(t, r4, o, false, "value-quantity=5.4|http://unitsofmeasure.org|mmol/L", "value-quantity=5.4||mg", "value-quantity=5.4|http://other|mmol/L.x")
	risk := parse(t, `{"resourceType":"RiskAssessment","id":"r","prediction":[{"probabilityDecimal":0.25}]}`)
	ask(t, r4, risk, true, "probability=0.25", "probability=0.3", "probability=gt0.2")
	ask(t, r4, risk, false, "probability=0.250001", "probability=lt0.25")
}

func TestReferences(t *testing.T) {
	r4 := load(t)
	o := parse(t, `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p","identifier":{"system":"http://cccd","value":"001"}},
		"performer":[{"reference":"https://far.example/fhir/Practitioner/9"}]}`)
	ask(t, r4, o, true, "patient=p", "patient=Patient/p", "subject=p", "subject=Patient/p", "subject:Patient=p",
		"performer=https://far.example/fhir/Practitioner/9", "subject=x,Patient/p")
	ask(t, r4, o, false, "patient=q", "subject=Group/p", "subject:Group=p", "performer=https://far.example/fhir/Practitioner/8", "subject=Patient/pp")
}

func TestURIs(t *testing.T) {
	r4 := load(t)
	v := parse(t, `{"resourceType":"ValueSet","id":"v","url":"http://acme.org/fhir/ValueSet/1"}`)
	ask(t, r4, v, true, "url=http://acme.org/fhir/ValueSet/1", "url:below=http://acme.org/fhir/", "url:above=http://acme.org/fhir/ValueSet/1/_history/5")
	ask(t, r4, v, false, "url=http://acme.org/fhir/valueset/1", "url=http://acme.org/fhir", "url:below=http://acme.org/fhir/ValueSet/12", "url:above=http://acme.org/")
}

func TestComposites(t *testing.T) {
	r4 := load(t)
	o := parse(t, `{"resourceType":"Observation","id":"o","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"component":[
		{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":150,"code":"mm[Hg]"}},
		{"code":{"coding":[{"code":"a$b"}]},"valueQuantity":{"value":90}}]}`)
	ask(t, r4, o, true, "component-code-value-quantity=8480-6$gt140", "component-code-value-quantity=http://loinc.org|8480-6$150||mm[Hg]",
		`component-code-value-quantity=a\$b$90`, "component-code-value-quantity=x$1,8480-6$ge150", "combo-code-value-quantity=8480-6$lt151")
	ask(t, r4, o, false, "component-code-value-quantity=8480-6$90", "component-code-value-quantity=8480-6$gt150", "code-value-quantity=85354-9$150")
}

func TestCompartment(t *testing.T) {
	r4 := load(t)
	o := parse(t, `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"},"performer":[{"reference":"Patient/q"}]}`)
	ask(t, r4, o, true, Compartment+"=p", Compartment+"=q", Compartment+"=x,q")
	ask(t, r4, o, false, Compartment+"=x", Compartment+"=o")
}

func TestWhatCannotBeSearchedIsSaid(t *testing.T) {
	r4 := load(t)
	for search, why := range map[string]string{
		"Observation?colour=red":                                     "unknown",
		"Observation?code-value-quantity=x":                          "value",
		"Observation?code-value-quantity=x$much":                     "value",
		"Observation?code-value-quantity=x$5$6":                      "value",
		"Observation?subject.name=hoa":                               "unknown",
		"Patient?name:phonetic=hoa":                                  "modifier",
		"Patient?birthdate:exact=1961":                               "modifier",
		"Observation?subject:Nobody=p":                               "modifier",
		"Observation?code:exact=x":                                   "modifier",
		"Patient?birthdate=soon":                                     "value",
		"Patient?birthdate=gt":                                       "value",
		"Patient?birthdate=1961-13":                                  "value",
		"Patient?birthdate=":                                         "value",
		"Patient?birthdate=1961,soon":                                "value",
		"Patient?name:missing=perhaps":                               "value",
		"Observation?value-quantity=much":                            "value",
		"Observation?value-quantity=":                                "value",
		"Observation?value-quantity=1/3":                             "value",
		"Observation?value-quantity=0x10":                            "value",
		"Observation?value-quantity=1p9":                             "value",
		"Observation?value-quantity=1_0":                             "value",
		"Observation?value-quantity=Inf":                             "value",
		"Observation?value-quantity=1e999999999":                     "value",
		"Observation?value-quantity=1e100000":                        "value",
		"Observation?value-quantity=1e-999999999":                    "value",
		"Observation?value-quantity=1e99999999999999999999":          "value",
		"Observation?value-quantity=" + strings.Repeat("9", 1000000): "value",
		"RiskAssessment?probability=|":                               "value",
	} {
		kind, rest, _ := strings.Cut(search, "?")
		err := Check(r4, Query{Kind: kind, Clauses: []Clause{clause(rest)}})
		var bad *ParamError
		if !errors.As(err, &bad) || bad.Why != why {
			t.Errorf("%.60s: got %v, want %s", search, err, why)
		}
	}
	if err := Check(r4, Query{Kind: "Patient", Sort: []string{"-colour"}}); err == nil {
		t.Error("sorted by an unknown parameter")
	}
	// hostile numbers in a record compare with nothing and cost nothing
	for _, n := range []string{"1e999999999", "1e-999999999", strings.Repeat("9", 100000)} {
		ask(t, r4, quantityOf(t, n), false, "value-quantity=5", "value-quantity=gt5", "value-quantity=lt5")
	}
}

// order sorts resources and tells their ids.
func order(t *testing.T, r4 *fhir.R4, sort []string, resources ...*fhir.Value) string {
	type keyed struct{ key, id string }
	var all []keyed
	for _, v := range resources {
		q := Query{Kind: v.Str("resourceType"), Sort: sort}
		if err := Check(r4, q); err != nil {
			t.Fatal(err)
		}
		all = append(all, keyed{SortKey(r4, q, v, Meta{ID: v.Str("id")}), v.Str("id")})
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	ids := ""
	for _, k := range all {
		ids += k.id
	}
	return ids
}

func TestSort(t *testing.T) {
	r4 := load(t)
	var numbers []*fhir.Value
	for i, n := range []string{"5.45", "-3", "5.4", "1e3", "-2.5", "0", "70", "0.0001"} {
		numbers = append(numbers, parse(t, fmt.Sprintf(`{"resourceType":"Observation","id":"%d","valueQuantity":{"value":%s}}`, i, n)))
	}
	numbers = append(numbers, parse(t, `{"resourceType":"Observation","id":"n"}`))
	var people []*fhir.Value
	for i, p := range []string{`"name":[{"family":"Trần"}],"birthDate":"1961-02-03","gender":"male"`, `"name":[{"family":"Đặng"}],"birthDate":"1959","gender":"female"`,
		`"birthDate":"1961","gender":"male"`, `"name":[{"family":"Dan"}],"gender":"female"`, `"name":[{"family":"Đặng Thị"}],"birthDate":"2026-01-01"`} {
		people = append(people, parse(t, fmt.Sprintf(`{"resourceType":"Patient","id":"%d",%s}`, i, p)))
	}
	for _, c := range []struct {
		sort string
		of   []*fhir.Value
		want string
	}{
		{"value-quantity", numbers, "14572063n"},
		{"-value-quantity", numbers, "36027541n"},
		{"family", people, "31402"},
		{"-family", people, "04132"},
		{"birthdate", people, "12043"},
		{"-birthdate", people, "40213"},
		{"gender,-birthdate", people, "13024"},
		{"-gender,family", people, "02314"},
		{"", people, "01234"},
	} {
		var sort []string
		if c.sort != "" {
			sort = strings.Split(c.sort, ",")
		}
		if got := order(t, r4, sort, c.of...); got != c.want {
			t.Errorf("_sort=%s: got %s, want %s", c.sort, got, c.want)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	r4 := load(b)
	o := parse(b, `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},
		"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-03-10","valueQuantity":{"value":72}}`)
	q := Query{Kind: "Observation", Clauses: []Clause{clause("patient=p"), clause("code=8867-4"), clause("date=ge2026"), clause("value-quantity=gt70")}}
	for b.Loop() {
		if !Matches(r4, q, o, Meta{}) {
			b.Fatal("not found")
		}
	}
}
