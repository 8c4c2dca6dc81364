package rehearse

import (
	"context"
	"errors"
	"os"
	"time"

	"tram/agent/rehearse/link"
	"tram/agent/rehearse/process"
)

// rollBack copies the second station's folder, lets it type ten entries and send
// them, and puts the copy back.
func (d *Demo) rollBack(ctx context.Context) error {
	copied := d.b.Dir + ".copy"
	// A copy of files that a program writes would be no copy of any moment.
	if err := d.b.Stop(); err != nil {
		return err
	}
	if err := copyFolder(d.b.Dir, copied); err != nil {
		return err
	}
	if err := d.b.Start(ctx); err != nil {
		return err
	}
	if err := d.typeLate(ctx); err != nil {
		return err
	}
	d.link[d.b].Mend()
	if err := d.b.Synced(ctx); err != nil {
		return err
	}
	centre, err := d.centre.Face().All(ctx, d.kinds)
	if err != nil {
		return err
	}
	if err := d.b.Stop(); err != nil {
		return err
	}
	d.link[d.b].Cut()
	if err := os.RemoveAll(d.b.Dir); err != nil {
		return err
	}
	if err := os.Rename(copied, d.b.Dir); err != nil {
		return err
	}
	if err := d.b.Start(ctx); err != nil {
		return err
	}
	// Its link is still cut: what it shows now is what it knows by itself.
	old, err := d.b.Face().All(ctx, d.kinds)
	if err != nil {
		return err
	}
	sent, forgotten := Line{Key: "late-sent", Want: manyLate}, Line{Key: "late-forgotten", Want: manyLate}
	for _, l := range d.plot.Late {
		if centre[l.Key].Content == l.Content {
			sent.Found++
		}
		if old[l.Key].Content != l.Content {
			forgotten.Found++
		}
	}
	d.judge(sent, forgotten)
	d.tell("rolled-back", manyLate)
	return nil
}

// typeLate types the entries that the copy does not have, and notes them as the
// station acknowledged them.
func (d *Demo) typeLate(ctx context.Context) error {
	b := d.b.Face()
	for i := range d.plot.Late {
		l := &d.plot.Late[i]
		var err error
		if l.Key.IsZero() {
			l.Key, err = b.Create(ctx, "Observation", l.raw)
		} else {
			err = b.Put(ctx, l.Key, l.raw, l.seen)
		}
		if err != nil {
			return err
		}
	}
	have, err := b.All(ctx, d.kinds)
	if err != nil {
		return err
	}
	for i := range d.plot.Late {
		l := &d.plot.Late[i]
		l.Content = have[l.Key].Content
	}
	return nil
}

// How many bytes of a request and of an answer get through: behind some 2 kB of
// certificates a part of what there is to say about 150 changes, which is 3 kB.
const (
	cutUp   = 4700
	cutDown = 5 << 10
)

// killTwice kills the first station with kill -9 while its request is half way
// through, and again while the answer is.
func (d *Demo) killTwice(ctx context.Context) error {
	if err := d.giveUp(ctx); err != nil {
		return err
	}
	killed := Line{Key: "killed", Want: 2}
	for _, cut := range []struct {
		key      string
		up, down int64
	}{{"killed-up", cutUp, -1}, {"killed-down", -1, cutDown}} {
		hold, arrived, err := d.killAt(ctx, cut.up, cut.down)
		if err != nil {
			return err
		}
		// It opens what the kill left, and cannot reach the centre yet.
		if err := d.a.Start(ctx); err != nil {
			return err
		}
		behind, err := d.behind(ctx)
		if err != nil {
			return err
		}
		up, upLeft := hold.Up()
		down, downLeft := hold.Down()
		// Bytes on both ways, more of them withheld, records that came up, and
		// others that had not come down.
		if up > 0 && down > 0 && upLeft+downLeft > 0 && arrived > 0 && behind > 0 {
			killed.Found++
		}
		d.tell(cut.key, up, upLeft, down, downLeft, arrived, behind)
	}
	d.judge(killed)
	return nil
}

// giveUp waits until the first station has given up an exchange that it began while it
// typed: it tries again with what there was to say then, and that would get through.
func (d *Demo) giveUp(ctx context.Context) error {
	return process.Await(ctx, "what was begun while typing is given up", syncLimit, func() (bool, error) {
		st, err := d.a.State(ctx)
		return st.Report.Failures > d.failures, err
	}, d.a.proc)
}

// killAt lets an exchange of the first station go so far, kills the station, and
// tells how many records the centre had stored by then, at least.
func (d *Demo) killAt(ctx context.Context, up, down int64) (*link.Hold, int, error) {
	before, err := d.centre.Face().All(ctx, d.kinds)
	if err != nil {
		return nil, 0, err
	}
	hold := d.link[d.a].HoldAfter(up, down)
	if err := d.a.SyncNow(ctx); err != nil {
		return nil, 0, err
	}
	arrived := 0
	halfway := func() (bool, error) {
		select {
		case <-hold.Reached:
		default:
			return false, nil
		}
		now, err := d.centre.Face().All(ctx, d.kinds)
		arrived = moved(before, now)
		return arrived > 0, err
	}
	if err := process.Await(ctx, "the exchange is half way through and a part of it stored", syncLimit, halfway, d.a.proc); err != nil {
		return nil, 0, err
	}
	if err := d.a.Kill(); err != nil {
		return nil, 0, err
	}
	d.link[d.a].Cut()
	return hold, arrived, nil
}

// behind counts the records that the centre shows otherwise than the first station.
func (d *Demo) behind(ctx context.Context) (int, error) {
	here, err := d.a.Face().All(ctx, d.kinds)
	if err != nil {
		return 0, err
	}
	there, err := d.centre.Face().All(ctx, d.kinds)
	n := 0
	for k := range there {
		if there[k].Content != here[k].Content {
			n++
		}
	}
	return n, err
}

// moved counts the records that show another version than before.
func moved(before, now Snapshot) int {
	n := 0
	for k := range now {
		if now[k].Version != before[k].Version {
			n++
		}
	}
	return n
}

// meet lets both stations return, waits until all agree, and reads what the files
// hold.
func (d *Demo) meet(ctx context.Context) error {
	d.link[d.a].Mend()
	d.link[d.b].Mend()
	r, err := d.look(ctx)
	if err != nil {
		return err
	}
	p := d.plot
	d.report(r)
	d.judge(JudgeEqual("equal", r), JudgeApart(r, p.Apart), JudgeSafety(r, p.Safety), JudgeAdministrative(r, p.Administrative),
		JudgeDeleted(r, p.Deleted), JudgeLate(r, p.Late), JudgeRest(r, d.before, p), JudgeSound(r, len(p.Safety)))
	return nil
}

// decide lets a person at the first station settle one conflict, and sees whether
// everybody learns of it.
func (d *Demo) decide(ctx context.Context) error {
	word, err := Decide(ctx, d.Cast.r4, d.a.Dir, d.a.Name, d.plot.Safety[0], d.a.User)
	if err != nil {
		return err
	}
	if err := errors.Join(d.centre.Start(ctx), d.a.Start(ctx), d.b.Start(ctx)); err != nil {
		return err
	}
	r, err := d.look(ctx)
	if err != nil {
		return err
	}
	d.report(r)
	d.Last = r.Shown[d.a.Name]
	left := JudgeSound(r, len(d.plot.Safety)-1)
	left.Key = "sound-after"
	d.judge(JudgeDecided(r, word), JudgeEqual("equal-after", r), left)
	return nil
}

// agree exchanges until all three replicas show the same, or the time is over.
func (d *Demo) agree(ctx context.Context) (*Replicas, error) {
	// Replicas that never agree are not an error here: the judgement says so.
	for began := time.Now(); ; {
		for _, s := range []*Station{d.a, d.b, d.a} { // what b brings, a still has to hear
			if err := s.Synced(ctx); err != nil {
				return nil, err
			}
		}
		r := &Replicas{Shown: map[string]Snapshot{}}
		for _, one := range []struct {
			name string
			face *Face
		}{{"centre", d.centre.Face()}, {d.a.Name, d.a.Face()}, {d.b.Name, d.b.Face()}} {
			all, err := one.face.All(ctx, d.kinds)
			if err != nil {
				return nil, err
			}
			r.Names, r.Shown[one.name] = append(r.Names, one.name), all
		}
		if JudgeEqual("", r).OK() || time.Since(began) > agreeLimit {
			return r, nil
		}
	}
}

// look waits until the replicas agree, stops all programs and reads their files.
func (d *Demo) look(ctx context.Context) (*Replicas, error) {
	r, err := d.agree(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.Cast.Close(); err != nil {
		return nil, err
	}
	r.Files = map[string]*Evidence{}
	keys := d.plot.Keys()
	for _, one := range []struct {
		name, dir string
	}{{"centre", d.centre.Dir}, {d.a.Name, d.a.Dir}, {d.b.Name, d.b.Dir}} {
		held := keys
		if r.Files[one.name], err = Gather(ctx, d.Cast.r4, one.dir, one.name, one.name == "centre", held); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// report prints what each replica shows.
func (d *Demo) report(r *Replicas) {
	for _, name := range r.Names {
		s := r.Shown[name]
		people, open := 0, 0
		for k := range s {
			if k.Kind == "Patient" {
				people++
			}
			if s[k].Contested {
				open++
			}
		}
		d.tell("replica", name, len(s), people, open, s.Digest())
	}
}

// copyFolder copies a data folder whose program stands still.
func copyFolder(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}
