package interop

import (
	"fmt"
	"strings"
)

// parseExceptions reads the list: the reason of each file by its name.
func parseExceptions(table []byte) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(string(table)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, why, ok := strings.Cut(line, ":")
		name, why = strings.TrimSpace(name), strings.TrimSpace(why)
		if !ok || name == "" || why == "" {
			return nil, fmt.Errorf("exceptions: a line without a file or a reason")
		}
		if out[name] != "" {
			return nil, fmt.Errorf("exceptions: %s stands twice", name)
		}
		out[name] = why
	}
	return out, nil
}

// complaints holds what came of the files against the list: a line for each file
// that differs and is not listed, that is listed and does not differ, or that is
// listed and was not there. Empty means that all is as listed.
func complaints(files []*file, listed map[string]string) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.name] = true
		switch why := listed[f.name]; {
		case f.fault() != "" && why == "":
			out = append(out, f.name+": "+f.fault())
		case f.fault() == "" && why != "":
			out = append(out, f.name+": is listed as an exception and came out as it went in")
		}
	}
	for name := range listed {
		if !seen[name] {
			out = append(out, name+": is listed as an exception and was not tried")
		}
	}
	return out
}
