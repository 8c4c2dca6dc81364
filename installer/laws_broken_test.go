package installer_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEachLawCanBeBroken breaks every law in memory and sees it told.
func TestEachLawCanBeBroken(t *testing.T) {
	real := read(t, os.DirFS(".."))
	comment := "//\n"
	many := map[string]string{}
	for i := range 18 {
		many[fmt.Sprintf("agent/tram/x%d.go", i)] = "package main"
	}
	for name, c := range map[string]struct {
		law   string
		files map[string]string // "" takes a file, or a folder, away
		want  string
	}{
		"up a floor":         {"arrows point down", map[string]string{"store/record/x.go": "package record\nimport _ `tram/store/fhir`"}, "store/record imports store/fhir"},
		"a neighbour":        {"arrows point down", map[string]string{"sync/wire/x.go": "package wire\nimport _ `tram/sync/merge`"}, "sync/wire imports sync/merge"},
		"a homeless room":    {"arrows point down", map[string]string{"store/attic/attic.go": "package attic"}, "store/attic has no floor"},
		"an empty floor":     {"arrows point down", map[string]string{"store/storetest": ""}, "store/storetest has a floor and no files"},
		"store knows sync":   {"bans hold", map[string]string{"store/x.go": "package store\nimport _ `tram/sync/wire`"}, "store -> tram/sync/wire"},
		"merge reads files":  {"bans hold", map[string]string{"sync/merge/x.go": "package merge\nimport _ `os`"}, "sync/merge -> os"},
		"by way of another":  {"bans hold", map[string]string{"store/element/x.go": "package element\nimport _ `go.etcd.io/bbolt`"}, "sync/merge -> store/element -> go.etcd.io/bbolt"},
		"a pure web server":  {"bans hold", map[string]string{"store/query/x.go": "package query\nimport _ `net/http`"}, "store/query -> net/http"},
		"engine and carrier": {"bans hold", map[string]string{"sync/engine/x.go": "package engine\nimport _ `tram/sync/carry`"}, "sync/engine -> tram/sync/carry"},
		"centre in a tram":   {"bans hold", map[string]string{"agent/x.go": "package agent\nimport _ `tram/sync/central/tram-central`"}, "agent/tram -> agent -> tram/sync/central/tram-central"},
		"PostgreSQL":         {"bans hold", map[string]string{"store/x.go": "package store\nimport _ `github.com/jackc/pgx/v5`"}, "store -> github.com/jackc/pgx/v5"},
		"tests in a program": {"bans hold", map[string]string{"agent/x.go": "package agent\nimport _ `tram/store/storetest`"}, "agent -> tram/store/storetest"},
		"a ban on nobody":    {"bans hold", map[string]string{"sync/carry": ""}, "a ban names tram/sync/carry, which is gone"},
		"a clock":            {"pure rooms read no clock", map[string]string{"store/record/x.go": "package record\nimport now `time`\nvar x = now.Now()"}, "store/record/x.go"},
		"sync itself":        {"no Go in sync itself", map[string]string{"sync/sync.go": "// Package sync is.\npackage sync"}, "sync/sync.go"},
		"no comment":         {"packages say what they are", map[string]string{"store/query/query.go": "package query"}, "store/query/query.go"},
		"a misplaced one":    {"packages say what they are", map[string]string{"store/query/x.go": "// Package query is.\npackage query"}, "store/query/x.go"},
		"many files":         {"packages are small", many, "agent/tram has 19 files"},
		"a long file":        {"files are short", map[string]string{"store/x_test.go": strings.Repeat(comment, 501) + "package store"}, "store/x_test.go"},
		"a long main":        {"programs only start", map[string]string{"agent/tram/main.go": strings.Repeat(comment, 51) + "package main"}, "agent/tram/main.go"},
		"a drawer":           {"files are named for what they hold", map[string]string{"store/utils.go": "package store"}, "store/utils.go"},
		"an init":            {"nothing starts by itself", map[string]string{"store/x.go": "package store\nfunc init() {}"}, "store/x.go"},
		"a variable":         {"no global state", map[string]string{"store/x.go": "package store\nvar cache = map[string]int{}"}, "store/x.go"},
		"a shared buffer":    {"no global state", map[string]string{"store/x.go": "package store\nvar buf = make([]byte, 10)"}, "store/x.go"},
		"a false error":      {"no global state", map[string]string{"store/x.go": "package store\nvar ErrCount int"}, "store/x.go"},
		"a skip":             {"no test is skipped", map[string]string{"store/x_test.go": "package store\nfunc f() { t.Skip() }"}, "store/x_test.go"},
		"a full top":         {"the top level is fixed", map[string]string{"notes.md": "n"}, "notes.md"},
	} {
		h := real.with(t, c.files)
		var found []string
		for _, l := range laws() {
			if l.name == c.law {
				found = l.broken(h)
			}
		}
		if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%s: law %q tells %q, want %q", name, c.law, found, c.want)
		}
	}
}
