package agent

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tram/store/layout"
	"tram/store/table"
	"tram/sync/status"
)

// Where a station cannot even ask, because something kept here does not open, the page says
// so, and not that all is fine.
func TestWhatCannotBeReadIsSaid(t *testing.T) {
	c, centre := startCentre(t)
	w := openWard(t, c, centre, "tram-a", "mai")
	if _, err := w.a.Store().Put(t.Context(), birth("Patient", w.a.Store().NewID(), "")); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.stop()
	db, err := table.Open(filepath.Join(w.dir, layout.DatabaseFile), layout.Tables())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(x *table.Tx) error {
		b := x.Table(layout.Cursors)
		k, v := b.Cursor().First()
		k, v = slices.Clone(k), slices.Clone(v)
		v[len(v)/2] ^= 1
		return b.Put(k, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w.start()
	before := w.a.Report()
	if got := status.Judge(before, time.Now().UnixMilli()); before.Synced == 0 || got[0].Code != status.Fine {
		t.Errorf("before it asks: synced %d, %v", before.Synced, got)
	}
	if _, err := w.a.exchange(context.Background(), false); err == nil {
		t.Fatal("it asked with a place that does not open")
	}
	got := status.Judge(w.a.Report(), time.Now().UnixMilli())
	if i := slices.IndexFunc(got, func(h status.Health) bool { return h.Code == status.ReadFailed }); i != 0 || got[0].Severity != status.Stop {
		t.Errorf("it says %v", got)
	}
}
