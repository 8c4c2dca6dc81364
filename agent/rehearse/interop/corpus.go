package interop

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one file that is tried, and what came of it.
type file struct {
	name    string
	content []byte
	records []*item
	// trouble is what befell the file as a whole; "" for none.
	trouble string
}

// item is one resource of a file: where it stood, what it must come to, and what
// is wrong with it at either station.
type item struct {
	entry   int // of a Bundle, from 1; 0 for a file of one resource
	source  map[string]any
	url     string // fullUrl of the entry
	key     string // Kind/id as the station keeps it
	given   bool   // the station gave the id
	want    map[string]any
	fault   [stations]string
	private bool // may be about somebody whom it does not name: it stays where it came from
}

// stations is how many stations a file comes out of.
const stations = 2

// fault is the first thing wrong with a file; "" where it came out as it went in.
func (f *file) fault() string {
	if f.trouble != "" {
		return f.trouble
	}
	for s := range stations {
		for _, it := range f.records {
			if it.fault[s] != "" {
				return fmt.Sprintf("%s at station %d: %s", it.key, s+1, it.fault[s])
			}
		}
	}
	return ""
}

// maxExample is the size from which an example is left out, in bytes.
const maxExample = 300 << 10

// definitions are the kinds that define FHIR itself. The package holds them
// beside the examples; Bundles of it are copies of those.
func definitions() []string {
	return []string{"StructureDefinition", "SearchParameter", "ValueSet", "CodeSystem", "ConceptMap", "OperationDefinition", "CompartmentDefinition", "Bundle"}
}

// expectedExamples is how many instances the package of version 4.0.1 holds:
// another number means that it is another package.
const expectedExamples = 691

// readExamples reads the instances of the package, from its archive or a folder.
func readExamples(from string) ([]*file, error) {
	if from == "" {
		return nil, errors.New("name the package hl7.fhir.r4.examples 4.0.1 (npm pack gets it)")
	}
	read := readFolder
	if strings.HasSuffix(from, ".tgz") {
		read = readArchive
	} else if inner := filepath.Join(from, "package"); isFolder(inner) {
		from = inner
	}
	all, err := read(from)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f *file) bool { return len(f.content) >= maxExample || !instance(f.content) })
	if len(all) != expectedExamples {
		return nil, fmt.Errorf("%d instances instead of %d: not hl7.fhir.r4.examples 4.0.1", len(all), expectedExamples)
	}
	return all, nil
}

// Examples are the resources that the package holds as examples, as they stand in
// it, sorted by the names of their files. See Options.
func Examples(from string) ([][]byte, error) {
	files, err := readExamples(from)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	out := make([][]byte, len(files))
	for i, f := range files {
		out[i] = f.content
	}
	return out, nil
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// instance tells an example from a definition and from what is no resource.
func instance(content []byte) bool {
	var v struct {
		Kind string `json:"resourceType"`
	}
	return json.Unmarshal(content, &v) == nil && v.Kind != "" && !slices.Contains(definitions(), v.Kind)
}

// readFolder reads every .json file of a folder, sorted by name.
func readFolder(dir string) ([]*file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []*file
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".json") {
			b, err := fs.ReadFile(os.DirFS(dir), e.Name())
			if err != nil {
				return nil, err
			}
			out = append(out, &file{name: e.Name(), content: b})
		}
	}
	return out, nil
}

// readArchive reads every .json file at the top of an npm package.
func readArchive(name string) ([]*file, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var out []*file
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(out, func(a, b *file) int { return strings.Compare(a.name, b.name) })
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if path.Dir(h.Name) != "package" || !strings.HasSuffix(h.Name, ".json") || h.Size > 64<<20 {
			continue
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		out = append(out, &file{name: path.Base(h.Name), content: b})
	}
}
