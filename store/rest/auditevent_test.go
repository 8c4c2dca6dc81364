package rest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"tram/store"
	"tram/store/audit"
	"tram/store/audit/event"
	"tram/store/record"
	"tram/store/storetest"
)

// archive is a store with acts about two people, and a face that reads them.
type archive struct {
	t      *testing.T
	h      *Handler
	store  *store.Store
	now    int64
	seen   []string // what the audit was told
	refuse error
}

func open(t *testing.T) *archive {
	t.Helper()
	a := &archive{t: t, now: 1764320400000} // 2025-11-28T09:00:00Z
	a.store = storetest.Open(t, store.Options{Name: "tram-a", Clock: func() record.Stamp { return record.Stamp{Unix: a.now} }})
	h, err := New(Options{Backend: a.store, Past: a.store, R4: a.store.R4(), Base: "http://x/fhir",
		Looked: func(_ context.Context, who, action string, keys []record.Key) error {
			for _, k := range keys {
				a.seen = append(a.seen, who+" "+action+" "+k.String())
			}
			return a.refuse
		}})
	if err != nil {
		t.Fatal(err)
	}
	a.h = h
	return a
}

func (a *archive) put(kind, id, rest, author string) *record.Version {
	a.t.Helper()
	v, err := a.store.Put(context.Background(), store.Write{Key: record.Key{Kind: kind, ID: id}, Author: author,
		Content: []byte(`{"resourceType":"` + kind + `","id":"` + id + `"` + rest + `}`)})
	if err != nil {
		a.t.Fatal(err)
	}
	return v[0]
}

func (a *archive) look(who string, keys ...record.Key) {
	a.t.Helper()
	for _, k := range keys {
		if err := a.store.Audit(context.Background(), audit.Entry{Who: who, Action: audit.Read, Key: k}); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *archive) ask(id, asks string, strict bool) result {
	a.t.Helper()
	query, p := parseQuery(asks)
	if p != nil {
		a.t.Fatal(p)
	}
	return a.h.auditEvents(context.Background(), &call{key: record.Key{Kind: auditKind, ID: id}, query: query, by: Caller{Author: "trang"}, prefer: prefer{strict: strict}}, a.store, "tram-a")
}

// found are the ids of a page, each with who and which record, and its next link.
func (a *archive) found(res result) (out []string, next string) {
	a.t.Helper()
	if res.problem != nil {
		a.t.Fatal(res.problem)
	}
	if issues := a.store.R4().Check(res.resource); len(issues) > 0 {
		a.t.Errorf("not valid: %v", issues)
	}
	if list := res.resource.Get("entry"); list != nil {
		for _, e := range list.Items {
			v := e.Get("resource")
			what := ""
			if entities := v.Get("entity"); entities != nil {
				what = entities.Items[0].Get("what").Str("reference")
			}
			for _, agent := range v.Get("agent").Items {
				if agent.Get("requestor").Text == "true" {
					out = append(out, v.Str("id")+" "+agent.Str("who", "identifier", "value")+" "+what)
				}
			}
		}
	}
	for _, l := range res.resource.Get("link").Items {
		if l.Str("relation") == "next" {
			_, next, _ = strings.Cut(l.Str("url"), "?")
		}
	}
	return out, next
}

const hour = 3_600_000

func filled(t *testing.T) (*archive, record.Key, record.Key) {
	t.Helper()
	a := open(t)
	p1, p2 := record.Key{Kind: "Patient", ID: "p1"}, record.Key{Kind: "Patient", ID: "p2"}
	o1 := record.Key{Kind: "Observation", ID: "o1"}
	a.put("Patient", "p1", "", "lan")
	a.put("Patient", "p2", "", "lan")
	a.put("Observation", "o1", `,"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}`, "quang")
	a.now += hour
	a.look("hung", o1, p2)
	a.now += hour
	a.look("program:x1", p1)
	return a, p1, o1
}

func TestAuditIsFoundByWhomAndWhenAndWhose(t *testing.T) {
	a, _, _ := filled(t)
	for _, c := range []struct{ name, asks, want string }{
		{"all", "", "6 program:x1 Patient/p1, 5 hung Patient/p2, 4 hung Observation/o1, 3 quang Observation/o1, 2 lan Patient/p2, 1 lan Patient/p1"},
		{"a person's", "patient=p1", "6 program:x1 Patient/p1, 4 hung Observation/o1, 3 quang Observation/o1, 1 lan Patient/p1"},
		{"by reference", "patient=Patient/p2", "5 hung Patient/p2, 2 lan Patient/p2"},
		{"absolute", "patient=http://x/fhir/Patient/p2", "5 hung Patient/p2, 2 lan Patient/p2"},
		{"either", "patient=p1,p2&agent=lan", "2 lan Patient/p2, 1 lan Patient/p1"},
		{"not held", "patient=p3", ""},
		{"one record", "entity=Observation/o1", "4 hung Observation/o1, 3 quang Observation/o1"},
		{"a program", "agent=program:x1", "6 program:x1 Patient/p1"},
		{"by identifier", "agent:identifier=urn:tram:account|hung", "5 hung Patient/p2, 4 hung Observation/o1"},
		{"who, either", "agent=lan,quang", "3 quang Observation/o1, 2 lan Patient/p2, 1 lan Patient/p1"},
		{"from", "date=ge2025-11-28T11:00:00Z", "6 program:x1 Patient/p1"},
		{"between", "date=gt2025-11-28T09:30:00Z&date=lt2025-11-28T10:30:00Z", "5 hung Patient/p2, 4 hung Observation/o1"},
		{"a day", "date=2025-11-28&agent=quang", "3 quang Observation/o1"},
		{"another day", "date=2025-11-29", ""},
		{"not that minute", "date=ne2025-11-28T09:00:00Z&patient=p2", "5 hung Patient/p2"},
		{"unknown is ignored", "colour=blue&agent=quang", "3 quang Observation/o1"},
	} {
		list, _ := a.found(a.ask("", c.asks, false))
		for i, one := range list { // the version that was written is not what is asked here
			if at := strings.Index(one, "/_history/"); at > 0 {
				list[i] = one[:at]
			}
		}
		if got := strings.Join(list, ", "); got != c.want {
			t.Errorf("%s (%s):\n got %s\nwant %s", c.name, c.asks, got, c.want)
		}
	}
	for _, c := range []struct {
		name, asks, code string
		strict           bool
	}{
		{"a kind that is no patient", "patient=Observation/o1", "bad-search", false},
		{"no reference", "entity=o1", "bad-search", false},
		{"no date", "date=soon", "bad-search", false},
		{"no prefix", "date=xx2025", "bad-search", false},
		{"both", "patient=p1&entity=Observation/o1", "unsupported-parameter", false},
		{"not served", "outcome=0", "unsupported-parameter", false},
		{"chained", "patient.name=x", "unsupported-parameter", false},
		{"modifier", "date:missing=true", "unsupported-parameter", false},
		{"count", "_count=x", "bad-search", false},
		{"page", "_page=-", "bad-page", false},
		{"number only", "_summary=count", "unsupported-parameter", false},
		{"unknown, strict", "colour=blue", "unknown-parameter", true},
	} {
		if res := a.ask("", c.asks, c.strict); res.problem == nil || res.problem.Code != c.code {
			t.Errorf("%s (%s): %v, want %s", c.name, c.asks, res.problem, c.code)
		}
	}
}

// Both of a person's records that a link joins are theirs, and no act stands twice.
func TestAuditOfAPersonWithTwoRecords(t *testing.T) {
	a, _, _ := filled(t)
	a.put("Patient", "p3", `,"link":[{"other":{"reference":"Patient/p1"},"type":"seealso"}]`, "lan")
	for _, asks := range []string{"patient=p1", "patient=p3", "patient=p1,p3,p1"} {
		list, _ := a.found(a.ask("", asks, false))
		if len(list) != 5 || !strings.HasPrefix(list[0], "7 lan Patient/p3") || !strings.HasPrefix(list[4], "1 lan Patient/p1") {
			t.Errorf("%s: %v", asks, list)
		}
	}
}

func TestAuditPagesStayWhileActsGoOn(t *testing.T) {
	a, p1, o1 := filled(t)
	var all []string
	asks := "patient=p1&_count=2"
	for range 5 {
		list, next := a.found(a.ask("", asks, true))
		all = append(all, list...)
		a.look("lan", p1, o1)
		if asks = next; next == "" {
			break
		}
	}
	var numbers []string
	for _, one := range all {
		n, _, _ := strings.Cut(one, " ")
		numbers = append(numbers, n)
	}
	if got := strings.Join(numbers, " "); got != "6 4 3 1" {
		t.Errorf("pages give %s, want 6 4 3 1", got)
	}
}

func TestAuditPageLooksAtSoManyAtMost(t *testing.T) {
	a, p1, _ := filled(t)
	keys := make([]record.Key, maxActs+600)
	for i := range keys {
		keys[i] = p1
	}
	entries := make([]audit.Entry, len(keys))
	for i, k := range keys {
		entries[i] = audit.Entry{Who: "hung", Action: audit.Read, Key: k}
	}
	if err := a.store.Audit(context.Background(), entries...); err != nil {
		t.Fatal(err)
	}
	list, next := a.found(a.ask("", "agent=quang", false))
	if len(list) > 0 || next == "" {
		t.Fatalf("the first page holds %d, next %q", len(list), next)
	}
	if list, next = a.found(a.ask("", next, false)); len(list) != 1 || next != "" {
		t.Errorf("the second page holds %d, next %q", len(list), next)
	}
}

func TestAuditEventIsReadById(t *testing.T) {
	a, _, _ := filled(t)
	var before record.Digest
	for n := 1; n <= 6; n++ {
		res := a.ask(strconv.Itoa(n), "", false)
		if res.problem != nil {
			t.Fatal(res.problem)
		}
		if issues := a.store.R4().Check(res.resource); len(issues) > 0 {
			t.Errorf("%d is not valid: %v", n, issues)
		}
		e, err := event.Follow(before, res.resource)
		if err != nil || e.N != uint64(n) {
			t.Errorf("%d does not follow: %v", n, err)
		}
		before = e.Chain
	}
	for _, id := range []string{"0", "7", "01", "x", "99999999999999999999", "-1"} {
		if res := a.ask(id, "", false); res.problem == nil || res.problem.Code != "not-found" {
			t.Errorf("%s: %v", id, res.problem)
		}
	}
}

// Whose a deleted record was, its last content says; its acts are found by entity.
func TestAuditOfWhatIsDeleted(t *testing.T) {
	a := open(t)
	a.put("Patient", "p1", "", "lan")
	v := a.put("Observation", "o1", `,"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}`, "lan")
	if _, err := a.store.Put(context.Background(), store.Write{Key: v.Key, Base: v.Name.String(), Delete: true, Author: "quang"}); err != nil {
		t.Fatal(err)
	}
	res := a.ask("", "entity=Observation/o1", false)
	list, _ := a.found(res)
	if len(list) != 2 || !strings.HasPrefix(list[0], "3 quang") {
		t.Fatalf("found %v", list)
	}
	if text := string(res.resource.Bytes()); strings.Count(text, `"reference":"Patient/p1"`) != 2 || !strings.Contains(text, "PatientDelete") {
		t.Errorf("whose it was: %s", text)
	}
}

func TestReadingTheAuditIsAnAct(t *testing.T) {
	a, _, _ := filled(t)
	for _, c := range []struct{ id, asks, want string }{
		{"", "patient=p1", "trang review Patient/p1"},
		{"", "entity=Observation/o1", "trang review Observation/o1"},
		{"", "", "trang review AuditEvent/6"},
		{"", "date=1999", "trang review AuditEvent/0"},
		{"3", "", "trang review AuditEvent/3"},
	} {
		a.seen = nil
		if res := a.ask(c.id, c.asks, false); res.problem != nil {
			t.Fatal(res.problem)
		}
		if got := strings.Join(a.seen, ","); got != c.want {
			t.Errorf("%q %q: told %q, want %q", c.id, c.asks, got, c.want)
		}
	}
	a.refuse = errors.New("no room")
	for _, id := range []string{"", "3"} {
		if res := a.ask(id, "", false); res.problem == nil || res.problem.Code != "not-audited" || res.resource != nil {
			t.Errorf("%q is shown without an audit", id)
		}
	}
}
