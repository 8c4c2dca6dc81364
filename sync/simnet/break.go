package simnet

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed faults.txt
var faultsText string

type breakCmd struct {
	Seeds  int    `default:"500" help:"How many seeds a fault may hide from."`
	From   uint64 `default:"1" help:"The first seed."`
	Only   string `help:"The name of one fault."`
	Matrix bool   `help:"Let the restores find those faults that they must find: the ones that end with a star."`
	File   string `help:"Other faults than the usual, in a file of the same form." type:"existingfile"`
	Top    string `default:"." help:"The folder of go.mod."`
	Go     string `default:"go" help:"The Go tool."`
}

// fault is a deliberate fault: texts in the place of others of the product.
type fault struct {
	name     string
	edits    []edit
	restores bool // its name ends with a star: the matrix of restores must find it too
}

type edit struct{ file, old, new string }

// errHidden ends a run in which a fault was not found.
var errHidden = errors.New("a deliberate fault was not found")

// readFaults reads blocks of the form below; from file on it may come again.
//
//	== name
//	file: path from the top
//	<<<
//	old text
//	===
//	new text
//	>>>
func readFaults(text string) ([]fault, error) {
	var out []fault
	for i, block := range strings.Split(text, "\n== ")[1:] {
		name, rest, _ := strings.Cut(block, "\n")
		name, restores := strings.CutSuffix(strings.TrimSpace(name), " *")
		f := fault{name: name, restores: restores}
		for _, part := range strings.Split("\n"+rest, "\nfile: ")[1:] {
			file, rest, ok := strings.Cut(part, "\n<<<\n")
			old, rest, ok2 := strings.Cut(rest, "\n===\n")
			fresh, _, ok3 := strings.Cut("\n"+rest, "\n>>>")
			if !ok || !ok2 || !ok3 {
				return nil, fmt.Errorf("fault %d, %q, is not of the form", i+1, f.name)
			}
			f.edits = append(f.edits, edit{strings.TrimSpace(file), old, strings.TrimPrefix(fresh, "\n")})
		}
		if len(f.edits) == 0 {
			return nil, fmt.Errorf("fault %d, %q, changes nothing", i+1, f.name)
		}
		out = append(out, f)
	}
	return out, nil
}

// Run builds and plays each fault.
func (c breakCmd) Run(ctx context.Context, out io.Writer) error {
	text := []byte(faultsText)
	if c.File != "" {
		var err error
		if text, err = os.ReadFile(c.File); err != nil {
			return err
		}
	}
	all, err := readFaults(string(text))
	if err != nil {
		return err
	}
	hidden := 0
	fmt.Fprintf(out, "  %-70s %s\n", "fault", "found by")
	for _, f := range all {
		if c.Only != "" && f.name != c.Only || c.Matrix && !f.restores {
			continue
		}
		seed, err := c.find(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if seed == "" {
			hidden++
			seed = "nothing"
		}
		fmt.Fprintf(out, "  %-70s %s\n", f.name, seed)
	}
	if hidden > 0 {
		return errHidden
	}
	return nil
}

// find builds the product with a fault, and returns what finds it first: a seed, or a
// finding of the matrix; where none does, a drawn history.
func (c breakCmd) find(ctx context.Context, f fault) (string, error) {
	dir, err := os.MkdirTemp("", "fault")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "tram-sim")
	if err := c.overlay(overlay, dir, f.edits); err != nil {
		return "", err
	}
	if said, err := c.goTool(ctx, "build", "-overlay", overlay, "-o", program, "./sync/simnet/tram-sim"); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, said)
	}
	args := []string{"run", "--no-rare", "--show=0", "--first", fmt.Sprintf("--seeds=%d", c.Seeds), fmt.Sprintf("--from=%d", c.From)}
	if c.Matrix {
		args = []string{"matrix", "--show=0", "--first"}
	}
	said, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err == nil {
		said, err = c.goTool(ctx, "test", "-failfast", "-overlay", overlay, "./sync/engine", "./sync/central", "./sync/carry/stick", "./store")
	}
	if err == nil {
		return "", nil
	}
	if m := regexp.MustCompile(`(?:first wrong: |first finding: |--- FAIL: )(.*?)(?: \(\d.*)?\n`).FindSubmatch(said); m != nil {
		return string(m[1]), nil
	}
	return "", errors.Join(ctx.Err(), fmt.Errorf("run: %w\n%s", err, said))
}

func (c breakCmd) goTool(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Go, args...)
	cmd.Dir = c.Top
	return cmd.CombinedOutput()
}

// overlay writes the broken files into a folder, and what tells the Go tool of them.
func (c breakCmd) overlay(file, dir string, edits []edit) error {
	replace, texts := map[string]string{}, map[string][]byte{}
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join(c.Top, filepath.FromSlash(e.file)))
		if err != nil {
			return err
		}
		if texts[path] == nil {
			if texts[path], err = os.ReadFile(path); err != nil {
				return err
			}
			replace[path] = filepath.Join(dir, fmt.Sprintf("broken%d.go", len(replace)))
		}
		if bytes.Count(texts[path], []byte(e.old)) != 1 {
			return fmt.Errorf("%s has not, or not once, the text to be replaced", e.file)
		}
		texts[path] = bytes.Replace(texts[path], []byte(e.old), []byte(e.new), 1)
	}
	for path, text := range texts {
		if err := os.WriteFile(replace[path], text, 0o600); err != nil {
			return err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
