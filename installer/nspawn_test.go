//go:build nspawn

package installer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tram/installer/kit"
)

// TestInstallInAMachine is a station's first day and its worst one: installed
// from a stick, killed, switched off, removed and installed anew, with its
// records there all the while.
func TestInstallInAMachine(t *testing.T) {
	stick := t.TempDir()
	buildStick(t, stick)
	m := newMachine(t, stick)
	m.start()

	said := m.run("sh", "/media/stick/setup.sh", "--yes", "--language", "en")
	t.Logf("install:\n%s", said)
	m.answers()
	if again := m.run("sh", "/media/stick/setup.sh", "--yes", "--language", "en"); !strings.Contains(again, "There is nothing to do.") {
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

	m.stop()
	m.start()
	m.answers()
	m.same(before, "after the machine was off")
	t.Logf("status:\n%s", m.run("/usr/local/bin/tram-setup", "status", "--language", "en"))

	t.Logf("remove:\n%s", m.run("/usr/local/bin/tram-setup", "remove", "--yes", "--language", "en"))
	if body, err := m.get("/health"); err == nil {
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

	said = m.run("sh", "/media/stick/setup.sh", "--yes", "--language", "en")
	t.Logf("reinstall:\n%s", said)
	if !strings.Contains(said, "Records: there, in /var/lib/tram.") {
		t.Error("the reinstall does not see the records")
	}
	m.answers()
	m.same(before, "after remove and reinstall")
	m.stop()
}

// answers waits until page and health answer, and says what health says.
func (m *machine) answers() {
	m.Helper()
	m.until("the page answers", func() error {
		body, err := m.get("/health")
		if err != nil {
			return err
		}
		m.Logf("health: %s", strings.TrimSpace(body))
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

// buildStick builds a kit for this PC as make dist does for all.
func buildStick(t *testing.T, dir string) {
	t.Helper()
	buildKit(t, dir, "v1.0.0", DefaultListen)
	pc := filepath.Join(dir, "linux-"+lookPC().Arch)
	setup := filepath.Join(pc, "tram-setup")
	if err := os.Remove(setup); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "build", "-o", setup, "tram/installer/tram-setup").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if _, err := kit.Build(dir, "v1.0.0", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) addRecords() {
	for range 3 {
		res, err := m.browser().Post("http://"+DefaultListen+"/records", "", nil)
		m.must("add a record", err)
		res.Body.Close()
	}
}

func (m *machine) count() string {
	n, err := m.get("/records")
	m.must("count records", err)
	return n
}
