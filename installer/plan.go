package installer

import (
	"strings"

	"tram/installer/kit"
	"tram/installer/words"
)

// MinData is how many bytes must be free where records go: a year of a busy
// station's records with their journal, and room for the PC to breathe.
const MinData = 1 << 30

// Settings is what a person asked of an install, beyond what the kit says.
type Settings struct {
	Station  string     // empty: as the kit or the PC says
	Language string     // vi or en; empty: as the kit or the PC says
	Enrol    *kit.Enrol // the kit's, completed by what was typed in; nil: none
}

// Kinds of plan.
const (
	Fresh    = "fresh"    // nothing of Tram was on the PC
	Complete = "complete" // something was there, not all
	Upgrade  = "upgrade"  // an older agent becomes a newer one
	Nothing  = "nothing"  // all is as it should be
	Removal  = "removal"
)

// Plan is what will be done, in order. Kind is one of the constants above.
type Plan struct {
	Kind  string
	Steps []Step
}

// Refusal is a reason not to begin. Its words say what to do about it.
type Refusal struct {
	words.Word
}

// PlanInstall draws the plan that brings the PC that was found to what was
// asked, or says why not. It is a pure function. A plan comes with no refusal
// and refusals come with an empty plan.
func PlanInstall(found Found, want Settings) (Plan, []Refusal) {
	if r := refuseInstall(found, want); len(r) > 0 {
		return Plan{}, r
	}
	stick, lay, agent := found.Kit, found.Layout, found.Agent
	station, _ := stationName(found, want)
	var steps []Step

	// What differs from the kit is replaced, what is missing is added; what is
	// right already yields no step. So half an install is completed and a whole one
	// is left in peace.
	newProgram := agent.Program != stick.Program.Agent.SHA256
	newSetup := agent.Setup != stick.Program.Setup.SHA256
	unit := UnitText(found)
	newUnit := agent.State == Absent || lay.Unit != "" && (agent.Unit != unit || agent.Disabled)
	enrol := enrolStep(found, want)
	change := newProgram || newUnit || !found.Settings.There || enrol != nil
	// An agent that runs and does not answer is started anew, an unchanged one too.
	ill := agent.State == Running && !found.Image && !agent.Answers
	restart := agent.State == Running && (change || ill)

	// Windows does not let go of a program that runs: stop comes before any copy.
	if restart {
		steps = append(steps, Step{Do: StopService})
	}
	if newProgram {
		if agent.Program != "" {
			steps = append(steps, Step{Do: KeepPrevious, From: lay.Program, To: lay.Previous})
		}
		step := copyStep(CopyProgram, stick, stick.Program.Agent, lay.Program)
		if step.Fresh = agent.Program == ""; !step.Fresh {
			step.Previous = lay.Previous
		}
		steps = append(steps, step)
	}
	if newSetup {
		step := copyStep(CopySetup, stick, stick.Program.Setup, lay.Setup)
		step.Fresh = agent.Setup == ""
		steps = append(steps, step)
	}
	if lay.Account != "" && agent.Account != accountText() {
		steps = append(steps, Step{Do: MakeAccount, To: lay.Account, Text: accountText()})
	}
	if !found.Settings.There {
		steps = append(steps, Step{Do: WriteSettings, To: lay.Settings, Station: station, Centre: centreOf(want),
			Text: completeSettings(string(stick.Settings), station, want.Language, centreOf(want))})
	}
	// Rights are set in every plan that does something: folders that were copied
	// from another disk belong to whoever copied them.
	if !found.Records.There || enrol != nil || len(steps) > 0 {
		steps = append(steps, Step{Do: MakeData, To: found.Records.Folder})
	}
	if enrol != nil {
		steps = append(steps, *enrol)
	}
	// The note comes after the program that it speaks of; in between, a power cut
	// leaves a note of another digest, which counts for nothing.
	note := Note{Version: stick.Version, Program: stick.Program.Agent.SHA256}
	if agent.Noted != note {
		steps = append(steps, Step{Do: WriteNote, To: lay.Note, Note: note})
	}
	if newUnit {
		steps = append(steps, Step{Do: Register, From: lay.Program, To: lay.Settings, Text: unit,
			Before: agent.Unit, Fresh: agent.State == Absent})
	}
	if !found.Image && (restart || agent.State != Running) {
		steps = append(steps, Step{Do: StartService},
			Step{Do: WaitHealthy, Listen: found.Port.Listen, Note: note})
	}
	return Plan{Kind: kindOf(found, steps, newProgram), Steps: steps}, nil
}

// kindOf names a plan for the person who reads it.
func kindOf(found Found, steps []Step, newProgram bool) string {
	switch {
	case len(steps) == 0:
		return Nothing
	case found.Agent.Program == "" && found.Agent.State == Absent && !found.Settings.There && !found.Records.There:
		return Fresh
	case newProgram && found.Agent.Program != "":
		return Upgrade
	}
	return Complete
}

// enrolStep places the enrolment where the agent looks for it, unless the
// station has its identity, or the same enrolment waits there already.
func enrolStep(found Found, want Settings) *Step {
	if want.Enrol == nil || found.Records.Enrolled {
		return nil
	}
	e := *want.Enrol
	if e.Station == "" {
		e.Station, _ = stationName(found, want)
	}
	raw, err := e.Bytes()
	if !e.Whole() || err != nil || sum(raw) == found.Records.Pending {
		return nil
	}
	return &Step{Do: PlaceEnrol, To: joinLike(found.Records.Folder, "enrol.json"), Enrol: &e, Centre: e.Centre, Station: e.Station}
}

// copyStep copies a file of the kit; the digest rides along and is compared while
// the bytes are read, since a stick may fail after it was looked at.
func copyStep(do Do, stick kit.Kit, f kit.File, to string) Step {
	return Step{Do: do, Kit: stick.Dir, From: f.Path, To: to, SHA256: f.SHA256, Size: f.Size}
}

// centreOf is the address of the centre that the enrolment is for.
func centreOf(want Settings) string {
	if want.Enrol == nil {
		return ""
	}
	return want.Enrol.Centre
}

// stationName finds the name that the station has or gets; clash is another
// name that somebody expected.
func stationName(found Found, want Settings) (name, clash string) {
	names := []string{found.Settings.Station, want.Station}
	if want.Enrol != nil {
		names = append(names, want.Enrol.Station)
	}
	for _, n := range names {
		switch {
		case n == "":
		case name == "":
			name = n
		case n != name:
			return name, n
		}
	}
	return name, ""
}

// joinLike joins with the separator that the folder's own path uses: a plan
// for Windows is drawn alike on every system.
func joinLike(folder, name string) string {
	if strings.Contains(folder, `\`) && !strings.HasPrefix(folder, "/") {
		return strings.TrimRight(folder, `\`) + `\` + name
	}
	return strings.TrimRight(folder, "/") + "/" + name
}

// Taking asks for a removal. Records go only when both are true: asked for,
// and confirmed a second time.
type Taking struct {
	Records bool
	Really  bool
}

// PlanRemove draws the plan that takes the agent off the PC. The settings stay
// with the records, so that an install that finds them knows whose they are.
// It is a pure function.
func PlanRemove(found Found, want Taking) (Plan, []Refusal) {
	var refusals []Refusal
	no := func(code string, with ...string) { refusals = append(refusals, Refusal{words.New(code, with...)}) }
	if !found.PC.Rights {
		no("refuse.no-rights." + found.PC.OS)
	}
	if want.Records && !want.Really {
		no("refuse.records-once", "folder", found.Records.Folder)
	}
	if f := found.Settings.Fault; f != nil && found.Settings.There && want.Records {
		no("refuse.settings-unreadable", "why-vi", f.Text("vi"), "why-en", f.Text("en"))
	}
	if found.Port.Ours && found.Agent.State != Running {
		no("refuse.agent-by-hand", "owner", found.Port.Owner)
	}
	for _, folder := range []string{found.Records.Folder, found.Records.Journal} {
		if want.Records && folder != "" && !safeFolder(found.PC.OS, folder) {
			no("refuse.folder-unsafe", "folder", folder)
		}
	}
	if len(refusals) > 0 {
		return Plan{}, refusals
	}
	// What is not there yields no step, so that a removal which stopped half-way is
	// completed by the next one.
	lay := found.Layout
	var steps []Step
	if found.Agent.State == Running && !found.Image {
		steps = append(steps, Step{Do: StopService})
	}
	if found.Agent.State != Absent || found.Agent.Unit != "" {
		steps = append(steps, Step{Do: Unregister})
	}
	file := func(there bool, name string) {
		if there && name != "" {
			steps = append(steps, Step{Do: RemoveFile, To: name})
		}
	}
	file(found.Agent.Account != "", lay.Account)
	file(found.Agent.Program != "", lay.Program)
	file(found.Agent.Previous, lay.Previous)
	file(found.Agent.Noted != Note{}, lay.Note)
	if want.Records && found.Records.There {
		steps = append(steps, Step{Do: DeleteRecords, To: found.Records.Folder, From: found.Records.Journal})
	}
	if want.Records || !found.Records.There {
		file(found.Settings.There, lay.Settings)
	}
	// This program goes last: until then it is what completes a removal.
	file(found.Agent.Setup != "", lay.Setup)
	if len(steps) == 0 {
		return Plan{Kind: Nothing}, nil
	}
	return Plan{Kind: Removal, Steps: steps}, nil
}
