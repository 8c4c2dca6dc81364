package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"tram/store"
	"tram/store/record"
)

// lose lets a merge at the centre decide against values of minh's:
//
//	base -> there ----> merge(there, minh)
//	base -> minh -----/
func lose(t *testing.T, c *store.Store, base *record.Version, marks []record.Mark, lost ...record.Lost) *record.Version {
	t.Helper()
	b := station(t, "b")
	pull(t, c, b)
	there := put(t, c, store.Write{Key: base.Key, Base: store.Any, Content: patient(base.Key.ID, hoa+`,"gender":"female"`)})
	minh := put(t, b, store.Write{Key: base.Key, Base: store.Any, Author: "minh", Content: patient(base.Key.ID, hoa+`,"gender":"male"`)})
	for i := range lost {
		lost[i].Policy, lost[i].By = "later", []record.Writer{{Name: minh.Name, Author: "minh", Stamp: minh.Stamp}}
	}
	for i := range marks {
		marks[i].Alts[0].By, marks[i].Alts[1].By, marks[i].By = []record.Name{there.Name}, []record.Name{minh.Name}, []record.Name{there.Name}
	}
	writers := []record.Writer{{Name: there.Name, Author: there.Author, Stamp: there.Stamp}, {Name: minh.Name, Author: "minh", Stamp: minh.Stamp}}
	ch := own(t, b)[0]
	d := decided(t, c, ch)
	d.Verdict, d.Merge = record.Merged, &record.Version{Key: base.Key, Base: there.Ref(), Includes: []record.Ref{ch.Ref},
		Seen: there.Seen.Union(ch.Version.Seen), Author: "merge", Content: there.Content, Lost: lost,
		Trace: record.Trace{Born: there.Trace.Born, Marks: append(marks, there.Trace.Marks...), Writers: append(writers, there.Trace.Writers...)}}
	apply(t, c, record.Stretch{Peer: "b", Taken: []record.Decided{d}})
	st, err := c.Get(base.Key)
	if err != nil {
		t.Fatal(err)
	}
	return st.Shown
}

func TestReinstateSetsOnlyTheLostElement(t *testing.T) {
	t.Parallel()
	birth := record.Lost{Path: "birthDate", Value: []byte(`{"birthDate":"1950-12-31"}`), Won: []byte(`{"birthDate":"1961-02-03"}`)}
	phone := record.Lost{Path: "telecom{0}", Value: []byte(`{"telecom":{"system":"phone","value":"0999 999 999"}}`)}
	const now = `,"name":[{"family":"Trần","given":["Hoà"]}],"birthDate":"1961-02-03","telecom":[{"system":"phone","value":"0912 345 678"}],"gender":"female"`
	for _, c := range []struct {
		name  string
		lost  record.Lost
		marks []record.Mark
		now   string // what somebody made of the record since; "" for nothing
		want  string // what it shows then
	}{
		{"a value", birth, nil, "", `,"name":[{"family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1950-12-31","telecom":[{"system":"phone","value":"0912 345 678"}],"gender":"female"`},
		{"an item of a list", phone, nil, "", `,"name":[{"family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1961-02-03","telecom":[{"system":"phone","value":"0999 999 999"}],"gender":"female"`},
		{"a record that was changed since", birth, nil, now, `,"name":[{"family":"Trần","given":["Hoà"]}],"birthDate":"1950-12-31","telecom":[{"system":"phone","value":"0912 345 678"}],"gender":"female"`},
		{"an element that is contested", birth, []record.Mark{{Path: "birthDate", Alts: []record.Alt{{Value: []byte(`{"birthDate":"1961-02-03"}`)}, {Value: []byte(`{"birthDate":"1962-02-03"}`)}}}}, "",
			`,"name":[{"family":"Đặng","given":["Thị","Hoà"]}],"birthDate":"1950-12-31","telecom":[{"system":"phone","value":"0912 345 678"}],"gender":"female"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := top(t, "b")
			base := born(t, s, hoa)
			grant(t, s, base.Key, "b")
			if m := lose(t, s, base, c.marks, c.lost); m.Contested() != (c.marks != nil) {
				t.Fatalf("the merge is contested: %t", m.Contested())
			}
			if c.now != "" {
				put(t, s, store.Write{Key: base.Key, Base: store.Any, Content: patient(base.Key.ID, c.now)})
			}
			before, err := s.Get(base.Key)
			if err != nil {
				t.Fatal(err)
			}
			item := vaultOf(t, s, base.Key)[0]
			v, err := s.Reinstate(context.Background(), item.ID, "lan")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(v.Content), string(patient(base.Key.ID, c.want)); got != want {
				t.Errorf("it shows\n%s\nwant\n%s", got, want)
			}
			if v.Author != "lan" || v.Base != before.Shown.Ref() || v.Contested() {
				t.Errorf("by %s on %s, contested %t; want by lan on %s", v.Author, v.Base, v.Contested(), before.Shown.Ref())
			}
			if told := vaultOf(t, s, base.Key); !slices.Equal(told[len(told)-1].Told, []string{"lan", "minh"}) {
				t.Errorf("told are %v", told[len(told)-1].Told)
			}
			if c.marks != nil && len(v.Lost) != 2 {
				t.Errorf("%d values gave way to the decision, want both", len(v.Lost))
			}
			if again, err := s.Reinstate(context.Background(), item.ID, "lan"); err != nil || again.Name != v.Name {
				t.Errorf("once more: %v, %v; want the version that is there", again, err)
			}
		})
	}
}

func vaultOf(t *testing.T, s *store.Store, k record.Key) []store.VaultItem {
	t.Helper()
	list, err := s.Vault(k, 10)
	if err != nil || len(list) == 0 {
		t.Fatalf("vault: %v, %v", list, err)
	}
	return list
}

func TestReinstateRefusesWhatHasNoPlace(t *testing.T) {
	t.Parallel()
	s := top(t, "b")
	base := born(t, s, hoa)
	grant(t, s, base.Key, "b")
	lose(t, s, base, nil, record.Lost{Path: "contact{9}", Value: []byte(`{"contact":{"gender":"male"}}`)})
	id := vaultOf(t, s, base.Key)[0].ID
	b := station(t, "b")
	pull(t, s, b)
	kept := vaultOf(t, b, base.Key)[0].ID
	refused := func(name string, id uint64, want error) {
		t.Helper()
		before, err := s.Get(base.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Reinstate(context.Background(), id, "lan"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if now, err := s.Get(base.Key); err != nil || now.Shown.Name != before.Shown.Name {
			t.Errorf("%s: the record shows %v, %v", name, now, err)
		}
	}
	refused("no such value", id+7, record.ErrNotFound)
	refused("no such element", id, store.ErrNoPlace)
	put(t, s, store.Write{Key: base.Key, Base: store.Any, Delete: true})
	refused("a deleted record", id, record.ErrDeleted)

	narrow(t, s, base.Key, "c")
	pull(t, s, b)
	if _, err := b.Reinstate(context.Background(), kept, "lan"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a record that was given up: %v, want ErrNotFound", err)
	}
}

// TestTallyFollowsConflictsAndVault counts, after each step, what is contested and
// whose values nobody told them about: those made here, whoever else has seen them.
func TestTallyFollowsConflictsAndVault(t *testing.T) {
	t.Parallel()
	s := top(t, "b")
	base := born(t, s, hoa)
	grant(t, s, base.Key, "b")
	tally := func(when, want string) {
		t.Helper()
		got, err := s.Tally()
		if text := fmt.Sprint(got.Contested, got.Untold); err != nil || text != want {
			t.Errorf("%s: %s, %v; want %s", when, text, err, want)
		}
	}
	tally("at first", "map[] map[]")
	alts := []record.Alt{{Value: []byte(`{"birthDate":"1961-02-03"}`)}, {Value: []byte(`{"birthDate":"1962-02-03"}`)}}
	m := lose(t, s, base, []record.Mark{{Path: "birthDate", Alts: alts}})
	tally("merged", "map[{Patient birthDate}:1] map[]")
	put(t, s, store.Write{Key: base.Key, Base: m.Name.String(), Author: "lan", Decisions: []record.Decision{
		{Path: "birthDate", Value: []byte(`{"birthDate":"1963-02-03"}`), Closes: []record.Name{alts[0].By[0], alts[1].By[0]}}}})
	tally("decided for a third value; the other value that gave way was made elsewhere", "map[] map[hoa:1]")
	for _, it := range vaultOf(t, s, base.Key) {
		if err := s.Told(context.Background(), it.ID, "lan"); err != nil {
			t.Fatal(err)
		}
	}
	tally("seen by somebody else", "map[] map[hoa:1]")
	for _, it := range vaultOf(t, s, base.Key) {
		if err := s.Told(context.Background(), it.ID, "hoa"); err != nil {
			t.Fatal(err)
		}
	}
	tally("seen by who wrote it", "map[] map[]")
}
