package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/store/audit"
	"tram/sync/central"
)

// acts are what the centre has of a ward's audit.
func actsOf(t *testing.T, c *central.Centre, person string) []central.Act {
	t.Helper()
	out, err := c.Acts("tram-a", person)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Who did and who looked goes up once a day, each entry once, and the centre shows it by
// person, also after keys rotated and after the station was put back.
func TestWhoLookedGoesUp(t *testing.T) {
	ctx := context.Background()
	c, centre := startCentre(t)
	w := openWard(t, c, centre, "tram-a", "quang", "lan")
	w.settle()
	w.settle() // the centre is known to take it now
	k, before := bornAt(t, w.a), len(actsOf(t, c, ""))
	if before == 0 {
		t.Error("what was done before is not there")
	}
	w.get("lan", "/person/"+k.ID)
	w.settle()
	if now := len(actsOf(t, c, "")); now != before {
		t.Errorf("%d more entries on the same day", now-before)
	}
	nextDay := func() { w.a.link.acts.Day = "2026-01-01" }
	nextDay()
	w.settle()
	all, err := w.a.Store().Acts(0, 1000)
	if err != nil || !all.Sound() {
		t.Fatalf("sound %t, %v", all.Sound(), err)
	}
	if got := actsOf(t, c, ""); len(got) != len(all.Acts) || got[len(got)-1].N != all.Last() {
		t.Errorf("the centre has %d entries, the station %d", len(got), len(all.Acts))
	}
	looked := func() (n int) {
		for i, a := range actsOf(t, c, k.ID) {
			if a.Broken {
				t.Errorf("entry %d is broken", i)
			}
			if a.Who == "lan" && a.Action == audit.Read {
				n++
			}
		}
		return n
	}
	if n := looked(); n != 1 {
		t.Errorf("the centre says that lan looked %d times", n)
	}
	if err := c.Store().Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	if n := looked(); n != 1 {
		t.Errorf("after keys rotated: %d times", n)
	}

	w.stop()
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	again := func() {
		w.start()
		w.get("lan", "/person/"+k.ID)
		nextDay()
		w.settle()
	}
	again()
	w.stop()
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.dir, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	again()
	if n := looked(); n != 3 {
		t.Errorf("with what the station forgot: %d times", n)
	}

	// The centre loses what it had, as one that is replaced: it gets what the station has.
	if err := os.RemoveAll(filepath.Join(c.Store().Dir(), "acts")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		nextDay()
		w.settle()
	}
	for i, a := range actsOf(t, c, "") {
		if a.N != uint64(i+1) || a.Broken {
			t.Fatalf("after the centre was replaced entry %d is %+v", i, a)
		}
	}
	if n := looked(); n != 2 {
		t.Errorf("after the centre was replaced: %d times", n)
	}
	w.get("lan", "/person/"+k.ID)
	nextDay()
	w.settle()

	files, err := filepath.Glob(filepath.Join(c.Store().Dir(), "acts", "tram-a", "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	broken := false
	for _, a := range actsOf(t, c, "") {
		broken = broken || a.Broken
	}
	if !broken {
		t.Error("a segment is missing, and nothing tells")
	}
	sealed, err := os.ReadFile(files[1])
	if err != nil || strings.Contains(string(sealed), "lan") {
		t.Errorf("a name can be read in the file (%v)", err)
	}
}
