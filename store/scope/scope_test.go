package scope_test

import (
	"slices"
	"testing"

	"tram/store/fhir"
	"tram/store/record"
	"tram/store/scope"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, stations := range [][]string{nil, {"tram-a"}, {"tram-a", "tram-b"}} {
		v, err := fhir.Parse(scope.Content("s", "hoa", stations), fhir.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		of, got, ok := scope.Of(v)
		if want := (record.Key{Kind: "Patient", ID: "hoa"}); !ok || of != want || !slices.Equal(got, stations) {
			t.Errorf("%v is read as %v of %s, %t", stations, got, of, ok)
		}
	}
}

func TestAnotherResourceNamesNoStation(t *testing.T) {
	named := `"extension":[{"url":"urn:tram:station","valueString":"tram-a"}]`
	for name, text := range map[string]string{
		"another kind": `{"resourceType":"Flag","code":{"coding":[{"system":"urn:tram:scope","code":"stations"}]},"subject":{"reference":"Patient/hoa"},` + named + `}`,
		"another code": `{"resourceType":"Basic","code":{"coding":[{"system":"urn:tram:scope","code":"x"}]},"subject":{"reference":"Patient/hoa"},` + named + `}`,
		"without code": `{"resourceType":"Basic","subject":{"reference":"Patient/hoa"},` + named + `}`,
		"about nobody": `{"resourceType":"Basic","code":{"coding":[{"system":"urn:tram:scope","code":"stations"}]},` + named + `}`,
		"about a text": `{"resourceType":"Basic","code":{"coding":[{"system":"urn:tram:scope","code":"stations"}]},"subject":{"reference":"hoa"},` + named + `}`,
	} {
		v, err := fhir.Parse([]byte(text), fhir.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if of, got, ok := scope.Of(v); ok {
			t.Errorf("%s: %v hold %s", name, got, of)
		}
	}
}
