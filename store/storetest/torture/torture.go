//go:build linux && (amd64 || arm64)

// Package torture cuts the store short in every way that a station's PC knows, and
// judges what is left: power cuts at every moment, kills, disks that fail and
// disks that fill.
//
// It owns the cuts, the processes that are cut and judged, and the counts. It
// promises that the store at work is a process of its own on real files, that a
// failing state can be made again, and that it fails where nothing would be
// found: faults that it plants itself must be. It does not know how a store keeps
// its promises. No program of a station or a centre imports it.
package torture

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// Exit codes of the command line.
const (
	exitFine    = 0
	exitTrouble = 1
	exitUsage   = 2
)

type cli struct {
	Crash crashCmd `cmd:"" help:"Cut the power at every moment of recorded lives, and judge every disk that it may leave."`
	Kill  killCmd  `cmd:"" help:"Kill writing processes at random moments."`
	Fail  failCmd  `cmd:"" help:"Let each operation of a new store's life fail in turn."`
	Full  fullCmd  `cmd:"" help:"Fill small file systems at every stage."`

	Act   actCmd   `cmd:"" hidden:""`
	Judge judgeCmd `cmd:"" hidden:""`
}

// Main is the command line; it returns the exit code.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("tram-torture"), kong.Description("Cuts the store short in every way, and judges what is left."), kong.Writers(out, errOut),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(in, (*io.Reader)(nil)), kong.BindTo(out, (*io.Writer)(nil)))
	if err != nil {
		fmt.Fprintln(errOut, "tram-torture:", err)
		return exitUsage
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, "tram-torture:", err)
		return exitUsage
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(errOut, "tram-torture:", err)
		return exitTrouble
	}
	return exitFine
}

// memory is where folders lie that are laid anew for every state: without a disk.
const memory = "/dev/shm"

// workplace makes a folder in memory for one run.
func workplace(name string) (dir string, done func() error, err error) {
	dir, err = os.MkdirTemp(memory, "tram-torture-"+name+"-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}
