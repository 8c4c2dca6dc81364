package interop

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"tram/agent/rehearse/interop/house"
)

// verdict prints the figures and what is wrong.
func (t *trial) verdict(listed map[string]string) error {
	accepted, given, records := 0, 0, 0
	var identical, same [stations]int
	for _, f := range t.files {
		if f.trouble != "" {
			continue
		}
		accepted++
		records += len(f.records)
		for s := range stations {
			good := 0
			for _, it := range f.records {
				if it.given && s == 0 {
					given++
				}
				if it.fault[s] == "" {
					good++
				}
			}
			same[s] += good
			if good == len(f.records) {
				identical[s]++
			}
		}
	}
	fmt.Fprintf(t.out, "files %d, accepted %d, with %d records; %d ids given, one to one\n", len(t.files), accepted, records, given)
	if t.o.Map != "" {
		fmt.Fprintf(t.out, "the ids: %s\n", t.o.Map)
	}
	fmt.Fprintf(t.out, "identical at the station: %d files, %d records\n", identical[0], same[0])
	fmt.Fprintf(t.out, "identical at the second station: %d files, %d records\n", identical[1], same[1])
	fmt.Fprintf(t.out, "seconds: %.1f to take the files in, %.1f from there to the second station\n", t.took.in.Seconds(), t.took.sync.Seconds())
	for _, f := range t.files {
		if why := listed[f.name]; why != "" && f.fault() != "" {
			fmt.Fprintf(t.out, "exception %s: %s\n  found: %s\n", f.name, why, f.fault())
		}
	}
	bad := complaints(t.files, listed)
	slices.Sort(bad)
	for _, line := range bad {
		fmt.Fprintln(t.out, "FAILED", line)
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w: %d files", ErrDiffers, len(bad))
	}
	return nil
}

// ids lists what was given, in the order of the files.
func (t *trial) ids() []byte {
	var out []byte
	for _, f := range t.files {
		for _, it := range f.records {
			if it.given {
				out = fmt.Appendf(out, "%s\t%d\t%s\n", f.name, it.entry, it.key)
			}
		}
	}
	return out
}

// Command is Run as a command of kong; its caller binds a context.Context and an
// io.Writer.
type Command struct {
	Examples string        `help:"npm's hl7.fhir.r4.examples 4.0.1, packed or unpacked." default:".build/hl7.fhir.r4.examples-4.0.1.tgz" type:"path"`
	Bundles  string        `help:"A folder of further Bundles." type:"path"`
	Tram     string        `help:"The program tram; built when left out." type:"existingfile"`
	Central  string        `help:"The program tram-central; built when left out." type:"existingfile"`
	Dir      string        `help:"Where the files of the run go." default:".build" type:"path"`
	Keep     bool          `help:"Leave the files there."`
	Map      string        `help:"A file for the ids that transactions were given." default:".build/interop-ids.txt" type:"path"`
	Timeout  time.Duration `help:"Bound on the whole run." default:"20m"`
}

// Run runs it.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	return Run(ctx, Options{Examples: c.Examples, Bundles: c.Bundles, Programs: house.Programs{Tram: c.Tram, Central: c.Central},
		Dir: c.Dir, Keep: c.Keep, Map: c.Map, Timeout: c.Timeout}, out)
}
