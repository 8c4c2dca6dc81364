package simnet

import (
	"slices"
	"strings"
	"testing"
)

// TestRestoresComeToWhatPeopleTyped plays one point of every cell, the restored side's
// counters overtaking in half of them.
func TestRestoresComeToWhatPeopleTyped(t *testing.T) {
	o := options(t)
	tasks := script(2, 60)
	plain, err := rehearse(t.Context(), o, tasks, spot{seed: 2, at: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cells() {
		s := c.spots(2, len(tasks), 5)[i%2]
		got, err := rehearse(t.Context(), o, tasks, s, plain.texts)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(plain.findings, got.findings...) {
			t.Errorf("%s from %s: %s", c.who, c.how, f)
		}
		if got.typed == 0 {
			t.Errorf("%s from %s: nobody typed anything", c.who, c.how)
		}
	}
}

// TestMatrixFindsWhatIsNotThere lets records that people typed be no more what they were
// when the judge comes: a value missing, one more, a name given twice.
func TestMatrixFindsWhatIsNotThere(t *testing.T) {
	o := options(t)
	w, err := newWorld(o, t.TempDir(), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	p := newPlay(w, script(1, 30), nil)
	for i := range p.script {
		p.step(i)
	}
	p.end()
	p.judge(p.texts())
	if len(p.wrong) > 0 {
		t.Fatalf("with nothing put back: %v", p.wrong)
	}
	last := slices.IndexFunc(p.entries, func(e *entry) bool { return e.kind == tAdd && e.done })
	for what, spoil := range map[string]func(){
		"instead of":       func() { p.entries[last].value = "7199999" },
		"nobody told":      func() { p.entries[0].key.ID = "nobody" },
		"two contents":     func() { ref := p.names[p.last]; ref.Digest[0]++; p.names[p.last] = ref },
		"without anything": func() {},
	} {
		entries := make([]entry, len(p.entries))
		for i, e := range p.entries {
			entries[i] = *e
		}
		p.wrong = nil
		spoil()
		reference := p.texts()
		if what == "without anything" {
			reference[0] = append(reference[0], "one more")
		}
		p.judge(reference)
		if !strings.Contains(strings.Join(p.wrong, "\n"), what) {
			t.Errorf("%q was not found: %v", what, p.wrong)
		}
		for i := range entries {
			*p.entries[i] = entries[i]
		}
	}
}

// TestScriptIsTheSameForASeed holds that a finding can be looked at again, and that
// every kind of task is in it.
func TestScriptIsTheSameForASeed(t *testing.T) {
	a, b := script(1, 130), script(1, 130)
	if !slices.EqualFunc(a, b, func(x, y task) bool { return x.kind == y.kind && x.at == y.at && x.on == y.on && x.value == y.value }) {
		t.Error("one seed, two scripts")
	}
	for _, kind := range []string{tBirth, tObserve, tAdd, tSet, tRival, tOther, tDecide, tDelete, tGrant, tExchange} {
		if !slices.ContainsFunc(a, func(x task) bool { return x.kind == kind }) {
			t.Errorf("nobody makes a %s", kind)
		}
	}
}
