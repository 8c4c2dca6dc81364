package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	"tram/store"
	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/central"
	"tram/sync/status"
)

// byStick starts a station that enrolled over the network once and calls no more.
func byStick(t *testing.T, more ...func(*config.Config)) (*central.Centre, *Agent, string) {
	t.Helper()
	dir := t.TempDir()
	c, at := startCentre(t)
	enrol(t, c, at.address, dir, "tram-a")
	seldom := func(conf *config.Config) { conf.Sync.Every, conf.Sync.Urgent = 24*time.Hour, time.Hour }
	a, _ := startStation(t, dir, append(more, seldom)...)
	eventually(t, "the station has called once", func() bool {
		fleet, err := c.Fleet("en")
		return err == nil && len(fleet) == 1 && fleet[0].Seen > 0
	})
	eventually(t, "the call has ended", func() bool { return a.Report().Synced > 0 })
	return c, a, dir
}

func bornAt(t *testing.T, a *Agent) record.Key {
	t.Helper()
	k := record.Key{Kind: "Patient", ID: a.Store().NewID()}
	_, err := a.Store().Put(context.Background(), store.Write{Key: k, Author: "hoa",
		Content: []byte(`{"resourceType":"Patient","id":"` + k.ID + `","birthDate":"1961-02-03"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func command(t *testing.T, main func(context.Context, []string, *strings.Builder) int, want int, args ...string) string {
	t.Helper()
	var out strings.Builder
	if code := main(context.Background(), args, &out); code != want {
		t.Fatalf("%v: %d %s", args, code, out.String())
	}
	return out.String()
}

func tramMain(ctx context.Context, args []string, out *strings.Builder) int {
	return Main(ctx, args, out, out)
}

func TestStickByCommand(t *testing.T) {
	c, a, dir := byStick(t)
	k := bornAt(t, a)
	mount := t.TempDir()
	if s := command(t, tramMain, ExitFine, "stick", "write", mount, "--data", dir); !strings.Contains(s, "tram-tram-a-up-1.tram") {
		t.Errorf("write says %q", s)
	}
	files, err := c.Stick(context.Background(), mount)
	if err != nil || len(files) != 1 || files[0].Code != status.StickTaken || files[0].Taken != 1 {
		t.Fatalf("the centre: %+v, %v", files, err)
	}
	if _, err := c.Store().Get(k); err != nil {
		t.Fatal(err)
	}
	const longAgo = 1
	a.mu.Lock()
	a.sync.Synced = longAgo
	a.mu.Unlock()
	for _, want := range []string{"Đã nhận", "Đã nhận từ trước"} {
		s := command(t, tramMain, ExitFine, "stick", "read", mount, "--data", dir)
		if !strings.Contains(s, ": "+want+" (") {
			t.Errorf("read says %q, want %q", s, want)
		}
	}
	r := a.Report()
	if r.Waiting != 0 || r.Receipt.N == 0 || r.Synced == longAgo {
		t.Errorf("after the stick: %d wait, receipt %+v, synced %d", r.Waiting, r.Receipt, r.Synced)
	}
	if s := command(t, tramMain, ExitTrouble, "stick", "read", t.TempDir(), "--data", dir); !strings.Contains(s, "USB") {
		t.Errorf("no stick: %q", s)
	}
	if err := c.Deny(context.Background(), "tram-a", true); err != nil {
		t.Fatal(err)
	}
	command(t, tramMain, ExitFine, "stick", "write", mount, "--data", dir)
	if files, err = c.Stick(context.Background(), mount); err != nil || files[0].Code != status.StickRefused {
		t.Errorf("a station whose access ended: %+v, %v", files, err)
	}
	command(t, tramMain, ExitTrouble, "stick", "read", mount, "--data", dir)
	if r := a.Report().Stick; r != (status.Sticks{Last: 2, Taken: 2, Refused: status.StickRefused}) {
		t.Errorf("the report says %+v", r)
	}
	for range 2 {
		command(t, tramMain, ExitFine, "stick", "write", mount, "--data", dir)
	}
	trail, err := stick.TrailOf(a.Store())
	if err != nil || trail.Trips[2].State != status.TripReplaced || trail.Trips[3].State != status.TripOut {
		t.Errorf("written over: %+v, %v", trail.Trips, err)
	}
}

// The centre's answer stands still in its midst, for minutes: the stick is written at once,
// and the call goes on when the link does.
func TestStickCutsACallThatStandsStill(t *testing.T) {
	dir := t.TempDir()
	c, at := startCentre(t)
	k := startLink(t, strings.TrimPrefix(at.address, "https://"))
	enrol(t, c, "https://"+k.Address(), dir, "tram-a")
	a, _ := startStation(t, dir)
	eventually(t, "the station has called", func() bool { return a.Report().Synced > 0 })
	hold := k.HoldAfter(-1, 6000)
	<-hold.Reached
	who := bornAt(t, a)
	mount := t.TempDir()
	began := time.Now()
	command(t, tramMain, ExitFine, "stick", "write", mount, "--data", dir)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to write the stick", took)
	}
	if n := a.Report().Failures; n > 0 {
		t.Errorf("the cut counts as %d failures of the link", n)
	}
	k.Mend()
	eventually(t, "the entry is at the centre", func() bool { _, err := c.Store().Get(who); return err == nil })
}

func TestStickIsSeen(t *testing.T) {
	media := t.TempDir()
	c, a, _ := byStick(t, func(conf *config.Config) { conf.Stick.Folder = media })
	bornAt(t, a)
	if err := os.MkdirAll(filepath.Join(media, "hoa", "USB", stick.Folder), 0o755); err != nil {
		t.Fatal(err)
	}
	mount := filepath.Join(media, "hoa", "USB")
	eventually(t, "the station has written to the stick", func() bool {
		_, err := os.Stat(filepath.Join(mount, stick.Folder, "tram-tram-a-up-1.tram"))
		return err == nil
	})
	if files, err := c.Stick(context.Background(), mount); err != nil || len(files) != 1 {
		t.Fatalf("the centre: %+v, %v", files, err)
	}
	eventually(t, "the answer is read", func() bool { return a.Report().Waiting == 0 })
}
