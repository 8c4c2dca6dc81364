//go:build nspawn

package installer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// credential is what systemd hands to the service: text, so that SetCredential=
// can name it too.
const credential = "3f9c1d5e7a8b2046c1e3f5a7092b4d6e8f"

// opensByCredential moves the station's key from the file beside the records
// to a credential of systemd, by root's hand, and sees the service open by it.
func (m *machine) opensByCredential(records string) {
	m.Helper()
	data := filepath.Join(m.root, "var/lib/tram")
	m.must("write credential", os.WriteFile(filepath.Join(m.root, "etc/tram/credential"), []byte(credential), 0o600))
	keys := func(args ...string) string {
		m.Helper()
		out, err := m.asUnit([]string{"LoadCredential=tram.key:/etc/tram/credential"}, append([]string{"/usr/local/bin/tram", "keys"}, args...)...)
		m.Logf("tram keys %s: %s", strings.Join(args, " "), out)
		m.must("tram keys "+strings.Join(args, " ")+": "+out, err)
		return out
	}
	if out, err := m.try("/usr/local/bin/tram", "keys", "remove", "1"); err == nil || !strings.Contains(out, "dịch vụ") && !strings.Contains(out, "Stop the service") {
		m.Errorf("while the service runs: %v, %s", err, out)
	}
	m.run("systemctl", "stop", ServiceName)
	keys("add", "systemd")
	keys("remove", "1")
	if _, err := os.Stat(filepath.Join(data, "key")); !errors.Is(err, os.ErrNotExist) {
		m.Errorf("the key file is there after its slot was removed: %v", err)
	}
	info, err := os.Stat(filepath.Join(data, "keys.json"))
	m.must("look at the slots", err)
	folder, err := os.Stat(data)
	m.must("look at the data", err)
	if info.Sys().(*syscall.Stat_t).Uid != folder.Sys().(*syscall.Stat_t).Uid {
		m.Error("root took the file of slots away from the service")
	}

	if _, err := m.try("systemctl", "start", ServiceName); err == nil {
		m.Error("the service starts without its credential")
	}
	m.run("systemctl", "stop", ServiceName)
	log := m.run("journalctl", "--no-pager", "--unit", ServiceName, "--lines", "10")
	if !strings.Contains(log, "Thiếu khóa") && !strings.Contains(log, "key of these records is missing") {
		m.Errorf("without its credential the service says:\n%s", log)
	}

	m.must("make folder", os.MkdirAll(filepath.Join(m.root, "etc/systemd/system/tram.service.d"), 0o755))
	m.must("write drop-in", os.WriteFile(filepath.Join(m.root, "etc/systemd/system/tram.service.d/key.conf"),
		[]byte("[Service]\nLoadCredential=tram.key:/etc/tram/credential\n"), 0o644))
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", ServiceName)
	m.answers()
	m.same(records, "opened by a credential")
	m.run("systemctl", "stop", ServiceName)

	for value, sound := range map[string]bool{credential: true, strings.Repeat("0", len(credential)): false} {
		out, err := m.asUnit([]string{"SetCredential=tram.key:" + value, "User=tram"}, "/usr/local/bin/tram", "check")
		if (err == nil) != sound {
			m.Errorf("a credential that is right (%t): %v, %s", sound, err, out)
		}
	}
	m.run("systemctl", "start", ServiceName)
	m.answers()
}

// asUnit runs a command inside as a unit with properties of its own.
func (m *machine) asUnit(properties []string, args ...string) (string, error) {
	unit := []string{"systemd-run", "--pipe", "--wait", "--collect", "--quiet"}
	for _, p := range properties {
		unit = append(unit, "--property="+p)
	}
	out, err := m.enter(append(unit, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
