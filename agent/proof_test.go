package agent

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/sync/central"
	"tram/sync/proof"
	"tram/sync/status"
)

// TestCertificateFromStationToCentre lets a station make an entry and sync, prints
// its certificate, and has the centre check the file.
func TestCertificateFromStationToCentre(t *testing.T) {
	c, centre := startCentre(t)
	dir := t.TempDir()
	enrol(t, c, centre.address, dir, "tram-a")
	a, at := startStation(t, dir)
	if code, body := askFHIR(t, at, token(t, a), "POST", "Patient", `{"resourceType":"Patient","birthDate":"1961-02-03"}`); code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, body)
	}
	eventually(t, "the centre signed for it and both were equal", func() bool {
		counts, err := a.Store().Waiting()
		return err == nil && counts.Waiting == 0 && counts.Records == 2 && a.compared().Equal
	})
	file := filepath.Join(t.TempDir(), "day.json")
	tram := func(args ...string) (int, string) {
		var out, trouble strings.Builder
		code := Main(context.Background(), append(args, "--data", dir), &out, &trouble)
		return code, out.String() + trouble.String()
	}
	day := time.Now().Format(time.DateOnly)
	code, text := tram("proof", "--day", day, "--out", file)
	for _, want := range []string{"tram-a", "Ghi 1 mục, trung tâm đã nhận 1, còn chờ 0.", "Người dân 1", "hai bên giống nhau"} {
		if code != ExitFine || !strings.Contains(text, want) {
			t.Errorf("%d, lacks %q in\n%s", code, want, text)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if cert, _, err := proof.Decode(b); err != nil || cert.Took() != 1 || strings.Contains(string(b), "1961") {
		t.Errorf("the file: %v\n%s", err, b)
	}
	var out, trouble strings.Builder
	if code := central.Main(context.Background(), []string{"--language", "en", "proof", "check", file, "--data", c.Store().Dir()}, &out, &trouble); code != 0 ||
		!strings.Contains(out.String(), "Holds: The centre holds all 1 entries") || strings.Count(out.String(), "the same as the centre's now") != 2 {
		t.Errorf("the centre: %d\n%s%s", code, out.String(), trouble.String())
	}
	if code, text := tram("proof", "--json"); code != ExitFine || !strings.Contains(text, `"numbers"`) {
		t.Errorf("for programs: %d %s", code, text)
	}
	if code, text := tram("proof", "--day", "27/11/2026"); code != ExitTrouble || !strings.Contains(text, "2026-11-27") {
		t.Errorf("a day that is none: %d %s", code, text)
	}
	at.stop()
	if code, text := tram("proof"); code != ExitTrouble || strings.Count(text, "\n") != 1 {
		t.Errorf("without a running station: %d %s", code, text)
	}
}

// TestReportSaysWhatIsContested lets a merge come down that leaves a conflict open and
// sets a value of lan's aside, and one of a program's.
func TestReportSaysWhatIsContested(t *testing.T) {
	a, err := New(Options{Config: config.Default(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx := context.Background()
	s := a.Store()
	if err := account.New(s, time.Now, account.Cost{Time: 1, Memory: 64}).Add(ctx, "lan", "Lan", account.Admin, "sen-hong-7", ""); err != nil {
		t.Fatal(err)
	}
	k := record.Key{Kind: "Patient", ID: s.NewID()}
	put := func(author, base, rest string) *record.Version {
		v, err := s.Put(ctx, store.Write{Key: k, Base: base, Author: author, Content: []byte(`{"resourceType":"Patient","id":"` + k.ID + `"` + rest + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	birth := put("drop-folder", "", "")
	mine := put("lan", birth.Name.String(), `,"deceasedBoolean":true`)
	lost := func(v *record.Version) record.Lost {
		return record.Lost{Path: "active", Value: []byte(`{"active":true}`), Won: []byte(`{}`), Policy: "later", By: []record.Writer{{Name: v.Name, Author: v.Author, Stamp: v.Stamp}}}
	}
	m := record.Version{Key: k, Name: record.Name{Lineage: "centrecentrecent", N: 9}, Base: birth.Ref(), Includes: []record.Ref{mine.Ref()}, Author: "tram", Content: mine.Content,
		Lost: []record.Lost{lost(birth), lost(mine)},
		Trace: record.Trace{Born: birth.Name, Marks: []record.Mark{{Path: "deceased[x]", By: []record.Name{mine.Name},
			Alts: []record.Alt{{Value: []byte(`{"deceasedBoolean":true}`), By: []record.Name{mine.Name}}, {Value: []byte(`{}`), By: []record.Name{birth.Name}}}}}}}
	m.Seen = mine.Seen.With(m.Name)
	err = s.Apply(ctx, record.Stretch{Peer: store.Upstream, Cursor: &record.Cursor{Feed: record.OwnFeed, Epoch: "e", Seq: 1},
		Arrived: []record.Arrival{{Change: record.Change{Seq: 1, Key: k, Ref: m.Ref(), Version: &m}, On: mine.Ref()}}})
	if err != nil {
		t.Fatal(err)
	}
	r := a.Report()
	if want := []status.Group{{Kind: "Patient", Element: "deceased", Class: "safety", N: 1}}; !slices.Equal(r.Contested, want) || r.Conflicts != 1 || r.Untold != 1 {
		t.Errorf("contested %+v, conflicts %d, untold %d; want %+v, 1, 1", r.Contested, r.Conflicts, r.Untold, want)
	}
	list, err := s.Vault(k, 10)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for _, it := range list {
		if err := s.Told(ctx, it.ID, "lan"); err != nil {
			t.Fatal(err)
		}
	}
	if r := a.Report(); r.Untold != 0 {
		t.Errorf("after she has seen it: %d untold", r.Untold)
	}
}
