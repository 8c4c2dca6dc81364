package bench

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tram/agent/rehearse/interop/house/housetest"

	"tram/store/fhir"
)

func TestMain(m *testing.M) { housetest.Main(m) }

// Passages of a small town: what a station has is on the other one at the end, and
// what went over the wire is of the size that it must be.
func TestSyncsAreMeasured(t *testing.T) {
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	town := &town{dir: t.TempDir(), out: &out, r4: r4, clinic: &clinic{}, idle: 300 * time.Millisecond}
	if err := town.play(context.Background(), housetest.Programs(t), 300); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	found := map[string][]float64{}
	for line := range strings.Lines(out.String()) {
		name, rest, _ := strings.Cut(line, ", ")
		way, rest, _ := strings.Cut(rest, " ")
		var f [9]float64
		if n, _ := fmt.Sscan(rest, &f[0], &f[1], &f[2], &f[3], &f[4], &f[5], &f[6], &f[7], &f[8]); n == len(f) {
			found[strings.TrimSpace(name)+", "+way] = f[:]
		}
	}
	for name, check := range map[string]func(records, edits, json, seconds, up, down, requests float64) bool{
		"first sync, up": func(records, edits, json, seconds, up, down, requests float64) bool {
			return records >= 300 && edits == 0 && json > 200 && up > 5 && up < json && requests >= 1
		},
		"first sync, down": func(records, edits, json, seconds, up, down, requests float64) bool {
			return down > 5 && down < json && up < down && requests >= 1
		},
		"a day, up": func(records, edits, json, seconds, up, down, requests float64) bool {
			return records > 250 && edits > 20 && up > 5 && up < json && requests >= 1
		},
		"a day, down": func(records, edits, json, seconds, up, down, requests float64) bool {
			return down > 5 && down < json && up < down && requests >= 1
		},
	} {
		f := found[name]
		if len(f) == 0 || !check(f[0], f[1], f[2], f[3], f[4], f[5], f[6]) {
			t.Errorf("%s: %v", name, f)
		}
	}
}
