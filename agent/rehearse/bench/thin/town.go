package thin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/interop/house"
	"tram/agent/rehearse/link"
	"tram/store"
	"tram/store/fhir"
)

// town is a centre and two stations, each with a link of its own to the centre. The
// first one is measured, with X25519; the second one makes what comes down to it, and
// tells what the post-quantum key exchange costs.
type town struct {
	programs house.Programs
	dir      string
	r4       *fhir.R4
	clinic   *clinic
	quiet    time.Duration // of a link, before its station is asked
	centre   *house.Centre
	station  [2]*house.Station
	link     [2]*link.Link
	past     load  // what the first station wrote before the day that is measured
	above    load  // what waits to come down to it
	today    load  // what waits at it
	held     int64 // records that it held before the day
	photo    bool  // an attachment goes up behind the last exchange
}

// The states of all files that parts begin from.
const (
	empty   = "empty"   // enrolled, without records
	morning = "morning" // some days' records are everywhere, and the second station has others
	evening = "evening" // some days' records are everywhere, one more day's wait to go up, and others to come down
)

func newTown(programs house.Programs, dir string) (*town, error) {
	r4, err := fhir.Load()
	if err != nil {
		return nil, err
	}
	t := &town{programs: programs, dir: dir, r4: r4, clinic: &clinic{days: historyDays}, quiet: quiet}
	for i := range t.link {
		if t.link[i], err = link.New(""); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// lay lets the links work until ctx ends.
func (t *town) lay(ctx context.Context, g *errgroup.Group) {
	for _, k := range t.link {
		g.Go(func() error { return k.Run(ctx) })
	}
}

// settle enrols the stations while they are empty, and lets both know the first
// one's people.
func (t *town) settle(ctx context.Context) error {
	if err := t.open(ctx); err != nil {
		return err
	}
	for i, name := range []string{"station-1", "station-2"} {
		// Only what is asked for is exchanged.
		set := house.Settings{References: "strict", Urgent: time.Hour, Every: time.Hour, KeyExchange: []string{"classic", "hybrid"}[i]}
		s, err := house.NewStation(t.programs, filepath.Join(t.dir, name), name, set)
		if err != nil {
			return err
		}
		t.station[i] = s
		if err := s.Admit(ctx); err != nil {
			return err
		}
		if err := t.centre.Enrol(ctx, s, t.link[i].Address()); err != nil {
			return err
		}
		if _, err := t.run(ctx, i, 0); err != nil {
			return fmt.Errorf("enrol %s: %w", name, err)
		}
	}
	if err := t.keep(ctx, empty); err != nil {
		return err
	}
	var err error
	if t.past, err = t.write(0, func(s *store.Store) (load, error) { return t.clinic.history(ctx, s) }); err != nil {
		return err
	}
	if _, err := t.run(ctx, 0, 0); err != nil {
		return err
	}
	if err := t.centre.GrantAll(ctx, t.station[1].Name(), t.station[0].Name()); err != nil {
		return err
	}
	for _, i := range []int{0, 1} {
		p, err := t.run(ctx, i, 0)
		if err != nil {
			return err
		}
		if i == 0 {
			t.held = p.records
		}
	}
	if t.above, err = t.write(1, func(s *store.Store) (load, error) { return t.clinic.elsewhere(ctx, s) }); err != nil {
		return err
	}
	if err := t.keep(ctx, morning); err != nil {
		return err
	}
	if _, err := t.run(ctx, 1, 0); err != nil {
		return err
	}
	if t.today, err = t.write(0, func(s *store.Store) (load, error) { return t.clinic.day(ctx, s) }); err != nil {
		return err
	}
	return t.keep(ctx, evening)
}

// open starts the centre.
func (t *town) open(ctx context.Context) (err error) {
	if t.centre, err = house.StartCentre(ctx, t.programs, filepath.Join(t.dir, "centre")); err != nil {
		return err
	}
	for _, k := range t.link {
		k.Lead(t.centre.Address())
		k.Set(link.Shape{})
	}
	return nil
}

// end stops what runs.
func (t *town) end() (err error) {
	for _, s := range t.station {
		if s != nil {
			err = errors.Join(err, s.Stop())
		}
	}
	if t.centre != nil {
		err = errors.Join(err, t.centre.Stop())
		t.centre = nil
	}
	return err
}

// keep copies the files of all, while none of them runs, under a name, and opens
// the centre again.
func (t *town) keep(ctx context.Context, name string) error {
	if err := t.end(); err != nil {
		return err
	}
	for _, who := range []string{"centre", "station-1", "station-2"} {
		if err := os.CopyFS(filepath.Join(t.dir, name, who), os.DirFS(filepath.Join(t.dir, who))); err != nil {
			return err
		}
	}
	return t.open(ctx)
}

// back puts the files back to a state that was kept, everybody's at once: nobody
// has seen what is forgotten.
func (t *town) back(ctx context.Context, name string) error {
	if err := t.end(); err != nil {
		return err
	}
	for _, who := range []string{"centre", "station-1", "station-2"} {
		at := filepath.Join(t.dir, who)
		if err := os.RemoveAll(at); err != nil {
			return err
		}
		if err := os.CopyFS(at, os.DirFS(filepath.Join(t.dir, name, who))); err != nil {
			return err
		}
	}
	return t.open(ctx)
}

// write opens a station's records, while its program does not run, and lets them be
// written.
func (t *town) write(i int, make func(*store.Store) (load, error)) (load, error) {
	s, err := store.Open(store.Options{Dir: t.station[i].Dir(), Name: t.station[i].Name(), R4: t.r4})
	if err != nil {
		return load{}, err
	}
	l, err := make(s)
	return l, errors.Join(err, s.Close())
}

// passage is what one run of a station came to.
type passage struct {
	link.Traffic
	records int64            // that the station holds at its end
	peak    [2]int64         // most memory of station and centre, in bytes
	own     [2]int64         // the same without the pages of files, as seen every 20 ms
	worked  [2]time.Duration // that their processors took
}

// Pauses of waiting for a station to be done.
const (
	quiet  = 2 * time.Second  // above what a thin link and its losses make
	ending = time.Second      // between an exchange's end and its last byte's
	enough = 30 * time.Minute // for one passage
)

// allDay is how many records the first station holds at the least when the day that
// is measured was exchanged; people who are new bring more.
func (t *town) allDay() int64 { return t.held + int64(t.today.born+t.above.born) }

// run starts a station, waits until it is done, and stops it.
func (t *town) run(ctx context.Context, i int, expected int64, weather ...link.Outage) (passage, error) {
	worked := t.centre.Worked()
	t.link[i].Reset()
	if err := t.station[i].Start(ctx); err != nil {
		return passage{}, err
	}
	p, err := t.await(ctx, i, expected, weather)
	p.worked[1] -= worked
	return p, errors.Join(err, t.station[i].Stop())
}

// await waits until nothing of a running station's own waits, it holds as many
// records as are expected, its last exchange has ended and none follows, and no attachment
// waits. The weather begins with the first connection.
func (t *town) await(ctx context.Context, i int, expected int64, weather []link.Outage) (p passage, err error) {
	var storm sync.WaitGroup
	defer storm.Wait()
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	k, s := t.link[i], t.station[i]
	stormy, own := false, [2]int64{}
	for {
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("%s is not done: %w", s.Name(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
		own = [2]int64{max(own[0], s.Own()), max(own[1], t.centre.Own())}
		now := k.Read()
		if now.First.IsZero() {
			continue
		}
		if !stormy && len(weather) > 0 {
			storm.Go(func() { k.Storm(ctx, weather) })
		}
		stormy = true
		if time.Since(now.Last) < t.quiet {
			continue // asking a busy station would cost it time
		}
		rep, err := s.Report(ctx)
		if err != nil {
			return p, err
		}
		if rep.Synced == 0 || rep.Waiting > 0 || rep.Records < expected || rep.Attachments > 0 {
			continue
		}
		if !t.photo && time.UnixMilli(rep.Synced).Add(ending).Before(now.Last) {
			continue
		}
		if rep.Parked > 0 {
			return p, fmt.Errorf("%d entries of %s were parked", rep.Parked, s.Name())
		}
		return passage{now, rep.Records, [2]int64{s.Peak(), t.centre.Peak()}, own, [2]time.Duration{s.Worked(), t.centre.Worked()}}, nil
	}
}
