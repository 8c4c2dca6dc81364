package interop

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	const sent = `{"resourceType":"Observation","id":"a","meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z","tag":[{"code":"t"}]},
		"status":"final","_status":{"id":"x"},"valueQuantity":{"value":1.0,"unit":"kg"},"note":[{"text":"1"},{"text":"2"}],"extension":[null]}`
	for name, tc := range map[string]struct{ old, new, want string }{
		"nothing":                    {``, ``, ``},
		"another version and time":   {`"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z"`, `"versionId":"k-2"`, ``},
		"another order of fields":    {`"value":1.0,"unit":"kg"`, `"unit":"kg","value":1.0`, ``},
		"a lost digit":               {`1.0`, `1`, `other digits at .valueQuantity.value`},
		"another number":             {`1.0`, `1.1`, `other content at .valueQuantity.value`},
		"a number as text":           {`1.0`, `"1.0"`, `other content at .valueQuantity.value`},
		"a lost sibling":             {`"_status":{"id":"x"},`, ``, `other content at ._status`},
		"one more field":             {`"status"`, `"language":"vi","status"`, `other content at .language`},
		"another order of a list":    {`{"text":"1"},{"text":"2"}`, `{"text":"2"},{"text":"1"}`, `other content at .note[0].text`},
		"a shorter list":             {`,{"text":"2"}`, ``, `other content at .note`},
		"a list that is none":        {`[{"text":"1"},{"text":"2"}]`, `{"text":"1"}`, `other content at .note`},
		"an object that is none":     {`{"id":"x"}`, `"x"`, `other content at ._status`},
		"null that became a value":   {`[null]`, `[{}]`, `other content at .extension[0]`},
		"a lost tag":                 {`,"tag":[{"code":"t"}]`, ``, `other content at .meta`},
		"something behind it":        {`[null]}`, `[null]} {}`, `the answer is no JSON object`},
		"no object":                  {sent, `[]`, `the answer is no JSON object`},
		"another id":                 {`"id":"a"`, `"id":"b"`, `other content at .id`},
		"a digit of an exponent":     {`1.0`, `10e-1`, `other digits at .valueQuantity.value`},
		"a space within a text":      {`"kg"`, `"kg "`, `other content at .valueQuantity.unit`},
		"a text that became a truth": {`"final"`, `true`, `other content at .status`},
	} {
		f := &file{content: []byte(sent)}
		if err := f.open(); err != nil {
			t.Fatal(err)
		}
		f.expect()
		body := strings.Replace(sent, tc.old, tc.new, 1)
		if got := judge(f.records[0].want, []byte(body)); got != tc.want {
			t.Errorf("%s: judged %q, want %q", name, got, tc.want)
		}
	}
}

const bundle = `{"resourceType":"Bundle","type":"transaction","entry":[
	{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","id":"old"},"request":{"method":"POST","url":"Patient"}},
	{"fullUrl":"urn:uuid:o","resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"},"identifier":[{"value":"urn:uuid:p"}]},"request":{"method":"POST","url":"Observation"}},
	{"resource":{"resourceType":"Patient","id":"kept"},"request":{"method":"PUT","url":"Patient/kept"}},
	{"request":{"method":"GET","url":"Patient/kept"}}]}`

func TestABundlesRecordsComeToWhatTheMapSays(t *testing.T) {
	f := &file{content: []byte(bundle)}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	if err := f.apply([]byte("1\tPatient/n1\r\n2\tObservation/n2\r\n"), map[string]bool{}); err != nil {
		t.Fatal(err)
	}
	f.expect()
	for i, want := range []string{
		`{"resourceType":"Patient","id":"n1"}`,
		`{"resourceType":"Observation","id":"n2","subject":{"reference":"Patient/n1"},"identifier":[{"value":"urn:uuid:p"}]}`,
		`{"resourceType":"Patient","id":"kept"}`,
	} {
		if got := judge(f.records[i].want, []byte(want)); got != "" {
			t.Errorf("record %d: %s", i, got)
		}
	}
	if f.records[2].given || !f.records[1].given {
		t.Error("an id counts as given though it was kept, or the other way round")
	}
}

func TestTheMapMustBeOneToOne(t *testing.T) {
	for name, tc := range map[string]struct{ note, want string }{
		"an entry without an id":        {"1\tPatient/n1\n", "entry 2 has no id"},
		"an id of another kind":         {"1\tPatient/n1\n2\tPatient/n2\n", "entry 2 has no id"},
		"an entry twice":                {"1\tPatient/n1\n1\tPatient/n3\n2\tObservation/n2\n", "bad line"},
		"an entry that asked for none":  {"1\tPatient/n1\n2\tObservation/n2\n3\tPatient/n3\n", "did not ask"},
		"a line that is none":           {"1 Patient/n1\n", "bad line"},
		"an id that another entry has":  {"1\tPatient/kept\n2\tObservation/n2\n", "given twice"},
		"an id that another file has":   {"1\tPatient/theirs\n2\tObservation/n2\n", "given twice"},
		"no ids at all":                 {"", "entry 1 has no id"},
		"an id that is nothing":         {"1\tPatient/\n2\tObservation/n2\n", "entry 1 has no id"},
		"all as it should be":           {"1\tPatient/n1\n2\tObservation/n2\n", ""},
		"an entry that is not there":    {"1\tPatient/n1\n2\tObservation/n2\n9\tPatient/n3\n", "did not ask"},
		"a place that is not a number":  {"x\tPatient/n1\n", "bad line"},
		"kinds that were mixed up":      {"1\tObservation/n2\n2\tPatient/n1\n", "entry 1 has no id"},
		"another record's id elsewhere": {"1\tPatient/n1\n2\tObservation/theirs\n", ""},
	} {
		f := &file{content: []byte(bundle)}
		if err := f.open(); err != nil {
			t.Fatal(err)
		}
		err := f.apply([]byte(tc.note), map[string]bool{"Patient/theirs": true})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestWhatIsNotTriedIsSaid(t *testing.T) {
	for name, content := range map[string]string{
		"not JSON":             `{"resourceType":`,
		"no id":                `{"resourceType":"Patient"}`,
		"a deletion":           `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE","url":"Patient/a"}}]}`,
		"a creation of nought": `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient"}}]}`,
	} {
		f := &file{content: []byte(content)}
		if err := f.open(); err == nil {
			t.Errorf("%s: was opened", name)
		}
	}
}
