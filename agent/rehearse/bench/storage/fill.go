package storage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

// Names of the bench's station and of who writes in it.
const (
	stationName = "bench"
	author      = "yta.hoa"
)

// upstream plays the centre of a station that made all its records itself: it
// accepts what the station made, gives a receipt for it, and hands the names of the
// changes down again in its feeds. That is how a station's own record comes to be
// at the centre.
type upstream struct {
	seq map[string]uint64 // by feed
}

// filling is what a load took.
type filling struct {
	grown     int64         // of the database before it was compacted, in bytes
	compacted time.Duration // how long that took
	records   int
	waiting   int // of these, without an answer
	put, told time.Duration
}

// tellEach is after how many records a filling says how far it is.
const tellEach = 50_000

// rest is how many of the last records no upstream has answered yet.
const rest = 2 * batch

// Fill loads the records of a corpus into the store of a station's folder, and tells
// from time to time how many it holds.
func Fill(ctx context.Context, dir string, c Corpus, say func(records int)) error {
	r4, err := fhir.Load()
	if err == nil {
		_, err = fill(ctx, dir, c, r4, say)
	}
	return err
}

// fill loads the records of a corpus as somebody at the station writes them,
// batch by batch.
func fill(ctx context.Context, dir string, c Corpus, r4 *fhir.R4, say func(int)) (f filling, err error) {
	s, err := store.Open(store.Options{Dir: dir, Name: stationName, R4: r4})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	up := upstream{map[string]uint64{}}
	err = eachBatch(c.File, func(writes []store.Write) error {
		began := time.Now()
		made, err := s.Put(ctx, writes...)
		if err != nil {
			return err
		}
		f.put += time.Since(began)
		if (f.records+len(made))/tellEach > f.records/tellEach {
			say(f.records + len(made))
		}
		if f.records += len(made); f.records > c.Records-min(rest, c.Records/2) {
			f.waiting += len(made)
			return ctx.Err()
		}
		began = time.Now()
		err = up.answer(ctx, s, made)
		f.told += time.Since(began)
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return f, err
	}
	have, err := s.Waiting()
	if err != nil {
		return f, err
	}
	if f.records != c.Records || have.Records != c.Records || have.People != c.People || have.Waiting != f.waiting {
		return f, fmt.Errorf("the store holds %d records of %d people, and %d wait; it was given %d, %d and %d",
			have.Records, have.People, have.Waiting, c.Records, c.People, f.waiting)
	}
	return f, f.compact(ctx, s)
}

// compact makes the database small, as the station does when it is idle.
func (f *filling) compact(ctx context.Context, s *store.Store) error {
	info, err := os.Stat(filepath.Join(s.Dir(), "tram.db"))
	if err != nil {
		return err
	}
	f.grown = info.Size()
	began := time.Now()
	err = s.Compact(ctx)
	f.compacted = time.Since(began)
	return err
}

// answer applies what comes back for a batch.
func (u upstream) answer(ctx context.Context, s *store.Store, made []*record.Version) error {
	link, _, err := s.Chain(made[0].Name.Lineage, 0)
	if err != nil {
		return err
	}
	own := record.Stretch{Peer: "centre", Receipts: []record.Receipt{{Link: link, Epoch: "first", At: made[0].Stamp.Unix}}}
	shared := record.Stretch{Peer: "centre"}
	for _, v := range made {
		own.Answers = append(own.Answers, record.Answer{Key: v.Key, Ref: v.Ref(), Verdict: record.Accepted})
		feed, in := record.OwnFeed, &own
		switch v.Key.Kind {
		case "Organization", "Location", "Practitioner", "PractitionerRole", "Medication":
			feed, in = record.SharedFeed, &shared
		}
		u.seq[feed]++
		in.Arrived = append(in.Arrived, record.Arrival{Change: record.Change{Seq: u.seq[feed], Key: v.Key, Ref: v.Ref()}, On: v.Ref()})
		in.Cursor = &record.Cursor{Feed: feed, Epoch: "first", Seq: u.seq[feed], Digest: record.Sum([]byte(feed), fmt.Append(nil, u.seq[feed]))}
	}
	return errors.Join(s.Apply(ctx, own), s.Apply(ctx, shared))
}

// eachBatch reads a corpus and hands out its records as births.
func eachBatch(file string, f func([]store.Write) error) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	var some []store.Write
	for lines.Scan() {
		key, err := keyOf(lines.Text())
		if err != nil {
			return err
		}
		some = append(some, store.Write{Key: key, Content: bytes.Clone(lines.Bytes()), Author: author})
		if len(some) == batch {
			if err := f(some); err != nil {
				return err
			}
			some = nil
		}
	}
	if err := lines.Err(); err != nil || len(some) == 0 {
		return err
	}
	return f(some)
}

// keyOf reads how every practice record begins: its kind, then its id.
func keyOf(line string) (record.Key, error) {
	f := strings.SplitN(line, `"`, 9)
	if len(f) < 9 || f[1] != "resourceType" || f[5] != "id" {
		return record.Key{}, fmt.Errorf("a line that begins as no practice record does")
	}
	return record.Key{Kind: f[3], ID: f[7]}, nil
}
