package audit

import (
	"encoding/json"
	"slices"
	"testing"

	"tram/store/record"
)

func chain(t *testing.T, entries ...Entry) []Linked {
	t.Helper()
	var out []Linked
	var prev record.Digest
	for _, e := range entries {
		l, err := Link(prev, e)
		if err != nil {
			t.Fatal(err)
		}
		prev = l.Chain
		out = append(out, l)
	}
	return out
}

// verified is how many entries follow each other from the start.
func verified(c []Linked) int {
	var prev record.Digest
	for i, l := range c {
		if !l.Verify(prev) {
			return i
		}
		prev = l.Chain
	}
	return len(c)
}

func TestChainShowsEveryChange(t *testing.T) {
	key := record.Key{Kind: "Patient", ID: "a"}
	whole := chain(t,
		Entry{At: 1, Who: "hoa", Action: SignIn},
		Entry{At: 2, Who: "hoa", Action: Read, Key: key, Purpose: "treatment"},
		Entry{At: 3, Who: "hoa", Action: Update, Key: key, Version: record.Name{Lineage: "abcdefghijklmno2", N: 7}},
		Entry{At: 4, Who: "dung", Action: Read, Key: key})
	if n := verified(whole); n != 4 {
		t.Fatalf("%d of 4 verify", n)
	}
	stored, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var back []Linked
	if err := json.Unmarshal(stored, &back); err != nil || verified(back) != 4 {
		t.Errorf("%d of 4 verify after storing, %v", verified(back), err)
	}
	for name, c := range map[string]struct {
		alter func(c []Linked) []Linked
		want  int // entries that still verify
	}{
		"who":           {func(c []Linked) []Linked { c[1].Who = "dung"; return c }, 1},
		"when":          {func(c []Linked) []Linked { c[1].At++; return c }, 1},
		"what":          {func(c []Linked) []Linked { c[1].Action = Export; return c }, 1},
		"about whom":    {func(c []Linked) []Linked { c[1].Key.ID = "b"; return c }, 1},
		"why":           {func(c []Linked) []Linked { c[1].Purpose = ""; return c }, 1},
		"which version": {func(c []Linked) []Linked { c[2].Version.N = 8; return c }, 2},
		"one removed":   {func(c []Linked) []Linked { return slices.Delete(c, 1, 2) }, 1},
		"first removed": {func(c []Linked) []Linked { return c[1:] }, 0},
		"one twice":     {func(c []Linked) []Linked { return slices.Insert(c, 1, c[1]) }, 2},
		"two swapped":   {func(c []Linked) []Linked { c[1], c[2] = c[2], c[1]; return c }, 1},
		"last altered":  {func(c []Linked) []Linked { c[3].Chain[0] ^= 1; return c }, 3},
	} {
		if got := verified(c.alter(slices.Clone(whole))); got != c.want {
			t.Errorf("%s: %d entries verify, want %d", name, got, c.want)
		}
	}
}

// A segment leads from one digest to another, and whatever is done to it shows.
func TestSegmentShowsWhatWasDoneToIt(t *testing.T) {
	c := chain(t, Entry{At: 1, Who: "hoa", Action: Search}, Entry{At: 2, Who: "hoa", Action: Read, Key: record.Key{Kind: "Patient", ID: "p1"}},
		Entry{At: 3, Who: "lan", Action: Read, Key: record.Key{Kind: "Patient", ID: "p1"}}, Entry{At: 4, Who: "lan", Action: Read})
	whole := func() Segment {
		s := Segment{From: 2, Before: c[0].Chain, After: c[3].Chain}
		for _, l := range c[1:] {
			text, err := json.Marshal(l.Entry)
			if err != nil {
				t.Fatal(err)
			}
			s.Acts = append(s.Acts, text)
		}
		return s
	}
	s := whole()
	entries, err := s.Entries()
	if err != nil || !s.Sound() || s.Last() != 4 || entries[0] != c[1].Entry {
		t.Errorf("%v, last %d, %v, %v", s.Sound(), s.Last(), entries, err)
	}
	for name, spoil := range map[string]func(*Segment){
		"altered":       func(s *Segment) { s.Acts[1][len(s.Acts[1])-3]++ },
		"taken out":     func(s *Segment) { s.Acts = slices.Delete(s.Acts, 1, 2) },
		"put in":        func(s *Segment) { s.Acts = slices.Insert(s.Acts, 1, s.Acts[0]) },
		"out of order":  func(s *Segment) { s.Acts[0], s.Acts[1] = s.Acts[1], s.Acts[0] },
		"behind others": func(s *Segment) { s.Before = c[1].Chain },
	} {
		s := whole()
		if spoil(&s); s.Sound() {
			t.Errorf("%s, and it is taken for sound", name)
		}
	}
	if none := (Segment{}); none.Last() != 0 || !none.Sound() {
		t.Error("nothing is unsound")
	}
}
