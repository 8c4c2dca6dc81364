//go:build linux && (amd64 || arm64)

package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tram/store/storetest/torture/disk"
	"tram/store/storetest/torture/judge"
	"tram/store/storetest/torture/tape"
)

// crashCmd cuts the power.
type crashCmd struct {
	States  int    `help:"How many different disks to judge." default:"20000"`
	Planted int    `help:"Within how many disks a planted fault must be found." default:"3000"`
	Seed    uint64 `help:"Seed of the work and of the dice; 0 draws one."`
	State   string `help:"Make one disk again and keep it: LIFE:PREFIX:NUMBER of a run that failed, with its seed."`
	Work    string `help:"Folder for what failed; made anew." default:".build/torture/crash" type:"path"`
}

// lives are the scripts whose lives are recorded.
func lives() []string { return []string{"station", "centre", "crowd"} }

func (c crashCmd) Run(ctx context.Context, out io.Writer) (err error) {
	memory, done, err := workplace("crash")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	run := &crash{crashCmd: c, ctx: ctx, out: out, memory: memory, court: newCourt(ctx)}
	defer func() { err = errors.Join(err, run.court.close()) }()
	if c.State != "" {
		return run.again()
	}
	if c.Seed == 0 {
		run.Seed = uint64(time.Now().UnixNano()) >> 10
	}
	if err := os.RemoveAll(c.Work); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Work, 0o700); err != nil {
		return err
	}
	all, err := run.record()
	if err != nil {
		return err
	}
	return run.judge(all)
}

// crash is one run.
type crash struct {
	crashCmd
	ctx    context.Context
	out    io.Writer
	memory string
	court  *court
}

// record records every life.
func (c *crash) record() (all []*life, err error) {
	m, err := tape.New(filepath.Join(c.memory, "mount"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for _, script := range lives() {
		l, err := record(c.ctx, m, c.memory, script, c.Seed)
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", c.Seed, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// tally counts what came of the states.
type tally struct {
	mu     sync.Mutex
	judged int
	how    map[string]int
	found  int
	first  string // what was found first, and where
}

func (c *crash) judge(all []*life) error {
	fmt.Fprintf(c.out, "seed %d\n%-10s %10s %9s %7s %9s %8s %9s %9s %9s %9s\n", c.Seed, "life", "operations", "prefixes", "states", "different", "states/s", judge.Straight, judge.Replayed, judge.Repaired, "findings")
	total := 0
	for _, l := range all {
		total += l.prefixes()
	}
	found := 0
	for _, l := range all {
		plan := l.plan(c.Seed, c.States*l.prefixes()/total+1)
		different := map[uint64]bool{}
		for _, s := range plan {
			different[s.sum] = true
		}
		began := time.Now()
		t, err := c.states(l, plan, false, func(l *life, s state, v judge.Verdict) error { return c.tell(l, s, v) })
		if err != nil {
			return err
		}
		found += t.found
		fmt.Fprintf(c.out, "%-10s %10d %9d %7d %9d %8.0f %9d %9d %9d %9d\n", l.Name, len(l.Ops), l.prefixes(), t.judged, len(different), float64(t.judged)/time.Since(began).Seconds(),
			t.how[judge.Straight], t.how[judge.Replayed], t.how[judge.Repaired], t.found)
	}
	missed := 0
	for _, f := range faults() {
		n, what, err := c.plant(f, all)
		if err != nil {
			return err
		}
		if n == 0 {
			missed++
			fmt.Fprintf(c.out, "planted: %s: NOT FOUND\n", f.name)
			continue
		}
		fmt.Fprintf(c.out, "planted: %s: found at disk %d: %s\n", f.name, n, what)
	}
	if found > 0 || missed > 0 {
		return fmt.Errorf("%d disks fail and %d planted faults are not found", found, missed)
	}
	return nil
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// states lays and judges the planned states of a life. Planted faults end with the
// first finding.
func (c *crash) states(l *life, plan []state, planted bool, tell func(*life, state, judge.Verdict) error) (*tally, error) {
	t := &tally{how: map[string]int{}}
	draws := byPrefix(plan)
	var failed error
	err := l.walk(func(at cut, d *disk.Disk) error {
		for _, s := range draws[at.prefix] {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			t.mu.Lock()
			n, enough := t.judged, planted && t.found > 0 || failed != nil
			t.judged++
			t.mu.Unlock()
			if enough {
				return errEnough
			}
			dir := filepath.Join(c.memory, fmt.Sprintf("state-%d", n))
			if err := d.Image(disk.Draw(c.Seed, s.prefix, s.number)).Lay(dir); err != nil {
				return err
			}
			thorough := planted || (s.prefix+s.number)%8 == 0
			c.court.judge(trial{judge.Case{Dir: dir, Top: l.Top, Thorough: thorough}, l.story, at.marks}, func(v judge.Verdict) {
				t.mu.Lock()
				defer t.mu.Unlock()
				t.how[v.How]++
				err := os.RemoveAll(dir)
				if len(v.Wrong) > 0 {
					if t.found++; t.found == 1 {
						t.first = v.Wrong[0]
					}
					err = errors.Join(err, tell(l, s, v))
				}
				failed = errors.Join(failed, err)
			})
		}
		return nil
	})
	c.court.wg.Wait()
	if errors.Is(err, errEnough) {
		err = nil
	}
	return t, errors.Join(err, failed)
}

// tell prints a state that failed and keeps what makes it again.
func (c *crash) tell(l *life, s state, v judge.Verdict) error {
	variant, _ := disk.Draw(c.Seed, s.prefix, s.number)
	fmt.Fprintf(c.out, "FOUND: --seed %d --state %s:%s (%s)\n  %s\n", c.Seed, l.Name, s, variant, strings.Join(v.Wrong, "\n  "))
	if _, err := os.Stat(filepath.Join(c.Work, l.Name+".tape")); err == nil {
		return nil
	}
	return l.keep(c.Work)
}

// plantings is how often a fault is drawn anew: some draws hit only syncs that nothing hangs on.
const plantings = 4

// plant plants a fault in each life and tells at which state it was found; 0 where
// it was not.
func (c *crash) plant(f fault, all []*life) (n int, what string, err error) {
	for draw := range uint64(plantings) {
		for _, l := range all {
			bad := f.of(l, c.Seed+draw)
			t, err := c.states(bad, bad.plan(c.Seed, c.Planted/len(all)), true, func(*life, state, judge.Verdict) error { return nil })
			if err != nil {
				return 0, "", err
			}
			if n += t.judged; t.found > 0 {
				return n, t.first, nil
			}
		}
	}
	return 0, "", nil
}

// again makes one state again, judges it and keeps the folder as it was laid.
func (c *crash) again() error {
	var s state
	name, rest, _ := strings.Cut(c.State, ":")
	if _, err := fmt.Sscanf(rest, "%d:%d", &s.prefix, &s.number); err != nil {
		return fmt.Errorf("%q names no state: %w", c.State, err)
	}
	l, err := kept(c.Work, name)
	if err != nil {
		return err
	}
	return l.walk(func(at cut, d *disk.Disk) error {
		if at.prefix != s.prefix {
			return nil
		}
		img := d.Image(disk.Draw(c.Seed, s.prefix, s.number))
		keep, dir := filepath.Join(c.Work, "disk"), filepath.Join(c.memory, "state")
		if err := errors.Join(img.Lay(keep), img.Lay(dir)); err != nil {
			return err
		}
		v := c.court.one(trial{judge.Case{Dir: dir, Top: l.Top, Thorough: true}, l.story, at.marks})
		fmt.Fprintf(c.out, "%s opened %s, %d versions; the disk is in %s\n", c.State, v.How, v.Records, keep)
		if len(v.Wrong) > 0 {
			return errors.New(strings.Join(v.Wrong, "\n  "))
		}
		return nil
	})
}
