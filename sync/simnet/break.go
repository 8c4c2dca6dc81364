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
	Seeds int    `default:"500" help:"How many seeds a fault may hide from."`
	From  uint64 `default:"1" help:"The first seed."`
	Only  string `help:"The name of one fault."`
	Top   string `default:"." help:"The folder of go.mod."`
	Go    string `default:"go" help:"The Go tool."`
}

// fault is a deliberate fault: a text of the product in another's place.
type fault struct {
	name, file string
	old, new   string
}

// errHidden ends a run in which a fault was not found.
var errHidden = errors.New("a deliberate fault was not found")

// readFaults reads blocks of the form
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
		head, rest, _ := strings.Cut(block, "\n<<<\n")
		name, file, ok := strings.Cut(head, "\nfile: ")
		old, rest, ok2 := strings.Cut(rest, "\n===\n")
		fresh, _, ok3 := strings.Cut(rest, "\n>>>")
		if !ok || !ok2 || !ok3 {
			return nil, fmt.Errorf("fault %d, %q, is not of the form", i+1, name)
		}
		out = append(out, fault{strings.TrimSpace(name), strings.TrimSpace(file), old, fresh})
	}
	return out, nil
}

// Run builds and plays each fault.
func (c breakCmd) Run(ctx context.Context, out io.Writer) error {
	all, err := readFaults(faultsText)
	if err != nil {
		return err
	}
	hidden := 0
	fmt.Fprintf(out, "  %-58s %12s\n", "fault", "found by seed")
	for _, f := range all {
		if c.Only != "" && f.name != c.Only {
			continue
		}
		seed, err := c.find(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if seed == "" {
			hidden++
			seed = fmt.Sprintf("none of %d", c.Seeds)
		}
		fmt.Fprintf(out, "  %-58s %12s\n", f.name, seed)
	}
	if hidden > 0 {
		return errHidden
	}
	return nil
}

// find builds this program with a fault, and returns the first seed that finds it.
func (c breakCmd) find(ctx context.Context, f fault) (string, error) {
	dir, err := os.MkdirTemp("", "fault")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path, err := filepath.Abs(filepath.Join(c.Top, filepath.FromSlash(f.file)))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if bytes.Count(text, []byte(f.old)) != 1 {
		return "", fmt.Errorf("%s has not, or not once, the text to be replaced", f.file)
	}
	broken, overlay, program := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "tram-sim")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		return "", err
	}
	err = errors.Join(os.WriteFile(broken, bytes.Replace(text, []byte(f.old), []byte(f.new), 1), 0o600), os.WriteFile(overlay, replace, 0o600))
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, c.Go, "build", "-overlay", overlay, "-o", program, "./sync/simnet/tram-sim")
	build.Dir = c.Top
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, said)
	}
	const step = 50
	for n := 0; n < c.Seeds; n += step {
		run := exec.CommandContext(ctx, program, "run", "--no-rare", "--show=0", fmt.Sprintf("--seeds=%d", step), fmt.Sprintf("--from=%d", c.From+uint64(n)))
		said, err := run.CombinedOutput()
		if err == nil {
			continue
		}
		if m := regexp.MustCompile(`first wrong: seed (\d+)`).FindSubmatch(said); m != nil {
			return string(m[1]), nil
		}
		return "", fmt.Errorf("run: %w\n%s", err, said)
	}
	return "", ctx.Err()
}
