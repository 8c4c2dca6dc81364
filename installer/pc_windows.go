package installer

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"tram/installer/place"
)

// lookPC asks the kernel for the version: the usual call tells old programs an old
// one. Versions before 10 end a Go program before its first line; the starter
// setup.cmd speaks to them.
func lookPC() PC {
	v := windows.RtlGetVersion()
	pc := PC{
		OS:       "windows",
		Name:     fmt.Sprintf("Windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber),
		Major:    int(v.MajorVersion),
		Rights:   windows.GetCurrentProcessToken().IsElevated(),
		Services: "windows",
	}
	// A 32-bit program on a 64-bit PC sees its own kind in the first variable.
	machine := os.Getenv("PROCESSOR_ARCHITEW6432")
	if machine == "" {
		machine = os.Getenv("PROCESSOR_ARCHITECTURE")
	}
	switch strings.ToUpper(machine) {
	case "AMD64":
		pc.Arch = "amd64"
	case "ARM64":
		pc.Arch = "arm64"
	default:
		pc.Arch = "386"
	}
	return pc
}

// freeSpace is how many bytes this account may still write, or 0.
func freeSpace(folder string) uint64 {
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0
	}
	var free uint64
	if windows.GetDiskFreeSpaceEx(name, &free, nil, nil) != nil {
		return 0
	}
	return free
}

// portOwner asks GetExtendedTcpTable (iphlpapi.h) for the listening sockets of
// IPv4 with their processes: rows of six 32-bit numbers after a count.
func portOwner(listen string) (owner, program string) {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", ""
	}
	want, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", ""
	}
	const (
		ownerPidListener = 3
		row              = 24
		localPort        = 8
		process          = 20
	)
	call := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	if call.Find() != nil {
		return "", ""
	}
	table := make([]byte, 1<<20)
	size := uint32(len(table))
	if code, _, _ := call.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0,
		windows.AF_INET, ownerPidListener, 0); code != 0 {
		return "", ""
	}
	// Numbers are in the PC's order, ports in the network's.
	count := binary.LittleEndian.Uint32(table)
	for i := range min(int(count), (len(table)-4)/row) {
		r := table[4+i*row:]
		if uint64(binary.BigEndian.Uint16(r[localPort:])) != want {
			continue
		}
		pid := binary.LittleEndian.Uint32(r[process:])
		program = programOf(pid)
		return fmt.Sprintf("%s (%d)", filepath.Base(program), pid), program
	}
	return "", ""
}

// programOf is a process's program file; limited rights are enough for that.
func programOf(pid uint32) string {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return ""
	}
	defer windows.CloseHandle(h)
	name := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(name))
	if windows.QueryFullProcessImageName(h, 0, &name[0], &n) != nil {
		return ""
	}
	return windows.UTF16ToString(name[:n])
}

// serviceAccount is the service's own virtual account: it has no password, and
// no other service shares it.
func serviceAccount() string { return `NT SERVICE\` + ServiceName }

// makeAccount has nothing to do: Windows makes virtual accounts by itself.
func makeAccount(string, string, Target) error { return nil }

// serviceSID is the virtual account's identifier: S-1-5-80 and the five 32-bit
// words of the SHA-1 of the service's name in upper-case UTF-16 ([MS-DTYP]
// §2.4.2.4).
func serviceSID(name string) string {
	var raw []byte
	for _, c := range utf16.Encode([]rune(strings.ToUpper(name))) {
		raw = binary.LittleEndian.AppendUint16(raw, c)
	}
	sum := sha1.Sum(raw)
	sid := "S-1-5-80"
	for i := 0; i < len(sum); i += 4 {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(sum[i:]))
	}
	return sid
}

// makeData makes the data folder, for the service, the system and
// administrators alone, and the drop folder in it, where users may put files.
func makeData(folder string, on Target) error {
	drop := filepath.Join(folder, "drop")
	for _, d := range []string{folder, drop, filepath.Join(drop, "done"), filepath.Join(drop, "aside")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	if on.Root != "" {
		return nil
	}
	own := "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;" + serviceSID(ServiceName) + ")"
	if err := setRights(folder, own); err != nil {
		return err
	}
	// 0x1301bf is "modify": read, write, run and delete, not change rights.
	return setRights(drop, own+"(A;OICI;0x1301bf;;;BU)")
}

// setRights replaces all rights of a folder, inherited ones too, by those of an
// SDDL text ([MS-DTYP] §2.5.1).
func setRights(name, sddl string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return fmt.Errorf("set rights: %w", err)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("set rights: %w", err)
	}
	if err := windows.SetNamedSecurityInfo(name, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil); err != nil {
		return fmt.Errorf("set rights: %w", err)
	}
	return nil
}

// giveToService has nothing to do: rights are inherited from the data folder.
func giveToService(string, Target) error { return nil }

// removeProgram removes a file. A running program cannot be removed: it is put
// aside, and goes when the PC starts next.
func removeProgram(name string) error {
	if place.Remove(name) == nil {
		return nil
	}
	aside := name + ".removed"
	if err := os.Rename(name, aside); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	from, err := windows.UTF16PtrFromString(aside)
	if err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	return windows.MoveFileEx(from, nil, windows.MOVEFILE_DELAY_UNTIL_REBOOT)
}

// withService opens the agent's service for as long as do runs.
func withService(do func(*mgr.Service) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(ServiceName)
	if err != nil {
		return fmt.Errorf("open service: %w", err)
	}
	defer s.Close()
	return do(s)
}

// hardenService lets Windows start the agent again whatever it died of: at
// once, after a minute, then every five minutes; also after an exit that Windows
// does not call a crash.
func hardenService() error {
	return withService(func(s *mgr.Service) error {
		const day = 24 * 60 * 60 // seconds
		if err := s.SetRecoveryActions([]mgr.RecoveryAction{
			{Type: mgr.ServiceRestart, Delay: 2 * time.Second},
			{Type: mgr.ServiceRestart, Delay: time.Minute},
			{Type: mgr.ServiceRestart, Delay: 5 * time.Minute},
		}, day); err != nil {
			return fmt.Errorf("set recovery: %w", err)
		}
		if err := s.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
			return fmt.Errorf("set recovery: %w", err)
		}
		return nil
	})
}

// forgetService cannot do more than the library did.
func forgetService() error { return errors.New("service manager keeps the service") }

// stopService asks the service to stop and waits a minute at most.
func stopService() error {
	return withService(func(s *mgr.Service) error {
		status, err := s.Control(svc.Stop)
		for tries := 0; err == nil && status.State != svc.Stopped; tries++ {
			if tries == 240 {
				return errors.New("service does not stop")
			}
			time.Sleep(250 * time.Millisecond)
			status, err = s.Query()
		}
		if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			return nil
		}
		return err
	})
}
