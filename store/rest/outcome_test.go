package rest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"tram/store/rest"
)

// Every code that the package can say has its texts, and no text is left over.
func TestEveryProblemHasItsTexts(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range files {
		if b, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(name, "_test.go") {
			source.Write(b)
		}
	}
	table, err := os.ReadFile("texts.txt")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, line := range strings.Split(strings.TrimSuffix(string(table), "\n"), "\n") {
		f := strings.Split(line, "\t")
		codes = append(codes, f[0])
		if !strings.Contains(source.String(), `"`+f[0]+`"`) {
			t.Errorf("%s: nothing says it", f[0])
		}
		p := &rest.Problem{Code: f[0]}
		if len(f) != 5 || p.Text("en") != f[3] || p.Text("vi") != f[4] || p.Status() < 200 || !utf8.ValidString(line) {
			t.Errorf("%s: the line is broken: %q", f[0], line)
		}
	}
	if len(codes) < 40 || !slices.IsSorted(codes) {
		t.Errorf("%d codes, sorted %v", len(codes), slices.IsSorted(codes))
	}
	said := regexp.MustCompile(`(?:problem|done)\("([^"]+)"\)`).FindAllStringSubmatch(source.String(), -1)
	if len(said) < 40 {
		t.Fatalf("only %d places found that name a code", len(said))
	}
	for _, m := range said {
		if !slices.Contains(codes, m[1]) {
			t.Errorf("%s has no texts", m[1])
		}
	}
}
