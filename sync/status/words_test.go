package status

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"tram/store/record"
)

// constants lists the values of the string constants of a type, as the source
// in dir has them: a list that a test kept by hand would miss the new one.
func constants(t *testing.T, dir, typ string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source in %s (%v)", dir, err)
	}
	var out []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typ {
				return true
			}
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok {
					s, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, s)
				}
			}
			return true
		})
	}
	if len(out) == 0 {
		t.Fatalf("no constant of type %s in %s", typ, dir)
	}
	return out
}

// expected lists every key that a catalogue must have, and no other.
func expected(t *testing.T) []string {
	ground := filepath.Join("..", "..", "store", "record")
	var out []string
	for _, list := range []struct{ prefix, dir, typ string }{
		{"", ".", "Code"},
		{"severity.", ".", "Severity"},
		{"place.", ground, "Place"},
		{"verdict.", ground, "Verdict"},
		{"reason.", ground, "Reason"},
		{"stick.", ".", "Stick"},
		{"trip.", ".", "Trip"},
	} {
		for _, c := range constants(t, list.dir, list.typ) {
			out = append(out, list.prefix+c)
		}
	}
	for _, c := range findings(t) {
		out = append(out, "finding."+c)
	}
	for _, c := range Codes() { // of those that read otherwise at the centre
		if _, _, ok := lookup("en", "centre."+string(c)); ok {
			out = append(out, "centre."+string(c))
		}
	}
	return out
}

// findings lists the codes that a check of a store can find, as its source has them.
func findings(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "store", "care.go"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`\.bad\("([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	if calls := strings.Count(string(b), ".bad("); calls == 0 || calls != strings.Count(string(b), `.bad("`) {
		t.Fatalf("%d findings in the source, not all with a code that can be read there", calls)
	}
	return out
}

func TestCatalogueIsComplete(t *testing.T) {
	want := expected(t)
	for lang, words := range map[string]string{"vi": wordsVI, "en": wordsEN} {
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^\[(.*)\]$`).FindAllStringSubmatch(words, -1) {
			if found[m[1]] {
				t.Errorf("%s: [%s] stands twice", lang, m[1])
			}
			found[m[1]] = true
			if !slices.Contains(want, m[1]) {
				t.Errorf("%s: [%s] is on no list", lang, m[1])
			}
		}
		for _, key := range want {
			title, text, ok := lookup(lang, key)
			if !ok || title == "" || text == "" {
				t.Errorf("%s: [%s] has the words %q, %q", lang, key, title, text)
			}
			if strings.HasPrefix(title+text, "[") || strings.HasPrefix(text, "[") {
				t.Errorf("%s: [%s] lacks a line: %q, %q", lang, key, title, text)
			}
			if n := utf8.RuneCountInString(title); n > 48 {
				t.Errorf("%s: [%s] has a title of %d letters, want at most 48: %q", lang, key, n, title)
			}
			if n := utf8.RuneCountInString(text); n > 200 {
				t.Errorf("%s: [%s] has a text of %d letters, want at most 200: %q", lang, key, n, text)
			}
		}
		if got := strings.Count(words, "\n\n["); got != len(want) {
			t.Errorf("%s: %d entries, want %d", lang, got, len(want))
		}
	}
}

func TestEveryCodeHasARule(t *testing.T) {
	var want []Code
	for _, c := range constants(t, ".", "Code") {
		want = append(want, Code(c))
	}
	got := Codes()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("Codes() = %v, want the constants %v", got, want)
	}
}

func TestLanguagesNameTheSameFigures(t *testing.T) {
	names := regexp.MustCompile(`\{[^}]*\}`)
	known := params(Report{}, 0, "")
	for _, key := range expected(t) {
		used := map[string][]string{}
		for _, lang := range Languages() {
			title, text, _ := lookup(lang, key)
			used[lang] = names.FindAllString(title+text, -1)
			slices.Sort(used[lang])
			for _, n := range used[lang] {
				if _, ok := known[strings.Trim(n, "{}")]; !ok {
					t.Errorf("%s: [%s] names %s, want one of %v", lang, key, n, slices.Sorted(maps.Keys(known)))
				}
			}
		}
		if !slices.Equal(used["vi"], used["en"]) {
			t.Errorf("[%s] names %v in vi and %v in en", key, used["vi"], used["en"])
		}
	}
}

// Each Vietnamese title and text bears marks, is composed (NFC) as keyboards
// write it, and puts the tone on the main vowel in the older way (hòa, not hoà).
func TestVietnameseIsWrittenWithItsMarks(t *testing.T) {
	if !norm.NFC.IsNormalString(wordsVI) {
		t.Error("words_vi.txt is not NFC")
	}
	for _, bad := range []string{"oà", "oá", "oả", "oạ", "uý", "uỳ"} {
		for _, w := range strings.Fields(wordsVI) {
			if strings.HasSuffix(strings.Trim(w, ".,;:?\""), bad) && !strings.HasPrefix(w, "qu") {
				t.Errorf("%q puts the tone in the newer way", w)
			}
		}
	}
	for _, key := range expected(t) {
		title, text, _ := lookup("vi", key)
		for _, s := range []string{title, text} {
			if len(s) == utf8.RuneCountInString(s) {
				t.Errorf("[%s] has no mark in %q", key, s)
			}
		}
		if en, _, _ := lookup("en", key); en == title {
			t.Errorf("[%s] is the same in both languages: %q", key, en)
		}
	}
}

// Whoever a station's people are told to call reads other words at the centre.
func TestTheCentreIsNotToldToCallItself(t *testing.T) {
	calls := 0
	for _, c := range Codes() {
		if _, todo := Words("en", string(c)); !strings.Contains(todo, "central IT") {
			continue
		}
		calls++
		for lang, not := range map[string]string{"vi": "tin học ở trung tâm|Bạn vẫn|lưu ở đây|trên máy này", "en": "central IT|You can go|saved here|this PC"} {
			title, todo := centreWords(lang, string(c))
			if m := regexp.MustCompile(not).FindString(title + " " + todo); m != "" {
				t.Errorf("%s: [%s] says %q at the centre: %s. %s", lang, c, m, title, todo)
			}
		}
	}
	if calls == 0 {
		t.Error("nobody is told to call the central IT")
	}
}

func TestWords(t *testing.T) {
	unknownEN, _ := Words("en", "unknown")
	for _, c := range []struct{ name, lang, code, want string }{
		{"vietnamese", "vi", "no-link", "Không nối được với trung tâm"},
		{"english", "en", "no-link", "No link to the centre"},
		{"a language without words reads English", "km", "no-link", "No link to the centre"},
		{"a code of tomorrow", "en", "sunspots", unknownEN},
		{"a place is no code", "en", "place.here", unknownEN},
		{"nor is what only the centre reads", "en", "centre.no-link", unknownEN},
		{"a code that tries to leave its line", "en", "fine]\nx\n[no-link", unknownEN},
		{"no code", "en", "", unknownEN},
	} {
		if got, todo := Words(c.lang, c.code); got != c.want || todo == "" {
			t.Errorf("%s: Words(%q, %q) = %q, %q, want %q", c.name, c.lang, c.code, got, todo, c.want)
		}
	}
}

func TestWordsOfTheGround(t *testing.T) {
	if got, _ := PlaceWords("vi", record.Here); got != "Đã lưu ở đây" {
		t.Errorf("PlaceWords(vi, here) = %q", got)
	}
	parked, _ := VerdictWords("en", record.Parked)
	if got, _ := VerdictWords("en", "postponed"); got != parked {
		t.Errorf("VerdictWords of an unknown verdict = %q, want that of parked, %q", got, parked)
	}
	if _, got := ReasonWords("en", "moon-phase"); !strings.Contains(got, `"moon-phase"`) {
		t.Errorf("ReasonWords of an unknown reason = %q, want it named", got)
	}
	if got, _ := SeverityWords("vi", Stop); got != "Cần xử lý ngay" {
		t.Errorf("SeverityWords(vi, stop) = %q", got)
	}
}

func TestCataloguesAreEmbeddedAsTheyAre(t *testing.T) {
	for name, want := range map[string]string{"words_vi.txt": wordsVI, "words_en.txt": wordsEN} {
		b, err := os.ReadFile(name)
		if err != nil || string(b) != want || strings.Contains(want, "\r") {
			t.Errorf("%s differs from what is embedded, or has carriage returns (%v)", name, err)
		}
	}
}
