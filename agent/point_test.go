package agent

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/agent/config"
	proxy "tram/agent/rehearse/link"
	"tram/store"
	"tram/store/record"
)

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestAPointBelowAStation lets a point work through its station, with the centre there
// and away.
func TestAPointBelowAStation(t *testing.T) {
	c, at := startCentre(t)
	up := startLink(t, strings.TrimPrefix(at.address, "https://"))
	stationDir, pointDir, lan := t.TempDir(), t.TempDir(), freeAddress(t)
	enrol(t, c, "https://"+up.Address(), stationDir, "tram-a")
	station, _ := startStation(t, stationDir, func(conf *config.Config) { conf.Points.Address = lan })
	before := bornAt(t, station) // a point gets what was there before it came
	eventually(t, "the station is enrolled", func() bool { return station.Report().Synced > 0 })

	kit := filepath.Join(pointDir, "enrol.json")
	if s := command(t, tramMain, ExitFine, "point", "add", "diem-1", kit, "--data", stationDir); !strings.Contains(s, "enrol.json") {
		t.Errorf("add says %q", s)
	}
	point, _ := startStation(t, pointDir)
	eventually(t, "what was there came to the point", func() bool { return shows(point, before) == "1961-02-03" })
	place := func(a *Agent, k record.Key) record.Place {
		st, err := a.Store().Get(k)
		if err != nil {
			return record.Nowhere
		}
		p, err := a.Store().Place(st)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	k := bornAt(t, point)
	eventually(t, "the point's entry is at the centre, by the centre's receipt", func() bool {
		_, err := c.Store().Get(k)
		return err == nil && place(point, k) == record.Centre && place(station, k) == record.Centre
	})

	up.Cut()
	k2 := bornAt(t, point)
	k3 := bornAt(t, station)
	eventually(t, "both have what the other entered", func() bool { return shows(station, k2) != "" && shows(point, k3) != "" })
	eventually(t, "the point has spoken", func() bool { return point.Report().Synced > 0 && point.Report().Waiting == 1 })
	for _, key := range []record.Key{k2, k3} {
		if p, s := place(point, key), place(station, key); p != record.Here || s != record.Here {
			t.Errorf("the centre is away, and %s is %q at the point and %q at the station", key, p, s)
		}
	}
	edit(t, point, k, "1961-02-04")
	edit(t, station, k, "1961-02-05")
	eventually(t, "the station sees that the two differ", func() bool {
		st, err := station.Store().Get(k)
		return err == nil && st.Shown.Contested()
	})
	up.Mend()
	eventually(t, "all is at the centre", func() bool {
		st, err := c.Store().Get(k)
		return err == nil && st.Shown.Contested() && place(point, k2) == record.Centre && place(point, k3) == record.Centre && point.Report().Waiting == 0 && station.Report().Waiting == 0
	})
	eventually(t, "the point sees what a person must decide", func() bool { return place(point, k) == record.NeedsUs })

	if s := command(t, tramMain, ExitFine, "point", "list", "--data", stationDir); !strings.Contains(s, "diem-1") {
		t.Errorf("list says %q", s)
	}
	command(t, tramMain, ExitFine, "point", "deny", "diem-1", "--data", stationDir)
	k4 := bornAt(t, point)
	eventually(t, "the point is told", func() bool { return point.Report().Failure != "" })
	eventually(t, "who may get nothing may hand in", func() bool { return shows(station, k4) != "" })
	for _, wrong := range [][]string{{"point", "add", "Diem 1", kit}, {"point", "deny", "nobody"}} {
		command(t, tramMain, ExitTrouble, append(wrong, "--data", stationDir)...)
	}
	if s := command(t, tramMain, ExitTrouble, "point", "list", "--data", pointDir); !strings.Contains(s, "[points]") {
		t.Errorf("a replica without points: %q", s)
	}
	if _, err := os.Stat(kit); err == nil {
		t.Error("the kit of the point still lies there")
	}
}

// shows is the birth date that a replica shows; "" for no record.
func shows(a *Agent, k record.Key) string {
	st, err := a.Store().Get(k)
	if err != nil || st.Shown.Deleted {
		return ""
	}
	_, date, _ := strings.Cut(string(st.Shown.Content), `"birthDate":"`)
	return date[:min(10, len(date))]
}

func edit(t *testing.T, a *Agent, k record.Key, date string) {
	t.Helper()
	_, err := a.Store().Put(context.Background(), store.Write{Key: k, Base: store.Any, Author: "hoa",
		Content: []byte(`{"resourceType":"Patient","id":"` + k.ID + `","birthDate":"` + date + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
}

// startLink lays a link to an address.
func startLink(t *testing.T, to string) *proxy.Link {
	t.Helper()
	k, err := proxy.New(to)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return k
}
