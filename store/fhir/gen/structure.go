package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
)

// structureLines writes two sections of tab-separated lines:
//
//	V <code system or ""> <codes, by spaces>                    value sets, numbered from 0
//	T <path> <R resource | A abstract | D data type | B nested>  then its fields:
//	F <name> <card: ? 1 * +, s behind it for a summary> <types, by commas> [value set number] [targets, by commas]
//
// A type "#Path" is a content reference; "@" is a structure nested in the path.
func structureLines(d *definitions) []byte {
	var types bytes.Buffer
	sets := &valueSetTable{defs: d, index: map[string]int{}}
	for _, s := range d.structures {
		if s.Kind == "primitive-type" {
			continue
		}
		letter := "D"
		if s.Kind == "resource" {
			letter = "R"
			if s.Abstract {
				letter = "A"
			}
		}
		// A snapshot lists a structure before its children and mixes depths, so
		// that fields are gathered by parent first.
		order, fields, nested := []string{s.Type}, map[string][]string{}, map[string]bool{}
		for _, e := range s.Snapshot.Element {
			if strings.Contains(e.Path, ".") {
				nested[parent(e.Path)] = true
			}
		}
		for _, e := range s.Snapshot.Element {
			if !strings.Contains(e.Path, ".") || e.Max == "0" {
				continue
			}
			if nested[e.Path] {
				order = append(order, e.Path)
			}
			fields[parent(e.Path)] = append(fields[parent(e.Path)], fieldLine(s, e, nested[e.Path], sets))
		}
		for i, path := range order {
			if i > 0 {
				letter = "B"
			}
			fmt.Fprintf(&types, "T\t%s\t%s\n", path, letter)
			for _, f := range fields[path] {
				types.WriteString(f + "\n")
			}
		}
	}
	return append(sets.lines.Bytes(), types.Bytes()...)
}

func parent(path string) string { return path[:strings.LastIndexByte(path, '.')] }

func fieldLine(s structure, e element, nested bool, sets *valueSetTable) string {
	card := map[string]string{"01": "?", "11": "1", "0*": "*", "1*": "+"}[fmt.Sprint(min(e.Min, 1))+e.Max]
	if e.IsSummary && s.Kind == "resource" {
		card += "s"
	}
	var types []string
	targets := map[string]bool{}
	for _, t := range e.Type {
		types = append(types, typeName(s, e, t))
		for _, p := range t.TargetProfile {
			targets[p[strings.LastIndexByte(p, '/')+1:]] = true
		}
	}
	switch {
	case e.ContentReference != "":
		types = []string{e.ContentReference}
	case nested:
		types = []string{"@"}
	}
	line := strings.Join([]string{"F", e.Path[strings.LastIndexByte(e.Path, '.')+1:], card, strings.Join(types, ",")}, "\t")
	set := ""
	if e.Binding.Strength == "required" {
		set = sets.number(e.Binding.ValueSet)
	}
	var list []string
	if !targets["Resource"] {
		for t := range targets {
			list = append(list, t)
		}
		sort.Strings(list)
	}
	return strings.TrimRight(line+"\t"+set+"\t"+strings.Join(list, ","), "\t")
}

// typeName undoes that the definitions give ids and urls FHIRPath types.
func typeName(s structure, e element, t elementType) string {
	if !strings.HasPrefix(t.Code, "http://hl7.org/fhirpath/") {
		return t.Code
	}
	if s.Kind == "resource" && strings.Count(e.Path, ".") == 1 {
		return "id"
	}
	for _, x := range t.Extension {
		if x.ValueURL != "" {
			return x.ValueURL
		}
	}
	return "string"
}

type valueSetTable struct {
	defs  *definitions
	index map[string]int
	lines bytes.Buffer
}

// number gives a value set its line, or "" when its codes are not HL7's own
// (media types, currencies, units) and so not in the package.
func (t *valueSetTable) number(url string) string {
	url, _, _ = strings.Cut(url, "|")
	if n, ok := t.index[url]; ok {
		return fmt.Sprint(n)
	}
	set := map[string]bool{}
	system, systems := "", map[string]bool{}
	for _, in := range t.defs.valueSets[url].Compose.Include {
		list := in.Concept
		if len(list) == 0 {
			list = t.defs.codeSystems[in.System].Concept
		}
		if len(list) == 0 {
			return ""
		}
		system, systems[in.System] = in.System, true
		addCodes(set, list)
	}
	if len(set) == 0 {
		return ""
	}
	if len(systems) > 1 {
		system = ""
	}
	codes := make([]string, 0, len(set))
	for c := range set {
		codes = append(codes, c)
	}
	sort.Strings(codes)
	n := len(t.index)
	t.index[url] = n
	fmt.Fprintf(&t.lines, "V\t%s\t%s\n", system, strings.Join(codes, " "))
	return fmt.Sprint(n)
}

func addCodes(set map[string]bool, list []concept) {
	for _, c := range list {
		set[c.Code] = true
		addCodes(set, c.Concept)
	}
}
