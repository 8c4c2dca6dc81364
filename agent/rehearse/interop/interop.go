// Package interop proves that what goes in comes out: HL7's own R4 examples and
// bundles of patients go into a real station through its drop folder, out through
// its FHIR face, through a centre to a second station, and out there.
//
// It owns which files are tried, what each must come to, and the list of
// exceptions. It promises that a file counts as identical only where the content
// is the same in structure and in every digit but for meta and the ids that a
// transaction gives, by this package's own reading of JSON and by package fhir's;
// and that a run fails on a file that differs without being listed, and on a
// listed one that does not. It does not know how a station does it.
package interop

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tram/agent/rehearse/interop/house"
)

//go:embed exceptions.txt
var exceptionsTable []byte

// Options say what is tried and where.
type Options struct {
	// Examples is npm's package hl7.fhir.r4.examples 4.0.1, as it comes (.tgz) or
	// unpacked.
	Examples string
	// Bundles is a folder of further Bundles; "" for none.
	Bundles string
	// Programs are built where they are not named.
	Programs house.Programs
	// Dir is where the files of the run go: a new folder in it, which is removed
	// afterwards unless Keep is set.
	Dir  string
	Keep bool
	// Map is a file for the ids that were given: a line for each, the file's name,
	// the entry's number and the record; "" for none.
	Map string
	// Timeout bounds the whole run; 0 is 20 minutes.
	Timeout time.Duration
}

// ErrDiffers says that a file did not come out as it should.
var ErrDiffers = errors.New("not everything came out as it went in")

// Run tries everything and prints what came of it. It fails with ErrDiffers where
// a file came out otherwise than the list of exceptions says.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	listed, err := parseExceptions(exceptionsTable)
	if err != nil {
		return err
	}
	files, err := gather(o, out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.Dir, "interop-")
	if err != nil {
		return err
	}
	if o.Keep {
		fmt.Fprintf(out, "files of this run: %s\n", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	if o.Programs, err = house.Find(ctx, o.Programs, dir); err != nil {
		return err
	}
	t := &trial{o: o, dir: dir, out: out, files: files}
	defer func() { err = errors.Join(err, t.end()) }()
	if err := t.run(ctx); err != nil {
		return err
	}
	if o.Map != "" {
		if err := os.WriteFile(o.Map, t.ids(), 0o600); err != nil {
			return fmt.Errorf("write the ids: %w", err)
		}
	}
	return t.verdict(listed)
}

// gather reads all files that are tried.
func gather(o Options, out io.Writer) ([]*file, error) {
	files, err := readExamples(o.Examples)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	if o.Bundles == "" {
		fmt.Fprintln(out, "no folder of bundles was given: only HL7's examples are tried")
		return files, nil
	}
	bundles, err := readFolder(o.Bundles)
	if err != nil {
		return nil, fmt.Errorf("read bundles: %w", err)
	}
	if len(bundles) == 0 {
		return nil, fmt.Errorf("no .json file in %s", filepath.Base(o.Bundles))
	}
	return append(files, bundles...), nil
}
