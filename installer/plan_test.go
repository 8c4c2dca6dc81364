package installer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tram/agent/config"
	"tram/installer/kit"
	"tram/installer/words"
)

// clean is a Linux PC that lacks nothing but Tram, with a stick for it.
func clean() Found {
	return Found{
		PC: PC{OS: "linux", Name: "Debian 12", Arch: "amd64", Rights: true, Services: "systemd",
			FreeProgram: 10 << 30, FreeData: 10 << 30},
		Layout: LayoutLinux(),
		Kit: kit.Kit{Dir: "/media/stick", Version: "v1.2.0", Settings: []byte(config.Sample()), Program: &kit.Program{
			OS: "linux", Arch: "amd64",
			Agent: kit.File{Path: "linux-amd64/tram", Size: 20 << 20, SHA256: "kit-agent"},
			Setup: kit.File{Path: "linux-amd64/tram-setup", Size: 10 << 20, SHA256: "kit-setup"},
		}},
		Port:    Port{Listen: DefaultListen},
		Records: Records{Folder: "/var/lib/tram"},
	}
}

// set is the same PC after that stick's install, running.
func set() Found {
	f := clean()
	f.Settings = SettingsFound{There: true, Station: "tram-a", Language: "vi", Listen: DefaultListen, Data: "/var/lib/tram"}
	f.Records = Records{Folder: "/var/lib/tram", There: true, Database: true, Enrolled: true}
	f.Port.Taken, f.Port.Ours = true, true
	f.Agent = Agent{Program: "kit-agent", Setup: "kit-setup", Noted: Note{"v1.2.0", "kit-agent"}, State: Running,
		Account: accountText(), Answers: true, OK: true, Version: "v1.2.0", Station: "tram-a"}
	f.Agent.Unit = UnitText(f)
	return f
}

func onWindows(f Found, major int) Found {
	f.PC.OS, f.PC.Name, f.PC.Services, f.PC.Major = "windows", fmt.Sprintf("Windows %d", major), "windows", major
	f.Layout = LayoutWindows(`C:\Program Files`, `C:\ProgramData`)
	f.Records.Folder = `C:\ProgramData\Tram\data`
	return f
}

func older(f Found) Found {
	f.Agent.Program, f.Agent.Version, f.Agent.Noted = "old-agent", "v1.1.9", Note{"v1.1.9", "old-agent"}
	return f
}

func with(f Found, change func(*Found)) Found {
	change(&f)
	return f
}

func enrolment(station string) *kit.Enrol {
	return &kit.Enrol{Station: station, Centre: "https://centre.example:8643", Root: testRoot, Code: "0123-4567-89AB-CDEF"}
}

const fresh = "copy-program copy-setup make-account write-settings make-data place-enrol write-note register start-service wait-healthy"

func TestPlanInstall(t *testing.T) {
	named := Settings{Station: "tram-a", Enrol: enrolment("tram-a")}
	for _, c := range []struct {
		name  string
		found Found
		want  Settings
		kind  string
		steps string
	}{
		{"a clean PC", clean(), named, Fresh, fresh},
		{"a clean PC, the name from the enrolment", clean(), Settings{Enrol: enrolment("tram-a")}, Fresh, fresh},
		{"a clean PC without an enrolment", clean(), Settings{Station: "tram-a"}, Fresh, strings.Replace(fresh, "place-enrol ", "", 1)},
		{"an enrolment whose code nobody typed", clean(), Settings{Station: "tram-a", Enrol: &kit.Enrol{Centre: "https://c", Root: testRoot}}, Fresh, strings.Replace(fresh, "place-enrol ", "", 1)},
		{"windows 10", onWindows(clean(), 10), named, Fresh, strings.Replace(fresh, "make-account ", "", 1)},
		{"an image", with(clean(), func(f *Found) { f.Image = true }), named, Fresh, strings.Replace(fresh, " start-service wait-healthy", "", 1)},
		{"already installed", set(), named, Nothing, ""},
		{"already installed, other enrolment of the same station", set(), Settings{Enrol: enrolment("tram-a")}, Nothing, ""},
		{"installed and stopped", with(set(), func(f *Found) { f.Agent.State, f.Agent.Answers, f.Port = Stopped, false, Port{Listen: DefaultListen} }), named, Complete, "start-service wait-healthy"},
		{"installed and hung", with(set(), func(f *Found) {
			f.Agent.Answers, f.Port.Ours, f.Port.Program = false, false, f.Layout.Program
		}), named, Complete, "stop-service make-data start-service wait-healthy"},
		{"installed and not enrolled", with(set(), func(f *Found) { f.Records.Enrolled = false }), named, Complete, "stop-service make-data place-enrol start-service wait-healthy"},
		{"the unit was changed", with(set(), func(f *Found) { f.Agent.Unit += "#" }), named, Complete, "stop-service make-data register start-service wait-healthy"},
		{"the unit does not start with the PC", with(set(), func(f *Found) { f.Agent.Disabled = true }), named, Complete, "stop-service make-data register start-service wait-healthy"},
		{"an older agent", older(set()), named, Upgrade, "stop-service keep-previous copy-program make-data write-note start-service wait-healthy"},
		{"an agent of unknown age", with(set(), func(f *Found) { f.Agent.Program, f.Agent.Version = "other", "66a9414" }), named, Upgrade, "stop-service keep-previous copy-program make-data start-service wait-healthy"},
		{"records from before", with(clean(), func(f *Found) { f.Records.There, f.Records.Database, f.Records.Enrolled = true, true, true }), named, Complete, strings.Replace(fresh, "place-enrol ", "", 1)},
		{"records and settings from before", with(clean(), func(f *Found) {
			f.Settings = SettingsFound{There: true, Station: "tram-a"}
			f.Records.There, f.Records.Enrolled = true, true
		}), Settings{}, Complete, "copy-program copy-setup make-account make-data write-note register start-service wait-healthy"},
	} {
		plan, refusals := PlanInstall(c.found, c.want)
		if len(refusals) > 0 || plan.Kind != c.kind || did(plan) != c.steps {
			t.Errorf("%s: %s plan %q, refusals %v;\nwant %s plan %q", c.name, plan.Kind, did(plan), refusals, c.kind, c.steps)
		}
	}
}

func TestRefusals(t *testing.T) {
	named := Settings{Station: "tram-a"}
	fault := &config.Error{Code: config.Syntax, Line: 3}
	for _, c := range []struct {
		name  string
		found Found
		want  Settings
		codes string
	}{
		{"windows 7", onWindows(clean(), 6), named, "windows-old"},
		{"windows 7 with everything else wrong too", onWindows(with(clean(), func(f *Found) { f.PC.Rights, f.PC.FreeData = false, 0 }), 6), named, "windows-old"},
		{"another system", with(clean(), func(f *Found) { f.PC.OS = "plan9" }), named, "os-unknown"},
		{"no rights", with(clean(), func(f *Found) { f.PC.Rights = false }), named, "no-rights.linux"},
		{"no rights on windows", onWindows(with(clean(), func(f *Found) { f.PC.Rights = false }), 10), named, "no-rights.windows"},
		{"no service manager", with(clean(), func(f *Found) { f.PC.Services = "" }), named, "no-services"},
		{"port taken", with(clean(), func(f *Found) { f.Port.Taken, f.Port.Owner = true, "nginx (77)" }), named, "port-taken"},
		{"an agent by hand", with(clean(), func(f *Found) { f.Port.Taken, f.Port.Ours = true, true }), named, "agent-by-hand"},
		{"disk too small for records", with(clean(), func(f *Found) { f.PC.FreeData = 100 << 20 }), named, "disk-data"},
		{"disk too small for programs", with(clean(), func(f *Found) { f.PC.FreeProgram = 50 << 20 }), named, "disk-program"},
		{"kit without manifest", with(clean(), func(f *Found) { f.Kit = kit.Kit{Faults: []kit.Fault{{Path: "kit.json", Code: "missing"}}} }), named, "kit-missing"},
		{"kit damaged twice", with(clean(), func(f *Found) {
			f.Kit.Faults = []kit.Fault{{Path: "linux-amd64/tram", Code: "altered"}, {Path: "tram.toml", Code: "missing"}}
		}), named, "kit-altered kit-missing"},
		{"kit for other PCs", with(clean(), func(f *Found) { f.Kit.Program = nil }), named, "kit-no-program"},
		{"kit with bad settings", with(clean(), func(f *Found) { f.Settings.Fault = fault }), named, "kit-settings"},
		{"bad enrolment", with(clean(), func(f *Found) { f.EnrolBad = true }), named, "enrol-bad"},
		{"bad settings on the PC", with(set(), func(f *Found) { f.Settings.Fault = fault }), named, "settings-unreadable"},
		{"newer agent", with(set(), func(f *Found) { f.Agent.Program, f.Agent.Version = "new", "v1.10.0" }), named, "newer-agent"},
		{"newer agent, stopped", with(set(), func(f *Found) {
			f.Agent = Agent{Program: "new", Noted: Note{"v2.0.0", "new"}, State: Stopped}
			f.Port = Port{Listen: DefaultListen}
		}), named, "newer-agent"},
		{"a release after its candidate", with(set(), func(f *Found) { f.Agent.Program, f.Kit.Version = "new", "v1.2.0-rc1" }), named, "newer-agent"},
		{"no name", clean(), Settings{}, "station-unnamed"},
		{"no name that can be one", clean(), Settings{Station: "Trạm A"}, "station-name"},
		{"a stick for another station", set(), Settings{Enrol: enrolment("tram-b")}, "other-station"},
		{"records at the top of the disk", with(clean(), func(f *Found) { f.Records.Folder = "/" }), named, "folder-unsafe"},
		{"records in a folder of the system", with(clean(), func(f *Found) { f.Records.Folder = "/usr/share" }), named, "folder-unsafe"},
		{"a drop folder that would write into the unit", with(clean(), func(f *Found) { f.Settings.Drop = "/srv/x\"\nUser=root" }), named, "folder-unsafe"},
		{"several at once", with(clean(), func(f *Found) { f.PC.Rights, f.PC.FreeData = false, 0 }), named, "no-rights.linux disk-data"},
	} {
		plan, refusals := PlanInstall(c.found, c.want)
		var codes []string
		for _, r := range refusals {
			codes = append(codes, strings.TrimPrefix(r.Code, "refuse."))
		}
		if got := strings.Join(codes, " "); got != c.codes || len(plan.Steps) > 0 {
			t.Errorf("%s: refusals %q, plan %q; want %q", c.name, got, did(plan), c.codes)
		}
		for _, lang := range []string{"vi", "en"} {
			book, err := words.Open(lang)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range refusals {
				if said := book.Say(r.Word); said == r.Code || strings.ContainsAny(said, "{}") {
					t.Errorf("%s: in %s it is said as %q", c.name, lang, said)
				}
			}
		}
	}
}

func TestPlanRemove(t *testing.T) {
	const program = "stop-service unregister remove-file remove-file remove-file"
	for _, c := range []struct {
		name  string
		found Found
		want  Taking
		steps string
		code  string
	}{
		{"keeps records", set(), Taking{}, program + " remove-file", ""},
		{"told once", set(), Taking{Records: true}, "", "refuse.records-once"},
		{"confirmed without being asked", set(), Taking{Really: true}, program + " remove-file", ""},
		{"told twice", set(), Taking{Records: true, Really: true}, program + " delete-records remove-file remove-file", ""},
		{"nothing there", clean(), Taking{}, "", ""},
		{"half installed", with(clean(), func(f *Found) { f.Agent.Program = "x" }), Taking{}, "remove-file", ""},
		{"no rights", with(set(), func(f *Found) { f.PC.Rights = false }), Taking{}, "", "refuse.no-rights.linux"},
	} {
		plan, refusals := PlanRemove(c.found, c.want)
		code := ""
		if len(refusals) > 0 {
			code = refusals[0].Code
		}
		if did(plan) != c.steps || code != c.code {
			t.Errorf("%s: plan %q, refusal %q; want %q, %q", c.name, did(plan), code, c.steps, c.code)
		}
	}
}

// kept is every path that holds records on a PC.
func kept(f Found) []string {
	var out []string
	for _, name := range recordNames() {
		out = append(out, joinLike(f.Records.Folder, name))
	}
	if f.Records.Journal != "" && f.Records.Journal != "/" {
		out = append(out, f.Records.Journal)
	}
	return out
}

// Over many made-up PCs: only a removal that was told twice deletes records,
// and no other step's target is a path that holds some, but for the one-time
// enrolment.
func FuzzPlansLeaveRecordsAlone(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, seed%3 == 0, seed%5 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, records, really bool) {
		found, want := randomFound(rand.New(rand.NewPCG(seed, 1)))
		install, _ := PlanInstall(found, want)
		remove, _ := PlanRemove(found, Taking{Records: records, Really: really})
		for _, s := range slices.Concat(install.Steps, remove.Steps) {
			touches := s.Do == DeleteRecords
			for _, kept := range kept(found) {
				touches = touches || s.To != "" && inside(slashes(kept), slashes(s.To))
			}
			allowed := s.Do == PlaceEnrol && s.To == joinLike(found.Records.Folder, "enrol.json") ||
				s.Do == DeleteRecords && records && really
			if touches && !allowed {
				t.Errorf("seed %d, records %v, really %v: step %s touches %s", seed, records, really, s.Do, s.To)
			}
		}
		if slices.ContainsFunc(install.Steps, func(s Step) bool { return s.Do == DeleteRecords }) {
			t.Errorf("seed %d: an install deletes records", seed)
		}
		if again, _ := PlanInstall(found, want); fmt.Sprint(again) != fmt.Sprint(install) {
			t.Errorf("seed %d: the same PC gets two plans", seed)
		}
	})
}

func randomFound(r *rand.Rand) (Found, Settings) {
	coin := func() bool { return r.IntN(4) > 0 }
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	f := clean()
	if coin() {
		f = set()
	}
	if r.IntN(4) == 0 {
		f = onWindows(f, pick2(r, 6, 10))
	}
	f.PC.Rights, f.Records.There, f.Records.Enrolled = coin(), coin(), coin()
	f.Settings.There, f.Image = coin(), r.IntN(6) == 0
	f.Records.Folder = pick(f.Records.Folder, "/var/lib/tram", "/srv/tram", "/usr/local/bin", "/etc", "/", "/etc/tram", "/opt/x")
	f.Records.Journal = pick("", "", "/srv/journal", "/")
	f.Settings.Station = pick("", "tram-a", "tram-b")
	f.Agent.Program = pick("", "kit-agent", "old-agent")
	f.Agent.Version = pick("", "v1.0.0", "v1.2.0", "v9.0.0", "unknown")
	f.Agent.State = State(pick("", "stopped", "running"))
	f.Port.Taken, f.Port.Ours = coin(), coin()
	want := Settings{Station: pick("", "tram-a")}
	if coin() {
		want.Enrol = enrolment(pick("", "tram-a", "tram-c"))
	}
	return f, want
}

func pick2(r *rand.Rand, of ...int) int { return of[r.IntN(len(of))] }

func did(p Plan) string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, string(s.Do))
	}
	return strings.Join(out, " ")
}

// What a person or a program may print of a plan never shows the code.
func TestPlanHidesTheCode(t *testing.T) {
	plan, _ := PlanInstall(clean(), Settings{Enrol: enrolment("tram-a")})
	shown := fmt.Sprintf("%v %+v %#v", plan, plan, plan.Steps)
	asJSON, err := json.Marshal(plan)
	if err == nil {
		t.Errorf("a plan with a code can be written as JSON: %s", asJSON)
	}
	book, err := words.Open("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Steps {
		shown += book.Say(s.Word()) + fmt.Sprintf("%v %+v %#v", s.Enrol, s.Enrol, s.Enrol)
	}
	if !strings.Contains(shown, "https://centre.example") || strings.Contains(shown, "4567") {
		t.Errorf("a plan is shown as %s", shown)
	}
}

func TestEveryStepHasWordsInBothLanguages(t *testing.T) {
	for _, lang := range []string{"vi", "en"} {
		book, err := words.Open(lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, do := range []Do{StopService, KeepPrevious, CopyProgram, CopySetup, MakeAccount, WriteSettings, MakeData,
			PlaceEnrol, WriteNote, Register, StartService, WaitHealthy, Unregister, RemoveFile, DeleteRecords} {
			if said := book.Say(Step{Do: do}.Word()); strings.HasPrefix(said, "step.") || strings.Contains(said, "{") {
				t.Errorf("%s in %s is said as %q", do, lang, said)
			}
		}
	}
}

func TestUnitOpensTheFoldersOfTheSettings(t *testing.T) {
	f := clean()
	if got := UnitText(f); strings.Contains(got, "ReadWritePaths") || strings.Contains(got, "@P") || !strings.Contains(got, "ProtectHome=yes") {
		t.Errorf("unit of a usual PC:\n%s", got)
	}
	f.Records.Journal, f.Settings.Drop = "/mnt/second/journal", "/home/station/in"
	got := UnitText(f)
	for _, want := range []string{`ReadWritePaths="-/mnt/second/journal"`, `ReadWritePaths="-/home/station/in"`, "ProtectHome=read-only",
		"ExecStart=/usr/local/bin/tram run --config /etc/tram/tram.toml\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("unit lacks %q:\n%s", want, got)
		}
	}
}

func slashes(name string) string { return strings.ReplaceAll(name, `\`, "/") }
