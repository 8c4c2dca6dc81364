//go:build linux && (amd64 || arm64)

package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"

	"tram/store/fhir"
	"tram/store/storetest/torture/act"
	"tram/store/storetest/torture/judge"
	"tram/store/storetest/torture/story"
)

// play is what a process is to do.
type play struct {
	Script  string
	Dir     string
	Journal string
	Aside   string
	Seed    uint64
	Bare    bool
	Marks   string // the file; "" is standard output
	After   int64  // the last number that was given
}

// actCmd is the process that writes. It reads its play from standard input.
type actCmd struct{}

func (actCmd) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	var p play
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return err
	}
	if p.Marks != "" {
		f, err := os.OpenFile(p.Marks, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	return act.Named(p.Script)(ctx, &act.Stage{Dir: p.Dir, Journal: p.Journal, Aside: p.Aside, Seed: p.Seed, Bare: p.Bare, R4: r4,
		Tell: story.NewTeller(out, p.After), Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
}

// itself is a process of this program. It ends with its parent.
func itself(ctx context.Context, command string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// perform runs a play to its end; marks to standard output are returned.
func perform(ctx context.Context, p play) ([]byte, error) {
	cmd, err := itself(ctx, "act")
	if err != nil {
		return nil, err
	}
	in, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var out, trouble bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &trouble
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("script %s: %w: %s", p.Script, err, bytes.TrimSpace(tail(trouble.Bytes())))
	}
	return out.Bytes(), nil
}

// tail is the end of what a process said.
func tail(b []byte) []byte { return b[max(0, len(b)-1500):] }

// trial is one case with the story up to some mark.
type trial struct {
	Case  judge.Case
	Story string // a file of marks
	Marks int    // how many of them count
}

// judgeCmd is the process that judges. It reads trials, one a line, and answers
// each with a line.
type judgeCmd struct{}

func (judgeCmd) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	var s reader
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var t trial
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		m, err := s.upTo(t)
		if err != nil {
			return err
		}
		b, err := json.Marshal(judge.Judge(ctx, r4, t.Case, m))
		if err != nil {
			return err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return err
		}
	}
}

// reader keeps the model of the story that it read last, and goes on in it where
// it can.
type reader struct {
	file  string // its path, and what tells it from an older one there
	marks []story.Mark
	at    int
	model *story.Model
}

func (r *reader) upTo(t trial) (*story.Model, error) {
	info, err := os.Stat(t.Story)
	if err != nil {
		return nil, err
	}
	if file := fmt.Sprint(t.Story, info.ModTime(), info.Size()); r.file != file {
		b, err := os.ReadFile(t.Story)
		if err != nil {
			return nil, err
		}
		if r.marks, err = story.Parse(b); err != nil {
			return nil, err
		}
		r.file, r.model = file, nil
	}
	if r.model == nil || t.Marks < r.at {
		r.model, r.at = story.NewModel(), 0
	}
	for ; r.at < t.Marks; r.at++ {
		if err := r.model.Take(r.marks[r.at]); err != nil {
			return nil, err
		}
	}
	return r.model, nil
}
