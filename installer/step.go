package installer

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"

	"tram/installer/kit"
	"tram/installer/words"
)

// Do is what a step does.
type Do string

// The steps. Each may be carried out again; only DeleteRecords touches records,
// and only a removal that was told twice contains it.
const (
	StopService   Do = "stop-service"
	KeepPrevious  Do = "keep-previous"  // From is kept as To
	CopyProgram   Do = "copy-program"   // Kit/From to To, compared with SHA256
	CopySetup     Do = "copy-setup"     // likewise
	MakeAccount   Do = "make-account"   // Text to To; the account made from it
	WriteSettings Do = "write-settings" // Text, completed, to To
	MakeData      Do = "make-data"      // the folder To, with its rights
	PlaceEnrol    Do = "place-enrol"    // Enrol to To
	WriteNote     Do = "write-note"     // Note to To
	Register      Do = "register"       // the program From with settings To; Text is its unit
	StartService  Do = "start-service"
	WaitHealthy   Do = "wait-healthy" // until Listen answers with Note's version
	Unregister    Do = "unregister"
	RemoveFile    Do = "remove-file"    // To
	DeleteRecords Do = "delete-records" // what the agent made inside To
)

// Step is one step of a plan; which fields count is said beside its Do.
type Step struct {
	Do       Do
	Kit      string // folder
	From     string
	To       string
	SHA256   string
	Size     int64 // bytes
	Text     string
	Before   string // the unit that Text replaces; put back by an undo
	Previous string // where the program that is replaced was kept; put back by an undo
	Fresh    bool   // nothing was there before
	Station  string
	Centre   string
	Listen   string
	Note     Note
	Enrol    *kit.Enrol
}

// Word is what the step is called in the plan that a person reads.
func (s Step) Word() words.Word {
	return words.New("step."+string(s.Do), "from", s.From, "to", s.To, "station", s.Station,
		"centre", s.Centre, "listen", s.Listen, "version", s.Note.Version)
}

var (
	//go:embed files/tram.service
	unitTemplate string
	//go:embed files/tram.sysusers
	accountTemplate string
)

// accountText is the account's definition (sysusers.d(5)).
func accountText() string { return accountTemplate }

// UnitText is the systemd unit for the PC that was found, or "" where there is
// no systemd. The unit's sandbox opens exactly the folders that the settings
// name outside of the state folder. It is pure.
func UnitText(found Found) string {
	if found.Layout.Unit == "" || found.PC.Services != "systemd" && !found.Image {
		return ""
	}
	var paths strings.Builder
	home := "yes"
	for _, folder := range []string{found.Records.Folder, found.Records.Journal, found.Settings.Drop} {
		if folder == "" || inside(found.Layout.Data, folder) {
			continue
		}
		// The minus lets the service start while a second disk is away.
		paths.WriteString("ReadWritePaths=\"-" + folder + "\"\n")
		if inside("/home", folder) || inside("/root", folder) {
			home = "read-only"
		}
	}
	return strings.NewReplacer("@PROGRAM@", found.Layout.Program, "@SETTINGS@", found.Layout.Settings,
		"@PATHS@\n", paths.String(), "@HOME@", home).Replace(unitTemplate)
}

// inside says whether a path is a folder or lies in it. Both are clean.
func inside(folder, name string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimRight(folder, "/")+"/")
}

// sum is the SHA-256 of b in lower-case hexadecimal, as place.Digest gives it.
func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
