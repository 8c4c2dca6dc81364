//go:build nspawn

package installer

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"tram/agent/config"
	"tram/installer/kit"
)

// TestInstallInAMachine is a station's first day and its worst one: installed
// from a stick, killed, switched off, removed and installed anew, with its
// records there all the while.
func TestInstallInAMachine(t *testing.T) {
	version, newer := agentVersion(t), agentVersion(t)
	if *standin {
		newer = "9.9.9"
	}
	stick := t.TempDir()
	buildStick(t, filepath.Join(stick, "first"), version, "first", false)
	buildStick(t, filepath.Join(stick, "second"), newer, "second", false)
	buildStick(t, filepath.Join(stick, "broken"), newer, "broken", true)
	if err := os.WriteFile(filepath.Join(stick, "people.ndjson"), []byte(people), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(stick, 0o755); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, stick)
	m.start()

	said := m.run("sh", "/media/stick/first/setup.sh", "--yes", "--language", "en")
	t.Logf("install:\n%s", said)
	m.answers()
	if again := m.run("sh", "/media/stick/first/setup.sh", "--yes", "--language", "en"); !strings.Contains(again, "There is nothing to do.") {
		t.Errorf("a second install says:\n%s", again)
	}
	security := m.run("systemd-analyze", "security", "--no-pager", ServiceName)
	score := regexp.MustCompile(`Overall exposure level for tram.service: (\d+)\.(\d+)`).FindStringSubmatch(security)
	if score == nil || len(score[1]) > 1 || score[1] > "1" {
		t.Errorf("systemd-analyze security:\n%s", security)
	} else {
		t.Logf("systemd-analyze security: %s.%s", score[1], score[2])
	}

	m.addRecords()
	before := m.count()
	if before == "0" || before == "" {
		t.Fatalf("there are %q records to watch over", before)
	}
	t.Logf("records: %s", before)

	pid := m.mainPID()
	m.run("kill", "-9", pid)
	m.until("the service is back after kill -9", func() error {
		if now, err := m.try("systemctl", "show", "--value", "-p", "MainPID", ServiceName); err != nil || now == pid || now == "0" {
			return errors.New("process " + now)
		}
		return nil
	})
	m.answers()
	m.same(before, "after kill -9")
	t.Logf("killed process %s; process %s took over; restarts: %s", pid, m.mainPID(),
		m.run("systemctl", "show", "--value", "-p", "NRestarts", ServiceName))

	said = m.run("sh", "/media/stick/second/setup.sh", "--yes", "--language", "en")
	t.Logf("upgrade:\n%s", said)
	if !strings.Contains(said, "Plan: upgrade") || m.mainPID() == pid {
		t.Error("the upgrade changed nothing")
	}
	m.answers()
	m.same(before, "after the upgrade")
	upgraded := m.run("sha256sum", "/usr/local/bin/tram")
	said, err := m.try("sh", "/media/stick/broken/setup.sh", "--yes", "--language", "en")
	t.Logf("broken upgrade:\n%s", said)
	if err == nil || !strings.Contains(said, "were taken back") || m.run("sha256sum", "/usr/local/bin/tram") != upgraded {
		t.Errorf("the broken upgrade was not taken back: %v", err)
	}
	m.answers()
	m.same(before, "after the broken upgrade")

	m.stop()
	m.start()
	m.answers()
	m.same(before, "after the machine was off")
	t.Logf("status:\n%s", m.run("/usr/local/bin/tram-setup", "status", "--language", "en"))

	t.Logf("remove:\n%s", m.run("/usr/local/bin/tram-setup", "remove", "--yes", "--language", "en"))
	if body, err := m.get("/health", ""); err == nil {
		t.Errorf("after the removal the page answers %q", body)
	}
	for _, gone := range []string{"/usr/local/bin/tram", "/usr/local/bin/tram-setup", "/etc/systemd/system/tram.service", "/etc/sysusers.d/tram.conf"} {
		if _, err := m.try("test", "-e", gone); err == nil {
			t.Errorf("%s is there after the removal", gone)
		}
	}
	if out, err := m.try("systemctl", "is-enabled", ServiceName); err == nil {
		t.Errorf("after the removal the service is %s", out)
	}

	said = m.run("sh", "/media/stick/second/setup.sh", "--yes", "--language", "en")
	t.Logf("reinstall:\n%s", said)
	if !strings.Contains(said, "Records: there, in /var/lib/tram.") {
		t.Error("the reinstall does not see the records")
	}
	m.answers()
	m.same(before, "after remove and reinstall")
	if !*standin {
		m.opensByCredential(before)
	}
	m.stop()
}

// standin takes this test program for the agent, to try the machine alone.
var standin = flag.Bool("standin", false, "install a stand-in in place of the agent")

// agentVersion is the version that the agent's source names.
func agentVersion(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../agent/agent.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`const Version = "([^"]+)"`).FindSubmatch(raw)
	if found == nil {
		t.Fatal("the agent's source names no version")
	}
	return string(found[1])
}

// answers waits until page and health answer, and says what health says.
func (m *machine) answers() {
	m.Helper()
	m.until("the page answers", func() error {
		body, err := m.get("/health", "")
		if err != nil {
			return err
		}
		page, err := m.get("/", "")
		if !*standin && (err != nil || !strings.Contains(page, "</html>")) {
			return fmt.Errorf("the page: %w: %s", err, page)
		}
		m.Logf("health: %s; page: %d bytes", strings.TrimSpace(body), len(page))
		return nil
	})
}

func (m *machine) same(want, when string) {
	m.Helper()
	if got := m.count(); got != want {
		m.Errorf("%s there are %s records, want %s", when, got, want)
		return
	}
	m.Logf("records %s: %s", when, want)
}

func (m *machine) mainPID() string {
	m.Helper()
	return m.run("systemctl", "show", "--value", "-p", "MainPID", ServiceName)
}

// buildStick builds a kit for this PC as make dist does for all: the agent and
// this setup program. mark makes two builds of one version differ. A broken
// agent is a program that ends at once.
func buildStick(t *testing.T, dir, version, mark string, broken bool) {
	t.Helper()
	pc := filepath.Join(dir, "linux-"+runtime.GOARCH)
	programs := []string{"installer/tram-setup"}
	if !*standin {
		programs = append(programs, "agent/tram")
	}
	for _, program := range programs {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid="+mark, "-o", filepath.Join(pc, filepath.Base(program)), "tram/"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", program, err, out)
		}
	}
	agent := filepath.Join(pc, "tram")
	if broken {
		raw, err := os.ReadFile("/bin/false")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(agent, raw, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if *standin && !broken {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(agent, []byte(string(self)+trailer+version), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "enrol.json"), []byte(enrolText(t, "tram-a")), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := kit.Build(dir, version, []byte(config.Sample())); err != nil {
		t.Fatal(err)
	}
}

// addRecords puts three people into the drop folder, as a lab's PC would.
func (m *machine) addRecords() {
	m.Helper()
	if *standin {
		for range 3 {
			res, err := m.browser().Post("http://"+DefaultListen+"/records", "", nil)
			m.must("add a record", err)
			res.Body.Close()
		}
		return
	}
	m.run("cp", "/media/stick/people.ndjson", "/var/lib/tram/drop/people.ndjson")
	m.until("the drop folder is taken in", func() error {
		if n := m.count(); n != "3" {
			return errors.New(n + " records")
		}
		return nil
	})
}

const people = `{"resourceType":"Patient","id":"p1","name":[{"family":"Nguyễn","given":["Thị","Thử"]}],"gender":"female","birthDate":"1980-02-29"}
{"resourceType":"Patient","id":"p2","name":[{"family":"Trần","given":["Văn","Mẫu"]}],"gender":"male","birthDate":"1975"}
{"resourceType":"Patient","id":"p3","name":[{"family":"Lê","given":["Thị","Ví"]}],"gender":"female","birthDate":"2020-12"}
`

// count is how many records the agent says it holds, after it checked them.
func (m *machine) count() string {
	m.Helper()
	if *standin {
		n, err := m.get("/records", "")
		m.must("count records", err)
		return n
	}
	var here struct {
		Token string `json:"token"`
	}
	raw, err := os.ReadFile(filepath.Join(m.root, "var/lib/tram/run.json"))
	m.must("find the agent", err)
	m.must("find the agent", json.Unmarshal(raw, &here))
	faults, err := m.get("/local/check", here.Token)
	m.must("check records", err)
	if f := strings.TrimSpace(faults); f != "null" && f != "[]" {
		m.Errorf("the agent's own check finds %s", f)
	}
	var state struct {
		Report struct {
			Records int `json:"re"`
		} `json:"report"`
	}
	raw2, err := m.get("/local/status", here.Token)
	m.must("count records", err)
	m.must("count records", json.Unmarshal([]byte(raw2), &state))
	return strconv.Itoa(state.Report.Records)
}
