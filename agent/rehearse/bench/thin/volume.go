package thin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/interop"
	"tram/agent/rehearse/link"
	"tram/store"
	"tram/store/record"
)

// storm is the seed of a weather whose first outage comes in the midst of the day
// too: 2.3 s up, 44 s down, 25 s up.
const storm = 2

// cuts is the day over a link that goes down.
func (b *bench) cuts(ctx context.Context) error {
	if err := b.uncut(ctx); err != nil {
		return err
	}
	b.table.part("The day over 64 kbit/s and 600 ms that goes down; an outage ends all connections at both ends")
	for _, w := range b.weathers() {
		b.say("the day, %s", w.name)
		if err := b.town.back(ctx, evening); err != nil {
			return err
		}
		b.town.link[0].Set(village())
		p, err := b.town.run(ctx, 0, b.town.allDay(), w.when...)
		if err != nil {
			return err
		}
		r, err := b.couchCuts(ctx, w.when)
		if err != nil {
			return err
		}
		ideal := link.Through(w.when, b.whole.Last.Sub(b.whole.First))
		b.table.add(row{name: w.name + ": kB", tram: kilo(p.Bytes()), pouch: r.kilo(r.Bytes())})
		b.table.add(row{name: "  of an uncut run", tram: hundredths(over(p.Bytes(), b.whole.Bytes()))})
		took := r.figure(r.Seconds())
		if r.Up > 0 && !r.Done {
			took = fmt.Sprintf("not in %.0f", r.patience.Seconds())
		}
		b.table.add(row{name: fmt.Sprintf("  seconds (ideal: %.1f)", ideal.Seconds()), tram: tenths(p.Seconds()), pouch: took})
		b.table.add(row{name: "  outages; connections", tram: fmt.Sprintf("%d; %d", p.Cuts, p.Connections), pouch: r.text("%d; %d", r.Cuts, r.Connections)})
	}
	return b.photo(ctx)
}

// weather is when the link is down.
type weather struct {
	name string
	when []link.Outage
}

// weathers are those of the table. The first cut of each comes in the midst of the day.
func (b *bench) weathers() []weather {
	cut := weather{"cut each 30 s, first after 3", link.Cuts(3*time.Second, 30*time.Second, 200)}
	flaps := weather{"up 20 s, down 40 s, on average", link.Flapping(storm, 20*time.Second, 40*time.Second, 200)}
	if b.Short {
		b.table.leave(flaps.name)
		return []weather{cut}
	}
	return []weather{cut, flaps}
}

func (b *bench) couchCuts(ctx context.Context, weather []link.Outage) (r replication, err error) {
	if b.couch == nil || b.Short {
		b.table.leave("PouchDB under cuts")
		return r, nil
	}
	b.say("the same with PouchDB, for %s at most", b.Patience)
	d, err := b.couch.evening(ctx, b.town)
	if err != nil {
		return r, err
	}
	return d.sync(ctx, village(), b.Patience, false, weather...)
}

// weeks is what a station made that was offline for three weeks.
func (b *bench) weeks(ctx context.Context) error {
	if err := b.uncut(ctx); err != nil {
		return err
	}
	days, doses := weeksDays, weeksDoses
	if b.Short {
		days, doses = shortWeeks, 0
		b.table.leave(fmt.Sprintf("all but %d of the three weeks' days", days))
	}
	b.say("%d days offline", days)
	l, err := b.town.write(0, func(s *store.Store) (load, error) { return b.town.clinic.weeks(ctx, s, days, doses) })
	if err != nil {
		return err
	}
	question, err := b.town.ask()
	if err != nil {
		return err
	}
	if err := b.town.centre.Admit(ctx); err != nil {
		return err
	}
	shape := link.Shape{Up: 256_000, Down: 256_000, Delay: 300 * time.Millisecond, Loss: 0.05, Seed: seed}
	b.town.link[0].Set(shape)
	var p passage
	var heard time.Duration
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) { p, err = b.town.run(ctx, 0, 0); return err })
	both.Go(func() (err error) { heard, err = b.town.hear(ctx, question); return err })
	if err := both.Wait(); err != nil {
		return err
	}
	gz, err := bundled(l.lines)
	if err != nil {
		return err
	}
	b.table.part("%d days of %d visits offline: %d records, %d doses among them, %.1f MB of JSON; 256 kbit/s, 600 ms, 5 %% of segments lost",
		days, weeksVisits, l.born, l.doses, float64(l.json())/1e6)
	b.table.add(row{name: "MB up and down", tram: hundredths(float64(p.Bytes()) / 1e6), bundle: hundredths(float64(gz) / 1e6),
		targets: []target{atMost("", float64(p.Bytes())/1e6, 1.5, " MB")}})
	b.table.add(row{name: "bytes a record", tram: tenths(over(p.Bytes(), int64(l.born)))})
	b.table.add(row{name: "minutes", tram: hundredths(p.Seconds() / 60), targets: []target{atMost("", p.Seconds()/60, 10, " min")}})
	b.table.add(row{name: "requests", tram: count(p.Requests)})
	b.table.add(row{name: "urgent question, entered last: s", tram: tenths(heard.Seconds()), targets: []target{atMost("", heard.Seconds(), 5, " s")}})
	return nil
}

// ask writes an urgent question about somebody at the first station, and names it.
func (t *town) ask() (string, error) {
	var key record.Key
	_, err := t.write(0, func(s *store.Store) (l load, err error) {
		who, err := t.past.person()
		if err != nil {
			return l, err
		}
		key = record.Key{Kind: "ServiceRequest", ID: s.NewID()}
		_, err = s.Put(context.Background(), store.Write{Key: key, Author: "hoa", Content: fmt.Appendf(nil,
			`{"resourceType":"ServiceRequest","id":%q,"status":"active","intent":"order","priority":"stat","subject":{"reference":%q}}`, key.ID, who)})
		return l, err
	})
	return key.String(), err
}

// hear waits until the centre has a record, and tells how long after the first connection
// that is.
func (t *town) hear(ctx context.Context, key string) (time.Duration, error) {
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		began := t.link[0].Read().First
		if began.IsZero() {
			continue
		}
		if held, err := t.centre.Holds(ctx, key); held || err != nil {
			return time.Since(began), err
		}
	}
}

// examples is a push of HL7's own, over an open link.
func (b *bench) examples(ctx context.Context) error {
	if b.Examples == "" {
		b.table.leave("HL7's examples: not named")
		return nil
	}
	b.say("HL7's examples")
	all, err := interop.Examples(b.Examples)
	if err != nil {
		return err
	}
	if err := b.town.back(ctx, empty); err != nil {
		return err
	}
	nothing, err := b.town.run(ctx, 0, 0)
	if err != nil {
		return err
	}
	refused := 0
	l, err := b.town.write(0, func(s *store.Store) (l load, err error) {
		l, refused, err = putExamples(ctx, s, all)
		return l, err
	})
	if err != nil {
		return err
	}
	p, err := b.town.run(ctx, 0, 0)
	if err != nil {
		return err
	}
	gz, err := bundled(l.lines)
	if err != nil {
		return err
	}
	zpaq := ""
	if b.Short {
		b.table.leave("zpaq of the examples")
	} else if n, err := limit(ctx, b.town.dir, l.ndjson()); err != nil {
		return err
	} else {
		zpaq = kilo(n)
	}
	payload := p.Up - nothing.Up
	b.table.part("HL7's own examples as a station's records: %d (%d more are not taken by a store), %.1f kB of JSON", l.born, refused, float64(l.json())/1e3)
	b.table.add(row{name: "kB up, less an idle exchange's", tram: kilo(payload), bundle: kilo(gz), zpaq: zpaq, targets: []target{atMost("of the bundle", over(payload, gz), 0.5, "")}})
	b.table.add(row{name: "kB down, all", tram: kilo(p.Down)})
	return nil
}

// putExamples writes resources as they come but for white space. Those that no store
// takes are counted: without a valid id, or the second of one.
func putExamples(ctx context.Context, s *store.Store, all [][]byte) (l load, refused int, err error) {
	seen := map[record.Key]bool{}
	var writes []store.Write
	for _, text := range all {
		var line bytes.Buffer
		if err := json.Compact(&line, text); err != nil {
			return l, refused, err
		}
		key, err := keyOf(line.Bytes())
		if err != nil || seen[key] {
			refused++
			continue
		}
		seen[key] = true
		writes = append(writes, store.Write{Key: key, Content: line.Bytes(), Author: "bench"})
	}
	for len(writes) > 0 {
		n := min(batch, len(writes))
		some, err := put(ctx, s, writes[:n])
		var invalid *store.InvalidError
		if errors.As(err, &invalid) {
			refused++
			writes = slices.DeleteFunc(writes, func(w store.Write) bool { return w.Key == invalid.Key })
			continue
		}
		if err != nil {
			return l, refused, err
		}
		l.born += some.born
		l.lines = append(l.lines, some.lines...)
		writes = writes[n:]
	}
	return l, refused, nil
}

// keyOf reads the kind and the id of a resource.
func keyOf(resource []byte) (record.Key, error) {
	var key struct{ ResourceType, ID string }
	if err := json.Unmarshal(resource, &key); err != nil {
		return record.Key{}, err
	}
	if key.ResourceType == "" || key.ID == "" {
		return record.Key{}, errors.New("a resource without a kind or an id")
	}
	return record.Key{Kind: key.ResourceType, ID: key.ID}, nil
}

// first is a first push over an open link, and the first pull of another station, which is
// let see all that was pushed.
func (b *bench) first(ctx context.Context) error {
	b.say("a first push of %d records", b.Records)
	if err := b.town.back(ctx, empty); err != nil {
		return err
	}
	// what starting and an exchange take by themselves
	nothing, err := b.town.run(ctx, 0, 0)
	if err != nil {
		return err
	}
	l, err := b.town.write(0, func(s *store.Store) (load, error) { return b.town.clinic.first(ctx, s, b.Records) })
	if err != nil {
		return err
	}
	p, err := b.town.run(ctx, 0, 0)
	if err != nil {
		return err
	}
	r, err := b.couchFirst(ctx, l, false)
	if err != nil {
		return err
	}
	b.volume("push", l, p, nothing, r)

	b.say("a first pull of them")
	if nothing, err = b.town.run(ctx, 1, 0); err != nil {
		return err
	}
	if err := b.town.centre.GrantAll(ctx, b.town.station[1].Name(), b.town.station[0].Name()); err != nil {
		return err
	}
	if p, err = b.town.run(ctx, 1, int64(l.born)); err != nil {
		return err
	}
	if r, err = b.couchFirst(ctx, l, true); err != nil {
		return err
	}
	b.volume("pull", l, p, nothing, r)
	return nil
}

// volume prints what many records cost that went one way, beside PouchDB.
func (b *bench) volume(way string, l load, p, nothing passage, r replication) {
	n := float64(l.born)
	speed := n / p.Seconds()
	b.table.part("A first %s of %d records (%.1f MB of JSON) over an open link; PouchDB syncs no write to its disk", way, l.born, float64(l.json())/1e6)
	fast := row{name: "records a second", tram: fmt.Sprintf("%.0f", speed)}
	if r.Up > 0 {
		theirs := n / r.Seconds()
		fast.pouch = fmt.Sprintf("%.0f", theirs)
		fast.targets = []target{atLeast("times PouchDB's", speed/theirs, 15, "")}
	}
	b.table.add(fast)
	b.table.add(row{name: "MB up and down", tram: hundredths(float64(p.Bytes()) / 1e6), pouch: r.figure(float64(r.Bytes()) / 1e6)})
	for i, who := range []string{"station", "centre"} {
		each := func(d time.Duration) float64 { return float64(d.Microseconds()) / n }
		b.table.add(row{name: "CPU us a record, " + who, tram: fmt.Sprintf("%.0f", each(max(p.worked[i]-nothing.worked[i], 0))), pouch: r.text("%.0f", each(r.worked[i]))})
	}
	for i, who := range []string{"station", "centre"} {
		b.table.add(row{name: "most memory (VmHWM), MB, " + who, tram: tenths(float64(p.peak[i]) / 1e6), pouch: r.figure(float64(r.peak[i]) / 1e6)})
		most := row{name: "  without the pages of files (RssAnon)", tram: tenths(float64(p.own[i]) / 1e6)}
		if i == 0 {
			most.targets = []target{atMost("", float64(p.own[i])/1e6, 64, " MB")}
		}
		b.table.add(most)
	}
}

// couchFirst is the same of PouchDB, in processes that have not written what they
// push, or what they pull.
func (b *bench) couchFirst(ctx context.Context, l load, pull bool) (r replication, err error) {
	if b.couch == nil {
		return r, nil
	}
	b.say("the same with PouchDB")
	dir := filepath.Join(b.town.dir, fmt.Sprintf("first-%t", pull))
	for _, do := range []func(*database) error{
		func(d *database) error { return d.load(l, pull) },
		func(d *database) (err error) {
			r, err = d.sync(ctx, link.Shape{}, enough, !pull)
			return err
		},
	} {
		c, err := startCouch(ctx, b.Couch, dir)
		if err != nil {
			return r, err
		}
		d, err := c.database()
		if err == nil {
			err = do(d)
		}
		if err = errors.Join(err, c.stop()); err != nil {
			return r, err
		}
	}
	if r.Written != l.born {
		return r, fmt.Errorf("PouchDB wrote %d records of %d", r.Written, l.born)
	}
	return r, nil
}
