package interop

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tram/store/fhir"
	"tram/store/query"
	"tram/sync/status"
)

// sync carries everything from the first station through the centre to the
// second one.
func (t *trial) sync(ctx context.Context) error {
	first, second := t.station[0], t.station[1]
	var sent status.Report
	for {
		if err := first.SyncNow(ctx); err != nil {
			return err
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("%d entries still wait at the first station: %w", sent.Waiting, err)
		}
		var err error
		if sent, err = first.Report(ctx); err != nil {
			return err
		}
		if sent.Waiting == 0 && sent.Synced > 0 {
			break
		}
	}
	if sent.Parked > 0 {
		fmt.Fprintf(t.out, "%d entries were parked by the centre\n", sent.Parked)
	}
	people, err := t.patients()
	if err != nil {
		return err
	}
	if err := t.centre.Grant(ctx, second.Name(), people); err != nil {
		return err
	}
	if err := second.Start(ctx); err != nil {
		return err
	}
	return t.arrive(ctx, sent.Records)
}

// still is for how many looks a station's count must stand before it counts as
// all that comes.
const still = 10

// arrive waits until the second station holds as many records as the first did,
// or no more come.
func (t *trial) arrive(ctx context.Context, all int64) error {
	last, same := int64(-1), 0
	for same < still {
		rep, err := t.station[1].Report(ctx)
		if err != nil {
			return err
		}
		if rep.Synced > 0 && rep.Records >= all {
			return nil
		}
		if rep.Records != last || rep.Synced == 0 {
			same = 0
		}
		last = rep.Records
		same++
		if err := t.station[1].SyncNow(ctx); err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return fmt.Errorf("the second station has %d of %d records: %w", rep.Records, all, err)
		}
	}
	fmt.Fprintf(t.out, "the second station came to rest at %d records, the first has %d\n", last, all)
	return nil
}

// patients are the ids of all people whom the records are about: some of the examples are
// about people who are not among them. It notes which may be about somebody and name nobody.
func (t *trial) patients() ([]string, error) {
	r4, err := fhir.Load()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range t.files {
		if f.trouble != "" {
			continue
		}
		for _, it := range f.records {
			v, err := reparse(it.want)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			found := query.FoundBy(r4, v)
			it.private, out = found.Private, append(out, found.People...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
