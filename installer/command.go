package installer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"tram/agent/config"
	"tram/installer/kit"
	"tram/installer/words"
	"tram/sync/trust"
)

// Exit codes of the program.
const (
	exitFine    = 0
	exitTrouble = 1
	exitUsage   = 2
)

// grammar is the command line. An enrolment's code has no place on it: a
// command line is visible to everyone on the PC.
type grammar struct {
	Help     helpFlag `short:"h" help:"${help_help}"`
	Language string   `enum:"vi,en" default:"vi" help:"${help_language}"`

	// Every command shows what it found and what it plans before it does it.
	Install struct {
		Kit      string `type:"path" help:"${help_dir}"`
		Root     string `type:"path" help:"${help_root}"`
		Station  string `help:"${help_station}"`
		Yes      bool   `help:"${help_yes}"`
		PlanOnly bool   `help:"${help_plan}"`
	} `cmd:"" help:"${help_install}"`
	// Status ends with 0 only where the service runs and its page answers, so
	// that a script can ask.
	Status struct {
		Root string `type:"path" help:"${help_root}"`
	} `cmd:"" help:"${help_status}"`
	// Remove keeps the records unless both of its flags, or the first and the
	// typed name of the station, say otherwise.
	Remove struct {
		Root     string `type:"path" help:"${help_root}"`
		Records  bool   `help:"${help_records}"`
		Really   bool   `help:"${help_really}"`
		Yes      bool   `help:"${help_yes}"`
		PlanOnly bool   `help:"${help_plan}"`
	} `cmd:"" help:"${help_remove}"`
	// Kit is for who makes the stick, not for who carries it.
	Kit struct {
		Out     string `required:"" type:"path" help:"${help_out}"`
		Version string `required:"" help:"${help_version}"`
	} `cmd:"" help:"${help_kit}"`
}

type helpFlag bool

// BeforeReset shows the help in place of anything else.
func (helpFlag) BeforeReset(app *kong.Kong, ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	app.Exit(exitFine)
	return nil
}

// session is one run of the program, with the person before it.
type session struct {
	book words.Book
	in   *bufio.Reader
	out  io.Writer
	errs io.Writer
}

// Command runs the program tram-setup with its arguments (without its name) and
// returns its exit code: 0 fine, 1 trouble that was said on errs, 2 wrong usage.
func Command(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	book, err := words.Open(languageOf(args))
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitTrouble
	}
	s := session{book, bufio.NewReader(io.LimitReader(in, 1<<16)), out, errs}
	var g grammar
	left := -1
	// The help lies in the catalogue like all other texts; the tags of the grammar
	// name its entries.
	texts := kong.Vars{}
	for code, text := range book.Texts() {
		if name, ok := strings.CutPrefix(code, "help."); ok {
			texts["help_"+name] = text
		}
	}
	parser, err := kong.New(&g, kong.Name("tram-setup"), kong.Description(texts["help_program"]), texts,
		kong.NoDefaultHelp(), kong.Writers(out, errs), kong.Exit(func(code int) { left = code }))
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitTrouble
	}
	got, err := parser.Parse(args)
	// Help leaves through here: kong's own way out would end the process.
	if left >= 0 {
		return left
	}
	if err != nil {
		s.complain("fail.usage", "why", err.Error())
		return exitUsage
	}
	switch got.Command() {
	case "install":
		return s.install(ctx, g)
	case "remove":
		return s.remove(ctx, g)
	case "kit":
		return s.kit(g)
	}
	return s.status(ctx, g)
}

// languageOf finds the language before the command line is read, since its
// help and its errors are in that language too.
func languageOf(args []string) string {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--language="); ok {
			return v
		}
		if a == "--language" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// target is the running PC, or the image whose folder was named.
func target(root string) Target {
	if root != "" {
		return Target{Root: root, Services: ImageServices(root)}
	}
	return Target{Services: SystemServices()}
}

// install looks, asks for what is missing, shows the plan and carries it out.
func (s session) install(ctx context.Context, g grammar) int {
	o := g.Install
	on := target(o.Root)
	if o.Kit == "" {
		o.Kit = kitHere()
	}
	found := Look(ctx, Where{Target: on, Kit: o.Kit, Station: o.Station})
	s.show(found)
	want := Settings{Station: o.Station, Enrol: found.Enrol}
	if !found.Settings.There {
		// A language that was chosen before is the station's own affair.
		want.Language = g.Language
	}
	if !o.Yes && !o.PlanOnly {
		want = s.complete(found, want)
	}
	plan, refusals := PlanInstall(found, want)
	code, carryOn := s.agree(plan, refusals, o.Yes, o.PlanOnly)
	if !carryOn {
		return code
	}
	if code := s.carryOut(ctx, plan, on, found); code != exitFine {
		return code
	}
	if found.Image {
		s.say("done.image")
		return exitFine
	}
	s.say("done.install", "listen", found.Port.Listen)
	s.sayFirst(ctx, found)
	return exitFine
}

// sayFirst tells what the first account takes, while there is none.
func (s session) sayFirst(ctx context.Context, found Found) {
	if found.Image {
		return
	}
	if code := firstCode(ctx, found.Records.Folder); code != "" {
		s.say("done.first", "code", code)
	}
}

// complete asks for what neither the kit nor the PC says.
func (s session) complete(found Found, want Settings) Settings {
	if name, _ := stationName(found, want); name == "" && !found.Settings.There {
		want.Station = s.ask("ask.station")
	}
	if want.Enrol == nil || want.Enrol.Code != "" || found.Records.Enrolled {
		return want
	}
	e := *want.Enrol
	for {
		typed := s.ask("ask.code")
		if typed == "" {
			return want
		}
		if code, err := trust.ParseCode(typed); err == nil {
			e.Code = code.String()
			want.Enrol = &e
			return want
		}
		s.say("ask.code-again")
	}
}

// remove takes the agent off. The station's name, typed, is the second word that
// a deletion of records needs.
func (s session) remove(ctx context.Context, g grammar) int {
	o := g.Remove
	on := target(o.Root)
	found := Look(ctx, Where{Target: on})
	s.show(found)
	want := Taking{Records: o.Records, Really: o.Really}
	if want.Records && !want.Really && !o.Yes && !o.PlanOnly {
		// An agent without a name is confirmed by the program's.
		name := found.Settings.Station
		if name == "" {
			name = ServiceName
		}
		want.Really = s.ask("ask.records", "station", name) == name
	}
	plan, refusals := PlanRemove(found, want)
	code, carryOn := s.agree(plan, refusals, o.Yes, o.PlanOnly)
	if !carryOn {
		return code
	}
	if code := s.carryOut(ctx, plan, on, found); code != exitFine {
		return code
	}
	s.say("done.remove")
	if found.Records.There && !want.Records {
		s.say("plan.records-stay", "folder", found.Records.Folder)
	}
	return exitFine
}

// agree shows the plan, or the refusals, and asks whether to carry on.
func (s session) agree(plan Plan, refusals []Refusal, yes, only bool) (code int, carryOn bool) {
	for _, r := range refusals {
		fmt.Fprintln(s.errs, s.book.Say(r.Word))
	}
	if len(refusals) > 0 {
		return exitTrouble, false
	}
	s.say("plan." + plan.Kind)
	for i, step := range plan.Steps {
		fmt.Fprintf(s.out, "%3d. %s\n", i+1, s.book.Say(step.Word()))
	}
	if only || plan.Kind == Nothing {
		return exitFine, false
	}
	if !yes {
		switch strings.ToLower(s.ask("ask.go")) {
		// Yes in either language, whichever is shown; anything else is no.
		case "y", "yes", "c", "co", "có":
		default:
			s.say("not-done")
			return exitTrouble, false
		}
	}
	return exitFine, true
}

// carryOut does what was agreed. A failure is said with the step's own words, what
// became of the steps before it, and where to read more.
func (s session) carryOut(ctx context.Context, plan Plan, on Target, found Found) int {
	n := 0
	err := Run(ctx, plan, on, func(step Step) {
		n++
		fmt.Fprintf(s.out, "[%d/%d] %s\n", n, len(plan.Steps), s.book.Say(step.Word()))
	})
	var failed *StepError
	if !errors.As(err, &failed) {
		return exitFine
	}
	s.complain("fail.step", "step", s.book.Say(failed.Step.Word()), "why", failed.Err.Error())
	switch {
	case failed.Undo != nil:
		s.complain("fail.undo", "why", failed.Undo.Error())
	case failed.Undone:
		s.complain("fail.undone")
	default:
		s.complain("fail.again")
	}
	if log := "fail.log." + found.PC.Services; s.book.Has(log) && !found.Image {
		s.complain(log)
	}
	return exitTrouble
}

// status looks and says what it saw, and changes nothing.
func (s session) status(ctx context.Context, g grammar) int {
	found := Look(ctx, Where{Target: target(g.Status.Root)})
	s.show(found)
	s.sayFirst(ctx, found)
	if found.Agent.Answers && found.Agent.State == Running {
		return exitFine
	}
	return exitTrouble
}

// kit completes a folder of built programs.
func (s session) kit(g grammar) int {
	m, err := kit.Build(g.Kit.Out, g.Kit.Version, []byte(config.Sample()))
	if err != nil {
		s.complain("fail.kit", "why", err.Error())
		return exitTrouble
	}
	s.say("done.kit", "version", m.Version, "programs", strconv.Itoa(len(m.Programs)))
	return exitFine
}

// show says what was found, before any plan: who reads it may see at once why the
// plan is what it is.
func (s session) show(f Found) {
	s.say("found.pc", "name", f.PC.Name, "arch", f.PC.Arch, "free", megabytes(f.PC.FreeData))
	if f.PC.Services != "" && !f.Image {
		s.say("found.services", "name", f.PC.Services)
	}
	if f.Kit.Version != "" {
		s.say("found.kit", "version", f.Kit.Version)
	}
	agent := "absent"
	switch {
	case f.Agent.Answers:
		agent = "answers"
	case f.Agent.State == Running:
		agent = "silent"
	case f.Agent.State == Stopped && f.Agent.Program != "":
		agent = "stopped"
	case f.Agent.State == Stopped || f.Agent.Program != "":
		agent = "partial"
	}
	s.say("found.agent-"+agent, "version", f.Agent.version(), "listen", f.Port.Listen)
	for _, v := range f.Agent.Complaints {
		s.say("found.complaint", "title", v.Title, "todo", v.Todo)
	}
	if f.Port.Taken && !f.Port.Ours {
		s.say("found.port", "listen", f.Port.Listen, "owner", f.Port.Owner)
	}
	if f.Settings.Station != "" {
		s.say("found.station", "name", f.Settings.Station)
	}
	records := "found.no-records"
	if f.Records.Database {
		records = "found.records"
	}
	s.say(records, "folder", f.Records.Folder)
	switch {
	case f.Records.Enrolled:
		s.say("found.enrolled")
	case f.Records.Pending != "":
		s.say("found.enrol-waits")
	case f.Records.There:
		s.say("found.not-enrolled")
	}
}

// say tells the person something.
func (s session) say(code string, with ...string) {
	fmt.Fprintln(s.out, s.book.Say(words.New(code, with...)))
}

// complain tells the person of trouble, where scripts look for it.
func (s session) complain(code string, with ...string) {
	fmt.Fprintln(s.errs, s.book.Say(words.New(code, with...)))
}

// ask asks for one line; the end of input is an empty one.
func (s session) ask(code string, with ...string) string {
	fmt.Fprint(s.out, s.book.Say(words.New(code, with...)))
	line, err := s.in.ReadString('\n')
	if err != nil {
		fmt.Fprintln(s.out)
	}
	return strings.TrimSpace(line)
}

// kitHere is the kit that this program was started from: it lies one folder
// above the folder of this PC's kind.
func kitHere() string {
	self, err := os.Executable()
	if err != nil {
		return "."
	}
	dir := filepath.Dir(self)
	if strings.HasPrefix(filepath.Base(dir), runtime.GOOS+"-") {
		dir = filepath.Dir(dir)
	}
	return dir
}
