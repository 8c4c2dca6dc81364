package agent

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/sync/central"
	"tram/sync/proof"
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
	for _, want := range []string{"tram-a", "Ghi 1 mục, trung tâm đã nhận 1, còn chờ 0.", "Patient 1", "hai bên giống nhau"} {
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
