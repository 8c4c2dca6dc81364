package thin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"tram/agent/rehearse/link"
	"tram/store"
	"tram/store/record"
)

// How large a photo is, in bytes.
const (
	photoSize  = 3_000_000
	shortPhoto = 300_000
)

// photo is the day with a photo behind it, over a link that is cut and one that is not.
func (b *bench) photo(ctx context.Context) error {
	size := photoSize
	if b.Short {
		size = shortPhoto
		b.table.leave(fmt.Sprintf("all but %d kB of the photo's %d", shortPhoto/1000, photoSize/1000))
	}
	fair, err := b.photographed(ctx, size, nil)
	if err != nil {
		return err
	}
	b.table.part("The same day and a photo of %.1f MB behind it", float64(size)/1e6)
	b.table.add(row{name: "uncut: kB", tram: kilo(fair.Bytes())})
	b.table.add(row{name: "  of the photo's bytes", tram: hundredths(over(fair.Bytes()-b.whole.Bytes(), int64(size)))})
	b.table.add(row{name: "  seconds", tram: tenths(fair.Seconds())})
	for _, w := range b.weathers() {
		cut, err := b.photographed(ctx, size, w.when)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			b.table.add(row{name: w.name + ": kB", tram: fmt.Sprintf("not in %.0f s", enough.Seconds())})
			continue
		}
		if err != nil {
			return err
		}
		b.table.add(row{name: w.name + ": kB", tram: kilo(cut.Bytes()),
			targets: []target{atMost("of an uncut run", over(cut.Bytes(), fair.Bytes()), 1.15, "")}})
		ideal := link.Through(w.when, fair.Last.Sub(fair.First))
		b.table.add(row{name: fmt.Sprintf("  seconds (ideal: %.1f)", ideal.Seconds()), tram: tenths(cut.Seconds())})
		b.table.add(row{name: "  outages; connections", tram: fmt.Sprintf("%d; %d", cut.Cuts, cut.Connections)})
	}
	return nil
}

// photographed exchanges the day and a photo, from what was in the evening, and sees that the
// centre has the photo then.
func (b *bench) photographed(ctx context.Context, size int, weather []link.Outage) (p passage, err error) {
	t := b.town
	b.say("the day and a photo of %d kB, %d cuts to come", size/1000, len(weather))
	if err := t.back(ctx, evening); err != nil {
		return p, err
	}
	var id string
	_, err = t.write(0, func(s *store.Store) (load, error) {
		id, err = t.photograph(ctx, s, size)
		return load{}, err
	})
	if err != nil {
		return p, err
	}
	t.link[0].Set(village())
	t.photo = true
	p, err = t.run(ctx, 0, t.allDay()+1, weather...)
	t.photo = false
	if err = errors.Join(err, t.end()); err != nil {
		return p, err
	}
	s, err := store.Open(store.Options{Dir: filepath.Join(t.dir, "centre"), Name: "centre", Top: true, R4: t.r4})
	if err != nil {
		return p, err
	}
	if !s.Blobs().Has(id) {
		err = errors.New("the centre has no photo")
	}
	return p, errors.Join(err, s.Close(), t.open(ctx))
}

// photograph puts a photo, and a record about one of the people that refers to it.
func (t *town) photograph(ctx context.Context, s *store.Store, size int) (string, error) {
	bits := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed % 251}).Read(bits) // it never fails
	id, err := s.Blobs().Put(bytes.NewReader(bits), int64(size))
	if err != nil {
		return "", err
	}
	who, err := t.past.person()
	if err != nil {
		return "", err
	}
	doc := record.Key{Kind: "DocumentReference", ID: s.NewID()}
	_, err = s.Put(ctx, store.Write{Key: doc, Author: "hoa", Content: fmt.Appendf(nil,
		`{"resourceType":"DocumentReference","id":%q,"status":"current","subject":{"reference":%q},"content":[{"attachment":{"contentType":"image/jpeg","size":%d,"url":"Binary/%s"}}]}`,
		doc.ID, who, size, id)})
	return id, err
}

// person is somebody of a load.
func (l load) person() (record.Key, error) {
	for _, line := range l.lines {
		if who, err := keyOf(line); err == nil && who.Kind == "Patient" {
			return who, nil
		}
	}
	return record.Key{}, errors.New("nobody is there to be photographed, or asked about")
}
