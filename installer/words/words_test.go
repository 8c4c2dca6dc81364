package words

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestBothLanguagesSayTheSame(t *testing.T) {
	b, err := Open("vi")
	if err != nil {
		t.Fatal(err)
	}
	gap := regexp.MustCompile(`\{[a-z-]+\}`)
	gaps := func(s string) []string {
		found := gap.FindAllString(s, -1)
		for i, g := range found {
			found[i] = strings.TrimSuffix(strings.TrimSuffix(strings.Trim(g, "{}"), "-vi"), "-en")
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	if len(b.texts) < 50 {
		t.Fatalf("the catalogue has %d texts", len(b.texts))
	}
	for code, text := range b.texts {
		if text["vi"] == "" || text["en"] == "" || len(text) != 2 {
			t.Errorf("%s: %v", code, text)
		}
		if vi, en := gaps(text["vi"]), gaps(text["en"]); !slices.Equal(vi, en) {
			t.Errorf("%s: gaps %v in vi, %v in en", code, vi, en)
		}
	}
}

func TestSay(t *testing.T) {
	for _, c := range []struct {
		language string
		word     Word
		want     string
	}{
		{"en", New("found.station", "name", "tram-a"), "Station: tram-a."},
		{"vi", New("found.station", "name", "tram-a"), "Trạm: tram-a."},
		{"xx", New("found.station", "name", "tram-a"), "Trạm: tram-a."},
		{"en", New("found.station", "name", "a\x1b[2J\nb"), "Station: a[2Jb."},
		{"en", New("found.station", "name", "{name}"), "Station: {name}."},
		{"en", New("no.such.code"), "no.such.code"},
	} {
		b, err := Open(c.language)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Say(c.word); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.language, c.word, got, c.want)
		}
	}
}
