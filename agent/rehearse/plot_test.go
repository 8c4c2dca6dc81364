package rehearse

import (
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
)

// shown is a practice station as its FHIR face would show it.
func shown(t *testing.T, days int) (*fhir.R4, Snapshot) {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	st := practice.New(1, practice.Options{People: 300})
	entries := st.Shared()
	for n := range days {
		entries = append(entries, st.Day(n)...)
	}
	s := Snapshot{}
	for _, e := range entries {
		s[record.Key{Kind: e.Kind, ID: e.ID}] = Shown{Raw: e.Resource, Content: contentOf(e.Resource), Version: "v-1"}
	}
	return r4, s
}

func TestDrawGivesEachRecordOneFate(t *testing.T) {
	r4, s := shown(t, 1)
	p, err := Draw(r4, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want int
	}{{"apart", len(p.Apart), 100}, {"safety", len(p.Safety), 20}, {"administrative", len(p.Administrative), 20}, {"deleted", len(p.Deleted), 10}, {"late", len(p.Late), 10}} {
		if c.got != c.want {
			t.Errorf("%d %s, want %d", c.got, c.name, c.want)
		}
	}
	seen := map[record.Key]bool{}
	for _, k := range p.Keys() {
		if seen[k] {
			t.Errorf("%s has two fates", k)
		}
		seen[k] = true
	}
	for _, c := range p.Apart {
		if c.ElementA == c.ElementB || graft(c.Base, c.A, c.ElementA) != c.A || graft(c.Base, c.B, c.ElementB) != c.B {
			t.Errorf("%s: the edits of %s and %s are not of one element each", c.Key, c.ElementA, c.ElementB)
		}
	}
	for _, c := range append(p.Safety, p.Administrative...) {
		if c.ElementA != c.ElementB || c.A == c.B || len(clashes(c.Base, c.A, c.B)) == 0 {
			t.Errorf("%s: the edits of %s and %s do not clash", c.Key, c.ElementA, c.ElementB)
		}
	}
	aDeletes := 0
	for _, c := range p.Deleted {
		if (c.A == "") == (c.B == "") || (c.rawA == nil) != (c.A == "") || (c.rawB == nil) != (c.B == "") {
			t.Errorf("%s: want one edit and one deletion", c.Key)
		}
		if c.A == "" {
			aDeletes++
		}
		for k, other := range s {
			if k != c.Key && strings.Contains(other.Content, `"`+c.Key.String()+`"`) {
				t.Errorf("%s is to be deleted, and %s refers to it", c.Key, k)
			}
		}
	}
	if aDeletes == 0 || aDeletes == len(p.Deleted) {
		t.Errorf("one side makes all %d deletions", len(p.Deleted))
	}
	births := 0
	for _, l := range p.Late {
		if l.Mark != "" {
			births++
			if !strings.Contains(string(l.raw), l.Mark) {
				t.Errorf("a birth without its mark: %s", l.raw)
			}
		}
	}
	if births != manyLate-lateEdits {
		t.Errorf("%d births, want %d", births, manyLate-lateEdits)
	}
}

func TestDrawNeedsEnough(t *testing.T) {
	r4, s := shown(t, 1)
	few := Snapshot{}
	for _, k := range s.Keys() {
		if k.Kind == "Patient" {
			few[k] = s[k]
		}
	}
	if _, err := Draw(r4, few); err == nil {
		t.Errorf("drew 160 fates for %d records", len(few))
	}
	if _, err := Draw(r4, Snapshot{}); err == nil {
		t.Error("drew from nothing")
	}
}
