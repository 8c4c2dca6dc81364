package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/agent/rehearse/bench/storage"
	"tram/agent/rehearse/interop/house/housetest"
)

// TestMain lets this binary be what a run starts itself, and the programs.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "bench-api" && os.Args[2] == "--nothing" {
		if err := (&Command{Nothing: true}).Run(context.Background(), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	housetest.Main(m)
}

// TestTheRealProgramIsMeasured: every operation is asked of a station's real program
// by every number of clients, and every answer is right.
func TestTheRealProgramIsMeasured(t *testing.T) {
	programs := housetest.Programs(t)
	dir := t.TempDir()
	c := Command{Dir: dir, People: 60, Records: 900, Each: 10 * time.Millisecond, Longest: time.Minute, Tram: programs.Tram, Central: programs.Central}
	var out bytes.Buffer
	if err := c.Run(context.Background(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, o := range (&drawn{}).ops() {
		for _, n := range clients() {
			line := fmt.Sprintf("\n%-26s %7d |", o.name, n)
			if _, after, ok := strings.Cut(out.String(), line); !ok || strings.HasPrefix(strings.TrimSpace(after), "-") {
				t.Errorf("%s by %d was not measured", o.name, n)
			}
		}
	}
	for _, want := range []string{"HTTP with empty answers", "bbolt alone, synced", "900 records of 60 people", "Medplum was left out"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
	if left, err := filepath.Glob(filepath.Join(dir, "bench-api-*")); err != nil || len(left) > 0 {
		t.Errorf("files were left: %v, %v", left, err)
	}
}

// made is a small corpus.
func made(t *testing.T) storage.Corpus {
	t.Helper()
	c, err := storage.MakeRecords(filepath.Join(t.TempDir(), "records"), 900, 60, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWhatIsDrawnIsThere: of the first records alone, and as many as a search finds.
func TestWhatIsDrawnIsThere(t *testing.T) {
	c := made(t)
	b, err := os.ReadFile(c.File)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, n := range []int{700, c.Records} {
		d, err := draw(c.File, n)
		if err != nil {
			t.Fatal(err)
		}
		count := func(parts ...string) (found int) {
			for _, l := range lines[:n] {
				all := true
				for _, p := range parts {
					all = all && strings.Contains(l, p)
				}
				if all {
					found++
				}
			}
			return found
		}
		if len(d.reads) != n {
			t.Errorf("%d of %d records are read", len(d.reads), n)
		}
		for _, p := range d.people {
			if got := count(`"resourceType":"Observation"`, `"subject":{"reference":"Patient/`+p.id+`"`); got != p.observations || got == 0 {
				t.Errorf("Patient/%s has %d Observations, %d are expected", p.id, got, p.observations)
			}
		}
		for _, one := range d.days {
			if got := count(`"resourceType":"Observation"`, `"code":{"coding":[{"system":"http://loinc.org","code":"`+one.code+`"`, `"effectiveDateTime":"`+one.date); got != one.observations || got == 0 {
				t.Errorf("%s on %s has %d Observations, %d are expected", one.code, one.date, got, one.observations)
			}
		}
		for _, v := range d.visits {
			if got := bytes.Count(v, []byte(`"method":"POST"`)); got != entries || bytes.Contains(v, []byte(`"Patient/`)) {
				t.Errorf("a transaction of %d entries, about somebody known: %t", got, bytes.Contains(v, []byte(`"Patient/`)))
			}
		}
	}
	if _, err := draw(c.File, 10); err == nil {
		t.Error("ten records are enough to draw from")
	}
}

// TestAnUpdateSaysSomethingNew, and what it is made from stays as it was.
func TestAnUpdateSaysSomethingNew(t *testing.T) {
	c := made(t)
	d, err := draw(c.File, c.Records)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	before := fmt.Sprint(d.plain)
	for n := range 3 * len(d.plain) {
		body := string(d.update(n).body)
		if said[body] || strings.Count(body, `"note":`) != 1 || !strings.HasSuffix(body, "}]}") {
			t.Fatalf("update %d is %s", n, body)
		}
		said[body] = true
	}
	if fmt.Sprint(d.plain) != before {
		t.Error("an update changes what it is made from")
	}
}

// answering is a server that gives one answer.
func answering(t *testing.T, status int, answer string, after time.Duration) *server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(after)
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return newServer(s.URL)
}

func TestAWrongAnswerFailsTheRun(t *testing.T) {
	d := &drawn{
		reads: []string{"Patient/p1"}, people: []person{{id: "p1", observations: 2}}, named: []person{{id: "p1", family: "Lò", given: "Mới"}},
		days: []day{{"8302-2", "2026-01-05", 51}}, plain: []plain{{"o1", []byte(`{"resourceType":"Observation","id":"o1"}`)}}, visits: [][]byte{[]byte("{}")},
	}
	ops := map[string]func(int) request{}
	for _, o := range d.ops() {
		ops[o.name] = o.ask
	}
	entry := func(n int) string { return strings.Repeat(`{"resource":{"id":"x"}},`, n) }
	for _, c := range []struct {
		name, op string
		status   int
		answer   string
		right    bool
	}{
		{"read", "read", 200, `{"resourceType":"Patient","id":"p1"}`, true},
		{"another record", "read", 200, `{"resourceType":"Patient","id":"p2"}`, false},
		{"refused", "read", 403, `{"resourceType":"Patient","id":"p1"}`, false},
		{"both", "search: patient and kind", 200, `{"total":2,"entry":[` + entry(2) + `]}`, true},
		{"the total behind them", "search: patient and kind", 200, `{"entry":[` + entry(2) + `],"total":2}`, true},
		{"one is missing", "search: patient and kind", 200, `{"total":2,"entry":[` + entry(1) + `]}`, false},
		{"one too many", "search: patient and kind", 200, `{"total":3,"entry":[` + entry(3) + `]}`, false},
		{"one more elsewhere", "search: patient and kind", 200, `{"total":3,"entry":[` + entry(2) + `]}`, false},
		{"no total", "search: patient and kind", 200, `{"entry":[` + entry(2) + `]}`, false},
		{"a page", "search: code and date", 200, `{"total":51,"entry":[` + entry(page) + `]}`, true},
		{"more than a page", "search: code and date", 200, `{"total":51,"entry":[` + entry(51) + `]}`, false},
		{"the person", "search: name", 200, `{"total":1,"entry":[{"resource":{"id":"p1"}}]}`, true},
		{"somebody else", "search: name", 200, `{"total":1,"entry":[{"resource":{"id":"p2"}}]}`, false},
		{"too many to see", "search: name", 200, `{"total":90}`, true},
		{"nobody", "search: name", 200, `{"total":0}`, false},
		{"born", "create", 201, `{"resourceType":"Observation","id":"n","meta":{"versionId":"v"}}`, true},
		{"not born", "create", 200, `{"resourceType":"Observation","id":"n","meta":{"versionId":"v"}}`, false},
		{"the old one", "update", 200, `{"id":"o1"}`, false},
		{"all entries", "transaction of 100", 200, strings.Repeat(`"status":"201 Created"`, entries), true},
		{"all but one", "transaction of 100", 200, strings.Repeat(`"status":"201"`, entries-1), false},
	} {
		got, err := answering(t, c.status, c.answer, 0).drive(context.Background(), 2, time.Millisecond, ops[c.op])
		if right := err == nil; right != c.right || right && len(got.waits) < 2 {
			t.Errorf("%s: %d answers, %v", c.name, len(got.waits), err)
		}
	}
}

// TestWhoIsSlowIsNotAskedByMany: nor twice by one, where one answer takes too long.
func TestWhoIsSlowIsNotAskedByMany(t *testing.T) {
	for _, c := range []struct {
		name    string
		longest time.Duration
		asked   []bool // by 1, 4 and 16
	}{
		{"quick enough", time.Minute, []bool{true, true, true}},
		{"slow", 150 * time.Millisecond, []bool{true, false, false}},
		{"too slow", time.Millisecond, []bool{true, false, false}},
	} {
		s := answering(t, http.StatusOK, "", 50*time.Millisecond)
		b := &bench{Command: Command{Each: time.Millisecond, Longest: c.longest}, out: &bytes.Buffer{}}
		if err := b.measure(context.Background(), []side{{s, []op{{"nothing", nothing}}}}); err != nil {
			t.Fatal(err)
		}
		for i, r := range b.table.rows {
			if got := len(r.scores[0].waits) >= r.clients; got != c.asked[i] {
				t.Errorf("%s, by %d: %d answers", c.name, r.clients, len(r.scores[0].waits))
			}
		}
	}
}
