// Package simnet is a small world for finding out whether replicas that work
// apart lose anything: a centre and stations on real stores, the real engine and
// the real wire, people who edit, and everything that goes wrong between them.
//
// It owns the steps of a run, which come from a seed; a plain model of what people
// were told is saved; and the judge that holds the replicas against it when all
// links work again. It promises that a seed plays the same steps each time, that every
// kind of step is counted, and that a failing run can be drawn and made shorter. It
// does not know how replicas reconcile.
package simnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"tram/store/fhir"
	"tram/sync/carry"
	"tram/sync/merge"
)

// Options are what all runs share.
type Options struct {
	// Dir is where the folders of the replicas are made; they are removed after each run.
	Dir    string
	R4     *fhir.R4
	Merger *merge.Merger
	// Steps is how many steps a run has.
	Steps int

	streams *carry.Streams
	keys    *keys
}

// Outcome is what a run came to.
type Outcome struct {
	Seed  uint64
	Steps []Step
	// Wrong is what does not hold in the end; empty where all is well.
	Wrong []string
	// Story is the drawn history, a line for each thing that happened.
	Story []string
	// Happened counts what happened, by name.
	Happened map[string]int
}

// Step is one thing that is tried. What it picks from comes from Draw alone, so that a
// step does the like when others before it are left out.
type Step struct {
	Kind string
	Draw uint64
}

// Steps draws the steps of a seed.
func Steps(seed uint64, n int) []Step {
	r := rand.New(rand.NewPCG(seed, 1))
	var weighted []string
	for _, a := range actions() {
		for range a.weight {
			weighted = append(weighted, a.name)
		}
	}
	out := make([]Step, n)
	for i := range out {
		out[i] = Step{Kind: weighted[r.IntN(len(weighted))], Draw: r.Uint64()}
	}
	return out
}

// Names lists the kinds of steps and faults that a world has.
func Names() []string {
	var out []string
	for _, a := range actions() {
		out = append(out, a.name)
	}
	return append(out, faults()...)
}

// Run plays the steps of a seed. Its error is one of the machine; what the replicas
// did wrong is in the outcome.
func Run(ctx context.Context, o Options, seed uint64, steps []Step) (out Outcome, err error) {
	dir, err := os.MkdirTemp(o.Dir, "world")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(o, dir, seed, true)
	if err != nil {
		return out, fmt.Errorf("make a world: %w", err)
	}
	defer w.close()
	do := map[string]func(*world, *rand.Rand) bool{}
	for _, a := range actions() {
		do[a.name] = a.do
	}
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if do[s.Kind](w, rand.New(rand.NewPCG(s.Draw, 2))) {
			w.happened[s.Kind]++
		}
		if w.broken != nil {
			break
		}
	}
	if w.broken == nil {
		w.settle()
	}
	return Outcome{Seed: seed, Steps: steps, Wrong: w.wrong, Story: w.story, Happened: w.happened}, w.broken
}

// Shrink leaves out steps for as long as the run still fails, and returns the shortest
// one found.
func Shrink(ctx context.Context, o Options, bad Outcome) (Outcome, error) {
	for size := len(bad.Steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(bad.Steps); {
			steps := slices.Delete(slices.Clone(bad.Steps), at, at+size)
			out, err := Run(ctx, o, bad.Seed, steps)
			if err != nil {
				return bad, err
			}
			if len(out.Wrong) > 0 {
				bad = out
			} else {
				at += size
			}
		}
	}
	return bad, nil
}
