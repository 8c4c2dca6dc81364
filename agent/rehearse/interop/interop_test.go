package interop

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExceptions(t *testing.T) {
	if _, err := parseExceptions(exceptionsTable); err != nil {
		t.Fatal(err)
	}
	got, err := parseExceptions([]byte("# why\n\na.json: one: two\n b.json :three\n"))
	if err != nil || len(got) != 2 || got["a.json"] != "one: two" || got["b.json"] != "three" {
		t.Errorf("read %v, %v", got, err)
	}
	for _, bad := range []string{"a.json\n", "a.json:\n", ": why\n", "a.json: x\na.json: y\n"} {
		if _, err := parseExceptions([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// cases are one file of every kind, as a run leaves them.
func cases() []*file {
	fine := &file{name: "fine.json", records: []*item{{key: "Patient/a"}}}
	first := &file{name: "first.json", records: []*item{{key: "Patient/b"}, {key: "Patient/c", fault: [stations]string{"is not there", ""}}}}
	second := &file{name: "second.json", records: []*item{{key: "Patient/d", fault: [stations]string{"", "other digits at .x"}}}}
	aside := &file{name: "aside.json", trouble: "was set aside"}
	return []*file{fine, first, second, aside}
}

func TestComplaints(t *testing.T) {
	all := []string{
		"aside.json: was set aside",
		"first.json: Patient/c at station 1: is not there",
		"second.json: Patient/d at station 2: other digits at .x",
	}
	for name, tc := range map[string]struct {
		listed map[string]string
		want   []string
	}{
		"nothing is listed":          {nil, all},
		"all that differ are listed": {map[string]string{"aside.json": "a", "first.json": "b", "second.json": "c"}, nil},
		"one that is fine is listed": {map[string]string{"aside.json": "a", "first.json": "b", "second.json": "c", "fine.json": "d"},
			[]string{"fine.json: is listed as an exception and came out as it went in"}},
		"one that is not there is listed": {map[string]string{"aside.json": "a", "first.json": "b", "second.json": "c", "gone.json": "d"},
			[]string{"gone.json: is listed as an exception and was not tried"}},
	} {
		got := complaints(cases(), tc.listed)
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	var out bytes.Buffer
	tr := &trial{out: &out, files: cases()}
	err := tr.verdict(map[string]string{"aside.json": "known"})
	if !errors.Is(err, ErrDiffers) {
		t.Errorf("a file that differs ends with %v", err)
	}
	for _, want := range []string{"files 4, accepted 3, with 4 records", "identical at the station: 2 files, 3 records",
		"identical at the second station: 2 files, 3 records", "exception aside.json: known", "FAILED first.json", "FAILED second.json"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "FAILED aside") {
		t.Errorf("a listed file failed:\n%s", out.String())
	}
	if err := (&trial{out: &out, files: cases()[:1]}).verdict(nil); err != nil {
		t.Errorf("a fine file ends with %v", err)
	}
}

// pack makes an npm package of files.
func pack(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	a := tar.NewWriter(z)
	for name, content := range files {
		if err := a.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "examples.tgz")
	if err := os.WriteFile(at, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestOnlyTheInstancesOfTheWholePackageAreTried(t *testing.T) {
	files := map[string]string{
		"package/package.json":     `{"name":"x"}`,
		"package/Bundle-1.json":    `{"resourceType":"Bundle","id":"1"}`,
		"package/ValueSet-1.json":  `{"resourceType":"ValueSet","id":"1"}`,
		"package/other/p.json":     `{"resourceType":"Patient","id":"elsewhere"}`,
		"package/Patient-big.json": `{"resourceType":"Patient","id":"big","language":"` + strings.Repeat("x", maxExample) + `"}`,
	}
	for i := range expectedExamples {
		files[fmt.Sprintf("package/Patient-%d.json", i)] = fmt.Sprintf(`{"resourceType":"Patient","id":"%d"}`, i)
	}
	got, err := readExamples(pack(t, files))
	if err != nil || len(got) != expectedExamples {
		t.Fatalf("read %d, %v", len(got), err)
	}
	for _, f := range got {
		if !strings.HasPrefix(f.name, "Patient-") || f.name == "Patient-big.json" {
			t.Errorf("%s is tried", f.name)
		}
	}
	delete(files, "package/Patient-7.json")
	if _, err := readExamples(pack(t, files)); err == nil {
		t.Error("a package that lacks one was taken")
	}
	if _, err := readExamples(""); err == nil {
		t.Error("no package was taken")
	}
}
