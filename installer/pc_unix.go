//go:build !windows

package installer

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tram/installer/place"
)

// lookPC asks the kernel and the distribution's own file (os-release(5)).
func lookPC() PC {
	pc := PC{OS: runtime.GOOS, Name: runtime.GOOS, Arch: runtime.GOARCH, Rights: os.Geteuid() == 0, Services: ServicesName()}
	// The machine's architecture counts, not this program's: a 32-bit setup program
	// installs the 64-bit agent where it can.
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		switch machine := unix.ByteSliceToString(u.Machine[:]); machine {
		case "x86_64":
			pc.Arch = "amd64"
		case "i386", "i486", "i586", "i686":
			pc.Arch = "386"
		case "aarch64", "arm64":
			pc.Arch = "arm64"
		}
	}
	if raw, err := place.Read("/etc/os-release", maxText); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				pc.Name = strings.Trim(strings.TrimSpace(name), `"'`)
			}
		}
	}
	return pc
}

// freeSpace is how many bytes this program may still write in folder, or 0.
func freeSpace(folder string) uint64 {
	var s unix.Statfs_t
	if unix.Statfs(folder, &s) != nil {
		return 0
	}
	return uint64(s.Bavail) * uint64(s.Bsize) //nolint:unconvert // the types differ by system
}

// portOwner finds who listens at an address: Linux lists the listening sockets
// by number in /proc/net/tcp (proc(5)), and each process's files by the same
// numbers. It sees other accounts' processes only with root's rights.
func portOwner(listen string) (owner, program string) {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeningSockets(table, fmt.Sprintf(":%04X", n), sockets)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !sockets[to] {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, _ := place.Read(filepath.Join(process, "comm"), 64)
		program, _ = os.Readlink(filepath.Join(process, "exe"))
		// The kernel marks a program that was replaced while it runs.
		program = strings.TrimSuffix(program, " (deleted)")
		return fmt.Sprintf("%s (%s)", strings.TrimSpace(string(name)), filepath.Base(process)), program
	}
	return "", ""
}

// listeningSockets collects the numbers of the sockets that listen at a port, in
// the form that links in /proc/*/fd have.
func listeningSockets(table, port string, into map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if c := strings.Fields(lines.Text()); len(c) > 9 && strings.HasSuffix(c[1], port) && c[3] == listening {
			into["socket:["+c[9]+"]"] = true
		}
	}
}

// serviceAccount is the account that managers other than systemd are told.
func serviceAccount() string {
	if ServicesName() == "systemd" {
		return "" // the unit says it
	}
	return ServiceName
}

// makeAccount writes the account's definition and makes the account. An image
// gets the definition only: its own first boot makes the account.
func makeAccount(name, text string, on Target) error {
	if err := place.Write(name, []byte(text), 0o644); err != nil {
		return err
	}
	if _, err := user.Lookup(ServiceName); on.Root != "" || err == nil {
		return nil
	}
	if _, err := exec.LookPath("systemd-sysusers"); err != nil {
		return tool("useradd", "--system", "--user-group", "--home-dir", "/var/lib/tram", "--shell", "/usr/sbin/nologin", ServiceName)
	}
	return tool("systemd-sysusers", name)
}

// makeData makes the data folder and the drop folder in it. Staff in the
// service's group pass through the first and work in the second; all else in it
// is the agent's alone.
func makeData(folder string, on Target) error {
	// The set-group bit lets what staff drop belong to the agent's group.
	const shared = 0o770 | fs.ModeSetgid
	drop := filepath.Join(folder, "drop")
	for _, d := range []struct {
		name string
		mode fs.FileMode
	}{{folder, 0o710}, {drop, shared}, {filepath.Join(drop, "done"), shared}, {filepath.Join(drop, "aside"), shared}} {
		if err := os.MkdirAll(d.name, 0o755); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	if err := giveToService(folder, on); err != nil {
		return err
	}
	// Giving a folder away drops its set-group bit: the modes come last.
	if err := os.Chmod(folder, 0o710); err != nil {
		return fmt.Errorf("set rights: %w", err)
	}
	for _, d := range []string{drop, filepath.Join(drop, "done"), filepath.Join(drop, "aside")} {
		if err := os.Chmod(d, shared); err != nil {
			return fmt.Errorf("set rights: %w", err)
		}
	}
	return place.SyncFolder(filepath.Dir(folder))
}

// giveToService gives a file, or a folder with all in it, to the service's
// account. Links are given, not followed. In an image the unit's state folder
// does so at the first start.
func giveToService(name string, on Target) error {
	if on.Root != "" {
		return nil
	}
	account, err := user.Lookup(ServiceName)
	if err != nil {
		return fmt.Errorf("find account: %w", err)
	}
	// The ids are numbers on every Unix that this program runs on.
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return fmt.Errorf("find account: %w", err)
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return fmt.Errorf("find account: %w", err)
	}
	return filepath.WalkDir(name, func(at string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("give to service: %w", err)
		}
		return os.Lchown(at, uid, gid)
	})
}

// removeProgram removes a file; a running program keeps its own copy until it
// ends.
func removeProgram(name string) error { return place.Remove(name) }

// hardenService has nothing to add: the unit says it all.
func hardenService() error { return nil }

// forgetService clears away what an interrupted registration left with systemd.
func forgetService() error {
	lay := LayoutLinux()
	wanted := filepath.Join(filepath.Dir(lay.Unit), "multi-user.target.wants", ServiceName+".service")
	if err := place.Remove(wanted, lay.Unit); err != nil {
		return err
	}
	return tool("systemctl", "daemon-reload")
}

// stopService asks the library: Unix managers wait within limits of their own.
func stopService() error {
	s, err := systemServices{}.service(Definition{})
	if err != nil {
		return err
	}
	return s.Stop()
}
