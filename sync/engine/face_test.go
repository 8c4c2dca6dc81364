package engine_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/record"
	"tram/store/rest"
)

// face asks the FHIR face of a station.
func (s *station) face(t *testing.T, method, path, body, match string) (*fhir.Value, http.Header) {
	t.Helper()
	h, err := rest.New(rest.Options{Backend: s.Store, Past: s.Store, R4: s.R4(), Base: "http://x/fhir",
		Caller: func(*http.Request) rest.Caller { return rest.Caller{Author: "program:his"} }})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "/fhir"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/fhir+json")
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	v, err := fhir.Parse(w.Body.Bytes(), fhir.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v, w.Header()
}

// a: 1962, b: 1963. A program at b sees both values and who set them, and decides: it holds
// everywhere, under the same versionId, and each replica tells when it took it in.
func TestConflictIsDecidedByAProgram(t *testing.T) {
	w, k := shared(t, hoa)
	w.stations["a"].edit(t, k, strings.Replace(hoa, "1961", "1962", 1))
	w.stations["b"].edit(t, k, strings.Replace(hoa, "1961", "1963", 1))
	w.sync("a", "b")
	a, b := w.stations["a"], w.stations["b"]
	if list := fhir.Entries(first(b.face(t, "GET", "/$conflicts", "", ""))); len(list) != 1 || list[0].Resource.Str("id") != k.ID {
		t.Fatalf("contested: %d", len(list))
	}
	told, head := b.face(t, "GET", "/"+k.String()+"/$conflicts", "", "")
	var parts []string
	var setters []record.Name
	for _, c := range told.Get("parameter").Items[0].Get("part").Items {
		if c.Str("name") == "path" {
			parts = append(parts, `{"name":"path","valueString":"`+c.Str("valueString")+`"}`)
			continue
		}
		value := c.Get("part").Items[0].Str("valueString")
		for _, setter := range c.Get("part").Items[1:] {
			name, err := record.ParseName(setter.Get("part").Items[0].Str("valueId"))
			if err != nil {
				t.Fatal(err)
			}
			setters = append(setters, name)
			parts = append(parts, `{"name":"version","valueId":"`+name.String()+`"}`)
		}
		if strings.Contains(value, "1963") {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, `{"name":"value","valueString":`+string(text)+`}`)
		}
	}
	if len(setters) != 2 {
		t.Fatalf("told: %s", told.Bytes())
	}
	b.face(t, "POST", "/"+k.String()+"/$resolve", `{"resourceType":"Parameters","parameter":[{"name":"decision","part":[`+strings.Join(parts, ",")+`]}]}`, head.Get("ETag"))
	w.sync("b", "a")
	w.want(k, `"birthDate":"1963-02-03"`)
	here, there := first(b.face(t, "GET", "/"+k.String(), "", "")), first(a.face(t, "GET", "/"+k.String(), "", ""))
	if here.Str("meta", "versionId") != there.Str("meta", "versionId") || here.Get("meta").Get("tag") != nil {
		t.Errorf("b shows %s, a %s", here.Get("meta").Bytes(), there.Get("meta").Bytes())
	}
	if list := fhir.Entries(first(a.face(t, "GET", "/$conflicts", "", ""))); len(list) != 0 {
		t.Errorf("still contested at a: %d", len(list))
	}
	st, err := a.Get(k)
	if err != nil || st.Shown.Came == 0 || there.Str("meta", "lastUpdated") == "" {
		t.Errorf("a does not tell when it took the decision in: %+v, %v", st, err)
	}
}

func first(v *fhir.Value, _ http.Header) *fhir.Value { return v }
