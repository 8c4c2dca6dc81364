package central

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/status"
	"tram/sync/wire"
)

// desk is a PC at a stick.
func (p *pc) desk() *stick.Station {
	return &stick.Station{Store: p.Store, Identity: p.id, Merger: p.site.merger, Now: func() int64 { return p.site.clock().UnixMilli() },
		Report: func() []byte { return p.report }}
}

// stick goes to the centre and back, and tells what became of the answer.
func (p *pc) stick(dir string) stick.Result {
	p.site.t.Helper()
	ctx := context.Background()
	_, err := stick.Write(ctx, dir, p.name, p.desk())
	must(p.site.t, err)
	_, err = p.site.Stick(ctx, dir)
	must(p.site.t, err)
	return p.reads(dir)
}

func (p *pc) reads(dir string) stick.Result {
	p.site.t.Helper()
	files, err := stick.Read(context.Background(), dir, p.name, p.desk())
	must(p.site.t, err)
	if len(files) != 1 {
		p.site.t.Fatalf("%s finds %+v", p.name, files)
	}
	return files[0].Result
}

// The centre forgets a birth, a grant and an edit; sticks alone bring them back.
func TestRestoredCentreOverSticks(t *testing.T) {
	s := newSite(t)
	a, b := s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	dir := t.TempDir()
	old := a.born("")
	a.stick(dir)
	restore := s.backup()
	fresh := a.born(`,"gender":"female"`)
	a.write(old, store.Any, `,"active":true`)
	a.stick(dir)
	_, err := s.Grant(context.Background(), "tram-b", "tram-a", nil, "admin")
	must(t, err)
	for _, p := range []*pc{b, a} {
		p.stick(dir)
	}
	restore()
	rounds := 0
	for equal := false; !equal && rounds < 12; rounds++ {
		x, y := a.stick(dir).Exchange, b.stick(dir).Exchange
		equal = x.Equal && y.Equal
	}
	if got := shown(s.store, fresh); !strings.Contains(got, "female") || shown(a.Store, fresh) != got {
		t.Errorf("the birth: %s", got)
	}
	if got := shown(s.store, old); !strings.Contains(got, "active") || shown(a.Store, old) != got {
		t.Errorf("the edit: %s", got)
	}
	for _, p := range []*pc{a, b} {
		if list, err := p.WaitingList(5); err != nil || len(list) != 0 || rounds == 12 {
			t.Errorf("at %s there waits %+v, %v, after %d rounds", p.name, list, err, rounds)
		}
	}
	t.Logf("proved equal after %d rounds", rounds)
}

// A stick that was long under way speaks for a lineage that another has followed:
// it is heard, and makes a second PC of nobody. Where a call has proved one, no
// stick brings it anything.
func TestSticksProveNoSecondPC(t *testing.T) {
	s := newSite(t)
	first := s.enrolledPC("tram-a")
	first.born("")
	first.sync()
	dir := t.TempDir()
	unsent := first.born(`,"active":true`)
	_, err := stick.Write(context.Background(), dir, first.name, first.desk())
	must(t, err)
	second := first.copied() // the same folder, opened again
	second.sync()
	files, err := s.Stick(context.Background(), dir)
	if err != nil || len(files) != 1 || files[0].Code != status.StickTaken || s.line("tram-a").Twin {
		t.Errorf("the stick of an older life: %+v, %v, second PC %t", files, err, s.line("tram-a").Twin)
	}
	if got := shown(s.store, unsent); !strings.Contains(got, "active") {
		t.Errorf("what it handed in: %s", got)
	}
	if r := second.sync(); r.Refused != "" {
		t.Errorf("the newer life is refused as %q", r.Refused)
	}
	if r, err := first.exchange(); err != nil || r.Refused != wire.SecondPC {
		t.Errorf("the older one calls: %+v, %v", r, err)
	}
	if r := first.stick(dir); r.Code != status.StickRefused || r.Refused != wire.SecondPC || r.Received != 0 {
		t.Errorf("a stick of the second PC: %+v", r)
	}
}

// The fleet shows what a stick's report said, as of when it was said, and never in
// place of a newer one.
func TestReportOnAStick(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	ctx, old, fresh := context.Background(), t.TempDir(), t.TempDir()
	said := s.clock().UnixMilli()
	write := func(dir string, waiting int64) {
		t.Helper()
		p.report = status.Report{Station: "tram-a", Made: s.clock().UnixMilli(), Waiting: waiting}.Encode()
		_, err := stick.Write(ctx, dir, p.name, p.desk())
		must(t, err)
	}
	write(old, 3)
	s.pass(40 * 24 * time.Hour)
	_, err := s.Stick(ctx, old)
	must(t, err)
	if l := s.line("tram-a"); l.Seen != said || l.Report.Waiting != 3 {
		t.Errorf("seen %d with %d waiting, want %d with 3", l.Seen, l.Report.Waiting, said)
	}
	write(fresh, 4)
	_, err = s.Stick(ctx, fresh)
	must(t, err)
	_, err = s.Stick(ctx, old)
	must(t, err)
	if l := s.line("tram-a"); l.Seen != s.clock().UnixMilli() || l.Report.Waiting != 4 {
		t.Errorf("after an old stick: seen %d with %d waiting", l.Seen, l.Report.Waiting)
	}
}

// Another PC of a station's name, enrolled before it, signs with a key that counts
// no more.
func TestStickOfAnotherKey(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	dir := t.TempDir()
	k := p.born("")
	_, err := stick.Write(context.Background(), dir, p.name, p.desk())
	must(t, err)
	s.enrolledPC("tram-a")
	files, err := s.Stick(context.Background(), dir)
	if err != nil || len(files) != 1 || files[0].Code != status.StickStranger {
		t.Errorf("%+v, %v", files, err)
	}
	if got := shown(s.store, k); got != record.ErrNotFound.Error() {
		t.Errorf("taken in: %s", got)
	}
}

// The fleet names who comes by stick, which number is missing and which came in its
// place, until it comes or the station calls.
func TestFleetShowsSticks(t *testing.T) {
	s := newSite(t)
	p := s.enrolledPC("tram-a")
	b := s.browser()
	b.setUp("hoa")
	ctx := context.Background()
	shows := func(step string, want ...string) {
		t.Helper()
		b.do("POST", "/sign-in?lang=en", url.Values{"user": {"hoa"}, "pin": {pin}}, nil) // days pass
		_, page := b.get("/?lang=en")
		_, list := b.get("/fleet.json")
		for _, w := range want {
			no, denied := strings.CutPrefix(w, "-")
			if strings.Contains(page+list, no) == denied {
				t.Errorf("%s: %q\n%s\n%s", step, w, page, list)
			}
		}
	}
	shows("before any", "-By stick", "-\"stick\"")
	p.stick(t.TempDir())
	s.pass(3 * 24 * time.Hour)
	shows("one read", "<strong>By stick</strong>", "stick 1, read 3 d ago", `"comes":true`, "-missing", "-expected")
	var lost []string
	for range 2 {
		lost = append(lost, t.TempDir())
		_, err := stick.Write(ctx, lost[len(lost)-1], p.name, p.desk())
		must(t, err)
	}
	p.report = status.Report{Station: "tram-a", Made: s.clock().UnixMilli(), Stick: status.Sticks{Last: 3, Taken: 1, Out: 2, Since: s.clock().UnixMilli()}}.Encode()
	p.stick(t.TempDir())
	shows("two lost", "stick 4, read &lt; 1 min ago", "number 2 missing, 4 came", `"missing":[2,3]`, `"expected":2`, `"got":4`, "Sticks on their way: 2; answers read up to 1")
	_, err := s.Stick(ctx, lost[0])
	must(t, err)
	shows("one found", "number 3 missing, 4 came", `"missing":[3]`)
	s.restart()
	b = s.browser()
	_, err = s.Stick(ctx, lost[1])
	must(t, err)
	shows("both found", "-missing", "stick 3, read", "<strong>By stick</strong>")
	s.pass(time.Hour)
	p.sync()
	shows("called", "By stick", "-<strong>By stick", `"comes":false`, "-refused")

	dir := t.TempDir()
	name, err := stick.Write(ctx, dir, p.name, p.desk())
	must(t, err)
	at := filepath.Join(dir, stick.Folder, name)
	good, err := os.ReadFile(at)
	must(t, err)
	bad := slices.Clone(good)
	bad[len(bad)-1] ^= 1
	must(t, os.WriteFile(at, bad, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, stick.Folder, "tram-nobody-up-1.tram"), bad, 0o600))
	_, err = s.Stick(ctx, dir)
	must(t, err)
	s.restart()
	b = s.browser()
	shows("altered", "a file was refused &lt; 1 min ago: Damaged or altered", "Write a new file; if this comes back", `"refused":{"code":"altered"`, "-nobody")
	must(t, os.WriteFile(at, good, 0o600))
	_, err = s.Stick(ctx, dir)
	must(t, err)
	shows("good again", "stick 5, read", "-refused")

	must(t, os.RemoveAll(dir))
	_, err = stick.Write(ctx, t.TempDir(), p.name, p.desk())
	must(t, err)
	p.stick(t.TempDir())
	shows("one more lost", "number 6 missing, 7 came")
	s.pass(time.Hour)
	p.report = status.Report{Station: "tram-a", Made: s.clock().UnixMilli(), Stick: status.Sticks{Last: 7, Taken: 7}}.Encode()
	p.stick(t.TempDir())
	shows("answered past it", "stick 8, read", "-missing")
}
