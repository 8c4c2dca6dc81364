package agent

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"tram/agent/config"
	"tram/agent/intake"
	"tram/agent/service"
	"tram/store"
	"tram/store/account"
	"tram/store/space"
	"tram/sync/status"
)

// Exit codes of the command line.
const (
	ExitFine    = 0
	ExitTrouble = 1
	ExitUsage   = 2
)

// cli is the command line.
type cli struct {
	Config   string `help:"Settings file." type:"path" placeholder:"FILE"`
	Data     string `help:"Data folder; goes before that of the settings." type:"path" placeholder:"DIR"`
	Language string `help:"vi or en; else that of the settings, or of the running station." enum:",vi,en" default:""`

	Run       runCmd       `cmd:"" help:"Run the station until it is stopped."`
	Status    statusCmd    `cmd:"" help:"Say how the running station is."`
	Sync      syncCmd      `cmd:"" help:"Speak with the centre."`
	Stick     stickCmd     `cmd:"" help:"Exchange with the centre by USB stick."`
	Point     pointCmd     `cmd:"" help:"Points that have this station as their centre, on its own network."`
	Import    importCmd    `cmd:"" help:"Take files into the running station, as the drop folder does."`
	Drop      dropCmd      `cmd:"" help:"Say what came in on a day as files and messages, and what waits."`
	Conflicts conflictsCmd `cmd:"" help:"List the records about which a person must decide."`
	Proof     proofCmd     `cmd:"" help:"Print the certificate of a day: what was entered, what the centre signed for, what waits and why."`
	Merge     mergeCmd     `cmd:"" help:"Look at what was merged."`
	Check     checkCmd     `cmd:"" help:"Hold every invariant of the records against them."`
	Repair    repairCmd    `cmd:"" help:"Make the database anew from what is good of it and the journal. While the station is stopped."`
	Compact   compactCmd   `cmd:"" help:"Make the database as small as what it holds."`
	Backup    backupCmd    `cmd:"" help:"Write all records into one sealed file."`
	Restore   restoreCmd   `cmd:"" help:"Put a backup into an empty data folder."`
	Keys      keysCmd      `cmd:"" help:"Ways to open the records: list, add, remove, recover. While the station is stopped."`
	Staff     staffCmd     `cmd:"" help:"Accounts, for who administers this PC."`
	Practice  practiceCmd  `cmd:"" help:"Fill a data folder with made-up people, to train with."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// tool is what the commands work with.
type tool struct {
	out, err io.Writer
	language string // that was asked for; "" for none
	file     string
	conf     config.Config
}

// Main is the command line; it returns the exit code.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("tram"), kong.Description("The service on a health station's PC."), kong.Writers(out, errOut),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Exit(func(code int) { panic(exit(code)) }))
	if err != nil {
		fmt.Fprintln(errOut, err)
		return ExitUsage
	}
	return run(func() int {
		k, err := parser.Parse(args)
		if err != nil {
			fmt.Fprintln(errOut, "tram:", err)
			return ExitUsage
		}
		t := &tool{out: out, err: errOut, language: c.Language}
		if t.conf, err = t.settings(c.Config, c.Data); err == nil {
			err = k.Run(t)
		}
		if err != nil {
			fmt.Fprintln(errOut, "tram:", t.explain(err))
			return ExitTrouble
		}
		return ExitFine
	})
}

// exit carries kong's wish to end, after help was printed, up to Main.
type exit int

func run(f func() int) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	return f()
}

// settings reads the settings file: the one named; else tram.toml in the data
// folder named, or where this system keeps it; else the defaults.
func (t *tool) settings(file, data string) (config.Config, error) {
	if file == "" {
		file = config.DefaultFile()
		if data != "" {
			file = filepath.Join(data, "tram.toml")
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return config.Default(data), nil
		}
	}
	t.file = file
	c, err := config.Load(file)
	var bad *config.Error
	if errors.As(err, &bad) && bad.Code == config.PlainOutside { // the pages stand on this PC alone, and the station works
		fmt.Fprintln(t.err, t.explain(err))
		err = nil
	}
	if err == nil && data != "" {
		c.Data.Folder = data
	}
	return c, err
}

// lang is the language of all that a command says: the one asked for; that of the
// settings; where none are found, that of the station that runs.
func (t *tool) lang() string {
	if t.language != "" {
		return t.language
	}
	if h, err := ReadHere(t.conf.Data.Folder); err == nil && h.Language != "" && t.file == "" {
		return h.Language
	}
	return cmp.Or(t.conf.Station.Language, "vi")
}

// explain says an error in one sentence that says what to do.
func (t *tool) explain(err error) string {
	var bad *config.Error
	var path *fs.PathError
	for _, known := range []struct {
		err  error
		code status.Code
	}{
		{store.ErrLocked, status.DatabaseHeld}, {store.ErrStopped, status.StoreStopped},
	} {
		if errors.Is(err, known.err) {
			title, todo := status.Words(t.lang(), string(known.code))
			return title + ". " + todo
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, windowsInUse):
		title, todo := status.Words(t.lang(), string(status.PortInUse))
		return fmt.Sprintf("%s (%s). %s", title, t.conf.Page.Listen, todo)
	case errors.Is(err, account.ErrNotFirst):
		return words(t.lang(), "practice-again")
	case errors.As(err, &bad):
		return bad.Text(t.lang())
	case storeTrouble(err) != "":
		return words(t.lang(), storeTrouble(err))
	case keyTrouble(err) != "":
		return t.explainKey(err)
	case errors.Is(err, errNotRunning):
		return fmt.Sprintf(words(t.lang(), "not-running"), t.conf.Data.Folder)
	case errors.As(err, &path) && errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf(words(t.lang(), "no-file"), path.Path)
	case errors.As(err, &path) && errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf(words(t.lang(), "no-rights"), path.Path)
	}
	return err.Error()
}

// windowsInUse is what Windows says of a port that is taken: WSAEADDRINUSE.
const windowsInUse = syscall.Errno(10048)

type runCmd struct{}

// Run runs the station under whatever started it.
func (runCmd) Run(ctx context.Context, t *tool) error {
	level := &slog.LevelVar{}
	level.Set(Level(t.conf.Log.Level))
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level}))
	space.Memory(ctx, space.StationMemory)
	return service.Run(ctx, func(ctx context.Context, ready func()) error {
		a, err := New(Options{Config: t.conf, File: t.file, Log: log, Level: level, Practice: IsPractice(t.conf.Data.Folder), Progress: t.progress(time.Now),
			Ready: func(h Here) {
				t.greet(h)
				ready()
			}})
		if err != nil {
			return err
		}
		return errors.Join(a.Run(ctx), a.Close())
	})
}

type statusCmd struct {
	JSON bool `help:"Print it for programs."`
}

func (c statusCmd) Run(t *tool) error {
	var s State
	if err := t.call("GET", "/local/status", "", nil, &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, s)
	}
	r := s.Report
	t.saySetup(s.Setup)
	fmt.Fprintf(t.out, words(t.lang(), "counts")+"\n", cmp.Or(r.Station, words(t.lang(), "no-name")), r.Records, r.People, r.Waiting, r.Parked, r.Conflicts)
	if r.Synced > 0 {
		fmt.Fprintf(t.out, words(t.lang(), "synced")+"\n", time.UnixMilli(r.Synced).Local().Format("02/01/2006 15:04:05"))
	}
	for _, h := range s.Health {
		badge, _ := status.SeverityWords(t.lang(), h.Severity)
		fmt.Fprintf(t.out, "%s: %s. %s\n", badge, h.Title, h.Todo)
	}
	return nil
}

type syncCmd struct {
	Now syncNowCmd `cmd:"" help:"Ask for an exchange now."`
}

type syncNowCmd struct{}

func (syncNowCmd) Run(t *tool) error {
	var none struct{}
	if err := t.call("POST", "/local/sync", "", nil, &none); err != nil {
		return err
	}
	fmt.Fprintln(t.out, words(t.lang(), "asked"))
	return nil
}

type importCmd struct {
	Files []string `arg:"" help:"FHIR JSON, Bundle or NDJSON files, or HL7 messages." type:"path"`
	Map   bool     `help:"Print the ids that were given, a line each: file, place, id."`
}

func (c importCmd) Run(t *tool) error {
	refused := 0
	for _, file := range c.Files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var res struct {
			Refusal  string            `json:"refusal"`
			Taken    intake.Taken      `json:"taken"`
			Waits    int               `json:"waits"`
			Assigned []intake.Assigned `json:"assigned"`
		}
		if err := t.call("POST", "/local/import", importName(file), bytes.NewReader(b), &res); err != nil {
			return err
		}
		if res.Refusal != "" {
			refused++
			fmt.Fprintf(t.err, "%s: %s\n", filepath.Base(file), res.Refusal)
			continue
		}
		if res.Waits > 0 {
			fmt.Fprintf(t.out, words(t.lang(), "drop-waits")+"\n", filepath.Base(file), res.Waits)
		}
		if res.Taken == (intake.Taken{}) && res.Waits > 0 {
			continue
		}
		if res.Taken == (intake.Taken{}) { // known by its bytes, and not read again
			fmt.Fprintf(t.out, words(t.lang(), "taken-before")+"\n", filepath.Base(file))
			continue
		}
		fmt.Fprintf(t.out, words(t.lang(), "taken")+"\n", filepath.Base(file), res.Taken.New, res.Taken.Changed, res.Taken.Same)
		if c.Map {
			for _, a := range res.Assigned {
				fmt.Fprintf(t.out, "%s %d %s\n", filepath.Base(file), max(a.Entry, a.Line), a.Key)
			}
		}
	}
	if refused > 0 {
		return fmt.Errorf(words(t.lang(), "refused"), refused, len(c.Files))
	}
	return nil
}

// importName tells JSON from NDJSON and nothing else.
func importName(file string) string { return "import" + strings.ToLower(filepath.Ext(file)) }

type dropCmd struct {
	Day  string `help:"The day, as 2026-11-27; today where it is not said." placeholder:"DATE"`
	JSON bool   `help:"Print it for programs."`
}

// Run prints a day's report and the waiting list.
func (c dropCmd) Run(t *tool) error {
	var s dropState
	if err := t.call("GET", "/local/drop?day="+c.Day, "", nil, &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, s)
	}
	fmt.Fprintf(t.out, words(t.lang(), "drop-day")+"\n", s.Day.Date)
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.ReplaceAll(words(t.lang(), "drop-head"), "|", "\t"))
	for _, r := range s.Day.Rows {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Source, r.Kind, r.Taken, r.Again, r.Waiting, r.Aside, r.New, r.Changed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(t.out, words(t.lang(), "drop-waiting")+"\n", len(s.Waiting))
	for _, one := range s.Waiting {
		fmt.Fprintf(t.out, "%s  %s  %s: %s\n", one.ID, time.UnixMilli(one.At).Local().Format("02/01/2006 15:04"), one.Kind, one.Why.Text(t.lang()))
	}
	return nil
}

type conflictsCmd struct{}

func (conflictsCmd) Run(t *tool) error {
	var list []Conflict
	if err := t.call("GET", "/local/conflicts", "", nil, &list); err != nil {
		return err
	}
	for _, c := range list {
		fmt.Fprintf(t.out, "%s: %s\n", c.Key, strings.Join(c.Paths, ", "))
	}
	fmt.Fprintf(t.out, words(t.lang(), "conflicts")+"\n", len(list))
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(t *tool) error {
	_, err := fmt.Fprintln(t.out, Version)
	return err
}

//go:embed words.toml
var wordsTable []byte

// words finds a sentence of the command line in a language; English where there
// is none, the key where there is no such sentence.
func words(lang, key string) string {
	var table map[string]map[string]string
	if err := toml.Unmarshal(wordsTable, &table); err != nil {
		return key
	}
	for _, l := range []string{lang, "en"} {
		if s := table[l][key]; s != "" {
			return s
		}
	}
	return key
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
