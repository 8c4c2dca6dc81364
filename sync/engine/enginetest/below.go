package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"tram/store/record"
	"tram/sync/engine"
)

// Station is a replica with an upstream, and the way people there write. Write
// makes the record's next version with the content and returns what it is.
type Station struct {
	engine.Asker
	Write func(key record.Key, content []byte) record.Ref
}

// Below examines a replica that has an upstream. open makes an empty one.
func Below(t *testing.T, open func(t *testing.T) Station) {
	for name, f := range map[string]func(*testing.T, Station){
		"at first":                      first,
		"arrivals move the cursor":      arrivals,
		"all or none":                   allOrNone,
		"older places are passed over":  older,
		"gone and back":                 goneAndBack,
		"own changes until the receipt": ownChanges,
		"answers":                       answers,
		"moved by a pending version":    movedBelow,
		"what upstream forgot":          forgotten,
		"a twin":                        twin,
	} {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

func standing(t *testing.T, s Station) record.Standing {
	t.Helper()
	st, err := s.Standing()
	if err != nil {
		t.Fatalf("standing: %v", err)
	}
	return st
}

func cursorOf(t *testing.T, s Station, feed string) record.Cursor {
	t.Helper()
	for _, c := range standing(t, s).Cursors {
		if c.Feed == feed {
			return c
		}
	}
	t.Fatalf("no cursor of %s", feed)
	return record.Cursor{}
}

// at is a cursor as an upstream would give it.
func at(seq uint64) *record.Cursor {
	return &record.Cursor{Feed: record.OwnFeed, Epoch: "exam", Seq: seq, Digest: record.Sum([]byte{byte(seq)})}
}

func came(seq uint64, c record.Change) record.Arrival {
	c.Seq, c.Prev = seq, 0
	return record.Arrival{Change: c}
}

func named(a record.Arrival) record.Arrival {
	a.Version = nil
	return a
}

func gone(a record.Arrival) record.Arrival {
	a.Gone, a.Version = true, nil
	return a
}

func comeDown(t *testing.T, s Station, c *record.Cursor, as ...record.Arrival) {
	t.Helper()
	if err := s.Apply(context.Background(), record.Stretch{Peer: engine.Upstream, Arrived: as, Cursor: c}); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// An empty replica has a lineage, stands at the beginning of both feeds, and has
// nothing to offer.
func first(t *testing.T, s Station) {
	st := standing(t, s)
	if len(st.Lives) == 0 || !st.Lives[0].Valid() || len(st.Links) != 0 {
		t.Errorf("got %+v", st)
	}
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		if c := cursorOf(t, s, feed); c != (record.Cursor{Feed: feed}) {
			t.Errorf("cursor of %s: %+v", feed, c)
		}
		tree(t, s, engine.Upstream, feed)
	}
	if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); len(got) != 0 {
		t.Errorf("offers %v", keys(got))
	}
}

// What came down is shown, agreed and not offered up again; the cursor moves with it.
// A name does where the version is held.
func arrivals(t *testing.T, s Station) {
	p := newPen('u')
	one, two := p.birth("Patient"), p.birth("Patient")
	for range 2 { // the second time changes nothing
		comeDown(t, s, at(2), came(1, one), came(2, two))
		for _, c := range []record.Change{one, two} {
			st := look(t, s, c.Key, c.Ref)
			if st.Head.Ref() != c.Ref || st.Shown.Ref() != c.Ref || st.Seq == 0 || st.Base.Ref() != c.Ref {
				t.Errorf("%s: %+v", c.Key, st)
			}
		}
		if c := cursorOf(t, s, record.OwnFeed); c != *at(2) {
			t.Errorf("cursor: %+v", c)
		}
		tree(t, s, engine.Upstream, record.OwnFeed, one.Ref, two.Ref)
		if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); len(got) != 0 {
			t.Errorf("what came down is offered up: %v", keys(got))
		}
	}
	edit := p.edit(one.Version, `,"gender":"male"`)
	comeDown(t, s, at(3), came(3, edit))
	comeDown(t, s, at(4), named(came(4, edit))) // held already: the name does
	tree(t, s, engine.Upstream, record.OwnFeed, edit.Ref, two.Ref)
	err := s.Apply(context.Background(), record.Stretch{Peer: engine.Upstream, Arrived: []record.Arrival{came(5, edit)}})
	if err == nil {
		t.Error("arrivals without a cursor were taken")
	}
}

// A name whose version is not held fails with ErrNotFound. Then nothing of the
// stretch is there, and the cursor least of all.
func allOrNone(t *testing.T, s Station) {
	p := newPen('u')
	one, unknown := p.birth("Patient"), p.birth("Patient")
	err := s.Apply(context.Background(), record.Stretch{Peer: engine.Upstream, Cursor: at(2), Arrived: []record.Arrival{came(1, one), named(came(2, unknown))}})
	if !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a name whose version is not held: %v, want ErrNotFound", err)
	}
	if st := look(t, s, one.Key, one.Ref); st.Head != nil || st.Base != nil {
		t.Errorf("half of a stretch was applied: %+v", st)
	}
	if c := cursorOf(t, s, record.OwnFeed); c.Seq != 0 {
		t.Errorf("the cursor moved to %d", c.Seq)
	}
	tree(t, s, engine.Upstream, record.OwnFeed)
}

// Within one turn an older place of the feed never takes a newer one back; after a
// turn the places of before do not count.
func older(t *testing.T, s Station) {
	p := newPen('u')
	one := p.birth("Patient")
	edit := p.edit(one.Version, `,"gender":"male"`)
	comeDown(t, s, at(9), came(9, edit))
	comeDown(t, s, at(9), came(4, one))
	if st := look(t, s, one.Key, record.Ref{}); st.Head.Ref() != edit.Ref {
		t.Errorf("an older place took the head back to %v", st.Head.Ref())
	}
	// After a turn the places of before count no more.
	turned := at(4)
	turned.Turn = 1
	comeDown(t, s, turned, came(4, one))
	if st := look(t, s, one.Key, record.Ref{}); st.Head.Ref() != one.Ref {
		t.Errorf("after a turn the head is %v, want %v", st.Head.Ref(), one.Ref)
	}
	tree(t, s, engine.Upstream, record.OwnFeed, one.Ref)
}

// What is gone leaves its name and its place: an older change does not bring it back,
// a newer one does.
func goneAndBack(t *testing.T, s Station) {
	p := newPen('u')
	one, two := p.birth("Patient"), p.birth("Patient")
	comeDown(t, s, at(2), came(1, one), came(2, two))
	for range 2 {
		comeDown(t, s, at(3), gone(came(3, one)))
		st := look(t, s, one.Key, one.Ref)
		if !st.Gone || st.Head != nil || st.Shown != nil || st.Base != nil {
			t.Errorf("gone: %+v", st)
		}
		tree(t, s, engine.Upstream, record.OwnFeed, two.Ref)
	}
	comeDown(t, s, at(3), came(1, one)) // a stick brings what was before
	if st := look(t, s, one.Key, record.Ref{}); !st.Gone {
		t.Error("an older place brought it back")
	}
	comeDown(t, s, at(4), came(4, one))
	if st := look(t, s, one.Key, record.Ref{}); st.Gone || st.Head.Ref() != one.Ref {
		t.Errorf("back: %+v", st)
	}
	tree(t, s, engine.Upstream, record.OwnFeed, one.Ref, two.Ref)
}

// write lets people make a birth and an edit of it, and a second birth.
func write(s Station) []record.Ref {
	one, two := written(0), written(2)
	return []record.Ref{s.Write(one, content(one, "")), s.Write(one, content(one, `,"gender":"male"`)), s.Write(two, content(two, ""))}
}

// written is the record that the i-th of what write made is of.
func written(i int) record.Key {
	return record.Key{Kind: "Patient", ID: []string{"exam-1", "exam-1", "exam-2"}[i]}
}

func refs(cs []record.Change) []record.Ref {
	var out []record.Ref
	for _, c := range cs {
		out = append(out, c.Ref)
	}
	return out
}

// Own changes are offered in order, each with the number of the one before it, until
// upstream took them. What it took and has not any more is offered again; a receipt
// lets go of what it covers, and of nothing above.
func ownChanges(t *testing.T, s Station) {
	made := write(s)
	top := record.Link{Lineage: made[0].Name.Lineage}
	links := []record.Link{top}
	for max := 1; max <= 4; max++ {
		got, _ := all(t, s, engine.Upstream, record.Cursor{}, max)
		if !slices.Equal(refs(got), made) {
			t.Fatalf("%d at a time: %v, want %v", max, refs(got), made)
		}
		prev := uint64(0)
		for _, c := range got {
			if c.Prev != prev || c.Version.Ref() != c.Ref {
				t.Errorf("%v follows %d, want %d", c.Ref.Name, c.Prev, prev)
			}
			prev = c.Ref.Name.N
		}
	}
	for _, r := range made {
		top = top.Next(r.Name.N, r.Digest)
		links = append(links, top)
	}
	if st := standing(t, s); len(st.Links) != 1 || st.Links[0] != top || st.Lives[0] != top.Lineage {
		t.Errorf("standing: %+v, want the chain %+v", st, top)
	}
	if st := look(t, s, record.Key{Kind: "Patient", ID: "exam-1"}, record.Ref{}); st.Head != nil || !slices.Equal(st.Pending, made[:2]) || st.Shown.Ref() != made[1] {
		t.Errorf("pending: %+v", st)
	}
	tree(t, s, engine.Upstream, record.OwnFeed) // pending is not agreed
	ctx := context.Background()
	stretch := record.Stretch{Peer: engine.Upstream, Receipts: []record.Receipt{{Link: links[2], Epoch: "exam", At: 1}}}
	for i, r := range made {
		stretch.Answers = append(stretch.Answers, record.Answer{Key: written(i), Ref: r, Verdict: record.Accepted})
	}
	for range 2 {
		if err := s.Apply(ctx, stretch); err != nil {
			t.Fatal(err)
		}
		if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); len(got) != 0 {
			t.Errorf("taken, and offered: %v", refs(got))
		}
	}
	if err := s.Recover(ctx, record.Recovery{Void: links[3:]}); err != nil {
		t.Fatal(err)
	}
	if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); len(got) != 0 {
		t.Errorf("taken and held by upstream, and offered: %v", refs(got))
	}
	if err := s.Recover(ctx, record.Recovery{Void: links[2:3]}); err != nil {
		t.Fatal(err)
	}
	if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); !slices.Equal(refs(got), made[2:]) {
		t.Errorf("taken and lost: offers %v, want %v", refs(got), made[2:])
	}
	if err := s.Apply(ctx, stretch); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(ctx, record.Stretch{Receipts: []record.Receipt{{Link: links[3], Epoch: "exam", At: 2}}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); len(got) != 0 {
		t.Errorf("receipted, and offered: %v", refs(got))
	}
}

// What waits is offered again, what is parked is not. An answer about another content
// of a name, or about what was never made here, changes nothing.
func answers(t *testing.T, s Station) {
	made := write(s)
	other := made[2]
	other.Digest = record.Sum([]byte("another"))
	for _, step := range []struct {
		name   string
		answer record.Answer
		want   []record.Ref
	}{
		{"waits", record.Answer{Key: written(2), Ref: made[2], Verdict: record.Waits, Reason: record.NoBase}, made},
		{"parked under another digest", record.Answer{Key: written(2), Ref: other, Verdict: record.Parked, Reason: record.Fork}, made},
		{"parked", record.Answer{Key: written(2), Ref: made[2], Verdict: record.Parked, Reason: record.NotAllowed}, made[:2]},
		{"about what was never made", record.Answer{Key: written(2), Ref: record.Ref{Name: record.Name{Lineage: newPen('x').top.Lineage, N: 1}}, Verdict: record.Accepted}, made[:2]},
		{"taken in the end", record.Answer{Key: written(2), Ref: made[2], Verdict: record.Accepted}, made[:2]},
	} {
		for range 2 {
			if err := s.Apply(context.Background(), record.Stretch{Answers: []record.Answer{step.answer}}); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); !slices.Equal(refs(got), step.want) {
				t.Errorf("%s: offers %v, want %v", step.name, refs(got), step.want)
			}
		}
	}
}

// An arrival decided without the last pending version fails with ErrMoved. A preview
// is shown until a version that includes the pending one comes down.
func movedBelow(t *testing.T, s Station) {
	p := newPen('u')
	one := p.birth("Patient")
	comeDown(t, s, at(1), came(1, one))
	mine := s.Write(one.Key, content(one.Key, `,"gender":"male"`))
	edit := came(2, p.edit(one.Version, `,"gender":"female"`))
	err := s.Apply(context.Background(), record.Stretch{Cursor: at(2), Arrived: []record.Arrival{edit}})
	if !errors.Is(err, record.ErrMoved) {
		t.Errorf("decided before the pending version: %v, want ErrMoved", err)
	}
	if c := cursorOf(t, s, record.OwnFeed); c.Seq != 1 {
		t.Errorf("the cursor moved to %d", c.Seq)
	}
	edit.On = mine
	edit.Preview = &record.Version{Key: one.Key, Base: edit.Ref, Includes: []record.Ref{mine}, Author: "tram", Trace: one.Version.Trace,
		Seen: edit.Version.Seen.With(mine.Name), Content: content(one.Key, `,"gender":"unknown"`)}
	for range 2 {
		comeDown(t, s, at(2), edit)
		st := look(t, s, one.Key, mine)
		if !st.Preview() || string(st.Shown.Content) != string(edit.Preview.Content) || st.Head.Ref() != edit.Ref || !slices.Equal(st.Pending, []record.Ref{mine}) {
			t.Errorf("laid over: %+v", st)
		}
		if st.Base.Ref() != mine {
			t.Errorf("the pending version cannot be read: %+v", st.Base)
		}
	}
	// What includes the pending version takes its place.
	over := p.edit(edit.Version, `,"gender":"unknown"`)
	over.Version.Seen, over.Version.Includes = over.Version.Seen.With(mine.Name), []record.Ref{mine}
	over.Ref = over.Version.Ref()
	last := came(3, over)
	last.On = mine
	comeDown(t, s, at(3), last)
	if st := look(t, s, one.Key, record.Ref{}); len(st.Pending) != 0 || st.Preview() || st.Shown.Ref() != over.Ref {
		t.Errorf("covered: %+v", st)
	}
}

// What upstream lost waits again, whole and in order, however often it is said.
func forgotten(t *testing.T, s Station) {
	made := write(s)
	ctx := context.Background()
	link := standing(t, s).Links[0]
	settle := record.Stretch{Receipts: []record.Receipt{{Link: link, Epoch: "exam", At: 1}}}
	for i, r := range made {
		settle.Answers = append(settle.Answers, record.Answer{Key: written(i), Ref: r, Verdict: record.Accepted})
	}
	for name, rec := range map[string]record.Recovery{
		"records to be offered": {Offer: []record.Key{{Kind: "Patient", ID: "exam-1"}, {Kind: "Patient", ID: "exam-2"}, {Kind: "Patient", ID: "never-held"}}},
		"a receipt made void":   {Void: []record.Link{{Lineage: link.Lineage}}},
	} {
		if err := s.Apply(ctx, settle); err != nil {
			t.Fatal(err)
		}
		if got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10); len(got) != 0 {
			t.Fatalf("%s: settled, and offered: %v", name, refs(got))
		}
		for range 2 {
			if err := s.Recover(ctx, rec); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, _ := all(t, s, engine.Upstream, record.Cursor{}, 10)
			if !slices.Equal(refs(got), made) {
				t.Errorf("%s: offers %v, want all of %v", name, refs(got), made)
			}
			if got[1].Prev != made[0].Name.N {
				t.Errorf("%s: the second follows %d, want %d", name, got[1].Prev, made[0].Name.N)
			}
		}
	}
}

// Who is told of a name that it never drew begins a new lineage, once.
func twin(t *testing.T, s Station) {
	made := write(s)
	was := standing(t, s)
	ctx := context.Background()
	for name, n := range map[string]record.Name{
		"the newest made here":    made[2].Name,
		"another replica's":       {Lineage: newPen('x').top.Lineage, N: 99},
		"none that was ever used": {Lineage: was.Lives[0]},
	} {
		if err := s.Recover(ctx, record.Recovery{Highest: []record.Name{n}}); err != nil {
			t.Fatal(err)
		}
		if now := standing(t, s); now.Lives[0] != was.Lives[0] {
			t.Errorf("%s began a new lineage", name)
		}
	}
	ahead := record.Name{Lineage: was.Lives[0], N: made[2].Name.N + 50}
	var now record.Standing
	for range 2 { // once is enough
		if err := s.Recover(ctx, record.Recovery{Highest: []record.Name{ahead}}); err != nil {
			t.Fatal(err)
		}
		st := standing(t, s)
		if now.Lives != nil && st.Lives[0] != now.Lives[0] {
			t.Error("the second time began another lineage")
		}
		now = st
	}
	if now.Lives[0] == was.Lives[0] || !slices.Contains(now.Lives, was.Lives[0]) {
		t.Errorf("lives: %v, before %v", now.Lives, was.Lives)
	}
	if r := s.Write(record.Key{Kind: "Patient", ID: "exam-3"}, content(record.Key{Kind: "Patient", ID: "exam-3"}, "")); r.Name.Lineage != now.Lives[0] {
		t.Errorf("the next version is %v, want one of lineage %s", r.Name, now.Lives[0])
	}
}
