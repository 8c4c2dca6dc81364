// Package kit is the stick that sets up a station: its folder, the manifest
// that names every file in it with its digest, and the enrolment that lies
// beside them.
//
// It owns the manifest's form and the two starters, setup.cmd and setup.sh. It
// promises that nothing outside of the folder is read, whatever the manifest
// says, and that an enrolment's code shows up in no log and no error. It does
// not know the PC that is set up.
package kit

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"tram/installer/place"
)

// ManifestName is the manifest's file name in a kit folder.
const ManifestName = "kit.json"

const (
	maxManifest = 64 << 10  // bytes
	maxSettings = 64 << 10  // bytes
	maxProgram  = 200 << 20 // bytes
)

var (
	//go:embed files/setup.cmd
	setupCmd []byte
	//go:embed files/setup.sh
	setupSh []byte
)

// Manifest names every file of a kit with its digest. Readers ignore keys that
// they do not know.
type Manifest struct {
	Version  string    `json:"version"`
	Programs []Program `json:"programs"`
	Files    []File    `json:"files"`
}

// Program is the agent and the setup program built for one kind of PC.
type Program struct {
	OS    string `json:"os"`   // as GOOS
	Arch  string `json:"arch"` // as GOARCH
	Agent File   `json:"agent"`
	Setup File   `json:"setup"`
}

// File is one file of a kit: its slash-separated path inside the kit, its
// length in bytes, and its SHA-256 in lower-case hexadecimal.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Fault is a file of a kit that is missing or not what the manifest says.
// Code is "missing" or "altered".
type Fault struct{ Path, Code string }

// Kit is what was found in a kit folder.
type Kit struct {
	Dir      string
	Version  string
	Program  *Program // what this PC would get; nil when the kit has none for it
	Settings []byte   // the kit's tram.toml
	Faults   []Fault
}

// Read reads the kit in dir for a PC of that operating system and
// architecture. The files that this PC would get are read and compared with
// their digests; of the others only presence and length are looked at, because
// an old PC reads a stick slowly. A kit without a readable manifest has the
// manifest itself as its fault.
func Read(dir, goos, goarch string) Kit {
	kit := Kit{Dir: dir}
	root, err := os.OpenRoot(dir)
	if err != nil {
		kit.Faults = append(kit.Faults, Fault{ManifestName, "missing"})
		return kit
	}
	defer root.Close()
	raw, err := readIn(root, ManifestName, maxManifest)
	if err != nil {
		kit.Faults = append(kit.Faults, Fault{ManifestName, "missing"})
		return kit
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil || len(m.Programs) == 0 || len(m.Programs) > 32 || len(m.Files) > 64 {
		kit.Faults = append(kit.Faults, Fault{ManifestName, "altered"})
		return kit
	}
	kit.Version = m.Version
	kit.Program = choose(m.Programs, goos, goarch)
	check := func(f File, deep bool) {
		if code := inspect(root, f, deep); code != "" {
			kit.Faults = append(kit.Faults, Fault{f.Path, code})
		}
	}
	for i := range m.Programs {
		p := &m.Programs[i]
		check(p.Agent, p.same(kit.Program))
		check(p.Setup, p.same(kit.Program))
	}
	for _, f := range m.Files {
		check(f, true)
		if f.Path == "tram.toml" {
			kit.Settings, _ = readIn(root, f.Path, maxSettings)
		}
	}
	return kit
}

// same says whether two entries of the manifest are one.
func (p *Program) same(other *Program) bool { return other != nil && *p == *other }

// choose takes the program built for exactly this PC, else the 32-bit one that
// a 64-bit PC of the same family also runs.
func choose(programs []Program, goos, goarch string) *Program {
	var second *Program
	for i := range programs {
		p := &programs[i]
		switch {
		case p.OS != goos:
		case p.Arch == goarch:
			return p
		case p.Arch == "386" && (goarch == "amd64" || goarch == "arm64" && goos == "windows"):
			second = p
		}
	}
	return second
}

// inspect looks at one file of the kit without ever leaving the kit's folder: a
// path that leads out of it, by dots or by a link, is a fault like any other.
func inspect(root *os.Root, f File, deep bool) (fault string) {
	if !filepath.IsLocal(filepath.FromSlash(f.Path)) || f.Size < 0 || f.Size > maxProgram {
		return "altered"
	}
	file, err := root.Open(filepath.FromSlash(f.Path))
	if err != nil {
		return "missing"
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return "altered"
	}
	if !deep {
		return ""
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return "altered"
	}
	return ""
}

func readIn(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return place.ReadLimited(f, limit)
}

// Build completes a kit folder: dir already holds the programs, each in a
// folder named like linux-amd64 or windows-386 with tram and tram-setup in it
// (.exe on Windows). Build adds setup.cmd, setup.sh and, when there is none,
// tram.toml with the settings given; then it writes the manifest over all of
// them. An enrol.json is not
// part of the manifest: it is added per station, after the kit was built.
func Build(dir, version string, settings []byte) (Manifest, error) {
	m := Manifest{Version: version}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return m, fmt.Errorf("read kit folder: %w", err)
	}
	for _, e := range entries {
		goos, goarch, ok := strings.Cut(e.Name(), "-")
		if !e.IsDir() || !ok {
			continue
		}
		p := Program{OS: goos, Arch: goarch}
		suffix := ""
		if goos == "windows" {
			suffix = ".exe"
		}
		if p.Agent, err = measure(dir, path.Join(e.Name(), "tram"+suffix)); err != nil {
			return m, err
		}
		if p.Setup, err = measure(dir, path.Join(e.Name(), "tram-setup"+suffix)); err != nil {
			return m, err
		}
		m.Programs = append(m.Programs, p)
	}
	if len(m.Programs) == 0 {
		return m, errors.New("kit folder holds no programs; build them into folders such as linux-amd64 first")
	}
	// cmd.exe loses its place in a file whose lines end in a bare line feed.
	cmd := bytes.ReplaceAll(setupCmd, []byte("\n"), []byte("\r\n"))
	if err := place.Write(filepath.Join(dir, "setup.cmd"), cmd, 0o644); err != nil {
		return m, err
	}
	if err := place.Write(filepath.Join(dir, "setup.sh"), setupSh, 0o755); err != nil {
		return m, err
	}
	name := filepath.Join(dir, "tram.toml")
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		if err := place.Write(name, settings, 0o644); err != nil {
			return m, err
		}
	}
	for _, name := range []string{"setup.cmd", "setup.sh", "tram.toml"} {
		f, err := measure(dir, name)
		if err != nil {
			return m, err
		}
		m.Files = append(m.Files, f)
	}
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("write manifest: %w", err)
	}
	return m, place.Write(filepath.Join(dir, ManifestName), append(out, '\n'), 0o644)
}

// measure reads one file for the manifest.
func measure(dir, name string) (File, error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return File{}, fmt.Errorf("measure kit: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return File{}, fmt.Errorf("measure kit: %w", err)
	}
	return File{Path: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}
