package installer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// house is the Go files of the whole tree, and what lies at its top.
type house struct {
	files map[string]source // by path
	top   []string
	built []string // patterns of what git ignores
}

// source is one Go file.
type source struct {
	path            string // from the top, with slashes
	file            *ast.File
	lines, comments int
}

func (s source) room() string { return path.Dir(s.path) }
func (s source) test() bool   { return strings.HasSuffix(s.path, "_test.go") }

// read reads the tree from its top. A tree without Go files fails.
func read(t *testing.T, tree fs.FS) *house {
	t.Helper()
	h := &house{files: map[string]source{}}
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		h.top = append(h.top, e.Name())
	}
	ignored, err := fs.ReadFile(tree, ".gitignore")
	if err != nil {
		t.Fatal(err)
	}
	h.built = strings.Fields(string(ignored))
	err = fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch name := path.Base(p); {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(name, ".") || name == "testdata" || h.ignored(p)):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go"):
			return nil
		}
		text, err := fs.ReadFile(tree, p)
		if err == nil {
			h.files[p] = parse(t, p, string(text))
		}
		return err
	})
	if err != nil || len(h.files) == 0 {
		t.Fatalf("read the tree: %d files, %v", len(h.files), err)
	}
	return h
}

func (h *house) ignored(name string) bool {
	return slices.ContainsFunc(h.built, func(p string) bool {
		ok, _ := path.Match(strings.Trim(p, "/"), name)
		return ok
	})
}

func parse(t *testing.T, name, text string) source {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	s := source{path: name, file: f, lines: strings.Count(text, "\n")}
	for _, c := range f.Comments {
		s.comments += set.Position(c.End()).Line - set.Position(c.Pos()).Line + 1
	}
	return s
}

// with is the house with other files in it.
func (h *house) with(t *testing.T, files map[string]string) *house {
	t.Helper()
	out := &house{maps.Clone(h.files), slices.Clone(h.top), h.built}
	for p, text := range files {
		switch {
		case text == "":
			maps.DeleteFunc(out.files, func(k string, _ source) bool { return k == p || strings.HasPrefix(k, p+"/") })
		case !strings.HasSuffix(p, ".go"):
			out.top = append(out.top, p)
		default:
			out.files[p] = parse(t, p, text)
		}
	}
	return out
}

// rooms are the packages by folder, each with its files but tests.
func (h *house) rooms() map[string][]source {
	out := map[string][]source{}
	for _, p := range slices.Sorted(maps.Keys(h.files)) {
		if s := h.files[p]; !s.test() {
			out[s.room()] = append(out[s.room()], s)
		}
	}
	return out
}

func (h *house) each(is func(source) bool, what string) (out []string) {
	for _, p := range slices.Sorted(maps.Keys(h.files)) {
		if is(h.files[p]) {
			out = append(out, p+" "+what)
		}
	}
	return out
}

// imports are the import paths of each room.
func (h *house) imports() map[string][]string {
	out := map[string][]string{}
	for room, files := range h.rooms() {
		seen := map[string]bool{}
		for _, s := range files {
			for _, i := range s.file.Imports {
				seen[strings.Trim(i.Path.Value, "\"`")] = true
			}
		}
		out[room] = slices.Sorted(maps.Keys(seen))
	}
	return out
}
