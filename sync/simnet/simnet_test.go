package simnet

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/store/storetest"
	"tram/sync/merge"
)

func options(t *testing.T) Options {
	t.Helper()
	classes, err := merge.DefaultClasses()
	if err != nil {
		t.Fatal(err)
	}
	r4 := storetest.R4(t)
	return Options{Dir: t.TempDir(), R4: r4, Merger: merge.New(r4, classes), Steps: 40}
}

func TestWorldsComeToWhatPeopleWereTold(t *testing.T) {
	o := options(t)
	for seed := uint64(1); seed <= 6; seed++ {
		out, err := Run(t.Context(), o, seed, Steps(seed, o.Steps))
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range out.Wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
	}
}

// TestASeedPlaysTheSame holds that a failing seed can be looked at again.
func TestASeedPlaysTheSame(t *testing.T) {
	o := options(t)
	var stories [2][]string
	for i := range stories {
		out, err := Run(t.Context(), o, 7, Steps(7, o.Steps))
		if err != nil {
			t.Fatal(err)
		}
		stories[i] = out.Story
	}
	if !slices.Equal(stories[0], stories[1]) {
		t.Errorf("one seed, two stories:\n%s\n\n%s", strings.Join(stories[0], "\n"), strings.Join(stories[1], "\n"))
	}
}

// TestAnIDHoldsNoValue: what is about one record of a replica would be taken as about each
// of them, and its deletion for one of a value of all.
func TestAnIDHoldsNoValue(t *testing.T) {
	text := `{"id":"qzjds7663564kced-1","link":"Patient/7663565jdskcedqz-2","telecom":[{"value":"7000001"}],"multipleBirthInteger":7000002}`
	got := slices.Sorted(maps.Keys(tokensIn([]byte(text))))
	if want := []string{"7000001", "7000002"}; !slices.Equal(got, want) {
		t.Errorf("the values of %s are %v; want %v", text, got, want)
	}
}

func TestFaultsAreOfTheForm(t *testing.T) {
	all, err := readFaults(faultsText)
	if err != nil || len(all) < 10 {
		t.Errorf("%d faults, %v; want 10", len(all), err)
	}
	for _, f := range all {
		if err := (breakCmd{Top: filepath.Join("..", "..")}).overlay(filepath.Join(t.TempDir(), "overlay.json"), t.TempDir(), f.edits); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	if _, err := readFaults("x\n== half\nfile: a.go\n<<<\nold\n"); err == nil {
		t.Error("half a fault is taken")
	}
}

// TestAWrongWorldIsDrawn lets a judge find a value lost that nobody ever saved.
func TestAWrongWorldIsDrawn(t *testing.T) {
	var b bytes.Buffer
	draw(&b, Outcome{Seed: 3, Steps: make([]Step, 2), Story: []string{"a saves"}, Wrong: []string{"it is lost"}})
	for _, part := range []string{"seed 3, 2 steps", "a saves", "wrong: it is lost"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("%q is missing in %s", part, b.String())
		}
	}
	var out, errs bytes.Buffer
	if code := Main(context.Background(), []string{"run", "--seeds=x"}, &out, &errs); code == 0 || errs.Len() == 0 {
		t.Error("a wrong flag is taken")
	}
}
