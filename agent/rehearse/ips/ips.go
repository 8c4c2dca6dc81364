// Package ips proves that the International Patient Summary goes in and comes out: the
// examples of the guide hl7.fhir.uv.ips 2.0.0 go into a station's FHIR face as other
// software would send them and are read back, and documents are made of the people of
// a practice station.
//
// It owns what is sent, what must come back, and what a document must be. It promises
// that an example counts as equal only where the content is the same in structure and
// in every digit but for meta and the references that a transaction rewrites, and that
// a run fails on one that differs and on a document that is not whole. The people in
// it are made up. It does not know how a document is made.
package ips

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"tram/store/fhir"
)

// Command is the command line of a run.
type Command struct {
	Examples string        `help:"npm's hl7.fhir.uv.ips 2.0.0, packed." default:".build/hl7.fhir.uv.ips-2.0.0.tgz" type:"path"`
	Dir      string        `help:"Where the files of the run go." default:".build" type:"path"`
	People   int           `help:"How many people a summary is made of." default:"200"`
	Records  int           `help:"How many records the person has of whom there are most." default:"1000"`
	Timeout  time.Duration `help:"Bound on the whole run." default:"10m"`
}

// ErrWrong says that an example came back otherwise or that a document is not whole.
var ErrWrong = errors.New("not everything came out as it should")

// most is how long a summary of the person with most records may take.
const most = time.Second

// Run tries everything and prints what came of it.
func (c Command) Run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	files, err := readExamples(c.Examples)
	if err != nil {
		return fmt.Errorf("read examples: %w", err)
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "ips-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := open(dir, r4)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	wrong, err := s.examples(ctx, files, out)
	if err != nil {
		return err
	}
	more, err := s.people(ctx, c.People, c.Records, out)
	if err != nil {
		return err
	}
	if wrong += more; wrong > 0 {
		return fmt.Errorf("%w: %d", ErrWrong, wrong)
	}
	return nil
}
