package central

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/store/seal"
	"tram/store/space"
	"tram/sync/carry/stick"
	"tram/sync/merge/replay"
	"tram/sync/proof"
	"tram/sync/trust"
	"tram/sync/wire"
)

// Version is the centre's version.
const Version = "0.1.0"

// cli is the command line.
type cli struct {
	Language string `help:"vi or en." enum:"vi,en" default:"vi"`

	Run   runCmd   `cmd:"" help:"Run the centre until it is stopped."`
	Enrol enrolCmd `cmd:"" help:"Make a one-time enrolment kit for a station."`
	Grant grantCmd `cmd:"" help:"Let a station hold people."`
	Deny  denyCmd  `cmd:"" help:"End a station's access, or give it back."`
	Link  linkCmd  `cmd:"" help:"Say for what a station may use its link; what is urgent goes in any case."`
	Acts  actsCmd  `cmd:"" help:"List who did and who looked, as far as stations handed it in: a line of JSON each."`
	Staff staffCmd `cmd:"" help:"Make an administrator's account and a program's token."`

	Proof   proofCmd   `cmd:"" help:"Certificates of a day that stations print."`
	Merge   mergeCmd   `cmd:"" help:"Look at what was merged."`
	Check   checkCmd   `cmd:"" help:"Hold every invariant of the records against them."`
	Repair  repairCmd  `cmd:"" help:"Make the database anew from what is good of it and the journal. While the centre is stopped."`
	Backup  backupCmd  `cmd:"" help:"Write all records into one sealed file."`
	Restore restoreCmd `cmd:"" help:"Put a backup into an empty data folder."`

	Stick stickCmd `cmd:"" help:"Exchange with stations by USB stick."`

	Recovery recoveryCmd `cmd:"" help:"The key that opens stations' records when nothing else does."`
}

type tool struct {
	out   io.Writer
	err   io.Writer
	lang  string
	words map[string]string
}

// Main is the command line; it returns the exit code.
func Main(ctx context.Context, args []string, out, errOut io.Writer) (code int) {
	var c cli
	var words map[string]map[string]string
	parser, err := kong.New(&c, kong.Name("tram-central"), kong.Description("What the stations talk to."), kong.Writers(out, errOut),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err == nil {
		var k *kong.Context
		if k, err = parser.Parse(args); err == nil {
			if err = toml.Unmarshal(wordsTable, &words); err == nil {
				err = k.Run(&tool{out, errOut, c.Language, words[c.Language]})
			}
		} else {
			code = 2
		}
	}
	if err != nil {
		fmt.Fprintln(errOut, "tram-central:", explain(words[c.Language], err))
		return max(code, 1)
	}
	return 0
}

// explain says an error in one sentence that says what to do.
func explain(words map[string]string, err error) string {
	var op *net.OpError
	for _, word := range []string{careTrouble(err), recoveryTrouble(err)} {
		if words[word] != "" {
			return words[word]
		}
	}
	for _, known := range []struct {
		err error
		key string
	}{{store.ErrLocked, "held"}, {ErrUnknown, "unknown-station"}, {record.ErrNotFound, "unknown-person"}, {trust.ErrName, "bad-name"}, {ErrOtherStation, "other-station"}, {errStick, "stick-folder"}, {fs.ErrPermission, "no-rights"}, {proof.ErrForm, "proof-form"}, {ErrAllowance, "bad-allowance"}, {ErrManyActs, "many-acts"}} {
		if errors.Is(err, known.err) && words[known.key] != "" {
			return words[known.key]
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) && errors.As(err, &op) && words["port"] != "" {
		return fmt.Sprintf(words["port"], op.Addr)
	}
	return err.Error()
}

type runCmd struct {
	Data   string   `required:"" help:"Data folder." type:"path"`
	Listen string   `help:"Address for stations." default:":8643"`
	Page   string   `help:"Address of the page." default:"127.0.0.1:8644"`
	Host   []string `help:"Names and addresses by which stations reach the centre." default:"localhost,127.0.0.1"`
	Level  string   `help:"Log level." default:"info" enum:"debug,info,warn,error"`
}

func (r runCmd) Run(ctx context.Context, t *tool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	space.Memory(ctx, space.CentreMemory)
	var level slog.Level
	if err := level.UnmarshalText([]byte(r.Level)); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level}))
	c, err := New(Options{Dir: r.Data, Listen: r.Listen, Hosts: r.Host, Page: r.Page, Version: Version, Log: log,
		Ready: func(stations, page net.Addr) {
			fmt.Fprintf(t.out, t.words["running"]+"\n", stations, page)
			if h, err := ReadHere(r.Data); err == nil && h.Setup != "" {
				fmt.Fprintf(t.out, t.words["setup-secret"]+"\n", h.Setup)
			}
		}})
	if err != nil {
		return err
	}
	return errors.Join(c.Run(ctx), c.Close())
}

// asked is what a command asks of the centre, running or not.
type asked struct {
	Do      string   `json:"do"`
	Lang    string   `json:"lang,omitempty"`
	Replica string   `json:"replica,omitempty"`
	Station string   `json:"station,omitempty"`
	Address string   `json:"address,omitempty"`
	From    string   `json:"from,omitempty"`
	People  []string `json:"people,omitempty"`
	Undo    bool     `json:"undo,omitempty"`
	User    string   `json:"user,omitempty"`
	PIN     string   `json:"pin,omitempty"`
	Program string   `json:"program,omitempty"`
	File    string   `json:"file,omitempty"`

	Allowed wire.Allowance  `json:"allowed,omitzero"`
	Proof   json.RawMessage `json:"proof,omitempty"`
	Classes string          `json:"classes,omitempty"`
	Since   time.Time       `json:"since,omitzero"`
}

type said struct {
	Acts  []Act      `json:"acts,omitempty"`
	Kit   *trust.Kit `json:"kit,omitempty"`
	N     int        `json:"n,omitempty"`
	Token string     `json:"token,omitempty"`

	Found []store.Finding `json:"found,omitempty"`
	Ruled []ruling        `json:"ruled,omitempty"`
	Files []stick.Outcome `json:"files,omitempty"`

	Replayed *replay.Report `json:"replayed,omitempty"`
}

// do does what a command asks.
func (c *Centre) do(ctx context.Context, a asked) (said, error) {
	switch a.Do {
	case "enrol":
		kit, err := c.Enrol(ctx, a.Replica, a.Station, a.Address)
		return said{Kit: &kit}, err
	case "grant":
		n, err := c.Grant(ctx, a.Station, a.From, a.People, "admin")
		return said{N: n}, err
	case "deny":
		return said{}, c.Deny(ctx, a.Replica, !a.Undo)
	case "link":
		return said{}, c.Allow(ctx, a.Replica, a.Allowed)
	case "acts":
		acts, err := c.Acts(a.Replica, strings.Join(a.People, ""))
		return said{Acts: acts}, err
	case "check":
		return c.check(ctx)
	case "proof":
		return c.prove(a.Proof)
	case "replay":
		return c.replay(ctx, a)
	case "backup":
		return said{}, c.backUp(ctx, a.File)
	case "stick":
		files, err := c.Stick(ctx, a.File)
		return said{Files: files}, err
	case "staff":
		book := account.New(c.store, c.o.Now, account.Cost{})
		if err := book.Add(ctx, a.User, a.User, account.Admin, a.PIN, ""); err != nil {
			return said{}, err
		}
		_, token, err := book.Issue(ctx, account.Grant{Name: a.Program, Scopes: account.Everything(), By: a.User})
		return said{Token: token}, err
	}
	return said{}, fmt.Errorf("no such thing to do")
}

// local answers the command line of this PC.
func (p *pages) local() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(got), []byte(p.here.Token)) != 1 {
			http.Error(w, "this is for the command line of this PC", http.StatusForbidden)
			return
		}
		var a asked
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			http.Error(w, "cannot read what is asked", http.StatusBadRequest)
			return
		}
		s, err := p.c.do(r.Context(), a)
		if err != nil {
			http.Error(w, explain(p.words[a.Lang], err), http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(s)
	})
}

// maxSaid bounds what a running centre says, in bytes.
const maxSaid = 64 << 20

// ask does a thing through the running centre, or by itself where none runs.
func (t *tool) ask(ctx context.Context, dir string, a asked) (said, error) {
	c, err := New(Options{Dir: dir})
	if err == nil {
		s, err := c.do(ctx, a)
		return s, errors.Join(err, c.Close())
	}
	if !errors.Is(err, store.ErrLocked) {
		return said{}, err
	}
	h, err := ReadHere(dir)
	if err != nil {
		return said{}, store.ErrLocked
	}
	a.Lang = t.lang
	body, err := json.Marshal(a)
	if err != nil {
		return said{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.Page+"/local/do", bytes.NewReader(body))
	if err != nil {
		return said{}, err
	}
	req.Header.Set("Authorization", "Bearer "+h.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return said{}, fmt.Errorf("the running centre does not answer: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSaid))
	if err != nil {
		return said{}, err
	}
	if len(b) == maxSaid {
		return said{}, ErrManyActs
	}
	if resp.StatusCode != http.StatusOK {
		return said{}, errors.New(strings.TrimSpace(string(b)))
	}
	var s said
	return s, json.Unmarshal(b, &s)
}

type enrolCmd struct {
	Data    string `required:"" help:"Data folder." type:"path"`
	Station string `required:"" help:"The replica's name."`
	Shares  string `help:"The station whose people it holds; itself when left out."`
	Address string `help:"Where stations reach the centre." default:"https://localhost:8643"`
	Out     string `required:"" help:"Where to write the kit." type:"path"`

	Recovery string `help:"The public recovery key that the station seals its key to." type:"existingfile" placeholder:"FILE"`
}

func (e enrolCmd) Run(ctx context.Context, t *tool) error {
	s, err := t.ask(ctx, e.Data, asked{Do: "enrol", Replica: e.Station, Station: e.Shares, Address: e.Address})
	if err != nil {
		return err
	}
	if s.Kit.Recovery, err = recoveryLine(e.Recovery); err != nil {
		return err
	}
	b, err := json.MarshalIndent(s.Kit, "", "  ")
	if err != nil {
		return err
	}
	if err := seal.WriteFile(e.Out, b); err != nil {
		return fmt.Errorf("write the kit: %w", err)
	}
	fmt.Fprintf(t.out, t.words["enrolled"]+"\n", e.Station, e.Out)
	return nil
}

type grantCmd struct {
	Data   string   `required:"" help:"Data folder." type:"path"`
	To     string   `required:"" help:"The station that gets people."`
	From   string   `help:"A station all of whose people it gets."`
	Person []string `help:"Ids of Patients that it gets."`
}

func (g grantCmd) Run(ctx context.Context, t *tool) error {
	s, err := t.ask(ctx, g.Data, asked{Do: "grant", Station: g.To, From: g.From, People: g.Person})
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, t.words["granted"]+"\n", s.N, g.To)
	return nil
}

type denyCmd struct {
	Data    string `required:"" help:"Data folder." type:"path"`
	Station string `required:"" help:"The replica's name."`
	Undo    bool   `help:"Give the access back."`
}

func (d denyCmd) Run(ctx context.Context, t *tool) error {
	if _, err := t.ask(ctx, d.Data, asked{Do: "deny", Replica: d.Station, Undo: d.Undo}); err != nil {
		return err
	}
	key := "denied-now"
	if d.Undo {
		key = "allowed-now"
	}
	fmt.Fprintf(t.out, t.words[key]+"\n", d.Station)
	return nil
}

type linkCmd struct {
	Data    string  `required:"" help:"Data folder." type:"path"`
	Station string  `required:"" help:"The replica's name."`
	MB      float64 `name:"mb" help:"Megabytes a day, up and down; 0 is any number."`
	Hours   string  `help:"By the station's clock, such as 22:00-05:00; left out at any hour."`
}

// Run bounds what it is told, and nothing else.
func (l linkCmd) Run(ctx context.Context, t *tool) error {
	a := wire.Allowance{Bytes: int64(l.MB * 1e6)}
	if l.Hours != "" {
		from, until, _ := strings.Cut(l.Hours, "-")
		for _, of := range []struct {
			text    string
			minutes *int
		}{{from, &a.From}, {until, &a.Until}} {
			at, err := time.Parse("15:04", of.text)
			if err != nil {
				return fmt.Errorf("%s: %w", l.Hours, ErrAllowance)
			}
			*of.minutes = at.Hour()*60 + at.Minute()
		}
	}
	if _, err := t.ask(ctx, l.Data, asked{Do: "link", Replica: l.Station, Allowed: a}); err != nil {
		return err
	}
	fmt.Fprintf(t.out, t.words["link-now"]+"\n", l.Station, bounds(t.words, a, -1))
	return nil
}

type actsCmd struct {
	Data    string `required:"" help:"Data folder." type:"path"`
	Station string `help:"Of this replica alone; left out of all."`
	Person  string `help:"About the record of the Patient with this id alone."`
}

// Run prints a line for each entry, each replica's in their order.
func (l actsCmd) Run(ctx context.Context, t *tool) error {
	a := asked{Do: "acts", Replica: l.Station}
	if l.Person != "" {
		a.People = []string{l.Person}
	}
	s, err := t.ask(ctx, l.Data, a)
	if err != nil {
		return err
	}
	out := json.NewEncoder(t.out)
	for _, act := range s.Acts {
		if err := out.Encode(act); err != nil {
			return err
		}
	}
	return nil
}

type staffCmd struct {
	Data    string `required:"" help:"Data folder." type:"path"`
	User    string `required:"" help:"The first administrator's user name."`
	PINFile string `required:"" help:"A file that holds the PIN." type:"existingfile"`
	Program string `help:"The program that gets a token." default:"first"`
}

// Run prints the program's token, which nobody can see again.
func (s staffCmd) Run(ctx context.Context, t *tool) error {
	pin, err := os.ReadFile(s.PINFile)
	if err != nil {
		return err
	}
	res, err := t.ask(ctx, s.Data, asked{Do: "staff", User: s.User, PIN: strings.TrimSpace(string(pin)), Program: s.Program})
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, res.Token)
	return nil
}
