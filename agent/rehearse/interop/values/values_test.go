package values

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestTell(t *testing.T) {
	in := `{"resourceType":"Patient","id":"p","birthDate":"1988-02","gender":"female","managingOrganization":{"reference":"Organization/o"}}
{"resourceType":"Encounter","id":"e","status":"finished","period":{"start":"2024-03-01T00:00:00Z"}}
{"resourceType":"Observation","id":"o","code":{"coding":[{"system":"s","code":"c"}]},"valueDateTime":"2024-01-01T00:00:00Z"}
{"resourceType":"Observation","id":"o","valueQuantity":{"value":5.40,"unit":"kg"}}
`
	var out bytes.Buffer
	if err := Tell(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	var got []map[string]json.RawMessage
	for line := range strings.Lines(out.String()) {
		var v map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if len(got) != 4 {
		t.Fatalf("%d lines, want 4", len(got))
	}
	for _, tc := range []struct {
		line        int
		param, want string
	}{
		{0, "gender", `{"type":"token","values":[{"system":"http://hl7.org/fhir/administrative-gender","code":"female"}]}`},
		{0, "organization", `{"type":"reference","values":[{"kind":"Organization","id":"o"}]}`},
		{0, "phone", `{"type":"token","values":[]}`},
		{1, "date", `{"type":"date","values":[{"low":1709251200000}]}`},
		{2, "code-value-date", `{"type":"composite","values":[{"parts":[{"system":"s","code":"c"},{"low":1704067200000,"high":1704067200999}]}]}`},
		{3, "value-quantity", `{"type":"quantity","values":[{"unit":"kg","text":"5.40"}]}`},
	} {
		if s := string(got[tc.line][tc.param]); s != tc.want {
			t.Errorf("line %d %s: %s, want %s", tc.line+1, tc.param, s, tc.want)
		}
	}
}

func TestWhatIsNoResourceIsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"not JSON":         "{",
		"no object":        "[]",
		"an unknown kind":  `{"resourceType":"Patients"}`,
		"behind a good":    `{"resourceType":"Patient"}` + "\n\n",
		"a line too large": `{"resourceType":"Patient","language":"` + strings.Repeat("x", maxLine) + `"}`,
	} {
		if err := Tell(strings.NewReader(in), &bytes.Buffer{}); err == nil || name != "a line too large" && !errors.Is(err, ErrInput) {
			t.Errorf("%s: ends with %v", name, err)
		}
	}
}
