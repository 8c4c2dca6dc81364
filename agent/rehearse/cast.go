package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"tram/agent"
	"tram/agent/rehearse/process"
	"tram/store/fhir"
	"tram/store/seal"
	"tram/sync/central"
)

// How long a program may take.
const (
	startLimit = 60 * time.Second
	syncLimit  = 60 * time.Second
)

// Cast is a centre and its stations, each a process of its own on real files
// below one folder.
type Cast struct {
	Work string // absolute
	bin  string
	r4   *fhir.R4
	all  process.Group
}

// markFile marks a folder as one that may be emptied: nothing in it is real.
const markFile = "rehearsal.txt"

// NewCast prepares a work folder; with fresh what is in it goes first. It refuses
// a folder with anything in it that no rehearsal made.
func NewCast(work, bin string, fresh bool) (*Cast, error) {
	r4, err := fhir.Load()
	if err != nil {
		return nil, err
	}
	c := &Cast{r4: r4}
	if c.Work, err = filepath.Abs(work); err != nil {
		return nil, err
	}
	if c.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	for _, program := range []string{"tram", "tram-central"} {
		if _, err := os.Stat(c.program(program)); err != nil {
			return nil, fmt.Errorf("find %s (build it with `make`, or say with --bin where it is): %w", program, err)
		}
	}
	there, err := os.ReadDir(c.Work)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	mark := filepath.Join(c.Work, markFile)
	if _, err := os.Stat(mark); err != nil && len(there) > 0 {
		return nil, fmt.Errorf("%s holds something that no rehearsal made: choose another folder with --work", c.Work)
	}
	if fresh {
		if err := os.RemoveAll(c.Work); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(c.Work, 0o700); err != nil {
		return nil, err
	}
	return c, os.WriteFile(mark, []byte("made by tram-rehearse; everything here is made up and may be deleted\n"), 0o600)
}

// Close stops every program.
func (c *Cast) Close() error { return c.all.Close() }

func (c *Cast) program(name string) string { return filepath.Join(c.bin, file(name)) }

// file is a program's file name on this system.
func file(program string) string {
	if runtime.GOOS == "windows" {
		return program + ".exe"
	}
	return program
}

// Account is how a person and a program sign in somewhere.
type Account struct {
	User  string `json:"user"`
	PIN   string `json:"pin"`
	Token string `json:"token"`
}

// Centre is the centre's program and its folder.
type Centre struct {
	Account
	Dir          string
	Listen, Page string // host and port for stations, and of the page
	cast         *Cast
	proc         *process.Process
}

// Centre makes the centre's folder with one administrator.
func (c *Cast) Centre(ctx context.Context, listen, page, pin string) (*Centre, error) {
	s := &Centre{Dir: filepath.Join(c.Work, "centre"), Listen: listen, Page: page, cast: c, Account: Account{User: "it", PIN: pin}}
	secret := filepath.Join(c.Work, "pin.txt")
	if err := os.WriteFile(secret, []byte(pin), 0o600); err != nil {
		return nil, err
	}
	out, err := process.Tool(ctx, c.program("tram-central"), "staff", "--data", s.Dir, "--user", s.User, "--pin-file", secret, "--program", "rehearse")
	s.Token = strings.TrimSpace(string(out))
	return s, errors.Join(err, os.Remove(secret))
}

// Start runs the centre until its page answers.
func (s *Centre) Start(ctx context.Context) (err error) {
	if err := forget(filepath.Join(s.Dir, "run.json")); err != nil {
		return err
	}
	s.proc, err = s.cast.all.Start("tram-central", filepath.Join(s.cast.Work, "centre.log"), s.cast.program("tram-central"),
		"run", "--data", s.Dir, "--listen", s.Listen, "--page", s.Page)
	if err != nil {
		return err
	}
	return process.Await(ctx, "the centre's page answers", startLimit, func() (bool, error) {
		h, err := central.ReadHere(s.Dir)
		if err != nil || !answers(ctx, h.Page, s.Token) {
			return false, nil
		}
		s.Page = h.Page
		return true, nil
	}, s.proc)
}

// Enrol writes a one-time kit into a station's folder. Address is the centre's as
// the station reaches it, host and port.
func (s *Centre) Enrol(ctx context.Context, st *Station, address string) error {
	_, err := process.Tool(ctx, s.cast.program("tram-central"), "enrol", "--data", s.Dir, "--station", st.Name,
		"--address", "https://"+address, "--out", filepath.Join(st.Dir, "enrol.json"))
	return err
}

// Grant lets a station hold all people of another.
func (s *Centre) Grant(ctx context.Context, to, from string) error {
	_, err := process.Tool(ctx, s.cast.program("tram-central"), "grant", "--data", s.Dir, "--to", to, "--from", from)
	return err
}

// Face is the centre's FHIR face.
func (s *Centre) Face() *Face { return NewFace(s.Page, s.Token) }

// Station is a station's program and its folder.
type Station struct {
	Account
	Name, Dir, Page string
	cast            *Cast
	proc            *process.Process
}

// Station names a station and its folder; nothing is made yet.
func (c *Cast) Station(name string) *Station {
	return &Station{Name: name, Dir: filepath.Join(c.Work, name), cast: c}
}

// Settle writes the station's settings: a practice folder takes files that refer
// to others that are still to come, and sends soon after an entry was saved. A
// centre named here goes before the one of the enrolment; "" names none.
func (s *Station) Settle(listen, centre string) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("[station]\nname = %q\n\n[page]\nlisten = %q\n\n[drop]\nreferences = \"lenient\"\n\n[sync]\nurgent = \"1s\"\n", s.Name, listen)
	if centre != "" {
		text += fmt.Sprintf("\n[centre]\nurl = %q\n", centre)
	}
	return os.WriteFile(filepath.Join(s.Dir, "tram.toml"), []byte(text), 0o600)
}

// People are what a practice station is made of; see practice.Options.
type People struct {
	Seed         uint64
	People, Days int
}

// Practise fills the station's folder; with no Days with accounts only.
func (s *Station) Practise(ctx context.Context, p People) error {
	out, err := process.Tool(ctx, s.cast.program("tram"), "practice", "--data", s.Dir, "--seed", fmt.Sprint(p.Seed),
		"--people", fmt.Sprint(p.People), "--days", fmt.Sprint(p.Days), "--json")
	if err != nil {
		return err
	}
	return json.Unmarshal(out, &s.Account)
}

// Start runs the station until its page answers.
func (s *Station) Start(ctx context.Context) (err error) {
	if err := forget(filepath.Join(s.Dir, "run.json")); err != nil {
		return err
	}
	s.proc, err = s.cast.all.Start(s.Name, filepath.Join(s.cast.Work, s.Name+".log"), s.cast.program("tram"), "run", "--data", s.Dir)
	if err != nil {
		return err
	}
	return process.Await(ctx, s.Name+"'s page answers", startLimit, func() (bool, error) {
		h, err := agent.ReadHere(s.Dir)
		if err != nil || !answers(ctx, h.Address, s.Token) {
			return false, nil
		}
		s.Page = h.Address
		return true, nil
	}, s.proc)
}

// Stop asks the station to end and waits for it.
func (s *Station) Stop() error { return s.proc.Stop() }

// Kill ends the station with kill -9.
func (s *Station) Kill() error { return s.proc.Kill() }

// Face is the station's FHIR face.
func (s *Station) Face() *Face { return NewFace(s.Page, s.Token) }

// SyncNow asks the station for an exchange.
func (s *Station) SyncNow(ctx context.Context) error {
	_, err := process.Tool(ctx, s.cast.program("tram"), "sync", "now", "--data", s.Dir)
	return err
}

// State is what the station says of itself.
func (s *Station) State(ctx context.Context) (agent.State, error) {
	var st agent.State
	out, err := process.Tool(ctx, s.cast.program("tram"), "status", "--json", "--data", s.Dir)
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	return st, err
}

// Synced waits until the station has exchanged after now, with nothing left that
// the centre has not proved to hold.
func (s *Station) Synced(ctx context.Context) error {
	before, err := s.State(ctx)
	if err != nil {
		return err
	}
	if err := s.SyncNow(ctx); err != nil {
		return err
	}
	return process.Await(ctx, s.Name+" has sent everything", syncLimit, func() (bool, error) {
		st, err := s.State(ctx)
		return st.Report.Synced > before.Report.Synced && st.Report.Waiting == 0, err
	}, s.proc)
}

// Import takes files in; it reports which were refused.
func (s *Station) Import(ctx context.Context, files []string) (refused []string, last error) {
	for _, f := range files {
		if _, err := process.Tool(ctx, s.cast.program("tram"), "import", "--data", s.Dir, f); err != nil {
			refused, last = append(refused, f), err
		}
	}
	return refused, last
}

// forget removes the private file of an earlier run, which a killed program leaves.
func forget(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// answers reports whether a page's FHIR face says what it can.
func answers(ctx context.Context, page, token string) bool {
	_, err := NewFace(page, token).call(ctx, "GET", "metadata", "", nil)
	return err == nil
}

// freePort is the preferred port on loopback where nothing has it, else another.
func freePort(preferred int) (address string, err error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", preferred))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// save and load keep a small value of a rehearsal in a private file.
func save(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return seal.WriteFile(file, b)
}

func load(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
