package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/status"
)

// secret stands in files under test and must stand nowhere else.
const secret = "Bí Mật"

// shelf keeps what is taken as files in a folder, so that it outlives a killed
// process as a store does.
type shelf struct {
	t    testing.TB
	dir  string
	fail error  // what the next takes answer
	then func() // called after a take, before it is answered
}

func (s *shelf) path(kind, name string) string {
	return filepath.Join(s.dir, kind, strings.ReplaceAll(name, "/", "+"))
}

func (s *shelf) keep(_ context.Context, values []*fhir.Value, _ string) (Taken, error) {
	var out Taken
	if s.fail != nil {
		return out, s.fail
	}
	for _, v := range values {
		path := s.path("records", v.Str("resourceType")+"/"+v.Str("id"))
		old, err := os.ReadFile(path)
		switch {
		case err != nil:
			out.New++
		case string(old) == string(v.Bytes()):
			out.Same++
		default:
			out.Changed++
		}
		s.write(path, v.Bytes())
	}
	if s.then != nil {
		s.then()
	}
	return out, nil
}

func (s *shelf) write(path string, b []byte) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) exists(k record.Key) (bool, error) {
	_, err := os.Stat(s.path("records", k.String()))
	return err == nil, nil
}

func (s *shelf) newID() string {
	path := s.path("", "counter")
	b, _ := os.ReadFile(path)
	s.write(path, append(b, 'x'))
	return fmt.Sprintf("abcdefghijklmno2-%d", len(b)+1)
}

func (s *shelf) setting(name string) ([]byte, error) {
	b, err := os.ReadFile(s.path("settings", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, record.ErrNotFound
	}
	return b, err
}

func (s *shelf) setSetting(_ context.Context, name string, b []byte) error {
	s.write(s.path("settings", name), b)
	return nil
}

// records are the keys kept, sorted.
func (s *shelf) records() []string {
	all, _ := os.ReadDir(filepath.Join(s.dir, "records"))
	out := []string{}
	for _, e := range all {
		out = append(out, strings.ReplaceAll(e.Name(), "+", "/"))
	}
	return out
}

// bench is an intake with a clock that stands still.
type bench struct {
	*Intake
	*shelf
	now    time.Time
	drop   string
	events []Event
}

func newBench(t testing.TB, dir string, change ...func(*Options)) *bench {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{shelf: &shelf{t: t, dir: filepath.Join(dir, "shelf")}, drop: filepath.Join(dir, "drop"),
		now: time.Date(2026, 11, 3, 8, 0, 0, 0, time.UTC)}
	if err := os.MkdirAll(b.drop, 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{Folder: b.drop, R4: r4, Take: b.keep, Exists: b.exists, NewID: b.newID, Setting: b.setting,
		SetSetting: b.setSetting, Now: func() time.Time { return b.now }, Events: func(e Event) { b.events = append(b.events, e) }}
	for _, f := range change {
		f(&o)
	}
	b.Intake = New(o)
	return b
}

// cut does something during which the power goes once so many words were written down.
func (b *bench) cut(words int, do func()) {
	set := b.o.SetSetting
	defer func() { b.o.SetSetting = set }()
	b.o.SetSetting = func(ctx context.Context, name string, value []byte) error {
		if words--; words < 0 {
			return store.ErrStopped
		}
		return set(ctx, name, value)
	}
	do()
}

func (b *bench) put(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.drop, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// pass lets time go by and looks.
func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	b.look(b.t.Context())
}

// settle looks until every file was left alone for long enough.
func (b *bench) settle() {
	b.pass(0)
	b.pass(settle)
	b.pass(quiet)
	b.pass(quiet)
}

// tree lists the drop folder's files.
func (b *bench) tree() []string {
	b.t.Helper()
	out := []string{}
	err := filepath.WalkDir(b.drop, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(b.drop, path)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) want(what string, got, want []string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func patient(id string) string {
	return `{"resourceType":"Patient","id":"` + id + `","name":[{"text":"` + secret + `"}]}`
}

func observation(id, of string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"text":"` + secret + `"},"subject":{"reference":"` + of + `"},"valueQuantity":{"value":37.50}}`
}

func bundle(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func entry(method, url, fullURL, resource string) string {
	full, res := "", ""
	if fullURL != "" {
		full = `"fullUrl":"` + fullURL + `",`
	}
	if resource != "" {
		res = `"resource":` + resource + `,`
	}
	return `{` + full + res + `"request":{"method":"` + method + `","url":"` + url + `"}}`
}

func TestBadFilesAreSetAsideWithTheReason(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	twice := `{"resourceType":"Patient","id":"a","id":"b"}`
	for _, c := range []struct {
		name, file, text string
		want             Refusal
	}{
		{"broken off", "a.json", patient("a")[:40], Refusal{Code: NotJSON, Line: 1, What: fhir.SyntaxTruncated}},
		{"on its second line", "a.json", "{\n" + secret, Refusal{Code: NotJSON, Line: 2, What: fhir.SyntaxToken}},
		{"a name twice", "a.json", twice, Refusal{Code: NotJSON, Line: 1, What: fhir.SyntaxDuplicate}},
		{"nothing in it", "a.json", "", Refusal{Code: Empty}},
		{"white space", "a.ndjson", "\n \r\n", Refusal{Code: Empty}},
		{"too deep", "a.json", deep, Refusal{Code: TooDeep, Line: 1}},
		{"no resource", "a.json", `{"name":"` + secret + `"}`, Refusal{Code: NotFHIR, Path: "resourceType", What: fhir.IssueUnknownKind}},
		{"a wrong element", "a.json", `{"resourceType":"Patient","id":"a","birthDate":"` + secret + `"}`,
			Refusal{Code: NotFHIR, Path: "Patient.birthDate", What: fhir.IssueFormat}},
		{"a wrong line", "a.ndjson", patient("a") + "\n\n" + `{"resourceType":"Patient","gender":"` + secret + `"}`,
			Refusal{Code: NotFHIR, Line: 3, Path: "Patient.gender", What: fhir.IssueCode}},
		{"a line broken off", "a.ndjson", patient("a") + "\n" + patient("b")[:30],
			Refusal{Code: NotJSON, Line: 2, What: fhir.SyntaxTruncated}},
		{"too many lines", "a.ndjson", strings.Repeat(`{"resourceType":"Basic","code":{"text":"x"}}`+"\n", MaxLines+1), Refusal{Code: TooManyLines}},
		{"refers to nothing", "a.json", observation("o", "Patient/none"),
			Refusal{Code: RefersNowhere, Path: "Observation.subject.reference", Key: record.Key{Kind: "Patient", ID: "none"}}},
		{"no such entry", "a.json", bundle("transaction", entry("POST", "Observation", "", observation("o", "urn:uuid:2c2e"))),
			Refusal{Code: RefersNowhere, Path: "Observation.subject.reference"}},
		{"a search for a reference", "a.json", observation("o", "Patient?identifier=1"), Refusal{Code: Conditional, Path: "Observation.subject.reference"}},
		{"twice in a file", "a.ndjson", patient("a") + "\n" + patient("a"), Refusal{Code: Twice, Line: 2, Key: record.Key{Kind: "Patient", ID: "a"}}},
		{"two entries of one name", "a.json", bundle("transaction", entry("POST", "Patient", "urn:uuid:1", patient("a")), entry("POST", "Patient", "urn:uuid:1", patient("b"))),
			Refusal{Code: Twice, Path: "Bundle.entry[1].fullUrl"}},
		{"asks to delete", "a.json", bundle("transaction", entry("PUT", "Patient/a", "", patient("a")), entry("DELETE", "Patient/b", "", "")),
			Refusal{Code: Request, Path: "Bundle.entry[1].request"}},
		{"asks for an operation", "a.json", bundle("batch", entry("POST", "Patient/$merge", "", patient("a"))), Refusal{Code: Request, Path: "Bundle.entry[0].request.url"}},
		{"asks with a search", "a.json", bundle("batch", entry("PUT", "Patient?name=x", "", patient("a"))), Refusal{Code: Conditional, Path: "Bundle.entry[0].request"}},
		{"address and id differ", "a.json", bundle("batch", entry("PUT", "Patient/b", "", patient("a"))), Refusal{Code: Mismatch, Path: "Bundle.entry[0].request.url"}},
		{"UTF-16", "a.json", "\xff\xfe{\x00", Refusal{Code: NotJSON, Line: 1, What: fhir.SyntaxToken}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, t.TempDir())
			b.put(c.file, c.text)
			b.settle()
			b.want("files", b.tree(), []string{"aside/" + c.file, "aside/" + c.file + noteSuffix})
			b.want("records", b.records(), []string{})
			note, err := os.ReadFile(filepath.Join(b.drop, "aside", c.file+noteSuffix))
			if err != nil || len(b.events) != 1 || b.events[0].What != Aside {
				t.Fatalf("events %+v, note: %v", b.events, err)
			}
			got := *b.events[0].Refusal
			got.More = nil
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			for _, part := range []string{c.want.Text("vi"), c.want.Text("en"), c.want.Path, c.want.Key.ID} {
				if !strings.Contains(string(note), part) {
					t.Errorf("the note lacks %q:\n%s", part, note)
				}
			}
			if strings.Contains(string(note), secret) || strings.Contains(got.Error(), secret) {
				t.Errorf("the note quotes the file:\n%s", note)
			}
			if h := b.Health(); !slices.Equal(h, []status.Code{status.FileAside}) {
				t.Errorf("health %v", h)
			}
		})
	}
}

func TestWhatTheTakerRefusesIsSetAsideOrLeft(t *testing.T) {
	for _, c := range []struct {
		err   error
		want  Code
		aside bool
	}{
		{fmt.Errorf("put: %w", record.ErrStale), Stale, true},
		{record.ErrExists, IDTaken, true},
		{record.ErrDeleted, Deleted, true},
		{&Refusal{Code: NotFHIR, Path: "Patient.name"}, NotFHIR, true},
		{&Refusal{Code: StoreStopped}, StoreStopped, false},
		{&fs.PathError{Err: fullDisk()}, DiskFull, false},
		{fmt.Errorf("put: %w", store.ErrFull), DiskFull, false},
		{store.ErrStopped, StoreStopped, false},
		{&store.InvalidError{Key: record.Key{Kind: "Patient", ID: "a"}}, NotFHIR, true},
		{&fhir.SyntaxError{Code: fhir.SyntaxTooDeep}, TooDeep, true},
	} {
		b := newBench(t, t.TempDir())
		b.fail = c.err
		b.put("a.json", patient("a"))
		b.settle()
		if len(b.events) != 1 || b.events[0].Refusal == nil || b.events[0].Refusal.Code != c.want {
			t.Errorf("%v: events %+v, want one %s", c.err, b.events, c.want)
		}
		want := []string{"a.json"}
		if c.aside {
			want = []string{"aside/a.json", "aside/a.json" + noteSuffix}
		}
		b.want(fmt.Sprint(c.err), b.tree(), want)
	}
}

func TestWaitsForTheStoreAndSaysSo(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.fail = &Refusal{Code: DiskFull}
	b.put("a.json", patient("a"))
	b.put("b.json", patient("b"))
	b.pass(0)
	b.pass(settle)
	if h := b.Health(); !slices.Equal(h, []status.Code{status.DiskFull}) {
		t.Errorf("health %v while the disk is full", h)
	}
	b.fail = nil
	b.pass(firstPause - time.Second)
	b.want("before the pause is over", b.tree(), []string{"a.json", "b.json"})
	b.pass(time.Second)
	b.want("records", b.records(), []string{"Patient/a", "Patient/b"})
	var what []What
	for _, e := range b.events {
		what = append(what, e.What)
	}
	if !slices.Equal(what, []What{Held, Resumed, Took, Took}) || len(b.Health()) != 0 {
		t.Errorf("events %v, health %v", what, b.Health())
	}
}

func TestAFileThatAlwaysFailsBlocksNobodyForEver(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.fail = errors.New("anything else")
	b.put("a.json", patient("a"))
	b.pass(0)
	b.pass(settle)
	b.pass(firstPause)
	b.want("after two tries", b.tree(), []string{"a.json"})
	b.pass(2 * firstPause)
	b.want("after three", b.tree(), []string{"aside/a.json", "aside/a.json" + noteSuffix})
	if e := b.events[len(b.events)-1]; e.What != Resumed || b.events[1].Refusal.Code != Refused {
		t.Errorf("events %+v", b.events)
	}
}

func TestHealthEndsWhenTheHeldFileIsTakenAway(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.fail = errors.New("stopped")
	b.put("a.json", patient("a"))
	b.pass(0)
	b.pass(settle)
	if err := os.Remove(filepath.Join(b.drop, "a.json")); err != nil {
		t.Fatal(err)
	}
	b.pass(lastPause)
	if h := b.Health(); len(h) != 0 {
		t.Errorf("health %v, want none", h)
	}
}

func TestEveryWordIsThere(t *testing.T) {
	words := map[string]bool{}
	for _, code := range Codes() {
		r := &Refusal{Code: code, Line: 3, Path: "Patient.name"}
		vi, en := r.Text("vi"), r.Text("en")
		for _, s := range []string{vi, en} {
			if !strings.HasSuffix(s, ".") || strings.ContainsAny(s, "{}") || strings.Count(s, ". ") > 0 || !strings.Contains(s, ";") {
				t.Errorf("%s: not one sentence with what to do: %s", code, s)
			}
		}
		if vi == en || words[vi] || words[en] || r.Text("fr") != en {
			t.Errorf("%s: vi %q, en %q", code, vi, en)
		}
		words[vi], words[en] = true, true
	}
	for _, what := range []string{
		fhir.SyntaxEmpty, fhir.SyntaxTruncated, fhir.SyntaxTrailing, fhir.SyntaxDuplicate, fhir.SyntaxUTF8, fhir.SyntaxBOM,
		fhir.SyntaxEscape, fhir.SyntaxSurrogate, fhir.SyntaxControl, fhir.SyntaxNumber, fhir.SyntaxToken,
		fhir.IssueNotObject, fhir.IssueUnknownKind, fhir.IssueUnknownElement, fhir.IssueMissing, fhir.IssueNotArray,
		fhir.IssueNotSingle, fhir.IssueEmpty, fhir.IssueNull, fhir.IssueChoice, fhir.IssueType, fhir.IssueFormat,
		fhir.IssueCode, fhir.IssueSibling, fhir.IssueTarget, fhir.IssueNested,
	} {
		for _, language := range []string{"vi", "en"} {
			with := (&Refusal{Code: NotFHIR, What: what}).Text(language)
			if with == (&Refusal{Code: NotFHIR}).Text(language) {
				t.Errorf("%s has no %s word", what, language)
			}
		}
	}
}

func TestMemoryIsSmall(t *testing.T) {
	b, err := json.Marshal(memory{Taken: true})
	if err != nil || string(b) != `{"taken":true}` {
		t.Errorf("a file without assigned ids is remembered as %s, %v", b, err)
	}
}
