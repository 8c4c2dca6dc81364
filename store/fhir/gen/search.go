package main

import (
	"bytes"
	"fmt"
	"strings"
)

// searchLines writes tab-separated lines:
//
//	P <code> <type> <kinds, by commas> <FHIRPath> [targets, by commas] [components, by commas]
//	C <kind> <codes of the parameters that lead into the Patient compartment, by commas>
//
// A component is "<type>;<FHIRPath>", relative to the value of the whole.
func searchLines(d *definitions) []byte {
	var b bytes.Buffer
	byURL := map[string]searchParam{}
	for _, p := range d.params {
		byURL[p.URL] = p
	}
	for _, p := range d.params {
		var parts []string
		for _, c := range p.Component {
			parts = append(parts, byURL[c.Definition].Type+";"+path(c.Expression))
		}
		line := []string{"P", p.Code, p.Type, strings.Join(p.Base, ","), path(p.Expression),
			targets(p.Target), strings.Join(parts, ",")}
		b.WriteString(strings.TrimRight(strings.Join(line, "\t"), "\t") + "\n")
	}
	for _, c := range d.compartments {
		for _, r := range c.Resource {
			if len(r.Param) > 0 {
				fmt.Fprintf(&b, "C\t%s\t%s\n", r.Code, strings.Join(r.Param, ","))
			}
		}
	}
	return b.Bytes()
}

// targets leaves out a list of (nearly) every kind: it bars nothing worth 2 KB.
func targets(list []string) string {
	if len(list) > 140 {
		return ""
	}
	return strings.Join(list, ",")
}

// path mends a type name that R4 spells wrongly in one definition.
func path(expr string) string { return strings.ReplaceAll(expr, "as(DateTime)", "as(dateTime)") }
