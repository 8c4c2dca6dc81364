package status

import (
	_ "embed"
	"strings"

	"tram/store/record"
)

// The words of each language: a line "[code]", then the title, then what to
// do; texts name figures of the report in braces.
var (
	//go:embed words_vi.txt
	wordsVI string
	//go:embed words_en.txt
	wordsEN string
)

// Languages are the languages that have words.
func Languages() []string { return []string{"vi", "en"} }

// Words are a code's title and what to do, in a language ("vi"; "en" for any
// other), with the report's figures still as names in braces: Health.In fills
// them. A code that is not on the list has the words of UnknownCode.
func Words(lang, code string) (title, todo string) {
	if !strings.Contains(code, ".") { // with a dot it is a place, a verdict or a reason
		if title, todo, ok := lookup(lang, code); ok {
			return title, todo
		}
	}
	title, todo, _ = lookup(lang, string(UnknownCode))
	return title, todo
}

// centreWords are Words for the centre, which has its own where a station's people are
// told to call it.
func centreWords(lang, code string) (title, todo string) {
	if title, todo, ok := lookup(lang, "centre."+code); ok {
		return title, todo
	}
	return Words(lang, code)
}

// PlaceWords tells where an entry is: a badge of a few words, and what it means.
func PlaceWords(lang string, p record.Place) (badge, meaning string) {
	return listed(lang, "place", string(p))
}

// VerdictWords tells what the centre made of an entry, and what to do. An
// unknown verdict reads as Parked.
func VerdictWords(lang string, v record.Verdict) (title, todo string) {
	if title, todo, ok := lookup(lang, "verdict."+string(v)); ok {
		return title, todo
	}
	return listed(lang, "verdict", string(record.Parked))
}

// ReasonWords tells why an entry was not taken, and what to do.
func ReasonWords(lang string, r record.Reason) (title, todo string) {
	return listed(lang, "reason", string(r))
}

// FindingWords tells what a check of the records found, by its code, and what to do.
func FindingWords(lang, code string) (title, todo string) { return listed(lang, "finding", code) }

// SeverityWords is a severity as a badge, and what it means.
func SeverityWords(lang string, s Severity) (badge, meaning string) {
	return listed(lang, "severity", string(s))
}

// listed looks a value of a closed list up; one that a newer program added has
// the words of UnknownCode, naming it.
func listed(lang, list, value string) (title, text string) {
	if title, text, ok := lookup(lang, list+"."+value); ok {
		return title, text
	}
	title, text = Words(lang, string(UnknownCode))
	return title, fill(text, map[string]string{"code": plain(value, 20)})
}

func lookup(lang, key string) (title, text string, ok bool) {
	words := wordsEN
	if lang == "vi" {
		words = wordsVI
	}
	if strings.ContainsAny(key, "[]\n") {
		return "", "", false
	}
	_, rest, ok := strings.Cut(words, "\n["+key+"]\n")
	title, rest, _ = strings.Cut(rest, "\n")
	text, _, _ = strings.Cut(rest, "\n")
	return title, text, ok
}

// fill puts the figures in place of their names.
func fill(text string, params map[string]string) string {
	var pairs []string
	for name, value := range params {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
