//go:build linux && (amd64 || arm64)

package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"tram/store/storetest/torture/disk"
	"tram/store/storetest/torture/judge"
	"tram/store/storetest/torture/tape"
)

// failCmd lets every operation fail in turn.
type failCmd struct {
	Seed  uint64 `help:"Seed of the work and of the dice; 0 draws one."`
	Only  int    `help:"Let only this operation fail."`
	Every int    `help:"Let only every so manieth operation fail, which ones by the seed." default:"1"`
	Work  string `help:"Folder for what failed; made anew." default:".build/torture/fail" type:"path"`
}

// secondLife is the first number of the process that comes after the fault.
const secondLife = 1000

// manyOps bounds the operations of the short script.
const manyOps = 5000

func (c failCmd) Run(ctx context.Context, out io.Writer) (err error) {
	memory, done, err := workplace("fail")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano()) >> 10
	}
	if err := errors.Join(os.RemoveAll(c.Work), os.MkdirAll(c.Work, 0o700)); err != nil {
		return err
	}
	m, err := tape.New(filepath.Join(memory, "mount"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	run := &failer{failCmd: c, ctx: ctx, out: out, memory: memory, mount: m, court: newCourt(ctx)}
	defer func() { err = errors.Join(err, run.court.close()) }()
	fmt.Fprintf(out, "seed %d\n%-22s %10s %9s %7s %9s %9s %9s %9s\n", c.Seed, "answered with", "operations", "stores", "disks", judge.Straight, judge.Replayed, judge.Repaired, "findings")
	wrong := 0
	for _, with := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		n, err := run.each(with, false)
		if err != nil {
			return err
		}
		wrong += n
	}
	planted, err := run.each(0, true)
	if err != nil {
		return err
	}
	if wrong > 0 || planted == 0 {
		return fmt.Errorf("%d faults lost something; the planted one found: %t", wrong, planted > 0)
	}
	return nil
}

type failer struct {
	failCmd
	ctx    context.Context
	out    io.Writer
	memory string
	mount  *tape.Mount
	court  *court
}

// each lets the first operation fail, then the second, until the script no longer
// gets there. A planted fault ends with the first finding.
func (f *failer) each(with syscall.Errno, planted bool) (int, error) {
	t := &tally{how: map[string]int{}}
	reached := 0
	every := max(1, f.Every)
	if planted {
		every = 1
	}
	for n := max(1+int(f.Seed%uint64(every)), f.Only); n < manyOps && f.ctx.Err() == nil; n += every {
		failed, err := f.one(n, with, planted, t)
		if err != nil {
			return 0, err
		}
		f.court.wg.Wait()
		if failed == "" || planted && t.found > 0 {
			break
		}
		if reached++; f.Only > 0 {
			break
		}
	}
	if planted {
		fmt.Fprintf(f.out, "planted: an operation that is answered and not done: found %t\n", t.found > 0)
		return t.found, f.ctx.Err()
	}
	fmt.Fprintf(f.out, "%-22s %10d %9d %7d %9d %9d %9d %9d\n", with, reached, reached, t.judged, t.how[judge.Straight], t.how[judge.Replayed], t.how[judge.Repaired], t.found)
	return t.found, f.ctx.Err()
}

// one lets the n-th operation fail, lets the store live on in a second process,
// and judges what cuts after the fault may leave. It tells what failed.
func (f *failer) one(n int, with syscall.Errno, planted bool, t *tally) (failed string, err error) {
	name := fmt.Sprintf("fail-%d", n)
	rec, dir, marks := f.mount.Folder(name)
	defer f.mount.Drop(name)
	aside := filepath.Join(f.memory, "aside")
	rec.Fail(n, with)
	said := []error{}
	_, err = perform(f.ctx, play{Script: "short", Dir: dir, Aside: aside, Seed: f.Seed, Marks: marks})
	said = append(said, err)
	if failed = rec.Failed(); failed == "" {
		return "", err
	}
	first := len(rec.Ops())
	_, err = perform(f.ctx, play{Script: "again", Dir: dir, Aside: aside, Seed: f.Seed, Marks: marks, After: secondLife})
	said = append(said, err)
	what := fmt.Sprintf("--seed %d --only %d: a %s, %v", f.Seed, n, failed, with)
	if err := errors.Join(said...); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.found++; !planted {
			fmt.Fprintf(f.out, "FOUND: %s:\n  %v\n", what, err)
		}
		return failed, f.ctx.Err()
	}
	l := &life{Name: name, Ops: rec.Ops()}
	if err := l.tell(f.memory); err != nil {
		return failed, err
	}
	return failed, f.cuts(l, first, what, planted, t)
}

// cuts judges what may be left at the end of the first life, at the end of the
// second, and at some moments between.
func (f *failer) cuts(l *life, first int, what string, planted bool, t *tally) error {
	dice := rand.New(rand.NewPCG(f.Seed, uint64(first)))
	wanted := map[int]int{first: 4, len(l.Ops): 4}
	for range 3 {
		wanted[first+dice.IntN(len(l.Ops)-first)] = 2
	}
	seen := map[uint64]bool{}
	return l.walk(func(at cut, d *disk.Disk) error {
		for number := range wanted[at.prefix] {
			if wanted[at.prefix] == 2 {
				number += at.prefix
			}
			img := d.Image(disk.Draw(f.Seed, at.prefix, number))
			if seen[img.Sum] {
				continue
			}
			seen[img.Sum] = true
			t.mu.Lock()
			t.judged++
			dir := filepath.Join(f.memory, fmt.Sprintf("state-%d", t.judged))
			t.mu.Unlock()
			if err := img.Lay(dir); err != nil {
				return err
			}
			f.court.judge(trial{judge.Case{Dir: dir, Thorough: number%2 == 0}, l.story, at.marks}, func(v judge.Verdict) { f.heard(t, v, dir, what, at.prefix, number, planted) })
		}
		return nil
	})
}

func (f *failer) heard(t *tally, v judge.Verdict, dir, what string, prefix, number int, planted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.how[v.How]++
	if len(v.Wrong) > 0 {
		if t.found++; !planted && t.first != what {
			t.first = what
			variant, _ := disk.Draw(f.Seed, prefix, number)
			fmt.Fprintln(f.out, found(fmt.Sprintf("%s; cut after %d (%s)", what, prefix, variant), v))
		}
	}
	os.RemoveAll(dir)
}
