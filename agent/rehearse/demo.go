package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tram/agent/rehearse/link"
	"tram/store/record"
)

// agreeLimit is how long the replicas may take to agree.
const agreeLimit = 2 * time.Minute

// practicePeople is a station of two days, 40 visits each.
func practicePeople() People { return People{Seed: 7, People: 400, Days: 2} }

// Demo plays two stations that work apart, one of which is killed in
// mid-exchange and the other rolled back, and judges what came of it.
type Demo struct {
	Cast   *Cast
	Bundle string // folder of FHIR bundles; "" for practice people
	Out    io.Writer
	Words  Words

	centre *Centre
	a, b   *Station
	link   map[*Station]*link.Link
	kinds  []string
	before Snapshot // what all three show before the stations part
	plot   *Plot
	// failures are the exchanges that the first station had tried in vain when all was typed.
	failures int64
	Lines    []Line
	// Last is what the replicas show at the end.
	Last Snapshot
}

// Run plays the demo; its programs have ended when it returns. Lines tell how it
// went.
func (d *Demo) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	var links sync.WaitGroup
	defer func() {
		err = errors.Join(err, d.Cast.Close())
		cancel()
		links.Wait()
	}()
	// The audit is each replica's own, and nobody writes it.
	d.kinds = slices.DeleteFunc(slices.Clone(d.Cast.r4.Kinds()), func(k string) bool { return k == "AuditEvent" })
	d.a, d.b = d.Cast.Station("tram-a"), d.Cast.Station("tram-b")
	// The acts build on each other; the first that cannot be played ends the demo.
	for _, act := range []func(context.Context) error{
		func(ctx context.Context) error { return d.open(ctx, &links) },
		d.share, d.part, d.rollBack, d.killTwice, d.meet, d.decide,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) tell(key string, args ...any) { say(d.Out, d.Words.Get(key), args...) }

// say prints one line for whoever watches.
func say(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// open brings up the centre and both stations, enrolled through links that can be
// cut.
func (d *Demo) open(ctx context.Context, links *sync.WaitGroup) error {
	listen, err := freePort(0)
	if err != nil {
		return err
	}
	if d.centre, err = d.Cast.Centre(ctx, listen, "127.0.0.1:0", "rehearse-2580"); err != nil {
		return err
	}
	if err := d.centre.Start(ctx); err != nil {
		return err
	}
	d.link = map[*Station]*link.Link{}
	for _, s := range []*Station{d.a, d.b} {
		k, err := link.New(listen)
		if err != nil {
			return err
		}
		d.link[s] = k
		links.Go(func() {
			if err := k.Run(ctx); err != nil {
				say(d.Out, "the link of %s failed: %v", s.Name, err)
			}
		})
		// The second station begins with accounts alone: its people come by a grant.
		people := practicePeople()
		if s == d.b || d.Bundle != "" {
			people.Days = 0
		}
		err = errors.Join(s.Settle("127.0.0.1:0", ""), s.Practise(ctx, people), d.centre.Enrol(ctx, s, k.Address()))
		if err == nil {
			err = s.Start(ctx)
		}
		if err != nil {
			return err
		}
	}
	if d.Bundle != "" {
		if err := d.takeIn(ctx); err != nil {
			return err
		}
	}
	d.tell("opened", d.Cast.Work)
	return nil
}

// takeIn gives the bundles to the first station. One that refers to what is in
// another is tried again after it.
func (d *Demo) takeIn(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(d.Bundle, "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("there are no bundles (*.json) in %s", d.Bundle)
	}
	slices.SortFunc(files, func(a, b string) int { // what all share first
		return strings.Compare(sharedFirst(a), sharedFirst(b))
	})
	for left := files; len(left) > 0; {
		refused, err := d.a.Import(ctx, left)
		if len(refused) == len(left) {
			return fmt.Errorf("%d of %d bundles are refused: %w", len(refused), len(files), err)
		}
		left = refused
	}
	d.tell("taken", len(files), d.Bundle)
	return nil
}

func sharedFirst(file string) string {
	name := filepath.Base(file)
	for i, prefix := range []string{"hospitalInformation", "practitionerInformation"} {
		if strings.HasPrefix(name, prefix) {
			return fmt.Sprint(i) + name
		}
	}
	return "9" + name
}

// share lets both stations hold the same people and waits until all three
// replicas are equal.
func (d *Demo) share(ctx context.Context) error {
	if err := d.a.Synced(ctx); err != nil {
		return err
	}
	if err := d.centre.Grant(ctx, d.b.Name, d.a.Name); err != nil {
		return err
	}
	r, err := d.agree(ctx)
	if err != nil {
		return err
	}
	d.judge(JudgeEqual("equal-before", r))
	d.before = r.Shown[d.a.Name]
	if d.plot, err = Draw(d.Cast.r4, d.before); err != nil {
		return err
	}
	d.tell("shared", len(d.before), Kinds(d.before.Keys()))
	for _, g := range []struct {
		key   string
		cases []Case
	}{{"chosen-apart", d.plot.Apart}, {"chosen-safety", d.plot.Safety}, {"chosen-administrative", d.plot.Administrative}, {"chosen-deleted", d.plot.Deleted}} {
		var keys []record.Key
		for _, c := range g.cases {
			keys = append(keys, c.Key)
		}
		d.tell(g.key, len(keys), Kinds(keys))
	}
	return nil
}

// part cuts both links and lets both stations type.
func (d *Demo) part(ctx context.Context) error {
	d.link[d.a].Cut()
	d.link[d.b].Cut()
	a, b := d.a.Face(), d.b.Face()
	began, n := time.Now(), 0
	for _, group := range [][]Case{d.plot.Apart, d.plot.Safety, d.plot.Administrative, d.plot.Deleted} {
		// Whose word is later differs from record to record: a begins some of them,
		// then b has its turn with all, then a comes to the others.
		for _, turn := range []struct {
			at   *Face
			mine func(c Case) (bool, []byte)
		}{
			{a, func(c Case) (bool, []byte) { return c.AFirst, c.rawA }},
			{b, func(c Case) (bool, []byte) { return true, c.rawB }},
			{a, func(c Case) (bool, []byte) { return !c.AFirst, c.rawA }},
		} {
			for _, c := range group {
				mine, raw := turn.mine(c)
				if !mine {
					continue
				}
				if err := change(ctx, turn.at, c.Key, raw, c.seen); err != nil {
					return err
				}
				n++
			}
		}
	}
	d.tell("typed", n, time.Since(began).Seconds())
	st, err := d.a.State(ctx)
	if err != nil {
		return err
	}
	d.failures = st.Report.Failures
	// Each queue holds at least its own half, and the centre shows nothing new.
	l := Line{Key: "offline", Want: 3}
	for _, s := range []*Station{d.a, d.b} {
		if st, err := s.State(ctx); err == nil && st.Report.Waiting >= int64(n/2) {
			l.Found++
		}
	}
	centre, err := d.centre.Face().All(ctx, d.kinds)
	if err != nil {
		return err
	}
	if centre.Digest() == d.before.Digest() {
		l.Found++
	}
	d.judge(l)
	return nil
}

// change writes a resource or, where there is none, deletes the record.
func change(ctx context.Context, f *Face, key record.Key, raw []byte, seen string) error {
	if raw == nil {
		return f.Delete(ctx, key, seen)
	}
	return f.Put(ctx, key, raw, seen)
}

func (d *Demo) judge(lines ...Line) { d.Lines = append(d.Lines, lines...) }
