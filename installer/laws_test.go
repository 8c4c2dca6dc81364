// This file holds the whole house to its laws. It stands here because the
// installer is at the top of the house: from here everything may be looked at.
package installer_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// module begins the import path of everything in the house.
const module = "tram/"

// floor is one height of the house: its rooms know the floors below it and
// neither each other nor what is above, which leaves no way to walk in a circle.
type floor struct{ rooms, why string }

// floors are all rooms, from the ground up. A new room is given its place here.
func floors() []floor {
	return []floor{
		{"store/record", "the ground: names and values that everyone exchanges"},
		{"store/pages", "a file is read before the database is trusted"},
		{"store/fhir store/fhir/gen", "what a resource is stands by itself; its tables are made by a tool beside it"},
		{"store/scope", "the form of one record stands on records and on FHIR's structure"},
		{"store/element", "who set which element stands on records and on FHIR's structure; store and merge share it"},
		{"store/summary", "a document is made of resources alone, wherever they are kept"},
		{"store/people store/practice", "the index of people reads FHIR; made-up people need nobody"},
		{"store/query", "what a search wants folds names as the index of people does"},
		{"store/seal", "nothing is written that is not sealed"},
		{"store/journal store/blob store/audit store/table store/space", "ways to keep, and the room for it; none knows the others"},
		{"store/audit/event", "an act is said in FHIR's words, whoever keeps it"},
		{"store/layout", "what stands in which table"},
		{"store/backup", "a whole store in one file"},
		{"store/seal/slot", "ways to the key: the seal asks for them by its own interface, and a store opens without any"},
		{"store", "the memory: all of the above in one database"},
		{"store/account store/rest store/storetest", "accounts, the FHIR face and test stores are users of the memory"},
		{"store/storetest/torture/disk store/storetest/torture/story", "what a cut leaves of a disk, and what must be there, are plain values"},
		{"store/storetest/torture/tape store/storetest/torture/act", "one records what a process asks of its disk, one writes to a store"},
		{"store/storetest/torture/judge", "a judge opens a store as those who write do"},
		{"store/storetest/torture", "torture joins who writes, what cuts and who judges"},
		{"store/storetest/torture/tram-torture", "a program only starts its library"},
		{"sync/wire/columns", "lines are told by lines, whatever they mean"},
		{"sync/wire sync/merge sync/status sync/trust", "bytes, rules, reports and identities stand apart"},
		{"sync/proof", "a certificate says in the words of reports why entries wait"},
		{"sync/merge/replay", "what was merged is read from a store, and merged again"},
		{"sync/engine", "the exchange joins bytes and rules"},
		{"sync/engine/enginetest", "one exam for every replica, of what the engine asks of it"},
		{"sync/carry", "a carrier moves what the engine says"},
		{"sync/carry/stick", "files are one more carrier, and are sealed and signed by trust"},
		{"sync/simnet", "worlds that go wrong are played on what carriers move"},
		{"sync/simnet/tram-sim", "a program only starts its library"},
		{"sync/central", "the centre serves what carriers bring"},
		{"sync/central/tram-central", "a program only starts its library"},
		{"agent/config agent/service", "the ground of the agent's wing"},
		{"agent/intake/match agent/intake/hl7v2 agent/intake/csv agent/intake/mllp", "what a file says is read before anybody asks whose it is"},
		{"agent/health agent/intake", "parts that the agent joins"},
		{"agent/web/show", "words for resources, which every page uses"},
		{"agent/web/entry", "what a form shows again is written by show"},
		{"agent/web", "the pages are built from words and forms"},
		{"agent/api", "who listens knows no page"},
		{"agent", "the one place that wires"},
		{"agent/tram", "a program only starts its library"},
		{"agent/rehearse/interop/house agent/rehearse/process agent/rehearse/link agent/rehearse/scan", "the programs seen from outside; a line between them; their files"},
		{"agent/rehearse/interop/house/housetest", "a test is the programs of a house"},
		{"agent/rehearse/bench/storage", "a store is measured by itself"},
		{"agent/rehearse/bench/api", "the face is measured over records that are made for the store"},
		{"agent/rehearse/bench/prior", "what is known before an exchange is made as measurements make records"},
		{"agent/rehearse/interop agent/rehearse/interop/clients agent/rehearse/interop/values agent/rehearse/ips agent/rehearse/bench", "judge and measure what the programs do"},
		{"agent/rehearse/bench/thin", "a thin link is measured with the examples that are judged"},
		{"agent/rehearse", "a rehearsal joins the parts of one evening"},
		{"agent/rehearse/tram-rehearse", "a program only starts its library"},
		{"installer/place installer/words", "the ground of the installer's wing"},
		{"installer/kit", "a stick is put together file by file"},
		{"installer", "it knows the agent's settings, and the agent never it"},
		{"installer/tram-setup", "a program only starts its library"},
	}
}

// ban is an arrow that must not be, also not by way of other rooms. A pattern
// that ends in /... means a room and all within it.
type ban struct{ from, to, why string }

// pure are the rooms without a disk, a network or a clock of their own.
const pure = "store/record store/pages store/fhir store/element store/people store/query store/practice store/summary store/audit/event " +
	"sync/wire sync/wire/columns sync/merge sync/status sync/engine agent/web/show agent/web/entry " +
	"agent/intake/match agent/intake/hl7v2 agent/intake/csv"

func bans() []ban {
	return []ban{
		{"store/...", "tram/sync/... tram/agent/... tram/installer/...", "a memory outlives the ways it is reconciled and shown"},
		{"sync/...", "tram/agent/... tram/installer/...", "stations and the centre reconcile alike; neither is a station's program"},
		{"agent/...", "tram/installer/...", "a station works the same however it was set up"},
		{pure, "os os/... net net/http net/http/... syscall crypto/rand go.etcd.io/bbolt/...",
			"the same input gives the same outcome on every machine, and tests of rules need no machine"},
		{"sync/engine", "tram/sync/carry tram/sync/central/...", "one engine for every carrier, a stick as well as a connection"},
		{"sync/wire sync/merge sync/status sync/engine", "tram/store", "a replica may keep its records on something other than this database"},
		{"agent/tram", "tram/sync/central/tram-central database/sql/... github.com/jackc/pgx/... github.com/lib/pq/...",
			"a station's PC is old, and has no room for what the centre alone needs"},
		{"sync/... agent/... installer/...", "tram/store/storetest/torture/...", "what breaks disks on purpose has no place in a program"},
		{"agent/... installer/... sync/central/...", "tram/sync/simnet", "worlds that go wrong have no place in a program"},
		{"...", "tram/store/storetest tram/sync/engine/enginetest testing", "what tests lean on has no place in a program"},
	}
}

// law is one law of form, with its reason; broken lists where it is broken.
type law struct {
	name, why string
	broken    func(*house) []string
}

func laws() []law {
	return []law{
		{"arrows point down", "who reads a room needs to have read those below it only", arrows},
		{"bans hold", "each ban says its own reason", banned},
		{"pure rooms read no clock", "no clock decides a clinical fact, and a test must not depend on when it runs", clocks},
		{"no Go in sync itself", "a package of that name would clash with the standard one", func(h *house) []string {
			return h.each(func(s source) bool { return s.room() == "sync" }, "is a Go file in sync/ itself")
		}},
		{"packages say what they are", "the file that bears the package's name is where a reader looks first", comments},
		{"packages are small", "eighteen files are as many as one keeps in mind", func(h *house) (out []string) {
			for room, files := range h.rooms() {
				if len(files) > 18 {
					out = append(out, fmt.Sprintf("%s has %d files", room, len(files)))
				}
			}
			return out
		}},
		{"files are short", "a file that knows everything begins as one of 501 lines", func(h *house) []string {
			return h.each(func(s source) bool { return s.lines > 500 }, "has more than 500 lines")
		}},
		{"programs only start", "what a program does is tested in a library", func(h *house) []string {
			return h.each(func(s source) bool { return path.Base(s.path) == "main.go" && s.lines > 50 }, "has more than 50 lines")
		}},
		{"files are named for what they hold", "a drawer for everything is where nothing is found", func(h *house) []string {
			return h.each(func(s source) bool {
				name := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
				return slices.Contains(strings.Fields("type types util utils helper helpers common misc"), name)
			}, "has a name that says nothing")
		}},
		{"nothing starts by itself", "what happens before main is wired nowhere", func(h *house) []string {
			return h.each(func(s source) bool { return s.declares(isInit) }, "has an init function")
		}},
		{"no global state", "two stations in one test must not share anything", func(h *house) []string {
			return h.each(func(s source) bool { return !s.test() && s.declares(isState) }, "has a package variable that is neither an error nor embedded nor made once")
		}},
		{"no test is skipped", "a part that is missing fails", func(h *house) []string {
			return h.each(func(s source) bool { return s.test() && s.calls("t", "Skip", "Skipf", "SkipNow") }, "skips a test")
		}},
		{"the top level is fixed", "who opens the folder sees the wings and nothing else", topLevel},
	}
}

func TestLaws(t *testing.T) {
	h := read(t, os.DirFS(".."))
	for _, l := range laws() {
		t.Run(l.name, func(t *testing.T) {
			for _, b := range l.broken(h) {
				t.Errorf("%s (%s: %s)", b, l.name, l.why)
			}
		})
	}
	t.Log("share of comment lines, to be 12 to 20 % and at most 8 to 35 %:")
	rooms := h.rooms()
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		lines, comments := 0, 0
		for _, s := range rooms[room] {
			lines, comments = lines+s.lines, comments+s.comments
		}
		share, note := 100*comments/lines, ""
		if share < 8 || share > 35 {
			note = "  <- look at it"
		}
		t.Logf("%-28s %2d files %5d lines %3d %%%s", room, len(rooms[room]), lines, share, note)
	}
}

func arrows(h *house) (out []string) {
	height := map[string]int{}
	imports := h.imports()
	for i, f := range floors() {
		for _, room := range strings.Fields(f.rooms) {
			height[room] = i + 1
			if imports[room] == nil {
				out = append(out, room+" has a floor and no files")
			}
		}
	}
	for _, room := range slices.Sorted(maps.Keys(imports)) {
		if height[room] == 0 {
			out = append(out, room+" has no floor")
			continue
		}
		for _, i := range imports[room] {
			if to, ok := strings.CutPrefix(i, module); ok && height[to] >= height[room] {
				out = append(out, room+" imports "+to)
			}
		}
	}
	return out
}

// matches reports whether one of the patterns means the path.
func matches(patterns, p string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(pattern string) bool {
		under, all := strings.CutSuffix(pattern, "...")
		return p == pattern || all && strings.HasPrefix(p+"/", under)
	})
}

func banned(h *house) (out []string) {
	imports := h.imports()
	for _, b := range bans() {
		for _, pattern := range strings.Fields(b.from + " " + b.to) {
			if !strings.Contains(b.from, pattern) && !strings.HasPrefix(pattern, module) {
				continue // the world outside may come and go
			}
			room := strings.TrimPrefix(pattern, module)
			if !slices.ContainsFunc(slices.Collect(maps.Keys(imports)), func(r string) bool { return matches(room, r) }) {
				out = append(out, fmt.Sprintf("a ban names %s, which is gone", pattern))
			}
		}
		for _, room := range slices.Sorted(maps.Keys(imports)) {
			if matches(b.from, room) && !strings.HasSuffix(room, "test") {
				out = append(out, walk(imports, b, room, room, map[string]bool{})...)
			}
		}
	}
	return out
}

// walk follows the arrows from a room and tells the ways to what is banned.
func walk(imports map[string][]string, b ban, room, way string, been map[string]bool) (out []string) {
	been[room] = true
	for _, i := range imports[room] {
		if matches(b.to, i) {
			out = append(out, fmt.Sprintf("%s -> %s: %s", way, i, b.why))
		} else if next, ok := strings.CutPrefix(i, module); ok && !been[next] {
			out = append(out, walk(imports, b, next, way+" -> "+next, been)...)
		}
	}
	return out
}

func clocks(h *house) []string {
	return h.each(func(s source) bool {
		return matches(pure, s.room()) && !s.test() &&
			s.calls("time", "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local")
	}, "reads a clock")
}

// calls reports whether a file names one of a package's or variable's members. A
// package is found under the name that the file gives it.
func (s source) calls(of string, members ...string) (found bool) {
	for _, i := range s.file.Imports {
		if i.Name != nil && strings.Trim(i.Path.Value, "\"`") == of {
			of = i.Name.Name
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			x, ok := sel.X.(*ast.Ident)
			found = found || ok && x.Name == of && slices.Contains(members, sel.Sel.Name)
		}
		return true
	})
	return found
}

// declares reports whether a file has such a declaration at its top.
func (s source) declares(is func(ast.Decl) bool) bool {
	return slices.ContainsFunc(s.file.Decls, is)
}

func isInit(d ast.Decl) bool {
	f, ok := d.(*ast.FuncDecl)
	return ok && f.Recv == nil && f.Name.Name == "init"
}

// isState reports whether a declaration is of variables that are neither
// errors nor embedded files nor checks of the compiler's nor what sync makes
// once of these.
func isState(d ast.Decl) bool {
	g, ok := d.(*ast.GenDecl)
	return ok && g.Tok == token.VAR && slices.ContainsFunc(g.Specs, func(spec ast.Spec) bool {
		v := spec.(*ast.ValueSpec)
		for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
			if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
				return false
			}
		}
		for i, name := range v.Names {
			if name.Name == "_" {
				continue
			}
			if len(v.Values) <= i || !calls(v.Values[i], "OnceValue") && (!strings.HasPrefix(strings.ToLower(name.Name), "err") || !calls(v.Values[i], "New", "Errorf")) {
				return true
			}
		}
		return false
	})
}

// calls reports whether an expression is a call of one of some functions of a package.
func calls(e ast.Expr, functions ...string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains(functions, sel.Sel.Name)
}

// comments tells the packages whose comment is missing or misplaced.
func comments(h *house) (out []string) {
	for room, files := range h.rooms() {
		bearer := path.Join(room, path.Base(room)+".go")
		if files[0].file.Name.Name == "main" {
			bearer = path.Join(room, "main.go")
		}
		said := false
		for _, s := range files {
			doc := s.file.Doc.Text()
			if s.path == bearer {
				said = len(strings.Fields(doc)) > 3
			} else if doc != "" {
				out = append(out, s.path+" has a package comment; it belongs into "+bearer)
			}
		}
		if !said {
			out = append(out, bearer+" has no package comment")
		}
	}
	return out
}

func topLevel(h *house) (out []string) {
	for _, name := range h.top {
		if !strings.HasPrefix(name, ".") && !h.ignored(name) &&
			!slices.Contains(strings.Fields("agent store sync installer testdata go.mod go.sum Makefile README.md"), name) {
			out = append(out, name+" is at the top")
		}
	}
	return out
}
