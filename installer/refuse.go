package installer

import (
	"cmp"
	"strconv"
	"strings"

	"tram/installer/kit"
	"tram/installer/words"
)

// refuseInstall collects every reason not to install, so that a person fixes
// them in one go. An operating system that is too old is the only one said
// when it is there: nothing else matters then.
func refuseInstall(found Found, want Settings) []Refusal {
	var out []Refusal
	no := func(code string, with ...string) { out = append(out, Refusal{words.New(code, with...)}) }
	pc, agent := found.PC, found.Agent
	if pc.OS == "windows" && pc.Major < 10 {
		return []Refusal{{words.New("refuse.windows-old", "name", pc.Name)}}
	}
	if pc.OS != "windows" && pc.OS != "linux" {
		return []Refusal{{words.New("refuse.os-unknown", "name", pc.Name)}}
	}
	if !pc.Rights {
		no("refuse.no-rights." + pc.OS)
	}
	if pc.Services == "" && !found.Image {
		no("refuse.no-services")
	}
	// Each file is named: who fills the stick again knows what was lost.
	for _, f := range found.Kit.Faults {
		no("refuse.kit-"+f.Code, "file", f.Path)
	}
	if found.EnrolBad {
		no("refuse.enrol-bad")
	}
	if _, bad := station(found, want); bad != nil {
		out = append(out, *bad)
	}
	if f := found.Settings.Fault; f != nil {
		code := "refuse.settings-unreadable"
		if !found.Settings.There {
			code = "refuse.kit-settings"
		}
		no(code, "why-vi", f.Text("vi"), "why-en", f.Text("en"))
	}
	// Checked before the unit is drawn: these folders are written into it.
	for _, folder := range []string{found.Records.Folder, found.Records.Journal, found.Settings.Drop} {
		if folder != "" && !safeFolder(pc.OS, folder) {
			no("refuse.folder-unsafe", "folder", folder)
		}
	}
	// A hung agent holds its own port: it is started anew, not refused.
	hung := agent.State == Running && found.Port.Program == found.Layout.Program
	if found.Port.Taken && !found.Port.Ours && !hung {
		no("refuse.port-taken", "listen", found.Port.Listen, "owner", cmp.Or(found.Port.Owner, "?"))
	}
	// Two programs on one database is what the agent itself refuses; here it can
	// be said before anything is changed.
	if found.Port.Ours && agent.State != Running {
		no("refuse.agent-by-hand", "owner", cmp.Or(found.Port.Owner, "tram"))
	}
	if pc.FreeData < MinData {
		no("refuse.disk-data", "free", megabytes(pc.FreeData), "need", megabytes(MinData), "folder", found.Records.Folder)
	}
	// Without a program there is nothing to measure or compare.
	if found.Kit.Program == nil {
		if len(found.Kit.Faults) == 0 {
			no("refuse.kit-no-program", "os", pc.OS, "arch", pc.Arch)
		}
		return out
	}
	// The program, its predecessor, and the copy on its way.
	if need := uint64(3 * (found.Kit.Program.Agent.Size + found.Kit.Program.Setup.Size)); pc.FreeProgram < need {
		no("refuse.disk-program", "free", megabytes(pc.FreeProgram), "need", megabytes(need))
	}
	// Records that a newer agent wrote may have a form that an older one cannot
	// read: there is no way back through the installer.
	if agent.Program != "" && agent.Program != found.Kit.Program.Agent.SHA256 {
		if order, known := compareVersions(agent.version(), found.Kit.Version); known && order > 0 {
			no("refuse.newer-agent", "there", agent.version(), "kit", found.Kit.Version)
		}
	}
	return out
}

// station finds the name that the station has or gets, or what is wrong with it. A
// PC that has settings may lack a name there: enrolment gives one.
func station(found Found, want Settings) (name string, bad *Refusal) {
	name, clash := stationName(found, want)
	switch {
	case clash != "":
		bad = &Refusal{words.New("refuse.other-station", "there", name, "kit", clash)}
	case name == "" && !found.Settings.There:
		bad = &Refusal{words.New("refuse.station-unnamed")}
	case name != "" && !kit.StationName(name):
		bad = &Refusal{words.New("refuse.station-name", "name", name)}
	}
	return name, bad
}

// safeFolder says whether a folder can hold records: an absolute path, not the
// top of a disk nor a folder of the system's own, and without characters that a
// service manager would read as its own.
func safeFolder(goos, folder string) bool {
	if strings.ContainsAny(folder, "\x00\n\r\"'{}[]%$*?") {
		return false
	}
	if goos == "windows" {
		if len(folder) < 4 || folder[1] != ':' || folder[2] != '\\' {
			return false
		}
		top, _, _ := strings.Cut(strings.ToLower(folder[3:]), `\`)
		return !strings.Contains(folder, "..") && top != "windows" && !strings.HasPrefix(top, "program files")
	}
	if !strings.HasPrefix(folder, "/") || strings.Contains(folder, "\\") {
		return false
	}
	parts := strings.Split(strings.Trim(folder, "/"), "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return false
		}
	}
	switch parts[0] {
	case "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr":
		return false
	case "home", "var", "media", "mnt":
		return len(parts) > 1 && strings.Join(parts, "/") != "var/lib"
	}
	return true
}

// megabytes is a number of bytes as people read it, in MiB rounded down.
func megabytes(n uint64) string { return strconv.FormatUint(n>>20, 10) }

// compareVersions orders two versions such as v1.4.2 or 1.5.0-rc1. A version
// of another form, such as a commit's name, has no order: known is false.
func compareVersions(a, b string) (order int, known bool) {
	x, xs, ok := splitVersion(a)
	y, ys, ok2 := splitVersion(b)
	if !ok || !ok2 {
		return 0, false
	}
	for i := range x {
		if c := cmp.Compare(x[i], y[i]); c != 0 {
			return c, true
		}
	}
	switch {
	case xs == ys:
		return 0, true
	case xs == "": // a release comes after its candidates
		return 1, true
	case ys == "":
		return -1, true
	}
	return strings.Compare(xs, ys), true
}

// splitVersion takes a version apart into three numbers and what follows the first
// hyphen; ok is false for other forms.
func splitVersion(s string) (n [3]uint64, suffix string, ok bool) {
	s, suffix, _ = strings.Cut(strings.TrimPrefix(s, "v"), "-")
	if suffix != "" && suffix[0] <= '9' { // commits after a release, as git counts them
		return n, "", false
	}
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return n, "", false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return n, "", false
		}
		n[i] = v
	}
	return n, suffix, true
}
