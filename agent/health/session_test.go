package health

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
	"tram/store/storetest"
)

// desk is a PC that people switch on and off, with its store and its clocks.
type desk struct {
	t     *testing.T
	dir   string
	pair  *pair
	right time.Time // the true time
	built time.Time
	s     *store.Store
	clock *Clock
	made  []moment
	n     int
}

// moment is an entry with when it was made in truth.
type moment struct {
	v  *record.Version
	at time.Time
}

const year = 365 * 24 * time.Hour

func newDesk(t *testing.T, wrong time.Duration) *desk {
	right := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	return &desk{t: t, dir: t.TempDir(), right: right, built: right.Add(-30 * 24 * time.Hour), pair: &pair{wall: right.Add(wrong)}}
}

func (d *desk) pass(x time.Duration) { d.right = d.right.Add(x); d.pair.pass(x) }

// on starts the program, off ends it.
func (d *desk) on() {
	d.t.Helper()
	d.clock = NewClock(d.pair.read, 0, d.built, 0)
	s, err := store.Open(store.Options{Dir: d.dir, R4: storetest.R4(d.t), Clock: func() record.Stamp { return d.clock.Stamp() }})
	if err != nil {
		d.t.Fatal(err)
	}
	came, err := s.Came()
	if err != nil {
		d.t.Fatal(err)
	}
	offset, err := LastOffset(s)
	if err != nil {
		d.t.Fatal(err)
	}
	d.s, d.clock = s, NewClock(d.pair.read, came, d.built, offset)
}

func (d *desk) off() {
	d.t.Helper()
	storetest.Check(d.t, d.s)
	if err := d.s.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// enter writes some entries, a minute apart.
func (d *desk) enter(n int) {
	d.t.Helper()
	for range n {
		d.n++
		key := record.Key{Kind: "Location", ID: fmt.Sprint("room-", d.n)}
		v, err := d.s.Put(context.Background(), store.Write{Key: key, Author: "mai", Content: fmt.Appendf(nil, `{"resourceType":"Location","id":"%s","name":"x"}`, key.ID)})
		if err != nil {
			d.t.Fatal(err)
		}
		d.made = append(d.made, moment{v[0], d.right})
		d.pass(time.Minute)
	}
}

// measure is what an exchange does.
func (d *desk) measure() {
	d.t.Helper()
	wall, _ := d.pair.read()
	if _, err := Note(context.Background(), d.s, d.clock.Measured(d.right.Sub(wall).Milliseconds())); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) sessions() Sessions {
	d.t.Helper()
	s, err := LoadSessions(d.s)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func TestEntriesOfAWrongClock(t *testing.T) {
	off := func(d *desk) { d.off(); d.pass(10 * time.Hour); d.on() }
	drift := func(d *desk) {
		for range 6 {
			d.pass(24 * time.Hour)
			d.pair.set(-25 * time.Second)
			d.clock.Stamp()
		}
	}
	for name, c := range map[string]struct {
		wrong time.Duration
		do    func(*desk)
		want  []string // of each session: its entries, how far off they are, and how that is known
	}{
		"right":                         {0, func(d *desk) { d.enter(3); d.measure(); d.enter(1); d.measure() }, nil},
		"a minute off":                  {-time.Minute, func(d *desk) { d.enter(3); d.measure() }, nil},
		"nothing was written":           {-year, func(d *desk) { d.measure(); d.enter(2); d.measure() }, nil},
		"three years behind":            {-3 * year, func(d *desk) { d.enter(3); d.measure(); d.enter(2); d.measure() }, []string{"1-3 26280h0m0s measured"}},
		"two hours ahead":               {2 * time.Hour, func(d *desk) { d.enter(2); d.measure() }, []string{"1-2 -2h0m0s measured"}},
		"measured, and nothing written": {-3 * year, func(d *desk) { d.measure(); off(d); d.enter(2); d.measure() }, nil},
		"set by night after a set": {0, func(d *desk) {
			d.measure()
			d.pair.set(-year)
			d.enter(1)
			d.measure()
			off(d)
			d.enter(2)
			d.measure()
		}, nil},
		"wrong again, as it was before": {-3 * year, func(d *desk) { d.measure(); d.enter(1); off(d); d.enter(2); d.measure() }, nil},
		// now it goes wrong while the program runs
		"set while it runs, before the measure": {0, func(d *desk) {
			d.enter(2)
			d.pair.set(-5 * time.Hour)
			d.enter(3)
			d.pair.set(9 * time.Hour)
			d.enter(1)
			d.measure()
		},
			[]string{"3-5 5h0m0s measured", "6-6 -4h0m0s measured"}},
		"put right before the measure": {-3 * year, func(d *desk) { d.enter(2); d.pair.set(3 * year); d.enter(2); d.measure() }, []string{"1-2 26280h0m0s measured"}},
		"set back a little": {0, func(d *desk) {
			d.enter(2)
			d.pair.set(-time.Hour)
			d.enter(2)
			d.pair.set(-time.Hour)
			d.enter(2)
			d.measure()
		}, []string{"3-4 1h0m0s measured", "5-6 2h0m0s measured"}},
		"set after the measure": {0, func(d *desk) { d.measure(); d.enter(2); d.pair.set(-year); d.enter(2); d.measure() }, nil},
		"slow for weeks":        {0, func(d *desk) { d.measure(); drift(d); d.enter(3); d.measure(); d.enter(1) }, []string{"1-3 2m30s likely"}},
		// runs before the one in which it was measured
		"off at night": {-3 * year, func(d *desk) {
			d.enter(2)
			off(d)
			off(d)
			d.enter(1)
			off(d)
			d.enter(2)
			d.measure()
		}, []string{"1-3 26280h0m0s likely", "4-5 26280h0m0s measured"}},
		"put right at night": {-3 * year, func(d *desk) {
			d.measure()
			off(d)
			d.pair.set(-year)
			d.enter(2)
			d.off()
			d.pair.set(year)
			d.on()
			d.enter(1)
			d.measure()
		}, []string{"1-2 0s unknown"}},
		"no battery": {-20 * year, func(d *desk) {
			d.enter(2)
			d.off()
			d.pass(10 * time.Hour)
			d.pair.set(-11 * time.Hour)
			d.on()
			d.enter(2)
			d.measure()
		}, []string{"1-2 0s unknown", "3-4 175211h0m0s measured"}},
		"ahead, put right at night": {3 * year, func(d *desk) {
			d.enter(2)
			d.off()
			d.pair.set(-3 * year)
			d.on()
			d.enter(1)
			d.measure()
		}, []string{"1-2 0s unknown"}},
		"right, then ahead in the night": {0, func(d *desk) {
			d.measure()
			off(d)
			d.enter(2)
			d.off()
			d.pair.set(3 * year)
			d.on()
			d.enter(1)
			d.measure()
		}, []string{"3-3 -26280h0m0s measured"}},
		"all said before": {-3 * year, func(d *desk) {
			d.enter(2)
			d.measure()
			d.enter(1)
			off(d)
			d.enter(1)
			d.measure()
			off(d)
			d.measure()
		}, []string{"1-2 26280h0m0s measured"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, c.wrong)
			d.on()
			c.do(d)
			defer d.off()
			s := d.sessions()
			var got []string
			for i, x := range s.List() {
				var in []int
				for n, m := range d.made {
					if s.Of(m.v.Name) != i {
						continue
					}
					in = append(in, n+1)
					if said := m.v.Stamp.Corrected() + x.By; x.Basis == Measured && max(said-m.at.UnixMilli(), m.at.UnixMilli()-said) > 60_000 {
						t.Errorf("entry %d was made %v, not %v", n+1, m.at, time.UnixMilli(said).UTC())
					}
				}
				if len(in) != x.Entries || len(in) == 0 {
					t.Fatalf("session %+v has the entries %v", x, in)
				}
				got = append(got, fmt.Sprintf("%d-%d %v %s", in[0], in[len(in)-1], time.Duration(x.By)*time.Millisecond, x.Basis))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestWhatIsSaidOfAWrongClockStays loses the database: what a person said is in the
// journal, and so is who said it.
func TestWhatIsSaidOfAWrongClockStays(t *testing.T) {
	ctx := context.Background()
	d := newDesk(t, -3*year)
	d.on()
	d.enter(3)
	d.measure()
	before, err := d.s.History(d.made[0].v.Key)
	if err != nil {
		t.Fatal(err)
	}
	if n := d.sessions().Open(); n != 1 {
		t.Fatalf("%d sessions to be looked at, want 1", n)
	}
	for _, i := range []int{-1, 1} {
		if err := Date(ctx, d.s, i, Dated{Who: "mai"}); err != ErrNoSession {
			t.Errorf("of session %d, which is none: %v", i, err)
		}
	}
	said := Dated{Who: "mai", At: 7, By: d.sessions().List()[0].By}
	if err := Date(ctx, d.s, 0, said); err != nil {
		t.Fatal(err)
	}
	d.off()
	if err := os.Remove(filepath.Join(d.dir, "tram.db")); err != nil {
		t.Fatal(err)
	}
	d.on()
	defer d.off()
	if l := d.sessions().List(); len(l) != 1 || l[0].Said == nil || *l[0].Said != said || l[0].Entries != 3 {
		t.Errorf("after the database was lost: %+v", l)
	}
	for _, m := range d.made {
		acts, err := d.s.AuditOf(m.v.Key, 1)
		if err != nil || len(acts) != 1 || acts[0].Action != audit.Date || acts[0].Who != "mai" || acts[0].Version != m.v.Name {
			t.Errorf("the audit of %v: %+v, %v", m.v.Key, acts, err)
		}
	}
	after, err := d.s.History(d.made[0].v.Key)
	if err != nil || len(after) != 1 || after[0].Ref() != before[0].Ref() {
		t.Errorf("the version is another one: %v, %v", after, err)
	}
}

// A clock two years ahead is in doubt as long as nobody measured it, also when the program
// starts again; an old record that came down last makes no right clock doubtful.
func TestDoubtOfAFutureOutlivesARestart(t *testing.T) {
	d := newDesk(t, 0)
	d.on()
	d.enter(1)
	d.off()
	d.pair.set(2 * year)
	for range 2 {
		d.on()
		d.enter(1)
		d.off()
	}
	if !d.made[1].v.Stamp.Doubt || !d.made[2].v.Stamp.Doubt {
		t.Errorf("two years ahead: %+v, and after a restart %+v", d.made[1].v.Stamp, d.made[2].v.Stamp)
	}
}

func TestOldRecordThatComesDownMakesNoDoubt(t *testing.T) {
	d := newDesk(t, 0)
	d.on()
	d.enter(3)
	old := record.Version{Key: record.Key{Kind: "Patient", ID: "x"}, Name: record.Name{Lineage: d.s.Lineage(), N: 1 << 40}, Author: "lan",
		Stamp: record.Stamp{Unix: d.right.Add(-2 * year).UnixMilli()}, Content: []byte(`{"resourceType":"Patient","id":"x"}`)}
	old.Seen = record.Seen{}.With(old.Name)
	if err := d.s.Apply(context.Background(), record.Stretch{Peer: store.Upstream, Cursor: &record.Cursor{Feed: record.OwnFeed, Epoch: "e", Seq: 1},
		Arrived: []record.Arrival{{Change: record.Change{Seq: 1, Key: old.Key, Ref: old.Ref(), Version: &old}}}}); err != nil {
		t.Fatal(err)
	}
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	d.pass(10 * time.Hour)
	d.on()
	d.enter(1)
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	if d.made[3].v.Stamp.Doubt {
		t.Errorf("a right clock, and entries of yesterday: %+v", d.made[3].v.Stamp)
	}
}
