package rest_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/query"
)

func entries(r reply) []fhir.Entry { return fhir.Entries(r.body) }

func link(r reply, relation string) string {
	for _, l := range r.body.Get("link").Items {
		if l.Str("relation") == relation {
			return l.Str("url")
		}
	}
	return ""
}

func ids(r reply) []string {
	var out []string
	for _, e := range entries(r) {
		out = append(out, e.Resource.Str("id"))
	}
	return out
}

func TestClient09History(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	second := f.want(200, "PUT", "/Patient/p1", strings.Replace(withID(patient, "p1"), "1961", "1962", 1))
	f.want(201, "PUT", "/Flag/f1", `{"resourceType":"Flag","id":"f1","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`)
	f.want(204, "DELETE", "/Patient/p1", "")
	since := url.QueryEscape(second.body.Str("meta", "lastUpdated"))
	for _, c := range []struct{ path, want string }{
		{"/Patient/p1/_history", "DELETE Patient/p1 204,PUT Patient/p1 200,PUT Patient/p1 201"},
		{"/Patient/p1/_history?_since=" + since, "DELETE Patient/p1 204,PUT Patient/p1 200"},
		{"/Patient/_history", "DELETE Patient/p1 204,PUT Patient/p1 200,PUT Patient/p1 201"},
		{"/Flag/_history", "PUT Flag/f1 201"},
		{"/_history", "DELETE Patient/p1 204,PUT Flag/f1 201,PUT Patient/p1 200,PUT Patient/p1 201"},
		{"/_history?_since=" + since, "DELETE Patient/p1 204,PUT Flag/f1 201,PUT Patient/p1 200"},
		{"/Group/_history", ""},
	} {
		for _, count := range []string{"", "_count=1", "_count=2"} {
			path := c.path
			if count != "" {
				path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + count
			}
			var got []string
			for pages := 0; path != ""; pages++ {
				r := f.want(200, "GET", path, "")
				if issues := f.r4.Check(r.body); len(issues) > 0 || r.body.Str("type") != "history" {
					t.Fatalf("%s: %v in %s", path, issues, r.raw)
				}
				for _, e := range entries(r) {
					got = append(got, e.Method+" "+e.URL+" "+e.Status[:3])
					if (e.Method == "DELETE") != (e.Resource == nil) || e.ETag == "" || e.LastModified == "" {
						t.Errorf("%s: entry %+v", path, e)
					}
				}
				if path = link(r, "next"); pages > 10 {
					t.Fatalf("%s does not end", c.path)
				}
			}
			if strings.Join(got, ",") != c.want {
				t.Errorf("%s %s: got %v, want %s", c.path, count, got, c.want)
			}
		}
	}
	f.want(400, "GET", "/Patient/p1/_history?_since=soon", "")
	f.want(400, "GET", "/Patient/p1/_history?_page=soon", "")
	for _, path := range []string{"/Patient/p1/_history?_at=2020", "/Patient/_history?_at=2020", "/_history?_list=List/l"} {
		if r := f.want(400, "GET", path, ""); r.problem() != "unsupported-parameter" {
			t.Errorf("%s: %s", path, r.problem())
		}
	}
}

func TestClient15SearchByGetAndPost(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	f.want(201, "PUT", "/Patient/p2", strings.NewReplacer("Lan", "Mai", "1961", "1985").Replace(withID(patient, "p2")))
	f.want(201, "PUT", "/Patient/p3", strings.NewReplacer("Lan", "A,B", "female", "male").Replace(withID(patient, "p3")))
	for _, c := range []struct{ query, want string }{
		{"gender=female", "p1 p2"},
		{"gender=female&birthdate=1985-02-03", "p2"},
		{"given=Lan,Mai", "p1 p2"},
		{"_id=p1,p3", "p1 p3"},
		{"family=nguyen&given=lan", "p1"},
		{"nonsense=1&_id=p2", "p2"},
		{"gender=", "p1 p2 p3"},
		{"_id=nobody", ""},
	} {
		r := f.want(200, "GET", "/Patient?"+c.query, "")
		got := ids(r)
		slices.Sort(got)
		if strings.Join(got, " ") != c.want || r.body.Str("total") != fmt.Sprint(len(got)) {
			t.Errorf("GET %s: got %v of %s, want %s", c.query, got, r.body.Str("total"), c.want)
		}
		p := f.want(200, "POST", "/Patient/_search", c.query, "Content-Type", "application/x-www-form-urlencoded")
		if !slices.Equal(ids(p), ids(r)) {
			t.Errorf("POST %s: got %v, want %v", c.query, ids(p), ids(r))
		}
		if issues := f.r4.Check(r.body); len(issues) > 0 {
			t.Errorf("%s: not valid R4: %v", c.query, issues)
		}
	}
	f.want(201, "PUT", "/Organization/o1", `{"resourceType":"Organization","id":"o1","name":"A,B|C"}`)
	f.want(201, "PUT", "/Organization/o2", `{"resourceType":"Organization","id":"o2","name":"A"}`)
	for query, want := range map[string]string{`name:exact=A\,B\|C`: "o1", "name:exact=A,B": "o2", "name=a": "o1 o2"} {
		got := ids(f.want(200, "GET", "/Organization?"+strings.Replace(url.QueryEscape(query), "%3D", "=", 1), ""))
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", query, got, want)
		}
	}
	f.want(415, "POST", "/Patient/_search", "gender=male", "Content-Type", "text/plain")
	f.want(413, "POST", "/Patient/_search", "given="+strings.Repeat("x", 70<<10), "Content-Type", "application/x-www-form-urlencoded")
}

// Ignoring what would narrow a search would answer another question.
func TestClient25UnknownParameters(t *testing.T) {
	f := serve(t)
	for _, c := range []struct {
		query, prefer string
		want          int
	}{
		{"nonsense=1", "", 200}, {"nonsense=1", "handling=lenient", 200}, {"nonsense=1", "handling=strict", 400},
		{"_sort=nonsense", "", 200}, {"_sort=nonsense", "handling=strict", 400},
		{"_include=Patient:nonsense", "", 400}, {"_include=Patient", "", 400}, {"_revinclude=*", "", 400}, {"_include:x=Patient:organization", "", 400},
		{"organization.nonsense=x", "", 400}, {"gender.name=x", "", 400}, {"organization.name:nonsense=x", "", 400}, {"nonsense.name=x", "", 200},
		{"_has:Observation:nonsense:code=1", "", 400}, {"_has:Observation=1", "", 400}, {"_has:Observation:patient:nonsense.x=1", "", 400}, {"_has:Observation:patient:nonsense=1", "", 400}, {"_filter=x", "", 400},
		{"gender:in=ValueSet/none", "", 400}, {"name:in=ValueSet/none", "", 400}, {"_contained=true", "", 400},
		{"birthdate=soon", "", 400}, {"_count=x", "", 400}, {"_count=-1", "", 400}, {"_total=some", "", 400},
		{"_summary=perhaps", "", 400}, {"gender=%zz", "", 400}, {"gender=%ff", "", 400}, {"_page=%21", "", 400},
	} {
		r := f.do("GET", "/Patient?"+c.query, "", "Prefer", c.prefer)
		if r.status != c.want {
			t.Errorf("%s (%s): got %d, want %d: %s", c.query, c.prefer, r.status, c.want, r.raw)
		} else if c.want == 200 && strings.Contains(link(r, "self"), "?") {
			t.Errorf("%s: self link %s tells what was ignored", c.query, link(r, "self"))
		} else if c.want == 400 {
			f.outcome(r)
		}
	}
	r := f.want(200, "GET", "/Patient?gender=male&x=1&_sort=-birthdate,x&_count=5000&_format=json", "")
	if got, want := link(r, "self"), f.base+"/Patient?gender=male&_sort=-birthdate&_count=1000"; got != want {
		t.Errorf("self = %s, want %s", got, want)
	}
}

func TestClient23PagesStayStableUnderWrites(t *testing.T) {
	f := serve(t)
	body := func(i int) string {
		return fmt.Sprintf(`{"resourceType":"Patient","id":"p%02d","gender":"other","birthDate":"19%02d-01-01"}`, i, 20+i)
	}
	for i := range 25 {
		f.want(201, "PUT", fmt.Sprintf("/Patient/p%02d", i), body(i))
	}
	for _, sort := range []string{"", "&_sort=birthdate", "&_sort=-birthdate", "&_sort=_id"} {
		seen := map[string]int{}
		path := "/Patient?gender=other&_count=7" + sort
		for n := 0; path != ""; n++ {
			r := f.want(200, "GET", path, "")
			for _, id := range ids(r) {
				seen[id]++
			}
			// In between someone is deleted, someone added, someone renamed.
			extra := fmt.Sprintf("x%d%d", n, len(sort))
			f.want(201, "PUT", "/Patient/"+extra, strings.Replace(body(0), "p00", extra, 1))
			f.want(204, "DELETE", "/Patient/"+extra, "")
			f.do("PUT", "/Patient/p03", strings.Replace(body(3), `"gender"`, fmt.Sprintf(`"name":[{"text":"n%d%s"}],"gender"`, n, sort), 1))
			if path = link(r, "next"); n > 20 {
				t.Fatalf("%q does not end", sort)
			}
		}
		for i := range 25 {
			if id := fmt.Sprintf("p%02d", i); seen[id] != 1 {
				t.Errorf("%q: %s came %d times, want once", sort, id, seen[id])
			}
		}
	}
}

func TestClient24TotalSummaryElements(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient, "p1"))
	f.want(201, "PUT", "/Patient/p2", `{"resourceType":"Patient","id":"p2","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},"gender":"female"}`)
	for _, c := range []struct{ query, total, fields string }{
		{"_summary=count", "2", ""},
		{"_count=0", "2", ""},
		{"_total=none&_id=p1", "", "id resourceType name gender birthDate meta"},
		{"_id=p1&_elements=gender", "1", "id resourceType gender meta"},
		{"_id=p1&_elements=Patient.birthDate,gender", "1", "id resourceType gender birthDate meta"},
		{"_id=p2&_summary=text", "1", "resourceType id text meta"},
		{"_id=p2&_summary=true", "1", "resourceType id gender meta"},
		{"_id=p2&_summary=data", "1", "resourceType id gender meta"},
		{"_id=p2&_summary=false", "1", "resourceType id text gender meta"},
	} {
		r := f.want(200, "GET", "/Patient?"+c.query, "")
		var fields []string
		part := false
		for _, e := range entries(r) {
			for _, x := range e.Resource.Fields {
				fields = append(fields, x.Name)
			}
			part = first(e.Resource.Get("meta").Get("tag")).Str("code") == "SUBSETTED"
		}
		if got := strings.Join(fields, " "); got != c.fields || r.body.Str("total") != c.total {
			t.Errorf("%s: got %q of %s, want %q of %s", c.query, got, r.body.Str("total"), c.fields, c.total)
		}
		if want := strings.Contains(c.query, "_elements") || strings.Contains(c.query, "true") || strings.Contains(c.query, "text") || strings.Contains(c.query, "data"); part != want {
			t.Errorf("%s: SUBSETTED %v, want %v", c.query, part, want)
		}
	}
	part := f.want(200, "GET", "/Patient/p1?_elements=gender", "")
	if got := f.want(422, "PUT", "/Patient/p1", part.raw).problem(); got != "partial" {
		t.Errorf("writing back a part: %s", got)
	}
}

func TestClient22ResourceParameters(t *testing.T) {
	f := serve(t)
	f.want(201, "PUT", "/Patient/p1", withID(patient[:len(patient)-1]+`,"meta":{"tag":[{"system":"urn:x","code":"a"}],"source":"urn:s","profile":["http://p/1"],"security":[{"system":"urn:x","code":"s"}]}}`, "p1"))
	second := f.want(201, "PUT", "/Patient/p2", withID(patient, "p2"))
	for query, want := range map[string]string{
		"_id=p1": "p1", "_tag=a": "p1", "_tag=urn:x|a": "p1", "_profile=http://p/1": "p1", "_security=s": "p1", "_source=urn:s": "p1",
		"_lastUpdated=ge" + second.body.Str("meta", "lastUpdated"): "p2", "_lastUpdated=lt" + second.body.Str("meta", "lastUpdated"): "p1",
	} {
		if got := strings.Join(ids(f.want(200, "GET", "/Patient?"+query, "")), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// Every search parameter that is advertised can be searched by.
func TestClient29MetadataIsTrue(t *testing.T) {
	f := serve(t)
	m := f.want(200, "GET", "/metadata", "", "X-Nobody", "1")
	if issues := f.r4.Check(m.body); len(issues) > 0 {
		t.Errorf("not valid R4: %v", issues)
	}
	if m.body.Str("fhirVersion") != "4.0.1" || m.body.Str("software", "version") != "1.0" {
		t.Errorf("fhirVersion %q", m.body.Str("fhirVersion"))
	}
	samples := map[string]string{"token": "a|b", "string": "a", "date": "2020", "reference": "Patient/p1", "quantity": "5.4", "number": "5", "uri": "urn:x"}
	kinds := first(m.body.Get("rest")).Get("resource").Items
	if len(kinds) < 140 {
		t.Fatalf("%d kinds", len(kinds))
	}
	for _, kind := range kinds {
		for _, p := range kind.Get("searchParam").Items {
			value := samples[p.Str("type")]
			if def, _ := f.r4.Param(kind.Str("type"), p.Str("name")); def.Type == "composite" {
				var parts []string
				for _, typ := range def.Parts {
					parts = append(parts, samples[typ])
				}
				value = strings.Join(parts, "$")
			}
			if value == "" {
				t.Errorf("%s.%s has type %s", kind.Str("type"), p.Str("name"), p.Str("type"))
			}
			q := query.Query{Kind: kind.Str("type"), Limit: 1, Clauses: []query.Clause{{Param: p.Str("name"), Values: []string{value}}}}
			if _, err := f.store.Search(q); err != nil {
				t.Errorf("%s?%s: %v", kind.Str("type"), p.Str("name"), err)
			}
		}
	}
	f.want(405, "TRACE", "/Patient/p1", "")
	f.want(404, "GET", "/Patient/$everything", "")
}
