//go:build !windows

package installer

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/installer/kit"
	"tram/installer/place"
)

// setup runs the command line with what a person types.
func setup(typed string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Command(context.Background(), args, strings.NewReader(typed), &o, &e)
	return code, o.String(), e.String()
}

func TestCommandSetsAnImageUpAndTakesItDown(t *testing.T) {
	stick, root := t.TempDir(), t.TempDir()
	buildKit(t, stick, "v1.0.0", DefaultListen)
	lay := LayoutLinux()
	at := func(name string) string { return filepath.Join(root, name) }

	code, out, errs := setup("", "install", "--kit", stick, "--root", root, "--plan-only", "--language", "en")
	if code != 0 || errs != "" || !strings.Contains(out, "Plan: install.") || !strings.Contains(out, "/usr/local/bin/tram") {
		t.Errorf("plan only: %d\n%s%s", code, out, errs)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Fatalf("plan only has written %v", entries)
	}
	if code, out, _ := setup("n\n", "install", "--kit", stick, "--root", root, "--language", "en"); code != 1 || !strings.Contains(out, "Nothing was done.") {
		t.Errorf("answered no: %d\n%s", code, out)
	}
	if code, out, errs := setup("c\n", "install", "--kit", stick, "--root", root); code != 0 || !strings.Contains(out, "Kế hoạch: cài mới.") {
		t.Fatalf("install: %d\n%s%s", code, out, errs)
	}
	settings, err := os.ReadFile(at(lay.Settings))
	if err != nil || !strings.Contains(string(settings), "name = \"tram-a\"\n") ||
		!strings.Contains(string(settings), "url = \"https://centre.example:8643\"\n") || !strings.Contains(string(settings), "# ") {
		t.Errorf("settings: %v\n%s", err, settings)
	}
	if to, err := os.Readlink(at("/etc/systemd/system/multi-user.target.wants/tram.service")); err != nil || to != "../tram.service" {
		t.Errorf("the unit starts by %q, %v", to, err)
	}
	if unit, err := os.ReadFile(at(lay.Unit)); err != nil || strings.Contains(string(unit), root) {
		t.Errorf("the unit of the image names the folder around it: %v\n%s", err, unit)
	}
	if code, out, _ := setup("", "install", "--kit", stick, "--root", root, "--yes", "--language", "en"); code != 0 || !strings.Contains(out, "There is nothing to do.") {
		t.Errorf("second install: %d\n%s", code, out)
	}

	db := at(lay.Data + "/tram.db")
	if err := place.Write(db, []byte("records"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := setup("tram-b\ny\n", "remove", "--root", root, "--records", "--language", "en"); code != 1 || !strings.Contains(errs, "told twice") {
		t.Errorf("the wrong name typed: %d\n%s", code, errs)
	}
	if code, _, errs := setup("", "remove", "--root", root, "--records", "--yes", "--language", "en"); code != 1 || !strings.Contains(errs, "told twice") {
		t.Errorf("told once: %d\n%s", code, errs)
	}
	if code, out, errs := setup("", "remove", "--root", root, "--yes", "--language", "en"); code != 0 || !strings.Contains(out, "The records in /var/lib/tram stay.") {
		t.Errorf("remove: %d\n%s%s", code, out, errs)
	}
	if raw, err := os.ReadFile(db); err != nil || string(raw) != "records" {
		t.Fatalf("records after the removal: %q, %v", raw, err)
	}
	if code, out, errs := setup("tram-a\ny\n", "remove", "--root", root, "--records", "--language", "en"); code != 0 || !strings.Contains(out, "DELETE FOR GOOD") {
		t.Errorf("told twice: %d\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(db); !os.IsNotExist(err) {
		t.Errorf("records after a removal that was told twice: %v", err)
	}
}

// The code is typed in where the kit leaves it out, asked for again when it is
// none, and shown nowhere.
func TestCommandTakesTheCodeTyped(t *testing.T) {
	stick, root := t.TempDir(), t.TempDir()
	buildKit(t, stick, "v1.0.0", DefaultListen)
	raw, err := kit.Enrol{Centre: "https://centre.example:8643", Root: testRoot}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stick, "enrol.json"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errs := setup("tram-x\nnonsense\no123 4567 89ab cdef\ny\n", "install", "--kit", stick, "--root", root, "--language", "en")
	if code != 0 {
		t.Fatalf("install: %d\n%s%s", code, out, errs)
	}
	if strings.Contains(out+errs, "4567") {
		t.Errorf("the code is shown:\n%s%s", out, errs)
	}
	f, err := os.Open(filepath.Join(root, "var/lib/tram/enrol.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if e, err := kit.ReadEnrol(f); err != nil || e.Code != "0123-4567-89AB-CDEF" || e.Station != "tram-x" {
		t.Errorf("placed: %v, %v", e, err)
	}
}

func TestOneStickForManyStations(t *testing.T) {
	stick := t.TempDir()
	buildKit(t, stick, "v1.0.0", DefaultListen)
	if err := place.Write(filepath.Join(stick, "enrol", "tram-b.json"), []byte(enrolText(t, "tram-b")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ station, want string }{{"", "tram-a"}, {"tram-b", "tram-b"}, {"../enrol", "tram-a"}} {
		if e, bad := lookEnrol(stick, c.station); bad || e == nil || e.Station != c.want {
			t.Errorf("station %q: enrolment of %v, bad %v; want %s", c.station, e, bad, c.want)
		}
	}
}

func TestEnrolmentBesideTheKitIsFound(t *testing.T) {
	stick := t.TempDir()
	folder := filepath.Join(stick, "kit")
	for _, c := range []struct{ name, station, put, want string }{
		{"beside the kit, for one station of many", "tram-c", "enrol/tram-c.json", "tram-c"},
		{"beside the kit", "", "enrol.json", "tram-b"},
		{"in the kit goes first", "", "kit/enrol.json", "tram-a"},
	} {
		if err := place.Write(filepath.Join(stick, c.put), []byte(enrolText(t, c.want)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if e, bad := lookEnrol(folder, c.station); bad || e == nil || e.Station != c.want {
			t.Errorf("%s: enrolment of %v, bad %v; want %s", c.name, e, bad, c.want)
		}
	}
}

// The agent tells its code to who may read its private file, until there is an account.
func TestFirstCodeIsTheAgentsOfThisMoment(t *testing.T) {
	folder, code := t.TempDir(), "ABCD2345"
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/local/status" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"setup":%q}`, code)
	}))
	defer agent.Close()
	look := func() string { return firstCode(t.Context(), folder) }
	if got := look(); got != "" {
		t.Errorf("without an agent the code is %q", got)
	}
	here := fmt.Sprintf(`{"address":%q,"token":"secret","setup":"OLD"}`, strings.TrimPrefix(agent.URL, "http://"))
	if err := place.Write(filepath.Join(folder, "run.json"), []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != code {
		t.Errorf("the code is %q, want %s", got, code)
	}
	code = ""
	if got := look(); got != "" {
		t.Errorf("with an account the code is %q", got)
	}
}

func TestCommandLine(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "install"},
		{"instal", 2, "instal"},
		{"install --code 0123-4567-89AB-CDEF", 2, "--code"},
		{"--language=en --help", 0, "Sets up Tram"},
		{"--help", 0, "Cài Tram"},
		{"install --root " + root + " --kit " + root + " --yes --language en", 1, "The kit lacks kit.json."},
		{"status --root " + root + " --language en", 1, "Tram: not installed."},
		{"kit --out " + root + " --version v1 --language en", 1, "could not be completed"},
	} {
		code, out, errs := setup("", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("tram-setup %s: %d, want %d and %q:\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

func TestEnrolledIsWithoutAWaitingEnrolment(t *testing.T) {
	root := t.TempDir()
	lay := LayoutLinux()
	at := func(name string) string { return filepath.Join(root, lay.Data, name) }
	look := func() Records { return lookRecords(Target{Root: root}, lay, SettingsFound{}) }
	if r := look(); r.There || r.Enrolled || r.Pending != "" {
		t.Errorf("an empty disk: %+v", r)
	}
	for _, name := range []string{"enrol.json", "identity/station.key"} {
		if err := place.Write(at(name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := look(); r.Enrolled || r.Pending != sum([]byte("enrol.json")) {
		t.Errorf("a key, and an enrolment that waits: %+v", r)
	}
	if err := os.Remove(at("enrol.json")); err != nil {
		t.Fatal(err)
	}
	if r := look(); !r.Enrolled || r.Pending != "" {
		t.Errorf("a key, and the enrolment used: %+v", r)
	}
}

func TestPortOwner(t *testing.T) {
	b := newBench(t)
	b.insert("v1.0.0")
	b.mustInstall(Fresh)
	owner, program := portOwner(b.listen)
	if want := b.on.at(LayoutLinux().Program); !strings.HasPrefix(owner, "tram (") || program != want {
		t.Errorf("port owner: %q, %q; want tram and %q", owner, program, want)
	}
}

func TestSettingsAreFilledInLineByLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"# a\n[station]\n# b\nname = \"\"\nlanguage = \"vi\"\n[centre]\nurl=\"x\"\n", "# a\n[station]\n# b\nname = \"tram-a\"\nlanguage = \"en\"\n[centre]\nurl = \"https://c\"\n"},
		{"[page]\nname = \"not this\"\n", "[page]\nname = \"not this\"\n\n[station]\nlanguage = \"en\"\nname = \"tram-a\"\n\n[centre]\nurl = \"https://c\"\n"},
	} {
		if got := completeSettings(c.text, "tram-a", "en", "https://c"); got != c.want {
			t.Errorf("%q becomes\n%q, want\n%q", c.text, got, c.want)
		}
	}
}
