package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// definitions is what the tables need of HL7's package. Slices are sorted.
type definitions struct {
	structures   []structure
	params       []searchParam
	valueSets    map[string]valueSet
	codeSystems  map[string]codeSystem
	compartments []compartment
}

type structure struct {
	Name, Kind, Type, Derivation string
	Abstract                     bool
	Snapshot                     struct{ Element []element }
}

type element struct {
	Path             string
	Min              int
	Max              string
	IsSummary        bool
	ContentReference string
	Type             []elementType
	Binding          struct{ Strength, ValueSet string }
}

type elementType struct {
	Code          string
	TargetProfile []string
	Extension     []struct{ URL, ValueURL string }
}

type valueSet struct {
	URL     string
	Compose struct {
		Include []struct {
			System  string
			Concept []concept
		}
	}
}

type codeSystem struct {
	URL     string
	Concept []concept
}

type concept struct {
	Code    string
	Concept []concept
}

type searchParam struct {
	URL, Version, Code, Type, Expression string
	Base, Target                         []string
	Component                            []struct{ Definition, Expression string }
}

type compartment struct {
	Code     string
	Resource []struct {
		Code  string
		Param []string
	}
}

func readDefinitions(dir string) (*definitions, error) {
	d := &definitions{valueSets: map[string]valueSet{}, codeSystems: map[string]codeSystem{}}
	err := each(dir, "StructureDefinition", func(s structure) {
		if s.Derivation != "constraint" && s.Kind != "logical" {
			d.structures = append(d.structures, s)
		}
	})
	if err == nil {
		err = each(dir, "SearchParameter", func(p searchParam) {
			if p.Version == "4.0.1" && len(p.Base) > 0 && p.Expression != "" {
				d.params = append(d.params, p)
			}
		})
	}
	if err == nil {
		err = each(dir, "ValueSet", func(v valueSet) { d.valueSets[v.URL] = v })
	}
	if err == nil {
		err = each(dir, "CodeSystem", func(c codeSystem) { d.codeSystems[c.URL] = c })
	}
	if err == nil {
		err = each(dir, "CompartmentDefinition-patient", func(c compartment) { d.compartments = append(d.compartments, c) })
	}
	sort.Slice(d.structures, func(i, j int) bool { return d.structures[i].Type < d.structures[j].Type })
	sort.Slice(d.params, func(i, j int) bool { return d.params[i].URL < d.params[j].URL })
	return d, err
}

// each reads every file of one resource type; finding none is an error.
func each[T any](dir, kind string, add func(T)) error {
	files, err := filepath.Glob(filepath.Join(dir, kind+"*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no %s in %q: give the unpacked package with -package", kind, dir)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var x T
		if err := json.Unmarshal(b, &x); err != nil {
			return fmt.Errorf("read %s: %w", filepath.Base(f), err)
		}
		add(x)
	}
	return nil
}
