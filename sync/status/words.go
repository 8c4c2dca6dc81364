package status

import (
	_ "embed"
	"strings"
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
	if strings.Contains(code, ".") { // places, verdicts and reasons are no codes
		code = string(UnknownCode)
	}
	return lookup(lang, code)
}

func lookup(lang, key string) (title, text string) {
	words := wordsEN
	if lang == "vi" {
		words = wordsVI
	}
	_, rest, ok := strings.Cut(words, "\n["+key+"]\n")
	if !ok || strings.ContainsAny(key, "[]\n") {
		_, rest, _ = strings.Cut(words, "\n["+string(UnknownCode)+"]\n")
	}
	title, rest, _ = strings.Cut(rest, "\n")
	text, _, _ = strings.Cut(rest, "\n")
	return title, text
}

// fill puts the figures in place of their names.
func fill(text string, params map[string]string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	var pairs []string
	for name, value := range params {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
