package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/interop/house"
	"tram/agent/rehearse/link"
	"tram/store"
	"tram/store/fhir"
)

// town is a centre and two stations, each with a link to the centre that counts.
type town struct {
	dir     string
	out     io.Writer
	r4      *fhir.R4
	clinic  *clinic
	idle    time.Duration // of a link, before its station is asked
	centre  *house.Centre
	station [2]*house.Station
	link    [2]*link.Link // without limits
}

// syncs measures how records get from one station to another.
func syncs(ctx context.Context, o Options, dir string, out io.Writer) error {
	programs, err := house.Find(ctx, o.Programs, dir)
	if err != nil {
		return err
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	t := &town{dir: dir, out: out, r4: r4, clinic: &clinic{}, idle: idle}
	return t.play(ctx, programs, o.Records)
}

// play measures with everything that it needs running, and ends it.
func (t *town) play(ctx context.Context, programs house.Programs, records int) error {
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	g.Go(func() error {
		defer stop() // the links
		err := t.build(ctx, g, programs)
		if err == nil {
			err = t.measure(ctx, records)
		}
		return errors.Join(err, t.end())
	})
	return g.Wait()
}

// oneRound lets a station exchange when it starts, until there is nothing left to
// do, and not again while it is measured.
func oneRound() house.Settings { return house.Settings{References: "strict", Urgent: time.Hour} }

// build starts the centre, and enrols the stations while they are empty.
func (t *town) build(ctx context.Context, g *errgroup.Group, programs house.Programs) (err error) {
	if t.centre, err = house.StartCentre(ctx, programs, filepath.Join(t.dir, "centre")); err != nil {
		return err
	}
	for i, name := range []string{"station-1", "station-2"} {
		if t.link[i], err = link.New(t.centre.Address()); err != nil {
			return err
		}
		g.Go(func() error { return t.link[i].Run(ctx) })
		if t.station[i], err = house.NewStation(programs, filepath.Join(t.dir, name), name, oneRound()); err != nil {
			return err
		}
		if err := t.centre.Enrol(ctx, t.station[i], t.link[i].Address()); err != nil {
			return err
		}
		if _, err := t.run(ctx, i, 0); err != nil {
			return fmt.Errorf("enrol %s: %w", name, err)
		}
	}
	return nil
}

func (t *town) end() (err error) {
	for _, s := range t.station {
		if s != nil {
			err = errors.Join(err, s.Stop())
		}
	}
	if t.centre != nil {
		err = errors.Join(err, t.centre.Stop())
	}
	return err
}

// measure is the first sync, up from one station and down to the other, and then
// a day's. Each time the second station is let hold the first one's people; what
// that costs the first one is a passage of its own.
func (t *town) measure(ctx context.Context, records int) error {
	fmt.Fprintf(t.out, "\nsyncs of practice records, tram and tram-central as processes over loopback, bytes with TLS:\n")
	fmt.Fprintf(t.out, "  %-26s %7s %7s %9s %8s %8s %8s %9s %9s %9s\n",
		"", "records", "edits", "JSON kB", "seconds", "up kB", "down kB", "requests", "tram MB", "centre MB")
	for _, part := range []struct {
		name string
		make func(*store.Store) (load, error)
	}{
		{"first sync", func(s *store.Store) (load, error) { return t.clinic.fill(ctx, s, records) }},
		{"a day", func(s *store.Store) (load, error) { return t.clinic.day(ctx, s) }},
	} {
		l, err := t.write(part.make)
		if err != nil {
			return err
		}
		up, err := t.run(ctx, 0, 0)
		if err != nil {
			return err
		}
		t.print(part.name+", up", l, up)
		if err := t.centre.GrantAll(ctx, t.station[1].Name(), t.station[0].Name()); err != nil {
			return err
		}
		grant, err := t.run(ctx, 0, 0)
		if err != nil {
			return err
		}
		t.print("word of the grant, down", load{}, grant)
		down, err := t.run(ctx, 1, grant.records)
		if err != nil {
			return err
		}
		t.print(part.name+", down", l, down)
	}
	return nil
}

// write opens the first station's records, while its program does not run, and
// lets them be written.
func (t *town) write(make func(*store.Store) (load, error)) (load, error) {
	s, err := store.Open(store.Options{Dir: t.station[0].Dir(), Name: t.station[0].Name(), R4: t.r4})
	if err != nil {
		return load{}, err
	}
	l, err := make(s)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return l, err
}

// passage is what one run of a station came to.
type passage struct {
	link.Traffic
	records         int64 // that the station holds at its end
	station, centre int64 // most memory in bytes
}

// Pauses of waiting for a station to be done.
const (
	idle   = 2 * time.Second
	ending = time.Second / 2  // between an exchange's end and its connection's
	enough = 10 * time.Minute // for one passage
)

// run starts a station, waits until nothing of its own waits, it holds as many
// records as are expected, its last exchange has ended and none follows, and stops
// it.
func (t *town) run(ctx context.Context, i int, expected int64) (p passage, err error) {
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	k, s := t.link[i], t.station[i]
	k.Reset()
	if err := s.Start(ctx); err != nil {
		return p, err
	}
	for {
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("%s is not done: %w", s.Name(), ctx.Err())
		case <-time.After(t.idle / 8):
		}
		now := k.Read()
		if now.First.IsZero() || time.Since(now.Last) < t.idle {
			continue // asking a busy station would cost it time
		}
		rep, err := s.Report(ctx)
		if err != nil {
			return p, err
		}
		if time.UnixMilli(rep.Synced).Add(ending).After(now.Last) && rep.Waiting == 0 && rep.Records >= expected {
			if rep.Parked > 0 {
				return p, fmt.Errorf("%d entries of %s were parked", rep.Parked, s.Name())
			}
			p = passage{now, rep.Records, s.Peak(), t.centre.Peak()}
			return p, s.Stop()
		}
	}
}

func (t *town) print(name string, l load, p passage) {
	fmt.Fprintf(t.out, "  %-26s %7d %7d %9.0f %8.2f %8.1f %8.1f %9d %9.0f %9.0f\n", name, l.born, l.edited, float64(l.bytes)/1e3,
		p.Seconds(), float64(p.Up)/1e3, float64(p.Down)/1e3, p.Requests, float64(p.station)/(1<<20), float64(p.centre)/(1<<20))
}
