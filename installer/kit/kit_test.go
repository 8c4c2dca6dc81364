package kit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/sync/trust"
)

// write makes files of a kit; a nil content removes one.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"linux-amd64/tram": "agent 64", "linux-amd64/tram-setup": "setup 64",
		"windows-386/tram.exe": "agent win", "windows-386/tram-setup.exe": "setup win",
	})
	m, err := Build(dir, "v1.0.0", []byte("[station]\nname = \"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Programs) != 2 || len(m.Files) != 3 {
		t.Fatalf("manifest: %d programs, %d files; want 2 and 3", len(m.Programs), len(m.Files))
	}
	return dir
}

func faults(k Kit) string {
	var out []string
	for _, f := range k.Faults {
		out = append(out, f.Code+" "+f.Path)
	}
	return strings.Join(out, ", ")
}

func TestReadWhatWasBuilt(t *testing.T) {
	dir := build(t)
	for _, c := range []struct{ goos, arch, program string }{
		{"linux", "amd64", "linux-amd64/tram"},
		{"linux", "arm64", ""},
		{"windows", "386", "windows-386/tram.exe"},
		{"windows", "amd64", "windows-386/tram.exe"}, // a 64-bit Windows runs it
		{"windows", "arm64", "windows-386/tram.exe"}, // so does one on ARM
		{"plan9", "386", ""},
	} {
		k := Read(dir, c.goos, c.arch)
		got := ""
		if k.Program != nil {
			got = k.Program.Agent.Path
		}
		if got != c.program || faults(k) != "" || k.Version != "v1.0.0" || !strings.Contains(string(k.Settings), "[station]") {
			t.Errorf("%s/%s: program %q, faults %q, version %q, settings %q; want program %q", c.goos, c.arch, got, faults(k), k.Version, k.Settings, c.program)
		}
	}
	cmd, err := os.ReadFile(filepath.Join(dir, "setup.cmd"))
	if err != nil || strings.Count(string(cmd), "\n") != strings.Count(string(cmd), "\r\n") {
		t.Errorf("setup.cmd has lines that Windows cannot read: %v", err)
	}
}

func TestDamageIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"no manifest", func(d string) error { return os.Remove(filepath.Join(d, ManifestName)) }, "missing kit.json"},
		{"manifest is not JSON", func(d string) error { return os.WriteFile(filepath.Join(d, ManifestName), []byte("{"), 0o644) }, "altered kit.json"},
		{"manifest is endless", func(d string) error {
			return os.WriteFile(filepath.Join(d, ManifestName), make([]byte, maxManifest+1), 0o644)
		}, "missing kit.json"},
		{"program is missing", func(d string) error { return os.Remove(filepath.Join(d, "linux-amd64/tram")) }, "missing linux-amd64/tram"},
		{"one byte of the program", func(d string) error {
			return os.WriteFile(filepath.Join(d, "linux-amd64/tram"), []byte("agent 65"), 0o755)
		}, "altered linux-amd64/tram"},
		{"another PC's program is cut", func(d string) error {
			return os.Truncate(filepath.Join(d, "windows-386/tram.exe"), 3)
		}, "altered windows-386/tram.exe"},
		{"settings were edited", func(d string) error {
			return os.WriteFile(filepath.Join(d, "tram.toml"), []byte("[station]\nname=\"x\"\n"), 0o644)
		}, "altered tram.toml"},
		{"program is a folder", func(d string) error {
			name := filepath.Join(d, "linux-amd64/tram-setup")
			return errors.Join(os.Remove(name), os.Mkdir(name, 0o755))
		}, "altered linux-amd64/tram-setup"},
		{"program is a link out of the kit", func(d string) error {
			name := filepath.Join(d, "linux-amd64/tram")
			return errors.Join(os.Remove(name), os.Symlink("/etc/passwd", name))
		}, "missing linux-amd64/tram"},
		{"manifest names a path above", func(d string) error {
			raw, err := os.ReadFile(filepath.Join(d, ManifestName))
			return errors.Join(err, os.WriteFile(filepath.Join(d, ManifestName),
				[]byte(strings.Replace(string(raw), "linux-amd64/tram\"", "../x/tram\"", 1)), 0o644))
		}, "altered ../x/tram"},
	} {
		dir := build(t)
		if err := c.damage(dir); err != nil {
			t.Fatal(err)
		}
		if got := faults(Read(dir, "linux", "amd64")); got != c.want {
			t.Errorf("%s: faults %q, want %q", c.name, got, c.want)
		}
	}
}

func TestBuildWantsBothProgramsOfEachPC(t *testing.T) {
	dir := t.TempDir()
	if _, err := Build(dir, "v1", nil); err == nil {
		t.Error("a kit of nothing was built")
	}
	write(t, dir, map[string]string{"linux-386/tram": "agent"})
	if _, err := Build(dir, "v1", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a kit without tram-setup: %v, want %v", err, os.ErrNotExist)
	}
}

func TestReadEnrol(t *testing.T) {
	whole := func(station, centre, root, code string) string {
		raw, err := Enrol{station, centre, root, code, "tram-recovery-1 AAAA"}.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	const centre = "https://centre.example:8643"
	for _, c := range []struct {
		name, text, want string // want is the code as read, or what the error says
	}{
		{"whole", whole("tram-a", centre, testRoot, "0123-4567-89AB-CDEF"), "0123-4567-89AB-CDEF"},
		{"typed loosely", whole("tram-a", centre, testRoot, "o123 4567 89ab cdef"), "0123-4567-89AB-CDEF"},
		{"without station and code", whole("", centre, testRoot, ""), ""},
		{"unknown keys are ignored", strings.Replace(whole("", centre, testRoot, ""), "{", `{"later": [1], `, 1), ""},
		{"code too short", whole("tram-a", centre, testRoot, "0123-4567"), "code"},
		{"no https", whole("tram-a", "http://centre.example", testRoot, ""), "https"},
		{"a password in the address", whole("tram-a", "https://u:p@centre.example", testRoot, ""), "https"},
		{"no certificate", whole("tram-a", centre, "-----BEGIN X-----\n-----END X-----\n", ""), "certificate"},
		{"no recovery key", strings.Replace(whole("tram-a", centre, testRoot, ""), "tram-recovery-1", "recovery", 1), "recovery"},
		{"a bad name", whole("../a", centre, testRoot, ""), "name"},
		{"not JSON", "station=tram-a", "JSON"},
		{"endless", strings.Repeat(" ", maxEnrol+1), "too large"},
	} {
		e, err := ReadEnrol(strings.NewReader(c.text))
		if err != nil {
			if c.want == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			if strings.Contains(err.Error(), "4567") {
				t.Errorf("%s: the error shows the code: %v", c.name, err)
			}
			continue
		}
		if e.Recovery != "tram-recovery-1 AAAA" {
			t.Errorf("%s: recovery key %q", c.name, e.Recovery)
		}
		if e.Code != c.want {
			t.Errorf("%s: code %q, want %q", c.name, e.Code, c.want)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", e, e, e, e.LogValue()); strings.Contains(shown, "4567") {
			t.Errorf("%s: it is shown as %s", c.name, shown)
		}
	}
}

// The code that a centre prints is one that a kit takes.
func FuzzReadEnrol(f *testing.F) {
	f.Add([]byte(`{"station":"tram-a","centre":"https://c:8643","root":"","code":"` + trust.NewCode().String() + `"}`))
	raw, err := Enrol{"tram-a", "https://c:8643", testRoot, trust.NewCode().String(), ""}.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := ReadEnrol(strings.NewReader(string(raw)))
		if err != nil {
			return
		}
		again, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ReadEnrol(strings.NewReader(string(again))); err != nil || back != e {
			t.Errorf("read as %v, written and read as %v, %v", e, back, err)
		}
	})
}
