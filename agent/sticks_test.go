package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/sync/carry/stick"
	"tram/sync/central"
	"tram/sync/status"
)

// trip is a station, its centre and a stick that goes between them.
type trip struct {
	*ward
	c     *central.Centre
	mount string
}

func (s *trip) write(mount string) {
	s.t.Helper()
	if _, err := stick.Write(context.Background(), mount, s.name, desk{s.a}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *trip) centre(mount string, want status.Stick) {
	s.t.Helper()
	files, err := s.c.Stick(context.Background(), mount)
	if err != nil || len(files) != 1 || files[0].Code != want {
		s.t.Fatalf("the centre reads %+v, %v, want %s", files, err, want)
	}
}

func (s *trip) reads(mount string, want status.Stick) {
	s.t.Helper()
	files, err := stick.Read(context.Background(), mount, s.name, desk{s.a})
	if err != nil || len(files) != 1 || files[0].Code != want {
		s.t.Fatalf("the station reads %+v, %v, want %s", files, err, want)
	}
}

// answer is the path of the centre's answer on a stick.
func (s *trip) answer(mount string, n int) string {
	return filepath.Join(mount, stick.Folder, fmt.Sprintf("tram-%s-down-%d.tram", s.name, n))
}

// says fails unless the page of what waits says all of it and nothing that is denied
// with a "-" in front, and the report has these codes.
func (s *trip) says(step string, codes []status.Code, want ...string) {
	s.t.Helper()
	text := strings.Join(pageText(s.get("mai", "/waiting")), "\n")
	for _, w := range want {
		no, denied := strings.CutPrefix(w, "-")
		if strings.Contains(text, no) == denied {
			s.t.Errorf("%s: %q\n%s", step, w, text)
		}
	}
	var got []status.Code
	for _, h := range status.Judge(s.a.Report(), s.a.Report().Made) {
		if h.Code == status.RefusedStick || h.Code == status.SilentStick {
			got = append(got, h.Code)
		}
	}
	if !slices.Equal(got, codes) {
		s.t.Errorf("%s: the report has %v, want %v", step, got, codes)
	}
}

// fleet is what the centre shows: the stick read last, expected and got.
func (s *trip) fleet(step string, want string) {
	s.t.Helper()
	list, err := s.c.Fleet("en")
	if err != nil || len(list) != 1 {
		s.t.Fatal(list, err)
	}
	got := "none"
	if k := list[0].Stick; k != nil {
		got = fmt.Sprintf("read %d, comes %t, expected %d, got %d, report: last %d, taken %d, out %d", k.N, k.Comes, k.Expected, k.Got,
			list[0].Report.Stick.Last, list[0].Report.Stick.Taken, list[0].Report.Stick.Out)
	}
	if got != want {
		s.t.Errorf("%s: the fleet shows %q, want %q", step, got, want)
	}
}

// 1 -> read, answered / 2 -> lost / 3 -> read over the gap, its answer altered once,
// then good / 2 -> found. The page says at each step what is known, and green is
// what a receipt covers.
func TestSticksOnThePage(t *testing.T) {
	c, at := startCentre(t)
	w := openWard(t, c, at, "tram-a", "mai")
	s := &trip{w, c, t.TempDir()}
	const here, green = "Saved here", "Nothing waits. Everything written here is at the centre."
	s.says("before any", nil, "-By stick", green)
	s.fleet("before any", "none")

	bornAt(t, w.a)
	s.write(s.mount)
	s.says("1 written", nil, "The centre is not known to have read any stick yet. 1 on their way without an answer.", "1 (time) 1 On its way, no answer yet",
		"On its way on stick 1, written (time).", here, "-"+green, "-At the centre")
	s.centre(s.mount, status.StickTaken)
	s.says("1 read at the centre", nil, "1 on their way", "On its way on stick 1", "-"+green)
	s.reads(s.mount, status.StickTaken)
	s.says("1 answered", nil, "The centre has read up to stick 1.", "Last answer read: to stick 1", "Read by the centre and answered", green, "-on their way")
	s.fleet("1 answered", "read 1, comes true, expected 0, got 0, report: last 0, taken 0, out 0")

	bornAt(t, w.a)
	lost := t.TempDir()
	s.write(lost)
	bornAt(t, w.a)
	s.says("2 written, and one more entry", nil, "read up to stick 1. 1 on their way", "Of what waits, 1 is on a stick", "On its way on stick 2", "Nothing to do: it is sent by itself.", "-"+green)
	s.write(s.mount)
	s.says("3 written", nil, "2 on their way", "Of what waits, 2 are on a stick", "On its way on stick 3", "-On its way on stick 2")
	s.centre(s.mount, status.StickGap)
	s.fleet("3 read", "read 3, comes true, expected 2, got 3, report: last 2, taken 1, out 1")

	good, err := os.ReadFile(s.answer(s.mount, 3))
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(good)
	altered[len(altered)/2] ^= 1
	if err := os.WriteFile(s.answer(s.mount, 3), altered, 0o600); err != nil {
		t.Fatal(err)
	}
	s.reads(s.mount, status.StickAltered)
	s.says("3 altered", []status.Code{status.RefusedStick}, "A file from a stick was refused at (time): Damaged or altered. Nothing was taken in.", "Write a new file", "2 on their way", "-"+green)
	if page := s.get("mai", "/state"); !strings.Contains(page, "A stick was refused: Damaged or altered") {
		t.Error("the state does not say it")
	}
	if err := os.WriteFile(s.answer(s.mount, 3), good, 0o600); err != nil {
		t.Fatal(err)
	}
	s.reads(s.mount, status.StickTaken)
	s.says("3 answered", nil, "The centre has read up to stick 3.", "By then stick 2 had not come.", "2 (time) 1 Did not reach the centre", green, "-refused", "-on their way")

	s.centre(lost, status.StickTaken)
	s.fleet("2 found", "read 2, comes true, expected 0, got 0, report: last 2, taken 1, out 1")
	s.reads(lost, status.StickOld)
	s.says("2 found", nil, "A file from a stick was refused at (time): Too old.", green)

	s.write(s.mount)
	w.settle()
	s.says("called", nil, "4 (time) 0 Went over the link", green, "-on their way")
	s.fleet("called", "read 2, comes false, expected 0, got 0, report: last 4, taken 3, out 1")
	s.centre(s.mount, status.StickTaken)
	s.reads(s.mount, status.StickTaken)
	s.says("4 answered", nil, "The centre has read up to stick 4.", "-By then", "-refused")
}
