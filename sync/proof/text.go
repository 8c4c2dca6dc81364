package proof

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"tram/store/record"
	"tram/sync/status"
)

//go:embed words.toml
var wordsTable []byte

// Section is a part of a certificate in words.
type Section struct {
	Title string
	Lines []string
}

// writer says things in one language.
type writer struct {
	words map[string]string
	lang  string
	zone  *time.Location
	kind  func(string) string
}

func newWriter(c Certificate, lang string, kind func(string) string) (*writer, error) {
	var table map[string]map[string]string
	if err := toml.Unmarshal(wordsTable, &table); err != nil {
		return nil, fmt.Errorf("read words: %w", err)
	}
	if table[lang] == nil {
		lang = "en"
	}
	return &writer{table[lang], lang, time.FixedZone("", c.Zone*60), kind}, nil
}

func (w *writer) say(key string, args ...any) string {
	text := w.words[key]
	for i, a := range args {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i+1)+"}", fmt.Sprint(a))
	}
	return text
}

func (w *writer) time(ms int64) string {
	return time.UnixMilli(ms).In(w.zone).Format("02/01/2006 15:04")
}

// kinds lists kinds with their counts, the most first.
func (w *writer) kinds(counts map[string]int) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return counts[b] - counts[a] })
	for i, k := range names {
		said := k
		if w.kind != nil {
			said = w.kind(k)
		}
		names[i] = fmt.Sprintf("%s %d", said, counts[k])
	}
	return strings.Join(names, ", ")
}

// Sections says a certificate in a language ("vi"; "en" for any other): the first
// section's title names station and day, its first line sums the day up. Digest is
// the file's; kind says what a kind of record is called, nil by FHIR's name.
func Sections(c Certificate, digest record.Digest, lang string, kind func(string) string) ([]Section, error) {
	w, err := newWriter(c, lang, kind)
	if err != nil {
		return nil, err
	}
	day := c.Day
	if t, err := time.Parse(time.DateOnly, c.Day); err == nil {
		day = t.Format("02/01/2006")
	}
	return []Section{
		{w.say("title", cmp.Or(c.Station, "–"), day), w.head(c)},
		{w.say("received"), w.received(c)},
		{w.say("waiting"), w.waiting(c)},
		{w.say("books"), w.books(c)},
		{w.say("roots"), w.roots(c)},
		{w.say("digest"), []string{digest.String(), w.say("check")}},
	}, nil
}

func (w *writer) head(c Certificate) []string {
	out := []string{w.say("sum", c.Entries, c.Took(), c.Wait())}
	if c.Partial {
		out = append(out, w.say("partial"))
	}
	if c.Doubtful > 0 {
		out = append(out, w.say("doubtful", c.Doubtful))
	}
	if c.Returned > 0 {
		out = append(out, w.say("returned", c.Returned))
	}
	if c.Others > 0 {
		out = append(out, w.say("others", c.Others))
	}
	_, zone := time.UnixMilli(c.Made).In(w.zone).Zone()
	out = append(out, w.say("made", w.time(c.Made), time.UnixMilli(0).In(time.FixedZone("", zone)).Format("-07:00"), c.Version))
	if c.Doubt {
		out = append(out, w.say("doubt"))
	}
	return out
}

func (w *writer) received(c Certificate) []string {
	var out []string
	for _, r := range c.Received {
		out = append(out, w.say("receipt", len(r.Numbers), r.Lineage, r.N, w.time(r.At), w.kinds(r.Kinds)),
			w.say("signed", r.Chain, r.Epoch, record.Sum(r.Sig)))
	}
	if len(out) == 0 {
		out = []string{w.say("none")}
	}
	return out
}

func (w *writer) waiting(c Certificate) []string {
	var out []string
	for _, g := range c.Waiting {
		why := w.say("why-" + string(g.Why))
		if g.Reason != "" {
			title, todo := status.ReasonWords(w.lang, g.Reason)
			why += " " + title + ". " + todo
		}
		if g.Why == Unsent && c.Cause != "" {
			title, _ := status.Words(w.lang, string(c.Cause))
			why += " " + title + "."
		}
		out = append(out, w.say("group", len(g.Names), w.kinds(g.Kinds), why))
	}
	if len(out) == 0 {
		out = []string{w.say("none")}
	}
	return out
}

func (w *writer) books(c Certificate) []string {
	var out []string
	for _, l := range c.Lineages {
		if l.N > 0 {
			out = append(out, w.say("book", l.Lineage, l.N, l.Chain))
		}
	}
	return out
}

func (w *writer) roots(c Certificate) []string {
	said := w.say("never")
	switch {
	case c.Last.At != 0 && c.Last.Equal:
		said = w.say("equal", w.time(c.Last.At))
	case c.Last.At != 0:
		said = w.say("unequal", w.time(c.Last.At))
	}
	out := []string{said}
	for _, f := range c.Feeds {
		out = append(out, w.say("feed-"+f.Feed, f.Seq, f.Root))
	}
	return out
}

// Text is a certificate as plain lines.
func Text(sections []Section) string {
	var b strings.Builder
	for i, s := range sections {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(s.Title + "\n")
		for _, l := range s.Lines {
			b.WriteString("  " + l + "\n")
		}
	}
	return b.String()
}
