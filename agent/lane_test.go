package agent

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	thin "tram/agent/rehearse/link"
	"tram/store"
	"tram/store/record"
)

// photographed puts a photo, and a document about a person that refers to it.
func photographed(t *testing.T, a *Agent, who record.Key, size int) (doc record.Key, id string) {
	t.Helper()
	bits := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(bits)
	id, err := a.Store().Blobs().Put(bytes.NewReader(bits), int64(size))
	if err != nil {
		t.Fatal(err)
	}
	doc = record.Key{Kind: "DocumentReference", ID: a.Store().NewID()}
	_, err = a.Store().Put(context.Background(), store.Write{Key: doc, Author: "hoa", Content: fmt.Appendf(nil,
		`{"resourceType":"DocumentReference","id":%q,"status":"current","subject":{"reference":%q},"content":[{"attachment":{"url":"Binary/%s"}}]}`, doc.ID, who, id)})
	if err != nil {
		t.Fatal(err)
	}
	return doc, id
}

// point -> station -> centre -> another station
func TestAPhotoGoesFromAPointToAnotherStation(t *testing.T) {
	c, at := startCentre(t)
	stationDir, pointDir, otherDir, lan := t.TempDir(), t.TempDir(), t.TempDir(), freeAddress(t)
	enrol(t, c, at.address, stationDir, "tram-a")
	enrol(t, c, at.address, otherDir, "tram-b")
	station, _ := startStation(t, stationDir, func(conf *config.Config) { conf.Points.Address = lan })
	eventually(t, "the station is enrolled", func() bool { return station.Report().Synced > 0 })
	command(t, tramMain, ExitFine, "point", "add", "diem-1", filepath.Join(pointDir, "enrol.json"), "--data", stationDir)
	point, _ := startStation(t, pointDir)
	who := bornAt(t, point)
	_, id := photographed(t, point, who, 100_000)
	eventually(t, "the photo is at the centre", func() bool { return c.Store().Blobs().Has(id) })
	if _, err := c.Store().Grant(context.Background(), "tram-b", "admin", who); err != nil {
		t.Fatal(err)
	}
	other, _ := startStation(t, otherDir)
	eventually(t, "the photo is at the other station", func() bool { return other.Store().Blobs().Has(id) })
	eventually(t, "nothing waits", func() bool {
		return point.Report().Attachments+station.Report().Attachments+other.Report().Attachments == 0
	})
}

// An entry that is made while a photo goes up overtakes it; a cut costs little; and the
// program ends at once in the midst of it.
func TestAPhotoIsBehindEverythingElse(t *testing.T) {
	const size = 1_000_000
	c, at := startCentre(t)
	k, err := thin.New(strings.TrimPrefix(at.address, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	enrol(t, c, "https://"+k.Address(), dir, "tram-a")
	calm := func(conf *config.Config) { conf.Sync.Every = time.Hour }
	a, running := startStation(t, dir, calm)
	who := bornAt(t, a)
	eventually(t, "the person is at the centre", func() bool { _, err := c.Store().Get(who); return err == nil })
	k.Set(thin.Shape{Up: 1_000_000, Down: 1_000_000, Delay: 20 * time.Millisecond})
	k.Reset()
	doc, id := photographed(t, a, who, size)
	grown := func(to int64) func() bool {
		return func() bool { have, _, err := c.Store().Blobs().Held(id); return err == nil && have >= to }
	}
	eventually(t, "the record is there", func() bool { _, err := c.Store().Get(doc); return err == nil })
	eventually(t, "some of it is there", grown(50_000))
	urgent := bornAt(t, a)
	eventually(t, "what is urgent is at the centre", func() bool { _, err := c.Store().Get(urgent); return err == nil })
	if have, whole, err := c.Store().Blobs().Held(id); whole || err != nil {
		t.Errorf("the photo came first: %d, %v", have, err)
	}
	k.Cut()
	k.Mend()
	eventually(t, "it goes on", grown(500_000))
	began := time.Now()
	running.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	a, _ = startStation(t, dir, calm)
	eventually(t, "the photo is at the centre", func() bool { return c.Store().Blobs().Has(id) && a.Report().Attachments == 0 })
	if up := k.Read().Up; up > size*115/100 {
		t.Errorf("%d bytes went up for %d", up, size)
	}
}
