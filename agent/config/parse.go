package config

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Parse reads a file's text over the defaults; folder is what relative folders
// are relative to. Every error is an *Error: of several, the one that stands
// first. Beside PlainOutside alone stand settings that can be used: the pages are on
// this PC then.
func Parse(text []byte, folder string) (Config, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // Windows' editor writes one
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		bad := &Error{Code: Syntax, Line: 1}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			bad.Line, _ = at.Position()
		}
		return Config{}, bad
	}
	lines := positions(text)
	known := settings()
	var found []*Error
	c := Default("")
	for key, value := range flat(tree) {
		bad := apply(&c, known, key, value, folder)
		if bad != nil {
			bad.Key, bad.Line = key, lineOf(lines, key)
			found = append(found, bad)
		}
	}
	var outside *Error
	if len(found) == 1 && found[0].Code == PlainOutside {
		outside, found = found[0], nil
		c.Page.Listen = outside.Hint
	}
	if len(found) > 0 {
		return Config{}, slices.MinFunc(found, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return strings.Compare(a.Key, b.Key)
		})
	}
	if bad := whole(&c); bad != nil {
		bad.Line = lineOf(lines, bad.Key)
		return Config{}, bad
	}
	if outside != nil {
		return c, outside
	}
	return c, nil
}

// apply puts one value into the settings, or says what is wrong with it; key and
// line are for the caller to add.
func apply(c *Config, known []setting, key string, value any, folder string) *Error {
	i := slices.IndexFunc(known, func(s setting) bool { return s.key == key })
	if i < 0 {
		if near := nearest(known, key); near != "" {
			return &Error{Code: DidYouMean, Hint: near}
		}
		return &Error{Code: UnknownKey}
	}
	text, ok := value.(string)
	if !ok {
		return &Error{Code: WrongType, Hint: known[i].like}
	}
	return known[i].set(c, text, folder)
}

// flat lists the leaves of the two levels that settings have; whatever nests
// deeper, or has an unknown group, is a leaf by itself and so an unknown key.
func flat(tree map[string]any) map[string]any {
	groups := map[string]bool{}
	for _, s := range settings() {
		group, _, _ := strings.Cut(s.key, ".")
		groups[group] = true
	}
	out := map[string]any{}
	for group, value := range tree {
		inner, ok := value.(map[string]any)
		if !ok || !groups[group] {
			out[group] = value
			continue
		}
		for name, leaf := range inner {
			out[group+"."+name] = leaf
		}
	}
	return out
}

// positions finds the line of every key. It reads the text into a type that has
// the groups but no setting, so that the strict decoder tells of each one where
// it stands.
func positions(text []byte) map[string]int {
	var groups struct{ Station, Data, Keys, Centre, Page, API, Drop, MLLP, Stick, Points, Sync, Log struct{} }
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&groups)
	out := map[string]int{}
	var all *toml.StrictMissingError
	if errors.As(err, &all) {
		for i := range all.Errors {
			key := strings.Join(all.Errors[i].Key(), ".")
			if line, _ := all.Errors[i].Position(); out[key] == 0 {
				out[key] = line
			}
		}
	}
	var at *toml.DecodeError // a group that is no table
	if errors.As(err, &at) && all == nil {
		out[strings.Join(at.Key(), ".")], _ = at.Position()
	}
	return out
}

// lineOf is the line of a key, or of the first key inside it.
func lineOf(lines map[string]int, key string) int {
	best := lines[key]
	for _, k := range slices.Sorted(maps.Keys(lines)) {
		if strings.HasPrefix(k, key+".") && (best == 0 || lines[k] < best) {
			best = lines[k]
		}
	}
	return max(best, 1)
}

// nearest is the known key that was probably meant: the same name in another
// group, or one that few letters tell apart.
func nearest(known []setting, key string) string {
	_, name, ok := strings.Cut(key, ".")
	if !ok {
		name = key
	}
	best, least := "", 3
	for _, s := range known {
		_, other, _ := strings.Cut(s.key, ".")
		d := min(distance(key, s.key), 1+distance(name, other))
		if d < least {
			best, least = s.key, d
		}
	}
	if best == "" {
		for _, s := range known { // a misspelt group
			group, _, _ := strings.Cut(s.key, ".")
			if wrote, _, _ := strings.Cut(key, "."); 2*distance(wrote, group) < len(group) && !ok {
				return "[" + group + "]"
			}
		}
	}
	return best
}

// distance is Levenshtein's over bytes; keys longer than 64 are far from all.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
