package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/interop/house"
)

// trial is one run.
type trial struct {
	o       Options
	dir     string
	out     io.Writer
	files   []*file
	centre  *house.Centre
	station [stations]*house.Station
	took    struct{ in, sync time.Duration }
}

func (t *trial) run(ctx context.Context) (err error) {
	if err := t.begin(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := t.drop(ctx); err != nil {
		return err
	}
	t.took.in = time.Since(start)
	taken := map[string]bool{}
	for _, f := range t.files {
		t.settle(f, taken)
	}
	if err := t.read(ctx, 0); err != nil {
		return err
	}
	start = time.Now()
	if err := t.sync(ctx); err != nil {
		return err
	}
	t.took.sync = time.Since(start)
	return t.read(ctx, 1)
}

// begin starts the centre and the first station.
func (t *trial) begin(ctx context.Context) (err error) {
	if t.centre, err = house.StartCentre(ctx, t.o.Programs, filepath.Join(t.dir, "centre")); err != nil {
		return err
	}
	for i, name := range [stations]string{"station-1", "station-2"} {
		s, err := house.NewStation(t.o.Programs, filepath.Join(t.dir, name), name, house.Settings{References: "lenient", Urgent: time.Second})
		if err != nil {
			return err
		}
		if err := s.Admit(ctx); err != nil {
			return err
		}
		if err := t.centre.Enrol(ctx, s, t.centre.Address()); err != nil {
			return err
		}
		t.station[i] = s
	}
	return t.station[0].Start(ctx)
}

// end stops everything.
func (t *trial) end() error {
	var errs []error
	for _, s := range t.station {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	if t.centre != nil {
		errs = append(errs, t.centre.Stop())
	}
	return errors.Join(errs...)
}

// drop puts every file into the drop folder under its own name, whole at once,
// and waits until each was taken or set aside.
func (t *trial) drop(ctx context.Context) error {
	folder := filepath.Join(t.station[0].Dir(), "drop")
	seen := map[string]bool{}
	for _, f := range t.files {
		if seen[f.name] {
			return fmt.Errorf("two files are called %s", f.name)
		}
		seen[f.name] = true
		aside := filepath.Join(folder, "."+f.name)
		if err := os.WriteFile(aside, f.content, 0o600); err != nil {
			return err
		}
		if err := os.Rename(aside, filepath.Join(folder, f.name)); err != nil {
			return err
		}
	}
	for {
		waits, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(waits) == 0 {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%d files still lie in the drop folder: %w", len(waits), err)
		}
	}
}

// settle finds out what became of a file, and what its records must come to.
func (t *trial) settle(f *file, taken map[string]bool) {
	folder := filepath.Join(t.station[0].Dir(), "drop")
	done, err := filepath.Glob(filepath.Join(folder, "done", "*", "*.json"))
	if err != nil {
		f.trouble = err.Error()
		return
	}
	at := ""
	for _, name := range done {
		if filepath.Base(name) == f.name {
			at = name
		}
	}
	if at == "" {
		f.trouble = "was set aside: " + reason(filepath.Join(folder, "aside", f.name+".reason.txt"))
		return
	}
	note, err := os.ReadFile(at + ".ids.txt")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, f.open()); err == nil {
		err = f.apply(note, taken)
	}
	if err != nil {
		f.trouble = err.Error()
		return
	}
	f.expect()
}

// reason is the beginning of the note of a file that was set aside, in one line:
// what is wrong in two languages, and its code.
func reason(note string) string {
	b, err := os.ReadFile(note)
	if err != nil {
		return "nobody says why"
	}
	words := strings.Fields(string(b))
	for i, w := range words {
		if strings.HasPrefix(w, "[") {
			words = words[:i+1]
			break
		}
	}
	return strings.Join(words, " ")
}

// readers is how many records are read at once.
const readers = 16

// read reads every record out of a station and judges it.
func (t *trial) read(ctx context.Context, station int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, f := range t.files {
		if f.trouble != "" {
			continue
		}
		for _, it := range f.records {
			g.Go(func() error {
				body, found, err := t.station[station].Get(ctx, it.key)
				switch {
				case ctx.Err() != nil:
					return ctx.Err()
				case err != nil:
					it.fault[station] = err.Error()
				case found && it.private && station > 0:
					it.fault[station] = "is at another station, and may be about somebody"
				case !found && it.private && station > 0:
				case !found:
					it.fault[station] = "is not there"
				default:
					it.fault[station] = judge(it.want, body)
				}
				return nil
			})
		}
	}
	return g.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
