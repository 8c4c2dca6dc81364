// Package clients lets real FHIR clients ask a station and a centre what they
// rely on: the suite in testdata/clients, which node runs.
//
// It owns which programs the suite meets: a station and a centre without records,
// each with a token of a program. It promises that the suite runs at both, also
// when it fails at the first, that its token stands in no command line, and that no
// program is left. It does not know what the suite asks.
package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"tram/agent/rehearse/interop/house"
)

// Command is the suite as a command of kong; its caller binds a context.Context
// and an io.Writer.
type Command struct {
	Suite   string        `arg:"" help:"The suite's program." type:"existingfile"`
	Node    string        `help:"What runs it." default:"node"`
	Tram    string        `help:"The program tram; built when left out." type:"existingfile"`
	Central string        `help:"The program tram-central; built when left out." type:"existingfile"`
	Dir     string        `help:"Where the files of the run go." default:".build" type:"path"`
	Keep    bool          `help:"Leave the files there."`
	Timeout time.Duration `help:"Bound on the whole run." default:"10m"`
}

// Run runs the suite at a station, then at a centre. It fails where a suite does.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "clients-")
	if err != nil {
		return err
	}
	if c.Keep {
		fmt.Fprintf(out, "files of this run: %s\n", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	programs, err := house.Find(ctx, house.Programs{Tram: c.Tram, Central: c.Central}, dir)
	if err != nil {
		return err
	}
	return errors.Join(c.station(ctx, programs, filepath.Join(dir, "station"), out), c.centre(ctx, programs, filepath.Join(dir, "centre"), out))
}

func (c *Command) station(ctx context.Context, programs house.Programs, dir string, out io.Writer) (err error) {
	s, err := house.NewStation(programs, dir, "station", house.Settings{References: "strict", Urgent: time.Second})
	if err != nil {
		return err
	}
	if err := s.Admit(ctx); err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	base, token := s.Face()
	return c.play(ctx, "station", base, token, out)
}

func (c *Command) centre(ctx context.Context, programs house.Programs, dir string, out io.Writer) (err error) {
	s, err := house.StartCentre(ctx, programs, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.Admit(ctx); err != nil {
		return err
	}
	base, token := s.Face()
	return c.play(ctx, "centre", base, token, out)
}

// play runs the suite at one place. The token goes by the environment: every user
// of a PC may read command lines.
func (c *Command) play(ctx context.Context, at, base, token string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, c.Node, c.Suite, "--at", at, "--base", base)
	cmd.Env = append(os.Environ(), "TRAM_TOKEN="+token)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("clients at the %s: %w", at, err)
	}
	return nil
}
