package health

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/store/space"
	"tram/sync/status"
)

func TestLookReadsThisPC(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "tram.db")
	if err := os.WriteFile(db, make([]byte, 12345), 0o600); err != nil {
		t.Fatal(err)
	}
	pc, err := Look(db, dir)
	if err != nil {
		t.Fatal(err)
	}
	if pc.OS != runtime.GOOS || pc.Arch != runtime.GOARCH || pc.Database != 12345 || pc.Memory <= 0 {
		t.Errorf("got %+v", pc)
	}
	if pc.DiskFree <= 0 || pc.DiskTotal < pc.DiskFree {
		t.Errorf("disk: %d of %d bytes free", pc.DiskFree, pc.DiskTotal)
	}
	none := filepath.Join(dir, "none")
	part, err := Look(none, none, dir)
	if err == nil || part.Database != 0 || part.DiskTotal != pc.DiskTotal {
		t.Errorf("with a folder that is not there: %+v, %v", part, err)
	}
}

// TestTrap11 is named after field-notes' trap: "last sync" moved by a failure.
func TestTrap11FailedSyncLooksLikeNone(t *testing.T) {
	s := Sync{}.After(1000, "").After(2000, status.FailLink).After(3000, status.FailCut)
	want := Sync{Tried: 3000, Synced: 1000, Failures: 2, Failure: status.FailCut}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	if s = s.After(4000, ""); s != (Sync{Tried: 4000, Synced: 4000}) {
		t.Errorf("after a good one: %+v", s)
	}
}

func TestReportIsWhatWasCollected(t *testing.T) {
	lin := record.Lineage("abcdefghijklmno2")
	got := Report(record.Stamp{Unix: 10_000, Offset: 500, Doubt: true},
		Program{Station: "tram-a", Version: "1.2", Slot: "file", Up: 90*time.Second + time.Millisecond},
		PC{OS: "linux", Arch: "amd64", DiskFree: 5, DiskTotal: 9, Database: 3, Memory: 77},
		store.Counts{Records: 40, People: 7, Waiting: 6, Parked: 2, Held: 1, Conflicts: 3, Vault: 4, OldestUnsent: 8_500},
		Sync{Tried: 9_000, Synced: 7_000, Failures: 1, Failure: status.FailLater, Lineage: lin, Receipt: status.Position{Lineage: lin, N: 8, At: 6}},
		status.FileAside, status.Practice, status.FileAside)
	want := status.Report{
		Station: "tram-a", Version: "1.2", Made: 10_000, Offset: 500, Doubt: true, OS: "linux", Arch: "amd64",
		DiskFree: 5, DiskTotal: 9, Database: 3, People: 7, Records: 40, Waiting: 6, Parked: 2, Conflicts: 3,
		Oldest: 8_000, Tried: 9_000, Synced: 7_000, Failures: 1, Failure: status.FailLater, Lineage: lin,
		Receipt: status.Position{Lineage: lin, N: 8, At: 6}, Up: 90, Slot: "file", Codes: []status.Code{status.FileAside, status.Practice},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if none := Report(record.Stamp{Offset: 500}, Program{}, PC{}, store.Counts{}, Sync{}); none.Oldest != 0 {
		t.Errorf("nothing waits, but the oldest is of %d", none.Oldest)
	}
}

// pair is a wall clock and a steady one that tests move.
type pair struct {
	mu     sync.Mutex
	wall   time.Time
	steady time.Duration
}

func (p *pair) read() (time.Time, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wall, p.steady
}

// pass lets time go by; set sets the wall clock.
func (p *pair) pass(d time.Duration) { p.set(d); p.mu.Lock(); p.steady += d; p.mu.Unlock() }
func (p *pair) set(by time.Duration) { p.mu.Lock(); p.wall = p.wall.Add(by); p.mu.Unlock() }

func TestClock(t *testing.T) {
	noon := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	const day, hour, second = 24 * time.Hour, time.Hour, time.Second
	for _, c := range []struct {
		name  string
		came  time.Time
		built time.Time
		do    func(*Clock, *pair)
		want  record.Stamp
	}{
		{"nothing known", time.Time{}, time.Time{}, func(*Clock, *pair) {}, at(noon, 0, false)},
		{"time goes by", time.Time{}, time.Time{}, func(_ *Clock, p *pair) { p.pass(40 * day) }, at(noon.Add(40*day), 0, false)},
		{"set by a time service", time.Time{}, time.Time{}, func(_ *Clock, p *pair) { p.set(29 * second) }, at(noon.Add(29*second), 0, false)},
		{"set forward", time.Time{}, time.Time{}, func(_ *Clock, p *pair) { p.set(hour) }, at(noon.Add(hour), 0, true)},
		{"set back", time.Time{}, time.Time{}, func(_ *Clock, p *pair) { p.pass(hour); p.set(-hour) }, at(noon, 0, true)},
		{"set and set right again", time.Time{}, time.Time{}, func(c *Clock, p *pair) { p.set(hour); c.Stamp(); p.set(-hour) }, at(noon, 0, true)},
		{"before the last known time", noon.Add(hour), time.Time{}, func(*Clock, *pair) {}, at(noon, 0, true)},
		{"a little before it", noon.Add(4 * time.Minute), time.Time{}, func(*Clock, *pair) {}, at(noon, 0, false)},
		{"switched off for 11 months", noon.Add(-330 * day), time.Time{}, func(*Clock, *pair) {}, at(noon, 0, false)},
		{"two years ahead of the last known time", noon.Add(-730 * day), time.Time{}, func(c *Clock, _ *pair) { c.Stamp() }, at(noon, 0, true)},
		{"a new program on an old store", noon.Add(-730 * day), noon.Add(-day), func(*Clock, *pair) {}, at(noon, 0, false)},
		{"and measured", noon.Add(-730 * day), time.Time{}, func(c *Clock, _ *pair) { c.Stamp(); c.Measured(0) }, at(noon, 0, false)},
		{"running for two years", noon.Add(-day), time.Time{}, func(c *Clock, p *pair) {
			for range 730 {
				c.Stamp()
				p.pass(day)
			}
		}, at(noon.Add(730*day), 0, false)},
		{"before the build", time.Time{}, noon.Add(second), func(*Clock, *pair) {}, at(noon, 0, true)},
		{"after the build", time.Time{}, noon, func(*Clock, *pair) {}, at(noon, 0, false)},
		{"the time is reached", noon.Add(hour), time.Time{}, func(c *Clock, p *pair) { c.Stamp(); p.pass(hour) }, at(noon.Add(hour), 0, false)},
		{"measured", time.Time{}, noon.Add(day), func(c *Clock, _ *pair) { c.Measured(day.Milliseconds()) }, at(noon, day, false)},
		{"measured below the build", time.Time{}, noon.Add(day), func(c *Clock, _ *pair) { c.Measured(5) }, at(noon, 5*time.Millisecond, false)},
		{"set after it was measured", time.Time{}, time.Time{}, func(c *Clock, p *pair) { c.Measured(2000); p.pass(hour); p.set(-2 * day) },
			at(noon.Add(hour-2*day), 2*second+2*day, false)},
		{"measured after it was set", time.Time{}, time.Time{}, func(c *Clock, p *pair) { p.set(hour); c.Stamp(); c.Measured(-hour.Milliseconds()) },
			at(noon.Add(hour), -hour, false)},
	} {
		p := &pair{wall: noon}
		clock := NewClock(p.read, known(c.came), c.built, 0)
		c.do(clock, p)
		if got := clock.Stamp(); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	p := &pair{wall: noon}
	if got, want := NewClock(p.read, 0, time.Time{}, 1500).Stamp(), at(noon, 1500*time.Millisecond, false); got != want {
		t.Errorf("with the offset measured last: %+v, want %+v", got, want)
	}
}

func known(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(wall time.Time, offset time.Duration, doubt bool) record.Stamp {
	return record.Stamp{Unix: wall.UnixMilli(), Offset: offset.Milliseconds(), Doubt: doubt}
}

func TestClockIsSafeForConcurrentUse(t *testing.T) {
	p := &pair{wall: time.Unix(1_800_000_000, 0)}
	c := NewClock(p.read, 0, time.Time{}, 0)
	c.Measured(7)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				p.pass(time.Millisecond)
				if s := c.Stamp(); s.Doubt || s.Offset != 7 {
					t.Errorf("got %+v", s)
				}
			}
		})
	}
	all.Wait()
}

func TestSystemClocksAgree(t *testing.T) {
	c := NewClock(System(), 0, Built(), 0)
	before := time.Now().UnixMilli()
	if s := c.Stamp(); s.Doubt || s.Unix < before {
		t.Errorf("got %+v at %d", s, before)
	}
}

func TestOffsetIsFromTheMiddle(t *testing.T) {
	if got := Offset(1000, 3000, 2500); got != 500 {
		t.Errorf("got %d, want 500", got)
	}
	if got := Offset(1000, 3000, -500); got != -2500 {
		t.Errorf("got %d, want -2500", got)
	}
}

func TestRoomIsSaidByOneCode(t *testing.T) {
	want := map[space.State]status.Code{space.Low: status.DiskLow, space.NoBlobs: status.DiskNoFiles, space.NoRecords: status.DiskFull}
	for _, st := range []space.State{space.Enough, space.Low, space.NoBlobs, space.NoRecords} {
		if got, low := Room(st); got != want[st] || low != (st != space.Enough) {
			t.Errorf("state %d: %q, %t; want %q", st, got, low, want[st])
		}
	}
}

func TestTreesThatDiffer(t *testing.T) {
	day := healedFor.Milliseconds()
	s := Sync{}
	for i, step := range []struct {
		at    int64
		equal bool
		later int64 // when it is looked at
		want  []status.Code
	}{
		{1000, true, 1000, nil}, // never differed: nothing was healed
		{2000, false, 2000 + 2*day, []status.Code{status.Unequal}},
		{3000, false, 3000, []status.Code{status.Unequal}},
		{4000, true, 4000 + day - 1, []status.Code{status.Healed}},
		{5000, true, 4000 + day, nil},
	} {
		s = s.Compared(step.at, step.equal)
		r := Report(record.Stamp{Unix: step.later}, Program{}, PC{}, store.Counts{}, s)
		if !slices.Equal(r.Codes, step.want) {
			t.Errorf("step %d: %v, want %v", i, r.Codes, step.want)
		}
	}
	if s.Healed != 4000 {
		t.Errorf("healed at %d", s.Healed)
	}
}
