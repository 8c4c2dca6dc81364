package wire

import (
	"testing"
	"time"
)

func TestHoursOfUse(t *testing.T) {
	at := func(clock string) time.Time {
		c, err := time.Parse("15:04:05", clock)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2026, 11, 28, c.Hour(), c.Minute(), c.Second(), 0, time.UTC)
	}
	day := Allowance{From: 6 * 60, Until: 18*60 + 30}
	night := Allowance{From: 22 * 60, Until: 5 * 60}
	for _, c := range []struct {
		name  string
		a     Allowance
		clock string
		want  time.Duration
	}{
		{"no bound", Allowance{}, "03:00:00", 0},
		{"the same twice is the whole day", Allowance{From: 60, Until: 60}, "00:59:00", 0},
		{"before it opens", day, "05:59:30", 30 * time.Second},
		{"it opens", day, "06:00:00", 0},
		{"its last second", day, "18:29:59", 0},
		{"it closes", day, "18:30:00", 11*time.Hour + 30*time.Minute},
		{"before a night", night, "21:00:00", time.Hour},
		{"before midnight", night, "23:59:59", 0},
		{"behind midnight", night, "04:59:59", 0},
		{"behind a night", night, "05:00:00", 17 * time.Hour},
	} {
		if got := c.a.Opens(at(c.clock)); got != c.want {
			t.Errorf("%s: opens in %s, want %s", c.name, got, c.want)
		}
	}
	for _, a := range []Allowance{{Bytes: -1}, {From: -1}, {Until: 24 * 60}} {
		if a.Valid() {
			t.Errorf("%+v is taken for an allowance", a)
		}
	}
}
