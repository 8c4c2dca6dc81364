package interop

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"tram/agent/rehearse/interop/house/housetest"
)

func TestMain(m *testing.M) { housetest.Main(m) }

// The real programs take a transaction, an example about somebody who is not
// there, and refuse what is no FHIR; all that was taken comes out of both stations.
func TestATrialOfTheRealPrograms(t *testing.T) {
	var out bytes.Buffer
	tr := &trial{o: Options{Programs: housetest.Programs(t)}, dir: t.TempDir(), out: &out, files: []*file{
		{name: "people.json", content: []byte(bundle)},
		{name: "digits.json", content: []byte(`{"resourceType":"Observation","id":"digits","status":"final","code":{"text":"x"},
			"subject":{"reference":"Patient/unknown"},"valueQuantity":{"value":1.00,"_unit":{"id":"u"}}}`)},
		{name: "wrong.json", content: []byte(`{"resourceType":"Observation","id":"wrong","status":"final"}`)},
	}}
	// What a Bundle here lacks of R4.
	tr.files[0].content = []byte(strings.Replace(bundle, `"resourceType":"Observation",`, `"resourceType":"Observation","status":"final","code":{"text":"y"},`, 1))
	err := tr.run(context.Background())
	if err := errors.Join(err, tr.end()); err != nil {
		t.Fatal(err)
	}
	if err := tr.verdict(map[string]string{"wrong.json": "has no code"}); err != nil {
		t.Errorf("%v:\n%s", err, out.String())
	}
	for _, want := range []string{"files 3, accepted 2, with 4 records; 2 ids given", "second station: 2 files, 4 records", "[not-fhir]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
	if got := string(tr.ids()); strings.Count(got, "\n") != 2 || !strings.Contains(got, "people.json\t1\tPatient/") {
		t.Errorf("the ids are %q", got)
	}
	// Without the list the same run fails, and with another file in it too.
	for name, listed := range map[string]map[string]string{"no list": nil, "one too many": {"wrong.json": "x", "digits.json": "y"}} {
		if err := tr.verdict(listed); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: ends with %v", name, err)
		}
	}
}
