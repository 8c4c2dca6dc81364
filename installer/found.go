package installer

import (
	"tram/agent/config"
	"tram/installer/kit"
)

// Found is what Look saw on a PC. It is a plain value: a plan is drawn from it
// and from nothing else.
type Found struct {
	PC       PC
	Layout   Layout
	Kit      kit.Kit
	Enrol    *kit.Enrol // from the kit's enrol.json; nil when there is none
	EnrolBad bool       // the kit's enrol.json is there and unusable
	Port     Port
	Agent    Agent
	Settings SettingsFound
	Records  Records
	Image    bool // a folder that holds a PC's files, not the running PC
}

// PC is the machine and its operating system.
type PC struct {
	OS       string // as GOOS
	Name     string // as its maker calls it
	Major    int    // Windows only: 6 is 7 and 8, 10 is 10 and later
	Arch     string // of the machine, as GOARCH, whatever this program was built for
	Rights   bool   // this program may change the PC
	Services string // the service manager; empty when none is known

	FreeProgram uint64 // bytes free where programs go
	FreeData    uint64 // bytes free where records go
}

// Port is the address that the agent's page would answer at.
type Port struct {
	Listen  string // host:port
	Taken   bool
	Ours    bool   // an agent answers there
	Owner   string // who has it, as far as the system tells: a name and a process number
	Program string // that one's program file, as far as the system tells
}

// Agent is an agent that is already on the PC.
type Agent struct {
	Program    string // SHA-256 of its program; empty when there is none
	Setup      string // SHA-256 of the setup program beside it
	Previous   bool   // the program before the last upgrade is kept
	Noted      Note
	State      State
	Unit       string // text of the systemd unit that is there
	Disabled   bool   // that unit does not start with the PC
	Account    string // text of the sysusers.d file that is there
	Answers    bool
	OK         bool
	Version    string // by its own word
	Station    string // by its own word
	Complaints []Value
}

// Value is one of the agent's health values, as its page tells them: what a
// person reads of it.
type Value struct {
	Title string `json:"title"`
	Todo  string `json:"todo"`
}

// Note is what an install leaves beside the settings: which version it put
// there, and the digest of its program.
type Note struct {
	Version string `json:"version"`
	Program string `json:"program"`
}

// SettingsFound is the settings file that is already there, or else the one
// that the kit brings.
type SettingsFound struct {
	There    bool
	Station  string        // [station] name
	Language string        // [station] language
	Listen   string        // [page] listen
	Data     string        // [data] folder
	Journal  string        // [data] journal
	Drop     string        // [drop] folder
	Fault    *config.Error // why the agent would not take it; nil when it would
}

// Records is the data folder.
type Records struct {
	Folder   string // where it is, or would be
	Journal  string // outside of Folder; empty when it is inside
	There    bool   // the folder exists
	Database bool   // with records in it
	Enrolled bool   // the centre has given the station its identity
	Pending  string // SHA-256 of an enrol.json that the agent has not used yet
}

// version is the version of the agent that is there, by its own word or else
// by the install's note as long as the note speaks of the program that is
// there; empty when neither tells.
func (a Agent) version() string {
	if a.Version != "" {
		return a.Version
	}
	if a.Noted.Program == a.Program {
		return a.Noted.Version
	}
	return ""
}
