package replay

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"tram/sync/merge"
)

//go:embed words.toml
var wordsTable []byte

// words reads the sentences of a language, "vi" or else English.
func words(lang string) (map[string]string, error) {
	var table map[string]map[string]string
	if err := toml.Unmarshal(wordsTable, &table); err != nil {
		return nil, fmt.Errorf("read the words of replays: %w", err)
	}
	if lang != "vi" {
		lang = "en"
	}
	return table[lang], nil
}

// Table reads the table of classes that a person wants to try; its error is a
// sentence in the person's language.
func Table(lang, text string) (*merge.Classes, error) {
	c, err := merge.ParseClasses(text)
	if err == nil {
		return c, nil
	}
	w, broken := words(lang)
	if broken != nil {
		return nil, broken
	}
	return nil, fmt.Errorf(w["table"], err)
}

// Say writes a report for people, in a language ("vi" or "en"): the sum, a line
// for each element that would come out otherwise, and what could not be replayed.
func (r *Report) Say(out io.Writer, lang string) error {
	w, err := words(lang)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, w["sum"]+"\n", r.Merges, r.Replayed, r.Otherwise)
	if r.Otherwise == 0 {
		fmt.Fprintln(&b, w["same"])
	}
	for _, l := range r.Lines {
		fmt.Fprintln(&b, l.text(w))
	}
	if r.Earlier > 0 {
		fmt.Fprintf(&b, w["earlier"]+"\n", r.Earlier)
	}
	for _, reason := range Reasons() {
		if n := r.Missing[reason]; n > 0 {
			fmt.Fprintf(&b, w[reason]+"\n", n)
		}
	}
	if r.Missing[NoHead]+r.Missing[NoIncoming]+r.Missing[NoBase] > 0 {
		fmt.Fprintln(&b, w["elsewhere"])
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// text is "Patient.maritalStatus, administrative -> safety: 2 (2 would go to a person)".
func (l Line) text(w map[string]string) string {
	at := fmt.Sprintf("%s.%s, %s -> %s", l.Kind, l.Element, l.Now, l.Then)
	if l.Element == "" {
		at = l.Kind + ", " + w["whole"]
	}
	var parts []string
	for _, p := range []struct {
		word string
		n    int
	}{{"to-person", l.ToPerson}, {"by-itself", l.ByItself}, {"another", l.Another}, {"contested", l.Contested}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf(w[p.word], p.n))
		}
	}
	return fmt.Sprintf("%s: %d (%s)", at, l.Merges, strings.Join(parts, ", "))
}
