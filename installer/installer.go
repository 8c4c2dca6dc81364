// Package installer sets up a station's PC from one stick, without a network:
// it looks at the PC, draws a plan from what it found, shows it, and carries
// it out.
//
// It owns the kit on the stick and its manifest, the places on a PC where the
// program, its settings and its records live, and the words a person reads
// while that happens. It promises that a plan is a pure function of what was
// found and what was asked, that every step may be carried out again, that an
// install that stopped half-way is completed by the next one, and that records
// are deleted only by a removal that was told so twice.
//
// It does not know what a record is, nor how the agent works: it knows the
// agent's files by name, its settings by key, and its health by the answer on
// its page.
package installer

import (
	"path/filepath"
	"strings"
)

// ServiceName is the agent's name with every service manager, and the name of
// the account that it runs under on Linux.
const ServiceName = "tram"

// DefaultListen is where the agent's page answers when settings do not say.
const DefaultListen = "127.0.0.1:8642"

// Target is what is set up: the running PC, or an image of one.
type Target struct {
	Root     string // the folder that holds the image's files; empty for the running PC
	Services Services
}

// at is where a path of the PC is found from here.
func (t Target) at(name string) string {
	if t.Root == "" || name == "" {
		return name
	}
	return filepath.Join(t.Root, name[len(filepath.VolumeName(name)):])
}

// Layout says where everything lives on one PC. All paths are absolute, as
// the PC itself sees them.
type Layout struct {
	Program  string // the agent
	Setup    string // this program, so that status and remove work without the stick
	Previous string // the agent before the last upgrade
	Note     string // which version was installed, as JSON
	Settings string // tram.toml
	Data     string // the data folder when settings do not name one
	Unit     string // the systemd unit; empty where there is no systemd
	Account  string // the sysusers.d file; empty where there is no systemd
}

// LayoutLinux is the layout of a Linux PC with systemd.
func LayoutLinux() Layout {
	return Layout{
		Program:  "/usr/local/bin/tram",
		Setup:    "/usr/local/bin/tram-setup",
		Previous: "/usr/local/lib/tram/tram.previous",
		Note:     "/etc/tram/installed.json",
		Settings: "/etc/tram/tram.toml",
		Data:     "/var/lib/tram",
		Unit:     "/etc/systemd/system/" + ServiceName + ".service",
		Account:  "/etc/sysusers.d/" + ServiceName + ".conf",
	}
}

// LayoutWindows is the layout of a Windows PC whose %ProgramFiles% and
// %ProgramData% are programs and data.
func LayoutWindows(programs, data string) Layout {
	at := func(parts ...string) string { return strings.Join(parts, `\`) }
	return Layout{
		Program:  at(programs, "Tram", "tram.exe"),
		Setup:    at(programs, "Tram", "tram-setup.exe"),
		Previous: at(programs, "Tram", "tram.previous.exe"),
		Note:     at(data, "Tram", "installed.json"),
		Settings: at(data, "Tram", "tram.toml"),
		Data:     at(data, "Tram", "data"),
	}
}

// recordNames are the entries of a data folder that the agent makes. A removal
// of records deletes these and nothing else, so that a data folder that was
// pointed at somebody's documents costs nobody a document.
func recordNames() []string {
	return []string{"tram.db", "journal", "blobs", "key", "key.aside", "keys.json", "identity", "drop", "enrol.json", "run.json", "practice.json"}
}
