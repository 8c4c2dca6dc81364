package thin

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tram/agent/rehearse/interop/house/housetest"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/link"
)

func TestMain(m *testing.M) { housetest.Main(m) }

// TestAnEveningIsExchangedTwice: the day goes up and what others wrote comes down,
// over a link and, put back to the same evening, over one that is cut.
func TestAnEveningIsExchangedTwice(t *testing.T) {
	town, err := newTown(housetest.Programs(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	town.clinic.days, town.quiet = 1, time.Second // a busy PC begins its next exchange late
	held := int64(0)
	g, ctx := errgroup.WithContext(context.Background())
	ctx, stop := context.WithCancel(ctx)
	town.lay(ctx, g)
	defer func() {
		if err := town.end(); err != nil {
			t.Error(err)
		}
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if err := town.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if d := town.today; d.born < 250 || d.edited != edits || len(d.lines) != d.records() || town.above.born != fromAbove {
		t.Errorf("%d new records, %d edits and %d from above", d.born, d.edited, town.above.born)
	}
	for name, weather := range map[string][]link.Outage{"fair": nil, "one cut": link.Cuts(100*time.Millisecond, time.Second, 1)} {
		if err := town.back(ctx, evening); err != nil {
			t.Fatal(err)
		}
		town.link[0].Set(link.Shape{Up: 2_000_000, Down: 2_000_000, Delay: 10 * time.Millisecond})
		p, err := town.run(ctx, 0, town.allDay(), weather...)
		if err != nil {
			t.Fatal(err)
		}
		if p.records < town.allDay() || held > 0 && p.records != held || p.Up < 5000 || p.Up > town.today.json() || p.Down < 1000 || p.Cuts != len(weather) || p.Connections <= len(weather) || p.Trips < 2 {
			t.Errorf("%s: %+v, want %d records", name, p, town.allDay())
		}
		held = p.records
	}
	if key, changed, err := smallEdit(town.today); err != nil || !json.Valid(changed) || key.ID == "" {
		t.Errorf("an edit of %s: %v", key, err)
	}
}

func TestBundled(t *testing.T) {
	lines := [][]byte{[]byte(`{"resourceType":"Patient","id":"a"}`), []byte(`{"resourceType":"Basic","id":"b","code":{"text":"x"}}`)}
	n, err := bundled(lines)
	if err != nil || n < 50 || n > 250 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := bundled([][]byte{[]byte("x")}); err == nil {
		t.Error("no JSON was bundled")
	}
	if got := (load{lines: lines}).json(); got != int64(len(lines[0])+len(lines[1])+2) {
		t.Errorf("two lines take %d bytes", got)
	}
}

func TestTheTableSaysWhatIsMissed(t *testing.T) {
	var table table
	table.part("A part of %d", 7)
	table.add(row{name: "bytes", tram: "10", targets: []target{atMost("", 10, 10, " B"), atLeast("of others", 2, 3, "")}})
	table.leave("the rest")
	var out bytes.Buffer
	table.print(&out)
	for _, want := range []string{"A part of 7\n", "met     10.00 <= 10 B\n", "NOT MET of others 2.00 >= 3\n", "1 of 2 targets are not met", "Left out: the rest."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
