//go:build nspawn

package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long anything in the machine may take; it decides only when
// to give up.
const patience = 3 * time.Minute

// machine is a whole PC with systemd: an overlay of the running root, without a
// network but its own loopback. What it writes lives in memory and outlasts its
// stops, not the test.
type machine struct {
	*testing.T
	root   string // the overlay
	stick  string // the kit, seen inside as /media/stick
	group  string // the control group that holds all of its processes
	nspawn *exec.Cmd
	log    bytes.Buffer
	leader string // the process number of its systemd
}

// newMachine prepares a machine that is switched off. The calling goroutine
// keeps its thread and a mount namespace of its own until the test ends, so that
// nothing of this is seen or left outside.
func newMachine(t *testing.T, stick string, hide ...string) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a machine needs root's rights: run make test-install as root")
	}
	for _, need := range []string{"systemd-nspawn", "nsenter", "systemctl"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Fatalf("%s is missing: apt-get install systemd-container util-linux", need)
		}
	}
	runtime.LockOSThread()
	m := &machine{T: t, stick: stick}
	base := t.TempDir()
	m.must("unshare", unix.Unshare(unix.CLONE_NEWNS))
	m.must("keep mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	m.must("mount memory", unix.Mount("tram", base, "tmpfs", 0, ""))
	m.root = filepath.Join(base, "root")
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	for _, d := range []string{m.root, upper, work} {
		m.must("make folder", os.Mkdir(d, 0o755))
	}
	m.must("mount overlay", unix.Mount("tram", m.root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work))
	// A PC as it comes: no services but the system's own, no Tram.
	for _, gone := range append(hide, "/etc/systemd/system", "/etc/machine-id", "/etc/fstab", "/etc/tram", "/var/lib/tram",
		"/usr/local/bin/tram", "/usr/local/bin/tram-setup", "/usr/local/lib/tram", "/etc/sysusers.d") {
		m.must("clear "+gone, os.RemoveAll(filepath.Join(m.root, gone)))
	}
	m.must("make folder", os.MkdirAll(filepath.Join(m.root, "etc/systemd/system"), 0o755))
	m.must("name machine", os.WriteFile(filepath.Join(m.root, "etc/machine-id"), []byte("7472616d7472616d7472616d7472616d\n"), 0o444))

	// systemd wants the unified hierarchy, whatever the machine around uses; the
	// group of its own keeps it from the others' processes.
	for unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH) == nil {
	}
	m.must("mount control groups", unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""))
	m.group = fmt.Sprintf("/sys/fs/cgroup/tram-test-%d", os.Getpid())
	m.must("make control group", os.Mkdir(m.group, 0o755))
	t.Cleanup(func() {
		m.end()
		unix.Unmount(m.root, unix.MNT_DETACH)
		unix.Unmount(base, unix.MNT_DETACH)
	})
	return m
}

func (m *machine) must(what string, err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("%s: %v", what, err)
	}
}

// start switches the machine on and waits until its systemd has nothing more
// to do.
func (m *machine) start() {
	m.Helper()
	began := time.Now()
	group, err := os.Open(m.group)
	m.must("open control group", err)
	defer group.Close()
	m.nspawn = exec.Command("systemd-nspawn", "--boot", "--private-network", "--register=no", "--keep-unit",
		"--machine=tram-test", "--directory="+m.root, "--bind-ro="+m.stick+":/media/stick", "--tmpfs=/root", "--link-journal=no",
		"--console=pipe", "systemd.unit=multi-user.target")
	m.nspawn.Stdout, m.nspawn.Stderr = &m.log, &m.log
	m.nspawn.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	m.must("start systemd-nspawn", m.nspawn.Start())
	pid := strconv.Itoa(m.nspawn.Process.Pid)
	m.until("the machine runs", func() error {
		children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
		if err != nil {
			return err
		}
		m.leader, _, _ = strings.Cut(string(children), " ")
		if m.leader == "" {
			return errors.New("no systemd yet")
		}
		out, err := m.enter("systemctl", "is-system-running", "--wait").CombinedOutput()
		// Degraded means that a unit of the root around failed; it is none of ours.
		if state := strings.TrimSpace(string(out)); state != "running" && state != "degraded" {
			return fmt.Errorf("%s: %w", state, err)
		}
		return nil
	})
	m.Logf("machine is up after %.1f s", time.Since(began).Seconds())
}

// stop shuts the machine down as a person would, and waits until it is off.
func (m *machine) stop() {
	m.Helper()
	m.run("systemctl", "poweroff")
	if err := m.nspawn.Wait(); err != nil {
		m.Fatalf("machine stops: %v\n%s", err, &m.log)
	}
	m.nspawn = nil
	m.Log("machine is off")
}

// end kills what is left of the machine; only its own control group is touched.
func (m *machine) end() {
	os.WriteFile(filepath.Join(m.group, "cgroup.kill"), []byte("1"), 0)
	if m.nspawn != nil {
		m.nspawn.Wait()
	}
	for tries := 0; tries < 100; tries++ {
		if removeGroups(m.group) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.Errorf("control group %s is left", m.group)
}

// removeGroups removes a control group and those in it, the deepest first.
func removeGroups(group string) error {
	entries, err := os.ReadDir(group)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroups(filepath.Join(group, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(group)
}

// enter is a command inside of the machine.
func (m *machine) enter(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target=" + m.leader, "--all", "--"}, args...)...)
}

// run runs a command inside as a unit of its own and returns what it said.
func (m *machine) run(args ...string) string {
	m.Helper()
	out, err := m.try(args...)
	if err != nil {
		log, _ := m.try("journalctl", "--no-pager", "--unit", ServiceName, "--lines", "20")
		m.Logf("the service's log:\n%s", log)
		m.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (m *machine) try(args ...string) (string, error) {
	unit := []string{"systemd-run", "--pipe", "--wait", "--collect", "--quiet"}
	if args[0] == "systemctl" {
		unit = nil
	}
	out, err := m.enter(append(unit, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// until tries again until try succeeds or patience ends.
func (m *machine) until(what string, try func() error) {
	m.Helper()
	end := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			m.Fatalf("%s: not after %v: %v\n%s", what, patience, err, &m.log)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// browser is a client inside of the machine's network: it dials from a thread
// that has entered it, and that ends with the dial.
func (m *machine) browser() *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		type dialled struct {
			net.Conn
			error
		}
		done := make(chan dialled)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread goes with the goroutine
			inside, err := os.Open("/proc/" + m.leader + "/ns/net")
			if err != nil {
				done <- dialled{nil, err}
				return
			}
			defer inside.Close()
			if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
				done <- dialled{nil, err}
				return
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", address)
			done <- dialled{conn, err}
		}()
		d := <-done
		return d.Conn, d.error
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// get asks the machine's own page; token, if any, is shown as a program's.
func (m *machine) get(path, token string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+DefaultListen+path, nil)
	if err != nil {
		return "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := m.browser().Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode >= 400 {
		err = errors.New(res.Status)
	}
	return string(raw), err
}
