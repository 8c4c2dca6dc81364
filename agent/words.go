package agent

import (
	_ "embed"
	"encoding/json"
	"io"

	"github.com/pelletier/go-toml/v2"
)

//go:embed words.toml
var wordsTable []byte

// words finds a sentence of the command line in a language; English where there
// is none, the key where there is no such sentence.
func words(lang, key string) string {
	var table map[string]map[string]string
	if err := toml.Unmarshal(wordsTable, &table); err != nil {
		return key
	}
	for _, l := range []string{lang, "en"} {
		if s := table[l][key]; s != "" {
			return s
		}
	}
	return key
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
