//go:build linux && (amd64 || arm64)

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"tram/store/storetest/torture/act"
	"tram/store/storetest/torture/judge"
	"tram/store/storetest/torture/story"
)

// killCmd kills.
type killCmd struct {
	Kills  int    `help:"How many kills at random moments." default:"1000"`
	Within int    `help:"How many kills in the midst of named operations." default:"200"`
	Seed   uint64 `help:"Seed of the work and of the moments; 0 draws one."`
	Work   string `help:"Folder for the stores, on a disk; made anew." default:".build/torture/kill" type:"path"`
}

// How kills come.
const (
	killsPerFolder = 20                     // before a new store begins
	freshEvery     = 8                      // of so many kills one is in a new store's first moments
	longest        = 250 * time.Millisecond // from the start of the process to its kill
	plantedKills   = 60                     // within which a planted fault must be found
)

func (k killCmd) Run(ctx context.Context, out io.Writer) (err error) {
	if k.Seed == 0 {
		k.Seed = uint64(time.Now().UnixNano()) >> 10
	}
	if err := errors.Join(os.RemoveAll(k.Work), os.MkdirAll(k.Work, 0o700)); err != nil {
		return err
	}
	run := &killer{killCmd: k, ctx: ctx, out: out, court: newCourt(ctx), dice: rand.New(rand.NewPCG(k.Seed, 3))}
	defer func() { err = errors.Join(err, run.court.close()) }()
	fmt.Fprintf(out, "seed %d\n%-28s %6s %6s %9s %8s %9s %9s %9s\n", k.Seed, "killed in", "kills", "stores", "saved", judge.Straight, judge.Replayed, judge.Repaired, "findings")
	found, err := run.moments()
	if err != nil {
		return err
	}
	inside, err := run.operations()
	if err != nil {
		return err
	}
	planted, err := run.liar()
	if err != nil {
		return err
	}
	if found+inside > 0 || !planted {
		return fmt.Errorf("%d kills lost something; the planted fault found: %t", found+inside, planted)
	}
	return nil
}

// killer is one run.
type killer struct {
	killCmd
	ctx   context.Context
	out   io.Writer
	court *court
	dice  *rand.Rand
	round uint64
}

// moments kills at random moments, over folders that grow, and in the first
// moments of new ones.
func (k *killer) moments() (wrong int, err error) {
	grown := &line{what: "writing"}
	fresh := &line{what: "a new store's first moments"}
	var f *folder
	for n := range k.Kills {
		if n%freshEvery == 0 {
			first, err := k.folder(fresh)
			if err != nil {
				return 0, err
			}
			if err := k.kill(fresh, first, "endless", k.moment(longest/3)); err != nil {
				return 0, err
			}
			if err := first.drop(); err != nil {
				return 0, err
			}
			continue
		}
		if f == nil || grown.kills%killsPerFolder == 0 {
			if err := k.end(grown, f); err != nil {
				return 0, err
			}
			if f, err = k.folder(grown); err != nil {
				return 0, err
			}
		}
		if err := k.kill(grown, f, "endless", k.writing(n)); err != nil {
			return 0, err
		}
	}
	if err := k.end(grown, f); err != nil {
		return 0, err
	}
	return k.print(grown) + k.print(fresh), nil
}

// operations kills in the midst of each operation that the store has.
func (k *killer) operations() (wrong int, err error) {
	var have []string
	for _, o := range act.Operations() {
		have = append(have, o.Name)
	}
	have = append(have, opening)
	for _, name := range have {
		l := &line{what: name}
		var f *folder
		for n := range (k.Within + len(have) - 1) / len(have) {
			if n%killsPerFolder == 0 {
				if err := k.end(l, f); err != nil {
					return 0, err
				}
				if f, err = k.folder(l); err != nil {
					return 0, err
				}
			}
			when := k.after(`"text":"`+name+`"`, longest/5)
			if name == opening {
				when = k.moment(longest / 4)
			}
			if err := k.kill(l, f, "endless:"+name, when); err != nil {
				return 0, err
			}
		}
		if err := k.end(l, f); err != nil {
			return 0, err
		}
		wrong += k.print(l)
	}
	return wrong, nil
}

// opening is the operation that every store has.
const opening = "opening"

// liar lets a process say that something is saved before it is: that must be
// found.
func (k *killer) liar() (bool, error) {
	l := &line{what: "planted: says saved too soon", planted: true}
	f, err := k.folder(l)
	for err == nil && l.kills < plantedKills && l.found == 0 {
		err = k.kill(l, f, "liar", k.moment(longest))
	}
	if err != nil {
		return false, err
	}
	fmt.Fprintf(k.out, "planted: a process that says saved too soon: found %t, at kill %d\n", l.found > 0, l.kills)
	return l.found > 0, f.drop()
}

// line is a line of the table.
type line struct {
	what                         string
	kills, stores, saved, found  int
	straight, replayed, repaired int
	planted                      bool
}

func (k *killer) print(l *line) int {
	fmt.Fprintf(k.out, "%-28s %6d %6d %9d %8d %9d %9d %9d\n", l.what, l.kills, l.stores, l.saved, l.straight, l.replayed, l.repaired, l.found)
	return l.found
}

func (k *killer) folder(l *line) (*folder, error) {
	l.stores++
	k.round++
	return newFolder(k.Work, fmt.Sprintf("%d", k.round))
}

// end judges a folder at the end of its lives, the journal alone too, and removes
// it.
func (k *killer) end(l *line, f *folder) error {
	if f == nil {
		return nil
	}
	v, err := f.judge(k.court, judge.Case{Thorough: true})
	if err != nil {
		return err
	}
	l.saved += f.saved()
	if len(v.Wrong) > 0 {
		l.found++
		fmt.Fprintln(k.out, found(fmt.Sprintf("seed %d, at the end of kills in %s; kept in %s", k.Seed, l.what, f.dir), v))
		return nil
	}
	return f.drop()
}

// when tells a moment: it returns once the process that tells its story is to be
// killed.
type when func(story *told)

// moment is some time after the process started.
func (k *killer) moment(most time.Duration) when {
	d := time.Duration(k.dice.Int64N(int64(most)))
	return func(*told) { time.Sleep(d) }
}

// after is some time after the process told something.
func (k *killer) after(text string, most time.Duration) when {
	d := time.Duration(k.dice.Int64N(int64(most)))
	return func(t *told) {
		for deadline := time.Now().Add(patience); !t.has(text) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(d)
	}
}

// writing is, every other time, some time after the store was opened.
func (k *killer) writing(n int) when {
	if n%2 == 0 {
		return k.moment(longest)
	}
	return k.after(`"is":"`+string(story.Opened)+`"`, longest)
}

// told is what a process tells while it runs. It is safe for concurrent use.
type told struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *told) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(b)
}

func (t *told) has(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.buf.Bytes(), []byte(text))
}

// kill lets a script play over a folder, kills it, and judges.
func (k *killer) kill(l *line, f *folder, script string, when when) error {
	k.round++
	cmd, err := itself(k.ctx, "act")
	if err != nil {
		return err
	}
	in, err := json.Marshal(play{Script: script, Dir: f.dir, Seed: k.Seed + k.round, After: f.last()})
	if err != nil {
		return err
	}
	var out told
	var trouble bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &trouble
	if err := cmd.Start(); err != nil {
		return err
	}
	when(&out)
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := cmd.Wait(); k.ctx.Err() == nil && (err == nil || !strings.Contains(err.Error(), "killed")) {
		return fmt.Errorf("%s ended by itself: %w: %s", script, err, tail(trouble.Bytes()))
	}
	if err := f.hear(out.buf.Bytes()); err != nil {
		return err
	}
	l.kills++
	v, err := f.judge(k.court, judge.Case{})
	if err != nil {
		return err
	}
	switch v.How {
	case judge.Straight:
		l.straight++
	case judge.Replayed:
		l.replayed++
	case judge.Repaired:
		l.repaired++
	}
	if len(v.Wrong) > 0 {
		l.found++
		if !l.planted {
			fmt.Fprintln(k.out, found(fmt.Sprintf("seed %d, kill %d in %s; kept in %s", k.Seed, l.kills, l.what, f.dir), v))
			return fmt.Errorf("what was lost stays lost in %s", f.dir)
		}
	}
	return k.ctx.Err()
}
