package thin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tram/agent/rehearse/link"
	"tram/store"
	"tram/store/practice"
	"tram/store/record"
)

// village is the link that Tram is made for: 64 kbit/s each way, and 600 ms there
// and back.
func village() link.Shape { return link.Shape{Up: 64_000, Down: 64_000, Delay: 300 * time.Millisecond} }

// idle is what an exchange with nothing to do takes on a new connection. It is
// measured once, on a station that was just exchanged.
func (b *bench) idle(ctx context.Context) (passage, error) {
	if b.nothing.Up == 0 {
		var err error
		if b.nothing, err = b.town.run(ctx, 0, 0); err != nil {
			return b.nothing, err
		}
	}
	return b.nothing, nil
}

// uncut exchanges the day over the village's link, from what was in the evening.
func (b *bench) uncut(ctx context.Context) error {
	if b.whole.Up > 0 {
		return nil
	}
	b.say("the day goes over 64 kbit/s and 600 ms")
	err := b.town.back(ctx, evening)
	if err == nil {
		b.town.link[0].Set(village())
		b.whole, err = b.town.run(ctx, 0, b.town.allDay())
	}
	return err
}

// day is a day's records over the village's link, beside everybody else.
func (b *bench) day(ctx context.Context) error {
	if err := b.uncut(ctx); err != nil {
		return err
	}
	nothing, err := b.idle(ctx)
	if err != nil {
		return err
	}
	t, p := b.town, b.whole
	gz, err := bundled(t.today.lines)
	if err != nil {
		return err
	}
	zpaq, err := limit(ctx, t.dir, t.today.ndjson())
	if err != nil {
		return err
	}
	r, err := b.couchDay(ctx)
	if err != nil {
		return err
	}
	audited, acts, err := b.audited(ctx)
	if err != nil {
		return err
	}
	payload := p.Up - nothing.Up
	b.table.part("A day over 64 kbit/s and 600 ms: %d new records and %d edits up (%.1f kB of JSON, seed %d), %d records down",
		t.today.born, t.today.edited, float64(t.today.json())/1e3, seed, t.above.born)
	b.table.add(row{name: "kB up, all on the socket", tram: kilo(p.Up), pouch: r.kilo(r.Up)})
	b.table.add(row{name: "kB up, less an idle exchange's", tram: kilo(payload), bundle: kilo(gz), zpaq: kilo(zpaq), targets: []target{
		atMost("of zpaq", over(payload, zpaq), 1, ""), atMost("", float64(payload)/1e3, 9, " kB")}})
	b.table.add(row{name: "kB down, all", tram: kilo(p.Down), pouch: r.kilo(r.Down)})
	all := row{name: "kB in all", tram: kilo(p.Bytes()), pouch: r.kilo(r.Bytes())}
	if r.Up > 0 {
		all.targets = append(all.targets, atLeast("PouchDB's is", over(r.Bytes(), p.Bytes()), 25, " times as much"))
	}
	b.table.add(all)
	b.table.add(row{name: fmt.Sprintf("  with %d entries of the audit up", acts), tram: kilo(audited.Bytes()), targets: []target{atMost("", float64(audited.Bytes())/1e3, 24, " kB")}})
	n := float64(t.today.records() + t.above.born)
	b.table.add(row{name: "bytes a record, up and down", tram: tenths(float64(p.Bytes()) / n), pouch: r.figure(float64(r.Bytes()) / n)})
	b.table.add(row{name: "requests", tram: count(p.Requests), pouch: r.count(r.Calls)})
	b.table.add(row{name: "connections", tram: count(p.Connections), pouch: r.count(r.Connections)})
	b.table.add(row{name: "round trips", tram: count(p.Trips), pouch: r.count(r.Trips)})
	took := row{name: "seconds", tram: tenths(p.Seconds()), targets: []target{atMost("", p.Seconds(), 5, " s")}}
	if r.Up > 0 && !b.Short {
		took.pouch = tenths(r.Seconds())
		b.theirs = time.Duration(r.Seconds() * float64(time.Second))
		took.targets = append(took.targets, b.against(p))
	}
	b.table.add(took)
	return nil
}

// against holds the seconds of a day against PouchDB's.
func (b *bench) against(p passage) target {
	return atLeast("PouchDB, which connects, takes", b.theirs.Seconds()/p.Seconds(), 25, " times as long")
}

// audited is the day with what the audit has of it.
func (b *bench) audited(ctx context.Context) (p passage, acts int, err error) {
	b.say("the same with the audit")
	if err := b.town.back(ctx, evening); err != nil {
		return p, 0, err
	}
	_, err = b.town.write(0, func(s *store.Store) (load, error) {
		acts, err = b.town.clinic.look(ctx, s)
		return load{}, err
	})
	if err != nil {
		return p, 0, err
	}
	b.town.link[0].Set(village())
	p, err = b.town.run(ctx, 0, b.town.allDay())
	return p, acts, err
}

// couchDay is the same of PouchDB; in a short run over an open link, where the bytes
// are the same.
func (b *bench) couchDay(ctx context.Context) (r replication, err error) {
	if b.couch == nil {
		return r, nil
	}
	shape := village()
	if b.Short {
		shape = link.Shape{}
		b.table.leave("PouchDB's seconds on 64 kbit/s, which are minutes")
	}
	b.say("the same with PouchDB")
	d, err := b.couch.evening(ctx, b.town)
	if err != nil {
		return r, err
	}
	if r, err = d.sync(ctx, shape, enough, false); err == nil {
		// the station's records come back to it as names alone
		if want := b.town.today.records() + b.town.above.born; r.Written > want || r.Written < b.town.today.born+b.town.above.born {
			err = fmt.Errorf("PouchDB wrote %d records instead of %d", r.Written, want)
		}
	}
	b.evened = d
	return r, err
}

// live is what an edit, and nothing to do, take on a connection that is there.
func (b *bench) live(ctx context.Context) (err error) {
	t := b.town
	if err := b.uncut(ctx); err != nil {
		return err
	}
	nothing, err := b.idle(ctx)
	if err != nil {
		return err
	}
	b.say("one edit on a live connection")
	t.link[0].Set(village())
	t.link[0].Reset()
	s := t.station[0]
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if _, err := t.await(ctx, 0, 0, nil); err != nil {
		return err
	}
	again := func() (passage, error) {
		t.link[0].Reset()
		if err := s.SyncNow(ctx); err != nil {
			return passage{}, err
		}
		return t.await(ctx, 0, 0, nil)
	}
	still, err := again()
	if err != nil {
		return err
	}
	key, changed, err := smallEdit(t.today)
	if err != nil {
		return err
	}
	if err := s.Save(ctx, key.String(), changed); err != nil {
		return err
	}
	edit, err := again()
	if err != nil {
		return err
	}
	hybrid, err := t.run(ctx, 1, 0) // what came for it is taken
	if err == nil {
		hybrid, err = t.run(ctx, 1, 0)
	}
	if err != nil {
		return err
	}
	day, err := b.liveDay(ctx)
	if err != nil {
		return err
	}
	none, one, err := b.couchLive(ctx, key, changed)
	if err != nil {
		return err
	}
	b.table.part("The same link, on a connection that is there")
	b.table.add(row{name: "one edit, kB up and down", tram: kilo(edit.Bytes()), pouch: one.kilo(one.Bytes()), targets: []target{atMost("", float64(edit.Bytes())/1e3, 1.2, " kB")}})
	b.table.add(row{name: "one edit, round trips", tram: count(edit.Trips), pouch: one.count(one.Trips), targets: []target{atMost("", float64(edit.Trips), 1, "")}})
	b.table.add(row{name: "one edit, seconds", tram: hundredths(edit.Seconds()), pouch: one.figure(one.Seconds())})
	b.table.add(row{name: "nothing to do, kB up and down", tram: kilo(still.Bytes()), pouch: none.kilo(none.Bytes()), targets: []target{atMost("", float64(still.Bytes())/1e3, 0.9, " kB")}})
	b.table.add(row{name: "nothing to do, round trips", tram: count(still.Trips), pouch: none.count(none.Trips), targets: []target{atMost("", float64(still.Trips), 1, "")}})
	b.table.add(row{name: "nothing to do, seconds", tram: hundredths(still.Seconds()), pouch: none.figure(none.Seconds())})
	sped := row{name: "the day, seconds", tram: tenths(day.Seconds())}
	if b.theirs > 0 {
		sped.targets = append(sped.targets, b.against(day))
	}
	b.table.add(row{name: "the day, kB up and down", tram: kilo(day.Bytes())})
	b.table.add(row{name: "the day, round trips", tram: count(day.Trips)})
	b.table.add(sped)
	b.table.add(row{name: "nothing to do, new connection, kB", tram: kilo(nothing.Bytes())})
	b.table.add(row{name: "  with X25519MLKEM768", tram: kilo(hybrid.Bytes())})
	b.table.add(row{name: "  round trips", tram: count(nothing.Trips)})
	return nil
}

// liveDay is the day on a connection that was there before it, with the same records up
// and down. They are written through the FHIR face.
func (b *bench) liveDay(ctx context.Context) (p passage, err error) {
	b.say("the day on a live connection")
	t := b.town
	if err := t.back(ctx, morning); err != nil {
		return p, err
	}
	t.link[0].Set(village())
	t.link[0].Reset()
	s := t.station[0]
	if err := s.Start(ctx); err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if _, err := t.await(ctx, 0, 0, nil); err != nil {
		return p, err
	}
	if _, err := t.run(ctx, 1, 0); err != nil {
		return p, err
	}
	for _, some := range [][][]byte{t.today.lines[:t.today.born], t.today.lines[t.today.born:]} {
		if err := s.Submit(ctx, some...); err != nil {
			return p, err
		}
	}
	t.link[0].Reset()
	if err := s.SyncNow(ctx); err != nil {
		return p, err
	}
	return t.await(ctx, 0, t.allDay(), nil)
}

// smallEdit changes one element of a record of the day.
func smallEdit(today load) (record.Key, []byte, error) {
	for i := len(today.lines) - 1; i >= 0; i-- {
		key, err := keyOf(today.lines[i])
		if err != nil {
			return key, nil, err
		}
		if changed, element := practice.EditAdministrative(today.lines[i], 4711); element != "" {
			return key, changed, nil
		}
	}
	return record.Key{}, nil, errors.New("there is no record to edit")
}

// couchLive is the same of PouchDB, after its day.
func (b *bench) couchLive(ctx context.Context, key record.Key, changed []byte) (none, one replication, err error) {
	if b.evened == nil || b.Short {
		b.table.leave("PouchDB's one edit and nothing to do")
		return none, one, nil
	}
	b.say("the same with PouchDB")
	b.couch.link.Set(village())
	if _, err = b.evened.again(ctx, enough, false); err != nil { // so that connections are there
		return none, one, err
	}
	if none, err = b.evened.again(ctx, enough, false); err != nil {
		return none, one, err
	}
	if err = b.evened.load(load{born: 1, lines: [][]byte{changed}}, false); err != nil {
		return none, one, err
	}
	one, err = b.evened.again(ctx, enough, false)
	return none, one, err
}

func over(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }
