package installer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"tram/agent/config"
	"tram/installer/place"
)

// lookSettings reads the settings file that is there as the agent would; where
// there is none, the kit's settings are what will count.
func lookSettings(on Target, lay Layout, kitSettings []byte) SettingsFound {
	raw, err := place.Read(on.at(lay.Settings), config.MaxBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return SettingsFound{There: true, Fault: &config.Error{Code: config.Unreadable, File: lay.Settings}}
	}
	s := SettingsFound{There: err == nil}
	if !s.There {
		raw = kitSettings
	}
	// Folders in the file are seen from the PC, also where this is its image.
	c, err := config.Parse(raw, filepath.Dir(lay.Settings))
	if err != nil {
		s.Fault = &config.Error{Code: config.Syntax}
		errors.As(err, &s.Fault)
		s.Fault.File = lay.Settings
		return s
	}
	s.Station, s.Language, s.Listen = c.Station.Name, c.Station.Language, c.Page.Listen
	s.Data, s.Journal, s.Drop = c.Data.Folder, c.Data.Journal, c.Drop.Folder
	return s
}

// completeSettings fills the kit's settings in with what is this station's
// own, line by line, so that the notes for people in them stay. It is pure.
func completeSettings(text, station, language, centre string) string {
	text = setLine(text, "station", "name", station)
	text = setLine(text, "station", "language", language)
	return setLine(text, "centre", "url", centre)
}

// setLine sets a key of a table in a TOML text to a string; a key or a table
// that is not there is added. An empty value changes nothing.
func setLine(text, table, key, value string) string {
	if value == "" {
		return text
	}
	line := key + " = " + quote(value)
	// A table may stand anywhere; the first line with the key in it counts.
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	in, head := "", -1
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			in = strings.TrimSpace(strings.Trim(l, "[] "))
			if in == table {
				head = i
			}
		}
		if name, _, ok := strings.Cut(l, "="); ok && in == table && strings.TrimSpace(name) == key {
			lines[i] = line
			return strings.Join(lines, "\n") + "\n"
		}
	}
	if head < 0 {
		lines = append(lines, "", "["+table+"]")
		head = len(lines) - 1
	}
	lines = append(lines[:head+1], append([]string{line}, lines[head+1:]...)...)
	return strings.Join(lines, "\n") + "\n"
}

// quote is a TOML basic string (TOML 1.0). Values come from names and
// addresses that were checked: nothing else needs an escape.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
