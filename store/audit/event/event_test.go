package event_test

import (
	"errors"
	"strings"
	"testing"

	"tram/store/audit"
	"tram/store/audit/event"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/storetest"
)

// chain links entries as a store does.
func chain(t *testing.T, entries ...audit.Entry) []audit.Numbered {
	t.Helper()
	var out []audit.Numbered
	var before record.Digest
	for i, e := range entries {
		l, err := audit.Link(before, e)
		if err != nil {
			t.Fatal(err)
		}
		out, before = append(out, audit.Numbered{Linked: l, N: uint64(i + 1)}), l.Chain
	}
	return out
}

func of(t *testing.T, e audit.Numbered, patients ...string) *fhir.Value {
	t.Helper()
	v, err := event.Of(e, "tram-a", patients)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const at = 1764320400123 // 2025-11-28T09:00:00.123Z

func TestActsInCodes(t *testing.T) {
	r4 := storetest.R4(t)
	obs := record.Key{Kind: "Observation", ID: "o1"}
	pat := record.Key{Kind: "Patient", ID: "p1"}
	for _, c := range []struct {
		name     string
		e        audit.Entry
		patients []string
		has      string // parts of the event, parted by " … "
		lacks    string
	}{
		{"read", audit.Entry{Who: "lan", Action: audit.Read, Key: obs, Purpose: "treatment"}, []string{"p1"},
			`BasicAudit.PatientRead … "code":"rest" … restful-interaction","code":"read" … "action":"R" … "recorded":"2025-11-28T09:00:00.123Z" … "outcome":"0" … "code":"TREAT" … "code":"110152" … "code":"110153" … "code":"IRCP" … "value":"lan" … "reference":"Observation/o1" … "reference":"Patient/p1"`, "program"},
		{"read of nobody known", audit.Entry{Who: "lan", Action: audit.Read, Key: obs}, nil, `BasicAudit.Read"`, "Patient"},
		{"read of two", audit.Entry{Who: "lan", Action: audit.Read, Key: obs}, []string{"p1", "p2"}, `BasicAudit.Read" … Patient/p1 … Patient/p2`, "PatientRead"},
		{"search", audit.Entry{Who: "program:x1", Action: audit.Search, Key: pat}, []string{"p1"},
			`BasicAudit.PatientQuery … "code":"search" … "action":"E" … "code":"110153" … "value":"program:x1" … "requestor":true … "value":"tram-a" … "code":"24" … "valueCode":"masked" … "reference":"Patient/p1"`, "IRCP"},
		{"search of a record", audit.Entry{Who: "lan", Action: audit.Search, Key: obs}, []string{"p1"}, `"code":"24" … "reference":"Observation/o1" … "code":"4","display":"Other"`, ""},
		{"create", audit.Entry{Who: "lan", Action: audit.Create, Key: pat}, []string{"p1"}, `PatientCreate … "action":"C" … "code":"AUT" … "reference":"Patient/p1"`, "IRCP"},
		{"delete", audit.Entry{Who: "lan", Action: audit.Delete, Key: obs}, nil, `BasicAudit.Delete … "action":"D"`, "Patient"},
		{"decide", audit.Entry{Who: "lan", Action: audit.Decide, Key: obs}, []string{"p1"}, `PatientUpdate … "system":"urn:tram:audit-action","code":"decide" … "action":"U"`, ""},
		{"history", audit.Entry{Who: "lan", Action: "history", Key: obs}, []string{"p1"}, `"code":"history" … "action":"R"`, ""},
		{"wrong PIN", audit.Entry{Who: "lan", Action: audit.Refuse}, nil, `"code":"110114" … "code":"110122" … "action":"E" … "outcome":"4"`, `"entity"`},
		{"sign-in", audit.Entry{Who: "lan", Action: audit.SignIn}, nil, `"code":"110114" … "code":"110122" … "action":"E"`, `"entity"`},
		{"token", audit.Entry{Who: "trang", Action: audit.Create, Purpose: "program-token"}, nil, `"code":"110113" … "code":"110137" … "action":"C"`, `"meta"`},
		{"review", audit.Entry{Who: "trang", Action: audit.Review, Key: pat}, []string{"p1"}, `"code":"110101" … "action":"R"`, `"meta"`},
		{"lost", audit.Entry{Who: "tram", Action: audit.Lost}, nil, `"outcome":"8"`, `"meta"`},
		{"give up", audit.Entry{Who: "lan", Action: audit.GiveUp, Key: obs}, nil, `"code":"give-up" … "action":"U"`, `"meta"`},
	} {
		c.e.At = at
		v := of(t, chain(t, c.e)[0], c.patients...)
		if issues := r4.Check(v); len(issues) > 0 {
			t.Errorf("%s: %v in %s", c.name, issues, v.Bytes())
		}
		text := string(v.Bytes())
		rest := text
		for _, part := range strings.Split(c.has, " … ") {
			var ok bool
			if _, rest, ok = strings.Cut(rest, part); !ok {
				t.Errorf("%s: no %s (in this order) in %s", c.name, part, text)
				break
			}
		}
		if c.lacks != "" && strings.Contains(text, c.lacks) {
			t.Errorf("%s: %s in %s", c.name, c.lacks, text)
		}
	}
}

func TestReaderVerifiesTheChain(t *testing.T) {
	entries := chain(t, audit.Entry{At: at, Who: "lan", Action: audit.Read, Key: record.Key{Kind: "Patient", ID: "p1"}},
		audit.Entry{At: at + 1, Who: "Đặng\u2028\"", Action: audit.Search}, audit.Entry{At: at + 2, Who: "lan", Action: audit.SignIn})
	var before record.Digest
	for i, e := range entries {
		v, err := fhir.Parse(of(t, e).Bytes(), fhir.Limits{}) // as it came over the wire
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Follow(before, v)
		if err != nil || got != e {
			t.Fatalf("event %d: %+v, %v; want %+v", i, got, err, e)
		}
		before = got.Chain
	}
	good := string(of(t, entries[1]).Bytes())
	for name, c := range map[string]struct{ from, to string }{
		"another entry":  {`search`, `update`},
		"another digest": {`"valueBase64Binary":"`, `"valueBase64Binary":"AA`},
		"no chain":       {event.ChainURL, "urn:other"},
		"no digest":      {`"digest"`, `"sum"`},
		"no number":      {`"number"`, `"n"`},
	} {
		v, err := fhir.Parse([]byte(strings.ReplaceAll(good, c.from, c.to)), fhir.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := event.Follow(entries[0].Chain, v); !errors.Is(err, event.ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := event.Follow(record.Digest{}, of(t, entries[1])); !errors.Is(err, event.ErrChain) {
		t.Errorf("an event that was taken out is not missed: %v", err)
	}
}
