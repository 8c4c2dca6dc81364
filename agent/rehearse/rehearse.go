// Package rehearse plays the main job with the real programs: a centre and
// stations as processes of their own, on real files, that work apart, break, and
// meet again.
//
// It owns the programs it starts, the folder they work in, the link between
// them, and the judgement. It promises that everything it started has ended when
// it returns, that it touches no folder it did not make, and that it judges by
// comparing records alone: what the replicas show, and what their files hold.
// Everybody in it is made up. No program of a station or a centre imports it.
package rehearse

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"tram/agent/rehearse/bench"
	"tram/agent/rehearse/bench/api"
	"tram/agent/rehearse/bench/prior"
	"tram/agent/rehearse/bench/storage"
	"tram/agent/rehearse/bench/thin"
	"tram/agent/rehearse/interop"
	"tram/agent/rehearse/interop/clients"
	"tram/agent/rehearse/interop/values"
	"tram/agent/rehearse/ips"
)

// Exit codes of the command line.
const (
	exitFine    = 0
	exitTrouble = 1
	exitUsage   = 2
)

// cli is the command line.
type cli struct {
	Bin      string `help:"Folder of the programs tram and tram-central." default:".build" placeholder:"DIR"`
	Language string `help:"Language of what is judged: vi or en." enum:"vi,en" default:"en"`

	Run  runCmd  `cmd:"" help:"Run a centre and a station with practice people on this PC."`
	Demo demoCmd `cmd:"" help:"Let two stations work apart, break and meet again, and judge what came of it."`
	Scan scanCmd `cmd:"" help:"Play the demo and search every file of the stations for what names a person."`

	Bench      bench.Command     `cmd:"" help:"Measure writes and syncs of the real programs."`
	BenchStore storage.Command   `cmd:"" help:"Measure a large store, beside other ways to keep records."`
	Known      prior.Command     `cmd:"" help:"Make what both sides of a packed stream know before it, from made-up stations."`
	BenchWire  thin.Command      `cmd:"" help:"Measure exchanges over an emulated thin link, beside other ways to sync."`
	BenchAPI   api.Command       `cmd:"" name:"bench-api" help:"Measure the FHIR face of a large station, beside Medplum's router."`
	Heal       bench.HealCommand `cmd:"" help:"Measure how the records in which a station and its centre differ are found and healed."`
	Interop    interop.Command   `cmd:"" help:"Take HL7's examples in, and judge what comes out here and at a second station."`
	IPS        ips.Command       `cmd:"" name:"ips" help:"Take the examples of the International Patient Summary in and out, and make summaries of practice people."`
	Clients    clients.Command   `cmd:"" help:"Let FHIR clients ask a station and a centre what they rely on."`
	Values     values.Command    `cmd:"" help:"Tell by which search values resources are found, a line of JSON each."`
}

// theatre is what the commands work with.
type theatre struct {
	out  io.Writer
	bin  string
	lang string
}

// Main is the command line; it returns the exit code.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("tram-rehearse"), kong.Description("Plays a station's work with the real programs."), kong.Writers(out, errOut),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(out, (*io.Writer)(nil)))
	if err != nil {
		fmt.Fprintln(errOut, "tram-rehearse:", err)
		return exitUsage
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, "tram-rehearse:", err)
		return exitUsage
	}
	if err := k.Run(&theatre{out, c.Bin, c.Language}); err != nil {
		if ctx.Err() != nil { // what was cut short says nothing about the programs
			err = context.Cause(ctx)
		}
		fmt.Fprintln(errOut, "tram-rehearse:", err)
		return exitTrouble
	}
	return exitFine
}

type runCmd struct {
	Work  string `help:"Folder that is kept between runs." default:".build/run" placeholder:"DIR"`
	Fresh bool   `help:"Start anew: forget the folder."`
}

func (r runCmd) Run(ctx context.Context, t *theatre) error {
	// A folder that an interrupted run left half made is made again.
	_, err := os.Stat(filepath.Join(r.Work, stageFile))
	c, err := NewCast(r.Work, t.bin, r.Fresh || err != nil)
	if err != nil {
		return err
	}
	return Run(ctx, c, t.out)
}

type demoCmd struct {
	Work string `help:"Folder that is made anew." default:".build/demo" placeholder:"DIR"`
	Data string `help:"Folder of FHIR bundles to play with, instead of practice people." placeholder:"DIR"`
}

func (d demoCmd) Run(ctx context.Context, t *theatre) error {
	_, err := t.play(ctx, d.Work, d.Data)
	return err
}

// play plays the demo and prints its judgement; anything amiss is an error.
func (t *theatre) play(ctx context.Context, work, data string) (*Demo, error) {
	c, err := NewCast(work, t.bin, true)
	if err != nil {
		return nil, err
	}
	d := &Demo{Cast: c, Bundle: data, Out: t.out, Words: NewWords(t.lang)}
	err = d.Run(ctx)
	wrong := 0
	for _, l := range d.Lines {
		verdict := "ok"
		if !l.OK() {
			verdict = "WRONG"
			wrong++
		}
		say(t.out, "%-6s %5d / %-5d %s", verdict, l.Found, l.Want, d.Words.Get(l.Key))
	}
	if err == nil && wrong > 0 {
		err = fmt.Errorf(d.Words.Get("wrong"), wrong, len(d.Lines), c.Work)
	}
	if err == nil {
		d.tell("right", len(d.Lines))
	}
	return d, err
}

//go:embed words.toml
var wordsTable []byte

// Words finds sentences in one language.
type Words map[string]string

// NewWords reads the words of a language.
func NewWords(lang string) Words {
	var table map[string]Words
	if err := toml.Unmarshal(wordsTable, &table); err != nil {
		return nil
	}
	return table[lang]
}

// Get finds a sentence; its key where there is none.
func (w Words) Get(key string) string {
	if s := w[key]; s != "" {
		return s
	}
	return key
}
