package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// told is what a process of its own says of what it keeps, as one line of JSON. The
// store's and the peers' say the same.
type told struct {
	Records int            `json:"records"`
	Seconds float64        `json:"seconds"` // of loading, or of opening
	Bytes   int64          `json:"bytes"`   // on the disk
	Asked   map[string]row `json:"asked"`
	// Memory is of this process, without the pages of files: before the records
	// were opened, after it, when what is garbage was given back, and in the end.
	Memory [4]int64 `json:"memory"`
	Log    string   `json:"log"` // what the store said while it opened
}

// row is one kind of question, asked about one person after the other. A peer may
// lose patience and leave the last ones out.
type row struct {
	Hits  []int   `json:"hits"`
	Waits []int64 `json:"waits"` // in microseconds
}

// The kinds of questions.
const (
	deskWords      = "desk, two words"
	deskIdentifier = "desk, identifier"
	fhirWords      = "FHIR, two words"
	fhirIdentifier = "FHIR, identifier"
	wholeRecord    = "whole record"
)

// deskLimit is how many people a desk asks for. They are read from a file that the opening
// has just gone through.
const deskLimit = 101

// look opens a filled store, as a station's program does when it starts, and asks
// for people. Profiles go to files where one is named.
func look(ctx context.Context, dir, questions, profile string, out io.Writer) error {
	ask, err := readQuestions(questions)
	if err != nil {
		return err
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	var t told
	var said bytes.Buffer
	t.Memory[0] = memory()
	began := time.Now()
	s, err := store.Open(store.Options{Dir: dir, Name: stationName, R4: r4, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		return err
	}
	t.Seconds, t.Log = time.Since(began).Seconds(), said.String()
	t.Memory[1] = memory()
	debug.FreeOSMemory()
	t.Memory[2] = memory()
	if err := heap(profile); err != nil {
		return err
	}
	have, err := s.Waiting()
	if err != nil {
		return err
	}
	t.Records = have.Records
	stop, err := profiled(profile)
	if err != nil {
		return err
	}
	t.Asked, err = asked(ctx, s, ask)
	stop()
	if err != nil {
		return err
	}
	t.Memory[3] = memory()
	if err := s.Close(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}

func readQuestions(file string) (ask []question, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ask, json.Unmarshal(b, &ask)
}

// heap writes a profile of the live heap beside the CPU's.
func heap(profile string) error {
	if profile == "" {
		return nil
	}
	f, err := os.Create(profile + ".heap")
	if err != nil {
		return err
	}
	defer f.Close()
	runtime.GC()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

// memory is what this process holds without the pages of files: RssAnon of
// proc_pid_status(5), or where there is none what Go took and did not give back.
func memory() int64 {
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		var kilobytes int64
		if n, _ := fmt.Sscan(field(string(b), "RssAnon", ""), &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}

// asked asks every kind of question about everybody, one person after the other.
func asked(ctx context.Context, s *store.Store, ask []question) (map[string]row, error) {
	kinds := compartment(s.R4())
	desk := func(text string) (int, error) {
		found, err := s.People(text, deskLimit)
		return len(found), err
	}
	patients := func(clauses ...query.Clause) (int, error) {
		res, err := s.Search(query.Query{Kind: "Patient", Limit: deskLimit, Clauses: clauses})
		return res.Total, err
	}
	rows := map[string]row{}
	for _, one := range []struct {
		name string
		find func(question) (int, error)
	}{
		{deskWords, func(q question) (int, error) { return desk(strings.Join(q.Words[:], " ")) }},
		{deskIdentifier, func(q question) (int, error) { return desk(q.Identifier) }},
		{fhirWords, func(q question) (int, error) {
			return patients(query.Clause{Param: "name", Values: q.Words[:1]}, query.Clause{Param: "name", Values: q.Words[1:]})
		}},
		{fhirIdentifier, func(q question) (int, error) {
			return patients(query.Clause{Param: "identifier", Values: []string{q.Identifier}})
		}},
		{wholeRecord, func(q question) (int, error) { return whole(s, kinds, q.ID) }},
	} {
		r := row{}
		for _, q := range ask {
			began := time.Now()
			n, err := one.find(q)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				return nil, fmt.Errorf("%s: nothing found of Patient/%s", one.name, q.ID)
			}
			r.Hits, r.Waits = append(r.Hits, n), append(r.Waits, time.Since(began).Microseconds())
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		rows[one.name] = r
	}
	return rows, nil
}

// compartment are the kinds that belong to people, as a person's page shows them.
func compartment(r4 *fhir.R4) (kinds []string) {
	for _, k := range r4.Kinds() {
		if p, ok := r4.Param(k, "patient"); ok && p.Type == "reference" && k != "Patient" {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// whole reads a person and all that belongs to them, kind by kind.
func whole(s *store.Store, kinds []string, id string) (int, error) {
	if _, err := s.Get(record.Key{Kind: "Patient", ID: id}); err != nil {
		return 0, err
	}
	n := 1
	for _, k := range kinds {
		res, err := s.Search(query.Query{Kind: k, Limit: query.MaxLimit, Clauses: []query.Clause{{Param: "patient", Values: []string{id}}}})
		if err != nil {
			return 0, err
		}
		n += len(res.Stands)
	}
	return n, nil
}
