package storage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"tram/store"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/record"
	"tram/store/storetest"
)

// TestMain lets this binary be what opens the store, and a peer.
func TestMain(m *testing.M) {
	var err error
	switch {
	case filepath.Base(os.Args[0]) == "peer":
		err = plainPeer(os.Args[1], os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "bench-store":
		err = program(os.Args[2:])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// program is the command line of the bench.
func program(args []string) error {
	var c Command
	parser, err := kong.New(&c)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	return c.Run(context.Background(), os.Stdout)
}

// plainPeer keeps nothing but the name of a file, and answers by reading all of it.
func plainPeer(command string, args []string) error {
	opt := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		opt[args[i]] = args[i+1]
	}
	lines := func(file string) []string {
		b, _ := os.ReadFile(file)
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	switch command {
	case "write":
		fmt.Printf(`{"took":1000,"waits":[%s1],"held":%s}`, strings.Repeat("1,", len(opt["--writers"])), fmt.Sprint(len(opt["--writers"])+1))
		return nil
	case "load":
		if err := os.MkdirAll(opt["--dir"], 0o700); err != nil {
			return err
		}
		fmt.Printf(`{"records":%d,"seconds":1,"bytes":1}`, len(lines(opt["--file"])))
		return os.WriteFile(filepath.Join(opt["--dir"], "where"), []byte(opt["--file"]), 0o600)
	}
	ask, err := readQuestions(opt["--questions"])
	if err != nil {
		return err
	}
	where, err := os.ReadFile(filepath.Join(opt["--dir"], "where"))
	if err != nil {
		return err
	}
	asked := map[string]row{}
	for _, q := range ask {
		for _, kind := range []string{fhirWords, fhirIdentifier, wholeRecord} {
			r, n := asked[kind], 0
			for _, line := range lines(string(where)) {
				if found(kind, q, line) {
					n++
				}
			}
			r.Hits, r.Waits = append(r.Hits, n), append(r.Waits, 1)
			asked[kind] = r
		}
	}
	return json.NewEncoder(os.Stdout).Encode(told{Asked: asked})
}

// found reads a line as a person would.
func found(kind string, q question, line string) bool {
	name, after, _ := strings.Cut(line, `"telecom"`)
	name = people.Fold(name[strings.Index(name+`"name"`, `"name"`):])
	person := strings.HasPrefix(line, `{"resourceType":"Patient"`)
	switch kind {
	case fhirWords:
		return person && after != "" && strings.Contains(name, `"`+q.Words[0]) && strings.Contains(name, `"`+q.Words[1])
	case fhirIdentifier:
		return person && strings.Contains(line, `"value":"`+q.Identifier+`"`)
	}
	return strings.Contains(line, `"Patient/`+q.ID+`"`) || strings.HasPrefix(line, `{"resourceType":"Patient","id":"`+q.ID+`"`)
}

// A whole run in small, beside a peer that only reads: every target has a line, and
// both find the same.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	peer := filepath.Join(t.TempDir(), "peer")
	if err := os.Symlink(self, peer); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	dir := t.TempDir()
	o := Options{Dir: dir, Records: 900, People: 120, Questions: 40, Each: 40 * time.Millisecond, SQLite: peer, Profile: filepath.Join(t.TempDir(), "cpu")}
	if err := Run(context.Background(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	_, verdict, _ := strings.Cut(out.String(), "\ntargets:\n")
	targets, others, _ := strings.Cut(verdict, "\nagainst others")
	if n := strings.Count(targets, "met  ") + strings.Count(targets, "NOT MET  "); n != 10 {
		t.Errorf("%d targets, want 10:\n%s", n, out.String())
	}
	if n := strings.Count(others, "times as fast as SQLite"); n != 5 {
		t.Errorf("%d lines against SQLite, want 5:\n%s", n, out.String())
	}
	for _, name := range []string{"", ".look", ".look.heap"} {
		if info, err := os.Stat(o.Profile + name); err != nil || info.Size() == 0 {
			t.Errorf("no profile cpu%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAgree(t *testing.T) {
	ours := map[string]row{fhirWords: {[]int{1, 2}, []int64{1, 2}}, wholeRecord: {[]int{4, 5}, []int64{1, 2}}}
	for name, theirs := range map[string]map[string]row{
		"more":        {fhirWords: {[]int{1, 3}, []int64{1, 2}}},
		"less":        {fhirWords: {[]int{1, 2}, []int64{1, 2}}, wholeRecord: {[]int{4, 4}, []int64{1, 2}}},
		"mixed up":    {fhirWords: {[]int{2, 1}, []int64{1, 2}}},
		"not timed":   {fhirWords: {[]int{1, 2}, []int64{1}}},
		"too many":    {fhirWords: {[]int{1, 2, 3}, []int64{1, 2, 3}}},
		"unknown":     {fhirIdentifier: {[]int{1}, []int64{1}}},
		"not one":     {fhirWords: {}},
		"no question": {},
	} {
		if err := agree("it", ours, theirs); err == nil {
			t.Errorf("%s: agrees", name)
		}
	}
	for _, n := range []int{1, 2} {
		if err := agree("it", ours, map[string]row{fhirWords: {[]int{1, 2}[:n], []int64{8, 9}[:n]}}); err != nil {
			t.Errorf("%d questions: %v", n, err)
		}
	}
}

// What fill leaves is a store as any other: most of it agreed with upstream, the
// rest waiting, and nothing amiss.
func TestFill(t *testing.T) {
	dir := t.TempDir()
	c, err := MakeRecords(filepath.Join(dir, "records"), 3000, 300, 10)
	if err != nil {
		t.Fatal(err)
	}
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fill(context.Background(), filepath.Join(dir, "store"), c, r4, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if f.waiting != rest {
		t.Errorf("%d records wait, want %d", f.waiting, rest)
	}
	s := storetest.Open(t, store.Options{Dir: filepath.Join(dir, "store"), Name: stationName, R4: r4}) // checks it in the end
	have, err := s.Waiting()
	alike, wrong := s.Alike()
	if err = errors.Join(err, wrong); err != nil || alike != 2000 || have.Records != 3000 {
		t.Errorf("%+v, %d alike, %v; want 3000 records, 2000 alike", have, alike, err)
	}
	if place, err := s.Place(mustGet(t, s, record.Key{Kind: "Patient", ID: c.ask[0].ID})); err != nil || place != record.Centre {
		t.Errorf("a person is at %q, %v", place, err)
	}
}

func mustGet(t *testing.T, s *store.Store, key record.Key) *record.Stand {
	t.Helper()
	st, err := s.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestMakeRecords(t *testing.T) {
	dir := t.TempDir()
	c, err := MakeRecords(filepath.Join(dir, "a"), 9000, 2*commune-3, 7)
	if err != nil {
		t.Fatal(err)
	}
	if c.Records != 9000 || len(c.ask) != 7 || c.People < 2*commune-3 || c.People > 2*commune+20 {
		t.Errorf("%d records of %d people, %d questions", c.Records, c.People, len(c.ask))
	}
	b, err := os.ReadFile(c.File)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(len(b)); n != c.json+9000 {
		t.Errorf("the file has %d bytes, want %d and 9000 ends of lines", n, c.json)
	}
	seen := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		key, err := keyOf(lines.Text())
		if err != nil || seen[key.ID] || !key.Valid() {
			t.Fatalf("%v twice, or wrong: %v", key, err)
		}
		seen[key.ID] = true
		if _, after, ok := strings.Cut(lines.Text(), `"reference":"Patient/`); ok && !seen[after[:strings.IndexByte(after, '"')]] {
			t.Fatalf("%s refers to nobody before it", key)
		}
	}
	if again, err := MakeRecords(filepath.Join(dir, "b"), 9000, 2*commune-3, 7); err != nil || fmt.Sprint(again.ask) != fmt.Sprint(c.ask) || again.json != c.json {
		t.Errorf("a second time it is something else: %v", err)
	}
	if _, err := MakeRecords(filepath.Join(dir, "c"), 100, 51, 1); err == nil {
		t.Error("100 records of 51 people")
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		got, want float64
		atMost    bool
		met       bool
	}{{0.5, 0.4, false, true}, {0.4, 0.4, false, true}, {0.3, 0.4, false, false}, {4, 5, true, true}, {5, 5, true, true}, {6, 5, true, false}} {
		if got := (target{got: c.got, want: c.want, atMost: c.atMost}).met(); got != c.met {
			t.Errorf("%+v: met %v", c, got)
		}
	}
	r := row{[]int{1, 2, 3, 4, 0}, []int64{4000, 1000, 3000, 2000, 9000}}
	if got := r.at(0.5); got != 3*time.Millisecond {
		t.Errorf("p50 is %v", got)
	}
	if got := r.at(0.99); got != 9*time.Millisecond {
		t.Errorf("p99 is %v", got)
	}
	fast, slow := score{turns: []float64{100, 900, 10}}, score{turns: []float64{50, 100, 1}}
	if got := fast.of(slow); got != 9 {
		t.Errorf("of ratios 2, 9 and 10 the median is %v", got)
	}
	if r.mean() != 2 || r.each() != 1900 {
		t.Errorf("%v hits each, %v us each", r.mean(), r.each())
	}
}
